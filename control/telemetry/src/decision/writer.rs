//! The thread that turns queued decisions into files.
//!
//! Rows wait in column builders, not as structs: appending is cheap and finishing a file is one
//! encode. A file is finished when it has its rows or when its first row reaches its age.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender};
use std::time::{Duration, Instant};

use super::Decision;
use super::files::DecisionDirectory;
use super::schema::Columns;
use crate::metrics::IntCounter;

/// What the writer is asked to do.
pub(super) enum Command {
    Row(Decision),
    Flush(SyncSender<()>),
    Stop,
}

pub(super) struct Counters {
    pub(super) rows: IntCounter,
    pub(super) lost: IntCounter,
    pub(super) files: IntCounter,
    pub(super) errors: IntCounter,
}

pub(super) struct Writer {
    directory: DecisionDirectory,
    rows_max: usize,
    age_max: Duration,
    counters: Counters,
    columns: Columns,
    /// When the file under construction must be finished; `None` while it has no row.
    due: Option<Instant>,
}

/// How long an idle writer sleeps; any command wakes it.
const IDLE: Duration = Duration::from_secs(3_600);

impl Writer {
    pub(super) fn new(
        directory: DecisionDirectory,
        rows_max: usize,
        age_max: Duration,
        counters: Counters,
    ) -> Self {
        Self {
            directory,
            rows_max,
            age_max,
            counters,
            columns: Columns::default(),
            due: None,
        }
    }

    pub(super) fn run(mut self, inbox: &Receiver<Command>) {
        loop {
            let wait = self
                .due
                .map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            match inbox.recv_timeout(wait) {
                Ok(Command::Row(decision)) => self.append(&decision),
                Ok(Command::Flush(done)) => {
                    self.finish_file();
                    // The asker may have gone away; nothing is lost by that.
                    let _ = done.send(());
                }
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    return self.finish_file();
                }
            }
            // Checked after every command: a busy channel must not keep an old file open.
            if self.due.is_some_and(|due| due <= Instant::now()) {
                self.finish_file();
            }
        }
    }

    fn append(&mut self, decision: &Decision) {
        self.columns.append(decision);
        self.due
            .get_or_insert_with(|| Instant::now() + self.age_max);
        if self.columns.rows() >= self.rows_max {
            self.finish_file();
        }
    }

    fn finish_file(&mut self) {
        self.due = None;
        let rows = self.columns.rows() as u64;
        if rows == 0 {
            return;
        }
        let first_at = self.columns.first_at_unix_us();
        let written = self
            .columns
            .take_batch()
            .and_then(|batch| self.directory.write(first_at, &batch));
        match written {
            Ok(path) => {
                self.counters.rows.inc_by(rows);
                self.counters.files.inc();
                tracing::debug!(path = %path.display(), rows, "decision file finished");
            }
            Err(error) => {
                self.counters.lost.inc_by(rows);
                self.counters.errors.inc();
                tracing::warn!(%error, rows, "cannot write a decision file");
            }
        }
        if let Err(error) = self.directory.remove_oldest() {
            self.counters.errors.inc();
            tracing::warn!(%error, "cannot remove old decision files");
        }
    }
}
