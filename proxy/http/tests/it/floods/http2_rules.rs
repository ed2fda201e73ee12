//! The room's table of HTTP/2 requests that break a rule, or look as if they did, and what the upstream
//! hears of them over HTTP/1.1.
//!
//! A row's name begins with the section of RFC 9113 that decides it (`9110`, `3986`, `7541` where it is that
//! RFC's), and the row says what the RFC demands. A malformed request is a stream error (section 8.1.1),
//! which may be answered with 400 first, or be treated as a connection error (section 5.4.1).

mod rows;

use super::frames::{Connection, Outcome, code, data, request, reset};
use super::is_second_run;
use crate::client::get;
use crate::node::{Node, SHOP, eventually, one_region};
use crate::upstream::{Manner, Upstream};
use crate::vectors::hold;

/// Small, so that a frame or two go beyond it.
const CONFIG: &str = "worker_threads: 1\nlimits: { head_bytes: 4096 }";

/// A stream of no row's.
const AFTER: u32 = 1_001;

/// Nobody may ever take it for a request.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1";

/// What a connection says after its preface, and what becomes of stream 1.
struct Row {
    name: &'static str,
    bytes: Vec<u8>,
    /// What the upstream does with a request.
    manner: Manner,
    expect: Expect,
}

struct Expect {
    end: End,
    heard: Heard,
}

#[derive(Debug, Clone, Copy)]
enum End {
    /// 200, and the upstream's answer.
    Served,
    /// Our own answer.
    Answered(u16),
    /// RST_STREAM with this error; the connection goes on.
    Reset(u32),
    /// GOAWAY with one of these errors, and the connection's end. The first is the RFC's, a second one what
    /// h2 says instead.
    GoAway(&'static [u32]),
    /// A malformed request: any of the three, or 400.
    Refused,
}

impl End {
    fn is(self, outcome: Outcome) -> bool {
        match (self, outcome) {
            (Self::Served, Outcome::Answered(200)) => true,
            (Self::Answered(expected), Outcome::Answered(status)) => status == expected,
            (Self::Reset(expected), Outcome::Reset(code)) => code == expected,
            (Self::GoAway(expected), Outcome::GoAway(code)) => expected.contains(&code),
            (Self::Refused, Outcome::Answered(400)) => true,
            (Self::Refused, Outcome::Reset(code) | Outcome::GoAway(code)) => {
                code == code::PROTOCOL_ERROR
            }
            _ => false,
        }
    }
}

/// What the upstream hears.
enum Heard {
    /// No word.
    Nothing,
    /// Exactly this.
    Request(Request),
    /// At most the head, and less of the body than so many bytes, or than its last chunk.
    Part(usize),
    /// Perhaps the request: it was whole when a later frame broke a rule.
    Perhaps,
}

/// A request as the upstream hears it, beside the fields that we add.
struct Request {
    line: String,
    host: String,
    fields: Vec<String>,
    body: String,
}

impl Request {
    fn is(&self, head: &str, body: &[u8]) {
        let host = &self.host;
        let mut expected: Vec<String> = self.fields.clone();
        expected.extend([
            format!("host: {host}"),
            format!("x-forwarded-host: {host}"),
            "x-forwarded-for: 127.0.0.1".to_owned(),
            "x-forwarded-proto: http".to_owned(),
            "via: 2 meridian".to_owned(),
        ]);
        expected.sort();
        let lines = head.lines().skip(1).filter(|line| !line.is_empty());
        let mut found: Vec<String> = lines.map(with_name_in_lower_case).collect();
        found.sort();
        assert_eq!(found, expected, "fields");
        assert_eq!(String::from_utf8_lossy(body), self.body, "body");
    }
}

fn with_name_in_lower_case(line: &str) -> String {
    match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
        None => line.to_owned(),
    }
}

impl Heard {
    /// Whether the upstream heard this, and these requests that came later.
    async fn is(&self, upstream: &Upstream, later: &[&str]) {
        let heads = upstream.heads();
        assert!(!heads.concat().contains("smuggled"), "{heads:?}");
        let lines = heads.iter().map(|head| head.lines().next().unwrap_or(""));
        let mut lines: Vec<&str> = lines.collect();
        for line in later {
            let found = lines.iter().rposition(|heard| heard == line);
            lines.remove(found.unwrap_or_else(|| panic!("{line:?} not in {heads:?}")));
        }
        match self {
            Self::Nothing => assert!(lines.is_empty(), "the upstream heard {lines:?}"),
            Self::Request(request) => {
                assert_eq!(lines, [request.line.as_str()]);
                request.is(&heads[0], &upstream.bodies()[0]);
            }
            Self::Part(announced) => {
                assert!(lines.len() <= 1, "{lines:?}");
                let all_are_over = || upstream.bodies().len() == upstream.requests();
                eventually("the upstream's connection ends", all_are_over).await;
                for body in upstream.bodies() {
                    let is_whole = body.len() >= *announced || body.ends_with(b"0\r\n\r\n");
                    assert!(!is_whole, "the upstream heard all of {body:?}");
                }
            }
            Self::Perhaps => assert!(lines.len() <= 1, "{lines:?}"),
        }
    }
}

/// Every row has a proxy and an upstream of its own: what one leaves behind is no other's.
async fn check(row: Row) {
    let Row {
        bytes,
        manner,
        expect,
        ..
    } = row;
    let upstream = Upstream::start("u0").await;
    let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), CONFIG);
    upstream.behave(manner);
    let mut client = Connection::open(node.address).await;
    client.send(bytes).await;
    let outcome = client.outcome(1).await;
    upstream.behave(Manner::Serve);
    assert!(
        expect.end.is(outcome),
        "{outcome:?} instead of {:?}; the upstream heard {:?}",
        expect.end,
        upstream.heads()
    );
    let mut later = Vec::new();
    if outcome.goes_on() {
        client.send(request("GET", "/after").alone(AFTER)).await;
        let after = client.outcome(AFTER).await;
        assert_eq!(after, Outcome::Answered(200), "the connection goes on");
        later.push("GET /after HTTP/1.1");
    }
    let next = get(node.address, SHOP, "/next").await;
    assert_eq!(next.status, 200, "the node goes on");
    later.push("GET /next HTTP/1.1");
    expect.heard.is(&upstream, &later).await;
}

#[tokio::test]
async fn what_breaks_a_rule_reaches_no_upstream() {
    if is_second_run() {
        return;
    }
    let rows = rows::all().into_iter();
    hold(rows.map(|row| (row.name, check(row)))).await;
}

/// Without a length only the last chunk says that the body is whole: it is not written for a client that
/// gives up, however politely.
#[tokio::test]
async fn a_body_that_is_given_up_has_no_end() {
    if is_second_run() {
        return;
    }
    for how in [Some(code::NO_ERROR), Some(code::CANCEL), None] {
        let upstream = Upstream::start("u0").await;
        let node = Node::start(&one_region(&[&upstream], "path_prefix: /"), CONFIG);
        let mut client = Connection::open(node.address).await;
        let begin = [request("POST", "/").open(1), data(1, 0, "hello")].concat();
        client.send(begin).await;
        eventually("it is on its way", || upstream.requests() == 1).await;
        if let Some(code) = how {
            client.send(reset(1, code)).await;
        }
        // Without a word it closes.
        let kept = how.is_some().then_some(client);
        eventually("the upload ends", || upstream.bodies().len() == 1).await;
        let body = &upstream.bodies()[0];
        assert!(!body.ends_with(b"0\r\n\r\n"), "{how:?}: {body:?}");
        if let Some(mut client) = kept {
            client.send(request("GET", "/").alone(3)).await;
            assert_eq!(client.outcome(3).await, Outcome::Answered(200), "{how:?}");
        }
        assert_eq!(get(node.address, SHOP, "/").await.status, 200);
    }
}
