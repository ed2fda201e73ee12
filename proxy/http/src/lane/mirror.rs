//! Copies of requests for another service, whose answers nobody waits for.
//!
//! A request is copied when the client has sent all of it and it is small enough to be kept. The copy goes out on
//! a connection of its own, after the request; what comes back is read and thrown away, for
//! [`ANSWER_WITHIN`] at most. A worker has [`MIRRORS_MAX`] copies on their way; further ones are left out.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::upstream::Target;
use crate::exchange::{Exchange, Mirrored};
use crate::metrics::MirrorMetrics;

/// Copies on their way at once, for each worker.
const MIRRORS_MAX: usize = 64;
/// How long a copy may take to be connected, and to be answered.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of an answer that are read before the connection is closed.
const ANSWER_BYTES_MAX: usize = 256 * 1024;

/// Copies on their way: each holds a clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Mirrors(Arc<()>);

impl Mirrors {
    /// Sends a copy of a request, if its route wants one. `bytes` is the whole request; `None` where it is not
    /// there as a whole.
    pub(super) fn send(&self, exchange: &Exchange, bytes: Option<&[u8]>) {
        let Some(routed) = exchange.routed.as_ref() else {
            return;
        };
        let Some(mirrored) = routed.mirrored() else {
            return;
        };
        let Mirrored {
            address,
            tls,
            metrics,
        } = mirrored;
        let has_room = Arc::strong_count(&self.0) <= MIRRORS_MAX;
        let (Some(bytes), true, Ok(tls)) = (bytes, has_room, tls) else {
            metrics.left_out.inc();
            return;
        };
        let (target, bytes, seat) = (Target::new(address, tls), bytes.to_vec(), self.clone());
        let metrics = MirrorMetrics::clone(metrics);
        tokio::spawn(async move {
            let _seat = seat;
            match copy(&target, &bytes).await {
                Some(()) => metrics.sent.inc(),
                None => metrics.failed.inc(),
            }
        });
    }
}

/// `None` when no answer began.
async fn copy(target: &Target, bytes: &[u8]) -> Option<()> {
    let mut stream = target.connect(CONNECT_WITHIN).await.ok()?;
    let exchange = async {
        stream.write_all(bytes).await.ok()?;
        stream.flush().await.ok()?;
        let mut space = [0; 4096];
        let mut read = stream
            .read(&mut space)
            .await
            .ok()
            .filter(|count| *count > 0)?;
        // Closing at once would be a reset in the middle of the endpoint's answer.
        while read < ANSWER_BYTES_MAX {
            match timeout(Duration::from_secs(1), stream.read(&mut space)).await {
                Ok(Ok(count)) if count > 0 => read += count,
                _ => break,
            }
        }
        Some(())
    };
    timeout(ANSWER_WITHIN, exchange).await.ok()?
}
