//! A name in wire form on the stack, lowercased, so that a lookup is a comparison of bytes.
//!
//! Labels of a wire name are contiguous, so every ancestor of a name is a suffix slice of it: the
//! zone tree looks up `name[at..]` for growing `at` and never builds another name.

use thiserror::Error;

use super::NAME_BYTES_MAX;

/// Why a name in a query was not accepted; the answer is always FORMERR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NameError {
    /// The packet ends inside the name.
    #[error("the packet ends inside a name")]
    Cut,
    /// More than 255 bytes.
    #[error("a name is longer than 255 bytes")]
    TooLong,
    /// A compression pointer where nothing can be pointed at, or an extended label type.
    #[error("a label has a type that is not allowed here")]
    LabelType,
}

/// A lowercased wire name of at most 255 bytes, root byte included.
#[derive(Clone)]
pub struct LowerName {
    bytes: [u8; NAME_BYTES_MAX],
    len: u8,
    labels: u8,
}

/// The root.
impl Default for LowerName {
    fn default() -> Self {
        Self {
            bytes: [0; NAME_BYTES_MAX],
            len: 1,
            labels: 0,
        }
    }
}

impl LowerName {
    /// Reads an uncompressed name at `at` into this one; returns the offset behind it.
    ///
    /// A name is large to move and is read for every query, so the caller says where it is kept.
    ///
    /// # Errors
    /// See [`NameError`]; this name is then what it was. A compression pointer is an error: the first
    /// question of a message has nothing but the header before it.
    #[inline]
    pub fn read(&mut self, packet: &[u8], at: usize) -> Result<usize, NameError> {
        let (mut end, mut labels) = (at, 0);
        loop {
            let length = *packet.get(end).ok_or(NameError::Cut)?;
            if length & 0xc0 != 0 {
                return Err(NameError::LabelType);
            }
            end += 1 + usize::from(length);
            if end - at > NAME_BYTES_MAX {
                return Err(NameError::TooLong);
            }
            if length == 0 {
                break;
            }
            labels += 1;
        }
        // A length byte is below 64, which lowercasing leaves alone.
        let wire = packet.get(at..end).ok_or(NameError::Cut)?;
        for (to, byte) in self.bytes.iter_mut().zip(wire) {
            *to = byte.to_ascii_lowercase();
        }
        // At most 255, see above.
        self.len = wire.len() as u8;
        self.labels = labels;
        Ok(end)
    }

    /// A lowercased, well-formed wire name of at most 255 bytes.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        Self::join(&[], name).unwrap_or_default()
    }

    /// As [`LowerName::of`], for a name in any case.
    #[must_use]
    pub fn lowercased(name: &[u8]) -> Self {
        let mut lower = Self::of(name);
        // A length byte is below 64, which lowercasing leaves alone.
        lower.bytes.make_ascii_lowercase();
        lower
    }

    /// The labels `prefix` before `name`, both lowercased and well-formed; `None` when the whole is
    /// longer than a name may be.
    #[must_use]
    pub fn join(prefix: &[u8], name: &[u8]) -> Option<Self> {
        let mut joined = Self::default();
        let len = prefix.len() + name.len();
        let to = joined.bytes.get_mut(..len)?;
        let (front, back) = to.split_at_mut(prefix.len());
        front.copy_from_slice(prefix);
        back.copy_from_slice(name);
        // At most 255, by the slice above.
        joined.len = len as u8;
        joined.labels = label_count(&joined.bytes[..len]) as u8;
        Some(joined)
    }

    /// The bytes, root byte included.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Labels without the root.
    #[must_use]
    pub fn labels(&self) -> usize {
        usize::from(self.labels)
    }
}

impl std::fmt::Debug for LowerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LowerName({})", self.as_bytes().escape_ascii())
    }
}

/// The name one label up, or `None` for the root. `name` must be a well-formed wire name.
#[must_use]
pub fn parent_of(name: &[u8]) -> Option<&[u8]> {
    match name.first() {
        None | Some(0) => None,
        Some(length) => name.get(usize::from(*length) + 1..),
    }
}

/// Labels without the root. `name` must be a well-formed wire name.
#[must_use]
pub fn label_count(name: &[u8]) -> usize {
    std::iter::successors(parent_of(name), |name| parent_of(name)).count()
}
