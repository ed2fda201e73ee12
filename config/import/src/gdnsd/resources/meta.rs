//! The plugins over other plugins: metafo and geoip.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::leaf::Settings;
use super::{Refusal, Resources, Shape, Steer};
use crate::gdnsd::vscf::{Data, Value};
use crate::gdnsd::{id, is_true};
use crate::note::{At, Notes};

/// A resource of `geoip` or `metafo`.
pub(super) struct Meta<'a, 'r> {
    pub(super) all: &'r Resources<'a>,
    pub(super) plugin: &'r str,
    pub(super) section: &'a Value,
    pub(super) value: &'a Value,
    pub(super) region: Option<&'r str>,
    pub(super) depth: usize,
}

impl Meta<'_, '_> {
    /// The region of a datacenter.
    fn region_of(&self, datacenter: &str) -> String {
        match self.region {
            Some(outer) => id(&format!("{outer}-{datacenter}")),
            None => id(datacenter),
        }
    }

    /// What one datacenter answers.
    pub(super) fn datacenter(&self, name: &str, notes: &mut Notes) -> Result<Shape, Refusal> {
        let map = self.value.get("dcmap").ok_or("it has no `dcmap`")?;
        let value = map.get(name);
        let value = value.ok_or_else(|| format!("`dcmap` has no datacenter `{name}`"))?;
        let region = self.region_of(name);
        let settings = Settings::default().under(self.section).under(self.value);
        let default = settings.plugin.clone().unwrap_or_else(|| "multifo".into());
        if let Some(text) = value.text().and_then(|text| text.strip_prefix('%')) {
            let (plugin, resource) = text.split_once('!').ok_or("a reference without `!`")?;
            return self
                .all
                .shape(plugin, resource, Some(&region), self.depth + 1, notes);
        }
        if let Some(resource) = value.text().and_then(|text| text.strip_prefix('!')) {
            return self
                .all
                .shape(&default, resource, Some(&region), self.depth + 1, notes);
        }
        let plugin = match &value.data {
            // Addresses alone are always multifo's.
            Data::List(_) => "multifo",
            Data::Text(text) if text.parse::<IpAddr>().is_ok() => "multifo",
            Data::Text(_) => "static",
            Data::Hash(_) => value
                .get("plugin")
                .and_then(Value::text)
                .unwrap_or(&default),
        };
        let settings = settings.under(value);
        self.all
            .leaf(plugin, value, &settings, Some(&region), notes)
    }

    pub(super) fn whole(&self, notes: &mut Notes) -> Result<Shape, Refusal> {
        let skip_first = is_true(self.value.get("skip_first"));
        if self.plugin == "metafo" {
            let list = self
                .value
                .get("datacenters")
                .ok_or("it has no `datacenters`")?;
            let skipped = usize::from(skip_first && list.texts().len() > 1);
            return self.joined(&list.texts()[skipped..], notes);
        }
        let map = self
            .value
            .get("map")
            .and_then(Value::text)
            .ok_or("it names no `map`")?;
        let dcmap = self.value.get("dcmap").ok_or("it has no `dcmap`")?;
        let mut whole: Option<Shape> = None;
        let mut by_datacenter = BTreeMap::new();
        for (name, _) in dcmap.entries() {
            let part = self.datacenter(name, notes)?;
            if !matches!(part.steer, Steer::Ordered) {
                return Err(format!(
                    "datacenter `{name}` is steered by a map of its own; a policy here has one"
                ));
            }
            let pools = append(&mut whole, part, &self.value.at, notes);
            by_datacenter.insert(name.clone(), pools);
        }
        let whole = whole.ok_or("its `dcmap` is empty")?;
        Ok(Shape {
            steer: Steer::Map {
                map: map.to_owned(),
                by_datacenter,
                before: Vec::new(),
                behind: Vec::new(),
                skip_first,
            },
            ..whole
        })
    }

    /// Datacenters one behind the other; one of them may be steered by a map.
    fn joined(&self, names: &[&str], notes: &mut Notes) -> Result<Shape, Refusal> {
        let mut whole: Option<Shape> = None;
        let mut steer = Steer::Ordered;
        let mut before: Vec<usize> = Vec::new();
        for name in names {
            let part = self.datacenter(name, notes)?;
            let inner = part.steer.clone();
            let pools = append(&mut whole, part, &self.value.at, notes);
            match (&mut steer, inner) {
                (Steer::Ordered, Steer::Ordered) => before.extend(pools),
                (Steer::Map { behind, .. }, Steer::Ordered) => behind.extend(pools),
                (
                    Steer::Ordered,
                    Steer::Map {
                        map,
                        mut by_datacenter,
                        skip_first,
                        ..
                    },
                ) => {
                    let shift = pools.first().copied().unwrap_or(0);
                    for list in by_datacenter.values_mut() {
                        list.iter_mut().for_each(|at| *at += shift);
                    }
                    steer = Steer::Map {
                        map,
                        by_datacenter,
                        before: before.clone(),
                        behind: Vec::new(),
                        skip_first,
                    };
                }
                (Steer::Map { .. }, Steer::Map { .. }) => {
                    return Err(
                        "two of its datacenters are steered by maps; a policy here has one".into(),
                    );
                }
            }
        }
        let whole = whole.ok_or("it has no datacenter")?;
        Ok(Shape { steer, ..whole })
    }
}

/// Puts a part's pools behind those of the whole; returns their positions.
fn append(whole: &mut Option<Shape>, part: Shape, at: &At, notes: &mut Notes) -> Vec<usize> {
    let Some(whole) = whole else {
        let count = part.pools.len();
        *whole = Some(Shape {
            steer: Steer::Ordered,
            ..part
        });
        return (0..count).collect();
    };
    if whole.many != part.many {
        notes.check(at, "some datacenters answer all their addresses, others one: all answer as many as they have");
        whole.many = true;
    }
    if (whole.up_thresh - part.up_thresh).abs() > f64::EPSILON {
        notes.check(
            at,
            format!(
                "datacenters have different `up_thresh`; the policy takes {} for all",
                whole.up_thresh
            ),
        );
    }
    let begin = whole.pools.len();
    whole.pools.extend(part.pools);
    (begin..whole.pools.len()).collect()
}
