//! The admin API: state, explanations and changes of one node, for the CLI, scripts and dashboards.
//!
//! ```text
//! GET  /v1/status /v1/topology /v1/policies /v1/sources /v1/explain /v1/probes /v1/drains /v1/events
//! GET  /v1/dns /v1/dns/names /v1/dns/query   what the DNS room answers
//! GET  /v1/dns/zones                     zones from elsewhere; POST /v1/dns/zones/refresh asks for them
//! PUT  /v1/sources                       the texts of a deployment, all or nothing
//! PUT  /v1/drains/{region|endpoint}/ID   DELETE ends it
//! GET  /v1/openapi.json   /metrics   /healthz
//! ```
//!
//! **Who may do what.** Reading is free to whoever reaches the listener, which is loopback unless
//! configured otherwise; changes need the bearer token that the node made on its first start
//! ([`token`]), or the Unix socket, whose file only the node's user can open. A request whose `Host`
//! is no name of this listener is refused, so that a web page cannot reach it by DNS rebinding.
//!
//! **Bounds.** All of them stand in [`limits`]. Answers are made on a few blocking threads, so that
//! no storm of questions reaches the threads that serve clients.
//!
//! **Left out on purpose.** TLS, because the listener is loopback by default and a reverse proxy does
//! it better than a second certificate store; a precondition on `PUT /v1/sources` that the client
//! chooses: each deployment is written whole against what the node has just read, and answers 409
//! when somebody else wrote in between.

mod api;
mod auth;
mod body;
pub mod config;
mod dns;
mod error;
mod events;
pub mod limits;
mod serve;
mod server;
mod socket;
pub mod token;
mod work;

pub use api::openapi;
pub use config::AdminConfig;
pub use dns::{DnsFacts, DnsQuestion, NamesPage};
pub use error::PlacedProblem;
pub use limits::BODY_BYTES_MAX;
pub use server::{AdminError, AdminServer};
