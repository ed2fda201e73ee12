//! The admin API: state, explanations and changes of one node, for the CLI, scripts and dashboards.
//!
//! ```text
//! GET  /v1/status /v1/topology /v1/policies /v1/sources /v1/explain /v1/probes /v1/drains /v1/events
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
//! **Bounds.** Bodies end at [`BODY_BYTES_MAX`]; event streams at [`config::AdminConfig::event_streams`].

mod api;
mod auth;
pub mod config;
mod error;
mod events;
mod server;
pub mod token;

pub use api::{BODY_BYTES_MAX, openapi};
pub use config::AdminConfig;
pub use server::{AdminError, AdminServer};
