//! Streams end to end: real sockets on loopback on both sides, a real plan in
//! the middle.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

mod docs;
mod harness;
mod listeners;
mod names;
mod proxy_protocol;
mod tcp;
mod udp;
