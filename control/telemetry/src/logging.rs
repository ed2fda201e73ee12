//! `tracing` to stderr, as text for people or JSON for pipelines.
//!
//! One subscriber per process, installed once. The filter uses `tracing`'s directive syntax
//! (`info`, `info,meridian_dns=debug`); it comes from configuration, not from the environment, so
//! that two nodes with one configuration log alike.

use std::io::IsTerminal;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

#[cfg(test)]
mod tests;

/// How the process logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogConfig {
    /// `text` for people, `json` for pipelines. Default: `text`.
    pub format: LogFormat,
    /// What is logged: a level, or `level,target=level` directives. Default: `info`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            filter: "info".into(),
        }
    }
}

/// The shape of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One readable line; coloured on a terminal.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter is not a list of directives.
    #[error(
        "log filter `{filter}` is not understood: {reason}; write for example `info,meridian_dns=debug`"
    )]
    BadFilter {
        /// The filter as given.
        filter: String,
        /// The parser's reason.
        reason: String,
    },
    /// Something else installed a subscriber before.
    #[error("logging was already started")]
    AlreadyStarted(#[from] TryInitError),
}

/// Installs the process's subscriber. Libraries that use the `log` crate (pingora) are heard too.
///
/// # Errors
/// [`LogError`] for a bad filter or a second call.
pub fn init(config: &LogConfig) -> Result<(), LogError> {
    let ansi = std::io::stderr().is_terminal();
    subscriber(config, ansi, std::io::stderr)?.try_init()?;
    Ok(())
}

/// A subscriber that writes wherever `writer` says; `init` and the tests share it.
fn subscriber<W>(
    config: &LogConfig,
    ansi: bool,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, LogError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter(config)?)
        .with_writer(writer);
    Ok(match config.format {
        LogFormat::Text => Box::new(builder.with_ansi(ansi).finish()),
        LogFormat::Json => Box::new(builder.json().flatten_event(true).finish()),
    })
}

/// The parsed filter; configuration checks call it before anything starts.
///
/// # Errors
/// [`LogError::BadFilter`].
pub fn filter(config: &LogConfig) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(&config.filter).map_err(|error| LogError::BadFilter {
        filter: config.filter.clone(),
        reason: error.to_string(),
    })
}
