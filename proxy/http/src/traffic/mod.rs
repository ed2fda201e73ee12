//! How a service's requests are spread, bounded and changed on their way: what `traffic` of a service
//! and the keys of its routes say, made ready for both lanes.
//!
//! - `stats`: what is known of each endpoint and service while requests are on their way.
//! - `ewma`, `budget`, `rate`: latency, retries and rates, each in one or a few atomics.
//! - `rules`: header fields, targets and redirects.
//! - `outlier`: endpoints that are worse than their peers.
//!
//! Counts are a node's own: limits hold at each node, not over all of them.

mod budget;
mod ewma;
mod outlier;
mod rate;
mod rules;
mod stats;

pub(crate) use outlier::Outliers;
pub(crate) use rate::{RateLimiter, Refused};
pub(crate) use rules::{Headers, Here, Target, location};
pub(crate) use stats::{Clock, EndpointStats, ServiceStats, is_lighter};
