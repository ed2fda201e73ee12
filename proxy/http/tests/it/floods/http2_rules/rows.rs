//! The rows.
//!
//! Where the library is laxer than the RFC and no endpoint can be misled, the row says so.

use super::super::frames::{
    Head, WINDOW, WINDOW_MAX, code, data, field, flag, frame, integer, kind, ping, request, reset,
    setting, settings, string, window_update,
};
use super::{End, Expect, Heard, Request, Row, SMUGGLED};
use crate::node::SHOP;
use crate::upstream::Manner;

/// The error of nearly everything.
const PROTOCOL: &[u32] = &[code::PROTOCOL_ERROR];

/// A field block that cannot be decoded (section 4.3).
const COMPRESSION: &[u32] = &[code::COMPRESSION_ERROR, code::PROTOCOL_ERROR];

/// A frame of a wrong size (section 4.2).
const SIZE: &[u32] = &[code::FRAME_SIZE_ERROR, code::PROTOCOL_ERROR];

/// Frames.
fn raw(name: &'static str, bytes: impl AsRef<[u8]>, expect: Expect) -> Row {
    Row {
        name,
        bytes: bytes.as_ref().to_vec(),
        manner: Manner::Serve,
        expect,
    }
}

/// A request without a body.
fn head(name: &'static str, head: &Head, expect: Expect) -> Row {
    raw(name, head.alone(1), expect)
}

/// A request, and the frames behind its head.
fn body(name: &'static str, head: &Head, frames: &[Vec<u8>], expect: Expect) -> Row {
    raw(name, [head.open(1), frames.concat()].concat(), expect)
}

impl Row {
    /// The upstream says nothing.
    fn hanging(mut self) -> Self {
        self.manner = Manner::Hang;
        self
    }
}

fn unheard(end: End) -> Expect {
    let heard = Heard::Nothing;
    Expect { end, heard }
}

fn answered(status: u16) -> Expect {
    unheard(End::Answered(status))
}

/// A stream error.
fn reset_by(code: u32) -> Expect {
    unheard(End::Reset(code))
}

/// The stream error of a malformed request.
fn malformed() -> Expect {
    reset_by(code::PROTOCOL_ERROR)
}

/// A connection error.
fn ended(codes: &'static [u32]) -> Expect {
    unheard(End::GoAway(codes))
}

fn refused() -> Expect {
    unheard(End::Refused)
}

/// A request line without its version.
fn served(line: &str) -> Expect {
    let request = Request {
        line: format!("{line} HTTP/1.1"),
        host: SHOP.to_owned(),
        fields: Vec::new(),
        body: String::new(),
    };
    Expect {
        end: End::Served,
        heard: Heard::Request(request),
    }
}

impl Expect {
    fn change(mut self, how: impl FnOnce(&mut Request)) -> Self {
        if let Heard::Request(request) = &mut self.heard {
            how(request);
        }
        self
    }

    fn host(self, host: &str) -> Self {
        self.change(|request| host.clone_into(&mut request.host))
    }

    fn field(self, line: &str) -> Self {
        self.change(|request| request.fields.push(line.to_owned()))
    }

    /// A body of this length.
    fn body(self, body: &str) -> Self {
        let length = format!("content-length: {}", body.len());
        self.field(&length)
            .change(|request| body.clone_into(&mut request.body))
    }

    /// A body of these chunks.
    fn chunks(self, body: &str) -> Self {
        self.field("transfer-encoding: chunked")
            .change(|request| body.clone_into(&mut request.body))
    }

    /// The upstream may hear the beginning.
    fn part(mut self, announced: usize) -> Self {
        self.heard = Heard::Part(announced);
        self
    }

    /// The upstream may hear it.
    fn perhaps(mut self) -> Self {
        self.heard = Heard::Perhaps;
        self
    }
}

pub(super) fn all() -> Vec<Row> {
    let mut rows = names();
    rows.extend(values());
    rows.extend(hop_by_hop());
    rows.extend(pseudo_headers());
    rows.extend(targets());
    rows.extend(authorities());
    rows.extend(connect());
    rows.extend(lengths());
    rows.extend(bodies());
    rows.extend(blocks());
    rows.extend(streams());
    rows.extend(control());
    rows
}

fn get() -> Head {
    request("GET", "/")
}

fn post() -> Head {
    request("POST", "/")
}

fn path(path: impl AsRef<[u8]>) -> Head {
    get().with(":path", path)
}

fn authority(authority: impl AsRef<[u8]>) -> Head {
    get().with(":authority", authority)
}

/// `Host` in the place of `:authority`.
fn host(host: impl AsRef<[u8]>) -> Head {
    get().without(":authority").and("host", host)
}

fn length(length: &str) -> Head {
    post().and("content-length", length)
}

/// A body in one frame.
fn whole(bytes: &str) -> Vec<u8> {
    data(1, flag::END_STREAM, bytes)
}

fn trailers(flags: u8, block: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_HEADERS | flags, 1, block)
}

/// A request without a body in two frames, the second of `rest` bytes.
fn continued(head: &Head, rest: usize) -> Vec<u8> {
    let block = head.block();
    let (begin, rest) = block.split_at(block.len() - rest);
    let begin = frame(kind::HEADERS, flag::END_STREAM, 1, begin);
    let rest = frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest);
    [begin, rest].concat()
}

/// A request without a body, from a field block.
fn block(block: impl AsRef<[u8]>) -> Vec<u8> {
    let flags = flag::END_STREAM | flag::END_HEADERS;
    frame(kind::HEADERS, flags, 1, block)
}

#[rustfmt::skip]
fn names() -> Vec<Row> {
    vec![
        head("8.2 a name of every sign that a token may have", &get().and("!#$%&'*+-.^_`|~09az", "1"), served("GET /").field("!#$%&'*+-.^_`|~09az: 1")),
        head("8.2.1 a name in upper case", &get().and("X-Upper", "1"), ended(PROTOCOL)),
        head("8.2.1 a known name in upper case", &get().and("Transfer-Encoding", "chunked"), ended(PROTOCOL)),
        head("8.2.1 an empty name", &get().and("", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a blank", &get().and("x y", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a blank at the end", &get().and("content-length ", "5"), ended(PROTOCOL)),
        head("8.2.1 a name with CR LF", &get().and(format!("x: y\r\n\r\n{SMUGGLED}\r\nz"), "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a CR", &get().and("x\ry", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with an LF", &get().and("x\ny", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a NUL", &get().and("x\0y", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a tab", &get().and("x\ty", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a DEL", &get().and("x\x7fy", "1"), ended(PROTOCOL)),
        head("8.2.1 a name beyond ASCII", &get().and(b"x\xe9y", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with a colon", &get().and("x:y", "1"), ended(PROTOCOL)),
        head("8.2.1 a name with parentheses", &get().and("x(y)", "1"), ended(PROTOCOL)),
        head("9110 5.1 a name with a quotation mark", &get().and("x\"y", "1"), refused()),
    ]
}

#[rustfmt::skip]
fn values() -> Vec<Row> {
    let smuggled = format!("a\r\n\r\n{SMUGGLED}\r\nHost: {SHOP}\r\n\r\n");
    vec![
        head("8.2 a value with a tab and blanks inside", &get().and("x-tab", "a \t b"), served("GET /").field("x-tab: a \t b")),
        head("8.2 an empty value", &get().and("x-empty", ""), served("GET /").field("x-empty: ")),
        head("8.2 a value beyond ASCII", &get().and("x-raw", b"caf\xe9"), served("GET /").field("x-raw: caf\u{fffd}")),
        head("8.2 a value of every visible sign", &get().and("x-signs", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"), served("GET /").field("x-signs: !\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")),
        head("8.2.1 a value with a request", &get().and("x-bad", smuggled), ended(PROTOCOL)),
        head("8.2.1 a value with CR LF", &get().and("x-bad", "a\r\ntransfer-encoding: chunked"), ended(PROTOCOL)),
        head("8.2.1 a value with a CR", &get().and("x-bad", "a\rb"), ended(PROTOCOL)),
        head("8.2.1 a value with an LF", &get().and("x-bad", "a\nb"), ended(PROTOCOL)),
        head("8.2.1 a value with a NUL", &get().and("x-bad", "a\0b"), ended(PROTOCOL)),
        head("9110 5.5 a value with a control character", &get().and("x-bad", "a\x01b"), ended(PROTOCOL)),
        head("9110 5.5 a value with a DEL", &get().and("x-bad", "a\x7fb"), ended(PROTOCOL)),
        head("8.2.1 CR LF in a known field", &get().and("user-agent", "a\r\nx: y"), ended(PROTOCOL)),
        head("8.2.1 a value that begins with a blank", &get().and("x-pad", " a"), refused()),
        head("8.2.1 a value that ends in a blank", &get().and("x-pad", "a "), refused()),
        head("8.2.1 a value that ends in a tab", &get().and("x-pad", "a\t"), refused()),
    ]
}

#[rustfmt::skip]
fn hop_by_hop() -> Vec<Row> {
    let coding = get().and("transfer-encoding", "chunked");
    let long = ("x-last", "0123456789");
    vec![
        head("8.2.2 connection", &get().and("connection", "close"), malformed()),
        head("8.2.2 connection that names a field", &get().and("connection", "x-private").and("x-private", "1"), malformed()),
        head("8.2.2 keep-alive", &get().and("keep-alive", "timeout=5"), malformed()),
        head("8.2.2 proxy-connection", &get().and("proxy-connection", "keep-alive"), malformed()),
        head("8.2.2 upgrade", &get().and("upgrade", "websocket"), malformed()),
        head("8.2.2 upgrade to a smuggler's protocol", &get().and("upgrade", "h2c").and("http2-settings", "AAMAAABkAAQAAP__"), malformed()),
        head("8.2.2 a coding", &coding, malformed()),
        head("8.2.2 an empty coding", &get().and("transfer-encoding", ""), malformed()),
        body("8.2.2 a coding with chunks", &post().and("transfer-encoding", "chunked"), &[whole("0\r\n\r\n")], malformed()),
        body("8.2.2 a coding beside a length", &length("5").and("transfer-encoding", "chunked"), &[whole("hello")], malformed()),
        head("8.2.2 te of another coding", &get().and("te", "gzip"), malformed()),
        head("8.2.2 te of trailers and another coding", &get().and("te", "trailers, gzip"), malformed()),
        head("8.2.2 te of trailers", &get().and("te", "trailers"), served("GET /")),
        // Where a frame ends inside a field, h2 forgets that what it has decoded so far was malformed, drops
        // that, and serves the rest.
        raw("8.2.2 a coding in a block that goes on", continued(&coding.clone().and(long.0, long.1), 4), served("GET /").field("x-last: 0123456789")),
        raw("8.2.2 te in a block that goes on", continued(&get().and("te", "gzip").and(long.0, long.1), 4), served("GET /").field("x-last: 0123456789")),
        raw("8.3 a second path in a block that goes on", continued(&get().and(":path", "/other").and(long.0, long.1), 4), served("GET /").field("x-last: 0123456789")),
        raw("8.2.1 an empty name in a block that goes on", continued(&get().and("", "1").and(long.0, long.1), 4), served("GET /").field("x-last: 0123456789")),
        // The same, cut between two fields: h2 resets the stream, and does not expect the rest.
        raw("8.2.2 a coding in a block that ends with a field", continued(&coding.and(long.0, long.1), field(long.0, long.1).len()), ended(PROTOCOL)),
    ]
}

#[rustfmt::skip]
fn pseudo_headers() -> Vec<Row> {
    vec![
        head("8.3 a pseudo-header behind a field", &get().without(":path").and("x", "1").and(":path", "/"), malformed()),
        head("8.3 a pseudo-header of an answer", &get().before(":status", "200"), malformed()),
        head("8.3 an unknown pseudo-header", &get().before(":smuggled", "1"), ended(PROTOCOL)),
        head("8.3 a pseudo-header without a name", &get().before(":", "1"), ended(PROTOCOL)),
        head("8.3 two methods", &get().before(":method", "GET"), malformed()),
        head("8.3 two schemes", &get().before(":scheme", "http"), malformed()),
        head("8.3 two authorities", &get().before(":authority", "other.example"), malformed()),
        head("8.3 two paths", &get().before(":path", "/other"), malformed()),
        head("8.3 in any order", &get().without(":method").without(":path").before(":path", "/").and(":method", "GET"), served("GET /")),
        head("8.3.1 no method", &get().without(":method"), malformed()),
        head("8.3.1 no scheme", &get().without(":scheme"), malformed()),
        head("8.3.1 no path", &get().without(":path"), malformed()),
        // h2 does not miss the path where there is no authority either; it becomes `/`.
        head("8.3.1 no path, and a host", &host(SHOP).without(":path"), served("GET /")),
        head("8.3.1 no pseudo-header at all", &host(SHOP).without(":path").without(":method").without(":scheme"), malformed()),
        head("8.3.1 an empty method", &get().with(":method", ""), ended(PROTOCOL)),
        head("8.3.1 a method with a target", &get().with(":method", format!("{SMUGGLED}\r\nx: ")), ended(PROTOCOL)),
        head("8.3.1 a method with a blank", &get().with(":method", "GET /a"), ended(PROTOCOL)),
        head("8.3.1 a method in lower case is another method", &get().with(":method", "get"), served("get /")),
        head("8.3.1 a scheme with a blank", &get().with(":scheme", "ht tp"), malformed()),
        head("8.3.1 a scheme with a request", &get().with(":scheme", format!("http://{SHOP}/x?")), malformed()),
        head("8.3.1 an empty scheme", &get().with(":scheme", ""), refused()),
        // Who ends TLS in front of us without being trusted says `https` in clear text.
        head("9110 7.4 https without TLS", &get().with(":scheme", "https"), served("GET /")),
        head("9110 7.4 ftp", &get().with(":scheme", "ftp"), refused()),
        head("8.5 a protocol without CONNECT", &get().and(":protocol", "websocket"), malformed()),
        // Section 8.2.3: "MUST be concatenated".
        head("8.2.3 cookies in two fields", &get().and("cookie", "a=1").and("cookie", "b=2"), served("GET /").field("cookie: a=1; b=2")),
    ]
}

#[rustfmt::skip]
fn targets() -> Vec<Row> {
    let asterisk = request("OPTIONS", "*");
    vec![
        head("8.3.1 an empty path", &path(""), malformed()),
        head("8.3.1 a path without its slash", &path("a"), malformed()),
        head("8.3.1 a path with a blank", &path("/a b"), malformed()),
        head("8.3.1 a path with a version", &path("/a HTTP/1.1"), malformed()),
        head("8.3.1 a path with a request", &path(format!("/a HTTP/1.1\r\nHost: {SHOP}\r\n\r\n{SMUGGLED}")), malformed()),
        head("8.3.1 a path with CR LF", &path("/a\r\nx: y"), malformed()),
        head("8.3.1 a path with a CR", &path("/a\rb"), malformed()),
        head("8.3.1 a path with an LF", &path("/a\nb"), malformed()),
        head("8.3.1 a path with a NUL", &path("/a\0b"), malformed()),
        head("8.3.1 a path with a tab", &path("/a\tb"), malformed()),
        head("8.3.1 a path with a DEL", &path("/a\x7fb"), malformed()),
        head("8.3.1 a query with a blank", &path("/?a b"), malformed()),
        head("8.3.1 a query with CR LF", &path("/?a\r\nx: y"), malformed()),
        head("8.3.1 a path that is no UTF-8", &path(b"/\xff"), ended(PROTOCOL)),
        head("8.3.1 a path with angle brackets", &path("/<a>"), malformed()),
        head("8.3.1 a path in absolute form", &path(format!("http://{SHOP}/a")), malformed()),
        head("8.3.1 a path of another host", &path("http://other.example/a"), malformed()),
        head("8.3.1 an asterisk and more", &path("*a"), malformed()),
        head("8.3.1 an asterisk", &asterisk, served("OPTIONS *")),
        head("8.3.1 nothing is decoded", &path("/a%2fb/%2e%2e/%00%zz?x=%0d%0a"), served("GET /a%2fb/%2e%2e/%00%zz?x=%0d%0a")),
        head("8.3.1 nothing is normalized", &path("//other.example/../a/./b//?"), served("GET //other.example/../a/./b//?")),
        // What `head` refuses over HTTP/1.1. The library cuts a fragment off.
        head("8.3.1 a query alone", &path("?a=b"), refused()),
        head("8.3.1 an asterisk for GET", &path("*"), refused()),
        head("8.3.1 a fragment", &path("/a#b"), served("GET /a")),
        head("8.3.1 a fragment in a query", &path("/a?b#c"), served("GET /a?b")),
        head("8.3.1 a fragment alone", &path("#a"), served("GET /")),
        head("3986 3.3 letters beyond ASCII", &path("/caf\u{e9}"), refused()),
        head("3986 3.4 a query beyond ASCII", &path("/?caf\u{e9}"), refused()),
        head("3986 3.4 a grave accent in a query", &path("/?`"), refused()),
    ]
}

#[rustfmt::skip]
fn authorities() -> Vec<Row> {
    let both = |named: &str| get().and("host", named);
    vec![
        head("8.3.1 an authority in upper case", &authority("SHOP.example"), served("GET /").host("SHOP.example")),
        head("8.3.1 an authority with a port", &authority("shop.example:8080"), served("GET /").host("shop.example:8080")),
        head("8.3.1 an authority nobody serves", &authority("other.example"), answered(404)),
        head("8.3.1 an empty authority", &authority(""), malformed()),
        head("8.3.1 an authority with a user", &authority("other.example@shop.example"), answered(400)),
        head("8.3.1 an authority with a user and a password", &authority("a:b@shop.example"), answered(400)),
        head("8.3.1 an authority with an empty user", &authority("@shop.example"), answered(400)),
        head("8.3.1 an authority that ends in a user", &authority("shop.example@"), malformed()),
        head("8.3.1 an authority with a path", &authority("shop.example/a"), malformed()),
        head("8.3.1 an authority with a query", &authority("shop.example?a"), malformed()),
        head("8.3.1 an authority with a fragment", &authority("shop.example#@other.example"), malformed()),
        head("8.3.1 an authority with a backslash", &authority("shop.example\\.other.example"), malformed()),
        head("8.3.1 an authority with a blank", &authority("shop.example other.example"), malformed()),
        head("8.3.1 an authority with CR LF", &authority("shop.example\r\nx: y"), malformed()),
        head("8.3.1 an authority with a request", &authority(format!("{SHOP}\r\n\r\n{SMUGGLED}")), malformed()),
        head("8.3.1 an authority with a NUL", &authority("shop.example\0"), malformed()),
        head("8.3.1 an authority with two ports", &authority("shop.example:80:81"), malformed()),
        head("8.3.1 an authority with a port that is none", &authority("shop.example:http"), answered(400)),
        head("8.3.1 an authority with a bracket", &authority("[shop.example"), malformed()),
        head("8.3.1 an authority that is percent-encoded", &authority("shop%2eexample"), malformed()),
        head("8.3.1 an authority beyond ASCII", &authority("sh\u{f6}p.example"), malformed()),
        head("8.3.1 an authority that is no UTF-8", &authority(b"shop\xff.example"), ended(PROTOCOL)),
        head("8.3.1 a list of authorities", &authority("shop.example,other.example"), answered(400)),
        head("8.3.1 a host alone", &host(SHOP), served("GET /")),
        head("8.3.1 a host alone, of nobody", &host("other.example"), answered(404)),
        head("8.3.1 a host alone, empty", &host(""), answered(400)),
        head("8.3.1 a host alone, with a user", &host("user@shop.example"), answered(400)),
        head("8.3.1 a host alone, with a path", &host("shop.example/a"), answered(400)),
        head("8.3.1 a host alone, as a list", &host("shop.example, other.example"), answered(400)),
        head("8.3.1 a host alone, with CR LF", &host("shop.example\r\nx: y"), ended(PROTOCOL)),
        head("8.3.1 neither host nor authority", &get().without(":authority"), answered(400)),
        head("8.3.1 the same host", &both(SHOP), served("GET /")),
        head("8.3.1 another host", &both("other.example"), answered(400)),
        head("8.3.1 another port", &both("shop.example:8080"), answered(400)),
        head("8.3.1 an empty host", &both(""), answered(400)),
        // It is the same host; pingora compares bytes, and clients have no reason to write it twice.
        head("8.3.1 the host in another case", &both("SHOP.example"), served("GET /")),
        head("8.3.1 two hosts", &host(SHOP).and("host", SHOP), answered(400)),
        head("8.3.1 two different hosts", &host(SHOP).and("host", "other.example"), answered(400)),
        head("8.3.1 two hosts and an authority", &both(SHOP).and("host", "other.example"), answered(400)),
    ]
}

#[rustfmt::skip]
fn connect() -> Vec<Row> {
    let connect = |authority: &str| request("CONNECT", "/").without(":path").without(":scheme").with(":authority", authority);
    vec![
        head("8.5 CONNECT", &connect("shop.example:443"), answered(405)),
        head("8.5 CONNECT with a path", &request("CONNECT", "/"), malformed()),
        head("8.5 CONNECT with a scheme", &connect("shop.example:443").before(":scheme", "http"), malformed()),
        head("8.5 CONNECT to nobody", &connect(SHOP).without(":authority"), answered(400)),
        head("8.5 CONNECT with a user", &connect("a@shop.example:443"), answered(400)),
        head("8.5 CONNECT with another host", &connect("shop.example:443").and("host", "other.example"), answered(400)),
        head("8.5 CONNECT for a protocol that was not offered", &request("CONNECT", "/").and(":protocol", "websocket"), malformed()),
    ]
}

#[rustfmt::skip]
fn lengths() -> Vec<Row> {
    let trailer = trailers(flag::END_STREAM, field("x-sum", "1"));
    let smuggled = format!("{SMUGGLED}\r\nHost: {SHOP}\r\n\r\n");
    vec![
        body("8.1.1 a length", &length("5"), &[whole("hello")], served("POST /").body("hello")),
        body("8.1.1 a length in two frames", &length("5"), &[data(1, 0, "he"), whole("llo")], served("POST /").body("hello")),
        head("8.1.1 a length of nothing", &length("0"), served("POST /").field("content-length: 0")),
        head("8.1.1 a length, and no body", &length("5"), malformed()),
        head("8.1.1 a length of one, and no body", &get().and("content-length", "1"), malformed()),
        body("8.1.1 a length, and less", &length("5"), &[whole("hell")], malformed().part(5)),
        body("8.1.1 a length, and less in two frames", &length("5"), &[data(1, 0, "he"), whole("ll")], malformed().part(5)),
        body("8.1.1 a length, and nothing", &length("5"), &[whole("")], malformed().part(5)),
        body("8.1.1 a length, and more", &length("2"), &[whole("hello")], malformed().part(2)),
        body("8.1.1 a length, and trailers too soon", &length("5"), &[data(1, 0, "he"), trailer], malformed().part(5)),
        // The head alone is a whole request.
        body("8.1.1 a length of nothing, and more", &length("0"), &[whole(&smuggled)], malformed().perhaps()),
        body("8.1.1 a list of lengths", &length("5, 5"), &[whole("hello")], malformed()),
        body("8.1.1 a length with a sign", &length("+5"), &[whole("hello")], malformed()),
        body("8.1.1 a length below nothing", &length("-5"), &[whole("hello")], malformed()),
        body("8.1.1 a length in hexadecimal digits", &length("0x5"), &[whole("hello")], malformed()),
        body("8.1.1 a length with a blank", &length(" 5"), &[whole("hello")], malformed()),
        body("8.1.1 an empty length", &length(""), &[whole("")], refused()),
        body("8.1.1 a length of twenty digits", &length("00000000000000000005"), &[whole("hello")], malformed()),
        body("8.1.1 two different lengths", &length("5").and("content-length", "6"), &[whole("hello")], malformed()),
        // RFC 9110, section 8.6.
        body("8.1.1 two equal lengths", &length("5").and("content-length", "5"), &[whole("hello")], refused()),
    ]
}

#[rustfmt::skip]
fn bodies() -> Vec<Row> {
    let end = flag::END_STREAM;
    let padded = frame(kind::DATA, flag::PADDED | end, 1, b"\x03hello\0\0\0");
    let hello = || data(1, 0, "hello");
    // Without a length only the last chunk ends it.
    let part = || malformed().part(usize::MAX);
    vec![
        body("8.1 a body", &post(), &[whole("hello")], served("POST /").chunks("5\r\nhello\r\n0\r\n\r\n")),
        body("8.1 a padded body", &length("5"), &[padded], served("POST /").body("hello")),
        body("8.1 a body that looks like its own end", &length("5"), &[whole("0\r\n\r\n")], served("POST /").body("0\r\n\r\n")),
        body("8.1 trailers", &length("5"), &[hello(), trailers(end, field("x-sum", "1"))], served("POST /").body("hello")),
        body("8.1 trailers without a length", &post(), &[hello(), trailers(end, field("x-sum", "1"))], served("POST /").chunks("5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n")),
        body("8.1 trailers that are not the end", &post(), &[hello(), trailers(0, field("x-sum", "1"))], part()),
        body("8.2.2 a coding in trailers", &post(), &[hello(), trailers(end, field("transfer-encoding", "chunked"))], part()),
        body("8.2.1 upper case in trailers", &post(), &[hello(), trailers(end, field("X-Sum", "1"))], ended(PROTOCOL).part(usize::MAX)),
        // h2 does not look for them there, and forgets them.
        body("8.1 a pseudo-header in trailers", &post(), &[hello(), trailers(end, field(":path", "/other"))], served("POST /").chunks("5\r\nhello\r\n0\r\n\r\n")),
    ]
}

#[rustfmt::skip]
fn blocks() -> Vec<Row> {
    let plain = get().block();
    let around = |before: &[u8], after: &[u8]| block([before, &plain, after].concat());
    let last = get().and("x-last", "0123456789").block();
    let (begin, rest) = last.split_at(20);
    let (middle, rest) = rest.split_at(45);
    let three = [
        frame(kind::HEADERS, flag::END_STREAM, 1, begin),
        frame(kind::CONTINUATION, 0, 1, middle),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, rest),
    ];
    let whole = flag::END_STREAM | flag::END_HEADERS;
    let weighed = [b"\x02\0\0\0\0\x10".as_slice(), &plain, b"\0\0"].concat();
    let weighed = frame(kind::HEADERS, whole | flag::PADDED | flag::PRIORITY, 1, weighed);
    let overpadded = [b"\xff".as_slice(), &plain].concat();
    let overpadded = frame(kind::HEADERS, whole | flag::PADDED, 1, overpadded);
    let half = || frame(kind::HEADERS, flag::END_STREAM, 1, &plain);
    let ill_coded = [vec![0], string("x"), vec![0x84, 0xff, 0xff, 0xff, 0xff]].concat();
    let others = (0..100).fold(get(), |head, number| head.and(format!("x-{number}"), "0123456789"));
    vec![
        raw("6.2 padding and a priority", weighed, served("GET /")),
        raw("6.2 more padding than there is room for", overpadded, ended(PROTOCOL)),
        raw("6.2 HEADERS on the connection", frame(kind::HEADERS, flag::END_HEADERS, 0, &plain), ended(PROTOCOL)),
        raw("6.10 a block in three frames", three.concat(), served("GET /").field("x-last: 0123456789")),
        raw("6.10 a block that goes on after another frame", [half(), ping()].concat(), ended(PROTOCOL)),
        raw("6.10 a block that goes on in another stream", [half(), frame(kind::CONTINUATION, flag::END_HEADERS, 3, "")].concat(), ended(PROTOCOL)),
        raw("6.10 a continuation of nothing", frame(kind::CONTINUATION, flag::END_HEADERS, 1, &plain), ended(PROTOCOL)),
        raw("7541 2.3.3 index zero", around(&[0x80], &[]), ended(COMPRESSION)),
        raw("7541 2.3.3 an index beyond the tables", around(&[], &integer(0x80, 7, 255)), ended(COMPRESSION)),
        raw("7541 5.1 an endless integer", around(&[], &[0xff; 8]), ended(COMPRESSION)),
        raw("7541 5.2 a string that ends too soon", block(&plain[..plain.len() - 1]), ended(COMPRESSION)),
        raw("7541 5.2 a string of ill-coded letters", around(&[], &ill_coded), ended(COMPRESSION)),
        raw("7541 6.3 a table larger than allowed", around(&integer(0x20, 5, 4_097), &[]), ended(COMPRESSION)),
        raw("7541 4.2 a change of the table behind a field", around(&[], &integer(0x20, 5, 0)), ended(COMPRESSION)),
        head("10.5.1 a field larger than a head may be", &get().and("x-large", "l".repeat(5_000)), answered(431)),
        head("10.5.1 fields larger than a head may be", &others, answered(431)),
        head("10.5.1 a path larger than a head may be", &path(format!("/{}", "p".repeat(5_000))), answered(431)),
        head("10.5.1 a field four times as large", &get().and("x-large", "l".repeat(16_300)), ended(&[code::ENHANCE_YOUR_CALM])),
    ]
}

#[rustfmt::skip]
fn streams() -> Vec<Row> {
    let closed = &[code::STREAM_CLOSED, code::PROTOCOL_ERROR];
    let unpaddable = frame(kind::DATA, flag::PADDED, 1, b"\x09abc");
    vec![
        raw("5.1 DATA before HEADERS", whole("hello"), ended(PROTOCOL)),
        raw("5.1 RST_STREAM before HEADERS", reset(1, code::CANCEL), ended(PROTOCOL)),
        raw("5.1 WINDOW_UPDATE before HEADERS", window_update(1, 1), ended(PROTOCOL)),
        // Stream errors in the RFC, here and in the next one: h2 ends the connection.
        raw("5.1 DATA behind the end", [get().alone(1), whole("hello")].concat(), ended(closed).perhaps()).hanging(),
        raw("5.1 HEADERS behind the end", [get().alone(1), path("/smuggled").alone(1)].concat(), ended(closed).perhaps()).hanging(),
        raw("5.1.1 a stream of the server's", get().alone(2), ended(PROTOCOL)),
        raw("5.1.1 a lower stream than before", [get().alone(3), get().alone(1)].concat(), ended(PROTOCOL).perhaps()),
        raw("6.1 DATA on the connection", data(0, flag::END_STREAM, "hello"), ended(PROTOCOL)),
        body("6.1 more padding than there is room for", &post(), &[unpaddable], ended(PROTOCOL).part(usize::MAX)),
        raw("6.4 RST_STREAM on the connection", reset(0, code::CANCEL), ended(PROTOCOL)),
        raw("6.6 PUSH_PROMISE of a client", frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [vec![0, 0, 0, 2], get().block()].concat()), ended(PROTOCOL)),
        body("6.6 PUSH_PROMISE on a stream that is open", &post(), &[frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, [vec![0, 0, 0, 2], get().block()].concat())], ended(PROTOCOL).part(usize::MAX)),
        raw("6.9 no increment", window_update(0, 0), ended(PROTOCOL)),
        raw("6.9 no increment of a stream", [get().alone(1), window_update(1, 0)].concat(), ended(PROTOCOL).perhaps()).hanging(),
        raw("6.9.1 a window beyond all", window_update(0, WINDOW_MAX), ended(&[code::FLOW_CONTROL_ERROR])),
        raw("6.9.1 a stream's window beyond all", [get().alone(1), window_update(1, WINDOW_MAX)].concat(), reset_by(code::FLOW_CONTROL_ERROR).perhaps()).hanging(),
        raw("6.9.2 a stream's window beyond all by SETTINGS", [get().alone(1), window_update(1, WINDOW_MAX - WINDOW), settings(&[(setting::INITIAL_WINDOW_SIZE, WINDOW + 1)])].concat(), ended(&[code::FLOW_CONTROL_ERROR]).perhaps()).hanging(),
    ]
}

#[rustfmt::skip]
fn control() -> Vec<Row> {
    let length_alone = [0, 0x40, 0x01, kind::DATA, 0, 0, 0, 0, 1];
    vec![
        raw("4.1 a type that nobody knows", [frame(kind::UNKNOWN, 0xff, 0, "what?"), get().alone(1)].concat(), served("GET /")),
        raw("4.2 a frame larger than allowed", length_alone, ended(&[code::FRAME_SIZE_ERROR])),
        raw("6.5 SETTINGS on a stream", frame(kind::SETTINGS, 0, 1, ""), ended(PROTOCOL)),
        raw("6.5 SETTINGS of five bytes", frame(kind::SETTINGS, 0, 0, "12345"), ended(SIZE)),
        raw("6.5 an acknowledgement with a payload", frame(kind::SETTINGS, flag::ACK, 0, "123456"), ended(SIZE)),
        raw("6.5.2 a push that is neither on nor off", settings(&[(setting::ENABLE_PUSH, 2)]), ended(PROTOCOL)),
        raw("6.5.2 a window beyond all", settings(&[(setting::INITIAL_WINDOW_SIZE, WINDOW_MAX + 1)]), ended(&[code::FLOW_CONTROL_ERROR, code::PROTOCOL_ERROR])),
        raw("6.5.2 frames of one byte", settings(&[(setting::MAX_FRAME_SIZE, 1)]), ended(PROTOCOL)),
        raw("6.5.2 a setting that nobody knows", [settings(&[(0xbeef, 1)]), get().alone(1)].concat(), served("GET /")),
        raw("6.7 PING on a stream", frame(kind::PING, 0, 1, b"12345678"), ended(PROTOCOL)),
        raw("6.7 PING of seven bytes", frame(kind::PING, 0, 0, b"1234567"), ended(SIZE)),
        raw("6.9 WINDOW_UPDATE of three bytes", frame(kind::WINDOW_UPDATE, 0, 0, b"123"), ended(SIZE)),
    ]
}
