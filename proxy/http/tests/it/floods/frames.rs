//! HTTP/2 as bytes (RFC 9113): frames written and read by hand, so that they can break every rule.
//!
//! Fields are written as literals that no table remembers (RFC 7541, section 6.2.2): what one row sends is
//! read without what came before it. Of what is read only the status is understood.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use crate::client::PATIENCE;
use crate::node::SHOP;

/// RFC 9113, section 3.4.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// After so long without a byte taken, none will be.
const STALL: Duration = Duration::from_secs(1);

/// Bytes of a frame's head.
const HEAD_BYTES: usize = 9;

/// Types of frames (RFC 9113, section 6).
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
    /// Of no extension that anybody knows.
    pub const UNKNOWN: u8 = 0xbe;
}

/// Flags of frames.
pub mod flag {
    pub const END_STREAM: u8 = 0x1;
    pub const ACK: u8 = 0x1;
    pub const END_HEADERS: u8 = 0x4;
    pub const PADDED: u8 = 0x8;
    pub const PRIORITY: u8 = 0x20;
}

/// Errors (RFC 9113, section 7).
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Settings (RFC 9113, section 6.5.2).
pub mod setting {
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// A window before anybody says otherwise.
pub const WINDOW: u32 = 65_535;

/// The largest window there is.
pub const WINDOW_MAX: u32 = 0x7fff_ffff;

pub fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = length[1..].to_vec();
    bytes.extend([kind, flags]);
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

pub fn data(stream: u32, flags: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    frame(kind::DATA, flags, stream, bytes)
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, code.to_be_bytes())
}

pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let each = values.iter().flat_map(|(id, value)| {
        let (id, value) = (id.to_be_bytes(), value.to_be_bytes());
        id.into_iter().chain(value)
    });
    frame(kind::SETTINGS, 0, 0, each.collect::<Vec<u8>>())
}

pub fn ping() -> Vec<u8> {
    frame(kind::PING, 0, 0, b"12345678")
}

pub fn window_update(stream: u32, increment: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
}

/// An integer behind the bits that `first` begins with (RFC 7541, section 5.1).
pub fn integer(first: u8, bits: u32, value: usize) -> Vec<u8> {
    let most = (1_usize << bits) - 1;
    let low = |value: usize| u8::try_from(value).unwrap();
    if value < most {
        return vec![first | low(value)];
    }
    let mut bytes = vec![first | low(most)];
    let mut left = value - most;
    while left >= 128 {
        bytes.push(low(left % 128) | 128);
        left /= 128;
    }
    bytes.push(low(left));
    bytes
}

/// A string without Huffman's code (RFC 7541, section 5.2).
pub fn string(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let mut string = integer(0, 7, bytes.len());
    string.extend(bytes);
    string
}

/// A field that no table remembers.
pub fn field(name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    [vec![0], string(name), string(value)].concat()
}

/// The fields of a request, in their order.
#[derive(Clone)]
pub struct Head(Vec<(Vec<u8>, Vec<u8>)>);

/// A request of the shop.
pub fn request(method: &str, path: &str) -> Head {
    Head(Vec::new())
        .and(":method", method)
        .and(":scheme", "http")
        .and(":authority", SHOP)
        .and(":path", path)
}

impl Head {
    /// With one more field, behind the others.
    pub fn and(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        let field = (name.as_ref().to_vec(), value.as_ref().to_vec());
        self.0.push(field);
        self
    }

    /// With one more field, before the others.
    pub fn before(mut self, name: &str, value: &str) -> Self {
        let field = (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        self.0.insert(0, field);
        self
    }

    /// With another value of a field that is there.
    pub fn with(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        for (found, old) in &mut self.0 {
            if found.as_slice() == name.as_bytes() {
                *old = value.as_ref().to_vec();
            }
        }
        self
    }

    pub fn without(mut self, name: &str) -> Self {
        self.0
            .retain(|(found, _)| found.as_slice() != name.as_bytes());
        self
    }

    pub fn block(&self) -> Vec<u8> {
        let each = self.0.iter();
        each.flat_map(|(name, value)| field(name, value)).collect()
    }

    /// A whole request.
    pub fn alone(&self, stream: u32) -> Vec<u8> {
        let flags = flag::END_STREAM | flag::END_HEADERS;
        frame(kind::HEADERS, flags, stream, self.block())
    }

    /// A request whose body is to come.
    pub fn open(&self, stream: u32) -> Vec<u8> {
        frame(kind::HEADERS, flag::END_HEADERS, stream, self.block())
    }
}

/// The streams of a client, from the first.
pub fn streams(count: usize) -> impl Iterator<Item = u32> {
    (1..).step_by(2).take(count)
}

/// A frame as it was read.
#[derive(Debug, Clone)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error of RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }

    /// A value of SETTINGS.
    pub fn setting(&self, id: u16) -> Option<u32> {
        let mut each = self.payload.chunks_exact(6);
        let found = each.find(|pair| pair[..2] == id.to_be_bytes())?;
        Some(u32::from_be_bytes(found[2..].try_into().unwrap()))
    }
}

/// How a stream came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A whole answer with this status.
    Answered(u16),
    /// RST_STREAM with this error.
    Reset(u32),
    /// GOAWAY with this error, and the connection's end.
    GoAway(u32),
    /// The connection's end alone.
    Closed,
}

impl Outcome {
    /// Whether the connection lives.
    pub fn goes_on(self) -> bool {
        matches!(self, Self::Answered(_) | Self::Reset(_))
    }
}

/// A connection that says exactly what it is told to say, after the preface and empty SETTINGS.
pub struct Connection {
    socket: TcpStream,
    early: Vec<u8>,
}

impl Connection {
    pub async fn open(to: SocketAddr) -> Self {
        Self::over(TcpStream::connect(to).await.unwrap()).await
    }

    /// Over a socket of its own choice.
    pub async fn over(socket: TcpStream) -> Self {
        let mut connection = Self {
            socket,
            early: Vec::new(),
        };
        let ack = frame(kind::SETTINGS, flag::ACK, 0, "");
        let hello = [PREFACE.to_vec(), settings(&[]), ack].concat();
        connection.send(hello).await;
        connection
    }

    /// Sends what can be sent: the other end may have had enough, and what it says of that is to be read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = timeout(PATIENCE, self.socket.write_all(bytes.as_ref())).await;
    }

    /// Sends these bytes over and over without reading. Says how many were taken before no more were;
    /// `None` when `most` were.
    pub async fn pour(&mut self, bytes: &[u8], most: usize) -> Option<usize> {
        let mut taken = 0;
        while taken < most {
            let rest = &bytes[taken % bytes.len()..];
            match timeout(STALL, self.socket.write(rest)).await {
                Ok(Ok(count)) => taken += count,
                _ => return Some(taken),
            }
        }
        None
    }

    /// The next frame; `None` at the end.
    pub async fn frame(&mut self) -> Option<Frame> {
        let head = self.take(HEAD_BYTES).await?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let payload = self.take(usize::try_from(length).unwrap()).await?;
        Some(Frame {
            kind: head[3],
            flags: head[4],
            stream: u32::from_be_bytes(head[5..].try_into().unwrap()) & WINDOW_MAX,
            payload,
        })
    }

    /// Reads until the stream is over.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        let mut status = None;
        while let Some(frame) = self.frame().await {
            let is_its_own = frame.stream == stream;
            match frame.kind {
                kind::GOAWAY if frame.code() != code::NO_ERROR => {
                    self.ended().await;
                    return Outcome::GoAway(frame.code());
                }
                kind::RST_STREAM if is_its_own => return Outcome::Reset(frame.code()),
                kind::HEADERS if is_its_own && status.is_none() => {
                    status = Some(read_status(&frame.payload));
                }
                _ => {}
            }
            let is_message = matches!(frame.kind, kind::HEADERS | kind::DATA);
            if is_its_own && is_message && frame.flags & flag::END_STREAM != 0 {
                return Outcome::Answered(status.expect("HEADERS come before DATA"));
            }
        }
        Outcome::Closed
    }

    /// Waits until everything sent so far was read; `false` when the connection ended before.
    pub async fn round_trip(&mut self) -> bool {
        self.send(ping()).await;
        while let Some(frame) = self.frame().await {
            if frame.kind == kind::PING && frame.flags & flag::ACK != 0 {
                return true;
            }
        }
        false
    }

    /// Reads to the end; says the error of the last GOAWAY. A reset may overtake it.
    pub async fn ended(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.frame().await {
            if frame.kind == kind::GOAWAY {
                code = Some(frame.code());
            }
        }
        code
    }

    async fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.early.len() < count {
            self.early.reserve(16 * 1024);
            let read = timeout(PATIENCE, self.socket.read_buf(&mut self.early)).await;
            let read = read.expect("the proxy says something or closes");
            // A reset is an end too.
            if read.unwrap_or(0) == 0 {
                return None;
            }
        }
        Some(self.early.drain(..count).collect())
    }
}

/// Connects with little room for what is not read, so that the other end feels it soon.
pub async fn narrow(to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(to).await.unwrap()
}

/// `:status`, which comes first: of the static table, or a literal behind its name there (RFC 7541,
/// appendix A). Only the first answer of a connection may have a status that the table does not have.
fn read_status(block: &[u8]) -> u16 {
    const KNOWN: [u16; 7] = [200, 204, 206, 304, 400, 404, 500];
    match block {
        [indexed, ..] if indexed & 0x80 != 0 => KNOWN[usize::from(indexed & 0x7f) - 8],
        [0x48 | 0x08, length, rest @ ..] => {
            let bytes = &rest[..usize::from(length & 0x7f)];
            if length & 0x80 == 0 {
                std::str::from_utf8(bytes).unwrap().parse().unwrap()
            } else {
                huffman_digits(bytes)
            }
        }
        _ => panic!("no status in {block:x?}"),
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B): five bits for 0 to 2, six for the others.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits = bytes
        .iter()
        .fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
    let mut left = 8 * bytes.len();
    let mut number = 0;
    for _ in 0..3 {
        let five = (bits >> (left - 5)) & 0x1f;
        let digit = if five <= 2 {
            left -= 5;
            five
        } else {
            left -= 6;
            ((bits >> left) & 0x3f) - 0x16
        };
        number = number * 10 + u16::try_from(digit).unwrap();
    }
    number
}
