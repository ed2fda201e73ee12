//! The bounds of the admin API, by name. None of them is reached by an operator at work; each
//! keeps a broken or hostile client from taking the node's processors or memory.

use std::time::Duration;

/// Largest body of `PUT /v1/sources`, in bytes: a whole deployment's texts.
pub const BODY_BYTES_MAX: usize = 64 << 20;
/// Largest body of every other request, in bytes.
pub const SMALL_BODY_BYTES_MAX: usize = 16 << 10;
/// Longest reason of a drain, in bytes.
pub const REASON_BYTES_MAX: usize = 1_000;
/// Most files in one `PUT /v1/sources`.
pub const FILES_MAX: usize = 2 * meridian_live::FILES_MAX;
/// Connections of one listener, event streams not counted; more wait in the system's queue.
pub const CONNECTIONS_MAX: usize = 256;
/// Request line and header fields together, in bytes; what one read brings may come on top.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// From the first byte of a connection, or the end of the request before, to the end of a head.
pub const HEAD_PATIENCE: Duration = Duration::from_secs(10);
/// From the head of a request to that of its answer, the body's arrival included.
pub const REQUEST_PATIENCE: Duration = Duration::from_secs(20);
/// Answers made at the same time; each takes a blocking thread, never one that serves clients.
pub const WORK_MAX: usize = 4;
/// How long a request waits for one of the [`WORK_MAX`] places before it is told to come again.
pub const WORK_PATIENCE: Duration = Duration::from_secs(5);
/// What requests in flight get at shutdown.
pub const GRACE: Duration = Duration::from_secs(1);
