//! The `geo:` section of `meridian.yaml`.

use std::path::PathBuf;

use serde::Deserialize;

use crate::Sources;

/// Files that tell more about addresses than the embedded registry data.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GeoConfig {
    /// A class table that `meridian geo build` made. The node then reads none of the other files; they
    /// tell `meridian geo build --dir` what to make the table of.
    pub table: Option<PathBuf>,
    /// City or country database in MMDB format.
    pub mmdb_city: Option<PathBuf>,
    /// ASN database in MMDB format.
    pub mmdb_asn: Option<PathBuf>,
    /// Clouds' lists of their prefixes.
    pub providers: Vec<PathBuf>,
    /// Measured places of prefixes.
    pub overrides: Vec<PathBuf>,
}

impl GeoConfig {
    /// What the geography room reads.
    #[must_use]
    pub fn sources(&self) -> Sources {
        Sources {
            table: self.table.clone(),
            mmdb_city: self.mmdb_city.clone(),
            mmdb_asn: self.mmdb_asn.clone(),
            providers: self.providers.clone(),
            overrides: self.overrides.clone(),
            ..Sources::default()
        }
    }

    /// Every path, for whoever makes them absolute.
    pub fn paths_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let single = self.table.iter_mut();
        let single = single.chain(&mut self.mmdb_city).chain(&mut self.mmdb_asn);
        single.chain(&mut self.providers).chain(&mut self.overrides)
    }
}
