//! Where an address is: countries, operator groups and MMDB files turned into the engine's class table.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use meridian_engine::class::{ClassError, ClassPatch};
use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass};
use meridian_topology::{CountryCode, Topology};

/// Files that tell more about addresses than the embedded registry data.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// City or country database in MMDB format.
    pub mmdb_city: Option<PathBuf>,
    /// ASN database in MMDB format.
    pub mmdb_asn: Option<PathBuf>,
}

/// Why the class table cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// The classes do not fit.
    #[error(transparent)]
    Classes(#[from] ClassError),
}

/// Builds the class table: registry countries below, the operator's groups above.
pub fn build(topology: &Topology, _sources: &Sources) -> Result<ClassTable, GeoError> {
    let mut builder = ClassTableBuilder::new();
    let country = |net: u32| iptocc::country_code(Ipv4Addr::from(net << 8)).and_then(|code| code.parse::<CountryCode>().ok());
    let mut ranges = Vec::new();
    let mut start = 0;
    let mut current = country(0);
    for net in 1..=1_u32 << 24 {
        let next = if net == 1 << 24 { None } else { country(net) };
        if net == 1 << 24 || next != current {
            if let Some(code) = current {
                let range = (IpAddr::V4(Ipv4Addr::from(start << 8)), IpAddr::V4(Ipv4Addr::from(((net - 1) << 8) | 0xff)));
                ranges.push((range.0, range.1, ClientClass::default().in_country(code)));
            }
            (start, current) = (net, next);
        }
    }
    for (first, last, class) in ranges {
        for net in ipnet::IpSubnets::from(match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => ipnet::IpSubnets::V4(ipnet::Ipv4Subnets::new(first, last, 0)),
            _ => continue,
        }) {
            builder.insert(net, class.clone())?;
        }
    }
    builder.next_layer()?;
    for group in &topology.client_groups {
        for net in &group.cidrs {
            builder.amend(*net, ClassPatch { country: group.country, location: group.coordinates, asn: group.asn, provider: group.provider.clone(), region: None, group: Some(group.id.clone()) });
        }
    }
    Ok(builder.build()?)
}
