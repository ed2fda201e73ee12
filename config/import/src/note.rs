//! What a conversion says about itself.

use std::fmt;
use std::sync::Arc;

use serde::{Serialize, Serializer};

/// A place in a source.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What a note is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// It works as before.
    Converted,
    /// It works, but not in every respect as before: look at it.
    Check,
    /// There is nothing like it here; it was left out.
    NoCounterpart,
}

impl NoteKind {
    /// The word in a report.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Converted => "converted",
            Self::Check => "check",
            Self::NoCounterpart => "no counterpart",
        }
    }
}

/// One thing to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What about.
    pub kind: NoteKind,
    /// Where in the source.
    pub at: At,
    /// In words.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.at, self.kind.as_str(), self.text)
    }
}

/// Collects notes; the same words about the same place are said once.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    list: Vec<Note>,
}

impl Notes {
    pub(crate) fn converted(&mut self, at: &At, text: impl Into<String>) {
        self.push(NoteKind::Converted, at, text.into());
    }

    pub(crate) fn check(&mut self, at: &At, text: impl Into<String>) {
        self.push(NoteKind::Check, at, text.into());
    }

    pub(crate) fn none(&mut self, at: &At, text: impl Into<String>) {
        self.push(NoteKind::NoCounterpart, at, text.into());
    }

    fn push(&mut self, kind: NoteKind, at: &At, text: String) {
        let note = Note {
            kind,
            at: at.clone(),
            text,
        };
        if !self.list.contains(&note) {
            self.list.push(note);
        }
    }

    pub(crate) fn into_list(self) -> Vec<Note> {
        self.list
    }
}
