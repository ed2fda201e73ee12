//! The writer with real parts: a deployment directory, a store, a prober, real listeners.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

mod changes;
mod geo;
mod health;
mod rig;
mod stability;
