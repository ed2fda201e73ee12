//! The upstream: a message of 1 KB begins with how many bytes are wanted, and so many come back.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::GenError;

/// Bytes of a message.
pub const MESSAGE_BYTES: usize = 1024;
/// Written at a time.
const PIECE_BYTES: usize = 256 * 1024;

/// A message that wants so many bytes.
#[must_use]
pub fn message(wanted: u64) -> [u8; MESSAGE_BYTES] {
    let mut message = [b'm'; MESSAGE_BYTES];
    message[..8].copy_from_slice(&wanted.to_be_bytes());
    message
}

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
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            // A broken connection is the client's business.
            tokio::spawn(async move { drop(converse(stream).await) });
        }
    })
}

async fn converse(mut stream: TcpStream) -> std::io::Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    let mut piece = vec![b'm'; MESSAGE_BYTES];
    loop {
        stream.read_exact(&mut message).await?;
        let wanted = message
            .first_chunk()
            .map_or(0, |head| u64::from_be_bytes(*head));
        if wanted > MESSAGE_BYTES as u64 {
            piece.resize(PIECE_BYTES, b'm');
        }
        let mut left = wanted;
        while left > 0 {
            let count = left.min(piece.len() as u64);
            // Not more than the piece has.
            stream.write_all(&piece[..count as usize]).await?;
            left -= count;
        }
    }
}
