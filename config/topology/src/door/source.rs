//! Texts with names, and places in them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A file as it came from a disk, a store or a test: a name for messages, and its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceFile {
    /// What messages call it, usually a path relative to the deployment directory.
    pub name: String,
    /// The YAML.
    pub text: String,
}

impl SourceFile {
    /// A file from its name and text.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            text: text.into(),
        }
    }
}

/// A shared name and text, so that each problem can show its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    pub(super) name: Arc<str>,
    pub(super) text: Arc<str>,
    /// Keys that were assumed to be something else, in the order of their places.
    repairs: Vec<Repair>,
}

/// A key that the parser was given in other words than it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Repair {
    /// First byte of the key in the text as parsed.
    offset: usize,
    /// Bytes of the key as written.
    written: usize,
    /// Bytes of the key as parsed.
    parsed: usize,
}

impl Source {
    /// A source from its name and text.
    #[must_use]
    pub fn new(name: &str, text: &str) -> Self {
        Self {
            name: Arc::from(name),
            text: Arc::from(text),
            repairs: Vec::new(),
        }
    }

    /// What messages call it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// How many keys were assumed to be something else.
    pub(super) fn repairs(&self) -> usize {
        self.repairs.len()
    }

    /// Whether a place in the text as parsed is a key that was assumed.
    pub(super) fn is_repaired(&self, span: Span) -> bool {
        self.repairs
            .iter()
            .any(|repair| (span.offset..=span.offset + 1).contains(&repair.offset))
    }

    /// The text to parse once a key is assumed to be another one, if the key stands where the
    /// span says. Places in the new text lead back through [`Self::as_written`].
    pub(super) fn repair(
        &mut self,
        parsed: &str,
        span: Span,
        written: &str,
        meant: &str,
    ) -> Option<String> {
        let rest = parsed.get(span.offset..)?;
        // A quoted key begins one byte later.
        let quote = usize::from(rest.starts_with(['"', '\'']));
        if !rest.get(quote..)?.starts_with(written) {
            return None;
        }
        let start = span.offset + quote;
        let text = [
            parsed.get(..start)?,
            meant,
            parsed.get(start + written.len()..)?,
        ]
        .concat();
        for later in self.repairs.iter_mut().filter(|r| r.offset > start) {
            later.offset = later.offset + meant.len() - written.len();
        }
        let at = self.repairs.partition_point(|r| r.offset < start);
        let repair = Repair {
            offset: start,
            written: written.len(),
            parsed: meant.len(),
        };
        self.repairs.insert(at, repair);
        Some(text)
    }

    /// The place in the text as it was written, of a place in the text as it was parsed.
    pub(super) fn as_written(&self, span: Span) -> Span {
        if self.repairs.is_empty() || span.line == 0 {
            return span;
        }
        let start = self.offset_as_written(span.offset);
        let end = self.offset_as_written(span.offset + span.len);
        Span::of(&self.text, start, end.saturating_sub(start))
    }

    fn offset_as_written(&self, offset: usize) -> usize {
        let mut shifted = offset;
        for repair in self.repairs.iter().take_while(|r| r.offset < offset) {
            let past = (offset - repair.offset).min(repair.parsed);
            // Inside of a repaired key every place is its beginning; behind it the lengths differ.
            let kept = if past == repair.parsed {
                repair.written
            } else {
                0
            };
            shifted = shifted + kept - past;
        }
        shifted
    }
}

/// A place in a source: bytes for slicing, line and column (in characters, both from 1) for
/// people. Line 0 means that no place is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Span {
    /// First byte.
    pub offset: usize,
    /// Number of bytes.
    pub len: usize,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl Span {
    /// The place where nothing is known.
    pub const UNKNOWN: Self = Self {
        offset: 0,
        len: 0,
        line: 0,
        column: 0,
    };

    /// The beginning of a text.
    pub const START: Self = Self {
        offset: 0,
        len: 0,
        line: 1,
        column: 1,
    };

    pub(super) fn from_location(location: serde_saphyr::Location) -> Self {
        let span = location.span();
        let small = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let index = |n: Option<u64>| usize::try_from(n.unwrap_or(0)).unwrap_or(usize::MAX);
        Self {
            offset: index(span.byte_offset()),
            len: index(span.byte_len()),
            line: small(location.line()),
            column: small(location.column()),
        }
    }

    /// The place of a byte range in a text; clamped to the text.
    #[must_use]
    pub fn of(text: &str, offset: usize, len: usize) -> Self {
        let offset = floor_boundary(text, offset);
        let before = &text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let small = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            offset,
            len: floor_boundary(text, offset.saturating_add(len)) - offset,
            line: small(before.bytes().filter(|b| *b == b'\n').count() + 1),
            column: small(before[line_start..].chars().count() + 1),
        }
    }
}

/// The nearest character boundary at or below a byte position.
pub(super) fn floor_boundary(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}
