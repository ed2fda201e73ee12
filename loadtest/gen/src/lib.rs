//! Load, and side-by-side runs against peers.
//!
//! A benchmark starts every subject on one core (`taskset -c 0`), loads them from the other, and
//! takes turns: one short measurement of each subject, then again, so that whatever drifts on the
//! machine drifts for all. The report holds median, least and most over those rounds, and ratios
//! against each peer with the goal they are held to.
//!
//! - [`report`] is the form all results take, [`rounds`] the interleaving;
//! - [`process`] starts subjects and reads what they cost from the kernel's scheduler statistics;
//! - [`dns`], [`dns_xdp`], [`http`], [`idle`], [`tcp`] and [`engine`] are the benchmarks.
//!
//! Limits: everything runs over loopback on one machine with at least two cores. There the kernel
//! does part of a server's receive work on the sender's core, so `cpu_us_per_*` counts the
//! subject's own threads only, the same for all subjects.

pub mod bench;
pub mod dns;
pub mod dns_xdp;
pub mod engine;
mod error;
pub mod http;
pub mod idle;
pub mod machine;
pub mod ours;
pub mod process;
pub mod report;
pub mod rounds;
pub mod tcp;
pub mod template;

pub use error::GenError;
