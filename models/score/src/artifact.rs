//! A trained model as one value, and the bytes it is kept in.
//!
//! ```text
//! offset  size  field
//!      0     8  magic "MRDNMODL"
//!      8     2  format version, little endian
//!     10     4  payload length, little endian
//!     14    32  blake3 of bytes 0..14 followed by the payload
//!     46     n  payload: the artifact in postcard
//! ```
//!
//! The payload is binary because a decimal text form does not give every float back bit by
//! bit, and a registry that compares artifacts needs that. The checksum covers the header, so
//! no single flipped bit anywhere goes unseen. After [`Artifact::load`] nothing needs checking
//! again: names, shapes and numbers are valid.
//!
//! Limits: a payload is at most [`PAYLOAD_LEN_MAX`] bytes; the feature vector is the one of
//! this build ([`feature_names`](crate::feature_names)), an artifact of another layout is refused by name.

use serde::{Deserialize, Serialize};

mod codec;
mod error;
mod validate;

#[cfg(test)]
mod tests;

pub use error::ArtifactError;
pub use validate::valid_label;

/// The first bytes of every artifact.
pub const MAGIC: [u8; 8] = *b"MRDNMODL";
/// The payload layout this build writes and reads.
pub const FORMAT_VERSION: u16 = 1;
/// The longest payload accepted, in bytes: a model of 53 coefficients takes about 3 KiB.
pub const PAYLOAD_LEN_MAX: usize = 1 << 20;
/// The longest model name, in bytes.
pub const NAME_LEN_MAX: usize = 64;
/// The longest model version, in bytes.
pub const VERSION_LEN_MAX: usize = 64;

/// How many hex digits of the content hash make a version.
const CONTENT_VERSION_LEN: usize = 12;

/// What a ridge model was fitted to; predictions are turned back into milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// Milliseconds as they are: errors of far pairs dominate.
    Direct,
    /// Square root of milliseconds: between the two.
    SquareRoot,
    /// Natural logarithm of (milliseconds + 10): errors count by proportion.
    Log,
}

/// Added before the logarithm so that pairs within one city do not outweigh all others.
const LOG_OFFSET_MS: f64 = 10.0;

impl Transform {
    /// Milliseconds to the scale of the fit.
    pub fn forward(self, rtt_ms: f64) -> f64 {
        match self {
            Self::Direct => rtt_ms,
            Self::SquareRoot => rtt_ms.max(0.0).sqrt(),
            Self::Log => (rtt_ms.max(0.0) + LOG_OFFSET_MS).ln(),
        }
    }

    /// The scale of the fit back to milliseconds; not below zero.
    pub fn inverse(self, fitted: f64) -> f64 {
        match self {
            Self::Direct => fitted.max(0.0),
            Self::SquareRoot => fitted.max(0.0).powi(2),
            Self::Log => (fitted.exp() - LOG_OFFSET_MS).max(0.0),
        }
    }
}

/// A linear model over the standardised feature vector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ridge {
    /// What the model was fitted to.
    pub transform: Transform,
    /// The penalty on squared coefficients it was fitted with.
    pub penalty: f64,
    /// Feature names, in order; equal to [`feature_names`](crate::feature_names).
    pub features: Vec<String>,
    /// Mean of each feature in the training data.
    pub means: Vec<f64>,
    /// Standard deviation of each feature in the training data; 1 where it did not vary.
    pub scales: Vec<f64>,
    /// One coefficient per standardised feature.
    pub coefficients: Vec<f64>,
    /// The prediction at the mean of all features, on the scale of `transform`.
    pub intercept: f64,
}

/// A straight line over the great-circle distance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Round-trip time at distance zero.
    pub intercept_ms: f64,
    /// Round-trip time per kilometre.
    pub ms_per_km: f64,
}

/// The model proper.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Model {
    /// A straight line over the great-circle distance.
    Haversine(Line),
    /// Ridge regression over [`feature_names`](crate::feature_names).
    Ridge(Ridge),
}

/// Which family a model is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A line over the great-circle distance: the baseline every other model must beat.
    Haversine,
    /// Ridge regression.
    Ridge,
}

/// How well a model routes clients it never saw in training. The unit of judgement is regret:
/// the latency of the region the model chose minus that of the best one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// Mean absolute error of the prediction, milliseconds, over all observed pairs.
    pub mae_ms: f64,
    /// Mean regret over clients, milliseconds.
    pub regret_ms: f64,
    /// 95th percentile of regret over clients, milliseconds.
    pub regret_p95_ms: f64,
    /// Share of clients sent to their best region, 0 to 1.
    pub optimal_share: f64,
    /// Mean latency of the best region, milliseconds: what an oracle would reach.
    pub oracle_mean_ms: f64,
}

/// A model beside the nearest region by haversine, on the same clients and regions.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Versus {
    /// The model's figures.
    pub model: Metrics,
    /// Those of the nearest region by haversine.
    pub geo: Metrics,
}

/// The figures a model carries, for clients held out of training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Every region that a client measured is a candidate.
    pub every_region: Versus,
    /// Mean over deployments of a few regions drawn by chance: what an operator is like to have.
    pub fleets: Versus,
}

/// Where training data came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Measured by somebody on a real network.
    Measured,
    /// Invented from geography because no measurements were at hand: for trying things out.
    Generated {
        /// The seed it was generated from.
        seed: u64,
    },
}

/// What a model was trained on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSet {
    /// The data set's name, such as a file name.
    pub name: String,
    /// Measured or generated.
    pub origin: Origin,
    /// Number of (client, region) pairs.
    pub rows: u32,
    /// Number of clients.
    pub clients: u32,
    /// Number of regions.
    pub regions: u32,
    /// blake3 of the rows in canonical order, hexadecimal.
    pub blake3: String,
}

impl DataSet {
    /// Whether nobody measured it: a model of it must not route real clients.
    pub fn is_generated(&self) -> bool {
        matches!(self.origin, Origin::Generated { .. })
    }
}

/// Everything of an artifact but its version: see [`Artifact::seal`].
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The model's name, which policies refer to (`model: latency`).
    pub name: String,
    /// The model itself.
    pub model: Model,
    /// The line over distance fitted to the same data: what the model is compared with.
    pub distance: Line,
    /// How it routes clients held out of training.
    pub judged: Judged,
    /// What it was trained on.
    pub trained_on: DataSet,
    /// When it was trained, seconds since the Unix epoch, as the caller says.
    pub created_at_unix_s: u64,
}

/// A trained model with its name, version, figures and origin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Artifact {
    /// The model's name, which policies refer to (`model: latency`).
    pub name: String,
    /// Distinguishes trainings of one name; by default a hash of the content.
    pub version: String,
    /// The model itself.
    pub model: Model,
    /// The line over distance fitted to the same data: what the model is compared with.
    pub distance: Line,
    /// How it routes clients held out of training.
    pub judged: Judged,
    /// What it was trained on.
    pub trained_on: DataSet,
    /// When it was trained, seconds since the Unix epoch, as the caller says.
    pub created_at_unix_s: u64,
}

impl Artifact {
    /// Makes an artifact of a draft. Without a `version` it gets one from its content, the time
    /// of training aside: the same data and options give the same version.
    pub fn seal(draft: Draft, version: Option<&str>) -> Result<Self, ArtifactError> {
        let created_at_unix_s = draft.created_at_unix_s;
        let mut artifact = Self {
            name: draft.name,
            version: "0".to_owned(),
            model: draft.model,
            distance: draft.distance,
            judged: draft.judged,
            trained_on: draft.trained_on,
            created_at_unix_s: 0,
        };
        artifact.version = match version {
            Some(version) => version.to_owned(),
            None => {
                let content = postcard::to_stdvec(&artifact)?;
                blake3::hash(&content).to_hex()[..CONTENT_VERSION_LEN].to_owned()
            }
        };
        artifact.created_at_unix_s = created_at_unix_s;
        artifact.validate()?;
        Ok(artifact)
    }

    /// `name-version`: the artifact's name in a registry.
    pub fn id(&self) -> String {
        format!("{}-{}", self.name, self.version)
    }

    /// Which family the model is of.
    pub fn kind(&self) -> Kind {
        match self.model {
            Model::Haversine { .. } => Kind::Haversine,
            Model::Ridge(_) => Kind::Ridge,
        }
    }
}
