//! What the clients of each continent are answered: the plan's pick for a sample of their classes.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use meridian_engine::{ClassId, ClassTable, ClientKey, Fallback, Pick, Reason};
use meridian_live::Published;
use meridian_topology::country::Continent;
use meridian_topology::{DnsAnswer, RegionIdx, ServiceIdx};
use serde::Serialize;

/// Classes of one continent that are looked at, evenly taken from all of its.
pub const CLASSES_PER_CONTINENT_MAX: usize = 64;

/// What one continent is answered.
#[derive(Clone, Debug, Serialize)]
pub struct ContinentAnswer {
    /// `europe`, …, or `unknown` for clients of whom no country is known.
    pub continent: &'static str,
    /// Client classes of the continent.
    pub classes: usize,
    /// Those that were looked at, at most [`CLASSES_PER_CONTINENT_MAX`].
    pub looked_at: usize,
    /// Those of them that nobody may or can serve.
    pub nobody: usize,
    /// The regions of their first address, most classes first.
    pub regions: Vec<RegionShare>,
    /// One of the classes, and what it is answered.
    pub example: Example,
}

/// A region and the share of the looked-at classes that it serves.
#[derive(Clone, Debug, Serialize)]
pub struct RegionShare {
    /// The region.
    pub region: String,
    /// 0 to 1.
    pub share: f64,
}

/// One class and its answer.
#[derive(Clone, Debug, Serialize)]
pub struct Example {
    /// Its country, when one is known.
    pub country: Option<String>,
    /// The first address or name; `None` when nobody may serve.
    pub answer: Option<String>,
    /// Why.
    pub reason: Option<Reason>,
}

/// A class and its country.
type Sampled = (ClassId, Option<String>);

/// The classes of a table by continent.
pub(super) struct Continents {
    /// Name, how many there are, and the sample.
    groups: Vec<(&'static str, usize, Vec<Sampled>)>,
}

impl Continents {
    pub(super) fn of(classes: &ClassTable) -> Self {
        let mut by_name: BTreeMap<&'static str, Vec<Sampled>> = BTreeMap::new();
        for (at, class) in classes.classes().iter().enumerate() {
            let Ok(at) = u32::try_from(at) else { break };
            let name = class.continent().map_or("unknown", Continent::name);
            let country = class.country.map(|country| country.to_string());
            by_name
                .entry(name)
                .or_default()
                .push((ClassId(at), country));
        }
        let groups = by_name
            .into_iter()
            .map(|(name, all)| {
                let every = all.len().div_ceil(CLASSES_PER_CONTINENT_MAX).max(1);
                let sample = all.iter().step_by(every).cloned().collect();
                (name, all.len(), sample)
            })
            .collect();
        Self { groups }
    }

    /// What each continent is answered for a service.
    pub(super) fn answers(
        &self,
        published: &Published,
        service: ServiceIdx,
    ) -> Vec<ContinentAnswer> {
        self.groups
            .iter()
            .map(|(name, classes, sample)| {
                let picks: Vec<Option<Pick>> = sample
                    .iter()
                    .map(|(class, _)| pick(published, service, *class))
                    .collect();
                ContinentAnswer {
                    continent: name,
                    classes: *classes,
                    looked_at: picks.len(),
                    nobody: picks.iter().filter(|pick| pick.is_none()).count(),
                    regions: shares(published, &picks),
                    example: example(published, service, sample, &picks),
                }
            })
            .collect()
    }
}

/// The pick of a made-up client of the class: each class another one, so that shares show.
fn pick(published: &Published, service: ServiceIdx, class: ClassId) -> Option<Pick> {
    let key = ClientKey::from_ip(IpAddr::V4(Ipv4Addr::from_bits(class.0)), 32);
    published.plan.pick(service, class, key, &published.bits)
}

fn shares(published: &Published, picks: &[Option<Pick>]) -> Vec<RegionShare> {
    let mut counts: BTreeMap<RegionIdx, usize> = BTreeMap::new();
    for pick in picks.iter().flatten() {
        *counts.entry(pick.region).or_default() += 1;
    }
    let mut counts: Vec<(RegionIdx, usize)> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let regions = &published.world.topology.regions;
    counts
        .into_iter()
        .map(|(region, count)| RegionShare {
            region: regions[region.index()].id.to_string(),
            share: count as f64 / picks.len() as f64,
        })
        .collect()
}

/// The first class of the sample that is served, else the first.
fn example(
    published: &Published,
    service: ServiceIdx,
    sample: &[Sampled],
    picks: &[Option<Pick>],
) -> Example {
    let at = picks.iter().position(Option::is_some).unwrap_or(0);
    let pick = picks.get(at).copied().flatten();
    let topology = &published.world.topology;
    let dns = topology.services[service.index()].dns.as_ref();
    let answer = match (pick, dns.map(|dns| &dns.answer)) {
        (Some(pick), Some(DnsAnswer::Cname { targets })) => targets
            .iter()
            .find(|(region, _)| *region == pick.region)
            .map(|(_, name)| name.to_string()),
        (Some(pick), _) => Some(
            topology.endpoints[pick.endpoint.index()]
                .address
                .to_string(),
        ),
        (None, _) => match published.plan.fallback(service) {
            Fallback::Static(addresses) => addresses.first().map(ToString::to_string),
            Fallback::Closed => None,
        },
    };
    Example {
        country: sample.get(at).and_then(|(_, country)| country.clone()),
        answer,
        reason: pick.map(|pick| pick.reason),
    }
}
