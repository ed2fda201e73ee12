//! The public data set `cloud_rtt_2022.csv` and the places of its regions.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use meridian_score::Origin;
use meridian_topology::Coordinates;
use serde::Deserialize;

use super::{NamedSite, Observations, ROWS_MAX, Regions, Sample, check_rtt_ms, read_text};
use crate::error::TrainError;

/// The file's name in the data directory.
pub const CLOUD_RTT_FILE: &str = "cloud_rtt_2022.csv";

const PLACES: &str = include_str!("../../data/cloud_regions.csv");

#[derive(Deserialize)]
struct Place {
    region: String,
    #[serde(rename = "city")]
    _city: String,
    country: String,
    latitude: f64,
    longitude: f64,
}

/// The 69 regions of the data set, sorted by name (`provider:region`).
pub fn cloud_regions() -> &'static [NamedSite] {
    static REGIONS: OnceLock<Vec<NamedSite>> = OnceLock::new();
    REGIONS.get_or_init(|| {
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .from_reader(PLACES.as_bytes());
        let mut regions: Vec<NamedSite> = reader
            .deserialize()
            .map(|row| {
                let place: Place = row.expect("the table is part of this crate and tested");
                let provider = place
                    .region
                    .split_once(':')
                    .map(|(provider, _)| provider.to_owned());
                NamedSite {
                    coordinates: Coordinates::new(place.latitude, place.longitude)
                        .expect("the table is part of this crate and tested"),
                    country: place.country.parse().ok(),
                    provider,
                    id: place.region,
                }
            })
            .collect();
        regions.sort_by(|a, b| a.id.cmp(&b.id));
        regions
    })
}

#[derive(Deserialize)]
struct Pair {
    src: String,
    dst: String,
    avg_ms: f64,
}

/// Reads the data set from `path`: every source region is a client, every destination a region.
pub fn read_cloud_rtt(path: &Path) -> Result<Observations, TrainError> {
    let text = read_text(path)?;
    let regions = Regions::clouds();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut samples = Vec::new();
    for (index, row) in reader.deserialize().enumerate() {
        let row_error = |what: String| TrainError::Row {
            path: PathBuf::from(path),
            line: index as u64 + 2,
            what,
        };
        if samples.len() == ROWS_MAX {
            return Err(TrainError::TooManyRows {
                path: path.to_owned(),
                max: ROWS_MAX,
            });
        }
        let pair: Pair = row.map_err(|error| row_error(error.to_string()))?;
        let find = |id: &str| {
            regions
                .find(id)
                .cloned()
                .ok_or_else(|| row_error(format!("region {id:?} is not known")))
        };
        samples.push(Sample {
            client: find(&pair.src)?,
            region: find(&pair.dst)?,
            rtt_ms: check_rtt_ms(pair.avg_ms).map_err(row_error)?,
            at_unix_s: None,
        });
    }
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Observations::collect(name, Origin::Measured, &samples))
}
