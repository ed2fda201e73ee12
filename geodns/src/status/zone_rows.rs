//! The head of the status page: zones, what was left out of them, counters, what flaps.

use std::collections::BTreeMap;

use meridian_live::Status;
use meridian_topology::Topology;
use serde::Serialize;

use super::{FlappingRow, flapping};
use crate::metrics::DnsMetrics;
use crate::zone::{DisplayName, StaticZone};
use crate::zones::Zones;

/// Most zones listed.
pub const ZONES_MAX: usize = 1_000;
/// Most problems listed.
pub const PROBLEMS_MAX: usize = 100;

/// What `GET /v1/dns` shows.
#[derive(Clone, Debug, Serialize)]
pub struct DnsSummary {
    /// The zones in force, at most [`ZONES_MAX`].
    pub zones: Vec<ZoneRow>,
    /// All of them.
    pub zones_total: usize,
    /// Steered names.
    pub names_total: usize,
    /// Services that have a name.
    pub services_total: usize,
    /// What was left out and why, at most [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
    /// All of it.
    pub problems_total: usize,
    /// The room's counters since the node started, by metric and label.
    pub counters: BTreeMap<String, u64>,
    /// Endpoints that go back and forth, worst first.
    pub flapping: Vec<FlappingRow>,
    /// Publication number of the plan the zones are of.
    pub plan_sequence: u64,
    /// Its generation.
    pub plan_generation: u64,
}

/// One zone.
#[derive(Clone, Debug, Serialize)]
pub struct ZoneRow {
    /// Its apex.
    pub origin: String,
    /// The serial that its SOA is answered with.
    pub serial: Option<u32>,
    /// `topology`, or `shelf`: a master file, a secondary zone or one kept by updates.
    pub source: &'static str,
    /// Static records.
    pub records: usize,
    /// Steered names inside it.
    pub names: usize,
}

/// The head of the status page.
#[must_use]
pub fn summary(zones: &Zones, metrics: &DnsMetrics, status: &Status) -> DnsSummary {
    let published = zones.published();
    let topology = &published.world.topology;
    let names: Vec<String> = topology
        .services
        .iter()
        .filter_map(|service| service.dns.as_ref())
        .flat_map(|dns| dns.names.iter().map(ToString::to_string))
        .collect();
    let named = topology.services.iter().filter(|it| it.dns.is_some());
    let served = zones.set().zones();
    let mut rows: Vec<ZoneRow> = served
        .iter()
        .take(ZONES_MAX)
        .map(|zone| row(zone.data(), topology))
        .collect();
    count_names(&mut rows, &names);
    let problems = zones.problems();
    DnsSummary {
        zones: rows,
        zones_total: served.len(),
        names_total: names.len(),
        services_total: named.count(),
        problems: problems
            .iter()
            .take(PROBLEMS_MAX)
            .map(ToString::to_string)
            .collect(),
        problems_total: problems.len(),
        counters: metrics.totals(),
        flapping: flapping(status),
        plan_sequence: published.sequence,
        plan_generation: published.plan.generation(),
    }
}

fn row(zone: &StaticZone, topology: &Topology) -> ZoneRow {
    let origin = DisplayName(zone.origin().into()).to_string();
    let origin = match origin.trim_end_matches('.') {
        "" => ".".to_owned(),
        name => name.to_owned(),
    };
    let of_topology = topology
        .dns_zones
        .iter()
        .any(|known| known.origin.as_str() == origin);
    ZoneRow {
        serial: Some(zone.serial()),
        source: if of_topology { "topology" } else { "shelf" },
        records: zone.records().count(),
        names: 0,
        origin,
    }
}

/// Gives every name to the closest zone above it.
fn count_names(rows: &mut [ZoneRow], names: &[String]) {
    let by_origin: BTreeMap<String, usize> = rows
        .iter()
        .enumerate()
        .map(|(at, row)| (row.origin.clone(), at))
        .collect();
    for name in names {
        let mut rest = name.as_str();
        loop {
            if let Some(at) = by_origin.get(rest) {
                rows[*at].names += 1;
                break;
            }
            match rest.split_once('.') {
                Some((_, parent)) => rest = parent,
                None => break,
            }
        }
    }
}
