//! What can be looked at: the latest of every check.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use meridian_topology::{EndpointId, RegionId, ServiceId};
use serde::Serialize;

use crate::hysteresis::Verdict;
use crate::table::SlotId;

/// One check as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProbeStatus {
    /// Whose health it decides.
    pub endpoint: EndpointId,
    /// Where that is.
    pub region: RegionId,
    /// The service that asked for the check, if one did.
    pub service: Option<ServiceId>,
    /// `http`, `tcp`, `dns` or `exec`.
    pub kind: &'static str,
    /// Where probes go.
    pub address: SocketAddr,
    /// What this check believes.
    pub verdict: Verdict,
    /// Since when, microseconds since 1970.
    pub since_unix_us: u64,
    /// Equal results in a row, the latest included.
    pub consecutive: u32,
    /// The latest probe; `None` before the first.
    pub last: Option<LastProbe>,
    /// Why it is not probed at all, if so.
    pub not_probed: Option<&'static str>,
}

/// The latest probe of a check.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastProbe {
    /// When it ended, microseconds since 1970.
    pub at_unix_us: u64,
    /// How long it took, seconds.
    pub seconds: f64,
    /// Why it failed; `None` if it did not.
    pub failure: Option<String>,
}

impl LastProbe {
    pub(crate) fn new(at_unix_us: u64, took: Duration, failure: Option<String>) -> Self {
        Self {
            at_unix_us,
            seconds: took.as_secs_f64(),
            failure,
        }
    }
}

/// The statuses of all checks: written by the prober, copied by readers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Board {
    by_slot: Arc<Mutex<BTreeMap<SlotId, ProbeStatus>>>,
}

impl Board {
    // Every write is one insert or one field group: a poisoned map is still whole.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<SlotId, ProbeStatus>> {
        self.by_slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A copy, by region and endpoint.
    pub(crate) fn all(&self) -> Vec<ProbeStatus> {
        let mut all: Vec<ProbeStatus> = self.lock().values().cloned().collect();
        all.sort_by(|a, b| (&a.region, &a.endpoint).cmp(&(&b.region, &b.endpoint)));
        all
    }
}
