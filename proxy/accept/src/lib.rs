//! How a connection enters Meridian: listening sockets, the PROXY protocol,
//! the question "who is the client", certificates by name, and a bound on how
//! many connections are open.
//!
//! `proxy/http` and `proxy/stream` share this room so that both believe the
//! same headers from the same peers. It knows nothing of plans or services.
//!
//! Limits, all named where they apply: a PROXY v1 line has
//! [`proxy_protocol::V1_BYTES_MAX`] bytes, a v2 header
//! [`proxy_protocol::V2_BYTES_MAX`]; at most [`HOPS_MAX`] forwarded hops are
//! walked; a PEM file has [`certs::PEM_BYTES_MAX`] bytes.

mod bind;
pub mod certs;
mod client;
mod limit;
pub mod proxy_protocol;
mod rewound;

pub use bind::{BACKLOG_DEFAULT, BindError, BindOptions, PortSharing, bind_tcp, bind_udp};
pub use certs::{CertConfig, CertError, CertSource, CertStore, Unmatched};
pub use client::{HOPS_MAX, TrustedSources, client_address, forwarded, x_forwarded_for};
pub use limit::{ConnectionLimit, ConnectionPermit};
pub use proxy_protocol::{Expect, Header, Version};
pub use rewound::Rewound;
