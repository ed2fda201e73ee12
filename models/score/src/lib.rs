//! Latency models at rest and at work: from a client's place and a region's place to
//! milliseconds, and from there to the [`ScoreTable`](meridian_engine::ScoreTable) the engine reads.
//!
//! ```text
//! (client Site, region Site) ──features──> [f64; 53] ──Predictor──> ms ──score_table──> u16 / class × region
//!                                                        ▲
//!                        Artifact (bytes on disk) ──load─┘
//! ```
//!
//! The room is pure: bytes, time and places come in as arguments. Training, files and the
//! registry are `meridian-train`'s. No model runs on a request: a table is built off the
//! data path whenever the model, the classes or the topology change.

mod artifact;
mod features;
mod predict;
mod table;

pub use artifact::{
    Artifact, ArtifactError, DataSet, Draft, FORMAT_VERSION, Judged, Kind, Line, MAGIC, Metrics,
    Model, NAME_LEN_MAX, Origin, PAYLOAD_LEN_MAX, Ridge, Transform, VERSION_LEN_MAX, Versus,
    valid_label,
};
pub use features::{FEATURE_COUNT, Features, Site, feature_names, features, region_site};
pub use predict::{KM_PER_MS_ROUND_TRIP, PREDICTED_MS_MAX, Predictor};
pub use table::{class_site, score_table};
