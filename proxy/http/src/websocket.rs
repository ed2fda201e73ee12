//! Which requests ask for a tunnel.
//!
//! A tunnel may be silent for as long as `timeouts.tunnel`, far longer than a
//! request. pingora sets the timeouts once per request, before the answer is
//! known, so nothing less than a whole opening handshake (RFC 6455, section
//! 4.1) earns them.

use http::header::{CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Version};
use pingora_http::RequestHeader;

/// Whether the request is the opening handshake of a WebSocket: the one upgrade
/// that pingora forwards.
pub(crate) fn is_websocket(request: &RequestHeader) -> bool {
    let headers = &request.headers;
    // First what nearly every other request lacks.
    lists(headers, &UPGRADE, b"websocket")
        && request.method == Method::GET
        && request.version == Version::HTTP_11
        && lists(headers, &CONNECTION, b"upgrade")
        && headers.contains_key(SEC_WEBSOCKET_KEY)
        && !headers.contains_key(CONTENT_LENGTH)
        && !headers.contains_key(TRANSFER_ENCODING)
}

/// Whether `Upgrade` is meant for us.
pub(crate) fn is_for_this_hop(headers: &HeaderMap) -> bool {
    lists(headers, &CONNECTION, b"upgrade")
}

/// Whether a list field has the word, in any case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &[u8]) -> bool {
    let mut words = headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    words.any(|found| found.trim_ascii().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests;
