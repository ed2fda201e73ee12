//! Record data of the DNS between text and wire form, for every type that people write.
//!
//! One table ([`layout`]) says of which fields each type's data consists. Reading text, writing
//! text, checking wire data and finding the names in it all follow that table, so they cannot
//! disagree. A type that the table does not have is opaque: it is written and read as RFC 3597
//! says (`TYPE65280 \# 2 0102`), which every other type may be, too.
//!
//! Names in the wire form are never compressed. Limits: data has at most 65,535 bytes.

mod base;
mod layout;
mod lex;
mod loc;
mod read;
mod svcb;
mod text;
mod time;
mod wire;
mod write;

use thiserror::Error;

pub(crate) use layout::rtype_names;
pub use layout::{ALIAS, RTypeName, rtype_from_text};
pub use lex::{Entry, LexError, Lexer, Place, Token};
pub use read::read;
pub use text::{display_name, escape_name, read_name};
pub use time::read_period;
pub use wire::{is_well_formed, lowercase_names, name_offsets, uncompress};
pub use write::{write, write_generic};

/// Most bytes of one record's data: its length has 16 bits.
pub const DATA_BYTES_MAX: usize = 65_535;
/// Most bytes of a name (RFC 1035 section 2.3.4).
pub const NAME_BYTES_MAX: usize = 255;
/// Most bytes of a label (RFC 1035 section 2.3.4).
pub const LABEL_BYTES_MAX: usize = 63;
/// Most bytes of a character string (RFC 1035 section 3.3).
pub const STRING_BYTES_MAX: usize = 255;

/// Text that is not the data of its type.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {reason}")]
pub struct RdataError {
    /// Which of the tokens is wrong; as many as there are when one is missing.
    pub token: usize,
    /// The field, as the type's standard calls it.
    pub field: &'static str,
    /// What is wrong, and what would be right.
    pub reason: String,
}

#[cfg(test)]
mod tests;
