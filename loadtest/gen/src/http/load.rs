//! Who makes the load, and what a load comes to.

use std::{net::SocketAddr, path::Path, time::Duration};

use serde::Deserialize;

use super::{
    h2load::H2load,
    suite::{Case, Protocol},
    wrk::Wrk,
};
use crate::GenError;

/// A program that asks over and over.
pub(super) enum Load {
    Wrk(Wrk),
    H2load(H2load),
}

/// The totals of a run.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
pub(super) struct Totals {
    /// Requests answered.
    pub(super) requests: u64,
    /// Answers that were no success, and requests without one.
    pub(super) failed: u64,
    /// How long it took.
    pub(super) duration_us: f64,
    /// Half of the answers took less.
    pub(super) p50_us: f64,
    /// 99 of 100 answers took less.
    pub(super) p99_us: f64,
}

impl Load {
    /// The one that speaks `protocol`; its files lie in `folder`.
    pub(super) fn new(protocol: Protocol, folder: &Path) -> Result<Self, GenError> {
        match protocol {
            Protocol::Http => Wrk::new(folder, "http").map(Self::Wrk),
            Protocol::Https => Wrk::new(folder, "https").map(Self::Wrk),
            Protocol::H2 => H2load::new(folder).map(Self::H2load),
        }
    }

    /// Asks for so long.
    pub(super) fn run(
        &self,
        target: SocketAddr,
        case: &Case,
        time: Duration,
    ) -> Result<Totals, GenError> {
        match self {
            Self::Wrk(wrk) => wrk.run(target, case, time),
            Self::H2load(h2load) => h2load.run(target, case, time),
        }
    }
}
