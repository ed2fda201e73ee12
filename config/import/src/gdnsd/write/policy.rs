//! Policies: one for all services that are steered alike.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{HEAD, group, most_addresses};
use crate::gdnsd::map::{GeoMap, Order};
use crate::gdnsd::resources::{Plan, Service, Steer, pools_of};
use crate::note::Notes;
use crate::yaml;

/// Most selectors of a policy of ours.
const SELECTORS_MAX: usize = 32;
/// Most addresses of an answer of ours.
const ANSWERS_MAX: usize = 8;
/// Most regions that are tried one after the other.
const ROUTE_MAX: usize = 8;

/// Policies by name, and the name for each service.
pub(super) struct Policies {
    bodies: BTreeMap<String, String>,
    of_service: BTreeMap<String, String>,
}

impl Policies {
    pub(super) fn of(plan: &Plan, notes: &mut Notes) -> Self {
        let mut by_body: BTreeMap<String, String> = BTreeMap::new();
        let mut made = Self {
            bodies: BTreeMap::new(),
            of_service: BTreeMap::new(),
        };
        for service in &plan.services {
            let body = body(service, plan, notes);
            // Named after the first service that needs it.
            let name = by_body
                .entry(body.clone())
                .or_insert_with(|| service.id.clone())
                .clone();
            made.bodies.entry(name.clone()).or_insert(body);
            made.of_service.insert(service.id.clone(), name);
        }
        made
    }

    pub(super) fn of_service<'a>(&'a self, service: &'a str) -> &'a str {
        self.of_service.get(service).map_or(service, String::as_str)
    }

    pub(super) fn files(&self) -> BTreeMap<String, String> {
        self.bodies
            .iter()
            .map(|(name, body)| {
                let text = format!("{HEAD}policy: {}\n{body}", yaml::text(name));
                (format!("policies/{name}.yaml"), text)
            })
            .collect()
    }
}

/// For whom an order is: the geography, or client groups.
struct Selector {
    order: Order,
    client_in: Vec<String>,
    client_not_in: Vec<String>,
    /// Clients of unknown country too.
    everybody: bool,
}

fn body(service: &Service, plan: &Plan, notes: &mut Notes) -> String {
    let shape = &service.shape;
    let map = match &shape.steer {
        Steer::Map { map, .. } => {
            let found = plan.maps.iter().find(|it| it.name == *map);
            if found.is_none() {
                notes.none(&service.at, format!("map `{map}` is defined nowhere; datacenters are tried in the order of `dcmap`"));
            }
            found
        }
        Steer::Ordered => None,
    };
    let mut out = String::new();
    let mut auto = false;
    match map {
        Some(map) => {
            let selectors = selectors(map, plan, notes);
            out.push_str("eligible:\n");
            for selector in &selectors {
                auto |= selector.order == Order::Auto;
                regions(&mut out, service, map, selector, notes);
            }
        }
        None if shape.pools.len() > 1 => {
            let answering = shape.pools.iter().filter(|pool| pool.answers());
            let all: Vec<&str> = answering.map(|pool| pool.region.as_str()).collect();
            too_long(&all, service, notes);
            let _ = writeln!(
                out,
                "eligible:\n  - regions: {{ first: {}, only: {} }}",
                yaml::list(&all),
                yaml::list(&all)
            );
        }
        None => {}
    }
    // Where the order is written, distance must not speak.
    let weight = if auto { "1.0" } else { "0.0" };
    let _ = writeln!(out, "score:\n  - geographic: {{ weight: {weight} }}");
    spread(&mut out, service, notes);
    if (shape.up_thresh - 0.5).abs() > f64::EPSILON
        || shape.pools.iter().any(|pool| pool.members.len() > 1)
    {
        let _ = writeln!(
            out,
            "failover: {{ panic_threshold: {} }}",
            shape.up_thresh.clamp(0.0, 1.0)
        );
    }
    // Everything down: gdnsd answers the first datacenter as if all were well.
    out.push_str("when_none: { fail: ignore_health }\n");
    out
}

fn spread(out: &mut String, service: &Service, notes: &mut Notes) {
    let weighted = service
        .shape
        .pools
        .iter()
        .any(|pool| pool.members.iter().any(|member| member.weight != 100));
    if service.shape.many {
        let most = most_addresses(service);
        if most > ANSWERS_MAX {
            notes.check(
                &service.at,
                format!(
                    "service `{}`: an answer holds at most {ANSWERS_MAX} of its {most} addresses",
                    service.id
                ),
            );
        }
        if most > 1 {
            // Not more than the region has: others are for failover.
            let _ = writeln!(
                out,
                "spread: {{ answers: {}, answers_at_least: 1, sticky: none }}",
                most.min(ANSWERS_MAX)
            );
        }
    } else if weighted {
        out.push_str("spread: { sticky: none }\n");
    }
}

/// One selector of regions.
fn regions(
    out: &mut String,
    service: &Service,
    map: &GeoMap,
    selector: &Selector,
    notes: &mut Notes,
) {
    let shape = &service.shape;
    let names = |pools: &[usize]| -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for pool in pools.iter().map(|at| &shape.pools[*at]) {
            let region = pool.region.as_str();
            if pool.answers() && !names.contains(&region) {
                names.push(region);
            }
        }
        names
    };
    unknown_datacenters(service, map, selector, notes);
    out.push_str("  - regions:\n");
    match pools_of(&selector.order, shape) {
        Some(pools) if names(&pools).is_empty() => {
            notes.check(&map.at, format!("service `{}`: a place without datacenters gets SERVFAIL here, gdnsd answers without records", service.id));
            let all: Vec<usize> = (0..shape.pools.len()).collect();
            let _ = writeln!(out, "      never: {}", yaml::list(names(&all)));
        }
        Some(pools) => {
            let list = names(&pools);
            too_long(&list, service, notes);
            let _ = writeln!(
                out,
                "      first: {}\n      only: {}",
                yaml::list(&list),
                yaml::list(&list)
            );
        }
        None => {
            let (first, only) = automatic(service, map, notes);
            if !first.is_empty() {
                let _ = writeln!(out, "      first: {}", yaml::list(names(&first)));
            }
            let _ = writeln!(out, "      only: {}", yaml::list(names(&only)));
        }
    }
    let mut when = Vec::new();
    if !selector.client_in.is_empty() {
        when.push(format!("client_in: {}", yaml::list(&selector.client_in)));
    }
    if !selector.client_not_in.is_empty() {
        when.push(format!(
            "client_not_in: {}",
            yaml::list(&selector.client_not_in)
        ));
    }
    if !when.is_empty() {
        if selector.everybody {
            when.push("unknown: apply".into());
        }
        let _ = writeln!(out, "      when: {{ {} }}", when.join(", "));
    }
}

/// Says which datacenters of an order the service does not have.
fn unknown_datacenters(service: &Service, map: &GeoMap, selector: &Selector, notes: &mut Notes) {
    let shape = &service.shape;
    if let (Order::List(list), Steer::Map { by_datacenter, .. }) = (&selector.order, &shape.steer) {
        for name in list
            .iter()
            .filter(|name| !by_datacenter.contains_key(*name))
        {
            notes.check(
                &map.at,
                format!(
                    "map `{}` names datacenter `{name}`, which {} does not have: it is left out",
                    map.name, service.from
                ),
            );
        }
    }
}

/// The pools that come before the automatic ones, and all that may serve.
fn automatic(service: &Service, map: &GeoMap, notes: &mut Notes) -> (Vec<usize>, Vec<usize>) {
    let Steer::Map {
        by_datacenter,
        before,
        behind,
        skip_first,
        ..
    } = &service.shape.steer
    else {
        return (Vec::new(), Vec::new());
    };
    if *skip_first {
        notes.none(
            &service.at,
            "`skip_first` with an automatic order: the nearest datacenter cannot be left out",
        );
    }
    if !behind.is_empty() {
        notes.check(&service.at, format!("service `{}`: what comes behind the automatic order is tried by its distance too; put its region into a later tier", service.id));
    }
    let known = by_datacenter
        .iter()
        .filter(|(name, _)| map.coordinates.contains_key(*name))
        .flat_map(|(_, pools)| pools.iter().copied());
    let only = before
        .iter()
        .copied()
        .chain(known)
        .chain(behind.iter().copied());
    (before.clone(), only.collect())
}

fn too_long(list: &[&str], service: &Service, notes: &mut Notes) {
    if list.len() > ROUTE_MAX {
        notes.check(
            &service.at,
            format!(
                "service `{}`: {} datacenters in a list, the first {ROUTE_MAX} are tried",
                service.id,
                list.len()
            ),
        );
    }
}

/// A map as selectors that exclude each other: groups before countries before continents.
fn selectors(map: &GeoMap, plan: &Plan, notes: &mut Notes) -> Vec<Selector> {
    let mut by_group: BTreeMap<&Order, Vec<String>> = BTreeMap::new();
    for (at, order) in plan.groups.of_map(&map.name) {
        by_group
            .entry(order)
            .or_default()
            .push(format!("group:{}", group(at)));
    }
    let groups: Vec<String> = by_group.values().flatten().cloned().collect();
    let mut by_place: BTreeMap<&Order, Vec<String>> = BTreeMap::new();
    for (place, order) in &map.places {
        by_place.entry(order).or_default().push(place.clone());
    }
    let mut made: Vec<Selector> = by_group
        .into_iter()
        .map(|(order, client_in)| Selector {
            order: order.clone(),
            client_in,
            client_not_in: Vec::new(),
            everybody: false,
        })
        .collect();
    for (order, places) in &by_place {
        // A country of another order, inside a continent of this one or not, is not meant.
        let others = by_place.iter().filter(|(other, _)| *other != order);
        let others = others.flat_map(|(_, places)| places);
        let countries = others.filter(|place| !place.starts_with("continent:"));
        made.push(Selector {
            order: (*order).clone(),
            client_in: places.clone(),
            client_not_in: groups.iter().chain(countries).cloned().collect(),
            everybody: false,
        });
    }
    // Places of an order do not override a continent's: a country of this order in a continent of
    // another is told by `client_in` before the continent's selector excludes it.
    made.push(Selector {
        order: map.default.clone(),
        client_in: Vec::new(),
        client_not_in: groups
            .iter()
            .chain(map.places.iter().map(|(place, _)| place))
            .cloned()
            .collect(),
        everybody: true,
    });
    if made.len() > SELECTORS_MAX - 1 {
        notes.none(&map.at, format!("map `{}` has {} different lists; a policy holds {} selectors: split the service or its map", map.name, made.len(), SELECTORS_MAX - 1));
    }
    made
}
