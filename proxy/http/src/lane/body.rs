//! How much of a body is still to come.

use super::chunked::{Malformed, Scanner};

/// What is left of a body.
#[derive(Debug, Clone)]
pub(super) enum Rest {
    /// So many bytes; 0 when it is over or never was.
    Length(u64),
    /// Until the last chunk.
    Chunked(Scanner),
    /// Until the connection ends.
    UntilClose,
}

impl Rest {
    /// No body.
    pub(super) const NONE: Self = Self::Length(0);

    /// How many of these bytes belong to the body.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<usize, Malformed> {
        match self {
            Self::Length(left) => {
                let taken = (*left).min(bytes.len() as u64);
                *left -= taken;
                // Not more than there are bytes.
                Ok(taken as usize)
            }
            Self::Chunked(scanner) => scanner.feed(bytes),
            Self::UntilClose => Ok(bytes.len()),
        }
    }

    /// Whether nothing is left.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(scanner) => scanner.is_done(),
            Self::UntilClose => false,
        }
    }
}
