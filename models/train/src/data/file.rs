//! An operator's own measurements, as CSV or JSON lines.
//!
//! Columns: `client_id`, `latitude`, `longitude`, `country`, `region`, `rtt_ms`, `at`. Needed are
//! `region`, `rtt_ms` and a place: both coordinates, or a country (its centroid then stands for
//! the client). `at` is seconds since the Unix epoch or RFC 3339. A column beside these is an
//! error, so that a misspelt one does not go unseen.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use meridian_score::Origin;
use meridian_topology::{Coordinates, CountryCode};
use serde::Deserialize;

use super::{NamedSite, Observations, ROWS_MAX, Regions, Sample, check_rtt_ms, read_text};
use crate::error::TrainError;

/// Clients without an id are told apart by country and coordinates rounded to this many parts of
/// a degree: one tenth is about 11 km, a city.
const CELLS_PER_DEGREE: f64 = 10.0;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    #[serde(default)]
    client_id: Option<String>,
    #[serde(default)]
    latitude: Option<f64>,
    #[serde(default)]
    longitude: Option<f64>,
    #[serde(default)]
    country: Option<String>,
    region: String,
    rtt_ms: f64,
    #[serde(default)]
    at: Option<At>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum At {
    Seconds(f64),
    Text(String),
}

impl At {
    fn unix_s(&self) -> Result<i64, String> {
        let (shown, second) = match self {
            Self::Seconds(seconds) => (seconds.to_string(), whole_second(*seconds)),
            Self::Text(text) => (
                text.clone(),
                text.parse::<Timestamp>().ok().map(|at| at.as_second()),
            ),
        };
        second.ok_or_else(|| format!("at is {shown:?}, expected Unix seconds or RFC 3339"))
    }
}

/// The second a fractional time lies in; none outside the range of timestamps.
fn whole_second(seconds: f64) -> Option<i64> {
    let range = Timestamp::MIN.as_second() as f64..=Timestamp::MAX.as_second() as f64;
    range.contains(&seconds).then(|| seconds.floor() as i64)
}

/// Reads observations from a file of CSV (`.csv`) or JSON lines (`.jsonl`, `.ndjson`, `.json`).
pub fn read_observations(path: &Path, regions: &Regions) -> Result<Observations, TrainError> {
    let rows: fn(&Path, &str, &Regions) -> Result<Vec<Sample>, TrainError> =
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("csv") => csv_samples,
            Some("jsonl" | "ndjson" | "json") => json_samples,
            _ => {
                return Err(TrainError::Format {
                    path: path.to_owned(),
                });
            }
        };
    let samples = rows(path, &read_text(path)?, regions)?;
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    Ok(Observations::collect(name, Origin::Measured, &samples))
}

fn csv_samples(path: &Path, text: &str, regions: &Regions) -> Result<Vec<Sample>, TrainError> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let row_error = |line: u64, what: String| TrainError::Row {
        path: path.to_owned(),
        line,
        what,
    };
    let headers = reader
        .headers()
        .map_err(|error| row_error(1, error.to_string()))?
        .clone();
    let mut samples = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| {
            row_error(
                error.position().map_or(1, csv::Position::line),
                error.to_string(),
            )
        })?;
        let line = record.position().map_or(1, csv::Position::line);
        let row: Row = record
            .deserialize(Some(&headers))
            .map_err(|error| row_error(line, error.to_string()))?;
        push(&mut samples, path, line, row, regions)?;
    }
    Ok(samples)
}

fn json_samples(path: &Path, text: &str, regions: &Regions) -> Result<Vec<Sample>, TrainError> {
    let mut samples = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let number = index as u64 + 1;
        let row: Row = serde_json::from_str(line).map_err(|error| TrainError::Row {
            path: path.to_owned(),
            line: number,
            what: error.to_string(),
        })?;
        push(&mut samples, path, number, row, regions)?;
    }
    Ok(samples)
}

fn push(
    samples: &mut Vec<Sample>,
    path: &Path,
    line: u64,
    row: Row,
    regions: &Regions,
) -> Result<(), TrainError> {
    if samples.len() == ROWS_MAX {
        return Err(TrainError::TooManyRows {
            path: path.to_owned(),
            max: ROWS_MAX,
        });
    }
    let sample = sample(row, regions).map_err(|what| TrainError::Row {
        path: PathBuf::from(path),
        line,
        what,
    })?;
    samples.push(sample);
    Ok(())
}

fn sample(row: Row, regions: &Regions) -> Result<Sample, String> {
    let region = regions.find(&row.region).cloned().ok_or_else(|| {
        format!(
            "region {:?} is neither in the topology nor a known cloud region ({} are)",
            row.region,
            regions.len()
        )
    })?;
    let rtt_ms = check_rtt_ms(row.rtt_ms)?;
    let at_unix_s = row.at.as_ref().map(At::unix_s).transpose()?;
    Ok(Sample {
        client: client(row)?,
        region,
        rtt_ms,
        at_unix_s,
    })
}

fn client(row: Row) -> Result<NamedSite, String> {
    let country: Option<CountryCode> = match row.country.as_deref() {
        None | Some("") => None,
        Some(text) => Some(text.parse().map_err(|error| format!("{error}"))?),
    };
    let coordinates = match (row.latitude, row.longitude) {
        (Some(latitude), Some(longitude)) => {
            Coordinates::new(latitude, longitude).map_err(|error| error.to_string())?
        }
        (None, None) => country
            .and_then(CountryCode::country)
            .map(|country| country.centroid)
            .ok_or("a client needs latitude and longitude, or a known country")?,
        _ => return Err("latitude and longitude go together".to_owned()),
    };
    let id = row
        .client_id
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| {
            let country = country.map_or_else(|| "--".to_owned(), |code| code.to_string());
            let cell = |degrees: f64| (degrees * CELLS_PER_DEGREE).round() / CELLS_PER_DEGREE + 0.0;
            let (latitude, longitude) =
                (cell(coordinates.latitude()), cell(coordinates.longitude()));
            format!("{country}@{latitude:.1},{longitude:.1}")
        });
    Ok(NamedSite {
        id,
        coordinates,
        country,
        provider: None,
    })
}
