//! The receiving end of a watch, the same for both engines: a bounded queue fed by a task that
//! lives as long as the stream.

use tokio::{sync::mpsc, task::JoinHandle};
use tokio_util::task::AbortOnDropHandle;

use crate::{StoreError, WatchEvent, limits::WATCH_QUEUE_EVENTS};

/// What the feeding task sends: an error is the last thing it says.
pub(crate) type WatchSender = mpsc::Sender<Result<WatchEvent, StoreError>>;

/// Ordered changes under a prefix, without gaps or repetitions. Dropping it ends the watch.
#[derive(Debug)]
pub struct WatchStream {
    events: mpsc::Receiver<Result<WatchEvent, StoreError>>,
    _feeder: AbortOnDropHandle<()>,
}

impl WatchStream {
    /// Starts the task that `feed` makes around the sending end.
    pub(crate) fn start(feed: impl FnOnce(WatchSender) -> JoinHandle<()>) -> Self {
        let (sender, events) = mpsc::channel(WATCH_QUEUE_EVENTS);
        Self {
            events,
            _feeder: AbortOnDropHandle::new(feed(sender)),
        }
    }

    /// Waits for the next event. Cancel safe.
    ///
    /// # Errors
    /// Only what no reconnect can heal: [`StoreError::Closed`], [`StoreError::Denied`] or a broken
    /// database. After an error every further call says `Closed`.
    pub async fn next(&mut self) -> Result<WatchEvent, StoreError> {
        self.events.recv().await.unwrap_or(Err(StoreError::Closed))
    }
}
