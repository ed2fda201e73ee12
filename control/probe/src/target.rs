//! What is probed and what is reported.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use meridian_topology::{EndpointId, HealthCheck, RegionId, ServiceId};
use serde::Serialize;

/// One check of one endpoint.
///
/// Two targets that are equal are the same check: handing over a new list keeps its state.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Whose health this decides.
    pub endpoint: EndpointId,
    /// Where it is, for logs and status.
    pub region: RegionId,
    /// The endpoint's address; the check may name another port.
    pub address: SocketAddr,
    /// What is asked and how often.
    pub check: HealthCheck,
    /// The service that asked for the check; `None` if the endpoint itself did.
    pub service: Option<ServiceId>,
}

impl Target {
    /// Where the probe goes.
    #[must_use]
    pub fn probe_address(&self) -> SocketAddr {
        SocketAddr::new(
            self.address.ip(),
            self.check.port.unwrap_or(self.address.port()),
        )
    }
}

/// The two verdicts that are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Clients may be sent there.
    Up,
    /// They may not.
    Down,
}

impl Health {
    /// One word for logs and labels.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// An endpoint's verdict changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// Whose.
    pub endpoint: EndpointId,
    /// To what.
    pub to: Health,
    /// Why, in words: `connect refused`, `status 503, expected 200-399`.
    pub cause: String,
    /// When it was decided.
    pub at: SystemTime,
    /// Since the first probe of the run that decided it began: for `Down` the first failing one.
    pub detection: Duration,
}
