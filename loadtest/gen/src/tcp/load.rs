//! The clients of `bench tcp`, on one thread.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{
    Kind,
    responder::{MESSAGE_BYTES, message},
};
use crate::GenError;

/// Connections at a time, but for bulk.
const CONNECTIONS: usize = 64;
/// Connections at a time for bulk.
const BULK_CONNECTIONS: usize = 4;
/// Bytes of one bulk exchange.
const BULK_BYTES: u64 = 100_000_000;

/// What was moved.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Moved {
    /// Messages answered.
    pub exchanges: u64,
    /// Connections that broke.
    pub failed: u64,
    /// Bytes of answers.
    pub bytes: u64,
    /// How long it took.
    pub seconds: f64,
}

/// Loads `target` for so long.
///
/// # Errors
/// When there is no runtime.
pub fn run(kind: Kind, target: SocketAddr, time: Duration) -> Result<Moved, GenError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(runtime.block_on(async {
        let (started, mut clients) = (Instant::now(), JoinSet::new());
        let count = match kind {
            Kind::Bulk => BULK_CONNECTIONS,
            Kind::Pingpong | Kind::New => CONNECTIONS,
        };
        for _ in 0..count {
            clients.spawn(async move {
                let mut moved = Moved::default();
                if converse(kind, target, started + time, &mut moved)
                    .await
                    .is_err()
                {
                    moved.failed += 1;
                }
                moved
            });
        }
        let mut all = Moved::default();
        for moved in clients.join_all().await {
            all.exchanges += moved.exchanges;
            all.failed += moved.failed;
            all.bytes += moved.bytes;
        }
        all.seconds = started.elapsed().as_secs_f64();
        all
    }))
}

async fn converse(
    kind: Kind,
    target: SocketAddr,
    until: Instant,
    moved: &mut Moved,
) -> io::Result<()> {
    let mut stream = connect(target).await?;
    let wanted = match kind {
        Kind::Bulk => BULK_BYTES,
        Kind::Pingpong | Kind::New => MESSAGE_BYTES as u64,
    };
    let mut space = vec![
        0;
        if kind == Kind::Bulk {
            1 << 20
        } else {
            MESSAGE_BYTES
        }
    ];
    while Instant::now() < until {
        stream.write_all(&message(wanted)).await?;
        let mut left = wanted;
        while left > 0 {
            let count = stream.read(&mut space).await?;
            if count == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            left = left.saturating_sub(count as u64);
            moved.bytes += count as u64;
        }
        moved.exchanges += 1;
        if kind == Kind::New {
            stream = connect(target).await?;
        }
    }
    Ok(())
}

async fn connect(target: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(target).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
