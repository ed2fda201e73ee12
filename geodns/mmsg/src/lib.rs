//! Many datagrams in one system call: `recvmmsg(2)` and `sendmmsg(2)` behind a safe batch.
//!
//! A [`Batch`] owns [`BATCH_MAX`] slots, each with room for a query, its reply, the sender's address
//! and the address it was sent to. [`Batch::receive`] fills slots, [`Batch::answer_each`] shows each
//! to the caller, who writes replies, and [`Batch::send`] sends those. Nothing is allocated after
//! [`Batch::new`], and one batch costs two system calls however full it is.
//!
//! A fenced room: the kernel wants arrays of structures that point at each other, which safe Rust
//! cannot keep. They live in one heap block that only this module reaches, through raw pointers, so
//! that no reference to a part of it outlives a call. Linux only, as is the server.
//!
//! Limits: a datagram longer than [`QUERY_BYTES_MAX`] arrives cut; replies have at most
//! [`REPLY_BYTES_MAX`] bytes.
#![allow(
    unsafe_code,
    reason = "fenced: libc's structures of pointers have no safe wrapper without allocation"
)]

mod address;
mod batch;

pub use batch::{BATCH_MAX, Batch, Destination, QUERY_BYTES_MAX, REPLY_BYTES_MAX, Sent};

#[cfg(test)]
mod tests;
