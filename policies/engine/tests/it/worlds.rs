//! Random worlds: small, crowded and unhealthy, so that every branch of a decision is met often.

use std::net::IpAddr;
use std::sync::Arc;

use meridian_engine::class::{ClassTable, ClassTableBuilder, ClientClass};
use meridian_engine::policy::{
    Eligible, Failback, Failover, Model, Policy, PolicySet, Selector, SelectorKind, Split, Spread,
    Sticky, UnknownClient, Wall, When, WhenNone,
};
use meridian_engine::{MinuteOfDay, ScoreTable, World};
use meridian_topology::model::{Cost, Drain, Endpoint, Location, Region, Service, Traffic};
use meridian_topology::units::{
    Millis, Ratio, RequestsPerSecond, UsdPerGib, UsdPerMillionRequests, Weight,
};
use meridian_topology::{Coordinates, Label, Place, RegionId, RegionIdx, ServiceIdx, Topology};

/// Numbers from a seed (splitmix64), so that a failing world can be made again.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    pub fn happens(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    pub fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())]
    }

    fn some_of(&mut self, list: &[&str], share: f64) -> Vec<String> {
        list.iter()
            .filter(|_| self.happens(share))
            .map(|item| (*item).to_owned())
            .collect()
    }
}

const LABELS: &[&str] = &["gdpr", "pci", "hipaa"];
const PLACES: &[&str] = &["EU", "EEA", "DE", "US", "continent:asia", "provider:aws"];
const COUNTRIES: &[&str] = &["DE", "FR", "US", "JP", "BR", "ZA", "NO"];
const PROVIDERS: &[&str] = &["aws", "gcp", "own"];

fn labels(chance: &mut Chance, share: f64) -> Vec<Label> {
    chance
        .some_of(LABELS, share)
        .iter()
        .map(|label| label.parse().unwrap())
        .collect()
}

fn places(chance: &mut Chance, share: f64) -> Vec<Place> {
    chance
        .some_of(PLACES, share)
        .iter()
        .map(|place| place.parse().unwrap())
        .collect()
}

pub fn ratio(value: f64) -> Ratio {
    Ratio::new(value).unwrap()
}

pub fn random_world(seed: u64) -> World {
    let mut chance = Chance::new(seed);
    let topology = topology(&mut chance);
    let classes = classes(&mut chance);
    let policies = (0..2).map(|at| policy(&mut chance, at, &topology));
    let policies = PolicySet::new(policies.collect::<Vec<_>>());
    let scores = scores(&mut chance, &topology, &classes);
    let mut world = World::new(Arc::new(topology), Arc::new(policies), Arc::new(classes));
    world.scores = scores.map(Arc::new);
    world.time = MinuteOfDay::new(chance.below(1_440) as u16);
    disturb(&mut world, &mut chance);
    world
}

/// Other health, load and drains in the same topology.
pub fn disturb(world: &mut World, chance: &mut Chance) {
    let down = chance.one_of(&[0.0, 0.1, 0.5, 0.9, 1.0]);
    world.health.down = world
        .topology
        .endpoints
        .iter()
        .filter(|_| chance.happens(down))
        .map(|endpoint| endpoint.id.clone())
        .collect();
    let regions: Vec<RegionId> = world
        .topology
        .regions
        .iter()
        .map(|r| r.id.clone())
        .collect();
    world.health.ramp.clear();
    world.admin.drained_regions.clear();
    world.load.utilization.clear();
    for region in regions {
        if chance.happens(0.2) {
            world
                .health
                .ramp
                .insert(region.clone(), ratio(chance.unit()));
        }
        if chance.happens(0.1) {
            world.admin.drained_regions.insert(region.clone());
        }
        world.load.utilization.insert(region, chance.unit() * 1.3);
    }
    world.admin.drained_endpoints = world
        .topology
        .endpoints
        .iter()
        .filter(|_| chance.happens(0.05))
        .map(|endpoint| endpoint.id.clone())
        .collect();
}

fn topology(chance: &mut Chance) -> Topology {
    let regions = 1 + chance.below(12);
    let services = 1 + chance.below(3);
    let mut endpoints = Vec::new();
    for region in 0..regions {
        for at in 0..chance.below(6) {
            endpoints.push(endpoint(chance, region, at, services));
        }
    }
    Topology {
        regions: (0..regions).map(|at| region(chance, at)).collect(),
        endpoints,
        services: (0..services)
            .map(|at| service(at, chance.below(2)))
            .collect(),
        ..Topology::default()
    }
}

fn region(chance: &mut Chance, at: usize) -> Region {
    let cost = |chance: &mut Chance| Cost {
        egress: UsdPerGib::new(0.2 * chance.unit()).unwrap(),
        request: UsdPerMillionRequests::new(chance.unit()).unwrap(),
    };
    Region {
        id: format!("r{at:02}").parse().unwrap(),
        location: Location {
            region: format!("place {at}"),
            zone: None,
            country: chance.one_of(COUNTRIES).parse().unwrap(),
            coordinates: Coordinates::new(
                chance.unit() * 120.0 - 60.0,
                chance.unit() * 360.0 - 180.0,
            )
            .unwrap(),
            provider: chance.one_of(PROVIDERS).parse().unwrap(),
        },
        zones: Vec::new(),
        compliance: labels(chance, 0.5),
        capacity: chance
            .happens(0.7)
            .then(|| RequestsPerSecond::new(100.0).unwrap()),
        cost: cost(chance),
        priority: chance.one_of(&[0, 0, 0, 1]),
        drain: if chance.happens(0.05) {
            Drain::Draining
        } else {
            Drain::Serving
        },
    }
}

fn endpoint(chance: &mut Chance, region: usize, at: usize, services: usize) -> Endpoint {
    Endpoint {
        id: format!("r{region:02}-e{at}").parse().unwrap(),
        region: RegionIdx(region as u16),
        zone: None,
        address: if chance.happens(0.3) {
            IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, region as u16, at as u16])
        } else {
            IpAddr::from([10, 0, region as u8, at as u8])
        },
        port: 80,
        services: (0..services)
            .filter(|_| chance.happens(0.8))
            .map(|s| ServiceIdx(s as u16))
            .collect(),
        weight: Weight(chance.one_of(&[0, 1, 50, 100, 100, 100, 300])),
        capacity: None,
        cost: None,
        compliance: labels(chance, 0.3),
        drain: Drain::Serving,
        health_checks: Vec::new(),
    }
}

fn service(at: usize, policy: usize) -> Service {
    Service {
        id: format!("s{at}").parse().unwrap(),
        policy: format!("p{policy}").parse().unwrap(),
        dns: None,
        traffic: Traffic::default(),
        http: Vec::new(),
        tcp: Vec::new(),
        udp: Vec::new(),
        vips: Vec::new(),
        health_checks: Vec::new(),
    }
}

fn when(chance: &mut Chance) -> When {
    When {
        client_in: if chance.happens(0.6) {
            places(chance, 0.4)
        } else {
            Vec::new()
        },
        client_not_in: if chance.happens(0.2) {
            places(chance, 0.3)
        } else {
            Vec::new()
        },
        unknown: chance.one_of(&[UnknownClient::Apply, UnknownClient::Skip]),
    }
}

fn policy(chance: &mut Chance, at: usize, topology: &Topology) -> Policy {
    let mut eligible = Vec::new();
    for _ in 0..chance.below(3) {
        let wall = if chance.happens(0.7) {
            let (require, within) = (labels(chance, 0.4), Vec::new());
            let within = if chance.happens(0.3) {
                places(chance, 0.5)
            } else {
                within
            };
            Wall::Compliance { require, within }
        } else {
            let prefer = chance.some_of(PROVIDERS, 0.5);
            let forbid = chance.some_of(PROVIDERS, 0.2);
            Wall::Provider {
                prefer: prefer.iter().map(|p| p.parse().unwrap()).collect(),
                forbid: forbid.iter().map(|p| p.parse().unwrap()).collect(),
                weight: chance.unit(),
            }
        };
        eligible.push(Eligible {
            when: when(chance),
            wall,
        });
    }
    if chance.happens(0.4) {
        let wall = regions_wall(chance, topology);
        let when = when(chance);
        eligible.push(Eligible { when, wall });
    }
    let kinds = selector_kinds(chance, topology);
    let mut score = Vec::new();
    for kind in kinds {
        if chance.happens(0.6) {
            score.push(Selector {
                weight: chance.unit(),
                when: when(chance),
                kind,
            });
        }
    }
    let mut ids: Vec<RegionId> = topology.regions.iter().map(|r| r.id.clone()).collect();
    let weights = if chance.happens(0.15) {
        ids.iter()
            .take(3)
            .map(|id| (id.clone(), 1 + chance.below(99) as u16))
            .collect()
    } else {
        Vec::new()
    };
    ids.truncate(chance.below(4));
    Policy {
        id: format!("p{at}").parse().unwrap(),
        description: String::new(),
        eligible,
        score,
        tiers: if chance.happens(0.3) {
            vec![ids]
        } else {
            Vec::new()
        },
        spread: Spread {
            best_within: Millis(chance.one_of(&[0, 10, 50])),
            at_most: 1 + chance.below(4) as u8,
            split: chance.one_of(Split::ALL),
            weights,
            sticky: chance.one_of(Sticky::ALL),
            answers: 1 + chance.below(4) as u8,
            answers_at_least: chance.happens(0.5).then_some(1),
        },
        failover: Failover {
            panic_threshold: ratio(chance.one_of(&[0.0, 0.3, 0.8])),
            min_live: 1 + chance.below(3) as u16,
            min_live_regions: 1 + chance.below(3) as u8,
            failback: Failback::default(),
        },
        when_none: match chance.below(4) {
            0 => WhenNone::Closed,
            1 => WhenNone::LastResort,
            2 => WhenNone::IgnoreHealth,
            _ => WhenNone::Static([IpAddr::from([192, 0, 2, 1])].into()),
        },
    }
}

fn some_regions(chance: &mut Chance, topology: &Topology, share: f64) -> Vec<RegionId> {
    let regions = topology.regions.iter();
    let mut some: Vec<RegionId> = regions
        .filter(|_| chance.happens(share))
        .map(|region| region.id.clone())
        .collect();
    if chance.happens(0.5) {
        some.reverse();
    }
    some
}

fn regions_wall(chance: &mut Chance, topology: &Topology) -> Wall {
    Wall::Regions {
        first: some_regions(chance, topology, 0.2),
        only: if chance.happens(0.3) {
            some_regions(chance, topology, 0.6)
        } else {
            Vec::new()
        },
        never: some_regions(chance, topology, 0.1),
    }
}

fn selector_kinds(chance: &mut Chance, topology: &Topology) -> [SelectorKind; 5] {
    [
        SelectorKind::Performance {
            model: chance.one_of(Model::ALL),
            bound: 1.0 + 2.0 * chance.unit(),
            scale: Millis(100),
            slo: chance.happens(0.4).then_some(Millis(80)),
        },
        SelectorKind::Geographic {
            scale_km: 5_000.0,
            bias: some_regions(chance, topology, 0.3)
                .into_iter()
                .map(|region| (region, (chance.unit() * 198.0 - 99.0) as i8))
                .collect(),
        },
        SelectorKind::Cost {
            response_bytes: 100_000,
            scale: UsdPerMillionRequests::new(10.0).unwrap(),
        },
        SelectorKind::Capacity {
            target: ratio(0.5),
            max: ratio(0.9),
        },
        SelectorKind::Daytime {
            from: 8.0,
            to: 20.0,
        },
    ]
}

/// One class for each country, one without a place, one that is only a network.
fn classes(chance: &mut Chance) -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for (at, country) in COUNTRIES.iter().enumerate() {
        let class = ClientClass::default().in_country(country.parse().unwrap());
        builder
            .insert(format!("10.{at}.0.0/16").parse().unwrap(), class)
            .unwrap();
    }
    let provider = chance.one_of(PROVIDERS).parse().unwrap();
    let class = ClientClass {
        provider: Some(provider),
        ..ClientClass::default()
    };
    builder
        .insert("10.99.0.0/16".parse().unwrap(), class)
        .unwrap();
    builder.build().unwrap()
}

fn scores(chance: &mut Chance, topology: &Topology, classes: &ClassTable) -> Option<ScoreTable> {
    if chance.happens(0.3) {
        return None;
    }
    let rows = classes.classes().len();
    let regions: Vec<_> = topology
        .regions
        .iter()
        .rev()
        .map(|region| region.id.clone())
        .collect();
    let values = (0..rows * regions.len())
        .map(|_| {
            if chance.happens(0.2) {
                u16::MAX
            } else {
                chance.below(5_000) as u16
            }
        })
        .collect();
    // A table of other classes must be ignored, not misread.
    let fingerprint = classes.fingerprint() ^ u64::from(chance.happens(0.1));
    Some(ScoreTable::new("random", fingerprint, rows, regions, values).unwrap())
}

/// A client of one of the classes, or of none.
pub fn client(chance: &mut Chance) -> IpAddr {
    let second = chance.one_of(&[0, 1, 2, 3, 4, 5, 6, 99, 200]);
    IpAddr::from([10, second, chance.below(256) as u8, chance.below(256) as u8])
}
