//! Measurements: which client saw which round-trip time to which region, and when.
//!
//! [`Observations`] keeps clients and regions once, sorted, and rows as indices into them, sorted
//! by (client, region, time): the order in the file has no influence on anything that follows.
//! Averages, not medians, stand for repeated measurements of one pair: on heavy tails they route
//! better.

use std::collections::BTreeMap;
use std::path::Path;

use meridian_score::{DataSet, Origin, Site};
use meridian_topology::{Continent, Coordinates, CountryCode, Topology};

use crate::error::TrainError;

mod cloud;
mod file;
#[cfg(test)]
mod tests;

pub use cloud::{CLOUD_RTT_FILE, cloud_regions, read_cloud_rtt};
pub use file::read_observations;

/// The most rows one data set may have: about 1 GiB in memory.
pub const ROWS_MAX: usize = 10_000_000;
/// The largest round-trip time believed, milliseconds: beyond it a probe has timed out.
pub const RTT_MS_MAX: f64 = 60_000.0;

/// A client or a region: one end of a measured path.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedSite {
    /// Its name.
    pub id: String,
    /// Where it is.
    pub coordinates: Coordinates,
    /// Its country.
    pub country: Option<CountryCode>,
    /// Whose network or cloud it is in.
    pub provider: Option<String>,
}

impl NamedSite {
    /// The place as models see it.
    pub fn site(&self) -> Site<'_> {
        Site {
            coordinates: self.coordinates,
            country: self.country,
            continent: self.continent(),
            provider: self.provider.as_deref(),
        }
    }

    /// The continent of its country.
    pub fn continent(&self) -> Option<Continent> {
        self.country
            .and_then(CountryCode::country)
            .map(|country| country.continent)
    }
}

/// The regions a file of observations may name.
#[derive(Clone, Debug, Default)]
pub struct Regions(BTreeMap<String, NamedSite>);

impl Regions {
    /// The 69 public cloud regions this crate knows, named `provider:region`.
    pub fn clouds() -> Self {
        Self(
            cloud_regions()
                .iter()
                .map(|region| (region.id.clone(), region.clone()))
                .collect(),
        )
    }

    /// Adds the regions of a topology; its names win.
    #[must_use]
    pub fn with_topology(mut self, topology: &Topology) -> Self {
        for region in &topology.regions {
            let site = meridian_score::region_site(region);
            let target = NamedSite {
                id: region.id.as_str().to_owned(),
                coordinates: site.coordinates,
                country: site.country,
                provider: site.provider.map(str::to_owned),
            };
            self.0.insert(target.id.clone(), target);
        }
        self
    }

    /// The region of a name.
    pub fn find(&self, id: &str) -> Option<&NamedSite> {
        self.0.get(id)
    }

    /// How many regions are known.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether no region is known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One measurement, as a reader hands it in.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Who measured.
    pub client: NamedSite,
    /// What was measured.
    pub region: NamedSite,
    /// Round-trip time, milliseconds.
    pub rtt_ms: f64,
    /// When, seconds since the Unix epoch.
    pub at_unix_s: Option<i64>,
}

/// One measurement, by positions in [`Observations`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation {
    /// Position in [`Observations::clients`].
    pub client: usize,
    /// Position in [`Observations::regions`].
    pub region: usize,
    /// Round-trip time, milliseconds.
    pub rtt_ms: f64,
    /// When, seconds since the Unix epoch.
    pub at_unix_s: Option<i64>,
}

/// A data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Observations {
    /// Its name, such as the file's.
    pub name: String,
    /// Measured or generated.
    pub origin: Origin,
    /// Clients, sorted by id.
    pub clients: Vec<NamedSite>,
    /// Regions, sorted by id.
    pub regions: Vec<NamedSite>,
    /// Measurements, sorted by (client, region, time, value).
    pub rows: Vec<Observation>,
}

impl Observations {
    /// Sorts samples into a data set. Of several descriptions of one client the first in sorted
    /// order of place counts, so the order of samples has no influence.
    pub fn collect(name: String, origin: Origin, samples: &[Sample]) -> Self {
        let clients = distinct(samples.iter().map(|sample| &sample.client));
        let regions = distinct(samples.iter().map(|sample| &sample.region));
        let position = |targets: &[NamedSite], id: &str| {
            targets
                .binary_search_by(|target| target.id.as_str().cmp(id))
                .expect("every sample's ends were collected above")
        };
        let mut rows: Vec<Observation> = samples
            .iter()
            .map(|sample| Observation {
                client: position(&clients, &sample.client.id),
                region: position(&regions, &sample.region.id),
                rtt_ms: sample.rtt_ms,
                at_unix_s: sample.at_unix_s,
            })
            .collect();
        rows.sort_by(|a, b| {
            let key = |row: &Observation| (row.client, row.region, row.at_unix_s);
            key(a).cmp(&key(b)).then(a.rtt_ms.total_cmp(&b.rtt_ms))
        });
        Self {
            name,
            origin,
            clients,
            regions,
            rows,
        }
    }

    /// The data set's description with the hash of its content.
    pub fn describe(&self) -> DataSet {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        DataSet {
            name: self.name.clone(),
            origin: self.origin.clone(),
            rows: count(self.rows.len()),
            clients: count(self.clients.len()),
            regions: count(self.regions.len()),
            blake3: self.hash().to_hex().to_string(),
        }
    }

    fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for targets in [&self.clients, &self.regions] {
            hasher.update(&(targets.len() as u64).to_le_bytes());
            for target in targets {
                let country = target
                    .country
                    .map(|code| code.to_string())
                    .unwrap_or_default();
                let provider = target.provider.as_deref().unwrap_or_default();
                for text in [&target.id, &country, provider] {
                    hasher.update(&(text.len() as u64).to_le_bytes());
                    hasher.update(text.as_bytes());
                }
                hasher.update(&target.coordinates.latitude().to_le_bytes());
                hasher.update(&target.coordinates.longitude().to_le_bytes());
            }
        }
        for row in &self.rows {
            hasher.update(&(row.client as u64).to_le_bytes());
            hasher.update(&(row.region as u64).to_le_bytes());
            hasher.update(&row.rtt_ms.to_le_bytes());
            hasher.update(&[u8::from(row.at_unix_s.is_some())]);
            hasher.update(&row.at_unix_s.unwrap_or_default().to_le_bytes());
        }
        hasher.finalize()
    }
}

/// A mean that is being added up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mean {
    sum: f64,
    count: f64,
}

impl Mean {
    pub(crate) fn add(&mut self, value: f64) {
        self.sum += value;
        self.count += 1.0;
    }

    /// The mean; not a number before the first value.
    pub(crate) fn value(self) -> f64 {
        self.sum / self.count
    }
}

/// One row per (client, region): the mean of all its measurements, without a time. Fits are made
/// of these, so their size is bounded by clients × regions and not by the length of a log.
pub fn pair_means(rows: &[Observation]) -> Vec<Observation> {
    let mut means: BTreeMap<(usize, usize), Mean> = BTreeMap::new();
    for row in rows {
        means
            .entry((row.client, row.region))
            .or_default()
            .add(row.rtt_ms);
    }
    means
        .into_iter()
        .map(|((client, region), mean)| Observation {
            client,
            region,
            rtt_ms: mean.value(),
            at_unix_s: None,
        })
        .collect()
}

fn distinct<'a>(targets: impl Iterator<Item = &'a NamedSite>) -> Vec<NamedSite> {
    let mut known: BTreeMap<&str, &NamedSite> = BTreeMap::new();
    for target in targets {
        let kept = known.entry(&target.id).or_insert(target);
        let place = |target: &NamedSite| (target.coordinates, target.country);
        if place(target).partial_cmp(&place(kept)) == Some(std::cmp::Ordering::Less) {
            *kept = target;
        }
    }
    known.into_values().cloned().collect()
}

fn read_text(path: &Path) -> Result<String, TrainError> {
    std::fs::read_to_string(path).map_err(|source| TrainError::Read {
        path: path.to_owned(),
        source,
    })
}

/// A round-trip time that can be one: above zero and at most [`RTT_MS_MAX`].
fn check_rtt_ms(rtt_ms: f64) -> Result<f64, String> {
    if rtt_ms > 0.0 && rtt_ms <= RTT_MS_MAX {
        return Ok(rtt_ms);
    }
    Err(format!(
        "rtt_ms is {rtt_ms}, expected a number above 0 and at most {RTT_MS_MAX}"
    ))
}
