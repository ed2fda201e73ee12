//! The topology's `dns_zones` as static zones.

use std::sync::Arc;

use meridian_topology::{DnsName, DnsZone, Millis, RecordData};

use super::Zones;
use crate::wire::RType;
use crate::zone::{StaticZone, StaticZoneBuilder, ZoneError};

/// A zone of the topology; the one that `before` serves when nothing in it changed.
///
/// A zone that names no serial gets the time, or the next number after its last serial when the
/// clock is behind that: secondaries follow a serial that grows (RFC 1982).
pub(super) fn static_zone(
    zone: &DnsZone,
    before: Option<&Zones>,
    now_unix_seconds: u64,
) -> Result<Arc<StaticZone>, ZoneError> {
    // Serial arithmetic wraps by design.
    let now = now_unix_seconds as u32;
    let last = before.and_then(|before| {
        let same_origin = |old: &&DnsZone| old.origin == zone.origin;
        let zones = &before.published.world.topology.dns_zones;
        let data = before.base(&wire_name(&zone.origin))?;
        Some((zones.iter().find(same_origin)?, data))
    });
    let serial = match (zone.soa.serial, last) {
        (_, Some((old, data))) if old == zone => return Ok(Arc::clone(data)),
        (Some(serial), _) => serial,
        (None, Some((_, data))) if !is_later(now, data.serial()) => data.serial().wrapping_add(1),
        (None, _) => now,
    };
    build(zone, serial).map(Arc::new)
}

/// RFC 1982 §3.2.
fn is_later(one: u32, other: u32) -> bool {
    one != other && one.wrapping_sub(other) < 1 << 31
}

fn build(zone: &DnsZone, serial: u32) -> Result<StaticZone, ZoneError> {
    let origin = wire_name(&zone.origin);
    let mut builder = StaticZoneBuilder::new(&origin);
    let seconds = |time: Millis| u32::try_from(time.0 / 1000).unwrap_or(u32::MAX);
    let numbers = [
        serial,
        seconds(zone.soa.refresh),
        seconds(zone.soa.retry),
        seconds(zone.soa.expire),
        zone.soa.minimum.0,
    ];
    let mut soa = wire_name(&zone.soa.mname).into_vec();
    soa.extend(wire_name(&zone.soa.rname));
    soa.extend(numbers.iter().flat_map(|number| number.to_be_bytes()));
    builder.record(&origin, RType::SOA, zone.ttl.0, &soa);
    for server in &zone.ns {
        builder.record(&origin, RType::NS, zone.ttl.0, &wire_name(server));
    }
    for record in &zone.records {
        let (rtype, data) = rdata(&record.data);
        builder.record(&wire_name(&record.name), rtype, record.ttl.0, &data);
    }
    builder.build()
}

fn rdata(data: &RecordData) -> (RType, Vec<u8>) {
    match data {
        RecordData::A(address) => (RType::A, address.octets().into()),
        RecordData::Aaaa(address) => (RType::AAAA, address.octets().into()),
        RecordData::Cname(target) => (RType::CNAME, wire_name(target).into()),
        RecordData::Txt(texts) => {
            let mut bytes = Vec::new();
            for text in texts {
                // The topology cuts texts at 255 bytes.
                bytes.push(text.len() as u8);
                bytes.extend_from_slice(text.as_bytes());
            }
            (RType::TXT, bytes)
        }
        RecordData::Ns(server) => (RType::NS, wire_name(server).into()),
        RecordData::Mx {
            preference,
            exchange,
        } => {
            let mut bytes = preference.to_be_bytes().to_vec();
            bytes.extend(wire_name(exchange));
            (RType::MX, bytes)
        }
        RecordData::Other { rtype, data } => (RType(*rtype), data.clone()),
    }
}

/// A topology name in wire form. It is in lower case, and its labels and length were checked.
pub(crate) fn wire_name(name: &DnsName) -> Box<[u8]> {
    let mut wire = Vec::with_capacity(name.as_str().len() + 2);
    for label in name.labels() {
        wire.push(label.len() as u8);
        wire.extend_from_slice(label.as_bytes());
    }
    wire.push(0);
    wire.into()
}
