//! What the upstream is told of the client.
//!
//! `X-Forwarded-For`, `-Proto` and `-Host` by the route's mode, and `Via`
//! (RFC 9110, section 7.6.3). From a peer that is not trusted nothing of them
//! passes, and from a trusted one only the header that the client's address is
//! read from: it vouches for no other, so that one may be the client's own
//! invention. Hop-by-hop fields are pingora's to strip.

use std::net::IpAddr;

use http::header::{FORWARDED, HOST, VIA};
use http::{HeaderName, HeaderValue, Version};
use meridian_topology::Forwarded;
use pingora_core::Result;
use pingora_http::RequestHeader;

use crate::config::ClientFrom;
use crate::info::ConnectionInfo;

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

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

/// Writes the fields into the request for the upstream.
pub(crate) fn write(
    request: &mut RequestHeader,
    received: Version,
    connection: &ConnectionInfo,
    trust: Trust,
    mode: Forwarded,
) -> Result<()> {
    match (mode, trust) {
        (Forwarded::Append, Trust::Trusted { header, client }) => {
            match header {
                ClientFrom::XForwardedFor => extend_hops(request, connection)?,
                ClientFrom::Forwarded => request.insert_header(FOR, client.to_string())?,
            }
            complete(request, connection)?;
        }
        (Forwarded::Append, Trust::Stranger) | (Forwarded::Replace, _) => {
            replace(request, connection)?;
        }
        (Forwarded::Remove, _) => remove(request),
    }
    request.append_header(VIA, via(received))?;
    Ok(())
}

fn extend_hops(request: &mut RequestHeader, connection: &ConnectionInfo) -> Result<()> {
    request.remove_header(&FORWARDED);
    let hops = match joined(request, &FOR) {
        None => connection.peer_text.clone(),
        Some(mut hops) => {
            hops.extend_from_slice(b", ");
            hops.extend_from_slice(connection.peer_text.as_bytes());
            // Values that were received hold no byte that may not be sent.
            HeaderValue::try_from(hops).unwrap_or_else(|_| connection.peer_text.clone())
        }
    };
    request.insert_header(FOR, hops)
}

/// What the peer did not say of scheme and host, we do.
fn complete(request: &mut RequestHeader, connection: &ConnectionInfo) -> Result<()> {
    if !request.headers.contains_key(PROTO) {
        request.insert_header(PROTO, HeaderValue::from_static(connection.scheme.as_str()))?;
    }
    if !request.headers.contains_key(FORWARDED_HOST) {
        write_host(request)?;
    }
    Ok(())
}

fn replace(request: &mut RequestHeader, connection: &ConnectionInfo) -> Result<()> {
    request.remove_header(&FORWARDED);
    request.insert_header(FOR, connection.peer_text.clone())?;
    request.insert_header(PROTO, HeaderValue::from_static(connection.scheme.as_str()))?;
    write_host(request)
}

fn remove(request: &mut RequestHeader) {
    request.remove_header(&FORWARDED);
    request.remove_header(&FOR);
    request.remove_header(&PROTO);
    request.remove_header(&FORWARDED_HOST);
}

fn write_host(request: &mut RequestHeader) -> Result<()> {
    match request.headers.get(HOST).cloned() {
        Some(host) => request.insert_header(FORWARDED_HOST, host),
        None => {
            request.remove_header(&FORWARDED_HOST);
            Ok(())
        }
    }
}

/// All values of a field as one list.
fn joined(request: &RequestHeader, name: &HeaderName) -> Option<Vec<u8>> {
    let mut values = request.headers.get_all(name).iter();
    let mut list = values.next()?.as_bytes().to_vec();
    for value in values {
        list.extend_from_slice(b", ");
        list.extend_from_slice(value.as_bytes());
    }
    Some(list)
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
