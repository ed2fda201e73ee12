//! A model's answers for every client class and region, as the engine reads them.
//!
//! The table is built off the data path. An entry is a predicted round-trip time in tenths of a
//! millisecond; a class of which no place is known (class 0, or a country outside the table of
//! countries) gets "unknown" throughout, and the engine falls back to distance for it.

use meridian_engine::class::{ClassTable, ClientClass};
use meridian_engine::scores::{ScoreTable, ScoreTableError, UNKNOWN_SCORE};
use meridian_topology::Topology;

use crate::artifact::Artifact;
use crate::features::{Site, region_site};

#[cfg(test)]
mod tests;

/// Tenths of a millisecond, the unit of an entry.
const PER_MS: f64 = 10.0;

/// Where a class is: its own coordinates, else the centroid of its country.
pub fn class_site(class: &ClientClass) -> Option<Site<'_>> {
    let country = class.country.and_then(|code| code.country());
    let coordinates = class
        .location
        .or_else(|| country.map(|country| country.centroid))?;
    Some(Site {
        coordinates,
        country: class.country,
        continent: country.map(|country| country.continent),
        provider: class.provider.as_ref().map(AsRef::as_ref),
    })
}

/// Scores every class of `classes` against every region of `topology`.
///
/// An error means that the engine's idea of a table's shape is not ours.
pub fn score_table(
    artifact: &Artifact,
    classes: &ClassTable,
    topology: &Topology,
) -> Result<ScoreTable, ScoreTableError> {
    let predictor = artifact.predictor();
    let sites: Vec<Site<'_>> = topology.regions.iter().map(region_site).collect();
    let rows = classes.classes();
    let mut values = Vec::with_capacity(rows.len() * sites.len());
    for class in rows {
        match class_site(class) {
            None => values.extend(sites.iter().map(|_| UNKNOWN_SCORE)),
            Some(client) => values.extend(
                sites
                    .iter()
                    .map(|region| entry(predictor.predict_ms(&client, region))),
            ),
        }
    }
    let regions = topology
        .regions
        .iter()
        .map(|region| region.id.clone())
        .collect();
    ScoreTable::new(
        artifact.id(),
        classes.fingerprint(),
        rows.len(),
        regions,
        values,
    )
}

/// Milliseconds as an entry. Predictions end at 5,000 ms, an entry could hold 6,553.4: a known
/// latency never reads as unknown.
fn entry(predicted_ms: f64) -> u16 {
    (predicted_ms * PER_MS)
        .round()
        .clamp(0.0, f64::from(UNKNOWN_SCORE - 1)) as u16
}
