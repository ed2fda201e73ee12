//! Why a benchmark could not be carried out.

use std::{io, path::PathBuf, time::Duration};

/// Failures of the load generator and of what it starts.
#[derive(Debug, thiserror::Error)]
pub enum GenError {
    /// A program is not installed.
    #[error(
        "{program} is not installed; `cargo xtask setup` or Debian's package {package} brings it"
    )]
    Missing {
        /// What was to be run.
        program: String,
        /// The package that brings it.
        package: &'static str,
    },
    /// A program could not be run.
    #[error("running {program}: {source}")]
    Run {
        /// Which.
        program: String,
        /// Why.
        source: io::Error,
    },
    /// A program ended or failed although it should not have.
    #[error("{program} failed: {detail}")]
    Failed {
        /// Which.
        program: String,
        /// The end of what it wrote.
        detail: String,
    },
    /// A subject did not begin to answer.
    #[error("{subject} does not answer within {within:?}: {detail}")]
    NotReady {
        /// Which.
        subject: String,
        /// How long was waited.
        within: Duration,
        /// The last failure seen.
        detail: String,
    },
    /// A subject answers, but not what it should: comparing speeds would be pointless.
    #[error("{subject} answers wrongly: {detail}")]
    WrongAnswer {
        /// Which.
        subject: String,
        /// What was wrong.
        detail: String,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A socket could not be set up or used.
    #[error("socket: {0}")]
    Socket(#[from] io::Error),
    /// A report could not be written or understood.
    #[error("JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// There is no peer or benchmark of that name.
    #[error("there is no {what} `{name}`; there are {known}")]
    Unknown {
        /// A peer or a benchmark.
        what: &'static str,
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// The synthetic world could not be made.
    #[error("synthetic world: {0}")]
    World(String),
}
