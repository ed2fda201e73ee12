//! The task that owns every check: waits for what happens next and does it.
//!
//! Four things happen: the list of targets changes, a probe ends, a check is due, the receiver of
//! transitions has room. State changes only here, one at a time.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use meridian_telemetry::{MetricError, Metrics};
use tokio::sync::{mpsc, watch};
use tokio::task::{AbortHandle, JoinError, JoinHandle, JoinSet};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::check::{Checker, Failure, TlsTrust, TrustError};
use crate::config::{CONCURRENT_MAX, ProbeConfig};
use crate::metrics::ProbeMetrics;
use crate::outbox::Outbox;
use crate::schedule::Schedule;
use crate::status::{Board, LastProbe, ProbeStatus};
use crate::table::{EndpointChange, Observation, SlotId, Table};
use crate::target::{Target, Transition};

/// Why probing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// `max_concurrent` is zero or too large.
    #[error("probe: `max_concurrent` is {0}, allowed is 1 to {CONCURRENT_MAX}")]
    MaxConcurrent(usize),
    /// The authorities for HTTPS checks cannot be used.
    #[error("probe: {0}")]
    Trust(#[from] TrustError),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// Running probes of one node. Dropping it leaves them running: cancel the token to stop them.
#[derive(Debug)]
pub struct Prober {
    board: Board,
    task: JoinHandle<()>,
}

impl Prober {
    /// Starts probing what `targets` holds, now and after every change.
    ///
    /// Transitions go to `sink`; while it is full the latest one of each endpoint waits and probing
    /// goes on. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// [`ProbeError`].
    pub fn start(
        config: &ProbeConfig,
        targets: watch::Receiver<Arc<Vec<Target>>>,
        sink: mpsc::Sender<Transition>,
        metrics: &Metrics,
        shutdown: CancellationToken,
    ) -> Result<Self, ProbeError> {
        if !(1..=CONCURRENT_MAX).contains(&config.max_concurrent) {
            return Err(ProbeError::MaxConcurrent(config.max_concurrent));
        }
        let trust = TlsTrust::load(config.ca_file.as_deref())?;
        let board = Board::default();
        let supervisor = Supervisor {
            checker: Arc::new(Checker::new(trust, config.exec_checks)),
            table: Table::new(Schedule::new(
                config.seed,
                config.start_spread.as_duration(),
            )),
            max_concurrent: config.max_concurrent,
            metrics: ProbeMetrics::register(metrics)?,
            board: board.clone(),
            running: JoinSet::new(),
            under_way: HashMap::new(),
            outbox: Outbox::default(),
            nonce: config.seed,
        };
        let task = tokio::spawn(supervisor.run(targets, sink, shutdown));
        Ok(Self { board, task })
    }

    /// The latest of every check, by region and endpoint.
    #[must_use]
    pub fn statuses(&self) -> Vec<ProbeStatus> {
        self.board.all()
    }

    /// A handle to the same statuses that outlives this value.
    #[must_use]
    pub fn status_reader(&self) -> StatusReader {
        StatusReader {
            board: self.board.clone(),
        }
    }

    /// Waits until the token stopped it and the last probe is gone.
    pub async fn stopped(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the prober ended unexpectedly");
        }
    }
}

/// Reads statuses; cheap to clone.
#[derive(Debug, Clone)]
pub struct StatusReader {
    board: Board,
}

impl StatusReader {
    /// The latest of every check, by region and endpoint.
    #[must_use]
    pub fn statuses(&self) -> Vec<ProbeStatus> {
        self.board.all()
    }
}

/// A probe under way, found by its task.
struct UnderWay {
    slot: SlotId,
    began: Instant,
    abort: AbortHandle,
}

struct Supervisor {
    checker: Arc<Checker>,
    table: Table,
    max_concurrent: usize,
    metrics: ProbeMetrics,
    board: Board,
    running: JoinSet<Result<(), Failure>>,
    under_way: HashMap<tokio::task::Id, UnderWay>,
    outbox: Outbox,
    nonce: u64,
}

type Ended = Result<(tokio::task::Id, Result<(), Failure>), JoinError>;

impl Supervisor {
    async fn run(
        mut self,
        mut targets: watch::Receiver<Arc<Vec<Target>>>,
        sink: mpsc::Sender<Transition>,
        shutdown: CancellationToken,
    ) {
        let first = Arc::clone(&targets.borrow_and_update());
        self.apply(&first);
        let mut may_change = true;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                changed = targets.changed(), if may_change => {
                    // Without a sender the list stays as it is.
                    may_change = changed.is_ok();
                    let list = Arc::clone(&targets.borrow_and_update());
                    self.apply(&list);
                }
                () = self.step(&sink) => {}
            }
        }
        self.running.shutdown().await;
        self.metrics.running.set(0);
    }

    /// Does the next thing that is not a change of the list. Safe to drop while it waits.
    async fn step(&mut self, sink: &mpsc::Sender<Transition>) {
        let may_start = self.under_way.len() < self.max_concurrent;
        let due = self.table.next_due().filter(|_| may_start);
        let is_due = async {
            match due {
                Some(due) => sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some(ended) = self.running.join_next_with_id() => self.finish(ended),
            () = is_due => self.start_due(),
            permit = sink.reserve(), if !self.outbox.is_empty() => match permit {
                Ok(permit) => {
                    if let Some(transition) = self.outbox.pop() {
                        permit.send(transition);
                    }
                }
                // Nobody listens: statuses, metrics and logs still tell.
                Err(_) => self.outbox.clear(),
            },
        }
    }

    fn apply(&mut self, targets: &[Target]) {
        let applied = self.table.apply(targets, Instant::now());
        let removed: BTreeSet<SlotId> = applied.removed.into_iter().collect();
        for probe in self
            .under_way
            .values()
            .filter(|probe| removed.contains(&probe.slot))
        {
            probe.abort.abort();
        }
        let now = unix_us(SystemTime::now());
        let mut board = self.board.lock();
        for id in &removed {
            board.remove(id);
        }
        for &id in &applied.added {
            if let Some(status) = self.table.slot(id).map(|slot| initial_status(slot, now)) {
                board.insert(id, status);
            }
        }
        drop(board);
        for &id in &applied.added {
            self.refuse_what_may_not_run(id);
        }
        for change in applied.changes {
            self.report(change);
        }
        for endpoint in &applied.forgotten {
            self.metrics.forgotten(endpoint);
        }
        self.metrics
            .checks
            .set(i64::try_from(self.table.len()).unwrap_or(i64::MAX));
        let (added, removed) = (applied.added.len(), removed.len());
        tracing::debug!(checks = self.table.len(), added, removed, "checks changed");
    }

    fn refuse_what_may_not_run(&mut self, id: SlotId) {
        let Some(slot) = self.table.slot(id) else {
            return;
        };
        if self.checker.may_run(&slot.target.check.kind) {
            return;
        }
        let endpoint = &slot.target.endpoint;
        tracing::warn!(%endpoint, "exec check is not run: `exec_checks` is `refuse`");
        self.table.park(id);
        if let Some(status) = self.board.lock().get_mut(&id) {
            status.not_probed = Some("`exec_checks` is `refuse`");
        }
    }

    fn start_due(&mut self) {
        let now = Instant::now();
        while self.under_way.len() < self.max_concurrent {
            let Some((slot, target, due)) = self.table.take_due(now) else {
                break;
            };
            self.metrics.started(now.saturating_duration_since(due));
            self.nonce = self
                .nonce
                .wrapping_mul(0x5851_f42d_4c95_7f2d)
                .wrapping_add(1);
            let (checker, nonce) = (Arc::clone(&self.checker), self.nonce >> 32);
            let abort = self
                .running
                .spawn(async move { checker.probe(&target, nonce).await });
            self.under_way.insert(
                abort.id(),
                UnderWay {
                    slot,
                    began: now,
                    abort,
                },
            );
        }
        self.show_running();
    }

    fn finish(&mut self, ended: Ended) {
        let (task, result) = match ended {
            Ok((task, result)) => (task, result),
            Err(error) => (error.id(), Err(Failure::Internal)),
        };
        let Some(UnderWay {
            slot: id, began, ..
        }) = self.under_way.remove(&task)
        else {
            return;
        };
        self.show_running();
        // A probe of a removed check was aborted and tells nothing.
        let Some(slot) = self.table.slot(id) else {
            return;
        };
        let seen = Observation {
            began,
            ended: Instant::now(),
            result,
        };
        let took = seen.ended.saturating_duration_since(began);
        self.metrics
            .finished(slot.target.check.kind.word(), took, &seen.result);
        let change = self.table.record(id, &seen);
        self.show(id, took, &seen.result);
        if let Some(change) = change {
            self.report(change);
        }
    }

    fn show(&self, id: SlotId, took: Duration, result: &Result<(), Failure>) {
        let now = unix_us(SystemTime::now());
        let mut board = self.board.lock();
        let (Some(status), Some(slot)) = (board.get_mut(&id), self.table.slot(id)) else {
            return;
        };
        if status.verdict != slot.hysteresis.verdict() {
            status.verdict = slot.hysteresis.verdict();
            status.since_unix_us = now;
        }
        status.consecutive = slot.hysteresis.consecutive();
        let failure = result.as_ref().err().map(ToString::to_string);
        status.last = Some(LastProbe::new(now, took, failure));
    }

    fn show_running(&self) {
        self.metrics
            .running
            .set(i64::try_from(self.under_way.len()).unwrap_or(i64::MAX));
    }

    fn report(&mut self, change: EndpointChange) {
        let EndpointChange {
            endpoint,
            to,
            cause,
            detection,
        } = change;
        let (state, ms) = (to.word(), detection.as_millis());
        tracing::info!(%endpoint, to = state, %cause, detection_ms = ms, "endpoint is {state}");
        self.metrics.changed(&endpoint, to, detection);
        let at = SystemTime::now();
        self.outbox.push(Transition {
            endpoint,
            to,
            cause,
            at,
            detection,
        });
    }
}

fn initial_status(slot: &crate::table::Slot, now_unix_us: u64) -> ProbeStatus {
    let target = &slot.target;
    ProbeStatus {
        endpoint: target.endpoint.clone(),
        region: target.region.clone(),
        service: target.service.clone(),
        kind: target.check.kind.word(),
        address: target.probe_address(),
        verdict: slot.hysteresis.verdict(),
        since_unix_us: now_unix_us,
        consecutive: 0,
        last: None,
        not_probed: None,
    }
}

fn unix_us(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}
