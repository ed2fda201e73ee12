//! From a client's head to the head for the upstream, in one pass.

use std::mem::MaybeUninit;

use http::Method;
use httparse::Header;

use super::body::Rest;
use super::chunked::Scanner;
use super::hop::{self, Connection};
use crate::authority;
use crate::fields::write_field;
use crate::forward::{Said, Told};
use crate::head::{Body, HEADERS_MAX, Head};
use crate::table::Route;
use crate::target::Target;

/// A head that [`crate::head`] let pass, taken apart.
pub(super) struct Request<'h> {
    pub(super) method: Method,
    pub(super) target: Target<'h>,
    /// The host without port, as written.
    pub(super) host: &'h str,
    pub(super) port: Option<u16>,
    pub(super) fields: &'h [Header<'h>],
    connection: Connection<'h>,
}

impl<'h> Request<'h> {
    /// Takes a head apart for `then`; `None` for what [`crate::head`] would not have let pass.
    pub(super) fn read<T>(bytes: &'h [u8], then: impl FnOnce(&Request<'_>) -> T) -> Option<T> {
        let mut space = [const { MaybeUninit::uninit() }; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed.parse_with_uninit_headers(bytes, &mut space).ok()?;
        if status.is_partial() {
            return None;
        }
        let fields = &*parsed.headers;
        let method = Method::from_bytes(parsed.method?.as_bytes()).ok()?;
        let target = Target::of(parsed.path?, &method);
        let named = || {
            fields
                .iter()
                .find(|field| field.name.eq_ignore_ascii_case("host"))
        };
        let authority = match target.authority {
            Some(authority) => Some(authority.as_bytes()),
            None => named().map(|field| field.value),
        };
        let host = authority.and_then(authority::parse);
        let request = Request {
            method,
            target,
            host: host.map_or("", |authority| authority.host),
            port: host.and_then(|authority| authority.port),
            connection: Connection::of(fields),
            fields,
        };
        Some(then(&request))
    }

    /// Whether the client may send another request on its connection.
    pub(super) fn keeps_connection(&self) -> bool {
        !self.connection.closes
    }

    /// Writes the head for the upstream of a route.
    pub(super) fn write(&self, told: &Told<'_>, route: &Route, out: &mut Vec<u8>) {
        let target = route.target.of(&self.target.path_and_query);
        for part in [self.method.as_str(), " ", &target, " HTTP/1.1\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        for field in self.fields {
            let passes = !hop::is_hop_by_hop(field.name)
                && !self.connection.lists(field.name)
                && told.passes(field.name)
                && route.request.passes(field.name);
            if passes {
                match &route.target.host {
                    Some(host) if field.name.eq_ignore_ascii_case("host") => {
                        write_field(out, field.name, host.as_bytes());
                    }
                    _ => write_field(out, field.name, field.value),
                }
            }
        }
        for (name, said) in told.each() {
            if let Said::New(value) = said
                && route.request.passes(name)
            {
                write_field(out, name, value);
            }
        }
        for (name, value) in route.request.put() {
            write_field(out, name, value);
        }
        out.extend_from_slice(b"via: 1.1 meridian\r\n\r\n");
    }
}

/// What the client still owes after its head.
pub(super) fn rest_of(head: &Head) -> Rest {
    match head.body {
        Body::Length(length) => Rest::Length(length),
        Body::Chunked => Rest::Chunked(Scanner::new()),
        Body::Upgrade => Rest::UntilClose,
    }
}
