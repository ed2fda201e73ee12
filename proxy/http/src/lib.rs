//! HTTP/1.1, HTTP/2, gRPC and WebSocket → plan → upstream: in a lane of our own, or on pingora.
//!
//! What is ours and what is pingora's:
//!
//! ```text
//! accept loop ─ PROXY header ─ TLS ─ head judged ─ route, client, pick ─┐   ours
//!                                                                       │
//!   client bytes ⇄ lane: HTTP/1.1, bodies, pool                  ⇄ upstream   ours
//!   client bytes ⇄ pingora: HTTP/1.0 and 2, upgrades             ⇄ upstream   pingora's
//!                                                                       │
//!          another endpoint? ejection? metrics, access and decision log ┘   ours
//! ```
//!
//! We do not use pingora's `Server`: [`HttpServer`] owns its listeners, threads
//! and shutdown, and lends each connection to pingora's `HttpProxy` through
//! its IO traits, HTTP/1 request by request, HTTP/2 whole. The process's
//! signals stay with the process. pingora's own listeners are used for nothing.
//!
//! - [`config`]: what an operator may say.
//! - `server`, `worker`, `connection`, `downstream`, `info`: from a socket to a request.
//! - `head`, `authority`: the strict reading of a request head.
//! - `route`, `table`: tables derived once per plan.
//! - `exchange`, `attempt`, `common`: one request's choices; the retry rule; what lanes share.
//! - `lane`: HTTP/1.1 from the judged head to the last byte of the answer.
//! - `proxy`, `websocket`: pingora's hooks.
//! - `fields`, `forward`, `answer`: what is written either way.
//! - `passive`, `metrics`, `record`: what is learned and told.
//!
//! Limits: upstreams are reached in clear text, over HTTP/1.1 or (gRPC) HTTP/2,
//! because the topology does not yet say otherwise of an endpoint; a body is
//! sent again only while it is below 64 KiB; the silence allowed
//! between two pieces of an answer is the route's `first_byte`; the answer to a
//! WebSocket request is waited for as long as the tunnel may be silent.

mod affinity;
mod answer;
mod attempt;
mod authority;
mod choose;
mod common;
mod compress;
mod condition;
pub mod config;
mod connection;
mod downstream;
mod exchange;
mod fields;
mod forward;
mod head;
mod info;
mod lane;
mod metrics;
mod passive;
mod proxy;
mod record;
mod route;
mod server;
mod table;
mod target;
mod traffic;
mod upstream_tls;
mod watch;
mod websocket;
mod worker;

pub use config::{ConfigError, HttpConfig, HttpSettings};
pub use passive::{IgnoreReports, PassiveSink};
pub use server::{HttpError, HttpServer, HttpTelemetry};
