//! A zone as others get it: its static data at one moment, and what stands for its steered names.
//!
//! Another server cannot steer. At a steered name it gets the fixed addresses of the policy
//! (`when_none: { static: … }`), which the operator meant for everybody, or nothing: endpoints are
//! answered only by picks, because only picks stay inside the compliance wall (invariant 5).

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::config::SteeredExport;
use super::record::Record;
use crate::wire::RType;
use crate::zone::{RecordRef, StaticZone};
use crate::zones::Zones;

/// One zone to transfer.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    zone: Arc<StaticZone>,
    /// What is sent at steered names, by their lowercased wire names.
    steered: BTreeMap<Box<[u8]>, Vec<Record>>,
}

impl Snapshot {
    /// The zone with this origin as `zones` serves it.
    pub(crate) fn of(zones: &Zones, origin: &[u8], steered: SteeredExport) -> Option<Self> {
        let served = zones.set().zone(origin).filter(|zone| !zone.is_unready())?;
        let of_name = |name: &[u8], idx| match steered {
            SteeredExport::Omit => Vec::new(),
            SteeredExport::Fallback => {
                let name_of_service = zones.steered_name(idx);
                let fixed = name_of_service.fixed.iter();
                fixed
                    .map(|address| address_record(name, name_of_service.ttl_seconds, *address))
                    .collect()
            }
        };
        Some(Self {
            zone: Arc::clone(served.data()),
            steered: served
                .steered()
                .map(|(name, idx)| (name.into(), of_name(name, idx)))
                .collect(),
        })
    }

    /// A zone without steered names.
    #[cfg(test)]
    pub(crate) fn plain(zone: Arc<StaticZone>) -> Self {
        Self {
            zone,
            steered: BTreeMap::new(),
        }
    }

    pub(crate) fn serial(&self) -> u32 {
        self.zone.serial()
    }

    /// Whether both hold the same records without a look at each.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.zone, &other.zone) && self.steered == other.steered
    }

    /// The SOA.
    pub(crate) fn soa(&self) -> Option<RecordRef<'_>> {
        // The SOA comes first.
        self.zone
            .records()
            .next()
            .filter(|record| record.rtype == RType::SOA)
    }

    /// Every record but the SOA.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let of_zone = self
            .zone
            .records()
            .filter(|record| record.rtype != RType::SOA && !self.is_steered(record));
        of_zone.chain(self.steered.values().flatten().map(Record::as_ref))
    }

    /// Whether steering replaces a static record.
    fn is_steered(&self, record: &RecordRef<'_>) -> bool {
        matches!(record.rtype, RType::A | RType::AAAA | RType::CNAME)
            && self.steered.contains_key(record.owner)
    }

    /// What leads from this zone to `newer`.
    pub(crate) fn diff(&self, newer: &Self) -> Option<Diff> {
        let (from, to) = (self.soa()?, newer.soa()?);
        let old: HashSet<Key<'_>> = self.records().map(key).collect();
        let new: HashSet<Key<'_>> = newer.records().map(key).collect();
        let only = |records: &Self, other: &HashSet<Key<'_>>| -> Vec<Record> {
            let own = records.records();
            own.filter(|record| !other.contains(&key(*record)))
                .map(Record::from)
                .collect()
        };
        Some(Diff {
            from_serial: self.serial(),
            to_serial: newer.serial(),
            from: from.into(),
            to: to.into(),
            removed: only(self, &new),
            added: only(newer, &old),
        })
    }
}

type Key<'r> = (&'r [u8], RType, u32, &'r [u8]);

fn key(record: RecordRef<'_>) -> Key<'_> {
    (record.owner, record.rtype, record.ttl_seconds, record.data)
}

fn address_record(name: &[u8], ttl: u32, address: std::net::IpAddr) -> Record {
    let (rtype, data): (RType, Box<[u8]>) = match address {
        std::net::IpAddr::V4(address) => (RType::A, address.octets().into()),
        std::net::IpAddr::V6(address) => (RType::AAAA, address.octets().into()),
    };
    Record {
        owner: name.into(),
        rtype,
        ttl,
        data,
    }
}

/// One step of an incremental transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Diff {
    pub(crate) from_serial: u32,
    pub(crate) to_serial: u32,
    /// The SOA before.
    pub(crate) from: Record,
    /// The SOA after.
    pub(crate) to: Record,
    pub(crate) removed: Vec<Record>,
    pub(crate) added: Vec<Record>,
}

impl Diff {
    /// The records in the order of RFC 1995 §4.
    pub(crate) fn records(&self) -> impl Iterator<Item = RecordRef<'_>> {
        let removed = std::iter::once(&self.from).chain(&self.removed);
        let added = std::iter::once(&self.to).chain(&self.added);
        removed.chain(added).map(Record::as_ref)
    }

    /// Whether nothing but the serial differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.added.is_empty()
    }

    /// Bytes of memory, about.
    pub(crate) fn memory_bytes(&self) -> usize {
        let records = self.removed.iter().chain(&self.added);
        let records = records.chain([&self.from, &self.to]);
        records.map(Record::memory_bytes).sum()
    }
}
