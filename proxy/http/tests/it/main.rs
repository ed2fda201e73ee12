//! The proxy over real sockets on loopback: real clients on one side, upstream
//! servers written by hand on the other, so that each of them can misbehave in
//! a chosen way.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    reason = "tests stop at the first surprise"
)]

mod client;
mod node;
mod upstream;
mod upstream_tls;

mod bodies;
mod decide;
mod docs;
mod floods;
mod http2;
mod lifecycle;
mod malformed;
mod retry;
mod routing;
mod telemetry;
mod tls;
mod traffic;
mod tunnel;
mod vectors;
