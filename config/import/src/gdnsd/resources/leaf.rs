//! The plugins that hold addresses: multifo, weighted, simplefo, static.

use std::net::IpAddr;

use super::{Member, Pool, Refusal, Resources, Shape, Steer};
use crate::gdnsd::checks::EndpointChecks;
use crate::gdnsd::vscf::{Data, Value};
use crate::gdnsd::{id, is_true};
use crate::note::{At, Notes};

/// The region of what is in no datacenter.
const EVERYWHERE: &str = "everywhere";
/// Largest weight of ours; larger ones are scaled down together.
const WEIGHT_MAX: u32 = 10_000;
/// An endpoint's weight where gdnsd has none.
const WEIGHT: u16 = 100;
/// Keys that are settings, not addresses.
const SETTINGS: &[&str] = &[
    "service_types",
    "up_thresh",
    "ignore_health",
    "multi",
    "plugin",
    "datacenters",
    "dcmap",
    "map",
    "resources",
    "maps",
    "skip_first",
    "undefined_datacenters_ok",
];

/// What is inherited from level to level.
#[derive(Debug, Clone, Default)]
pub(super) struct Settings {
    pub(super) plugin: Option<String>,
    service_types: Option<Vec<String>>,
    up_thresh: Option<f64>,
    multi: bool,
    ignore_health: bool,
}

impl Settings {
    /// The same with what a deeper level says.
    pub(super) fn under(&self, value: &Value) -> Self {
        let mut made = self.clone();
        if let Some(types) = value.get("service_types") {
            made.service_types = Some(types.texts().into_iter().map(str::to_owned).collect());
        }
        if let Some(thresh) = value
            .get("up_thresh")
            .and_then(|it| it.text()?.parse().ok())
        {
            made.up_thresh = Some(thresh);
        }
        if value.get("multi").is_some() {
            made.multi = is_true(value.get("multi"));
        }
        if value.get("ignore_health").is_some() {
            made.ignore_health = is_true(value.get("ignore_health"));
        }
        if let Some(plugin) = value.get("plugin").and_then(Value::text) {
            made.plugin = Some(plugin.to_owned());
        }
        made
    }

    fn types(&self) -> Vec<String> {
        self.service_types
            .clone()
            .unwrap_or_else(|| vec!["default".into()])
    }
}

impl Resources<'_> {
    /// The pools of a resource that holds addresses.
    pub(super) fn leaf(
        &self,
        plugin: &str,
        value: &Value,
        settings: &Settings,
        region: Option<&str>,
        notes: &mut Notes,
    ) -> Result<Shape, Refusal> {
        let home = region.unwrap_or(EVERYWHERE);
        if settings.ignore_health {
            notes.none(
                &value.at,
                "`ignore_health`: endpoints that are down are not answered",
            );
        }
        let (pools, many) = match plugin {
            "multifo" => (vec![self.multifo(value, settings, home, notes)?], true),
            "weighted" => (
                vec![self.weighted(value, settings, home, notes)?],
                settings.multi,
            ),
            "simplefo" => (self.simplefo(value, settings, region, notes)?, false),
            "static" => (vec![fixed(value, home)?], false),
            other => return Err(format!("plugin `{other}` has no counterpart")),
        };
        Ok(Shape {
            pools,
            steer: Steer::Ordered,
            many,
            up_thresh: settings.up_thresh.unwrap_or(0.5),
        })
    }

    fn checks(&self, settings: &Settings, at: &At, notes: &mut Notes) -> EndpointChecks {
        self.checks.of(&settings.types(), at, notes)
    }

    fn multifo(
        &self,
        value: &Value,
        settings: &Settings,
        region: &str,
        notes: &mut Notes,
    ) -> Result<Pool, Refusal> {
        let mut members = Vec::new();
        for (stanza, settings) in stanzas(value, settings) {
            let checks = self.checks(&settings, &stanza.at, notes);
            for (at, address) in addresses(stanza) {
                let parsed = address.parse();
                members.push(Member {
                    address: parsed.map_err(|_| format!("{at}: `{address}` is no address"))?,
                    weight: WEIGHT,
                    checks: checks.clone(),
                });
            }
        }
        pool(value, region, members)
    }

    fn weighted(
        &self,
        value: &Value,
        settings: &Settings,
        region: &str,
        notes: &mut Notes,
    ) -> Result<Pool, Refusal> {
        let mut raw: Vec<(IpAddr, u32, EndpointChecks)> = Vec::new();
        for (stanza, settings) in stanzas(value, settings) {
            let checks = self.checks(&settings, &stanza.at, notes);
            for (name, item) in stanza.entries() {
                if SETTINGS.contains(&name.as_str()) {
                    continue;
                }
                let items = match &item.data {
                    Data::Hash(group) => {
                        notes.check(&item.at, format!("group `{name}`: groups are not kept together here, each address has its weight"));
                        group.iter().map(|(_, value)| value).collect()
                    }
                    _ => vec![item],
                };
                for item in items {
                    let (address, weight) = weighted_item(item)?;
                    raw.push((address, weight, checks.clone()));
                }
            }
        }
        if settings.multi {
            notes.check(&value.at, "`multi`: here an answer holds as many addresses as fit, in an order by weight; gdnsd leaves lighter ones out by chance");
        }
        let largest = raw.iter().map(|(_, weight, _)| *weight).max().unwrap_or(1);
        if largest > WEIGHT_MAX {
            notes.check(
                &value.at,
                format!("weights up to {largest} are scaled to at most {WEIGHT_MAX}"),
            );
        }
        let scaled = |weight: u32| match u64::from(weight) * u64::from(WEIGHT_MAX)
            / u64::from(largest.max(1))
        {
            _ if largest <= WEIGHT_MAX => weight as u16,
            // At most WEIGHT_MAX.
            weight => weight.max(1) as u16,
        };
        let members = raw.into_iter().map(|(address, weight, checks)| Member {
            address,
            weight: scaled(weight),
            checks,
        });
        pool(value, region, members.collect())
    }

    fn simplefo(
        &self,
        value: &Value,
        settings: &Settings,
        region: Option<&str>,
        notes: &mut Notes,
    ) -> Result<Vec<Pool>, Refusal> {
        let names = match region {
            Some(region) => [region.to_owned(), id(&format!("{region}-secondary"))],
            None => ["primary".to_owned(), "secondary".to_owned()],
        };
        let mut members: [Vec<Member>; 2] = [Vec::new(), Vec::new()];
        for (stanza, settings) in stanzas(value, settings) {
            let checks = self.checks(&settings, &stanza.at, notes);
            for (at, key) in ["primary", "secondary"].into_iter().enumerate() {
                let text = stanza.get(key).and_then(Value::text);
                let text = text.ok_or_else(|| format!("{}: no `{key}`", stanza.at))?;
                members[at].push(Member {
                    address: text
                        .parse()
                        .map_err(|_| format!("`{text}` is no address"))?,
                    weight: WEIGHT,
                    checks: checks.clone(),
                });
            }
        }
        names
            .iter()
            .zip(members)
            .map(|(region, members)| pool(value, region, members))
            .collect()
    }
}

/// `addrs_v4` and `addrs_v6`, or the resource itself, each with its settings.
fn stanzas<'v>(value: &'v Value, settings: &Settings) -> Vec<(&'v Value, Settings)> {
    let families: Vec<(&Value, Settings)> = ["addrs_v4", "addrs_v6"]
        .into_iter()
        .filter_map(|key| value.get(key))
        .map(|stanza| (stanza, settings.under(stanza)))
        .collect();
    if families.is_empty() {
        vec![(value, settings.clone())]
    } else {
        families
    }
}

/// The addresses of a multifo stanza: an address, an array, or labels with addresses.
fn addresses(stanza: &Value) -> Vec<(&At, &str)> {
    match &stanza.data {
        Data::Hash(entries) => entries
            .iter()
            .filter(|(label, _)| !SETTINGS.contains(&label.as_str()))
            .filter_map(|(_, value)| Some((&value.at, value.text()?)))
            .collect(),
        _ => stanza
            .texts()
            .into_iter()
            .map(|text| (&stanza.at, text))
            .collect(),
    }
}

/// `[ ADDRESS, WEIGHT ]`.
fn weighted_item(item: &Value) -> Result<(IpAddr, u32), Refusal> {
    let texts = item.texts();
    let [address, weight] = texts.as_slice() else {
        return Err(format!("{}: an address and a weight are missing", item.at));
    };
    let weight = weight
        .parse()
        .map_err(|_| format!("`{weight}` is no weight"))?;
    match address.parse() {
        Ok(address) => Ok((address, weight)),
        Err(_) => Err(format!(
            "{}: weighted names ({address}): give each name a region of its own with `answer: {{ cname: … }}` and share them by `spread: {{ weights: … }}`",
            item.at
        )),
    }
}

/// One address or name that never fails.
fn fixed(value: &Value, region: &str) -> Result<Pool, Refusal> {
    let text = value.text().ok_or("no address or name")?;
    if let Ok(address) = text.parse() {
        let member = Member {
            address,
            weight: WEIGHT,
            checks: EndpointChecks::default(),
        };
        return pool(value, region, vec![member]);
    }
    let name = text.strip_suffix('.');
    let name = name
        .ok_or_else(|| format!("`{text}` is neither an address nor a name with its final dot"))?;
    Ok(Pool {
        at: value.at.clone(),
        region: region.to_owned(),
        members: Vec::new(),
        cname: Some(name.to_lowercase()),
    })
}

fn pool(value: &Value, region: &str, members: Vec<Member>) -> Result<Pool, Refusal> {
    if members.is_empty() {
        return Err(format!("{}: it has no addresses", value.at));
    }
    Ok(Pool {
        at: value.at.clone(),
        region: region.to_owned(),
        members,
        cname: None,
    })
}
