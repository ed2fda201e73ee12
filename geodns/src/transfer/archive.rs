//! What can be transferred: every zone in force, and the steps that led to it.
//!
//! The archive follows the zones that are served. A zone whose serial moved on gets one more step
//! in its journal, bounded by bytes: the oldest steps go first, and whoever is older still gets the
//! whole zone. Steps are kept only for zones that somebody may transfer.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use super::config::TransferSettings;
use super::record::{WireName, is_newer};
use super::snapshot::{Diff, Snapshot};
use crate::zones::Zones;

/// Most steps of one zone's journal, however small.
const STEPS_MAX: usize = 1_000;

/// The zones in force and their journals.
#[derive(Debug)]
pub(crate) struct Archive {
    settings: Arc<TransferSettings>,
    zones: Mutex<HashMap<WireName, Archived>>,
}

/// A zone and how it came about.
#[derive(Clone, Debug)]
pub(crate) struct Archived {
    pub(crate) snapshot: Arc<Snapshot>,
    /// Oldest first; each leads to the next, the last to the snapshot.
    steps: VecDeque<Arc<Diff>>,
    bytes: usize,
}

/// A zone that differs from what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// It is new here or has a newer serial: secondaries want to know.
    Newer(WireName),
    /// Its records changed and its serial did not move on, so that secondaries will not fetch it.
    SerialStayed(WireName),
}

impl Archived {
    /// The steps from `serial` to now, or `None` when they are not known any more.
    pub(crate) fn steps_from(&self, serial: u32) -> Option<Vec<Arc<Diff>>> {
        let from = self
            .steps
            .iter()
            .position(|step| step.from_serial == serial)?;
        Some(self.steps.iter().skip(from).cloned().collect())
    }

    /// Takes a newer state over.
    fn advance(&mut self, newer: Arc<Snapshot>, journal_bytes: usize) -> Option<Advance> {
        let step = self.snapshot.diff(&newer)?;
        if step.is_empty() && step.from == step.to {
            self.snapshot = newer;
            return None;
        }
        let advance = if is_newer(step.to_serial, step.from_serial) {
            self.bytes += step.memory_bytes();
            self.steps.push_back(Arc::new(step));
            Advance::Newer
        } else {
            // Steps lead from serial to serial; these do not any more.
            self.steps.clear();
            self.bytes = 0;
            Advance::SerialStayed
        };
        while self.bytes > journal_bytes || self.steps.len() > STEPS_MAX {
            let Some(oldest) = self.steps.pop_front() else {
                break;
            };
            self.bytes -= oldest.memory_bytes();
        }
        self.snapshot = newer;
        Some(advance)
    }
}

enum Advance {
    Newer,
    SerialStayed,
}

impl Archive {
    pub(crate) fn new(settings: Arc<TransferSettings>) -> Self {
        Self {
            settings,
            zones: Mutex::new(HashMap::new()),
        }
    }

    /// The zone with this origin.
    pub(crate) fn get(&self, origin: &[u8]) -> Option<Archived> {
        self.lock().get(origin).cloned()
    }

    /// Takes over the zones in force; says which changed. Compares whole zones: call it on a thread
    /// that may take its time.
    pub(crate) fn follow(&self, zones: &Zones) -> Vec<Change> {
        let origins: Vec<WireName> = zones
            .set()
            .zones()
            .iter()
            .map(|zone| zone.apex().into())
            .collect();
        let mut changes = Vec::new();
        for origin in &origins {
            let peers = self.settings.peers_of(origin);
            if peers.allow.is_empty() && peers.notify.is_empty() {
                continue;
            }
            match Snapshot::of(zones, origin, self.settings.steered) {
                Some(snapshot) => changes.extend(self.take_over(origin, snapshot)),
                None => _ = self.lock().remove(origin),
            }
        }
        self.lock()
            .retain(|origin, _| origins.binary_search(origin).is_ok());
        changes
    }

    fn take_over(&self, origin: &WireName, snapshot: Snapshot) -> Option<Change> {
        let known = self.get(origin);
        let Some(mut archived) = known else {
            let archived = Archived {
                snapshot: Arc::new(snapshot),
                steps: VecDeque::new(),
                bytes: 0,
            };
            self.lock().insert(origin.clone(), archived);
            return Some(Change::Newer(origin.clone()));
        };
        if archived.snapshot.is_same(&snapshot) {
            return None;
        }
        // Compared without the lock: nobody else writes, and readers need not wait.
        let advance = archived.advance(Arc::new(snapshot), self.settings.journal_bytes);
        self.lock().insert(origin.clone(), archived);
        advance.map(|advance| match advance {
            Advance::Newer => Change::Newer(origin.clone()),
            Advance::SerialStayed => Change::SerialStayed(origin.clone()),
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WireName, Archived>> {
        // Every change is one insertion: a panic elsewhere leaves nothing half done.
        self.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
