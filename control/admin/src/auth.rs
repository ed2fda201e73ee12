//! Who may do what: the checks before any handler runs.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::limits::REQUEST_PATIENCE;
use crate::token::Token;

#[cfg(test)]
mod tests;

/// What a listener demands of requests.
#[derive(Debug, Clone)]
pub(crate) enum Gate {
    /// A TCP listener: changes need the token, and `Host` must be one of these names.
    Token {
        /// The secret.
        token: Token,
        /// Accepted names, without port.
        names: Arc<[String]>,
    },
    /// The Unix socket: whoever can open the file is the node's user.
    Owner,
}

impl Gate {
    /// The gate of a TCP listener.
    pub fn tcp(token: Token, configured: &[String]) -> Self {
        let localhost = std::iter::once("localhost".to_owned());
        Self::Token {
            token,
            names: localhost.chain(configured.iter().cloned()).collect(),
        }
    }

    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        let Self::Token { token, names } = self else {
            return Ok(());
        };
        meant_for(request, names)?;
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        match bearer(request) {
            Some(presented) if token.matches(presented) => Ok(()),
            Some(_) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "token",
                "the bearer token is not this node's",
            )),
            None => Err(ApiError::new(
                StatusCode::UNAUTHORIZED,
                "token",
                "changes need `Authorization: Bearer` with the token in the node's `admin.token` file",
            )),
        }
    }
}

/// Refuses what the gate does not admit, and what takes too long.
pub(crate) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    let mut response = match gate.admit(&request) {
        Ok(()) => match tokio::time::timeout(REQUEST_PATIENCE, next.run(request)).await {
            Ok(response) => response,
            Err(_) => late().into_response(),
        },
        Err(refusal) => refusal.into_response(),
    };
    // A page of another origin must neither guess a script out of an answer nor find it in a cache.
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    response
}

fn late() -> ApiError {
    let message = format!(
        "no answer within {REQUEST_PATIENCE:?}; look whether a change took effect before you repeat it"
    );
    ApiError::new(StatusCode::GATEWAY_TIMEOUT, "timeout", message)
}

/// Refuses requests for a name that is not this listener's: that is how a web page reaches it whose
/// own name was made to resolve here (DNS rebinding). An address needs no name, so it passes.
fn meant_for(request: &Request, names: &[String]) -> Result<(), ApiError> {
    let mut fields = request.headers().get_all(header::HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(host), None) => host.to_str().unwrap_or_default(),
        // RFC 9112, section 3.2: exactly one.
        _ => "",
    };
    let target = request.uri().authority().map(Authority::as_str);
    for said in std::iter::once(field).chain(target) {
        let ours = name_of(said).is_some_and(|name| {
            name.parse::<IpAddr>().is_ok()
                || names.iter().any(|known| known.eq_ignore_ascii_case(&name))
        });
        if !ours {
            let message =
                format!("`Host: {said}` is no name of this listener; add it to `admin.hosts`");
            return Err(ApiError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "host",
                message,
            ));
        }
    }
    Ok(())
}

/// The name in a `Host` field, without port and brackets; `None` when it is not well formed.
fn name_of(host: &str) -> Option<String> {
    let authority: Authority = host.parse().ok()?;
    if authority.as_str().contains('@') {
        return None;
    }
    let name = authority.host();
    Some(
        name.trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned(),
    )
}

/// The token presented; the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(request: &Request) -> Option<&str> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}
