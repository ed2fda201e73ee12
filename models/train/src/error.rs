//! What can go wrong between a file of measurements and an artifact.

use std::path::PathBuf;

use meridian_score::ArtifactError;
use thiserror::Error;

/// Why a model was not trained or judged.
#[derive(Debug, Error)]
pub enum TrainError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A row of a file is not an observation.
    #[error("{path}:{line}: {what}")]
    Row {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: u64,
        /// What is wrong and what is expected.
        what: String,
    },
    /// The file's name does not tell its format.
    #[error("{path}: expected a name that ends in .csv, .jsonl, .ndjson or .json")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Too many rows.
    #[error("{path} has more than {max} rows: sample it first")]
    TooManyRows {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: usize,
    },
    /// Nothing to judge a choice by.
    #[error(
        "{name} has {clients} clients with two or more regions to choose from, {needed} are needed"
    )]
    TooFewClients {
        /// The data set.
        name: String,
        /// Clients that have a choice.
        clients: usize,
        /// Clients needed.
        needed: usize,
    },
    /// A recipe list is empty, or a fold count senseless.
    #[error("bad training option: {0}")]
    Option(String),
    /// There is nothing to fit.
    #[error("there are no rows to fit a model to")]
    NoRows,
    /// The normal equations have no solution: numbers beyond reason in the data.
    #[error("ridge regression failed: {0}")]
    Fit(linfa_linalg::LinalgError),
    /// The trained model cannot be an artifact.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
}
