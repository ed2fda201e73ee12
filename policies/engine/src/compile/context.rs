//! What a whole compile shares: indices over the topology, distances, model values.

use std::borrow::Cow;
use std::ops::Range;

use meridian_topology::model::Region;
use meridian_topology::units::Millis;
use meridian_topology::{Coordinates, EndpointIdx, Label, PolicyId, RegionIdx, ServiceIdx};

use super::shapes::Place;
use crate::class::ClassId;
use crate::hash;
use crate::plan::ServicePlan;
use crate::policy::{MAX_REQUIRED_LABELS, Policy, Wall};
use crate::scores::ScoreTable;
use crate::world::World;

/// Round trip at distance zero: access network, last mile and the server's stack, in milliseconds.
///
/// With [`MS_PER_KM`] the median fit (least absolute error) over the 380 directed pairs of 21 AWS
/// regions in skyplane's `latency.csv` of April 2022; mean error 29 ms. Light in fibre needs 0.01 ms
/// a kilometre there and back, so routes are about 1.6 times as long as great circles.
const BASE_MS: f32 = 8.0;
/// Round trip for each kilometre of great-circle distance, in milliseconds.
const MS_PER_KM: f32 = 0.0156;
/// Baseline for a client whose place is unknown: the same everywhere, so that it orders nothing.
const UNKNOWN_BASELINE_MS: f32 = 100.0;
/// Mean radius of the Earth in kilometres (IUGG R1), as `Coordinates::distance_km` has it.
const EARTH_RADIUS_KM: f32 = 6_371.009;

/// The round trip to expect from distance alone, in milliseconds; NaN is an unknown distance.
pub(crate) fn baseline_ms(km: f32) -> f32 {
    if km.is_nan() {
        UNKNOWN_BASELINE_MS
    } else {
        BASE_MS + MS_PER_KM * km
    }
}

/// What a whole compile shares.
pub(crate) struct Context<'w> {
    pub world: &'w World,
    /// Hash of each endpoint's id.
    pub endpoint_seeds: Vec<u64>,
    /// For each required label, its bit; an endpoint's labels as such bits.
    labels: Vec<&'w Label>,
    pub endpoint_labels: Vec<u64>,
    /// Whether each endpoint is healthy and in service.
    pub available: Vec<bool>,
    serving: Serving,
    policies: Vec<Cow<'w, Policy>>,
    region_points: Vec<[f32; 3]>,
    /// The score table's column of each region.
    columns: Vec<Option<usize>>,
    scores: Option<&'w ScoreTable>,
}

impl<'w> Context<'w> {
    pub fn new(world: &'w World) -> Self {
        let topology = &*world.topology;
        let labels = required_labels(world);
        let scores = world
            .scores
            .as_deref()
            .filter(|scores| scores.class_fingerprint() == world.classes.fingerprint());
        let column = |region: &Region| {
            scores?
                .regions()
                .iter()
                .position(|known| *known == region.id)
        };
        let nearest = |id: &PolicyId| Policy::nearest(id.clone());
        Self {
            world,
            endpoint_seeds: topology
                .endpoints
                .iter()
                .map(|endpoint| hash::bytes(endpoint.id.as_str().as_bytes()))
                .collect(),
            endpoint_labels: label_bits(world, &labels),
            labels,
            available: available(world),
            serving: Serving::new(world),
            policies: topology
                .services
                .iter()
                .map(|service| match world.policies.get(&service.policy) {
                    Some(policy) => Cow::Borrowed(policy),
                    None => Cow::Owned(nearest(&service.policy)),
                })
                .collect(),
            region_points: topology
                .regions
                .iter()
                .map(|region| unit_vector(&region.location.coordinates))
                .collect(),
            columns: topology.regions.iter().map(column).collect(),
            scores,
        }
    }

    /// A service's policy; the nearest region when the set lacks it.
    pub fn policy(&self, service: ServiceIdx) -> &Policy {
        &self.policies[service.index()]
    }

    /// How many regions there are.
    pub fn regions(&self) -> &'w [Region] {
        &self.world.topology.regions
    }

    /// The endpoints of a service in a region that have a weight.
    pub fn serving(&self, service: ServiceIdx, region: RegionIdx) -> &[u32] {
        let slot = service.index() * self.regions().len() + region.index();
        self.serving.of(slot..slot + 1)
    }

    /// The endpoints of a service that have a weight, region by region.
    pub fn serving_anywhere(&self, service: ServiceIdx) -> &[u32] {
        let regions = self.regions().len();
        let slot = service.index() * regions;
        self.serving.of(slot..slot + regions)
    }

    /// All endpoints of a region that have a weight.
    pub fn region_endpoints(&self, region: RegionIdx) -> impl Iterator<Item = EndpointIdx> + '_ {
        self.world.topology.endpoints_in(region).map(|(at, _)| at)
    }

    /// The bit of a required label.
    pub fn label_bit(&self, label: &Label) -> u64 {
        self.labels
            .iter()
            .position(|known| *known == label)
            .map_or(0, |at| 1 << at)
    }

    /// Distances and model values of a range of classes.
    pub fn rows(&self, classes: Range<usize>) -> Rows {
        let regions = self.regions().len();
        let mut km = Vec::with_capacity(classes.len() * regions);
        let mut model_ms = Vec::with_capacity(classes.len() * regions);
        for at in classes {
            match &self.world.classes.classes()[at].location {
                Some(location) => {
                    let from = unit_vector(location);
                    km.extend(self.region_points.iter().map(|to| arc_km(from, *to)));
                }
                None => km.extend(std::iter::repeat_n(f32::NAN, regions)),
            }
            let ms = |column: &Option<usize>| self.scores?.ms(ClassId(at as u32), (*column)?);
            model_ms.extend(
                self.columns
                    .iter()
                    .map(|column| ms(column).unwrap_or(f32::NAN)),
            );
        }
        Rows {
            regions,
            km,
            model_ms,
        }
    }

    /// What of a policy the plan keeps for a service.
    pub(super) fn service_plan(&self, at: usize, place: Place) -> ServicePlan {
        let policy = &self.policies[at];
        let threshold = policy.failover.panic_threshold.get() * 65_536.0;
        let ramps = policy.failover.failback.ramp.len() > 1;
        ServicePlan {
            id: self.world.topology.services[at].id.clone(),
            row: place.row,
            first_pool: place.first_pool,
            sticky: policy.spread.sticky,
            answers: policy.spread.answers,
            answers_at_least: policy.spread.answers_at_least.unwrap_or(0),
            min_live: u32::from(policy.failover.min_live),
            panic_threshold: threshold.round() as u32,
            min_live_regions: policy.failover.min_live_regions,
            when_none: policy.when_none.clone(),
            failback_hold: if ramps {
                policy.failover.failback.hold
            } else {
                Millis(0)
            },
        }
    }
}

/// Distances and model values by class and region, NaN where unknown.
pub(crate) struct Rows {
    regions: usize,
    km: Vec<f32>,
    model_ms: Vec<f32>,
}

/// One class's distances and model values.
#[derive(Clone, Copy)]
pub(crate) struct Row<'r> {
    pub km: &'r [f32],
    pub model_ms: &'r [f32],
}

impl Rows {
    pub fn of(&self, class: usize) -> Row<'_> {
        let range = class * self.regions..(class + 1) * self.regions;
        Row {
            km: &self.km[range.clone()],
            model_ms: &self.model_ms[range],
        }
    }
}

fn required_labels(world: &World) -> Vec<&Label> {
    let walls = world
        .policies
        .policies()
        .iter()
        .flat_map(|policy| &policy.eligible);
    let mut labels: Vec<&Label> = walls
        .filter_map(|eligible| match &eligible.wall {
            Wall::Compliance { require, .. } => Some(require),
            Wall::Provider { .. } | Wall::Regions { .. } => None,
        })
        .flatten()
        .collect();
    labels.sort_unstable();
    labels.dedup();
    // PolicySet::parse admits no more; an invented set that does loses nobody's wall, because a
    // label without a bit is one that no endpoint has.
    labels.truncate(MAX_REQUIRED_LABELS);
    labels
}

fn label_bits(world: &World, labels: &[&Label]) -> Vec<u64> {
    let regions = &world.topology.regions;
    let bits = |own: &[Label]| {
        let having = labels
            .iter()
            .enumerate()
            .filter(|(_, label)| own.contains(label));
        having.fold(0_u64, |bits, (at, _)| bits | 1 << at)
    };
    let of_regions: Vec<u64> = regions
        .iter()
        .map(|region| bits(&region.compliance))
        .collect();
    let endpoints = world.topology.endpoints.iter();
    endpoints
        .map(|e| bits(&e.compliance) | of_regions[e.region.index()])
        .collect()
}

fn available(world: &World) -> Vec<bool> {
    let topology = &world.topology;
    let drained: Vec<bool> = topology
        .regions
        .iter()
        .map(|r| r.drain.is_draining() || world.admin.drained_regions.contains(&r.id))
        .collect();
    let up = topology.endpoints.iter().map(|endpoint| {
        !drained[endpoint.region.index()]
            && !endpoint.drain.is_draining()
            && !world.admin.drained_endpoints.contains(&endpoint.id)
            && !world.health.down.contains(&endpoint.id)
    });
    up.collect()
}

/// For each service and region, the endpoints with a weight, in the topology's order: one list, and
/// where each pair's part of it begins.
struct Serving {
    first: Vec<u32>,
    members: Vec<u32>,
}

impl Serving {
    fn new(world: &World) -> Self {
        let topology = &world.topology;
        let regions = topology.regions.len();
        let endpoints = || {
            let weighted = topology.endpoints.iter().enumerate();
            weighted.filter(|(_, endpoint)| endpoint.weight.0 > 0)
        };
        let mut first = vec![0_u32; topology.services.len() * regions + 1];
        for (_, endpoint) in endpoints() {
            for service in &endpoint.services {
                first[service.index() * regions + endpoint.region.index() + 1] += 1;
            }
        }
        for at in 1..first.len() {
            first[at] += first[at - 1];
        }
        let mut next = first.clone();
        let mut members = vec![0; first[first.len() - 1] as usize];
        for (at, endpoint) in endpoints() {
            for service in &endpoint.services {
                let slot = &mut next[service.index() * regions + endpoint.region.index()];
                members[*slot as usize] = at as u32;
                *slot += 1;
            }
        }
        Self { first, members }
    }

    fn of(&self, slots: Range<usize>) -> &[u32] {
        &self.members[self.first[slots.start] as usize..self.first[slots.end] as usize]
    }
}

fn unit_vector(at: &Coordinates) -> [f32; 3] {
    let (latitude, longitude) = (at.latitude().to_radians(), at.longitude().to_radians());
    [
        (latitude.cos() * longitude.cos()) as f32,
        (latitude.cos() * longitude.sin()) as f32,
        latitude.sin() as f32,
    ]
}

/// Great-circle distance from the chord between two points, which stays exact for close points like
/// the haversine formula and needs no trigonometry for each pair but one arc sine.
fn arc_km(a: [f32; 3], b: [f32; 3]) -> f32 {
    let (x, y, z) = (a[0] - b[0], a[1] - b[1], a[2] - b[2]);
    let half_chord = (x * x + y * y + z * z).sqrt() / 2.0;
    2.0 * EARTH_RADIUS_KM * half_chord.min(1.0).asin()
}
