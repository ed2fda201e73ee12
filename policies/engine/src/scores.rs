//! What a model expects of every class in every region: round-trip times in tenths of a millisecond.
//!
//! The engine only reads the table; `meridian-score` builds it, off the data path. A table belongs to
//! one class table ([`ClassTable::fingerprint`]) and names its regions, so that a plan never reads a
//! column or row that means something else: regions may come and go between two builds, classes may
//! not.
//!
//! [`ClassTable::fingerprint`]: crate::class::ClassTable::fingerprint

use meridian_topology::RegionId;
use serde::{Deserialize, Serialize};

use crate::class::ClassId;

/// The cell of a pair that the model says nothing about.
pub const UNKNOWN_SCORE: u16 = u16::MAX;

/// Why values do not make a table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScoreTableError {
    /// The number of values is not classes × regions.
    #[error("a score table of {classes} classes and {regions} regions has {values} values")]
    Shape {
        /// Rows.
        classes: usize,
        /// Columns.
        regions: usize,
        /// Values given.
        values: usize,
    },
}

/// A model's expectations, class by region; see the module's comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreTable {
    version: String,
    class_fingerprint: u64,
    regions: Vec<RegionId>,
    /// Row after row of tenths of a millisecond, [`UNKNOWN_SCORE`] where nothing is known.
    values: Vec<u16>,
}

impl ScoreTable {
    /// A table from rows of tenths of a millisecond, one row a class, one column a region.
    ///
    /// `version` names the model in explanations; `class_fingerprint` is the class table's.
    pub fn new(
        version: impl Into<String>,
        class_fingerprint: u64,
        classes: usize,
        regions: Vec<RegionId>,
        values: Vec<u16>,
    ) -> Result<Self, ScoreTableError> {
        if values.len() != classes * regions.len() {
            return Err(ScoreTableError::Shape {
                classes,
                regions: regions.len(),
                values: values.len(),
            });
        }
        Ok(Self {
            version: version.into(),
            class_fingerprint,
            regions,
            values,
        })
    }

    /// The model's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The fingerprint of the class table whose ids the rows are.
    #[must_use]
    pub const fn class_fingerprint(&self) -> u64 {
        self.class_fingerprint
    }

    /// The regions of the columns.
    #[must_use]
    pub fn regions(&self) -> &[RegionId] {
        &self.regions
    }

    /// The expected round trip in milliseconds; `None` when the model does not know.
    #[must_use]
    pub fn ms(&self, class: ClassId, column: usize) -> Option<f32> {
        if column >= self.regions.len() {
            return None;
        }
        let value = *self
            .values
            .get(class.index() * self.regions.len() + column)?;
        (value != UNKNOWN_SCORE).then(|| f32::from(value) / 10.0)
    }
}
