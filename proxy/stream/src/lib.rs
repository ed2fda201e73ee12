//! TCP connections and UDP sessions → plan → endpoint.
//!
//! The ports are those that the topology's services name; they follow every
//! published plan without touching what is open elsewhere. A connection's way:
//! accept → PROXY header, if the port takes one and the peer is trusted → class
//! of the client → `plan.pick` → connect, and on failure the next endpoint →
//! PROXY header out, if the port sends one → bytes both ways with half-close.
//!
//! Limits: [`StreamConfig`] bounds connections, attempts and times;
//! [`LISTENERS_MAX`] ports; the topology bounds idle times and UDP sessions.
//!
//! Left out on purpose: TLS is passed through as bytes and never looked into.
//! Routing by server name needs names on the topology's TCP listeners, which
//! they do not have yet; `proxy/http` terminates TLS.

mod config;
mod connect;
mod hello;
mod listener;
mod metrics;
mod passive;
mod relay;
mod server;
mod shared;
mod tcp;
mod udp;

pub use config::{
    ATTEMPTS_MAX, CONNECTIONS_MAX, ConfigError, StreamConfig, StreamSettings, TIMEOUT_MAX,
};
pub use listener::{LISTENERS_MAX, Transport};
pub use passive::{FAILING_MAX, FAILURES_TO_REPORT, Reporter};
pub use server::{BoundListener, RETRY_BIND, StreamError, StreamParts, StreamServer};
pub use udp::{DATAGRAM_BYTES_MAX, QUEUE_DATAGRAMS};
