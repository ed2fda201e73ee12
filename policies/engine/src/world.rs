//! The world: everything a decision depends on, as plain data.
//!
//! A world can be serialized, compared, replayed and invented by a test. It has no clock: the time of
//! day and the tick are written into it by whoever keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use meridian_topology::units::Ratio;
use meridian_topology::{EndpointId, RegionId, Topology};
use serde::{Deserialize, Serialize};

use crate::class::ClassTable;
use crate::policy::PolicySet;
use crate::scores::ScoreTable;

/// Minutes in a day.
const MINUTES_PER_DAY: u16 = 24 * 60;

/// Everything a decision depends on.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct World {
    /// What exists.
    pub topology: Arc<Topology>,
    /// How to choose.
    pub policies: Arc<PolicySet>,
    /// Who asks.
    pub classes: Arc<ClassTable>,
    /// What works.
    pub health: Health,
    /// How busy it is.
    pub load: Load,
    /// What a model expects; `None` falls back to distance.
    pub scores: Option<Arc<ScoreTable>>,
    /// What operators took out of service.
    pub admin: AdminState,
    /// The time of day, for policies that follow the sun.
    pub time: MinuteOfDay,
    /// Counts the writer's changes; decisions do not depend on it.
    pub tick: u64,
}

impl World {
    /// A world in which everything is up, idle and in service.
    #[must_use]
    pub fn new(
        topology: Arc<Topology>,
        policies: Arc<PolicySet>,
        classes: Arc<ClassTable>,
    ) -> Self {
        Self {
            topology,
            policies,
            classes,
            health: Health::default(),
            load: Load::default(),
            scores: None,
            admin: AdminState::default(),
            time: MinuteOfDay::default(),
            tick: 0,
        }
    }
}

/// Whether an endpoint answers its health checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndpointState {
    /// It does, or nobody has said otherwise yet.
    Up,
    /// It does not.
    Down,
}

/// What works: endpoints are up unless listed, regions take all their clients unless listed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Health {
    /// Endpoints that fail their checks.
    pub down: BTreeSet<EndpointId>,
    /// The share of their clients that regions on their way back take already.
    pub ramp: BTreeMap<RegionId, Ratio>,
    /// When endpoints that are or were down last changed, in Unix seconds. Decisions do not depend on
    /// it; how long an answer may be kept does.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub changed: BTreeMap<EndpointId, u32>,
}

impl Health {
    /// Records an endpoint's state.
    pub fn set(&mut self, endpoint: EndpointId, state: EndpointState) {
        match state {
            EndpointState::Up => self.down.remove(&endpoint),
            EndpointState::Down => self.down.insert(endpoint),
        };
    }
}

/// How busy regions are: the share of their capacity in use, above 1 when overloaded. A region that
/// is not listed counts as idle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Load {
    /// Utilisation by region.
    pub utilization: BTreeMap<RegionId, f64>,
}

/// What operators took out of service: no new clients, old ones finish.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AdminState {
    /// Drained regions, beside those the topology drains.
    pub drained_regions: BTreeSet<RegionId>,
    /// Drained endpoints, beside those the topology drains.
    pub drained_endpoints: BTreeSet<EndpointId>,
}

/// A time of day in UTC, in minutes since midnight.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct MinuteOfDay(u16);

impl MinuteOfDay {
    /// The minute of a day; whole days are taken off.
    #[must_use]
    pub const fn new(minutes: u16) -> Self {
        Self(minutes % MINUTES_PER_DAY)
    }

    /// The time of day at a Unix time in seconds.
    #[must_use]
    pub const fn from_unix_seconds(seconds: u64) -> Self {
        // The remainder is below 1,440.
        Self((seconds / 60 % MINUTES_PER_DAY as u64) as u16)
    }

    /// Hours since midnight, with their fraction.
    #[must_use]
    pub fn hours(self) -> f64 {
        f64::from(self.0) / 60.0
    }

    /// The mean solar hour at a longitude in degrees east: an hour for every fifteen degrees.
    #[must_use]
    pub fn solar_hour(self, longitude: f64) -> f64 {
        (self.hours() + longitude / 15.0).rem_euclid(24.0)
    }
}
