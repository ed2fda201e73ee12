//! Clients that mean harm: too slow, too many, or not what HTTP/2 says. Each is held within bounds, what it
//! spoils is its own connection, and others are served meanwhile.
//!
//! - `slow`: heads, bodies and readers that take their time.
//! - `many`: more of something than any client needs.
//! - `http2_rules`: one table of requests that break a rule, and what the upstream hears of them.
//! - `frames`: HTTP/2 as bytes.

mod frames;
mod http2_rules;
mod many;
mod slow;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::node::{LANE, SHOP, WorldText};

/// Far more than all buffers between an upstream and a client hold.
const TORRENT_BYTES: u64 = 512 * 1024 * 1024;

/// More than those buffers ever hold: the kernel's own go up to some ten MiB each.
const BUFFERS_MAX: u64 = 128 * 1024 * 1024;

/// Whether this run tests nothing new: both lanes share the code that waits for a head, and pingora has
/// HTTP/2 on both.
fn is_second_run() -> bool {
    LANE != "own"
}

/// An upstream with an endless answer at `/torrent`, that says how much of it was taken.
struct Torrent {
    address: SocketAddr,
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    taken: AtomicU64,
    cut: AtomicUsize,
}

impl Torrent {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let counts = Arc::clone(&shared);
                tokio::spawn(async move {
                    if pour(socket, &counts.taken).await.is_err() {
                        counts.cut.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { address, counts }
    }

    /// It is the shop.
    fn world(&self) -> WorldText {
        let route = format!("[{{ hosts: [{SHOP}], retries: {{ attempts: 0 }} }}]");
        WorldText::new()
            .region("a", "DE", "", &[(self.address, "shop")])
            .service("shop", "", &route)
    }

    /// Bytes of endless answers that somebody took.
    fn taken(&self) -> u64 {
        self.counts.taken.load(Ordering::SeqCst)
    }

    /// Endless answers that were cut.
    fn cut(&self) -> usize {
        self.counts.cut.load(Ordering::SeqCst)
    }
}

/// One request, one answer.
async fn pour(mut socket: TcpStream, taken: &AtomicU64) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if socket.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    if !head.starts_with(b"GET /torrent ") {
        let small = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nu0";
        return socket.write_all(small).await;
    }
    let begin = format!("HTTP/1.1 200 OK\r\nContent-Length: {TORRENT_BYTES}\r\n\r\n");
    socket.write_all(begin.as_bytes()).await?;
    let piece = vec![b'.'; 64 * 1024];
    let mut sent = 0;
    while sent < TORRENT_BYTES {
        let most = (TORRENT_BYTES - sent).min(piece.len() as u64);
        let count = socket
            .write(&piece[..usize::try_from(most).unwrap()])
            .await? as u64;
        sent += count;
        taken.fetch_add(count, Ordering::SeqCst);
    }
    Ok(())
}
