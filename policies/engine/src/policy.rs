//! Policies: how an endpoint is chosen, validated.
//!
//! A policy is read in stages, in this order: *eligible* (walls), *healthy*, *room* (capacity's hard
//! maximum), *score* (a weighted sum of penalties, lower is better), *spread* (how many regions share
//! the clients). [`raw`] is the YAML, [`parse`] turns it into the types here, and after that nothing
//! checks again. `docs/reference/policy.md` is generated from the raw types.

mod parse;
mod raw;
pub mod reference;
mod validate;
mod words;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use meridian_topology::units::{Millis, Ratio, UsdPerMillionRequests};
use meridian_topology::{Label, Place, PolicyId, ProviderId, RegionId};
use serde::{Deserialize, Serialize};

use crate::class::ClientClass;
pub use raw::policy_schema;
pub use words::{FailMode, Model, Split, Sticky, UnknownClient};

/// Most selectors (`eligible` and `score` together) in one policy: one bit each tells which of them
/// apply to a class.
pub const MAX_SELECTORS: usize = 32;
/// Most regions that share the clients of a class; the rest of a route is for stand-ins.
pub const MAX_SPREAD: usize = 6;
/// Most labels that all policies together may require.
pub const MAX_REQUIRED_LABELS: usize = 64;
/// Most tiers of regions in one policy.
pub const MAX_TIERS: usize = 16;
/// Most regions that one selector names first.
pub const MAX_FIRST: usize = 16;
/// Most addresses of a static answer.
pub const MAX_STATIC_ADDRESSES: usize = 16;

/// All policies, sorted by id.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicySet {
    policies: Vec<Policy>,
}

impl PolicySet {
    /// A set of validated policies; of two with one id the last stays.
    #[must_use]
    pub fn new(policies: impl IntoIterator<Item = Policy>) -> Self {
        let by_id: std::collections::BTreeMap<PolicyId, Policy> = policies
            .into_iter()
            .map(|policy| (policy.id.clone(), policy))
            .collect();
        Self {
            policies: by_id.into_values().collect(),
        }
    }

    /// The policies, sorted by id.
    #[must_use]
    pub fn policies(&self) -> &[Policy] {
        &self.policies
    }

    /// A policy by its id.
    #[must_use]
    pub fn get(&self, id: &PolicyId) -> Option<&Policy> {
        let at = self
            .policies
            .binary_search_by(|policy| policy.id.cmp(id))
            .ok()?;
        self.policies.get(at)
    }

    /// The autonomous systems that conditions name: those worth a client class of their own.
    #[must_use]
    pub fn asns(&self) -> BTreeSet<u32> {
        let whens = self.policies.iter().flat_map(|policy| {
            let walls = policy.eligible.iter().map(|eligible| &eligible.when);
            walls.chain(policy.score.iter().map(|selector| &selector.when))
        });
        let places = whens.flat_map(|when| when.client_in.iter().chain(&when.client_not_in));
        places
            .filter_map(|place| match place {
                Place::Asn(asn) => Some(*asn),
                _ => None,
            })
            .collect()
    }
}

/// How an endpoint is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name, which services refer to.
    pub id: PolicyId,
    /// What it is for.
    pub description: String,
    /// Which regions and endpoints may serve at all.
    pub eligible: Vec<Eligible>,
    /// What makes a region better than another.
    pub score: Vec<Selector>,
    /// Regions that are preferred as groups, whatever their scores; those not named come last.
    pub tiers: Vec<Vec<RegionId>>,
    /// How many regions share the clients.
    pub spread: Spread,
    /// When a region is given up, and how it comes back.
    pub failover: Failover,
    /// What happens when nobody is left.
    pub when_none: WhenNone,
}

impl Policy {
    /// The policy of a service whose own is missing: the nearest region, no walls.
    #[must_use]
    pub fn nearest(id: PolicyId) -> Self {
        Self {
            id,
            description: String::new(),
            eligible: Vec::new(),
            score: vec![Selector {
                weight: 1.0,
                when: When::default(),
                kind: SelectorKind::Geographic {
                    scale_km: DEFAULT_SCALE_KM,
                    bias: Vec::new(),
                },
            }],
            tiers: Vec::new(),
            spread: Spread::default(),
            failover: Failover::default(),
            when_none: WhenNone::LastResort,
        }
    }
}

/// To which clients a selector applies; empty lists mean all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct When {
    /// Clients in one of these places.
    pub client_in: Vec<Place>,
    /// Clients in none of these places.
    pub client_not_in: Vec<Place>,
    /// Whether it applies to clients whose country is unknown when a list is given.
    pub unknown: UnknownClient,
}

impl When {
    /// Whether the selector applies to a class.
    #[must_use]
    pub fn applies(&self, class: &ClientClass) -> bool {
        if self.client_in.is_empty() && self.client_not_in.is_empty() {
            return true;
        }
        let inside = |places: &[Place]| places.iter().any(|place| class.is_in(place));
        if inside(&self.client_not_in) {
            return false;
        }
        if inside(&self.client_in) {
            return true;
        }
        if class.country.is_none() {
            return self.unknown == UnknownClient::Apply;
        }
        self.client_in.is_empty()
    }
}

/// A wall: what does not pass is out, whatever happens.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Eligible {
    /// To which clients it applies.
    pub when: When,
    /// What it demands.
    pub wall: Wall,
}

/// What a wall demands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Wall {
    /// Labels and places.
    Compliance {
        /// Labels that an endpoint must have, its own or its region's.
        require: Vec<Label>,
        /// Places one of which the region must lie in; empty means anywhere.
        within: Vec<Place>,
    },
    /// Providers.
    Provider {
        /// Providers in order of preference: a penalty of `weight` × position / count.
        prefer: Vec<ProviderId>,
        /// Providers that may not serve.
        forbid: Vec<ProviderId>,
        /// What being of no preferred provider costs.
        weight: f64,
    },
    /// Regions by name.
    Regions {
        /// Regions that come before all others, in this order.
        first: Vec<RegionId>,
        /// The only ones that may serve; empty means any.
        only: Vec<RegionId>,
        /// Those that may not serve.
        never: Vec<RegionId>,
    },
}

/// One criterion of the score: a penalty times a weight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selector {
    /// What a penalty of 1 costs.
    pub weight: f64,
    /// To which clients it applies.
    pub when: When,
    /// The criterion.
    pub kind: SelectorKind,
}

/// Milliseconds that make a performance penalty of 1.
pub const DEFAULT_SCALE_MS: Millis = Millis(100);
/// Kilometres that make a geographic penalty of 1: a quarter of the way round the world.
pub const DEFAULT_SCALE_KM: f64 = 10_000.0;
/// Dollars per million requests that make a cost penalty of 1.
pub const DEFAULT_SCALE_USD: f64 = 10.0;
/// Size of a response for which costs are compared.
pub const DEFAULT_RESPONSE_BYTES: u64 = 100 * 1024;
/// How far a model may move an expectation from the baseline, as a factor.
pub const DEFAULT_BOUND: f64 = 2.0;
/// What being beyond the latency objective costs beside the time, in penalties.
pub const SLO_STEP: f64 = 10.0;

/// The criteria, each with the scale that makes its penalty a plain number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum SelectorKind {
    /// Expected round trip over `scale`; with an objective, nothing up to it and [`SLO_STEP`] more
    /// beyond it.
    Performance {
        /// Where expectations come from.
        model: Model,
        /// The model's value stays between baseline / bound and baseline × bound.
        bound: f64,
        /// The time that makes a penalty of 1.
        scale: Millis,
        /// Time up to which a region is as good as any.
        slo: Option<Millis>,
    },
    /// Distance over `scale_km`.
    Geographic {
        /// The distance that makes a penalty of 1.
        scale_km: f64,
        /// Regions that count as nearer (up to 99) or farther (down to -99) than they are.
        bias: Vec<(RegionId, i8)>,
    },
    /// What a million requests with their responses cost, over `scale`.
    Cost {
        /// Size of a response in bytes.
        response_bytes: u64,
        /// The price that makes a penalty of 1.
        scale: UsdPerMillionRequests,
    },
    /// Nothing up to the target, 1 at the maximum; beyond the maximum the region is out.
    Capacity {
        /// Utilisation up to which a region is as good as an idle one.
        target: Ratio,
        /// Utilisation from which a region takes no clients.
        max: Ratio,
    },
    /// Nothing while the sun is between two hours at the region, up to 1 at the opposite time.
    Daytime {
        /// First solar hour, 0 to 24.
        from: f64,
        /// Last solar hour, 0 to 24.
        to: f64,
    },
}

impl SelectorKind {
    /// The word that YAML and explanations use.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Performance { .. } => "performance",
            Self::Geographic { .. } => "geographic",
            Self::Cost { .. } => "cost",
            Self::Capacity { .. } => "capacity",
            Self::Daytime { .. } => "daytime",
        }
    }
}

/// How many regions share the clients of a class, and in which proportion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    /// Regions whose score is not worse than the best by more than this much time would make it.
    pub best_within: Millis,
    /// No more regions than this.
    pub at_most: u8,
    /// In which proportion.
    pub split: Split,
    /// Regions with fixed shares; when given, they and no others share the clients.
    pub weights: Vec<(RegionId, u16)>,
    /// What keeps a client at its endpoint.
    pub sticky: Sticky,
    /// How many addresses a DNS answer carries.
    pub answers: u8,
    /// The fewest of them for which an answer stays in the regions it began with; `None` fills it up
    /// from wherever there are more.
    pub answers_at_least: Option<u8>,
}

impl Default for Spread {
    fn default() -> Self {
        Self {
            best_within: Millis(0),
            at_most: 1,
            split: Split::default(),
            weights: Vec::new(),
            sticky: Sticky::default(),
            answers: 1,
            answers_at_least: None,
        }
    }
}

/// When a region is given up, and how it comes back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failover {
    /// A region with a smaller living share of its pool counts as dead.
    pub panic_threshold: Ratio,
    /// A region with fewer living endpoints counts as dead, unless it has no more of them at all.
    pub min_live: u16,
    /// With fewer living regions than this, threshold and ramps hold nobody back.
    pub min_live_regions: u8,
    /// How a region comes back.
    pub failback: Failback,
}

impl Default for Failover {
    fn default() -> Self {
        Self {
            panic_threshold: Ratio::ZERO,
            min_live: 1,
            min_live_regions: 1,
            failback: Failback::default(),
        }
    }
}

/// How a region comes back after it was dead: whoever keeps the world follows this.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failback {
    /// How long it has to be healthy before each step.
    pub hold: Millis,
    /// The share of its clients at each step; the last is everything.
    pub ramp: Vec<Ratio>,
}

impl Default for Failback {
    fn default() -> Self {
        Self {
            hold: Millis(0),
            ramp: vec![Ratio::ONE],
        }
    }
}

/// What happens when no region is left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WhenNone {
    /// Refuse.
    Closed,
    /// Regions beyond their capacity, if an endpoint lives; else refuse.
    LastResort,
    /// As if everything in service were healthy.
    IgnoreHealth,
    /// These addresses.
    Static(Arc<[IpAddr]>),
}

#[cfg(test)]
mod tests;
