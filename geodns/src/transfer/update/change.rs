//! One update message worked in: prerequisites (RFC 2136 §3.2) and changes (§3.4), on a copy.
//!
//! Nothing here knows who asks; [`super::Updates`] does. The result is a new layer and the list of
//! sets that changed, or a response code with its reason; the zone in force is not touched.

use std::collections::{BTreeMap, BTreeSet};

use super::super::message::{Message, RawRecord};
use super::super::record::{Record, WireName, comparable};
use super::super::reply::{EDE_OTHER, EDE_PROHIBITED, Ede};
use super::layer::{Layer, LayerSet, RECORDS_MAX, SetKey};
use crate::wire::{Class, RType, Rcode};
use crate::zone::{StaticZone, is_within};

/// Class NONE (RFC 2136 §2.4).
const NONE: Class = Class(254);
/// Class ANY.
const ANY: Class = Class(255);

/// The data of a set, in comparable form.
type DataSet = BTreeSet<Box<[u8]>>;

/// An update that is not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) rcode: Rcode,
    pub(crate) why: Option<Ede>,
}

impl Refused {
    pub(crate) const fn plain(rcode: Rcode) -> Self {
        Self { rcode, why: None }
    }

    const fn because(rcode: Rcode, code: u16, text: &'static str) -> Self {
        Self {
            rcode,
            why: Some((code, text)),
        }
    }
}

const OWN_DATA: Refused = Refused::because(
    Rcode::Refused,
    EDE_PROHIBITED,
    "these records are the zone's own data, which updates do not change",
);
const NOT_LISTED: Refused = Refused::because(
    Rcode::Refused,
    EDE_PROHIBITED,
    "this key may not change this name or type",
);
const STEERED: Refused = Refused::because(
    Rcode::Refused,
    EDE_PROHIBITED,
    "this name is steered by the topology",
);
const FULL: Refused = Refused::because(
    Rcode::ServFail,
    EDE_OTHER,
    "the zone holds as many updated records as it may",
);

/// What decides whether a name and type may be changed.
pub(crate) trait Policy {
    /// Whether the key may change records of this type at this name.
    fn may_change(&self, name: &[u8], rtype: RType) -> bool;
    /// Whether the name is steered, itself or by a wildcard.
    fn is_steered(&self, name: &[u8]) -> bool;
}

/// An update on its way.
pub(crate) struct Change<'a, P> {
    base: &'a StaticZone,
    layer: Layer,
    changed: BTreeSet<SetKey>,
    policy: &'a P,
}

/// What an update did: the layer, its serial still the old one, and the sets that changed.
pub(crate) type Done = (Layer, Vec<SetKey>);

impl<'a, P: Policy> Change<'a, P> {
    /// Works an update in.
    ///
    /// # Errors
    /// [`Refused`] says what to answer.
    pub(crate) fn run(
        base: &'a StaticZone,
        layer: &Layer,
        policy: &'a P,
        message: &Message,
    ) -> Result<Done, Refused> {
        let mut change = Self {
            base,
            layer: layer.clone(),
            changed: BTreeSet::new(),
            policy,
        };
        change.check_prerequisites(&message.answers)?;
        for record in &message.authorities {
            change.check_update(record)?;
        }
        for record in &message.authorities {
            change.apply(record)?;
        }
        if change.layer.records() > RECORDS_MAX {
            return Err(FULL);
        }
        let Self {
            layer: new,
            changed,
            ..
        } = change;
        // A set that ended as it began was not changed.
        let changed = changed.into_iter();
        let changed = changed.filter(|key| new.sets.get(key) != layer.sets.get(key));
        let changed = changed.collect();
        Ok((new, changed))
    }

    fn check_prerequisites(&self, records: &[RawRecord]) -> Result<(), Refused> {
        // Sets that must be as given, TTLs aside.
        let mut exact: BTreeMap<(&[u8], RType), DataSet> = BTreeMap::new();
        for RawRecord { record, class } in records {
            let (name, rtype) = (&*record.owner, record.rtype);
            if record.ttl != 0 {
                return Err(Refused::plain(Rcode::FormErr));
            }
            if !is_within(name, self.base.origin()) {
                return Err(Refused::plain(Rcode::NotZone));
            }
            let empty = record.data.is_empty();
            let unmet = match (*class, rtype) {
                (ANY, RType::ANY) if empty => (!self.in_use(name)).then_some(Rcode::NxDomain),
                (ANY, _) if empty => self.set(name, rtype).is_empty().then_some(Rcode::NxRrset),
                (NONE, RType::ANY) if empty => self.in_use(name).then_some(Rcode::YxDomain),
                (NONE, _) if empty => (!self.set(name, rtype).is_empty()).then_some(Rcode::YxRrset),
                (Class::IN, _) if is_data(rtype) => {
                    let set = exact.entry((name, rtype)).or_default();
                    set.insert(comparable(rtype, &record.data));
                    None
                }
                _ => Some(Rcode::FormErr),
            };
            if let Some(rcode) = unmet {
                return Err(Refused::plain(rcode));
            }
        }
        let differs = exact
            .iter()
            .any(|((name, rtype), wanted)| self.set(name, *rtype) != *wanted);
        if differs {
            return Err(Refused::plain(Rcode::NxRrset));
        }
        Ok(())
    }

    /// The prescan of RFC 2136 §3.4.1, and whether the key may.
    fn check_update(&self, RawRecord { record, class }: &RawRecord) -> Result<(), Refused> {
        let (name, rtype) = (&*record.owner, record.rtype);
        if !is_within(name, self.base.origin()) {
            return Err(Refused::plain(Rcode::NotZone));
        }
        let whole_name = *class == ANY && rtype == RType::ANY;
        let well_formed = match *class {
            Class::IN => is_data(rtype) && has_shape(record),
            ANY => record.ttl == 0 && record.data.is_empty() && (whole_name || is_data(rtype)),
            NONE => record.ttl == 0 && is_data(rtype),
            _ => false,
        };
        if !well_formed {
            return Err(Refused::plain(Rcode::FormErr));
        }
        if self.policy.is_steered(name) {
            return Err(STEERED);
        }
        if !whole_name && !self.policy.may_change(name, rtype) {
            return Err(NOT_LISTED);
        }
        Ok(())
    }

    fn apply(&mut self, RawRecord { record, class }: &RawRecord) -> Result<(), Refused> {
        match (*class, record.rtype) {
            (Class::IN, _) => self.add(record),
            (ANY, RType::ANY) => self.delete_name(&record.owner),
            (ANY, _) => self.delete_set(record),
            _ => self.delete_record(record),
        }
    }

    fn add(&mut self, record: &Record) -> Result<(), Refused> {
        let (name, rtype) = (&record.owner, record.rtype);
        let same = comparable(rtype, &record.data);
        if let Some(own) = self.own_set(name, rtype) {
            // Adding what is there changes nothing (RFC 2136 §3.4.2.2).
            return if own.contains(&same) {
                Ok(())
            } else {
                Err(OWN_DATA)
            };
        }
        let is_alias = rtype == RType::CNAME;
        let conflicts = self
            .types_at(name)
            .any(|other| (other == RType::CNAME) != is_alias);
        if conflicts {
            // "The server silently ignores it" (RFC 2136 §3.4.2.2).
            return Ok(());
        }
        let key = (name.clone(), rtype);
        let set = self.layer.sets.entry(key.clone()).or_default();
        set.ttl = record.ttl;
        // There is one CNAME at a name, and the newer one replaces it.
        if is_alias {
            set.data.clear();
        }
        set.data.retain(|data| comparable(rtype, data) != same);
        set.data.push(record.data.clone());
        self.changed.insert(key);
        Ok(())
    }

    fn delete_name(&mut self, name: &WireName) -> Result<(), Refused> {
        if self
            .base
            .get(name)
            .is_some_and(|node| !node.rrsets().is_empty())
        {
            return Err(OWN_DATA);
        }
        let keys: Vec<SetKey> = self
            .layer
            .sets_at(name)
            .map(|(key, _)| key.clone())
            .collect();
        if !keys
            .iter()
            .all(|(name, rtype)| self.policy.may_change(name, *rtype))
        {
            return Err(NOT_LISTED);
        }
        for key in keys {
            self.layer.sets.remove(&key);
            self.changed.insert(key);
        }
        Ok(())
    }

    fn delete_set(&mut self, record: &Record) -> Result<(), Refused> {
        if self.own_set(&record.owner, record.rtype).is_some() {
            return Err(OWN_DATA);
        }
        let key = (record.owner.clone(), record.rtype);
        if self.layer.sets.remove(&key).is_some() {
            self.changed.insert(key);
        }
        Ok(())
    }

    fn delete_record(&mut self, record: &Record) -> Result<(), Refused> {
        let same = comparable(record.rtype, &record.data);
        if let Some(own) = self.own_set(&record.owner, record.rtype) {
            return if own.contains(&same) {
                Err(OWN_DATA)
            } else {
                Ok(())
            };
        }
        let key = (record.owner.clone(), record.rtype);
        let Some(set) = self.layer.sets.get_mut(&key) else {
            return Ok(());
        };
        set.data
            .retain(|data| comparable(record.rtype, data) != same);
        if set.data.is_empty() {
            self.layer.sets.remove(&key);
        }
        self.changed.insert(key);
        Ok(())
    }

    /// The data of a set of the zone's own, in comparable form.
    fn own_set(&self, name: &[u8], rtype: RType) -> Option<DataSet> {
        let set = self.base.get(name)?.rrset(rtype)?;
        Some(
            set.data()
                .map(|(_, data)| comparable(rtype, data))
                .collect(),
        )
    }

    /// The data of a set as it would be answered.
    fn set(&self, name: &[u8], rtype: RType) -> DataSet {
        self.own_set(name, rtype).unwrap_or_else(|| {
            let of_layer = self.layer.sets.get(&(name.into(), rtype));
            let data = of_layer.map_or(&[][..], |set: &LayerSet| &set.data);
            data.iter().map(|data| comparable(rtype, data)).collect()
        })
    }

    fn types_at(&self, name: &[u8]) -> impl Iterator<Item = RType> {
        let own = self.base.get(name).map_or(&[][..], |node| node.rrsets());
        let of_layer: Vec<RType> = self
            .layer
            .sets_at(name)
            .map(|((_, rtype), _)| *rtype)
            .collect();
        own.iter().map(|set| set.rtype()).chain(of_layer)
    }

    /// Whether a name has records (RFC 2136 §2.4.4: empty non-terminals do not count).
    fn in_use(&self, name: &[u8]) -> bool {
        self.types_at(name).next().is_some()
    }
}

/// Types that zones hold: neither question types nor those of the message itself (RFC 6895 §3.1).
fn is_data(rtype: RType) -> bool {
    !matches!(rtype.0, 0 | 41 | 128..=255)
}

/// Whether data to be added has the shape of its type, where the reading of names has not shown it.
fn has_shape(record: &Record) -> bool {
    let data = &record.data;
    match record.rtype {
        RType::A => data.len() == 4,
        RType::AAAA => data.len() == 16,
        RType::TXT => {
            let mut rest = &**data;
            while let Some((length, after)) = rest.split_first() {
                match after.get(usize::from(*length)..) {
                    Some(next) => rest = next,
                    None => return false,
                }
            }
            !data.is_empty()
        }
        _ => !data.is_empty(),
    }
}

#[cfg(test)]
mod tests;
