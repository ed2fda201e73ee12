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

impl LowerName {
    /// Reads an uncompressed name at `at`; returns it with the offset behind it.
    ///
    /// # Errors
    /// See [`NameError`]. A compression pointer is an error: the first question of a message has
    /// nothing but the header before it.
    pub fn read(packet: &[u8], at: usize) -> Result<(Self, usize), NameError> {
        let mut name = Self {
            bytes: [0; NAME_BYTES_MAX],
            len: 0,
            labels: 0,
        };
        let mut from = at;
        loop {
            let length = *packet.get(from).ok_or(NameError::Cut)?;
            if length & 0xc0 != 0 {
                return Err(NameError::LabelType);
            }
            let end = from + 1 + usize::from(length);
            let label = packet.get(from..end).ok_or(NameError::Cut)?;
            let filled = usize::from(name.len);
            let room = name
                .bytes
                .get_mut(filled..filled + label.len())
                .ok_or(NameError::TooLong)?;
            for (to, byte) in room.iter_mut().zip(label) {
                *to = byte.to_ascii_lowercase();
            }
            // At most 255 by the slice above, so it fits. A length byte is below 64, which
            // lowercasing leaves alone.
            name.len += length + 1;
            from = end;
            if length == 0 {
                return Ok((name, from));
            }
            name.labels += 1;
        }
    }

    /// A lowercased, well-formed wire name of at most 255 bytes.
    #[must_use]
    pub fn of(name: &[u8]) -> Self {
        Self::join(&[], name).unwrap_or(Self {
            bytes: [0; NAME_BYTES_MAX],
            len: 1,
            labels: 0,
        })
    }

    /// The labels `prefix` before `name`, both lowercased and well-formed; `None` when the whole is
    /// longer than a name may be.
    #[must_use]
    pub fn join(prefix: &[u8], name: &[u8]) -> Option<Self> {
        let mut joined = Self {
            bytes: [0; NAME_BYTES_MAX],
            len: 0,
            labels: 0,
        };
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
