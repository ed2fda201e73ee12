//! Tables that a room derives from each plan: routes, zones, listeners.
//!
//! A view is rebuilt off the data path after every publication. Between the two, at
//! most the time one `derive` takes, readers of the view still decide by the plan the
//! view was made from; the writer keeps that plan's health bits current meanwhile.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::published::{PlanHandle, Published};

/// A room's own table, always made from one whole plan.
#[derive(Debug)]
pub struct View<T> {
    current: Arc<ArcSwap<T>>,
    /// Counts the tables that came into force.
    derived: watch::Receiver<u64>,
}

impl<T> Clone for View<T> {
    fn clone(&self) -> Self {
        Self {
            current: Arc::clone(&self.current),
            derived: self.derived.clone(),
        }
    }
}

impl<T: Send + Sync + 'static> View<T> {
    /// Derives the table from the plan in force and again from each later one, until `shutdown`.
    ///
    /// `derive` runs on a blocking thread and should keep the `Arc<Published>` it was given
    /// beside the table, so that both are always of one plan. Call it inside a tokio runtime.
    pub fn follow(
        plan: &PlanHandle,
        derive: impl Fn(Arc<Published>) -> T + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> Self {
        // Nobody sends: the plan alone is followed.
        let (never, also) = watch::channel(0);
        let derive = move |published, _| {
            let _kept_open = &never;
            derive(published)
        };
        Self::follow_both(plan, also, derive, shutdown)
    }

    /// As [`View::follow`], for a table that depends on something else, too: it is derived again
    /// when `also` changes. `derive` gets the table it replaces, to take over what stays the same.
    pub fn follow_both(
        plan: &PlanHandle,
        mut also: watch::Receiver<u64>,
        derive: impl Fn(Arc<Published>, Option<Arc<T>>) -> T + Send + Sync + 'static,
        shutdown: CancellationToken,
    ) -> Self {
        // Subscribed before the first load: a plan published in between is seen, not missed.
        let mut sequence = plan.subscribe();
        also.mark_unchanged();
        let current = Arc::new(ArcSwap::from_pointee(derive(plan.full(), None)));
        let (counted, derived) = watch::channel(1);
        let view = Self {
            current: Arc::clone(&current),
            derived,
        };
        let (plan, derive) = (plan.clone(), Arc::new(derive));
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    changed = sequence.changed() => if changed.is_err() { return },
                    changed = also.changed() => if changed.is_err() { return },
                }
                let (derive, published) = (Arc::clone(&derive), plan.full());
                let before = current.load_full();
                let work = move || derive(published, Some(before));
                match tokio::task::spawn_blocking(work).await {
                    Ok(table) => {
                        current.store(Arc::new(table));
                        counted.send_modify(|tables| *tables += 1);
                    }
                    Err(error) => {
                        tracing::error!(%error, "a view could not be derived; the last one keeps serving");
                    }
                }
            }
        });
        view
    }

    /// Learns of every table that comes into force, by a number that grows.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.derived.clone()
    }

    /// The table in force; hold it for one decision or one batch.
    pub fn load(&self) -> Guard<Arc<T>> {
        self.current.load()
    }

    /// The table in force, to be kept for as long as needed.
    pub fn full(&self) -> Arc<T> {
        self.current.load_full()
    }
}
