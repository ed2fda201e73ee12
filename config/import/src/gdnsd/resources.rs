//! gdnsd's plugins: what a `plugin!resource` of a zone file steers, as pools of addresses and the
//! order in which they are tried.

mod leaf;
mod meta;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::checks::{Checks, EndpointChecks};
use super::map::{GeoMap, Groups, Order};
use super::places::Places;
use super::vscf::Value;
use super::zonefile::ZoneText;
use super::{ImportError, id};
use crate::note::{At, Notes};
use meta::Meta;

/// Resources inside each other, at most: gdnsd itself does not detect loops.
const DEPTH_MAX: usize = 16;

/// One address of a pool.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) address: IpAddr,
    pub(super) weight: u16,
    pub(super) checks: EndpointChecks,
}

/// What one datacenter, or one step of a failover, answers.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    pub(super) at: At,
    /// Our region.
    pub(super) region: String,
    pub(super) members: Vec<Member>,
    /// A name instead of addresses.
    pub(super) cname: Option<String>,
}

impl Pool {
    /// Whether anything is left to be answered.
    pub(super) fn answers(&self) -> bool {
        !self.members.is_empty() || self.cname.is_some()
    }
}

/// A resource: its pools and their order.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    pub(super) pools: Vec<Pool>,
    pub(super) steer: Steer,
    /// Whether all of a pool's addresses are answered, or one.
    pub(super) many: bool,
    /// The share of a pool that must live.
    pub(super) up_thresh: f64,
}

/// The order in which pools are tried.
#[derive(Debug, Clone)]
pub(super) enum Steer {
    /// As they stand.
    Ordered,
    /// By a map; pools of the map's datacenters, between others that come before and behind.
    Map {
        map: String,
        by_datacenter: BTreeMap<String, Vec<usize>>,
        before: Vec<usize>,
        behind: Vec<usize>,
        skip_first: bool,
    },
}

/// A service of ours.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) id: String,
    /// `plugin!resource`.
    pub(super) from: String,
    pub(super) at: At,
    pub(super) names: Vec<String>,
    pub(super) ttl: u32,
    pub(super) shape: Shape,
}

/// Everything that is written out.
pub(super) struct Plan {
    pub(super) services: Vec<Service>,
    pub(super) maps: Vec<GeoMap>,
    pub(super) groups: Groups,
    pub(super) places: Places,
}

/// The plugins' section.
pub(super) struct Resources<'a> {
    plugins: Option<&'a Value>,
    checks: &'a Checks,
    folder: &'a Path,
}

/// Why a resource cannot be converted, in words.
type Refusal = String;

impl<'a> Resources<'a> {
    pub(super) fn new(plugins: Option<&'a Value>, checks: &'a Checks, folder: &'a Path) -> Self {
        Self {
            plugins,
            checks,
            folder,
        }
    }

    /// What the zones' DYNA and DYNC records need.
    pub(super) fn plan(
        &mut self,
        zones: &[ZoneText],
        notes: &mut Notes,
    ) -> Result<Plan, ImportError> {
        let maps = self.maps(notes)?;
        let mut by_resource: BTreeMap<(String, u32), Service> = BTreeMap::new();
        let mut ids: BTreeMap<String, usize> = BTreeMap::new();
        for record in zones.iter().flat_map(|zone| &zone.dynamic) {
            let from = format!("{}!{}", record.plugin, record.resource);
            let key = (from.clone(), record.ttl_max);
            if let Some(service) = by_resource.get_mut(&key) {
                service.names.push(record.owner.clone());
                continue;
            }
            let shape = match self.shape(&record.plugin, &record.resource, None, 0, notes) {
                Ok(shape) => shape,
                Err(words) => {
                    notes.none(
                        &record.at,
                        format!("{} {from}: {words}; the name is left out", record.owner),
                    );
                    continue;
                }
            };
            let Some(shape) = one_kind(shape, &record.at, record.may_be_name, notes) else {
                continue;
            };
            let base = id(if record.resource.is_empty() {
                &record.plugin
            } else {
                &record.resource
            });
            let count = ids.entry(base.clone()).or_default();
            *count += 1;
            let id = if *count == 1 {
                base
            } else {
                format!("{base}-{count}")
            };
            notes.converted(
                &record.at,
                format!("{} {from} is service `{id}`", record.owner),
            );
            uneven_families(&shape, &record.at, notes);
            by_resource.insert(
                key,
                Service {
                    id,
                    from,
                    at: record.at.clone(),
                    names: vec![record.owner.clone()],
                    ttl: record.ttl_max,
                    shape,
                },
            );
        }
        self.unused(&by_resource, notes);
        let used: Vec<GeoMap> = maps
            .into_iter()
            .filter(|map| {
                by_resource.values().any(|service| matches!(&service.shape.steer, Steer::Map { map: of, .. } if *of == map.name))
            })
            .collect();
        Ok(Plan {
            services: by_resource.into_values().collect(),
            groups: Groups::of(&used),
            places: Places::of(&used, notes),
            maps: used,
        })
    }

    fn maps(&self, notes: &mut Notes) -> Result<Vec<GeoMap>, ImportError> {
        let maps = self.plugin("geoip").and_then(|geoip| geoip.get("maps"));
        let maps = maps.map_or(&[][..], Value::entries);
        maps.iter()
            .map(|(name, value)| GeoMap::read(name, value, self.folder, notes))
            .collect()
    }

    fn plugin(&self, name: &str) -> Option<&'a Value> {
        self.plugins?.get(name)
    }

    /// Says which steered resources no zone names: they are not converted.
    fn unused(&self, used: &BTreeMap<(String, u32), Service>, notes: &mut Notes) {
        for plugin in ["geoip", "metafo"] {
            let section = self.plugin(plugin);
            let resources = section.and_then(|section| section.get("resources"));
            for (name, value) in resources.map_or(&[][..], Value::entries) {
                let from = format!("{plugin}!{name}");
                let below = format!("{from}/");
                if !used
                    .keys()
                    .any(|(of, _)| *of == from || of.starts_with(&below))
                {
                    notes.check(
                        &value.at,
                        format!("{from}: no zone names it; it is only converted where another resource does"),
                    );
                }
            }
        }
    }

    /// The shape of a resource. `region` names the region of what it answers, when something above
    /// has named it.
    fn shape(
        &self,
        plugin: &str,
        resource: &str,
        region: Option<&str>,
        depth: usize,
        notes: &mut Notes,
    ) -> Result<Shape, Refusal> {
        if depth > DEPTH_MAX {
            return Err(format!(
                "more than {DEPTH_MAX} resources refer to each other"
            ));
        }
        // These need no section.
        match plugin {
            "reflect" => {
                return Err(
                    "`reflect` answers the client's own address, which nothing here does".into(),
                );
            }
            "null" => return Err("`null` answers 0.0.0.0, which nothing here does".into()),
            _ => {}
        }
        let section = self
            .plugin(plugin)
            .ok_or_else(|| format!("plugin `{plugin}` is not configured"))?;
        match plugin {
            "geoip" | "metafo" => {
                let (name, only) = match resource.split_once('/') {
                    Some((name, datacenter)) => (name, Some(datacenter)),
                    None => (resource, None),
                };
                let resources = section.get("resources");
                let value = resources.and_then(|all| all.get(name));
                let value = value.ok_or_else(|| format!("there is no resource `{name}`"))?;
                let meta = Meta {
                    all: self,
                    plugin,
                    section,
                    value,
                    region,
                    depth,
                };
                match only {
                    Some(datacenter) => meta.datacenter(datacenter, notes),
                    None => meta.whole(notes),
                }
            }
            "multifo" | "weighted" | "simplefo" => {
                let value = section.get(resource);
                let value = value.ok_or_else(|| format!("there is no resource `{resource}`"))?;
                let inherited = leaf::Settings::default().under(section).under(value);
                self.leaf(plugin, value, &inherited, region, notes)
            }
            "static" => {
                let value = section.get(resource);
                let value = value.ok_or_else(|| format!("there is no resource `{resource}`"))?;
                self.leaf("static", value, &leaf::Settings::default(), region, notes)
            }
            other => Err(format!("plugin `{other}` has no counterpart")),
        }
    }
}

/// A service answers addresses or names: where both occur, the names go.
fn one_kind(shape: Shape, at: &At, may_be_name: bool, notes: &mut Notes) -> Option<Shape> {
    let names = shape
        .pools
        .iter()
        .filter(|pool| pool.cname.is_some())
        .count();
    if names > 0 && !may_be_name {
        notes.none(at, "DYNA cannot answer a name, gdnsd refuses this too");
        return None;
    }
    if names == 0 || names == shape.pools.len() {
        return Some(shape);
    }
    let mut shape = shape;
    for pool in &mut shape.pools {
        if let Some(name) = pool.cname.take() {
            notes.none(&pool.at, format!("{}: the name {name} beside addresses of other datacenters: a service answers one or the other. It is left out; `when_none: {{ static: … }}` with the addresses behind it comes closest", pool.region));
        }
    }
    Some(shape)
}

/// Where datacenters differ in address families, a question for the rarer one goes on to the next.
fn uneven_families(shape: &Shape, at: &At, notes: &mut Notes) {
    let pools = || shape.pools.iter().filter(|pool| !pool.members.is_empty());
    for (v4, family) in [(true, "IPv4"), (false, "IPv6")] {
        let has = |pool: &&Pool| pool.members.iter().any(|it| it.address.is_ipv4() == v4);
        let without: Vec<&str> = pools()
            .filter(|pool| !has(pool))
            .map(|pool| pool.region.as_str())
            .collect();
        if !without.is_empty() && pools().any(|pool| has(&pool)) {
            notes.check(
                at,
                format!(
                    "{} without {family}: its clients get the {family} addresses of the next datacenter in their list, gdnsd answers none",
                    without.join(", ")
                ),
            );
        }
    }
}

/// The order of a map for a resource: positions of pools.
pub(super) fn pools_of(order: &Order, shape: &Shape) -> Option<Vec<usize>> {
    let Steer::Map {
        by_datacenter,
        before,
        behind,
        skip_first,
        ..
    } = &shape.steer
    else {
        return Some((0..shape.pools.len()).collect());
    };
    let Order::List(list) = order else {
        return None;
    };
    let skipped = usize::from(*skip_first && list.len() > 1);
    let own = list[skipped..]
        .iter()
        .filter_map(|name| by_datacenter.get(name));
    let mut pools: Vec<usize> = before.clone();
    pools.extend(own.flatten());
    pools.extend(behind);
    Some(pools)
}
