//! Why a command failed, in the words a user needs; the exit code is always 1.

use std::fmt;
use std::io::IsTerminal;
use std::path::Path;

use meridian_live::{BuildError, LiveError};
use meridian_topology::Problems;

use crate::config::ConfigError;
use crate::framed;

/// A failure with everything that was known about it.
#[derive(Debug)]
pub struct Failure(Box<dyn std::error::Error + Send + Sync>);

impl Failure {
    /// Any other library's error, or a sentence.
    pub fn other(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }

    /// Several errors of one file, one a line.
    pub fn all(errors: Vec<impl std::error::Error>) -> Self {
        let lines: Vec<String> = errors.into_iter().map(|error| error.to_string()).collect();
        Self(lines.join("\n").into())
    }

    /// The problems of YAML texts, if those are what went wrong.
    pub fn problems(&self) -> Option<&Problems> {
        if let Some(problems) = self.0.downcast_ref() {
            return Some(problems);
        }
        if let Some(ConfigError::Invalid(problems)) = self.0.downcast_ref() {
            return Some(problems);
        }
        match self.0.downcast_ref() {
            Some(LiveError::Build(BuildError::Sources(problems))) => Some(problems),
            _ => None,
        }
    }

    /// What is printed on standard error: with frames and colours for a terminal, plain otherwise.
    pub fn report(&self) -> String {
        match self.problems() {
            Some(problems) if std::io::stderr().is_terminal() => framed::all(problems),
            // A problem begins with `error[code]` by itself.
            Some(problems) => problems.to_string(),
            None => format!("error: {self}"),
        }
    }

    /// An error of the operating system at `path`.
    pub fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        move |error| Self(format!("{}: {error}", path.display()).into())
    }
}

impl fmt::Display for Failure {
    /// The error and its causes, outermost first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}
