//! The server on real sockets, asked by clients we did not write.
#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed"
)]

mod decisions;
mod docs;
#[path = "../fixture/mod.rs"]
mod fixture;
mod publish;
mod rig;
mod tcp;
mod tools;
mod udp;
