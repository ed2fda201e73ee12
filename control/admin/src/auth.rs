//! Who may do what: the checks before any handler runs.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::error::ApiError;
use crate::token::Token;

/// What a listener demands of requests.
#[derive(Debug, Clone)]
pub(crate) enum Gate {
    /// A TCP listener: changes need the token, and `Host` must be one of these names.
    Token {
        /// The secret.
        token: Token,
        /// Accepted names, without port.
        hosts: Arc<[String]>,
    },
    /// The Unix socket: whoever can open the file is the node's user.
    Owner,
}

impl Gate {
    /// The gate of a TCP listener on `address`.
    pub fn tcp(token: Token, address: SocketAddr, configured: &[String]) -> Self {
        let own = [address.ip().to_string(), "localhost".to_owned()];
        let hosts = own
            .into_iter()
            .chain(configured.iter().map(|host| host.to_ascii_lowercase()));
        Self::Token {
            token,
            hosts: hosts.collect(),
        }
    }

    fn admit(&self, request: &Request) -> Result<(), ApiError> {
        let Self::Token { token, hosts } = self else {
            return Ok(());
        };
        let host = request
            .headers()
            .get(header::HOST)
            .and_then(|host| host.to_str().ok())
            .unwrap_or_default();
        if !hosts
            .iter()
            .any(|known| known.eq_ignore_ascii_case(name_of(host)))
        {
            let message =
                format!("`Host: {host}` is no name of this listener; add it to `admin.hosts`");
            return Err(ApiError::new(
                StatusCode::MISDIRECTED_REQUEST,
                "host",
                message,
            ));
        }
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Ok(());
        }
        let presented = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        match presented.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(presented) if token.matches(presented) => Ok(()),
            Some(_) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "token",
                "the bearer token is not this node's",
            )),
            None => {
                let message = "changes need `Authorization: Bearer` with the token in the node's `admin.token` file";
                Err(ApiError::new(StatusCode::UNAUTHORIZED, "token", message))
            }
        }
    }
}

/// Refuses what the gate does not admit.
pub(crate) async fn guard(State(gate): State<Gate>, request: Request, next: Next) -> Response {
    match gate.admit(&request) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// `Host` without its port; brackets of an IPv6 address are not part of the name.
fn name_of(host: &str) -> &str {
    if let Some(inside) = host.strip_prefix('[') {
        return inside.split(']').next().unwrap_or(inside);
    }
    host.split(':').next().unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn host_names() {
        for (host, name) in [
            ("localhost:9443", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("[::1]:9443", "::1"),
            ("", ""),
        ] {
            assert_eq!(name_of(host), name);
        }
    }
}
