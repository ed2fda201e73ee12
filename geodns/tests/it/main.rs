//! The server on real sockets, asked by clients we did not write.
#![allow(
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test that cannot set up its world has failed; a skipped one says so"
)]

mod alias;
mod allocation;
mod cookbook;
mod cookies;
mod decisions;
mod differential;
mod dnssec;
mod dnstap;
mod docs;
mod edns;
mod encrypted;
#[path = "../fixture/mod.rs"]
mod fixture;
mod flood;
mod malformed;
mod ports;
mod presigned;
mod publish;
mod rig;
mod start;
mod tcp;
mod tools;
mod transfers;
mod udp;
mod xdp;
