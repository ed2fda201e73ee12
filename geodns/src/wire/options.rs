//! The EDNS options of a query that mean something to this server, read in place.
//!
//! | option | what is wrong with it | what follows |
//! |---|---|---|
//! | client subnet (RFC 7871) | see [`super::EcsError`]; sent twice | FORMERR |
//! | cookie (RFC 7873 §5.2.2) | not 8 or 16 to 40 bytes | FORMERR; of several, the first counts (§4) |
//! | edns-tcp-keepalive (RFC 7828 §3.2) | carries a timeout | FORMERR over streams, ignored over UDP |
//! | padding (RFC 7830), NSID (RFC 5001 §2.1) | nothing: what they carry is ignored | – |
//! | any other | nothing | ignored (RFC 6891 §6.1.2) |
//!
//! An option that runs over the end of OPT is FORMERR whatever its code.

use super::{ClientSubnet, ecs, query::Edns, u16_at};

/// EDNS option codes (IANA).
pub(super) const NSID: u16 = 3;
pub(super) const COOKIE: u16 = 10;
pub(super) const TCP_KEEPALIVE: u16 = 11;
pub(super) const PADDING: u16 = 12;
pub(super) const EXTENDED_ERROR: u16 = 15;

/// Bytes of a client cookie (RFC 7873 §4.1).
pub const CLIENT_COOKIE_BYTES: usize = 8;
/// Bytes of the server cookies that this server makes (RFC 9018 §4).
pub const SERVER_COOKIE_BYTES: usize = 16;

/// A cookie option of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cookie {
    /// The client's part, sent back as it came.
    pub client: [u8; CLIENT_COOKIE_BYTES],
    /// What the client remembers of us.
    pub server: ServerCookie,
}

/// The server's part of a cookie in a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerCookie {
    /// The client has none yet.
    None,
    /// Of our length; whether it is ours the secret tells.
    Candidate([u8; SERVER_COOKIE_BYTES]),
    /// Of a lawful length that we never make.
    Foreign,
}

impl Cookie {
    /// Reads the option's data; `None` when its length is against RFC 7873 §5.2.2.
    #[must_use]
    pub fn read(data: &[u8]) -> Option<Self> {
        let (client, server) = data.split_first_chunk()?;
        let server = match server.len() {
            0 => ServerCookie::None,
            SERVER_COOKIE_BYTES => ServerCookie::Candidate(*server.first_chunk()?),
            8..=32 => ServerCookie::Foreign,
            _ => return None,
        };
        Some(Self {
            client: *client,
            server,
        })
    }
}

/// Walks OPT's options into `edns`.
///
/// # Errors
/// An option is malformed; what was read before it stands.
pub(super) fn read(edns: &mut Edns, mut data: &[u8]) -> Result<(), ()> {
    while !data.is_empty() {
        let code = u16_at(data, 0).ok_or(())?;
        let length = usize::from(u16_at(data, 2).ok_or(())?);
        let option = data.get(4..4 + length).ok_or(())?;
        match code {
            ecs::OPTION_CODE => {
                let subnet = ClientSubnet::read(option).map_err(|_| ())?;
                if edns.subnet.is_some() {
                    return Err(());
                }
                edns.subnet = Some(subnet);
            }
            COOKIE if edns.cookie.is_none() => {
                edns.cookie = Some(Cookie::read(option).ok_or(())?);
            }
            // A slice of 16 bits of length.
            TCP_KEEPALIVE => edns.keepalive_bytes = Some(length as u16),
            PADDING => edns.padding = true,
            NSID => edns.nsid = true,
            _ => {}
        }
        data = &data[4 + length..];
    }
    Ok(())
}
