//! Drains: no new clients, old ones finish.

use std::collections::BTreeSet;
use std::fmt;

use meridian_engine::{AdminState, World};
use meridian_topology::{Endpoint, RegionIdx, ServiceIdx, Topology};
use serde::{Deserialize, Serialize};

use crate::handle::ChangeError;

/// What is drained.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainTarget {
    /// A whole region, by id.
    Region(String),
    /// One endpoint, by id.
    Endpoint(String),
}

impl fmt::Display for DrainTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(id) => write!(f, "region {id}"),
            Self::Endpoint(id) => write!(f, "endpoint {id}"),
        }
    }
}

/// An administrator's wish to send no new clients somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// What is drained.
    pub target: DrainTarget,
    /// Why, in the administrator's words.
    pub reason: String,
}

/// Whether a drain may leave a service with fewer live regions than its policy asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Safety {
    /// It may not.
    On,
    /// It may: the administrator insists.
    Off,
}

/// Drains as the engine sees them: those of regions and endpoints that exist.
pub(crate) fn admin_of(drains: &[Drain], topology: &Topology) -> AdminState {
    let mut admin = AdminState::default();
    for drain in drains {
        match &drain.target {
            DrainTarget::Region(id) => admin.drained_regions.extend(
                topology
                    .regions
                    .iter()
                    .map(|region| &region.id)
                    .find(|known| known.as_str() == id)
                    .cloned(),
            ),
            DrainTarget::Endpoint(id) => admin.drained_endpoints.extend(
                topology
                    .endpoints
                    .iter()
                    .map(|endpoint| &endpoint.id)
                    .find(|known| known.as_str() == id)
                    .cloned(),
            ),
        }
    }
    admin
}

/// Refuses a drain that leaves a service too few live regions. A service that has too few
/// already is not held against a drain that takes none of them.
pub(crate) fn check_safe(world: &World, target: &DrainTarget) -> Result<(), ChangeError> {
    for (at, service) in world.topology.services.iter().enumerate() {
        let (Some(index), Some(policy)) = (
            ServiceIdx::from_index(at),
            world.policies.get(&service.policy),
        ) else {
            continue;
        };
        let before = live_regions(world, index, None);
        let left = live_regions(world, index, Some(target));
        let asked = usize::from(policy.failover.min_live_regions);
        if left.len() < asked && left.len() < before.len() {
            return Err(ChangeError::TooFewLeft {
                target: target.clone(),
                service: service.id.to_string(),
                left: left.len(),
                asked,
            });
        }
    }
    Ok(())
}

/// Regions where the service has an endpoint that takes new clients, once `without` is drained.
fn live_regions(
    world: &World,
    service: ServiceIdx,
    without: Option<&DrainTarget>,
) -> BTreeSet<RegionIdx> {
    let drained = |endpoint: &Endpoint| {
        let region = &world.topology.regions[endpoint.region.index()];
        let by_target = without.is_some_and(|target| match target {
            DrainTarget::Region(id) => region.id.as_str() == id,
            DrainTarget::Endpoint(id) => endpoint.id.as_str() == id,
        });
        by_target
            || endpoint.drain.is_draining()
            || region.drain.is_draining()
            || world.admin.drained_regions.contains(&region.id)
            || world.admin.drained_endpoints.contains(&endpoint.id)
    };
    world
        .topology
        .endpoints_of(service)
        .map(|(_, endpoint)| endpoint)
        .filter(|endpoint| !world.health.down.contains(&endpoint.id) && !drained(endpoint))
        .map(|endpoint| endpoint.region)
        .collect()
}
