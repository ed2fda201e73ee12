//! The PROXY protocol, versions 1 and 2, in and out
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! A header is read in three steps: [`parse`] frames it (where does it end?)
//! and hands exactly those bytes to the `ppp` crate; [`read_header`] feeds it
//! from a stream under a deadline and returns what was read past the header.
//! Framing is ours because `ppp` judges an incomplete line field by field and
//! calls `PROXY TCP4 a b 80 ` wrong where the port has merely not arrived.
//!
//! Whether a peer may send a header at all is not decided here: see
//! [`crate::TrustedSources`].

mod encode;
mod parse;
mod read;

use std::net::SocketAddr;

pub use encode::encode;
pub use parse::{HeaderError, Parsed, parse};
pub use read::{ReadError, read_header};

/// Longest version 1 line with its CRLF (section 2.1 of the specification).
pub const V1_BYTES_MAX: usize = 107;

/// Longest version 2 header believed: 16 fixed bytes and 4,096 of addresses
/// and TLVs. The wire allows 65,535; nobody sends that and it would let every
/// connection pin 64 KiB before it is known.
pub const V2_BYTES_MAX: usize = V2_FIXED_BYTES + 4096;

/// Signature, version and command, family and protocol, length.
pub(crate) const V2_FIXED_BYTES: usize = 16;

/// Which form a header has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// The text line.
    V1,
    /// The binary header.
    V2,
}

/// Both ends of the connection as the sender of the header saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The client.
    pub source: SocketAddr,
    /// The address the client connected to.
    pub destination: SocketAddr,
}

/// A header that was understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The form it came in.
    pub version: Version,
    /// `None` where the sender speaks for itself (LOCAL: health checks) or
    /// could not say (UNKNOWN, UNSPEC, Unix sockets): the socket's own
    /// addresses hold then.
    pub addresses: Option<Addresses>,
}

/// Whether a listener expects a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expect {
    /// Bytes are the client's own; nothing is looked for.
    #[default]
    Off,
    /// A header is taken when there is one. Only for a peer known to be a
    /// proxy: others could write one themselves.
    Optional,
    /// A connection without a header is closed.
    Required,
}

#[cfg(test)]
mod tests;
