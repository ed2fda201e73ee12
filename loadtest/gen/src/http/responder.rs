//! The upstream: answers every GET with the same 1 KB, or 100 KB, as cheaply as tokio can.
//!
//! It understands just enough of HTTP/1.1 for a benchmark: heads without bodies, keepalive,
//! pipelining, `Connection: close`.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};

use crate::GenError;

/// What every answer carries.
pub const BODY: [u8; 1024] = [b'm'; 1024];
/// Where the answer is larger.
pub const LARGE_PATH: &str = "/large";
/// Bytes of the larger answer.
const LARGE_BYTES: usize = 100 * 1024;
/// Longest head; a longer one ends the connection.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Connections waiting to be accepted: a proxy may open thousands at once.
const BACKLOG: u32 = 4096;
/// Most header lines.
const HEADERS_MAX: usize = 64;

/// Serves `address` on this thread until the process ends.
///
/// # Errors
/// When the address cannot be had.
pub fn run(address: SocketAddr) -> Result<(), GenError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()?;
    runtime.block_on(async {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        serve(socket.listen(BACKLOG)?).await
    })
}

/// Accepts for ever.
pub(super) async fn serve(listener: TcpListener) -> Result<(), GenError> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        // A broken connection is the client's business.
        tokio::spawn(async move { drop(converse(stream).await) });
    }
}

/// Answers one connection until it is closed or makes no sense.
async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let (small, mut large) = (answer(&BODY), Vec::new());
    let mut waiting = Vec::with_capacity(4096);
    let mut out = Vec::with_capacity(2 * small.len());
    loop {
        if stream.read_buf(&mut waiting).await? == 0 {
            return Ok(());
        }
        out.clear();
        let mut last = After::Keep;
        while let Some(request) = request(&waiting) {
            waiting.drain(..request.bytes);
            if request.large && large.is_empty() {
                large = answer(&[b'm'; LARGE_BYTES]);
            }
            out.extend_from_slice(if request.large { &large } else { &small });
            last = request.after;
        }
        stream.write_all(&out).await?;
        if last == After::Close || waiting.len() > HEAD_BYTES_MAX {
            return stream.shutdown().await;
        }
    }
}

/// What becomes of the connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Keep,
    Close,
}

fn answer(body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A complete head.
struct Request {
    bytes: usize,
    large: bool,
    after: After,
}

/// The first complete head.
fn request(bytes: &[u8]) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => {
            return Some(Request {
                bytes: bytes.len(),
                large: false,
                after: After::Close,
            });
        }
    };
    let closes = request.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("connection")
            && header.value.eq_ignore_ascii_case(b"close")
    });
    let after = if closes { After::Close } else { After::Keep };
    Some(Request {
        bytes: length,
        large: request.path == Some(LARGE_PATH),
        after,
    })
}
