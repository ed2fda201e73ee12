//! What is known of a client connection, and how a request finds it.

use std::any::Any;
use std::net::SocketAddr;

use http::HeaderValue;
use pingora_core::protocols::Digest;

/// What is known of a connection before its first request. Reaches the proxy's
/// hooks through the connection's digest.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    /// The other end: the socket's peer, or the source a PROXY header of a
    /// trusted peer named.
    pub(crate) peer: SocketAddr,
    /// How the client reached us.
    pub(crate) scheme: Scheme,
    /// The peer's address as text, written once for all requests.
    pub(crate) peer_text: HeaderValue,
}

impl ConnectionInfo {
    /// Describes a connection.
    pub(crate) fn new(peer: SocketAddr, scheme: Scheme) -> Self {
        let text = peer.ip().to_canonical().to_string();
        let peer_text = HeaderValue::try_from(text).expect("an address is visible ASCII");
        Self {
            peer,
            scheme,
            peer_text,
        }
    }
}

/// The scheme a connection carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scheme {
    /// Clear text.
    Http,
    /// TLS ended here; the name the client asked for, in lower case.
    Https { server_name: Option<Box<str>> },
}

impl Scheme {
    /// As written in `X-Forwarded-Proto`.
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https { .. } => "https",
        }
    }
}

/// The [`ConnectionInfo`] of the connection a request came on.
pub(crate) fn connection_info(digest: Option<&Digest>) -> Option<&ConnectionInfo> {
    let info: &(dyn Any + Send + Sync) =
        digest?.proxy_digest.as_ref()?.user_data.as_ref()?.as_ref();
    info.downcast_ref()
}
