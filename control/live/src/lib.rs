//! Holds the current `World`, recompiles, publishes the `Plan`; the only writer.
//!
//! ```text
//! deployment directory ─> store ─watch─┐
//! promoted model ──────────────────────┤
//! probes ──> transitions ──────────────┼─> Writer ─compile─> Published ─ArcSwap─> data planes
//! data planes ──> passive reports ─────┘      └─ flips health bits of every plan in use, at once
//! ```
//!
//! What readers see is [`PlanHandle`] and, for tables of their own, [`View`]. Everything else
//! talks to the writer through [`LiveHandle`]. Whatever fails (a bad edit, a lost store, a damaged
//! model), the last good plan keeps serving and [`Status`] says what is wrong.

mod build;
mod catalog;
mod directory;
mod drain;
mod event;
mod follow;
mod geo;
mod handle;
mod health;
mod lastgood;
mod meter;
mod metrics;
mod ports;
mod published;
mod ramp;
mod sources;
mod start;
mod state;
mod status;
mod summary;
mod view;
mod writer;

pub use build::{BuildError, GeoSources};
pub use catalog::{Catalog, PREFIX, WriteError, write_sources};
pub use directory::{DirectoryError, FILE_BYTES_MAX, FILES_MAX, read as read_directory};
pub use drain::{Drain, DrainTarget, Safety};
pub use event::Event;
pub use handle::{ChangeError, EVENTS_MAX, LiveHandle, PassiveKind, PassiveReport, REPORTS_MAX};
pub use health::Probed;
pub use meter::LoadMeter;
pub use published::{PlanHandle, Published};
pub use sources::{Meaning, NodeIntent, Sources};
pub use start::{LiveConfig, LiveError, start};
pub use status::{EndpointStatus, GeoStatus, RegionStatus, SourcesStatus, Status, StoreHealth};
pub use view::View;
