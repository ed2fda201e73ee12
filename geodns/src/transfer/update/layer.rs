//! What dynamic updates have put beside a zone's own data.
//!
//! The layer holds whole record sets, by name and type, and never one that the zone's own data has:
//! what the topology or a zone file says is not changed by an update, and wins when it comes later.
//! Laid over the zone it makes the zone that is served, with a serial that is newer than both. Over data that
//! comes signed nothing is laid.
//!
//! Limits: [`RECORDS_MAX`] records in one zone's layer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::config::shown;
use super::super::record::{WireName, is_newer, with_serial};
use crate::wire::RType;
use crate::zone::{StaticZone, StaticZoneBuilder};

/// Most records of one layer.
pub(crate) const RECORDS_MAX: usize = 100_000;

/// A record set's place.
pub(crate) type SetKey = (WireName, RType);

/// A record set of the layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct LayerSet {
    pub(crate) ttl: u32,
    pub(crate) data: Vec<Box<[u8]>>,
}

/// One zone's layer at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layer {
    /// The serial of the last update; 0 before the first.
    pub(crate) serial: u32,
    pub(crate) sets: BTreeMap<SetKey, LayerSet>,
}

impl Layer {
    /// Records in it.
    pub(crate) fn records(&self) -> usize {
        self.sets.values().map(|set| set.data.len()).sum()
    }

    /// The sets of a name.
    pub(crate) fn sets_at<'l>(
        &'l self,
        name: &'l [u8],
    ) -> impl Iterator<Item = (&'l SetKey, &'l LayerSet)> {
        self.sets
            .range((WireName::from(name), RType(0))..)
            .take_while(move |((owner, _), _)| **owner == *name)
    }

    /// The serial of the zone with this layer over it.
    fn serial_over(&self, base: &StaticZone) -> u32 {
        if self.serial == 0 || is_newer(base.serial(), self.serial) {
            base.serial()
        } else {
            self.serial
        }
    }

    /// The zone with this layer over it.
    fn over(&self, base: &Arc<StaticZone>) -> Arc<StaticZone> {
        let mut builder = StaticZoneBuilder::new(base.origin());
        let serial = self.serial_over(base);
        for record in base.records() {
            if record.rtype == RType::SOA {
                let data = with_serial(record.data, serial);
                builder.record(record.owner, record.rtype, record.ttl_seconds, &data);
            } else {
                builder.record(record.owner, record.rtype, record.ttl_seconds, record.data);
            }
        }
        for ((owner, rtype), set) in &self.sets {
            let node = base.get(owner);
            let has = |rtype| node.is_some_and(|node| node.rrset(rtype).is_some());
            let beside_alias = has(RType::CNAME)
                || (*rtype == RType::CNAME && node.is_some_and(|node| !node.rrsets().is_empty()));
            if has(*rtype) || beside_alias {
                tracing::warn!(
                    zone = %shown(base.origin()),
                    name = %shown(owner),
                    rtype = rtype.0,
                    "records of a dynamic update are not served: the zone's own data has this name now"
                );
                continue;
            }
            for data in &set.data {
                builder.record(owner, *rtype, set.ttl, data);
            }
        }
        match builder.build() {
            Ok(zone) => Arc::new(zone),
            // It has the SOA of a zone that was built.
            Err(error) => {
                tracing::error!(zone = %shown(base.origin()), %error, "updates cannot be laid over their zone");
                Arc::clone(base)
            }
        }
    }
}

/// The layers of all zones, and the zones made with them. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layers(Arc<Mutex<HashMap<WireName, Laid>>>);

#[derive(Debug, Default)]
struct Laid {
    layer: Arc<Layer>,
    /// The zone's own data that was seen last, the layer it was laid under, and the result.
    made: Option<(Arc<StaticZone>, Arc<Layer>, Arc<StaticZone>)>,
}

impl Layers {
    /// Puts a layer in force, from the next time that zones are built.
    pub(crate) fn set(&self, zone: &[u8], layer: Arc<Layer>) {
        self.lock().entry(zone.into()).or_default().layer = layer;
    }

    /// The layer of a zone; an empty one where nothing is laid over it.
    pub(crate) fn get(&self, zone: &[u8]) -> Arc<Layer> {
        let zones = self.lock();
        zones
            .get(zone)
            .map_or_else(Arc::default, |laid| Arc::clone(&laid.layer))
    }

    /// The zone to serve in place of `base`: itself, where nothing is laid over it.
    pub(crate) fn over(&self, base: Arc<StaticZone>) -> Arc<StaticZone> {
        let layer = match self.lock().get(base.origin()) {
            None => return base,
            Some(laid) => match &laid.made {
                Some((made_of, layer, made))
                    if Arc::ptr_eq(made_of, &base) && Arc::ptr_eq(layer, &laid.layer) =>
                {
                    return Arc::clone(made);
                }
                _ => Arc::clone(&laid.layer),
            },
        };
        // Made without the lock: a large zone takes a while.
        let made = if layer.serial == 0 {
            Arc::clone(&base)
        } else if base.is_signed() {
            tracing::error!(
                zone = %shown(base.origin()),
                "dynamic updates are kept and not served: the zone's data comes signed now, and its signatures do not cover them; have it delivered unsigned"
            );
            Arc::clone(&base)
        } else {
            layer.over(&base)
        };
        if let Some(laid) = self.lock().get_mut(base.origin()) {
            laid.made = Some((base, layer, Arc::clone(&made)));
        }
        made
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<WireName, Laid>> {
        // Changed by single assignments.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(
        clippy::unwrap_used,
        reason = "a test that cannot build its input has failed"
    )]

    use super::*;
    use crate::master::read_text;

    const ORIGIN: &[u8] = b"\x04zone\x04test\0";
    const UNSIGNED: &str = "$TTL 60\n@ SOA ns admin 1 1 1 1 60\n@ NS ns\n";
    const PROOF: &str = "@ NSEC zone.test. NS SOA RRSIG NSEC\n";

    fn zone(text: &str) -> Arc<StaticZone> {
        Arc::new(read_text("zone", text.as_bytes(), ORIGIN).unwrap())
    }

    #[test]
    fn nothing_is_laid_over_data_that_comes_signed() {
        let owner: WireName = Box::from(&b"\x03new\x04zone\x04test\0"[..]);
        let set = LayerSet {
            ttl: 60,
            data: vec![Box::from([192, 0, 2, 1])],
        };
        let layers = Layers::default();
        let layer = Layer {
            serial: 7,
            sets: BTreeMap::from([((owner.clone(), RType::A), set)]),
        };
        layers.set(ORIGIN, Arc::new(layer));
        let unsigned = zone(UNSIGNED);
        assert!(layers.over(Arc::clone(&unsigned)).get(&owner).is_some());
        let signed = zone(&format!("{UNSIGNED}{PROOF}"));
        assert!(Arc::ptr_eq(&layers.over(Arc::clone(&signed)), &signed));
        // What was kept is served again once the data comes unsigned.
        assert!(layers.over(unsigned).get(&owner).is_some());
    }
}
