//! The status page: every zone, every steered name with its members, and what each continent is
//! answered at this moment.
//!
//! A deployment may have 10,000 services, so names come in pages ([`NAMES_PER_PAGE_MAX`]) and every
//! list inside a row has a bound: members [`MEMBERS_MAX`], classes looked at for each continent
//! [`CLASSES_PER_CONTINENT_MAX`], zones [`ZONES_MAX`], problems [`PROBLEMS_MAX`]. What a continent
//! is answered is the plan's own pick for those classes, with the health bits of this moment; classes
//! count alike, because nobody knows how many clients each has.

mod continents;
mod zone_rows;

use std::collections::BTreeMap;

use meridian_live::{EndpointStatus, Status};
use meridian_topology::{DnsAnswer, ServiceId, ServiceIdx, Topology};
use serde::Serialize;

use crate::zones::Zones;
use continents::Continents;

pub use continents::{CLASSES_PER_CONTINENT_MAX, ContinentAnswer, Example, RegionShare};
pub use zone_rows::{DnsSummary, PROBLEMS_MAX, ZONES_MAX, ZoneRow, summary};

/// Names on a page when nothing is said.
pub const NAMES_PER_PAGE: usize = 100;
/// Most names on a page.
pub const NAMES_PER_PAGE_MAX: usize = 500;
/// Most members listed for one name.
pub const MEMBERS_MAX: usize = 64;
/// Most flapping endpoints listed in the summary.
pub const FLAPPING_MAX: usize = 100;

/// Which names are wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct NamesWanted<'a> {
    /// Only those behind this one.
    pub after: Option<&'a str>,
    /// How many, 1 to [`NAMES_PER_PAGE_MAX`]; [`NAMES_PER_PAGE`] when nothing is said.
    pub limit: Option<usize>,
    /// Only those of this service.
    pub service: Option<&'a ServiceId>,
    /// Only those that contain this, in lower case.
    pub contains: Option<&'a str>,
}

/// A page of names, in alphabetical order.
#[derive(Clone, Debug, Serialize)]
pub struct NamesPage {
    /// The names.
    pub names: Vec<NameRow>,
    /// How many there are on all pages.
    pub total: usize,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<String>,
}

/// One steered name.
#[derive(Clone, Debug, Serialize)]
pub struct NameRow {
    /// The name.
    pub name: String,
    /// Its service.
    pub service: String,
    /// The service's policy.
    pub policy: String,
    /// `addresses` or `cname`.
    pub answer: &'static str,
    /// The configured TTL, in seconds.
    pub ttl: u32,
    /// The service's endpoints, at most [`MEMBERS_MAX`].
    pub members: Vec<MemberRow>,
    /// All of them.
    pub members_total: usize,
    /// Those that take new clients.
    pub serving: usize,
    /// Each continent with clients of a class of its own, and `unknown`.
    pub continents: Vec<ContinentAnswer>,
}

/// One endpoint of a name's service.
#[derive(Clone, Debug, Serialize)]
pub struct MemberRow {
    /// Its id.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// What answers carry.
    pub address: String,
    /// Its configured weight.
    pub weight: u16,
    /// `serving`, `down`, `ejected` or `drained`.
    pub state: &'static str,
    /// Why, in words.
    pub cause: String,
    /// Changes of its state in the last ten minutes.
    pub recent_transitions: usize,
    /// Whether it goes back and forth.
    pub flapping: bool,
}

/// An endpoint that goes back and forth.
#[derive(Clone, Debug, Serialize)]
pub struct FlappingRow {
    /// Its id.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// Changes of its state in the last ten minutes.
    pub recent_transitions: usize,
    /// The last one's cause.
    pub cause: String,
}

/// One page of names.
#[must_use]
pub fn names(zones: &Zones, status: &Status, wanted: NamesWanted<'_>) -> NamesPage {
    let published = zones.published();
    let topology = &published.world.topology;
    let found = matching(topology, wanted);
    let limit = wanted.limit.unwrap_or(NAMES_PER_PAGE);
    let limit = limit.clamp(1, NAMES_PER_PAGE_MAX);
    let begin = wanted.after.map_or(0, |after| {
        found.partition_point(|(name, _)| name.as_str() <= after)
    });
    let page = &found[begin..found.len().min(begin + limit)];
    let health = Members::new(topology, status);
    let continents = Continents::of(&published.world.classes);
    // Several names of one service are answered alike.
    let mut answers: BTreeMap<ServiceIdx, Vec<ContinentAnswer>> = BTreeMap::new();
    let names = page
        .iter()
        .map(|(name, service)| {
            let continents = answers
                .entry(*service)
                .or_insert_with(|| continents.answers(published, *service));
            row(topology, &health, name, *service, continents.clone())
        })
        .collect();
    let next = (begin + page.len() < found.len())
        .then(|| page.last().map(|(name, _)| name.clone()))
        .flatten();
    NamesPage {
        names,
        total: found.len(),
        next,
    }
}

/// Every name that is wanted on some page, with its service, in alphabetical order.
fn matching(topology: &Topology, wanted: NamesWanted<'_>) -> Vec<(String, ServiceIdx)> {
    let of_services = topology.services.iter().enumerate();
    let mut found: Vec<(String, ServiceIdx)> = of_services
        .filter(|(_, service)| wanted.service.is_none_or(|only| *only == service.id))
        .filter_map(|(at, service)| Some((ServiceIdx::from_index(at)?, service.dns.as_ref()?)))
        .flat_map(|(at, dns)| dns.names.iter().map(move |name| (name.to_string(), at)))
        .filter(|(name, _)| wanted.contains.is_none_or(|part| name.contains(part)))
        .collect();
    found.sort_unstable();
    found
}

fn row(
    topology: &Topology,
    health: &Members<'_>,
    name: &str,
    service: ServiceIdx,
    continents: Vec<ContinentAnswer>,
) -> NameRow {
    let known = &topology.services[service.index()];
    let members: Vec<MemberRow> = topology
        .endpoints_of(service)
        .map(|(at, _)| health.row(at.index()))
        .collect();
    let dns = known.dns.as_ref();
    NameRow {
        name: name.to_owned(),
        service: known.id.to_string(),
        policy: known.policy.to_string(),
        answer: match dns.map(|dns| &dns.answer) {
            Some(DnsAnswer::Cname { .. }) => "cname",
            _ => "addresses",
        },
        ttl: dns.map_or(0, |dns| dns.ttl.0),
        members_total: members.len(),
        serving: members.iter().filter(|it| it.state == "serving").count(),
        members: members.into_iter().take(MEMBERS_MAX).collect(),
        continents,
    }
}

/// The endpoints of a topology with what the node knows of each.
struct Members<'a> {
    topology: &'a Topology,
    /// Usually in the topology's order; by name when the two are of different moments.
    known: Vec<Option<&'a EndpointStatus>>,
}

impl<'a> Members<'a> {
    fn new(topology: &'a Topology, status: &'a Status) -> Self {
        let by_id: BTreeMap<&str, &EndpointStatus> = status
            .endpoints
            .iter()
            .map(|endpoint| (endpoint.id.as_str(), endpoint))
            .collect();
        let known = topology
            .endpoints
            .iter()
            .map(|endpoint| by_id.get(endpoint.id.as_str()).copied())
            .collect();
        Self { topology, known }
    }

    fn row(&self, at: usize) -> MemberRow {
        let endpoint = &self.topology.endpoints[at];
        let known = self.known[at];
        MemberRow {
            endpoint: endpoint.id.to_string(),
            region: self.topology.regions[endpoint.region.index()]
                .id
                .to_string(),
            address: endpoint.address.to_string(),
            weight: endpoint.weight.0,
            state: known.map_or("serving", |it| it.state),
            cause: known.map_or_else(|| "not known yet".into(), |it| it.cause.clone()),
            recent_transitions: known.map_or(0, |it| it.recent_transitions),
            flapping: known.is_some_and(|it| it.flapping),
        }
    }
}

/// Endpoints that go back and forth, worst first.
fn flapping(status: &Status) -> Vec<FlappingRow> {
    let mut rows: Vec<FlappingRow> = status
        .endpoints
        .iter()
        .filter(|endpoint| endpoint.flapping)
        .map(|endpoint| FlappingRow {
            endpoint: endpoint.id.clone(),
            region: endpoint.region.clone(),
            recent_transitions: endpoint.recent_transitions,
            cause: endpoint.cause.clone(),
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.recent_transitions));
    rows.truncate(FLAPPING_MAX);
    rows
}

#[cfg(test)]
mod tests;
