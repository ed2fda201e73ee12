//! How a choice is made: a [`World`] becomes a [`Plan`], a plan answers picks, and [`explain()`] says
//! why.
//!
//! - [`class`]: an address becomes a small integer, the client's class;
//! - [`policy`]: what operators write, validated;
//! - [`world`]: everything a decision depends on, as plain data;
//! - [`compile()`]: world → plan, pure and deterministic;
//! - [`plan`]: picks, in less than 100 ns, without allocation or lock;
//! - [`scopes`]: over which addresses an answer may be shared;
//! - [`bits`]: health beside the plan, flipped without a compile;
//! - [`explain()`]: the same stages, watched;
//! - [`synthetic`]: worlds of any size, for benchmarks and tests.
//!
//! The room does no I/O, reads no clock and spawns nothing (house.md, invariant 1). There is exactly
//! one way to decide (invariant 2), and compliance is a wall in all of it (invariant 5).

// Indices are bounded by construction (u16 regions, u32 endpoints and points), and floats here are
// milliseconds, kilometres and shares: the casts between them are the room's daily bread.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "bounded indices and physical quantities; see above"
)]

pub mod bits;
pub mod class;
pub mod compile;
pub mod explain;
pub mod hash;
pub mod plan;
pub mod policy;
mod recorder;
pub mod scopes;
pub mod scores;
pub mod synthetic;
pub mod world;

pub use bits::HealthBits;
pub use class::{ClassId, ClassMatch, ClassTable, ClassTableBuilder, ClientClass};
pub use compile::compile;
pub use explain::{Explanation, Query, Surface, explain};
pub use hash::ClientKey;
pub use plan::{Fallback, Family, Pick, Picked, Plan, Reason, Wanted};
pub use policy::{Policy, PolicySet};
pub use scores::ScoreTable;
pub use world::{AdminState, EndpointState, Health, Load, MinuteOfDay, World};
