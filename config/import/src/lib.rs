//! Other servers' configurations as a deployment of ours: [`gdnsd`] for now.
//!
//! A conversion never guesses silently. What comes out is a set of files and a list of [`Note`]s:
//! what was converted, what has no counterpart here, and what a person has to look at, each with the
//! file and line it is about. Reading is all that this room does; writing is the caller's.

pub mod gdnsd;
mod note;
mod yaml;

pub use note::{At, Note, NoteKind};

/// A deployment that was converted.
#[derive(Debug, Default)]
pub struct Converted {
    /// Files below the deployment directory, by name.
    pub files: std::collections::BTreeMap<String, String>,
    /// What there is to say, in the order of the source.
    pub notes: Vec<Note>,
}
