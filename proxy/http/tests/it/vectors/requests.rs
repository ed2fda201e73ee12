//! What clients send.

use tokio::net::TcpStream;

use crate::client::{Client, connect};
use crate::node::{LANE, Node, SHOP, one_region};
use crate::upstream::Upstream;

/// Follows a body that is broken: nobody may ever take it for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: shop.example\r\n\r\n";

/// The bytes of one connection, and what becomes of them.
pub(super) struct Row {
    pub(super) name: &'static str,
    bytes: Vec<u8>,
    expect: Expect,
    /// Where pingora's lane differs.
    pingora: Option<Expect>,
}

struct Expect {
    /// The request lines that the upstream hears, each with what its body holds; all are answered.
    heard: Vec<(String, String)>,
    /// Stands in the first head that the upstream hears, in lower case.
    with: Vec<&'static str>,
    /// Does not stand there.
    without: Vec<&'static str>,
    end: End,
}

/// What comes after the requests that the upstream hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection carries one more request.
    Stays,
    /// The last answer says that the connection closes, and it does.
    Closes,
    /// The connection closes unannounced.
    Gone,
    /// Our own answer, and the upstream hears no more.
    Answered(u16),
    /// A malformed head: 400, a close, and the upstream hears no more.
    Refused,
    /// A malformed body: 400 or nothing, a close, and the upstream never hears a whole request.
    Cut,
}

fn row(name: &'static str, bytes: impl AsRef<[u8]>, expect: Expect) -> Row {
    Row {
        name,
        bytes: bytes.as_ref().to_vec(),
        expect,
        pingora: None,
    }
}

impl Row {
    fn pingora(mut self, expect: Expect) -> Self {
        self.pingora = Some(expect);
        self
    }
}

fn unheard(end: End) -> Expect {
    Expect {
        heard: Vec::new(),
        with: Vec::new(),
        without: Vec::new(),
        end,
    }
}

fn refused() -> Expect {
    unheard(End::Refused)
}

fn cut() -> Expect {
    unheard(End::Cut)
}

fn answered(status: u16) -> Expect {
    unheard(End::Answered(status))
}

/// A request line without its version, and what the body holds.
fn served(line: impl AsRef<str>, body: &str) -> Expect {
    unheard(End::Stays).and(line, body)
}

impl Expect {
    fn and(mut self, line: impl AsRef<str>, body: &str) -> Self {
        let line = format!("{} HTTP/1.1", line.as_ref());
        self.heard.push((line, body.to_owned()));
        self
    }

    fn with(mut self, text: &'static str) -> Self {
        self.with.push(text);
        self
    }

    fn without(mut self, text: &'static str) -> Self {
        self.without.push(text);
        self
    }

    fn closes(self) -> Self {
        Self {
            end: End::Closes,
            ..self
        }
    }

    fn gone(self) -> Self {
        Self {
            end: End::Gone,
            ..self
        }
    }

    fn then_refused(self) -> Self {
        Self {
            end: End::Refused,
            ..self
        }
    }
}

/// Every row has a proxy and an upstream of its own: what one leaves behind is no other's.
pub(super) async fn check(row: Row) {
    let expect = match row.pingora {
        Some(expect) if LANE != "own" => expect,
        _ => row.expect,
    };
    let upstream = Upstream::start("u0").await;
    let world = one_region(&[&upstream], "path_prefix: /");
    let node = Node::start(&world, "worker_threads: 1");
    let mut client = connect(node.address).await;
    client.send(&row.bytes).await;
    let mut connection = None;
    for (line, _) in &expect.heard {
        connection = answer_to(&mut client, line).await;
    }
    let mut heard = expect.heard;
    match expect.end {
        End::Stays => {
            assert_ne!(connection.as_deref(), Some("close"));
            assert_eq!(client.get(SHOP, "/next").await.text(), "u0");
            heard.push(("GET /next HTTP/1.1".to_owned(), String::new()));
        }
        End::Closes => {
            assert_eq!(connection.as_deref(), Some("close"));
            assert_eq!(client.rest().await, b"", "nothing follows");
        }
        End::Gone => assert_eq!(client.rest().await, b"", "nothing follows"),
        End::Answered(status) => {
            let answer = client.answer().await.expect("an answer");
            assert_eq!(answer.status, status, "{}", answer.text());
        }
        End::Refused => {
            let answer = client.answer().await.expect("closed without an answer");
            assert_eq!(answer.status, 400, "{}", answer.text());
            assert_eq!(answer.header("connection"), Some("close"));
            assert_eq!(client.rest().await, b"", "nothing follows");
        }
        End::Cut => {
            if let Some(answer) = client.answer().await {
                assert_eq!(answer.status, 400, "{}", answer.text());
                assert_eq!(answer.header("connection"), Some("close"));
            }
            assert_eq!(client.rest().await, b"", "nothing follows");
        }
    }
    let (heads, bodies) = (upstream.heads(), upstream.bodies());
    if expect.end == End::Cut {
        let all = heads.concat();
        assert!(!all.contains("smuggled"), "{all}");
        let whole = bodies.iter().find(|body| content(body).is_some());
        assert_eq!(whole, None, "the upstream heard a whole request");
    } else {
        assert_eq!(said(&heads, &bodies), heard);
    }
    let first = heads.first().map(|head| head.to_ascii_lowercase());
    let first = first.unwrap_or_default();
    for text in expect.with {
        assert!(first.contains(text), "{text:?} not in {first}");
    }
    for text in expect.without {
        assert!(!first.contains(text), "{text:?} in {first}");
    }
    let counted = if expect.end == End::Refused { 1.0 } else { 0.0 };
    assert_eq!(malformed_heads(&node), counted, "malformed heads counted");
}

/// Reads the upstream's answer; says what stands in its `Connection`.
async fn answer_to(client: &mut Client<TcpStream>, line: &str) -> Option<String> {
    if line.starts_with("HEAD ") {
        let head = client.head().await.expect("an answer to HEAD");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        return None;
    }
    let answer = client.answer().await;
    let answer = answer.unwrap_or_else(|| panic!("no answer to {line}"));
    assert_eq!(answer.status, 200, "{line}: {}", answer.text());
    assert_eq!(answer.text(), "u0", "{line}");
    answer.header("connection").map(str::to_owned)
}

/// What the upstream heard: request lines, and what their bodies hold.
fn said(heads: &[String], bodies: &[Vec<u8>]) -> Vec<(String, String)> {
    assert_eq!(heads.len(), bodies.len(), "half a request in {heads:?}");
    let mut said = Vec::new();
    for (head, body) in heads.iter().zip(bodies) {
        let line = head.lines().next().unwrap_or_default();
        let lower = head.to_ascii_lowercase();
        let body = if lower.contains("transfer-encoding: chunked") {
            content(body).unwrap_or_else(|| panic!("no end in {}", body.escape_ascii()))
        } else {
            body.clone()
        };
        said.push((line.to_owned(), String::from_utf8_lossy(&body).into_owned()));
    }
    said
}

/// What a chunked body holds; `None` where it does not end.
fn content(mut body: &[u8]) -> Option<Vec<u8>> {
    let mut content = Vec::new();
    loop {
        let end = body.windows(2).position(|pair| pair == b"\r\n")?;
        let line = String::from_utf8_lossy(&body[..end]);
        let size = usize::from_str_radix(line.split(';').next()?.trim(), 16).ok()?;
        body = &body[end + 2..];
        if size == 0 {
            let ends = body.starts_with(b"\r\n") || body.ends_with(b"\r\n\r\n");
            return ends.then_some(content);
        }
        content.extend_from_slice(body.get(..size)?);
        body = body.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

fn malformed_heads(node: &Node) -> f64 {
    let text = node.metrics.render().unwrap();
    text.lines()
        .filter(|line| line.starts_with("meridian_http_malformed_requests_total{"))
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}

pub(super) fn rows() -> Vec<Row> {
    let mut rows = line_ends();
    rows.extend(request_lines());
    rows.extend(targets());
    rows.extend(hosts());
    rows.extend(fields());
    rows.extend(lengths());
    rows.extend(codings());
    rows.extend(bodies());
    rows.extend(chunks());
    rows.extend(broken_chunks());
    rows.extend(connections());
    rows.extend(old_versions());
    rows
}

/// A request line on its own.
fn line(line: impl AsRef<[u8]>) -> Vec<u8> {
    let rest = b"\r\nHost: shop.example\r\n\r\n";
    [line.as_ref(), rest.as_slice()].concat()
}

/// `GET /` with this after `Host:`.
fn host(value: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"GET / HTTP/1.1\r\nHost:".as_slice();
    [start, value.as_ref(), b"\r\n\r\n".as_slice()].concat()
}

/// `GET /` with this after its `Host`.
fn get(rest: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"GET / HTTP/1.1\r\nHost: shop.example\r\n".as_slice();
    [start, rest.as_ref()].concat()
}

/// `POST /` with this after its `Host`.
fn post(rest: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"POST / HTTP/1.1\r\nHost: shop.example\r\n".as_slice();
    [start, rest.as_ref()].concat()
}

/// `POST /` of five bytes with this after `Content-Length:`.
fn length(value: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"Content-Length:".as_slice();
    post([start, value.as_ref(), b"\r\n\r\nhello".as_slice()].concat())
}

/// `POST /` of no chunk with this after `Transfer-Encoding:`.
fn coding(value: impl AsRef<[u8]>) -> Vec<u8> {
    let start = b"Transfer-Encoding:".as_slice();
    post([start, value.as_ref(), b"\r\n\r\n0\r\n\r\n".as_slice()].concat())
}

/// `POST /` with these chunks.
fn chunked(body: &str) -> Vec<u8> {
    post(format!("Transfer-Encoding: chunked\r\n\r\n{body}"))
}

/// The same, and a request behind them.
fn broken(body: &str) -> Vec<u8> {
    chunked(&format!("{body}{SMUGGLED}"))
}

#[rustfmt::skip]
fn line_ends() -> Vec<Row> {
    vec![
        row("2.2 bare LF", "GET / HTTP/1.1\nHost: shop.example\n\n", refused()),
        row("2.2 one bare LF", "GET / HTTP/1.1\r\nHost: shop.example\nX: y\r\n\r\n", refused()),
        row("2.2 a bare LF at the end", "GET / HTTP/1.1\r\nHost: shop.example\r\n\n", refused()),
        row("2.2 a bare LF before the request", "\nGET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", refused()),
        row("2.2 a coding behind a bare LF", post("X: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), refused()),
        row("2.2 bare CR", get("X: a\rb\r\n\r\n"), refused()),
        row("2.2 a coding behind a bare CR", post("X: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), refused()),
        row("2.2 CR CR LF", "GET / HTTP/1.1\r\r\nHost: shop.example\r\n\r\n", refused()),
        row("2.2 an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", served("GET /", "")),
        row("2.2 two empty lines before the request", "\r\n\r\nGET / HTTP/1.1\r\nHost: shop.example\r\n\r\n", served("GET /", "")),
        row("2.2 an empty line after a body", post("Content-Length: 5\r\n\r\nhello\r\nGET /b HTTP/1.1\r\nHost: shop.example\r\n\r\n"), served("POST /", "hello").and("GET /b", "")),
        row("2.2 a blank before the request", line(" GET / HTTP/1.1"), refused()),
        row("2.2 a blank line of a blank", "GET / HTTP/1.1\r\n \r\nHost: shop.example\r\n\r\n", refused()),
        row("2.2 a blank before the first field", "POST / HTTP/1.1\r\n Transfer-Encoding: chunked\r\nHost: shop.example\r\n\r\n0\r\n\r\n", refused()),
        row("2.2 a NUL before the request", line("\0GET / HTTP/1.1"), refused()),
        row("2.2 garbage", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03garbage", refused()),
    ]
}

#[rustfmt::skip]
fn request_lines() -> Vec<Row> {
    let long = "M".repeat(33);
    let endless = format!("GET /{}", "x".repeat(40_000));
    vec![
        row("2.3 another version", line("GET / HTTP/3.0"), refused()),
        row("2.3 the version of HTTP/2", line("GET / HTTP/2.0"), refused()),
        // RFC 9110, section 2.5, would rather have it read as 1.1: nobody sends it in good faith.
        row("2.3 a later minor version", line("GET / HTTP/1.2"), refused()),
        row("2.3 a version in lower case", line("GET / http/1.1"), refused()),
        row("2.3 a minor version of two digits", line("GET / HTTP/1.10"), refused()),
        row("2.3 a major version of two digits", line("GET / HTTP/01.1"), refused()),
        row("2.3 a version without minor", line("GET / HTTP/1"), refused()),
        row("2.3 a version with a comma", line("GET / HTTP/1,1"), refused()),
        row("3 no version", "GET /\r\n\r\n", refused()),
        row("3 a blank after the version", line("GET / HTTP/1.1 "), refused()),
        row("3 two blanks before the target", line("GET  / HTTP/1.1"), refused()),
        row("3 two blanks after the target", line("GET /  HTTP/1.1"), refused()),
        row("3 a tab before the target", line("GET\t/ HTTP/1.1"), refused()),
        row("3 a tab after the target", line("GET /\tHTTP/1.1"), refused()),
        row("3 a vertical tab before the target", line("GET\x0b/ HTTP/1.1"), refused()),
        row("3 an endless line", endless, refused()),
        row("3.1 a method that is no token", line("G(T / HTTP/1.1"), refused()),
        row("3.1 a method that is too long", line(format!("{long} / HTTP/1.1")), refused()),
        row("3.1 a method in lower case is another method", line("get / HTTP/1.1"), served("get /", "")),
        row("3.1 a method of every sign that a token may have", line("!#$%&'*+-.^_`|~09aZ / HTTP/1.1"), served("!#$%&'*+-.^_`|~09aZ /", "")),
    ]
}

#[rustfmt::skip]
fn targets() -> Vec<Row> {
    let long = format!("GET /{}", "x".repeat(8000));
    vec![
        row("3.2 of no form", line("GET x HTTP/1.1"), refused()),
        row("3.2 a blank inside", line("GET /a b HTTP/1.1"), refused()),
        row("3.2 a NUL inside", line("GET /a\0b HTTP/1.1"), refused()),
        row("3.2 a DEL inside", line("GET /a\x7fb HTTP/1.1"), refused()),
        row("3.2 letters beyond ASCII", line("GET /caf\u{e9} HTTP/1.1"), refused()),
        row("3.2 bytes that are no letters", line(b"GET /\xff HTTP/1.1"), refused()),
        row("3.2 a fragment", line("GET /a#b HTTP/1.1"), refused()),
        row("3.2 signs that must be percent-encoded", line("GET /<a> HTTP/1.1"), refused()),
        row("3.2 nothing is decoded", line("GET /a%2fb/%2e%2e/%00%zz?x=%0d%0a HTTP/1.1"), served("GET /a%2fb/%2e%2e/%00%zz?x=%0d%0a", "")),
        row("3.2 nothing is normalized", line("GET //other.example/../a/./b//? HTTP/1.1"), served("GET //other.example/../a/./b//?", "")),
        row("3 a target of 8000 bytes", line(format!("{long} HTTP/1.1")), served(long, "")),
        row("3.2.1 a query alone", line("GET ?q HTTP/1.1"), refused()),
        // pingora keeps the absolute form, which every server must accept.
        row("3.2.2 absolute", line("GET http://shop.example/a?b HTTP/1.1"), served("GET /a?b", "")),
        row("3.2.2 absolute without a path", line("GET http://shop.example HTTP/1.1"), served("GET /", "")),
        row("3.2.2 absolute with a query alone", line("GET http://shop.example?q=1 HTTP/1.1"), served("GET /?q=1", "")),
        // pingora compares bytes.
        row("3.2.2 absolute in another case", line("GET HTTP://SHOP.example/a HTTP/1.1"), served("GET /a", "")).pingora(answered(400)),
        // A server would have to believe the target; believing nobody is safer.
        row("3.2.2 absolute with another host", line("GET http://other.example/ HTTP/1.1"), refused()),
        row("3.2.2 absolute with a user", line("GET http://shop.example@shop.example/ HTTP/1.1"), refused()),
        row("3.2.2 absolute with an empty host", line("GET http:///a HTTP/1.1"), refused()),
        row("3.2.2 absolute with one slash", line("GET http:/shop.example/a HTTP/1.1"), refused()),
        row("3.2.2 absolute with a backslash", line("GET http://shop.example\\.other.example/ HTTP/1.1"), refused()),
        row("3.2.2 absolute with another scheme", line("GET ftp://shop.example/ HTTP/1.1"), refused()),
        row("9110 7.4 https without TLS", line("GET https://shop.example/ HTTP/1.1"), answered(421)),
        row("3.2.3 authority without CONNECT", line("GET shop.example:80 HTTP/1.1"), refused()),
        row("3.2.3 CONNECT", "CONNECT shop.example:443 HTTP/1.1\r\nHost: shop.example:443\r\n\r\n", answered(405)),
        row("3.2.3 CONNECT without a port", line("CONNECT shop.example HTTP/1.1"), refused()),
        row("3.2.3 CONNECT to a path", line("CONNECT / HTTP/1.1"), refused()),
        row("3.2.4 asterisk", line("OPTIONS * HTTP/1.1"), served("OPTIONS *", "")),
        row("3.2.4 asterisk without OPTIONS", line("GET * HTTP/1.1"), refused()),
        row("3.2.4 absolute without a path for OPTIONS", line("OPTIONS http://shop.example HTTP/1.1"), served("OPTIONS *", "")),
    ]
}

#[rustfmt::skip]
fn hosts() -> Vec<Row> {
    vec![
        row("3.2 no host", "GET / HTTP/1.1\r\n\r\n", refused()),
        row("3.2 no host but an absolute target", "GET http://shop.example/ HTTP/1.1\r\n\r\n", refused()),
        row("3.2 two hosts", get("Host: shop.example\r\n\r\n"), refused()),
        row("3.2 two different hosts", get("host: other.example\r\n\r\n"), refused()),
        row("3.2 a list of hosts", host(" shop.example, shop.example"), refused()),
        row("3.2 a host with a path", host(" shop.example/x"), refused()),
        row("3.2 a host with a user", host(" shop.example@shop.example"), refused()),
        row("3.2 a host with a blank", host(" shop .example"), refused()),
        row("3.2 a host beyond ASCII", host(" sh\u{f6}p.example"), refused()),
        row("3.2 a host with an empty label", host(" shop..example"), refused()),
        row("3.2 an empty host", host(""), refused()),
        row("3.2 a host with a port", host(" shop.example:8080"), served("GET /", "").with("\r\nhost: shop.example:8080\r\n")),
        row("3.2 a host with an empty port", host(" shop.example:"), served("GET /", "")),
        row("3.2 a host with a port too large", host(" shop.example:65536"), refused()),
        row("3.2 a host with a port that is no number", host(" shop.example:8o"), refused()),
        row("3.2 a host with a signed port", host(" shop.example:+80"), refused()),
        row("3.2 a host with a final dot", host(" shop.example."), served("GET /", "")),
        row("3.2 a host in upper case", host(" SHOP.EXAMPLE"), served("GET /", "")),
        row("3.2 a host without a blank before it", host("shop.example"), served("GET /", "")),
        row("3.2 an IPv6 host", host(" [2001:db8::1]:80"), answered(404)),
        row("3.2 an IPv6 host without its bracket", host(" [2001:db8::1"), refused()),
        row("3.2 an IPv6 host without brackets", host(" 2001:db8::1"), refused()),
        row("3.2 an IPv6 host and more", host(" [2001:db8::1].shop.example"), refused()),
    ]
}

#[rustfmt::skip]
fn fields() -> Vec<Row> {
    let large = get(format!("X: {}\r\n\r\n", "x".repeat(40_000)));
    let many = get(format!("{}\r\n", "x: y\r\n".repeat(200)));
    let most = get(format!("{}\r\n", "x: y\r\n".repeat(127)));
    vec![
        row("5 a large head", large, refused()),
        row("5 many fields", many, refused()),
        row("5 as many fields as there may be", most, served("GET /", "")),
        row("5.1 a blank before the colon", "GET / HTTP/1.1\r\nHost : shop.example\r\n\r\n", refused()),
        row("5.1 a blank before a coding's colon", post("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), refused()),
        row("5.1 a tab before a coding's colon", post("Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"), refused()),
        row("5.1 a field without a colon", get("X\r\n\r\n"), refused()),
        row("5.1 a field without a name", get(": y\r\n\r\n"), refused()),
        row("5.1 a name with a blank", get("X y: z\r\n\r\n"), refused()),
        row("5.1 a name with a NUL", get("X\0: y\r\n\r\n"), refused()),
        row("5.1 a name beyond ASCII", get("caf\u{e9}: y\r\n\r\n"), refused()),
        row("5.1 a name with a bracket", get("X(: y\r\n\r\n"), refused()),
        row("5.1 blanks around a value go", get("X: \t y \t\r\n\r\n"), served("GET /", "").with("\r\nx: y\r\n")),
        row("5.1 an empty value stays", get("X:\r\n\r\n"), served("GET /", "").with("\r\nx: \r\n")),
        row("5.2 folded", get("X: a\r\n b\r\n\r\n"), refused()),
        row("5.2 folded with a tab", get("X: a\r\n\tb\r\n\r\n"), refused()),
        row("5.2 a folded coding", post("Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"), refused()),
        row("9110 5.5 a value with a NUL", get("X: \0\r\n\r\n"), refused()),
        row("9110 5.5 a value with a control", get("X: a\x01b\r\n\r\n"), refused()),
        row("9110 5.5 a value with a DEL", get("X: a\x7fb\r\n\r\n"), refused()),
        row("9110 5.5 a value with a tab, and beyond ASCII", get("X: a\tcaf\u{e9}\r\n\r\n"), served("GET /", "").with("\r\nx: a\tcaf\u{e9}\r\n")),
        row("9110 10.1.1 an expectation nobody knows", post("Expect: the-best\r\nContent-Length: 5\r\n\r\nhello"), served("POST /", "hello")),
        row("9110 10.1.1 a body that does not wait", post("Expect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"), served("POST /", "hello")),
    ]
}

#[rustfmt::skip]
fn lengths() -> Vec<Row> {
    vec![
        row("6.2 a length", length(" 5"), served("POST /", "hello")),
        row("6.2 a length with leading zeros", length(" 005"), served("POST /", "hello")),
        row("6.2 a length among blanks", length("\t 5 \t"), served("POST /", "hello")),
        row("6.2 a length of nothing", post("Content-Length: 0\r\n\r\n"), served("POST /", "")),
        row("6.2 no length", post("\r\n"), served("POST /", "")),
        row("6.2 an empty length", length(""), refused()),
        row("6.2 a negative length", length(" -1"), refused()),
        row("6.2 a length with a sign", length(" +5"), refused()),
        row("6.2 a length in hexadecimal", length(" 0x5"), refused()),
        row("6.2 a length with a point", length(" 5.0"), refused()),
        row("6.2 a length with an exponent", length(" 5e0"), refused()),
        row("6.2 a length with a blank inside", length(" 5 5"), refused()),
        row("6.2 a length with a semicolon", length(" 5;"), refused()),
        row("6.2 a length behind a vertical tab", length(" \x0b5"), refused()),
        row("6.2 a length in other digits", length(" \u{665}"), refused()),
        row("6.2 a length that would be 5 in 64 bits", length(" 18446744073709551621"), refused()),
        row("6.2 a length that would be negative in 64 bits", length(" 9223372036854775808"), refused()),
        row("6.2 a length by another name", post("Content_Length: 5\r\n\r\n"), served("POST /", "").with("\r\ncontent_length: 5\r\n")),
        row("6.3 two lengths", length(" 5\r\nContent-Length: 6"), refused()),
        row("6.3 one length twice", length(" 5\r\ncontent-length: 5"), refused()),
        row("6.3 a list of lengths", length(" 5, 5"), refused()),
        row("6.3 a list of different lengths", length(" 5,6"), refused()),
    ]
}

#[rustfmt::skip]
fn codings() -> Vec<Row> {
    vec![
        row("6.1 chunked", coding(" chunked"), served("POST /", "")),
        row("6.1 chunked in upper case", coding(" CHUNKED"), served("POST /", "")),
        row("6.1 chunked behind a tab", coding("\tchunked"), served("POST /", "")),
        row("6.1 chunked twice", coding(" chunked, chunked"), refused()),
        row("6.1 chunked in two lines", coding(" chunked\r\nTransfer-Encoding: chunked"), refused()),
        row("6.1 another coding in a second line", coding(" chunked\r\ntransfer-encoding: identity"), refused()),
        row("6.1 two codings", coding(" gzip, chunked"), refused()),
        row("6.1 chunked not last", coding(" chunked, gzip"), refused()),
        row("6.1 identity before chunked", coding(" identity,chunked"), refused()),
        row("6.1 identity alone", coding(" identity"), refused()),
        row("6.1 an unknown coding", coding(" chunkedx"), refused()),
        row("6.1 a coding in quotes", coding(" \"chunked\""), refused()),
        row("6.1 no coding", coding(""), refused()),
        // RFC 9110, section 5.6.1.2, would let empty elements of a list pass.
        row("6.1 chunked and a comma", coding(" chunked,"), refused()),
        row("6.1 a comma and chunked", coding(" ,chunked"), refused()),
        row("6.1 chunked behind a vertical tab", coding(" \x0bchunked"), refused()),
        row("6.1 chunked behind a no-break space", coding(b" \xa0chunked"), refused()),
        row("6.1 chunked before a NUL", coding(" chunked\0"), refused()),
        row("6.1 a coding by another name", post("Transfer_Encoding: chunked\r\n\r\n"), served("POST /", "").with("\r\ntransfer_encoding: chunked\r\n")),
        row("6.1 chunked in 1.0", "POST / HTTP/1.0\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", refused()),
        row("6.3 a length and a coding", coding(" chunked\r\nContent-Length: 5"), refused()),
        row("6.3 a coding and a length", length(" 5\r\nTransfer-Encoding: chunked"), refused()),
        row("6.3 a length of nothing and a coding", length(" 0\r\nTransfer-Encoding: chunked"), refused()),
        row("6.3 a length and no coding", length(" 5\r\nTransfer-Encoding: identity"), refused()),
        row("7.1 chunked with a parameter", coding(" chunked;q=1"), refused()),
    ]
}

#[rustfmt::skip]
fn bodies() -> Vec<Row> {
    vec![
        row("6.3 GET with a body", get("Content-Length: 5\r\n\r\nhello"), served("GET /", "hello")),
        row("6.3 GET with chunks", get("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), served("GET /", "hello")),
        row("6.3 HEAD with a body", "HEAD / HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello", served("HEAD /", "hello")),
        row("6.3 DELETE with chunks", "DELETE / HTTP/1.1\r\nHost: shop.example\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", served("DELETE /", "hello")),
        row("6.3 a request in a body", post(format!("Content-Length: {}\r\n\r\n{SMUGGLED}", SMUGGLED.len())), served("POST /", SMUGGLED)),
        row("6.3 a request after a body", post("Content-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: shop.example\r\n\r\n"), served("POST /", "abc").and("GET /b", "")),
        row("6.3 more than the length says", post("Content-Length: 3\r\n\r\nabcdef\r\n\r\n"), served("POST /", "abc").then_refused()),
        row("6.3 a body that nobody announced", get("\r\nhello\r\n\r\n"), served("GET /", "").then_refused()),
        row("9.3.2 two requests at once", "GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.example\r\n\r\n", served("GET /a", "").and("GET /b", "")),
        row("9.3.2 a good request and a bad one", "GET /a HTTP/1.1\r\nHost: shop.example\r\n\r\nGET /b HTTP/1.1\r\n\r\n", served("GET /a", "").then_refused()),
        // pingora has read the second request as a part of the body, and gives up the connection.
        row("9.3.2 a request at once after chunks", chunked("5\r\nhello\r\n0\r\n\r\nGET /b HTTP/1.1\r\nHost: shop.example\r\n\r\n"), served("POST /", "hello").and("GET /b", "")).pingora(served("POST /", "hello").gone()),
        row("9.3.2 more after the last chunk", chunked("0\r\n\r\n0\r\n\r\n"), served("POST /", "").then_refused()).pingora(served("POST /", "").gone()),
    ]
}

#[rustfmt::skip]
fn chunks() -> Vec<Row> {
    let inner = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    vec![
        row("7.1 two chunks", chunked("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"), served("POST /", "hello world")),
        row("7.1 a request in a chunk", chunked(&inner), served("POST /", SMUGGLED)),
        row("7.1 sizes in either case", chunked("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"), served("POST /", "01234567890123456789a")),
        row("7.1 a size with leading zeros", chunked("0005\r\nhello\r\n0\r\n\r\n"), served("POST /", "hello")),
        row("7.1 a last chunk of many zeros", chunked("5\r\nhello\r\n000\r\n\r\n"), served("POST /", "hello")),
        row("7.1.1 an extension", chunked("5;a\r\nhello\r\n0\r\n\r\n"), served("POST /", "hello")),
        row("7.1.1 an extension with a value", chunked("5;a=b;c=\"d e;f\"\r\nhello\r\n0\r\n\r\n"), served("POST /", "hello")),
        row("7.1.1 an extension of the last chunk", chunked("5\r\nhello\r\n0;last=1\r\n\r\n"), served("POST /", "hello")),
        // Stricter than the RFC, on purpose: others end the size at the blank, or do not.
        row("7.1.1 a blank before an extension", chunked("5 ;a=b\r\nhello\r\n0\r\n\r\n"), cut()).pingora(served("POST /", "hello")),
        row("7.1.2 a trailer", chunked("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n"), served("POST /", "hello")),
        row("7.1.2 a length in a trailer", chunked("5\r\nhello\r\n0\r\nContent-Length: 10\r\n\r\n"), served("POST /", "hello")),
        row("7.1.2 a coding in a trailer", chunked("5\r\nhello\r\n0\r\nTransfer-Encoding: chunked\r\nx-sum: 1\r\n\r\n"), served("POST /", "hello")),
        row("7.1.2 a host in a trailer", chunked("5\r\nhello\r\n0\r\nHost: other.example\r\nx-sum: 1\r\n\r\n"), served("POST /", "hello")),
    ]
}

/// Bodies that two readers could end at different places. pingora is lenient with some of them; what it sends to the
/// upstream is framed anew, and the connection ends.
#[rustfmt::skip]
fn broken_chunks() -> Vec<Row> {
    let lenient = || served("POST /", "hello").gone();
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "e".repeat(300));
    let trailers = format!("5\r\nhello\r\n0\r\n{}\r\n", "x: y 1\r\n".repeat(1500));
    // The data begins with an empty line and goes on with a request.
    let hidden = format!(
        "{:x}\r\n\r\n{SMUGGLED}\r\n0\r\nx: a\n\r\n",
        2 + SMUGGLED.len()
    );
    vec![
        row("7.1 a size that is no number", broken("zz\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a negative size", broken("-5\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a size with a sign", broken("+5\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a size with its base", broken("0x5\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a size with an underscore", broken("0_5\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a blank before the size", broken(" 5\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a blank after the size", broken("5 \r\nhello\r\n0\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1 a tab after the size", broken("5\t\r\nhello\r\n0\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1 no size", broken("\r\nhello\r\n0\r\n\r\n"), cut()).pingora(served("POST /", "").gone()),
        row("7.1 a size of 64 bits", broken("FFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a size of 68 bits", broken("FFFFFFFFFFFFFFFFF\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a size that would be 5 in 64 bits", broken("10000000000000005\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 bare LFs", broken("5\nhello\n0\n\n"), cut()),
        row("7.1 a bare LF after the size", broken("5\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a bare CR after the size", broken("5\rhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a bare LF after the data", broken("5\r\nhello\n0\r\n\r\n"), cut()),
        row("7.1 a bare CR after the data", broken("5\r\nhello\r0\r\n\r\n"), cut()),
        row("7.1 nothing after the data", broken("5\r\nhello0\r\n\r\n"), cut()),
        row("7.1 more data than the size says", broken("5\r\nhelloX\r\n0\r\n\r\n"), cut()),
        row("7.1 less data than the size says", broken("6\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1 a bare LF at the end", broken("5\r\nhello\r\n0\r\n\n"), cut()),
        row("7.1.1 a bare LF in an extension", broken("5;a\nb\r\nhello\r\n0\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1.1 a bare CR in an extension", broken("5;a\rb\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1.1 a line end in quotes", broken("5;a=\"x\r\ny\"\r\nhello\r\n0\r\n\r\n"), cut()),
        row("7.1.1 a NUL in an extension", broken("5;a\0\r\nhello\r\n0\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1.1 a long extension", broken(&long), cut()).pingora(lenient()),
        row("7.1.2 a bare LF in a trailer", broken("5\r\nhello\r\n0\r\nx: a\n\r\n"), cut()),
        row("7.1.2 a bare CR in a trailer", broken("5\r\nhello\r\n0\r\nx: a\rb\r\n\r\n"), cut()),
        // pingora reads no trailer, and passes none on.
        row("7.1.2 a folded trailer", broken("5\r\nhello\r\n0\r\nx: a\r\n b: 1\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1.2 a trailer without a name", broken("5\r\nhello\r\n0\r\n: 1\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1.2 a trailer without a colon", broken("5\r\nhello\r\n0\r\nno field 1\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1.2 a trailer with a blank before the colon", broken("5\r\nhello\r\n0\r\nx-sum : 1\r\n\r\n"), cut()).pingora(lenient()),
        row("7.1.2 many trailers", broken(&trailers), cut()).pingora(lenient()),
        // says 400 without a close, and serves what the data holds.
        row("7.1.2 a request in the data of a broken body", chunked(&hidden), cut()),
    ]
}

#[rustfmt::skip]
fn connections() -> Vec<Row> {
    vec![
        row("9.6 nothing is read after a close", get(format!("Connection: close\r\n\r\n{SMUGGLED}")), served("GET /", "").closes()),
        row("9.6 close among others, in upper case", get("Connection: Keep-Alive,, CLOSE\r\n\r\n"), served("GET /", "").closes()),
        // pingora reads the first line only.
        row("9.6 close in a second line", get("Connection: keep-alive\r\nConnection: close\r\n\r\n"), served("GET /", "").closes()).pingora(served("GET /", "")),
        row("9.6 a word that only begins like close", get("Connection: closed\r\n\r\n"), served("GET /", "")),
        // What frames or routes a message cannot be taken away.
        row("9110 7.6.1 the length for this hop", post("Connection: content-length\r\nContent-Length: 5\r\n\r\nhello"), served("POST /", "hello")),
        row("9110 7.6.1 the coding for this hop", post("Connection: transfer-encoding\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), served("POST /", "hello")),
        row("9110 7.6.1 the host for this hop", get("Connection: host\r\n\r\n"), served("GET /", "").with("\r\nhost: shop.example\r\n")).pingora(answered(400)),
        row("9110 7.6.1 the client for this hop", get("Connection: x-forwarded-for\r\n\r\n"), served("GET /", "").with("\r\nx-forwarded-for: 127.0.0.1\r\n")).pingora(answered(400)),
        row("9110 7.8 another protocol, not for this hop", get("Upgrade: h2c\r\n\r\n"), served("GET /", "").without("upgrade")),
        row("9110 7.8 a websocket, not for this hop", get("Upgrade: websocket\r\n\r\n"), served("GET /", "").without("upgrade")),
        row("9110 7.8 another protocol, and bytes after the body", post(format!("Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello{SMUGGLED}")), served("POST /", "hello").without("upgrade").gone()),
    ]
}

/// HTTP/1.0 is pingora's on both lanes.
#[rustfmt::skip]
fn old_versions() -> Vec<Row> {
    vec![
        row("9.3 1.0 closes", format!("GET / HTTP/1.0\r\nHost: shop.example\r\n\r\n{SMUGGLED}"), served("GET /", "").closes()),
        row("9.3 1.0 asks to stay", "GET / HTTP/1.0\r\nHost: shop.example\r\nConnection: keep-alive\r\n\r\n", served("GET /", "")),
        row("9.3 1.0 with a body", "POST / HTTP/1.0\r\nHost: shop.example\r\nContent-Length: 5\r\n\r\nhello", served("POST /", "hello").closes()),
        row("3.3 1.0 without a host", "GET / HTTP/1.0\r\n\r\n", answered(404)),
        row("3.2 1.0 with two hosts", "GET / HTTP/1.0\r\nHost: shop.example\r\nHost: shop.example\r\n\r\n", refused()),
        row("3.3 1.0 with its host in the target", "GET http://shop.example/ HTTP/1.0\r\n\r\n", served("GET /", "").closes()),
        row("9110 7.8 1.0 with another protocol", "GET / HTTP/1.0\r\nHost: shop.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", served("GET /", "").without("upgrade").closes()),
    ]
}
