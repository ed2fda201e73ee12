//! The admin API over a real writer: the demo's deployment, an embedded store in memory, real checks.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

mod changes;
mod document;
mod events;
mod gate;
mod node;
mod reads;
mod wire;
