//! How explanations watch the one scoring code: a recorder that compiling leaves empty.

use meridian_topology::RegionIdx;

/// A step of a decision, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Walls: compliance and providers.
    Eligible,
    /// Living endpoints.
    Healthy,
    /// Capacity's hard maximum.
    Room,
    /// Penalties.
    Score,
    /// Who shares the clients, who stands in.
    Spread,
}

/// Why a region goes no further, or only as a stand-in.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Drop<'a> {
    /// No endpoint there serves the service.
    NotServed,
    /// A compliance selector names places and the region is in none.
    Outside,
    /// A provider selector forbids the region's provider.
    Forbidden,
    /// A regions selector names others only.
    NotAmong,
    /// A regions selector excludes it.
    Never,
    /// No endpoint has all labels.
    Labels(&'a [&'a str]),
    /// The pool counts as dead.
    Dead { live: u32, of: u32, min: u32 },
    /// Drained by an operator or the topology.
    Drained,
    /// At or beyond the maximum utilisation.
    Full { utilization: f64, max: f64 },
    /// Not close enough to the best, or too many are: n-th in line.
    StandsIn(usize),
    /// Used only when everything else is dead, because it is full.
    LastResort,
    /// Behind the last place of a route.
    BeyondRoute,
}

/// Watches a decision. Every method has an empty body that the compiler removes.
pub(crate) trait Recorder {
    /// A stage begins.
    fn stage(&mut self, _: Stage) {}
    /// A region passes the current stage.
    fn keep(&mut self, _: RegionIdx) {}
    /// A region does not pass the current stage.
    fn drop(&mut self, _: RegionIdx, _: Drop<'_>) {}
    /// A selector's word on a region: its value, weight and what it adds to the score.
    fn score(&mut self, _: RegionIdx, _: &'static str, _: f64, _: f64, _: f64) {}
    /// The bias that the last word on a region took in.
    fn biased(&mut self, _: i8) {}
}

/// Watches nothing.
pub(crate) struct Silent;

impl Recorder for Silent {}
