//! Address families, and picks among the endpoints of one.

use std::net::IpAddr;

use meridian_topology::EndpointIdx;
use serde::{Deserialize, Serialize};

use super::Plan;
use super::ring::Pool;
use crate::bits::HealthBits;

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Both.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address; a mapped one is what it is written as.
    #[must_use]
    pub const fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// Which endpoints a question is about.
pub(super) trait Filter: Copy {
    /// Whether it leaves anybody out.
    const FILTERS: bool;
    /// Whether the question is about this endpoint.
    fn admits(self, plan: &Plan, endpoint: EndpointIdx) -> bool;
    /// Ring points of a pool that it is about.
    fn points(self, pool: &Pool) -> u32;
    /// Those of them that live.
    fn live_points(self, bits: &HealthBits, pool: u32) -> u32;
}

/// Every endpoint: costs nothing.
#[derive(Clone, Copy)]
pub(super) struct AnyFamily;

impl Filter for AnyFamily {
    const FILTERS: bool = false;

    #[inline]
    fn admits(self, _: &Plan, _: EndpointIdx) -> bool {
        true
    }

    #[inline]
    fn points(self, pool: &Pool) -> u32 {
        pool.points
    }

    #[inline]
    fn live_points(self, bits: &HealthBits, pool: u32) -> u32 {
        bits.live_points(pool)
    }
}

impl Filter for Family {
    const FILTERS: bool = true;

    #[inline]
    fn admits(self, plan: &Plan, endpoint: EndpointIdx) -> bool {
        plan.endpoint_families.get(endpoint.index()) == Some(&self)
    }

    #[inline]
    fn points(self, pool: &Pool) -> u32 {
        match self {
            Self::V4 => pool.points - pool.points_v6,
            Self::V6 => pool.points_v6,
        }
    }

    #[inline]
    fn live_points(self, bits: &HealthBits, pool: u32) -> u32 {
        bits.live_points_of(pool, self)
    }
}
