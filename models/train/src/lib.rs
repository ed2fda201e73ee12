//! From measurements to a model that serves: data sets, training, judgement, registry, report.
//!
//! ```text
//! cloud_rtt_2022.csv ─┐                    ┌─ folds by client ─ judge ─┐
//! generated set ──────┴─> Observations ────┤                           ├─> Artifact ─> Registry
//! operator's file ────────────┘            └─ fit (ridge, haversine) ──┘      │        promote,
//!                             └──────────────────── evaluate <────────────────┘        roll back
//! ```
//!
//! A model is judged by **regret**, the latency of the region it chooses minus that of the best
//! one, and not by its prediction error: see [`judge`]. Everything is deterministic: the same
//! rows and options give the same artifact, byte for byte. The room knows no environment and no
//! clock: paths and times are arguments.

pub mod card;
pub mod data;
mod error;
pub mod evaluate;
pub mod fit;
pub mod folds;
pub mod generate;
pub mod judge;
mod random;
pub mod registry;
pub mod train;

pub use card::model_card;
pub use data::{NamedSite, Observation, Observations};
pub use error::TrainError;
pub use evaluate::{EvaluateReport, evaluate};
pub use judge::Slice;
pub use registry::{Entry, Registry, RegistryError};
pub use train::{Recipe, Source, TrainOptions, TrainReport, Trained, train};
