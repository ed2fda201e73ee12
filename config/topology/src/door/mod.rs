//! The one door for YAML: text → raw type with spans, or problems with places and remedies.
//!
//! Everything that people write for Meridian (topology, policies, `meridian.yaml`) comes through
//! [`parse`]. A raw type is a plain serde struct (`deny_unknown_fields`, externally tagged enums)
//! whose scalars are [`Field`]s: a field remembers where it stood and keeps its own error, so
//! **every** bad scalar of a file is reported at once, by the validation that reads the fields.
//!
//! Errors of shape (an unknown key, a missing key, a list where a map belongs, a duplicate key)
//! come from the parser, which stops at its first one. The door then does what a person would:
//! where the remedy is certain enough (a misspelt key with one close relative) it assumes the
//! remedy, parses again and goes on, up to [`MAX_REPAIRS`] times, so that several misspelt keys
//! are reported together. At any other error of shape a file's report ends; the files of a
//! directory are always all read.
//!
//! Why externally tagged enums only: untagged and internally tagged ones make serde buffer the
//! value, which loses every span inside and reads the country code `NO` as a boolean. Both are
//! tests here.
//!
//! Bounds: [`MAX_FILE_BYTES`], [`MAX_DEPTH`], [`MAX_NODES`], [`MAX_PROBLEMS`], [`MAX_REPAIRS`].

mod field;
mod parser;
mod path;
mod problem;
mod render;
mod scalar;
mod source;
pub mod suggest;

pub use field::{Field, Spanned};
pub(crate) use parser::parse_source;
pub use parser::{Parsed, parse};
pub use problem::{Code, Problem, Problems};
pub use scalar::{Mistake, Scalar};
pub use source::{Source, SourceFile, Span};

/// The largest file that is read at all. A region of a thousand endpoints takes about 100 KiB.
pub const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// How deep maps and lists may nest.
pub const MAX_DEPTH: usize = 64;
/// How many values and keys a file may hold.
pub const MAX_NODES: usize = 2_000_000;
/// How many problems one report lists; more are counted.
pub const MAX_PROBLEMS: usize = 100;
/// How many misspelt keys of one file are assumed to be what they resemble.
pub const MAX_REPAIRS: usize = 16;

#[cfg(test)]
mod tests;
