//! What was measured: places that beat every database, prefix by prefix.
//!
//! Lines of `CIDR,latitude,longitude[,country]`, or of `CIDR,region` where a measurement only found the
//! nearest of our regions: its clients are then placed where that region is. JSON is a list of the same
//! as objects. A measured place never moves anybody into another country by itself: compliance goes by
//! the country, and a round trip crosses borders. Only a country that is written down does.

use std::path::Path;

use ipnet::IpNet;
use meridian_engine::class::{ClassPatch, ClassTableBuilder};
use meridian_topology::country::CountryCode;
use meridian_topology::{Coordinates, RegionId, Topology};
use serde::Deserialize;

use crate::list::List;
use crate::{GRID_DEGREES, GeoError};

/// Where the clients of a prefix were found to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Override {
    pub net: IpNet,
    pub at: Coordinates,
    pub country: Option<CountryCode>,
}

/// An element of a JSON list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    cidr: String,
    latitude: Option<f64>,
    longitude: Option<f64>,
    country: Option<String>,
    region: Option<RegionId>,
}

/// Reads a list; regions are looked up in the topology.
pub(crate) fn read(path: &Path, topology: &Topology) -> Result<Vec<Override>, GeoError> {
    let list = List::read(path)?;
    let mut found = Vec::new();
    if list.is_json() {
        let raw: Vec<Raw> = list.json()?;
        for raw in raw {
            let cidr = raw.cidr.clone();
            let read = from_raw(raw, topology);
            found.push(read.map_err(|problem| list.problem(&format!("`{cidr}`: {problem}")))?);
        }
    } else {
        list.each_line(|net, record| {
            let cell = |at| record.get(at).filter(|cell: &&str| !cell.is_empty());
            found.push(match (cell(1), cell(2)) {
                (Some(region), None) => near(net, region, topology)?,
                (Some(latitude), Some(longitude)) => Override {
                    net,
                    at: place(number(latitude)?, number(longitude)?)?,
                    country: cell(3).map(country).transpose()?,
                },
                _ => {
                    return Err("lines are CIDR,latitude,longitude[,country] or CIDR,region".into());
                }
            });
            Ok(())
        })?;
    }
    list.check_len(found.len())?;
    Ok(found)
}

fn from_raw(raw: Raw, topology: &Topology) -> Result<Override, String> {
    let net = crate::list::net(&raw.cidr)?;
    match (raw.latitude, raw.longitude, raw.region) {
        (None, None, Some(region)) => near(net, region.as_str(), topology),
        (Some(latitude), Some(longitude), None) => Ok(Override {
            net,
            at: place(latitude, longitude)?,
            country: raw.country.as_deref().map(country).transpose()?,
        }),
        _ => Err("give either `latitude` and `longitude`, or `region`".into()),
    }
}

fn near(net: IpNet, region: &str, topology: &Topology) -> Result<Override, String> {
    let known = topology.regions.iter();
    let found = known.clone().find(|known| known.id.as_str() == region);
    let Some(found) = found else {
        let names = known.map(|known| known.id.as_str());
        let near = meridian_topology::door::suggest::closest(region, names);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        return Err(format!("`{region}` is no region of the topology{hint}"));
    };
    Ok(Override {
        net,
        at: found.location.coordinates,
        country: None,
    })
}

fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is no number of degrees"))
}

fn place(latitude: f64, longitude: f64) -> Result<Coordinates, String> {
    Coordinates::new(latitude, longitude).map_err(|error| error.to_string())
}

fn country(text: &str) -> Result<CountryCode, String> {
    text.parse::<CountryCode>()
        .map_err(|error| error.to_string())
}

/// Adds a net for each prefix. Places are exact, unless there were too many classes on the finest grid.
pub(crate) fn lay(builder: &mut ClassTableBuilder, overrides: &[Override], degrees: f64) {
    for known in overrides {
        let exact = degrees <= GRID_DEGREES[0];
        let cell = if exact {
            None
        } else {
            crate::cell(known.at, degrees)
        };
        let patch = ClassPatch {
            country: known.country,
            location: Some(cell.unwrap_or(known.at)),
            ..ClassPatch::default()
        };
        builder.amend(known.net, patch);
    }
}

#[cfg(test)]
mod tests;
