//! Why a client goes where it goes: the same stages as compiling, with a recorder, and the same pick.
//!
//! An explanation compiles the route of one service and class from the world, watched, and picks from
//! it under the world's health. There is no second scoring code that could disagree with the first.
//! The JSON form is part of the contract (`meridian explain -o json`).

mod record;

use std::net::IpAddr;

use meridian_topology::country::CountryCode;
use meridian_topology::{Coordinates, EndpointId, PolicyId, RegionId, ServiceId};
use serde::{Deserialize, Serialize};

use crate::bits::HealthBits;
use crate::class::{ClassId, ClientClass};
use crate::compile::compile_one;
use crate::hash::ClientKey;
use crate::plan::{Fallback, Family, Plan, Reason};
use crate::world::World;
use record::Recording;

/// Most endpoints listed under `picks`.
pub const MAX_EXPLAINED_PICKS: usize = 64;

/// Where a client asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Surface {
    /// A DNS answer.
    #[default]
    Dns,
    /// An HTTP request.
    Http,
    /// A TCP or UDP stream.
    Stream,
    /// A packet's flow.
    L4,
}

/// Whose decision is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Client {
    /// A client at this address.
    Address(IpAddr),
    /// Any client of this class; there is no choice without a key.
    Class(ClassId),
}

/// What to explain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The service asked for.
    pub service: ServiceId,
    /// The client asking.
    pub client: Client,
    /// Where it asks.
    pub surface: Surface,
    /// The address family asked for, as DNS does; `None` is any.
    pub family: Option<Family>,
    /// The client's key, when the data path derives it otherwise than from the address.
    pub key: Option<ClientKey>,
    /// Generation of the plan in use, to be shown; the world does not know it.
    pub plan_generation: Option<u64>,
}

/// Why a question cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// The topology has no such service.
    #[error("there is no service `{service}`{}", .suggestion.as_ref().map(|near| format!("; did you mean `{near}`?")).unwrap_or_default())]
    UnknownService {
        /// The service asked for.
        service: ServiceId,
        /// The closest one there is.
        suggestion: Option<String>,
    },
}

/// A decision with its reasons.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The service asked for.
    pub service: ServiceId,
    /// The policy that decided.
    pub policy: PolicyId,
    /// Where the client asks.
    pub surface: Surface,
    /// The address family that picks and choice are of, if one was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub family: Option<Family>,
    /// The client as the policy sees it.
    pub client: ExplainedClient,
    /// The plan in use.
    pub plan_generation: Option<u64>,
    /// Where expectations of round trips came from.
    pub model: ExplainedModel,
    /// The stages in order.
    pub stages: Vec<ExplainedStage>,
    /// Endpoints that clients of this class get now, and how often: best first, at most
    /// [`MAX_EXPLAINED_PICKS`].
    pub picks: Vec<ExplainedPick>,
    /// What this very client gets.
    pub choice: Option<Choice>,
    /// What is answered instead when nobody may serve.
    pub fallback: Option<ExplainedFallback>,
}

/// The client as the policy sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedClient {
    /// Its address, if it was asked by address.
    pub address: Option<IpAddr>,
    /// Its class.
    pub class: ClassId,
    /// The prefix around the address in which every client is of this class.
    pub prefix_len: Option<u8>,
    /// Country of the class.
    pub country: Option<CountryCode>,
    /// Autonomous system of the class.
    pub asn: Option<u32>,
    /// Place of the class.
    pub location: Option<Coordinates>,
    /// The operator's group.
    pub group: Option<String>,
    /// Provider the clients run in.
    pub provider: Option<String>,
}

/// Where expectations of round trips came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedModel {
    /// No model: 8 ms + 0.0156 ms a kilometre.
    Distance,
    /// A model whose table belongs to other client classes and was not used; distance instead.
    Stale {
        /// The model's version.
        version: String,
    },
    /// A model, where a policy asks for it, within the policy's bound.
    Model {
        /// The model's version.
        version: String,
    },
}

/// One stage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ExplainedStage {
    /// `eligible`, `healthy`, `room`, `score` or `spread`.
    pub name: String,
    /// Regions that pass.
    pub kept: Vec<RegionId>,
    /// Regions that do not, and why.
    pub dropped: Vec<Dropped>,
    /// What the selectors say.
    pub scores: Vec<Scored>,
}

/// A region that does not pass a stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dropped {
    /// The region.
    pub id: RegionId,
    /// Why.
    pub reason: String,
}

/// A selector's word on a region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The region.
    pub id: RegionId,
    /// The selector; `tier` and `first` are the place in line that counts before all scores.
    pub selector: String,
    /// What it measured, in its own unit: milliseconds, kilometres, dollars per million requests,
    /// utilisation, solar hour; for providers the penalty.
    pub value: f64,
    /// The policy's weight for it.
    pub weight: f64,
    /// What it adds to the score; the region with the smallest sum is the best.
    pub contribution: f64,
    /// The bias, from -99 to 99, with which a distance counts more or less than it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bias: Option<i8>,
}

/// An endpoint and how often it is picked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExplainedPick {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its region.
    pub region: RegionId,
    /// The share of the class's clients that get it, 0 to 1.
    pub weight: f64,
}

/// What one client gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Choice {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// Its region.
    pub region: RegionId,
    /// Why this one: `best`, `spread`, `failover`, `panic`, `last_resort` or `ignoring_health`.
    pub reason: Reason,
    /// The probability of this endpoint for a random client of the class.
    pub propensity: f64,
}

/// What is answered when nobody may serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExplainedFallback {
    /// Nothing.
    Closed,
    /// Fixed addresses.
    Static {
        /// The addresses.
        addresses: Vec<IpAddr>,
    },
}

/// Explains the decision for one client.
pub fn explain(world: &World, query: &Query) -> Result<Explanation, ExplainError> {
    let topology = &world.topology;
    let service = topology
        .service(&query.service)
        .ok_or_else(|| unknown(world, query))?;
    let (class, prefix_len, address) = match query.client {
        Client::Address(address) => {
            let found = world.classes.lookup(address);
            (found.class, Some(found.prefix_len), Some(address))
        }
        Client::Class(class) => (class, None, None),
    };
    let mut recording = Recording::new(topology);
    let plan = compile_one(world, service, class, &mut recording);
    let bits = HealthBits::new(&plan, world);
    // The plan of one route has one class.
    let only = ClassId(0);
    let shares = match query.family {
        None => plan.shares(service, only, &bits),
        Some(family) => plan.shares_of(service, only, &bits, family),
    };
    let key = query
        .key
        .or_else(|| address.map(|address| plan.client_key(service, address)));
    let pick = key.and_then(|key| match query.family {
        None => plan.pick(service, only, key, &bits),
        Some(family) => plan.pick_of(service, only, key, &bits, family),
    });
    let name = |endpoint: usize| topology.endpoints[endpoint].id.clone();
    let region = |endpoint: usize| {
        topology.regions[topology.endpoints[endpoint].region.index()]
            .id
            .clone()
    };
    Ok(Explanation {
        service: query.service.clone(),
        policy: topology.services[service.index()].policy.clone(),
        surface: query.surface,
        family: query.family,
        client: client(class, prefix_len, address, world.classes.class(class)),
        plan_generation: query.plan_generation,
        model: model(world),
        stages: recording.finish(),
        fallback: shares.is_empty().then(|| fallback(&plan, service)),
        picks: shares
            .into_iter()
            .take(MAX_EXPLAINED_PICKS)
            .map(|(endpoint, share)| ExplainedPick {
                endpoint: name(endpoint.index()),
                region: region(endpoint.index()),
                weight: f64::from(share),
            })
            .collect(),
        choice: pick.map(|pick| Choice {
            endpoint: name(pick.endpoint.index()),
            region: region(pick.endpoint.index()),
            reason: pick.reason,
            propensity: f64::from(pick.propensity),
        }),
    })
}

fn unknown(world: &World, query: &Query) -> ExplainError {
    let known = world
        .topology
        .services
        .iter()
        .map(|service| service.id.as_str());
    let near = meridian_topology::door::suggest::closest(query.service.as_str(), known);
    ExplainError::UnknownService {
        service: query.service.clone(),
        suggestion: near.map(str::to_owned),
    }
}

fn client(
    class: ClassId,
    prefix_len: Option<u8>,
    address: Option<IpAddr>,
    known: &ClientClass,
) -> ExplainedClient {
    ExplainedClient {
        address,
        class,
        prefix_len,
        country: known.country,
        asn: known.asn,
        location: known.location,
        group: known.group.as_ref().map(ToString::to_string),
        provider: known.provider.as_ref().map(ToString::to_string),
    }
}

fn model(world: &World) -> ExplainedModel {
    match &world.scores {
        None => ExplainedModel::Distance,
        Some(scores) => {
            let version = scores.version().to_owned();
            if scores.class_fingerprint() == world.classes.fingerprint() {
                ExplainedModel::Model { version }
            } else {
                ExplainedModel::Stale { version }
            }
        }
    }
}

fn fallback(plan: &Plan, service: meridian_topology::ServiceIdx) -> ExplainedFallback {
    match plan.fallback(service) {
        Fallback::Closed => ExplainedFallback::Closed,
        Fallback::Static(addresses) => ExplainedFallback::Static {
            addresses: addresses.to_vec(),
        },
    }
}
