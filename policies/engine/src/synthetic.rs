//! Worlds of any size, for benchmarks and tests; equal arguments give equal worlds.
//!
//! Regions lie where a golden spiral over the inhabited latitudes puts them, every endpoint serves
//! every service, one endpoint in sixteen lacks the compliance label, and services take turns with
//! four policies (nearest, weighted score with a model, compliance for a part of the clients, several
//! regions by capacity), so that pools, masks and routes all differ as they do in life. Classes are
//! countries cut into places. Addresses of class n are `n` in the upper bits of `1.0.0.0/8` onwards.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};
use meridian_topology::country::Country;
use meridian_topology::model::{Cost, Drain, Endpoint, Location, Region, Service, Traffic};
use meridian_topology::units::{
    Millis, Ratio, RequestsPerSecond, UsdPerGib, UsdPerMillionRequests, Weight,
};
use meridian_topology::{Coordinates, Label, Place, RegionIdx, ServiceIdx, Topology};

use crate::class::{ClassTable, ClassTableBuilder, ClientClass, MAX_CLASSES};
use crate::hash::draw;
use crate::policy::{
    DEFAULT_BOUND, DEFAULT_RESPONSE_BYTES, DEFAULT_SCALE_KM, DEFAULT_SCALE_MS, DEFAULT_SCALE_USD,
    Eligible, Model, Policy, PolicySet, Selector, SelectorKind, Split, Spread, Wall, When,
};
use crate::scores::ScoreTable;
use crate::world::World;

const VALID: &str = "made of lower-case letters, digits and dashes";
const IN_RANGE: &str = "constants and remainders within the unit's bounds";
/// One endpoint in this many lacks the compliance label.
const UNLABELLED: u64 = 16;
/// Different policies that services take turns with.
const POLICIES: usize = 4;

/// Different sets of regions that tenants take turns with.
pub const FOOTPRINTS: usize = 64;

/// How large a synthetic world is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Number of regions, at most 65,535.
    pub regions: usize,
    /// Endpoints in each region; each serves all services.
    pub endpoints_per_region: usize,
    /// Number of services, at most 65,535.
    pub services: usize,
    /// Number of client classes beside the unknown one; cut to [`MAX_CLASSES`] in all.
    pub classes: usize,
}

/// A world of the given size.
#[must_use]
pub fn world(
    regions: usize,
    endpoints_per_region: usize,
    services: usize,
    classes: usize,
    seed: u64,
) -> World {
    sized(
        Size {
            regions,
            endpoints_per_region,
            services,
            classes,
        },
        seed,
    )
}

/// A world of the given size.
#[must_use]
pub fn sized(size: Size, seed: u64) -> World {
    world_of(size, endpoints(size, seed), seed)
}

/// A world of tenants: every service has one machine of its own in each region of one of
/// [`FOOTPRINTS`] sets of regions, so that no two services share an endpoint, let alone a pool.
#[must_use]
pub fn tenants(regions: usize, services: usize, classes: usize, seed: u64) -> World {
    let size = Size {
        regions,
        endpoints_per_region: services,
        services,
        classes,
    };
    let mut endpoints = Vec::new();
    for region in 0..regions {
        for service in (0..services).filter(|at| is_in_footprint(region, regions, *at, seed)) {
            let services = vec![ServiceIdx(service as u16)];
            let number = endpoints.len();
            endpoints.push(endpoint(region, number, number, services, seed));
        }
    }
    world_of(size, endpoints, seed)
}

/// Whether a service is served in a region: in about one of eight, and in one at least.
fn is_in_footprint(region: usize, regions: usize, service: usize, seed: u64) -> bool {
    let footprint = (service / POLICIES) % FOOTPRINTS;
    let drawn = draw(seed ^ 0xf007 ^ footprint as u64, region as u64).is_multiple_of(8);
    drawn || footprint % regions == region
}

fn world_of(size: Size, endpoints: Vec<Endpoint>, seed: u64) -> World {
    let topology = Topology {
        regions: (0..size.regions)
            .map(|at| region(at, size.regions, seed))
            .collect(),
        endpoints,
        services: (0..size.services).map(service).collect(),
        ..Topology::default()
    };
    let classes = class_table(size.classes.min(MAX_CLASSES - 1), seed);
    let scores = scores(&topology, &classes, seed);
    let policies = PolicySet::new((0..POLICIES).map(policy));
    let mut world = World::new(Arc::new(topology), Arc::new(policies), Arc::new(classes));
    for (at, region) in world.topology.regions.iter().enumerate() {
        let utilization = unit(draw(seed, 7_000 + at as u64)) * 0.8;
        world
            .load
            .utilization
            .insert(region.id.clone(), utilization);
    }
    world.scores = Some(Arc::new(scores));
    world
}

/// An address of the class with this number in a synthetic world; 0 is the unknown class.
#[must_use]
pub fn address_of(class: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(net_of(class).addr().to_bits() | 7))
}

fn net_of(class: usize) -> Ipv4Net {
    let address = Ipv4Addr::from_bits(((class as u32) << 8).wrapping_add(1 << 24));
    Ipv4Net::new(address, 24).expect("24 is a prefix length of IPv4")
}

/// A number between 0 and 1 from a hash.
fn unit(hash: u64) -> f64 {
    (hash >> 11) as f64 / (1_u64 << 53) as f64
}

fn region(at: usize, of: usize, seed: u64) -> Region {
    let random = |stream: u64| unit(draw(seed ^ at as u64, stream));
    // Golden-angle spiral between 55° south and 65° north.
    let latitude = -55.0 + 120.0 * (at as f64 + 0.5) / of.max(1) as f64;
    let longitude = (at as f64 * 137.507_764 + 180.0).rem_euclid(360.0) - 180.0;
    let countries = Country::all();
    let country = &countries[draw(seed, at as u64) as usize % countries.len()];
    let provider = ["aws", "azure", "gcp"][at % 3];
    let labels: Vec<Label> = if at.is_multiple_of(2) {
        vec!["gdpr".parse().expect(VALID)]
    } else {
        Vec::new()
    };
    Region {
        id: format!("region-{at:05}").parse().expect(VALID),
        location: Location {
            region: format!("place {at}"),
            zone: None,
            country: country.code,
            coordinates: Coordinates::new(latitude, longitude).expect(IN_RANGE),
            provider: provider.parse().expect(VALID),
        },
        zones: Vec::new(),
        compliance: labels,
        capacity: RequestsPerSecond::new(1_000.0 + 9_000.0 * random(1)).ok(),
        cost: Cost {
            egress: UsdPerGib::new(0.02 + 0.1 * random(2)).expect(IN_RANGE),
            request: UsdPerMillionRequests::new(0.2 + 0.4 * random(3)).expect(IN_RANGE),
        },
        priority: 0,
        drain: Drain::default(),
    }
}

fn endpoints(size: Size, seed: u64) -> Vec<Endpoint> {
    let services: Vec<ServiceIdx> = (0..size.services).map(|at| ServiceIdx(at as u16)).collect();
    let all = 0..size.regions * size.endpoints_per_region;
    let per_region = size.endpoints_per_region;
    all.map(|number| {
        let (region, at) = (number / per_region, number % per_region);
        endpoint(region, at, number, services.clone(), seed)
    })
    .collect()
}

/// An endpoint, named after its region and `at`; `number` counts all of them.
fn endpoint(
    region: usize,
    at: usize,
    number: usize,
    services: Vec<ServiceIdx>,
    seed: u64,
) -> Endpoint {
    let labelled = !draw(seed, number as u64).is_multiple_of(UNLABELLED);
    let gdpr = || "gdpr".parse().expect(VALID);
    Endpoint {
        id: format!("endpoint-{region:05}-{at:06}")
            .parse()
            .expect(VALID),
        region: RegionIdx(region as u16),
        zone: None,
        address: IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 | number as u32)),
        port: 80,
        services,
        weight: Weight::default(),
        capacity: None,
        cost: None,
        compliance: labelled.then(gdpr).into_iter().collect(),
        drain: Drain::default(),
        health_checks: Vec::new(),
    }
}

fn service(at: usize) -> Service {
    Service {
        id: format!("service-{at:05}").parse().expect(VALID),
        policy: format!("policy-{}", at % POLICIES).parse().expect(VALID),
        dns: None,
        traffic: Traffic::default(),
        http: Vec::new(),
        tcp: Vec::new(),
        udp: Vec::new(),
        vips: Vec::new(),
        health_checks: Vec::new(),
    }
}

fn policy(at: usize) -> Policy {
    let id = format!("policy-{at}").parse().expect(VALID);
    let nearest = Policy::nearest(id);
    match at {
        0 => nearest,
        1 => Policy {
            score: weighted(),
            ..nearest
        },
        2 => Policy {
            eligible: vec![Eligible {
                when: When {
                    client_in: vec![Place::Eu],
                    ..When::default()
                },
                wall: Wall::Compliance {
                    require: vec!["gdpr".parse().expect(VALID)],
                    within: Vec::new(),
                },
            }],
            score: weighted(),
            ..nearest
        },
        _ => Policy {
            score: weighted(),
            spread: Spread {
                best_within: Millis(10),
                at_most: 3,
                split: Split::Capacity,
                ..Spread::default()
            },
            ..nearest
        },
    }
}

fn weighted() -> Vec<Selector> {
    let usd = UsdPerMillionRequests::new(DEFAULT_SCALE_USD).expect(IN_RANGE);
    let ratio = |value| Ratio::new(value).expect(IN_RANGE);
    let kinds = [
        (
            0.6,
            SelectorKind::Performance {
                model: Model::Latency,
                bound: DEFAULT_BOUND,
                scale: DEFAULT_SCALE_MS,
                slo: None,
            },
        ),
        (
            0.1,
            SelectorKind::Geographic {
                bias: Vec::new(),
                scale_km: DEFAULT_SCALE_KM,
            },
        ),
        (
            0.2,
            SelectorKind::Cost {
                response_bytes: DEFAULT_RESPONSE_BYTES,
                scale: usd,
            },
        ),
        (
            0.1,
            SelectorKind::Capacity {
                target: ratio(0.7),
                max: ratio(0.9),
            },
        ),
    ];
    let selector = |(weight, kind)| Selector {
        weight,
        when: When::default(),
        kind,
    };
    kinds.into_iter().map(selector).collect()
}

fn class_table(classes: usize, seed: u64) -> ClassTable {
    let countries = Country::all();
    let mut builder = ClassTableBuilder::new();
    for at in 1..=classes {
        let random = |stream: u64| draw(seed ^ 0xc1a5 ^ at as u64, stream);
        let country = &countries[random(1) as usize % countries.len()];
        let near = |degrees: f64, hash: u64, limit: f64| {
            (degrees + 8.0 * unit(hash) - 4.0).clamp(-limit, limit)
        };
        let latitude = near(country.centroid.latitude(), random(2), 90.0);
        let longitude = near(country.centroid.longitude(), random(3), 180.0);
        let class = ClientClass {
            country: Some(country.code),
            location: Coordinates::new(latitude, longitude).ok(),
            asn: Some(64_500 + at as u32),
            ..ClientClass::default()
        };
        builder
            .insert(IpNet::V4(net_of(at)), class)
            .expect("at most MAX_CLASSES - 1 classes beside the unknown one");
    }
    builder.build().expect("no class is added by building")
}

/// A model that is a little off the baseline, differently for every pair.
fn scores(topology: &Topology, classes: &ClassTable, seed: u64) -> ScoreTable {
    let regions: Vec<_> = topology
        .regions
        .iter()
        .map(|region| region.id.clone())
        .collect();
    let rows = classes.classes().len();
    let mut values = Vec::with_capacity(rows * regions.len());
    for (row, class) in classes.classes().iter().enumerate() {
        for (column, region) in topology.regions.iter().enumerate() {
            let Some(location) = &class.location else {
                values.push(crate::scores::UNKNOWN_SCORE);
                continue;
            };
            let km = location.distance_km(&region.location.coordinates) as f32;
            let noise = 0.7 + 0.6 * unit(draw(seed ^ 0x5c0e, (row << 16 | column) as u64)) as f32;
            values.push((crate::compile::baseline_ms(km) * noise * 10.0).min(65_000.0) as u16);
        }
    }
    ScoreTable::new("synthetic", classes.fingerprint(), rows, regions, values)
        .expect("a value was pushed for every pair")
}

#[cfg(test)]
mod tests;
