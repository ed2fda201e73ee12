//! MMDB files: places and autonomous systems, nested as MaxMind writes them or flat as others do.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use maxminddb::{MaxMindDbError, Reader, WithinOptions};
use meridian_engine::class::{ClassPatch, ClassTableBuilder};
use meridian_topology::Coordinates;
use meridian_topology::country::CountryCode;
use serde::Deserialize;

use crate::{GeoError, MAX_MMDB_BYTES};

/// An open file.
pub(crate) struct Database {
    path: PathBuf,
    reader: Reader<Vec<u8>>,
}

/// Opens and reads a file, of bounded size.
pub(crate) fn open(path: &Path) -> Result<Database, GeoError> {
    let content = crate::read_bounded(path, MAX_MMDB_BYTES)?;
    let reader = Reader::from_source(content).map_err(|source| GeoError::Mmdb {
        path: path.to_owned(),
        source,
    })?;
    Ok(Database {
        path: path.to_owned(),
        reader,
    })
}

/// The parts of a record that matter here; everything else in it is skipped.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Record {
    country: Option<Country>,
    registered_country: Option<Country>,
    country_code: Option<String>,
    location: Option<Place>,
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
    autonomous_system_number: Option<u32>,
    asn: Option<Asn>,
}

/// `{iso_code: DE}` (MaxMind) or `DE`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Country {
    Nested { iso_code: Option<String> },
    Flat(String),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Place {
    latitude: Option<Degrees>,
    longitude: Option<Degrees>,
}

/// A number, or a number in a text, as some vendors write it.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Degrees {
    Number(f64),
    Text(String),
}

/// `64500` or `AS64500`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Asn {
    Number(u32),
    Text(String),
}

impl Degrees {
    fn get(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.parse().ok(),
        }
    }
}

impl Record {
    fn country(&self) -> Option<CountryCode> {
        let nested = self.country.as_ref().or(self.registered_country.as_ref());
        let code = match nested {
            Some(Country::Nested { iso_code }) => iso_code.as_deref(),
            Some(Country::Flat(code)) => Some(code.as_str()),
            None => None,
        };
        let code: CountryCode = code.or(self.country_code.as_deref())?.parse().ok()?;
        code.country().map(|country| country.code)
    }

    /// The place; one off the globe is none.
    fn place(&self) -> Option<Coordinates> {
        let nested = self.location.as_ref();
        let latitude = nested
            .and_then(|place| place.latitude.as_ref())
            .or(self.latitude.as_ref());
        let longitude = nested
            .and_then(|place| place.longitude.as_ref())
            .or(self.longitude.as_ref());
        Coordinates::new(latitude?.get()?, longitude?.get()?).ok()
    }

    fn asn(&self) -> Option<u32> {
        self.autonomous_system_number
            .or_else(|| match self.asn.as_ref()? {
                Asn::Number(number) => Some(*number),
                Asn::Text(text) => text.strip_prefix("AS").unwrap_or(text).parse().ok(),
            })
    }
}

impl Database {
    /// What the file says it is.
    pub fn describe(&self) -> String {
        let about = self.reader.metadata();
        let day = jiff::Timestamp::from_second(i64::try_from(about.build_epoch).unwrap_or(0));
        let day = day.map_or_else(|_| "?".to_owned(), |at| at.strftime("%Y-%m-%d").to_string());
        format!("{} of {day}", about.database_type)
    }

    /// Country, place (exact) and autonomous system of one address.
    pub fn ask(&self, address: IpAddr) -> Result<Option<ClassPatch>, GeoError> {
        let broken = |source: MaxMindDbError| GeoError::Mmdb {
            path: self.path.clone(),
            source,
        };
        let found = self.reader.lookup(address).map_err(broken)?;
        let record = found.decode::<Record>().map_err(broken)?;
        Ok(record.map(|record| ClassPatch {
            country: record.country(),
            location: record.place(),
            asn: record.asn(),
            ..ClassPatch::default()
        }))
    }

    /// Countries and places on a grid.
    pub fn lay_places(
        &self,
        builder: &mut ClassTableBuilder,
        degrees: f64,
    ) -> Result<(), GeoError> {
        self.each(|net, record| {
            let patch = ClassPatch {
                country: record.country(),
                location: record.place().and_then(|at| crate::cell(at, degrees)),
                ..ClassPatch::default()
            };
            if patch != ClassPatch::default() {
                builder.amend(net, patch);
            }
        })
    }

    /// The autonomous systems that somebody asks for.
    pub fn lay_networks(
        &self,
        builder: &mut ClassTableBuilder,
        asns: &BTreeSet<u32>,
    ) -> Result<(), GeoError> {
        self.each(|net, record| {
            let asn = record.asn().filter(|asn| asns.contains(asn));
            if asn.is_some() {
                builder.amend(
                    net,
                    ClassPatch {
                        asn,
                        ..ClassPatch::default()
                    },
                );
            }
        })
    }

    fn each(&self, mut visit: impl FnMut(IpNet, &Record)) -> Result<(), GeoError> {
        let broken = |source: MaxMindDbError| GeoError::Mmdb {
            path: self.path.clone(),
            source,
        };
        for found in self
            .reader
            .networks(WithinOptions::default())
            .map_err(broken)?
        {
            let found = found.map_err(broken)?;
            let network = found.network().map_err(broken)?;
            let Some(record) = found.decode::<Record>().map_err(broken)? else {
                continue;
            };
            if let Some(net) = to_net(network.ip(), network.prefix()) {
                visit(net, &record);
            }
        }
        Ok(())
    }
}

/// A network of the file; one inside `::/96` is IPv4, as MMDB stores it in IPv6 trees.
fn to_net(address: IpAddr, prefix_len: u8) -> Option<IpNet> {
    let (address, prefix_len) = match address {
        IpAddr::V6(v6) if prefix_len >= 96 && v6.to_bits() >> 32 == 0 => {
            (IpAddr::V4((v6.to_bits() as u32).into()), prefix_len - 96)
        }
        other => (other, prefix_len),
    };
    IpNet::new(address, prefix_len).ok().map(|net| net.trunc())
}

#[cfg(test)]
mod tests;
