//! What must hold for every world: compliance, replay, minimal disruption, agreement of explanations
//! and picks; and what the ready policies decide.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::disallowed_methods,
    reason = "test code: a panic is a failed test, its numbers are small, and it reads goldens"
)]

mod agreement;
mod broken;
mod documents;
mod families;
mod invariants;
mod library;
mod weights;
mod worlds;
