//! Bytes to a header, without I/O.

use std::net::SocketAddr;

use ppp::{v1, v2};

use super::{Addresses, Header, V1_BYTES_MAX, V2_BYTES_MAX, V2_FIXED_BYTES, Version};

const V1_PREFIX: &[u8] = b"PROXY ";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN";

/// What the bytes so far are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// A whole header in the first `consumed` bytes.
    Complete {
        /// What it says.
        header: Header,
        /// Its length; the client's own bytes follow.
        consumed: usize,
    },
    /// May become a header with more bytes.
    Partial,
    /// Not a header, whatever follows.
    Absent,
}

/// Bytes that begin like a header and are not one. The connection is to be
/// closed: the sender and we disagree about where the client's bytes begin.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// No CRLF within [`V1_BYTES_MAX`].
    #[error("PROXY v1 line does not end within {V1_BYTES_MAX} bytes")]
    V1TooLong,
    /// Rust's integer parser takes `+80`; the specification does not.
    #[error("PROXY v1: a port has a sign")]
    V1SignedPort,
    /// The line is not one of the specification's.
    #[error("PROXY v1: {}", .0.to_string().replace("\r\n", "CRLF"))]
    V1(#[source] v1::BinaryParseError),
    /// The announced length leads past [`V2_BYTES_MAX`].
    #[error("PROXY v2 header announces {bytes} bytes, more than {V2_BYTES_MAX}")]
    V2TooLong {
        /// Whole length it would have.
        bytes: usize,
    },
    /// A field of the binary header is not one of the specification's.
    #[error("PROXY v2: {0}")]
    V2(#[source] v2::ParseError),
}

/// Looks for a header at the start of `input`. Reads no byte past its end and
/// needs at most [`V2_BYTES_MAX`] bytes to decide.
///
/// # Errors
/// The bytes begin like a header and cannot become one.
pub fn parse(input: &[u8]) -> Result<Parsed, HeaderError> {
    if begins_like(input, v2::PROTOCOL_PREFIX) {
        parse_v2(input)
    } else if begins_like(input, V1_PREFIX) {
        parse_v1(input)
    } else {
        Ok(Parsed::Absent)
    }
}

fn begins_like(input: &[u8], prefix: &[u8]) -> bool {
    let common = input.len().min(prefix.len());
    input[..common] == prefix[..common]
}

fn parse_v1(input: &[u8]) -> Result<Parsed, HeaderError> {
    let window = &input[..input.len().min(V1_BYTES_MAX)];
    let Some(newline) = window.iter().position(|byte| *byte == b'\n') else {
        return if input.len() < V1_BYTES_MAX {
            Ok(Parsed::Partial)
        } else {
            Err(HeaderError::V1TooLong)
        };
    };
    let line = &input[..=newline];
    let addresses = if is_unknown(line) {
        None
    } else {
        v1_addresses(line)?
    };
    Ok(Parsed::Complete {
        header: Header {
            version: Version::V1,
            addresses,
        },
        consumed: line.len(),
    })
}

/// "The receiver must ignore anything presented before the CRLF" after
/// UNKNOWN; `ppp` allows four further words only.
fn is_unknown(line: &[u8]) -> bool {
    line.strip_prefix(V1_UNKNOWN)
        .is_some_and(|rest| rest == b"\r\n" || (rest.starts_with(b" ") && rest.ends_with(b"\r\n")))
}

fn v1_addresses(line: &[u8]) -> Result<Option<Addresses>, HeaderError> {
    let header = v1::Header::try_from(line).map_err(HeaderError::V1)?;
    if line.contains(&b'+') {
        return Err(HeaderError::V1SignedPort);
    }
    Ok(match header.addresses {
        v1::Addresses::Tcp4(ip) => Some(Addresses {
            source: SocketAddr::from((ip.source_address, ip.source_port)),
            destination: SocketAddr::from((ip.destination_address, ip.destination_port)),
        }),
        v1::Addresses::Tcp6(ip) => Some(Addresses {
            source: SocketAddr::from((ip.source_address, ip.source_port)),
            destination: SocketAddr::from((ip.destination_address, ip.destination_port)),
        }),
        v1::Addresses::Unknown => None,
    })
}

fn parse_v2(input: &[u8]) -> Result<Parsed, HeaderError> {
    if input.len() < V2_FIXED_BYTES {
        return Ok(Parsed::Partial);
    }
    let length = usize::from(u16::from_be_bytes([input[14], input[15]]));
    let consumed = V2_FIXED_BYTES + length;
    if consumed > V2_BYTES_MAX {
        return Err(HeaderError::V2TooLong { bytes: consumed });
    }
    let Some(bytes) = input.get(..consumed) else {
        // Judge the fixed part now: a wrong version must not wait for bytes.
        return match v2::Header::try_from(input) {
            Err(v2::ParseError::Partial(..) | v2::ParseError::Incomplete(..)) | Ok(_) => {
                Ok(Parsed::Partial)
            }
            Err(error) if is_local(input) && !is_framing(&error) => Ok(Parsed::Partial),
            Err(error) => Err(HeaderError::V2(error)),
        };
    };
    let addresses = if is_local(bytes) {
        None
    } else {
        v2_addresses(bytes)?
    };
    Ok(Parsed::Complete {
        header: Header {
            version: Version::V2,
            addresses,
        },
        consumed,
    })
}

/// Version 2, command LOCAL: the rest of the block, family included, is to be
/// discarded unread (section 2.2).
fn is_local(input: &[u8]) -> bool {
    input[12] == 0x20
}

fn is_framing(error: &v2::ParseError) -> bool {
    matches!(
        error,
        v2::ParseError::Prefix | v2::ParseError::Version(_) | v2::ParseError::Command(_)
    )
}

fn v2_addresses(bytes: &[u8]) -> Result<Option<Addresses>, HeaderError> {
    let header = v2::Header::try_from(bytes).map_err(HeaderError::V2)?;
    for tlv in header.tlvs() {
        tlv.map_err(HeaderError::V2)?;
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(ip) => Some(Addresses {
            source: SocketAddr::from((ip.source_address, ip.source_port)),
            destination: SocketAddr::from((ip.destination_address, ip.destination_port)),
        }),
        v2::Addresses::IPv6(ip) => Some(Addresses {
            source: SocketAddr::from((ip.source_address, ip.source_port)),
            destination: SocketAddr::from((ip.destination_address, ip.destination_port)),
        }),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => None,
    })
}
