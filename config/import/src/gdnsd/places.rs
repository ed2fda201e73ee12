//! Where datacenters are: what a region of ours must say.

use std::collections::BTreeMap;

use meridian_topology::{Coordinates, Country};

use super::id;
use super::map::GeoMap;
use crate::note::{At, Notes};

/// A region's location.
#[derive(Debug, Clone)]
pub(super) struct Location {
    pub(super) country: String,
    pub(super) latitude: f64,
    pub(super) longitude: f64,
}

/// Locations by region, as far as maps tell them.
#[derive(Debug, Default)]
pub(super) struct Places {
    known: BTreeMap<String, (f64, f64)>,
}

impl Places {
    pub(super) fn of(maps: &[GeoMap], notes: &mut Notes) -> Self {
        let mut known: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for map in maps {
            for (name, place) in &map.coordinates {
                let first = *known.entry(id(name)).or_insert(*place);
                if first != *place {
                    notes.check(&map.at, format!("datacenter `{name}` has other coordinates in another map; a region has one place, the first is taken"));
                }
            }
        }
        Self { known }
    }

    /// A region's location; what had to be made up is said.
    pub(super) fn location(&self, region: &str, at: &At, notes: &mut Notes) -> Location {
        // `dc-secondary` and `dc-inner` stand where `dc` does.
        let place = self.known.get(region).or_else(|| {
            let mut of_longest = self.known.iter().rev();
            let found = of_longest.find(|(name, _)| {
                region
                    .strip_prefix(name.as_str())
                    .is_some_and(|rest| rest.starts_with('-'))
            });
            found.map(|(_, place)| place)
        });
        if let Some((latitude, longitude)) = place.copied() {
            let country = nearest_country(latitude, longitude);
            notes.check(at, format!("region `{region}`: country {country} is the one whose middle is nearest to its coordinates; set the real one"));
            return Location {
                country,
                latitude,
                longitude,
            };
        }
        notes.check(at, format!("region `{region}`: gdnsd does not say where it is; AQ, 0, 0 stands until you set country and coordinates"));
        Location {
            country: "AQ".into(),
            latitude: 0.0,
            longitude: 0.0,
        }
    }
}

fn nearest_country(latitude: f64, longitude: f64) -> String {
    let Ok(place) = Coordinates::new(latitude, longitude) else {
        return "AQ".into();
    };
    let distance = |country: &&Country| place.distance_km(&country.centroid);
    Country::all()
        .iter()
        .min_by(|a, b| distance(a).total_cmp(&distance(b)))
        .map_or_else(|| "AQ".into(), |country| country.code.to_string())
}
