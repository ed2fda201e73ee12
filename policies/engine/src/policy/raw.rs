//! A policy as YAML writes it. Doc comments here become the schema's descriptions and the reference.

use std::net::IpAddr;

use meridian_topology::door::{Field, Mistake, Scalar, Spanned};
use meridian_topology::units::{Millis, Ratio, UsdPerMillionRequests};
use meridian_topology::{Label, Place, PolicyId, ProviderId, RegionId};
use schemars::JsonSchema;
use serde::Deserialize;

use super::words::{FailMode, Model, Split, Sticky, UnknownClient};

/// The JSON Schema of a policy file, checked in as `config/schemas/policy.schema.json`.
#[must_use]
pub fn policy_schema() -> schemars::Schema {
    let mut schema = schemars::schema_for!(RawPolicy);
    schema.insert("title".to_owned(), "Meridian policy".into());
    schema
}

/// How an endpoint is chosen. One policy a file, under `policies/` of the deployment directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Policy")]
pub(super) struct RawPolicy {
    /// The name that services refer to.
    pub policy: Field<PolicyId>,
    /// What the policy is for, in a sentence; shown by `meridian get policies`.
    pub description: Option<Field<String>>,
    /// Walls, in any order: a region or endpoint that does not pass one is out, whatever fails.
    #[serde(default)]
    pub eligible: Vec<Spanned<RawEligible>>,
    /// Penalties that are added up; the region with the smallest sum is the best. Empty means the
    /// nearest region.
    #[serde(default)]
    pub score: Vec<Spanned<RawScore>>,
    /// Groups of regions in order of preference, whatever their scores: a later group is used when
    /// the earlier ones are dead or full. Regions that are not named come last. A region's
    /// `priority` in the topology orders the regions inside a group.
    #[serde(default)]
    pub tiers: Vec<Spanned<Vec<Field<RegionId>>>>,
    /// How many regions share the clients of a class, and in which proportion.
    pub spread: Option<Spanned<RawSpread>>,
    /// When a region is given up, and how it comes back.
    pub failover: Option<RawFailover>,
    /// What happens when no region is left. Default: `fail: last_resort`.
    pub when_none: Option<RawWhenNone>,
}

/// To which clients a selector applies.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "When")]
pub(super) struct RawWhen {
    /// Clients in one of these places.
    #[serde(default)]
    pub client_in: Vec<Field<Place>>,
    /// Clients in none of these places. A client in both lists is not meant.
    #[serde(default)]
    pub client_not_in: Vec<Field<Place>>,
    /// Whether it also applies to clients whose country is unknown. Default: `apply` for compliance,
    /// because a wall that leaks is none; `skip` for everything else.
    pub unknown: Option<Field<UnknownClient>>,
}

/// A wall.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Eligible")]
pub(super) enum RawEligible {
    /// Labels that endpoints must have and places that regions must lie in.
    Compliance(RawCompliance),
    /// Providers that are preferred or may not serve.
    Provider(RawProvider),
    /// Regions by name: the first, the only ones, those that never serve.
    Regions(RawRegions),
}

/// The compliance wall: no failure, overload, model or fallback sends a client past it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Compliance")]
pub(super) struct RawCompliance {
    /// Labels that an endpoint must all have, its own or its region's.
    #[serde(default)]
    pub require: Vec<Field<Label>>,
    /// Places one of which the region must lie in: `EU`, `EEA`, a country code,
    /// `continent:europe`, `provider:aws`.
    #[serde(default)]
    pub within: Vec<Field<Place>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// Who may run the region.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Provider")]
pub(super) struct RawProvider {
    /// Providers in order of preference: the first costs nothing, one that is not listed `weight`.
    #[serde(default)]
    pub prefer: Vec<Field<ProviderId>>,
    /// Providers that may not serve.
    #[serde(default)]
    pub forbid: Vec<Field<ProviderId>>,
    /// What a region of no preferred provider costs, in score. Default: 0.1.
    pub weight: Option<Field<f64>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// Which regions some clients go to, by name: first, only or never.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Regions")]
pub(super) struct RawRegions {
    /// Regions that come before all others for these clients, whatever tiers, weights and scores say,
    /// in order: the second takes them when the first is dead or full, and behind the last everything
    /// is as without this. At most 16.
    #[serde(default)]
    pub first: Vec<Field<RegionId>>,
    /// The only regions that may serve them: a wall.
    #[serde(default)]
    pub only: Vec<Field<RegionId>>,
    /// Regions that may not serve them: a wall.
    #[serde(default)]
    pub never: Vec<Field<RegionId>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// A criterion of the score.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "Score")]
pub(super) enum RawScore {
    /// Expected round-trip time.
    Performance(RawPerformance),
    /// Distance.
    Geographic(RawGeographic),
    /// Price of the traffic.
    Cost(RawCost),
    /// How full a region is.
    Capacity(RawCapacity),
    /// Where the sun is.
    Daytime(RawDaytime),
}

/// Expected round-trip time: weight × time / scale.
///
/// The baseline is 8 ms + 0.0156 ms a kilometre. A model may move it by the factor `bound` and no
/// farther. Without a model, or where it knows nothing, the baseline stands.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Performance")]
pub(super) struct RawPerformance {
    /// What a time of `scale` costs, in score.
    pub weight: Field<f64>,
    /// Where expectations come from. Default: `latency`.
    pub model: Option<Field<Model>>,
    /// How far the model may move an expectation, as a factor from 1. Default: 2.0.
    pub bound: Option<Field<f64>>,
    /// The time that costs `weight`. Default: `"100ms"`.
    pub scale: Option<Field<Millis>>,
    /// Objective: up to this time a region costs nothing, beyond it ten times `weight` more.
    pub slo: Option<Field<Millis>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// Great-circle distance: weight × distance / scale.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Geographic")]
pub(super) struct RawGeographic {
    /// What a distance of `scale` costs, in score.
    pub weight: Field<f64>,
    /// The distance that costs `weight`. Default: `"10000km"`.
    pub scale: Option<Field<Kilometres>>,
    /// Regions that count as nearer or farther than they are: they draw clients in or push them away.
    #[serde(default)]
    pub bias: Vec<RawBias>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// A region's bias, in the terms of Route 53's geoproximity routing.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Bias")]
pub(super) struct RawBias {
    /// The region.
    pub region: Field<RegionId>,
    /// From -99 to 99. A positive bias shortens the region's distances: distance × (1 - bias / 100); a
    /// negative one lengthens them: distance / (1 + bias / 100). So -50 doubles, 50 halves.
    pub bias: Field<Bias>,
}

/// What a million requests with their responses cost: weight × price / scale.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CostSelector")]
pub(super) struct RawCost {
    /// What a price of `scale` costs, in score.
    pub weight: Field<f64>,
    /// Size of a response: egress prices are for gibibytes. Default: `"100KiB"`.
    pub response_size: Option<Field<Bytes>>,
    /// The price that costs `weight`. Default: `"10 USD/M requests"`.
    pub scale: Option<Field<UsdPerMillionRequests>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// How full a region is: nothing up to the target, `weight` at the maximum, out beyond it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "CapacitySelector")]
pub(super) struct RawCapacity {
    /// What a region at its maximum costs, in score.
    pub weight: Field<f64>,
    /// Utilisation up to which a region costs nothing. Default: 0.7.
    pub target_utilization: Option<Field<Ratio>>,
    /// Utilisation from which a region takes no more clients. Default: 0.9.
    pub max_utilization: Option<Field<Ratio>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// Where the sun is: nothing while it is between two hours at the region, then by the hours to the
/// nearer of them, `weight` at twelve hours away.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Daytime")]
pub(super) struct RawDaytime {
    /// What being twelve hours away costs, in score.
    pub weight: Field<f64>,
    /// First mean solar time of the day's window. Default: `"08:00"`.
    pub from: Option<Field<SolarTime>>,
    /// Last mean solar time of the window; may be earlier than `from`, across midnight. Default:
    /// `"20:00"`.
    pub to: Option<Field<SolarTime>>,
    /// To which clients it applies. Default: all.
    pub when: Option<RawWhen>,
}

/// How many regions share the clients of a class, and in which proportion.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Spread")]
pub(super) struct RawSpread {
    /// Regions whose score is not worse than the best by more than this much time would make it (by
    /// the performance selector's weight and scale; 1 per 100 ms without one). Default: `"0ms"`.
    pub best_within: Option<Field<Millis>>,
    /// No more regions than this, 1 to 6. Default: 1; 3 when `best_within` or `split` is given.
    pub at_most: Option<Field<u8>>,
    /// In which proportion the regions share. Default: `equal`.
    pub split: Option<Field<Split>>,
    /// Regions with their shares, whole numbers in proportion. They and no others share the clients
    /// while one of them lives; the rest stand in. Excludes the three keys above.
    #[serde(default)]
    pub weights: Vec<RawShare>,
    /// What keeps a client at its endpoint. Default: `client_prefix`.
    pub sticky: Option<Field<Sticky>>,
    /// How many addresses a DNS answer carries, 1 to 8. Default: 1.
    pub answers: Option<Field<u8>>,
    /// While an answer has fewer addresses than this, other regions join it: those that share the
    /// clients, then the stand-ins in order. With this many or more it takes no further region. 1 to
    /// `answers`. Default: as many as `answers`.
    pub answers_at_least: Option<Field<u8>>,
}

/// A region's fixed share.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Share")]
pub(super) struct RawShare {
    /// The region.
    pub region: Field<RegionId>,
    /// Its share against the others', 1 to 10000.
    pub share: Field<u16>,
}

/// When a region is given up, and how it comes back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyFailover")]
pub(super) struct RawFailover {
    /// A region with a smaller share of its endpoints alive (by weight) counts as dead, so that the
    /// few that are left are not run over. Default: 0, dead when none is alive.
    pub panic_threshold: Option<Field<Ratio>>,
    /// A region with fewer living endpoints than this counts as dead, and the next in line takes its
    /// clients; a region that has no more of them at all is exempt. Default: 1.
    pub min_live: Option<Field<u16>>,
    /// With fewer living regions than this, threshold and ramp hold nobody back: every endpoint that
    /// lives is used. Default: 1.
    pub min_live_regions: Option<Field<u8>>,
    /// How a region comes back. Default: at once.
    pub failback: Option<RawFailback>,
}

/// How a region comes back after it was dead.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Failback")]
pub(super) struct RawFailback {
    /// How long the region has to stay healthy before each step. Default: `"30s"`.
    pub hold: Option<Field<Millis>>,
    /// The share of its clients at each step, rising to 100 %. Default: `[100%]`.
    #[serde(default)]
    pub ramp: Vec<Field<Ratio>>,
}

/// What happens when no region is left.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[schemars(rename = "WhenNone")]
pub(super) enum RawWhenNone {
    /// Refuse or relax health, never compliance.
    Fail(Field<FailMode>),
    /// Answer with these addresses (DNS) or send to them (proxy).
    Static(RawStatic),
}

/// A fixed answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Static")]
pub(super) struct RawStatic {
    /// The addresses, at most 16.
    pub addresses: Vec<Field<IpAddr>>,
}

/// A size: `"100KiB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bytes(pub u64);

/// A distance: `"5000km"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Kilometres(pub f64);

/// A bias: `-99` to `99`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bias(pub i8);

/// Mean solar time in hours: `"08:30"`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct SolarTime(pub f64);

const BYTE_UNITS: &[(&str, u64)] = &[
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("B", 1),
];
/// The largest response for which costs are compared.
const MAX_RESPONSE_BYTES: u64 = 1 << 40;

impl Scalar for Bytes {
    fn read(text: &str) -> Result<Self, Mistake> {
        let known = BYTE_UNITS.iter().find_map(|(unit, size)| {
            let number: u64 = text.strip_suffix(unit)?.trim_end().parse().ok()?;
            number
                .checked_mul(*size)
                .filter(|bytes| *bytes <= MAX_RESPONSE_BYTES)
        });
        known.map(Self).ok_or_else(|| {
            Mistake::new(format!("`{text}` is not a size")).help(
                "a whole number with B, kB, KiB, MB, MiB or GiB, such as `100KiB`, up to 1024GiB",
            )
        })
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["100KiB"] })
    }
}

impl Scalar for Kilometres {
    fn read(text: &str) -> Result<Self, Mistake> {
        let number = text
            .strip_suffix("km")
            .map(str::trim_end)
            .and_then(|n| n.parse().ok());
        number
            .filter(|km: &f64| *km > 0.0 && km.is_finite())
            .map(Self)
            .ok_or_else(|| {
                Mistake::new(format!("`{text}` is not a distance"))
                    .help("a positive number of kilometres, such as `5000km`")
            })
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["5000km"] })
    }
}

/// The largest bias either way: 100 would make every distance nothing or infinite.
const MAX_BIAS: i8 = 99;

impl Scalar for Bias {
    fn read(text: &str) -> Result<Self, Mistake> {
        let number = text.strip_prefix('+').unwrap_or(text).parse().ok();
        number
            .filter(|bias| (-MAX_BIAS..=MAX_BIAS).contains(bias))
            .map(Self)
            .ok_or_else(|| {
                Mistake::new(format!("`{text}` is not a bias"))
                    .help("a whole number from -99 (farther) to 99 (nearer)")
            })
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "integer", "minimum": -99, "maximum": 99 })
    }
}

impl Scalar for SolarTime {
    fn read(text: &str) -> Result<Self, Mistake> {
        let read = || {
            let (hours, minutes) = text.split_once(':')?;
            let (hours, minutes): (u8, u8) = (hours.parse().ok()?, minutes.parse().ok()?);
            let within = hours < 24 && minutes < 60 || (hours, minutes) == (24, 0);
            within.then(|| f64::from(hours) + f64::from(minutes) / 60.0)
        };
        read().map(Self).ok_or_else(|| {
            Mistake::new(format!("`{text}` is not a time of day"))
                .help("hours and minutes from 00:00 to 24:00, such as `\"08:30\"`")
        })
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["08:30"] })
    }
}
