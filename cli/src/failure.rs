//! Why a command failed, in the words a user needs; the exit code is always 1.

use std::fmt;
use std::path::Path;

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
        let lines: Vec<String> = errors.iter().map(ToString::to_string).collect();
        Self(lines.join("\n").into())
    }

    /// An error of the operating system at `path`.
    pub fn at(path: &Path, error: std::io::Error) -> Self {
        Self(format!("{}: {error}", path.display()).into())
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
