//! Being part of DNS: what zones are exchanged by, and everything that takes longer than a packet may.
//!
//! ```text
//! packet path ──Outcome::Slow──> SlowPath ──> Desk ──> NOTIFY, UPDATE, AXFR, IXFR, signed queries
//!               (UDP: bounded queue,            │
//!                streams: called directly)      └──> answers, one message after another
//! ```
//!
//! The packet path recognizes such messages by opcode, type or a TSIG record and never waits for
//! them: [`crate::Outcome::Slow`] says that somebody else answers.

mod desk;
mod slow;

pub(crate) use desk::Desk;
pub(crate) use slow::{SlowMessage, SlowPath};
