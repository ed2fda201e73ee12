//! A zone as a master file.

use std::io;

use meridian_topology::rdata::{RTypeName, escape_name, write};

use crate::zone::StaticZone;

/// Writes a zone so that reading it gives the same zone: absolute names, a TTL and a class on every
/// record, the SOA first.
///
/// # Errors
/// Those of `to`.
pub fn write_zone(zone: &StaticZone, to: &mut impl io::Write) -> io::Result<()> {
    let mut line = String::new();
    for record in zone.records() {
        line.clear();
        escape_name(record.owner, &mut line);
        let (ttl, rtype) = (record.ttl_seconds, RTypeName(record.rtype.0));
        let data = write(record.rtype.0, record.data);
        writeln!(to, "{line}\t{ttl}\tIN\t{rtype}\t{data}")?;
    }
    Ok(())
}
