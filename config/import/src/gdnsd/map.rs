//! The maps of gdnsd's geoip plugin: which clients get which ordered list of datacenters.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use ipnet::{IpNet, Ipv4Net};
use meridian_topology::{Continent, CountryCode};

use super::ImportError;
use super::vscf::{self, Data, Value};
use crate::note::{At, Notes};

/// Most networks of one map.
pub(super) const NETS_MAX: usize = 1_000_000;

/// In which order datacenters are tried.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Order {
    /// By the distance from the client.
    Auto,
    /// As written.
    List(Vec<String>),
}

/// One map.
#[derive(Debug)]
pub(super) struct GeoMap {
    pub(super) name: String,
    pub(super) at: At,
    /// Degrees north and east of the datacenters that the automatic order knows.
    pub(super) coordinates: BTreeMap<String, (f64, f64)>,
    /// By place, as our policies write it.
    pub(super) places: Vec<(String, Order)>,
    pub(super) nets: Vec<(IpNet, Order)>,
    pub(super) default: Order,
}

impl GeoMap {
    pub(super) fn read(
        name: &str,
        value: &Value,
        folder: &Path,
        notes: &mut Notes,
    ) -> Result<Self, ImportError> {
        let at = &value.at;
        let datacenters: Vec<String> = value
            .get("datacenters")
            .map_or_else(Vec::new, Value::texts)
            .into_iter()
            .map(str::to_owned)
            .collect();
        let coordinates = coordinates(value.get("auto_dc_coords"), notes);
        let auto = value.get("auto_dc_coords").is_some();
        let mut map = Self {
            name: name.to_owned(),
            at: at.clone(),
            default: if auto {
                Order::Auto
            } else {
                Order::List(datacenters)
            },
            coordinates,
            places: Vec::new(),
            nets: Vec::new(),
        };
        for (key, setting) in value.entries() {
            match key.as_str() {
                "datacenters" | "auto_dc_coords" => {}
                "geoip2_db" => notes.check(&setting.at, "name the same database in meridian.yaml: `geo: { mmdb_city: PATH }`; without it countries are those of the registries, built in"),
                "auto_dc_limit" => notes.check(&setting.at, "`auto_dc_limit`: all datacenters with coordinates stand in, nearest first (at most 8 regions), not only that many"),
                "ignore_ecs" if super::is_true(Some(setting)) => notes.none(&setting.at, "`ignore_ecs` for one map: `dns.client_subnet: nobody` is for the whole node"),
                "ignore_ecs" => {}
                "map" => map.places(setting, notes),
                "nets" => map.nets(setting, folder)?,
                other => notes.none(&setting.at, format!("map key `{other}` is not known")),
            }
        }
        if auto {
            notes.check(at, format!("map `{name}`: distances are to the client's place in your MMDB file, else to the middle of its country"));
        }
        Ok(map)
    }

    fn places(&mut self, value: &Value, notes: &mut Notes) {
        for (key, below) in value.entries() {
            if key == "default" {
                self.default = self.order(below);
                continue;
            }
            let Some(continent) = continent(key) else {
                notes.none(
                    &below.at,
                    format!("`{key}` is no continent code of MaxMind"),
                );
                continue;
            };
            let place = format!("continent:{}", continent.name());
            if !matches!(below.data, Data::Hash(_)) {
                self.places.push((place, self.order(below)));
                continue;
            }
            for (key, below) in below.entries() {
                if key == "default" {
                    self.places.push((place.clone(), self.order(below)));
                } else {
                    self.country(key, below, continent, notes);
                }
            }
        }
    }

    fn country(&mut self, key: &str, below: &Value, continent: Continent, notes: &mut Notes) {
        let known = key.parse::<CountryCode>().ok();
        let Some(country) = known.and_then(CountryCode::country) else {
            notes.none(&below.at, format!("`{key}` is no country"));
            return;
        };
        if country.continent != continent {
            notes.check(
                &below.at,
                format!(
                    "{key} lies in {} here, not in {}",
                    country.continent.name(),
                    continent.name()
                ),
            );
        }
        let place = country.code.to_string();
        if !matches!(below.data, Data::Hash(_)) {
            let order = self.order(below);
            self.places.push((place, order));
            return;
        }
        for (deeper, value) in below.entries() {
            if deeper == "default" {
                let order = self.order(value);
                self.places.push((place.clone(), order));
            } else {
                notes.none(&value.at, format!("{key}/{deeper}: policies tell countries apart, not their parts or cities; its clients follow {key}. A client group with their networks, or `geographic` with coordinates, comes closest"));
            }
        }
    }

    fn nets(&mut self, value: &Value, folder: &Path) -> Result<(), ImportError> {
        let file;
        let entries = match &value.data {
            Data::Text(name) => {
                file = vscf::read_file(&folder.join("geoip").join(name))?;
                file.entries()
            }
            _ => value.entries(),
        };
        for (net, order) in entries {
            let wrong = |text: String| ImportError::Syntax {
                at: order.at.clone(),
                text,
            };
            let parsed = net
                .parse::<IpNet>()
                .map_err(|_| wrong(format!("`{net}` is no network")))?;
            self.nets
                .push((as_we_see_it(parsed.trunc()), self.order(order)));
            if self.nets.len() > NETS_MAX {
                return Err(wrong(format!("more than {NETS_MAX} networks")));
            }
        }
        Ok(())
    }

    fn order(&self, value: &Value) -> Order {
        match value.texts().as_slice() {
            ["auto"] if !self.coordinates.is_empty() => Order::Auto,
            list => Order::List(list.iter().map(|name| (*name).to_owned()).collect()),
        }
    }
}

fn coordinates(value: Option<&Value>, notes: &mut Notes) -> BTreeMap<String, (f64, f64)> {
    let mut found = BTreeMap::new();
    for (name, place) in value.map_or(&[][..], Value::entries) {
        let numbers: Vec<f64> = place
            .texts()
            .iter()
            .filter_map(|text| text.parse().ok())
            .collect();
        match numbers.as_slice() {
            [north, east] if north.abs() <= 90.0 && east.abs() <= 180.0 => {
                found.insert(name.clone(), (*north, *east));
            }
            _ => notes.none(&place.at, format!("`{name}` has no latitude and longitude")),
        }
    }
    found
}

/// IPv4 networks written as v4compat ones (`::c000:200/120`) are IPv4 networks.
fn as_we_see_it(net: IpNet) -> IpNet {
    if let IpNet::V6(v6) = net
        && v6.prefix_len() >= 96
        && v6.network().segments()[..6] == [0; 6]
        && let Ok(v4) = Ipv4Net::new(
            Ipv4Addr::from_bits(v6.network().to_bits() as u32),
            v6.prefix_len() - 96,
        )
    {
        return IpNet::V4(v4);
    }
    net
}

/// MaxMind's continent codes.
fn continent(code: &str) -> Option<Continent> {
    Some(match code {
        "AF" => Continent::Africa,
        "AN" => Continent::Antarctica,
        "AS" => Continent::Asia,
        "EU" => Continent::Europe,
        "NA" => Continent::NorthAmerica,
        "OC" => Continent::Oceania,
        "SA" => Continent::SouthAmerica,
        _ => return None,
    })
}

/// Every map's networks as client groups that do not overlap: a client is in one group, and each map
/// says what that group gets.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Networks of each group.
    pub(super) groups: Vec<Vec<IpNet>>,
    /// For each map by name, for each group, the order; `None` leaves it to the geography.
    orders: BTreeMap<String, Vec<Option<Order>>>,
}

impl Groups {
    pub(super) fn of(maps: &[GeoMap]) -> Self {
        let lookups: Vec<BTreeMap<IpNet, &Order>> = maps
            .iter()
            .map(|map| map.nets.iter().map(|(net, order)| (*net, order)).collect())
            .collect();
        let mut all: Vec<IpNet> = lookups
            .iter()
            .flat_map(|nets| nets.keys().copied())
            .collect();
        all.sort_unstable();
        all.dedup();
        let mut by_meaning: BTreeMap<Vec<Option<Order>>, Vec<IpNet>> = BTreeMap::new();
        for net in all {
            let meaning = lookups.iter().map(|nets| closest(nets, net).cloned());
            by_meaning.entry(meaning.collect()).or_default().push(net);
        }
        let mut made = Self::default();
        for (meaning, nets) in by_meaning {
            made.groups.push(nets);
            for (map, order) in maps.iter().zip(meaning) {
                made.orders.entry(map.name.clone()).or_default().push(order);
            }
        }
        made
    }

    /// The groups that a map gives an order of its own.
    pub(super) fn of_map(&self, map: &str) -> impl Iterator<Item = (usize, &Order)> {
        let orders = self.orders.get(map).into_iter().flatten();
        orders
            .enumerate()
            .filter_map(|(at, order)| Some((at, order.as_ref()?)))
    }
}

/// The order of the longest network that contains this one.
fn closest<'a>(nets: &BTreeMap<IpNet, &'a Order>, net: IpNet) -> Option<&'a Order> {
    let address: IpAddr = net.network();
    (0..=net.prefix_len()).rev().find_map(|length| {
        let wider = IpNet::new(address, length).ok()?.trunc();
        nets.get(&wider).copied()
    })
}
