//! What upstreams say.

use tokio::net::TcpStream;

use crate::client::{Answer, Client, connect, get};
use crate::node::{LANE, Node, SHOP, one_region};
use crate::upstream::{Manner, Upstream};

/// The bytes of an answer, and what the client sees of them.
pub(super) struct Row {
    pub(super) name: &'static str,
    text: String,
    /// The upstream closes after it.
    closes: bool,
    /// It is HEAD that is answered.
    to_head: bool,
    expect: Expect,
    pingora: Pingora,
}

/// What pingora's lane does.
enum Pingora {
    Same,
    Other(Expect),
    /// Something that this client cannot read.
    Unread,
}

struct Expect {
    /// The interim answers.
    interim: Vec<u16>,
    last: Last,
    /// Does not stand in the last head, in lower case.
    without: Option<&'static str>,
    /// Whether the upstream's connection carries the next request; `None` where that does not matter.
    kept: Option<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Last {
    /// The upstream's own, with its body.
    Passed(u16, &'static str),
    /// Ours.
    BadGateway,
    /// None, or a part of one; then the connection ends.
    Cut,
}

fn row(name: &'static str, text: impl Into<String>, expect: Expect) -> Row {
    Row {
        name,
        text: text.into(),
        closes: false,
        to_head: false,
        expect,
        pingora: Pingora::Same,
    }
}

impl Row {
    fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    fn asked_head(mut self) -> Self {
        self.to_head = true;
        self
    }

    fn pingora(mut self, expect: Expect) -> Self {
        self.pingora = Pingora::Other(expect);
        self
    }

    fn pingora_unread(mut self) -> Self {
        self.pingora = Pingora::Unread;
        self
    }
}

fn ends(last: Last) -> Expect {
    Expect {
        interim: Vec::new(),
        last,
        without: None,
        kept: None,
    }
}

fn passed(status: u16, body: &'static str) -> Expect {
    ends(Last::Passed(status, body))
}

fn bad() -> Expect {
    ends(Last::BadGateway)
}

fn cut() -> Expect {
    ends(Last::Cut)
}

impl Expect {
    fn after(mut self, interim: &[u16]) -> Self {
        self.interim = interim.to_vec();
        self
    }

    fn without(mut self, text: &'static str) -> Self {
        self.without = Some(text);
        self
    }

    fn kept(mut self, kept: bool) -> Self {
        self.kept = Some(kept);
        self
    }
}

/// Every row has a proxy and an upstream of its own: what one leaves behind is no other's.
pub(super) async fn check(row: Row) {
    let expect = match row.pingora {
        Pingora::Other(expect) if LANE != "own" => expect,
        Pingora::Unread if LANE != "own" => return,
        _ => row.expect,
    };
    let upstream = Upstream::start("u0").await;
    let world = one_region(&[&upstream], "path_prefix: /, retries: { attempts: 0 }");
    let node = Node::start(&world, "worker_threads: 1");
    let text: &'static str = row.text.leak();
    upstream.behave(if row.closes {
        Manner::SayAndClose(text)
    } else {
        Manner::Say(text)
    });
    let mut client = connect(node.address).await;
    let method = if row.to_head { "HEAD" } else { "GET" };
    client
        .send(format!("{method} / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
        .await;
    let mut interim = Vec::new();
    let last = loop {
        let answer = next_answer(&mut client, row.to_head).await;
        match answer {
            Some(answer) if answer.status < 200 && answer.status != 101 => {
                interim.push(answer.status);
            }
            last => break last,
        }
    };
    assert_eq!(interim, expect.interim, "interim answers before {last:?}");
    match (expect.last, &last) {
        (Last::Passed(status, body), Some(answer)) => {
            assert_eq!(answer.status, status, "{}", answer.text());
            assert_eq!(answer.text(), body, "{}", answer.head);
            // pingora passes the upstream's version on (RFC 9112, section 2.3).
            assert!(LANE != "own" || answer.head.starts_with("HTTP/1.1 "));
        }
        (Last::BadGateway, Some(answer)) => assert_eq!(answer.status, 502, "{}", answer.head),
        (Last::Cut, None) => {}
        (expected, last) => panic!("{expected:?} was expected, not {last:?}"),
    }
    if let (Some(text), Some(answer)) = (expect.without, &last) {
        let head = answer.head.to_ascii_lowercase();
        assert!(!head.contains(text), "{text:?} in {head}");
    }
    // Nothing of it is taken for the next request's answer.
    upstream.behave(Manner::Serve);
    if let Some(kept) = expect.kept {
        assert_eq!(client.get(SHOP, "/next").await.text(), "u0");
        let connections = if kept { 1 } else { 2 };
        assert_eq!(upstream.connections(), connections, "kept: {kept}");
    } else {
        assert_eq!(get(node.address, SHOP, "/next").await.text(), "u0");
    }
}

/// The next answer, without a body where HEAD was asked.
async fn next_answer(client: &mut Client<TcpStream>, to_head: bool) -> Option<Answer> {
    if !to_head {
        return client.answer().await;
    }
    let head = client.head().await?;
    Some(Answer {
        status: head.split(' ').nth(1)?.parse().ok()?,
        head,
        body: Vec::new(),
    })
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = heads();
    rows.extend(statuses());
    rows.extend(lengths());
    rows.extend(chunks());
    rows
}

/// 200 with these lines and what comes after them.
fn ok(rest: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{rest}")
}

/// 200 with these chunks.
fn chunked(body: &str) -> String {
    ok(&format!("Transfer-Encoding: chunked\r\n\r\n{body}"))
}

/// 200 of two bytes with these lines in its head.
fn with(lines: &str) -> String {
    ok(&format!("{lines}\r\nContent-Length: 2\r\n\r\nok"))
}

/// 200 of two bytes in the same head as this status line.
fn line(line: &str) -> String {
    format!("{line}\r\nContent-Length: 2\r\n\r\nok")
}

#[rustfmt::skip]
fn heads() -> Vec<Row> {
    let large = with(&format!("X: {}", "x".repeat(40_000)));
    let endless = ok(&format!("X: {}", "x".repeat(40_000)));
    let many = with(&["x: y"; 200].join("\r\n"));
    vec![
        row("2.2 bare LFs", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok", passed(200, "ok").kept(true)),
        row("2.2 a bare CR in a value", with("X: a\rb"), bad()),
        row("2.2 a bare CR in the status line", line("HTTP/1.1 200 O\rK"), bad()),
        row("5 a blank before the first field", with(" X: a"), bad()),
        row("5 a field without a colon", with("nonsense"), bad()),
        row("5 a field without a name", with(": nonsense"), bad()),
        // It may also be passed on without the blank.
        row("5.1 a blank before the colon", with("X : a"), bad()).pingora(passed(200, "ok")),
        row("5.1 a blank before a length's colon", ok("Content-Length : 2\r\n\r\nok"), bad()).pingora(passed(200, "ok")),
        // It may also be passed on as one line.
        row("5.2 folded", with("X: a\r\n b"), bad()).pingora(passed(200, "ok")),
        row("9110 5.5 a value with a NUL", with("X: a\0b"), bad()),
        row("9110 5.4 a large head", large, bad()).pingora(passed(200, "ok")),
        row("9110 5.4 a head without end", endless, bad()).closing(),
        row("9110 5.4 many fields", many, bad()).pingora(passed(200, "ok")),
        row("9110 7.6.1 the length for this hop", with("Connection: content-length"), passed(200, "ok").kept(true)),
        row("9110 7.6.1 the coding for this hop", ok("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), passed(200, "hello").kept(true)),
        row("9.6 close among others", with("Connection: x, CLOSE"), passed(200, "ok").kept(false)),
    ]
}

#[rustfmt::skip]
fn statuses() -> Vec<Row> {
    vec![
        row("2.3 the version of HTTP/2", line("HTTP/2.0 200 OK"), bad()),
        // RFC 9110, section 2.5, would rather have it read as 1.1.
        row("2.3 a later minor version", line("HTTP/1.2 200 OK"), bad()),
        row("2.3 a version in lower case", line("http/1.1 200 OK"), bad()),
        row("2.3 1.0 with a length", line("HTTP/1.0 200 OK"), passed(200, "ok").kept(false)),
        row("4 another protocol", line("ICY 200 OK"), bad()),
        row("4 two blanks before the status", line("HTTP/1.1  200 OK"), bad()),
        row("4 an empty reason", line("HTTP/1.1 200 "), passed(200, "ok").kept(true)),
        row("4 no reason", line("HTTP/1.1 200"), passed(200, "ok").kept(true)),
        row("4 a status that is no number", line("HTTP/1.1 abc OK"), bad()),
        row("4 a status of two digits", line("HTTP/1.1 99 Odd"), bad()),
        row("4 a status of four digits", line("HTTP/1.1 2000 Odd"), bad()),
        row("9110 15 a status below 100", line("HTTP/1.1 099 Odd"), bad()),
        row("9110 15 a status above 599", line("HTTP/1.1 600 Odd"), bad()).pingora(passed(600, "ok")),
        row("9110 15.2 interim answers", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", passed(200, "ok").after(&[100, 102, 103]).kept(true)),
        row("9110 15.2 an interim answer has no body", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", passed(200, "ok").after(&[103])),
        // Something was said already: pingora closes.
        row("9110 15.2 an interim answer and no more", "HTTP/1.1 102 Processing\r\n\r\n", bad().after(&[102])).closing().pingora(cut().after(&[102])),
        row("9110 15.2.2 a switch that nobody asked for", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", bad()).closing().pingora(passed(101, "")),
        row("9110 8.6 no length in 204", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", passed(204, "").without("content-length")),
        row("6.1 no coding in 204", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", passed(204, "").without("transfer-encoding")),
        row("6.3 304 has no body", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil", passed(304, "").kept(false)),
        row("6.3 an answer to HEAD has no body", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", passed(200, "").kept(false)).asked_head(),
    ]
}

#[rustfmt::skip]
fn lengths() -> Vec<Row> {
    vec![
        // A reader may also believe the coding; pingora takes the length out.
        row("6.3 a length and a coding", ok("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), bad()).closing().pingora(passed(200, "hello").without("content-length")),
        row("6.3 two lengths", ok("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), bad()).closing(),
        row("6.3 one length twice", ok("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), bad()).pingora(passed(200, "hello")),
        row("6.3 a list of lengths", ok("Content-Length: 5, 5\r\n\r\nhello"), bad()).pingora_unread(),
        row("6.2 a length that is no number", ok("Content-Length: five\r\n\r\nhello"), bad()).closing(),
        row("6.2 a negative length", ok("Content-Length: -1\r\n\r\nhello"), bad()).closing(),
        row("6.2 a length with a sign", ok("Content-Length: +5\r\n\r\nhello"), bad()).closing(),
        row("6.2 an empty length", ok("Content-Length:\r\n\r\nhello"), bad()).closing(),
        row("6.2 a length that would be negative in 64 bits", ok("Content-Length: 9223372036854775808\r\n\r\nhello"), bad()).closing().pingora(cut()),
        row("6.3 less than the length says", ok("Content-Length: 10\r\n\r\nhello"), cut()).closing(),
        row("6.1 two codings", ok("Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), bad()).pingora_unread(),
        row("6.1 chunked in two lines", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), bad()).pingora(passed(200, "hello")),
        row("6.1 chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", bad()).closing().pingora(passed(200, "hello")),
    ]
}

#[rustfmt::skip]
fn chunks() -> Vec<Row> {
    vec![
        row("7.1 more after the last chunk", chunked("5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"), passed(200, "hello").kept(false)),
        row("7.1 a size that is no number", chunked("zz\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a size of 68 bits", chunked("FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 more data than the size says", chunked("5\r\nhelloX\r\n0\r\n\r\n"), cut()),
        row("7.1 a bare LF after the size", chunked("5\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1.1 a bare LF in an extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), cut()).pingora(passed(200, "hello")),
        row("8 an end inside a chunk", chunked("5\r\nhel"), cut()).closing(),
        row("8 an end before the last chunk", chunked("5\r\nhello\r\n"), cut()).closing(),
        row("8 an end inside the trailers", chunked("5\r\nhello\r\n0\r\nx-sum: 1\r\n"), cut()).closing(),
    ]
}
