//! The contract of the store, run over every engine, and what each engine adds to it.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test ends at the first surprise, and tells what it saw"
)]

mod contract;
mod embedded;
mod etcd;
mod etcd_cluster;
mod follower;
