//! Drains: no new clients, old ones finish.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What is drained.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrainTarget {
    /// A whole region, by id.
    Region(String),
    /// One endpoint, by id.
    Endpoint(String),
}

impl fmt::Display for DrainTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Region(id) => write!(f, "region {id}"),
            Self::Endpoint(id) => write!(f, "endpoint {id}"),
        }
    }
}

/// An administrator's wish to send no new clients somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// What is drained.
    pub target: DrainTarget,
    /// Why, in the administrator's words.
    pub reason: String,
}
