//! The real binary, as a user or a script runs it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

mod check;
mod decide;
mod keys;
mod models;
mod pages;
mod run;
mod serve;
mod xdp;
mod zonemaster;
