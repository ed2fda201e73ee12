//! The upstream: answers every GET with the same 1 KB, as cheaply as tokio can.
//!
//! It understands just enough of HTTP/1.1 for a benchmark: heads without bodies, keepalive,
//! pipelining, `Connection: close`.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::GenError;

/// What every answer carries.
pub const BODY: [u8; 1024] = [b'm'; 1024];
/// Longest head; a longer one ends the connection.
const HEAD_BYTES_MAX: usize = 16 * 1024;
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
        let listener = TcpListener::bind(address).await?;
        serve(listener).await
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
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", BODY.len());
    let answer = [head.as_bytes(), &BODY].concat();
    let mut waiting = Vec::with_capacity(4096);
    let mut out = Vec::with_capacity(2 * answer.len());
    loop {
        if stream.read_buf(&mut waiting).await? == 0 {
            return Ok(());
        }
        out.clear();
        let mut last = After::Keep;
        while let Some((length, after)) = request(&waiting) {
            waiting.drain(..length);
            out.extend_from_slice(&answer);
            last = after;
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

/// The length of the first complete head, and whether the connection ends after it.
fn request(bytes: &[u8]) -> Option<(usize, After)> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let length = match request.parse(bytes) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(_) => return Some((bytes.len(), After::Close)),
    };
    let closes = request.headers.iter().any(|header| {
        header.name.eq_ignore_ascii_case("connection")
            && header.value.eq_ignore_ascii_case(b"close")
    });
    let after = if closes { After::Close } else { After::Keep };
    Some((length, after))
}
