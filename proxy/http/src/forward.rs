//! What the upstream is told of the client.
//!
//! `X-Forwarded-For`, `-Proto` and `-Host` by the route's mode, and `Via`
//! (RFC 9110, section 7.6.3). From a peer that is not trusted nothing of them
//! passes, and from a trusted one only the header that the client's address is
//! read from: it vouches for no other, so that one may be the client's own
//! invention. Hop-by-hop fields are each lane's to strip.

use std::borrow::Cow;
use std::net::IpAddr;

use http::header::VIA;
use http::{HeaderValue, Version};
use meridian_topology::Forwarded;
use pingora_core::Result;
use pingora_http::RequestHeader;

use crate::config::ClientFrom;
use crate::fields::Fields;
use crate::info::ConnectionInfo;

const FORWARDED: &str = "forwarded";
const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";
const HOST: &str = "x-forwarded-host";

/// Whether the peer's own forwarded headers are believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// The one that `client_from` names passes.
    Trusted {
        /// The header the peer vouches for.
        header: ClientFrom,
        /// The client it names.
        client: IpAddr,
    },
    /// They are dropped.
    Stranger,
}

/// What the upstream is to see in each field that names the client.
#[derive(Debug)]
pub(crate) struct Told<'a> {
    forwarded: Said<'a>,
    client: Said<'a>,
    proto: Said<'a>,
    host: Said<'a>,
}

/// What it is to see in one of them.
#[derive(Debug, Clone)]
pub(crate) enum Said<'a> {
    /// What the peer sent, if it sent it.
    Kept,
    /// Nothing.
    Gone,
    /// This, whatever the peer sent.
    New(Cow<'a, [u8]>),
}

impl<'a> Told<'a> {
    /// The fields by name, in lower case.
    pub(crate) fn each(&self) -> [(&'static str, &Said<'a>); 4] {
        [
            (FORWARDED, &self.forwarded),
            (FOR, &self.client),
            (PROTO, &self.proto),
            (HOST, &self.host),
        ]
    }

    /// The same without what was received.
    pub(crate) fn into_owned(self) -> Told<'static> {
        let own = |said| match said {
            Said::Kept => Said::Kept,
            Said::Gone => Said::Gone,
            Said::New(value) => Said::New(Cow::Owned(Cow::into_owned(value))),
        };
        Told {
            forwarded: own(self.forwarded),
            client: own(self.client),
            proto: own(self.proto),
            host: own(self.host),
        }
    }

    /// Whether a field that was received passes as it is.
    pub(crate) fn passes(&self, name: &str) -> bool {
        // Nearly every field differs in length from all of these.
        !self.each().iter().any(|(own, said)| {
            own.len() == name.len() && own.eq_ignore_ascii_case(name) && !matches!(said, Said::Kept)
        })
    }
}

/// Decides what the upstream is told.
pub(crate) fn told<'a, F: Fields + ?Sized>(
    received: &'a F,
    connection: &'a ConnectionInfo,
    trust: Trust,
    mode: Forwarded,
) -> Told<'a> {
    let is_new = |bytes| Said::New(Cow::Borrowed(bytes));
    let has = |name| received.values(name).next().is_some();
    let peer = connection.peer_text.as_bytes();
    let proto = is_new(connection.scheme.as_str().as_bytes());
    let host = received.values("host").next().map_or(Said::Gone, is_new);
    match (mode, trust) {
        (Forwarded::Append, Trust::Trusted { header, client }) => {
            let (forwarded, client) = match header {
                ClientFrom::XForwardedFor => (Said::Gone, with_hop(received, peer)),
                ClientFrom::Forwarded => (Said::Kept, client.to_string().into_bytes()),
            };
            // What the peer did not say of scheme and host, we do.
            Told {
                forwarded,
                client: Said::New(client.into()),
                proto: if has(PROTO) { Said::Kept } else { proto },
                host: if has(HOST) { Said::Kept } else { host },
            }
        }
        (Forwarded::Append, Trust::Stranger) | (Forwarded::Replace, _) => Told {
            forwarded: Said::Gone,
            client: is_new(peer),
            proto,
            host,
        },
        (Forwarded::Remove, _) => Told {
            forwarded: Said::Gone,
            client: Said::Gone,
            proto: Said::Gone,
            host: Said::Gone,
        },
    }
}

/// All hops so far as one list, and the peer.
fn with_hop<F: Fields + ?Sized>(received: &F, peer: &[u8]) -> Vec<u8> {
    let mut hops = Vec::new();
    for value in received.values(FOR) {
        hops.extend_from_slice(value);
        hops.extend_from_slice(b", ");
    }
    hops.extend_from_slice(peer);
    hops
}

/// Writes what is told into a request of pingora's, and the protocol it was received in.
pub(crate) fn write(request: &mut RequestHeader, told: &Told<'_>, received: Version) -> Result<()> {
    for (name, said) in told.each() {
        match said {
            Said::Kept => {}
            Said::Gone => {
                request.remove_header(name);
            }
            Said::New(value) => {
                // Values that were received hold no byte that may not be sent.
                let value =
                    HeaderValue::from_bytes(value).unwrap_or_else(|_| HeaderValue::from_static(""));
                request.insert_header(name, value)?;
            }
        }
    }
    request.append_header(VIA, via(received))?;
    Ok(())
}

/// The protocol the request was received in, and who we are.
fn via(received: Version) -> HeaderValue {
    HeaderValue::from_static(match received {
        Version::HTTP_10 => "1.0 meridian",
        Version::HTTP_2 => "2 meridian",
        _ => "1.1 meridian",
    })
}

#[cfg(test)]
mod tests;
