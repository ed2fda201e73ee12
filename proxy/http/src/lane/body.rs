//! How much of a body is still to come.

use super::chunked::{ChunkSink, Malformed, Scanner};

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

    /// How many of these bytes belong to the body, and how many of those are what it carries.
    pub(super) fn take_counted(&mut self, bytes: &[u8]) -> Result<(usize, u64), Malformed> {
        if let Self::Chunked(scanner) = self {
            let mut inside = Count(0);
            let count = scanner.feed_into(bytes, &mut inside)?;
            return Ok((count, inside.0));
        }
        let count = self.take(bytes)?;
        Ok((count, count as u64))
    }

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

    /// Takes what is inside of whatever coding the body has in these bytes, `into` what it collects; how many
    /// bytes that were.
    pub(super) fn decode(&mut self, bytes: &[u8], into: &mut Vec<u8>) -> Result<usize, Malformed> {
        if let Self::Chunked(scanner) = self {
            return scanner.feed_into(bytes, &mut DataOnly(into));
        }
        let count = self.take(bytes)?;
        into.extend_from_slice(&bytes[..count]);
        Ok(count)
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

/// Counts what is inside of chunks.
struct Count(u64);

impl ChunkSink for Count {
    fn data(&mut self, bytes: &[u8]) {
        self.0 += bytes.len() as u64;
    }

    fn trailer(&mut self, _: u8) {}
}

/// Leaves trailers behind.
struct DataOnly<'v>(&'v mut Vec<u8>);

impl ChunkSink for DataOnly<'_> {
    fn data(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    fn trailer(&mut self, _: u8) {}
}
