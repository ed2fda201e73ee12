//! Idle upstream connections of a worker.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::upstream::Upstream;

/// Where connections that can stand in for each other lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    /// Tells configurations of TLS apart; 0 is clear text.
    pub(super) tls: u64,
}

/// Connections that wait for the next request, the one used last on top. The lock is only ever taken by the
/// worker's own thread.
#[derive(Debug)]
pub(super) struct Pool {
    idle: Mutex<Idle>,
    idle_max: usize,
    idle_time: Duration,
}

#[derive(Debug, Default)]
struct Idle {
    by_place: HashMap<Place, Vec<Kept>>,
    count: usize,
}

#[derive(Debug)]
struct Kept {
    stream: Upstream,
    since: Instant,
}

impl Pool {
    /// At most `idle_max` connections, each for at most `idle_time`.
    pub(super) fn new(idle_max: usize, idle_time: Duration) -> Self {
        Self {
            idle: Mutex::default(),
            idle_max,
            idle_time,
        }
    }

    /// A connection to a place that was alive when last heard of.
    pub(super) fn take(&self, place: Place, now: Instant) -> Option<Upstream> {
        let mut idle = self.idle.lock().ok()?;
        let Idle { by_place, count } = &mut *idle;
        let kept = by_place.get_mut(&place)?;
        while let Some(Kept { mut stream, since }) = kept.pop() {
            *count -= 1;
            if now.saturating_duration_since(since) < self.idle_time && stream.is_quiet() {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection whose last answer is over; beyond the bound it is closed.
    pub(super) fn keep(&self, place: Place, stream: Upstream, now: Instant) {
        let Ok(mut idle) = self.idle.lock() else {
            return;
        };
        if idle.count < self.idle_max {
            idle.count += 1;
            let kept = Kept { stream, since: now };
            idle.by_place.entry(place).or_default().push(kept);
        }
    }

    /// Closes those that have waited too long, or whose other end has closed.
    pub(super) fn sweep(&self, now: Instant) {
        let Ok(mut idle) = self.idle.lock() else {
            return;
        };
        idle.by_place.retain(|_, kept| {
            kept.retain_mut(|kept| {
                now.saturating_duration_since(kept.since) < self.idle_time && kept.stream.is_quiet()
            });
            !kept.is_empty()
        });
        idle.count = idle.by_place.values().map(Vec::len).sum();
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    async fn pair(listener: &TcpListener) -> (TcpStream, TcpStream) {
        let address = listener.local_addr().unwrap();
        let (ours, theirs) = tokio::join!(TcpStream::connect(address), listener.accept());
        (ours.unwrap(), theirs.unwrap().0)
    }

    #[tokio::test]
    async fn connections_are_lent_again_while_they_are_good() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place {
            address: listener.local_addr().unwrap(),
            tls: 0,
        };
        let (pool, now) = (Pool::new(2, HOUR), Instant::now());
        assert!(pool.take(place, now).is_none());
        let (one, mut chatty) = pair(&listener).await;
        pool.keep(place, Upstream::Plain(one), now);
        assert!(pool.take(place, now + HOUR).is_none(), "too old");
        for speak in [true, false] {
            let (two, mut theirs) = pair(&listener).await;
            pool.keep(place, Upstream::Plain(two), now);
            if speak {
                theirs
                    .write_all(b"HTTP/1.1 408 Too late\r\n\r\n")
                    .await
                    .unwrap();
            } else {
                drop(theirs);
            }
            let kept = || pool.idle.lock().unwrap().count;
            // The system tells us in its own time.
            for _ in 0..1000 {
                tokio::time::sleep(Duration::from_millis(1)).await;
                pool.sweep(now);
                if kept() == 0 {
                    break;
                }
            }
            assert_eq!(kept(), 0);
        }
        let _ = chatty.shutdown().await;
    }

    #[tokio::test]
    async fn no_more_are_kept_than_agreed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Place {
            address: listener.local_addr().unwrap(),
            tls: 0,
        };
        let (pool, now) = (Pool::new(2, HOUR), Instant::now());
        let mut theirs = Vec::new();
        for _ in 0..3 {
            let (ours, other) = pair(&listener).await;
            theirs.push(other);
            pool.keep(place, Upstream::Plain(ours), now);
        }
        assert!(pool.take(place, now).is_some());
        assert!(pool.take(place, now).is_some());
        assert!(pool.take(place, now).is_none());
    }
}
