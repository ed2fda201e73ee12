//! DNS questions → plan → answers: an authoritative server for the services' names.
//!
//! Static records live in immutable [`zone::StaticZone`]s, steered names are laid over them whenever
//! a plan is published ([`Zones`]), off the packet path. [`master`] reads zone files.
//! [`responder::answer`] turns a packet into a response without I/O, locks or allocation; [`DnsServer`] brings it packets over UDP and TCP. The lookup,
//! the packet reader and the packet writer are ours because a geo server is measured by them (the
//! figures are in `anchors.md`); names, record data and their encoding are hickory-proto's.
//!
//! What is left out on purpose stands in the modules' own words.

mod alias;
pub mod config;
pub mod dnssec;
pub mod dnstap;
mod explain;
pub mod guard;
mod identity;
pub mod master;
mod metrics;
pub mod responder;
mod server;
pub mod status;
mod steered;
mod surface;
pub mod transfer;
pub mod wire;
pub mod zone;
mod zones;

pub use alias::AliasBook;
pub use config::{ConfigError, DnsConfig, DnsSettings, XdpConfig};
pub use explain::{
    ClientQuestion, ExplainedRecord, QueryExplainError, QueryExplanation, query_explain,
    query_explain_in, zones_for_query,
};
pub use identity::{Identity, IdentityConfig};
pub use metrics::DnsMetrics;
pub use responder::{AnswerRules, Asked, EcsTrust, Outcome, Responder, Transport};
pub use server::{DnsError, DnsServer};
pub use surface::{
    DnsSurface, SURFACE_NAMES_MAX, SurfaceFallback, SurfaceName, SurfaceQuestion, surface_explain,
};
pub use zones::Zones;

#[cfg(test)]
#[path = "../tests/fixture/mod.rs"]
mod fixture;
