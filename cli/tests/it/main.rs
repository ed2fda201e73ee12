//! The real binary, as a user or a script runs it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stderr,
    reason = "a panic is a failed test; a skipped one says so"
)]

mod check;
mod decide;
mod gdnsd;
mod geo;
mod keys;
mod migrate;
mod models;
mod pages;
mod run;
mod serve;
mod xdp;
mod zonemaster;
mod zones;
