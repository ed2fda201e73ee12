//! A bound on concurrently open connections (or sessions) that counts what it
//! turned away. Taking a permit never waits: past the bound a new connection
//! is closed at once, which a client sees sooner than a queue.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bound. Clones share it.
#[derive(Debug, Clone)]
pub struct ConnectionLimit {
    permits: Arc<Semaphore>,
    refused: Arc<AtomicU64>,
    max: usize,
}

/// One open connection; dropping it makes room for another.
#[derive(Debug)]
pub struct ConnectionPermit {
    _permit: OwnedSemaphorePermit,
}

impl ConnectionLimit {
    /// A bound of `max` connections (at most [`Semaphore::MAX_PERMITS`]).
    #[must_use]
    pub fn new(max: usize) -> Self {
        let max = max.min(Semaphore::MAX_PERMITS);
        Self {
            permits: Arc::new(Semaphore::new(max)),
            refused: Arc::default(),
            max,
        }
    }

    /// Takes a place, or counts a refusal when all are taken.
    #[must_use]
    pub fn try_acquire(&self) -> Option<ConnectionPermit> {
        match Arc::clone(&self.permits).try_acquire_owned() {
            Ok(permit) => Some(ConnectionPermit { _permit: permit }),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    /// Connections open now.
    #[must_use]
    pub fn active(&self) -> usize {
        self.max - self.permits.available_permits()
    }

    /// Connections turned away since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// The bound.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max
    }
}

#[cfg(test)]
mod tests;
