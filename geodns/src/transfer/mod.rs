//! Being part of DNS: zones out, zones in, and updates; and everything else that takes longer than a
//! packet may.
//!
//! ```text
//! packet path ──Outcome::Slow──> SlowPath ──> Desk ──┬─> Exporter     AXFR, IXFR ──> snapshots of zones
//!               (UDP: bounded queue,            │    ├─> Secondaries  NOTIFY in, SOA timers ──> shelf
//!                streams: called directly)      │    ├─> Updates      UPDATE ──> a layer over a zone
//!                                               │    └─> Responder    signed questions
//!                                               └──> KeyRing (TSIG)
//! zones in force ──> Archive (snapshots, journals for IXFR) ──> Notifier: NOTIFY out
//! ```
//!
//! The packet path recognizes such messages by opcode, type or a TSIG record and never waits for
//! them: [`crate::Outcome::Slow`] says that somebody else answers. Records are bytes here, as in
//! [`crate::zone::StaticZone`]; [`message`] reads and writes whole messages.
//!
//! Left out on purpose: AXFR over UDP (undefined), forwarding of updates by a secondary, zone
//! transfers over TLS to primaries (RFC 9103; clients may transfer over our TLS listener), GSS-TSIG,
//! and properties of catalog zones beyond the list of members.

mod archive;
mod assembly;
mod catalog;
mod client;
pub(crate) mod config;
mod desk;
mod disk;
mod export;
mod message;
mod metrics;
mod notify;
mod record;
mod reply;
mod secondaries;
mod secondary;
mod service;
mod slow;
mod snapshot;
mod tsig;
mod update;

pub use config::{
    NotifyConfig, PeerConfig, PrimaryConfig, SecondaryConfig, SteeredExport, TransferConfigError,
    TransfersConfig, TsigAlgorithm, TsigKeyConfig, UpdateConfig, ZoneTransfersConfig,
};
pub use secondary::{SecondaryState, SecondaryStatus};
pub use service::{TransferError, ZoneExchange, ZoneStatuses};
pub use update::UpdatedStatus;

pub(crate) use desk::Desk;
pub(crate) use service::{Prepared, Transfers};
pub(crate) use slow::{SlowMessage, SlowPath};
pub(crate) use update::Layers;
