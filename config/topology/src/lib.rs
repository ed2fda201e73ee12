//! What exists: ids, units, regions, zones, edge nodes, endpoints and services; from YAML text to
//! validated types, with the place of every mistake and what was probably meant.
//!
//! - [`door`] reads any YAML that people write for Meridian and reports problems.
//! - [`model`] holds the validated types; [`Topology`] is all of them together.
//! - [`units`], [`ids`], [`geo`], [`country`], [`place`] are the words they are made of.
//!
//! The room does no I/O, reads no clock and spawns nothing (house.md, invariant 1); texts come in
//! as [`SourceFile`]s.

pub mod country;
pub mod door;
mod effects;
pub mod geo;
pub mod ids;
pub mod init;
mod lint;
pub mod model;
pub mod place;
pub mod raw;
pub mod rdata;
pub mod reference;
pub mod schema;
mod topology;
pub mod units;
mod validate;
mod words;

#[doc(hidden)] // for the expansion of `words!`
pub use schemars;

pub use country::{Continent, Country, CountryCode};
pub use door::{Problem, Problems, SourceFile};
pub use geo::Coordinates;
pub use ids::{
    EndpointId, EndpointIdx, GroupId, Label, NodeId, PolicyId, ProviderId, RegionId, RegionIdx,
    ServiceId, ServiceIdx, ZoneId,
};
pub use lint::{Lint, LintCode};
pub use model::*;
pub use place::Place;
pub use topology::Topology;
pub use units::{
    BitsPerSecond, ByteCount, Millis, Ratio, RequestsPerSecond, Ttl, UsdPerGib,
    UsdPerMillionRequests, Weight,
};
pub use validate::NodeBlock;
