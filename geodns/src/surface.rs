//! What DNS adds to the engine's explanation of a service: its names, what each of them answers the
//! client, and why the TTL and the client subnet's scope are what they are.
//!
//! Answers are the packet path's own: each is a question played through [`answer`](crate::responder::answer).

use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use meridian_engine::{Fallback, Reason};
use meridian_topology::{DnsAnswer, Service, ServiceId};
use serde::Serialize;

use crate::explain::{ClientQuestion, ExplainedRecord, Played, play};
use crate::responder::AnswerRules;
use crate::wire::Rcode;
use crate::zones::Zones;

/// Names of a service that are played; a service rarely has more than two.
pub const SURFACE_NAMES_MAX: usize = 16;

/// The DNS surface of one service for one client.
#[derive(Clone, Debug, Serialize)]
pub struct DnsSurface {
    /// The service's names, at most [`SURFACE_NAMES_MAX`].
    pub names: Vec<SurfaceName>,
    /// All its names.
    pub names_total: usize,
    /// What its answers are: `ipv4`, `ipv6`, `both` or `cname`; `none` without names or endpoints.
    pub families: &'static str,
    /// The TTL of the topology, in seconds.
    pub configured_ttl: Option<u32>,
    /// Why the first address is the first: the engine's reason.
    pub reason: Option<Reason>,
    /// What is answered when nobody may serve: `closed`, or addresses.
    pub fallback: SurfaceFallback,
}

/// What is answered when nobody may serve.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SurfaceFallback {
    /// SERVFAIL with an extended error.
    Closed,
    /// These addresses, with a TTL of at most `failover_ttl`.
    Static(Vec<IpAddr>),
}

/// One name.
#[derive(Clone, Debug, Serialize)]
pub struct SurfaceName {
    /// The name.
    pub name: String,
    /// What the client is answered, for each type the service has.
    pub questions: Vec<SurfaceQuestion>,
}

/// One question at a name.
#[derive(Clone, Debug, Serialize)]
pub struct SurfaceQuestion {
    /// The type asked for.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The response code.
    pub rcode: &'static str,
    /// The answer section.
    pub answers: Vec<ExplainedRecord>,
    /// The TTL of the steered record, in seconds.
    pub ttl: Option<u32>,
    /// Why it is that.
    pub ttl_reason: String,
    /// Leading bits of the client's address for which a resolver may reuse the answer.
    pub scope: Option<u8>,
    /// Why so many.
    pub scope_reason: String,
}

/// Plays every name of a service for a client. A service that the zones' plan does not know has no
/// names.
#[must_use]
pub fn surface_explain(
    zones: &Zones,
    rules: &AnswerRules,
    service: &ServiceId,
    client: IpAddr,
) -> DnsSurface {
    let published = zones.published();
    let topology = &published.world.topology;
    let known = topology
        .service(service)
        .map(|at| (at, &topology.services[at.index()]));
    let Some((index, known)) = known else {
        return DnsSurface {
            names: Vec::new(),
            names_total: 0,
            families: "none",
            configured_ttl: None,
            reason: None,
            fallback: SurfaceFallback::Closed,
        };
    };
    let addresses = topology
        .endpoints_of(index)
        .map(|(_, endpoint)| endpoint.address);
    let (families, types) = families(known, addresses);
    let mut reason = None;
    let names: Vec<SurfaceName> = known
        .dns
        .iter()
        .flat_map(|dns| &dns.names)
        .take(SURFACE_NAMES_MAX)
        .map(|name| SurfaceName {
            name: name.to_string(),
            questions: types
                .iter()
                .map(|rtype| {
                    let (question, why) = played(zones, rules, known, name, *rtype, client);
                    reason = reason.or(why);
                    question
                })
                .collect(),
        })
        .collect();
    DnsSurface {
        names_total: known.dns.as_ref().map_or(0, |dns| dns.names.len()),
        families,
        configured_ttl: known.dns.as_ref().map(|dns| dns.ttl.0),
        reason,
        fallback: match published.plan.fallback(index) {
            Fallback::Closed => SurfaceFallback::Closed,
            Fallback::Static(addresses) => SurfaceFallback::Static(addresses.to_vec()),
        },
        names,
    }
}

/// What a service answers in a word, and the types worth asking for.
fn families(
    service: &Service,
    addresses: impl Iterator<Item = IpAddr>,
) -> (&'static str, &'static [RecordType]) {
    match service.dns.as_ref().map(|dns| &dns.answer) {
        Some(DnsAnswer::Cname { .. }) => return ("cname", &[RecordType::CNAME]),
        None => return ("none", &[]),
        _ => {}
    }
    let (mut v4, mut v6) = (false, false);
    for address in addresses {
        v4 |= address.is_ipv4();
        v6 |= address.is_ipv6();
    }
    match (v4, v6) {
        (true, true) => ("both", &[RecordType::A, RecordType::AAAA]),
        (true, false) => ("ipv4", &[RecordType::A]),
        (false, true) => ("ipv6", &[RecordType::AAAA]),
        (false, false) => ("none", &[RecordType::A]),
    }
}

fn played(
    zones: &Zones,
    rules: &AnswerRules,
    service: &Service,
    name: &meridian_topology::DnsName,
    rtype: RecordType,
    client: IpAddr,
) -> (SurfaceQuestion, Option<Reason>) {
    let text = name.to_string();
    // A wildcard is answered at the names below it.
    let asked = text
        .strip_prefix("*.")
        .map_or_else(|| text.clone(), |rest| format!("any.{rest}"));
    let question = ClientQuestion {
        name: &asked,
        rtype,
        client,
    };
    let failed = |words: String| SurfaceQuestion {
        rtype: rtype.to_string(),
        rcode: Rcode::ServFail.as_str(),
        answers: Vec::new(),
        ttl: None,
        ttl_reason: words,
        scope: None,
        scope_reason: "no answer".into(),
    };
    let played = match play(zones, rules, question) {
        Ok(played) => played,
        Err(error) => return (failed(error.to_string()), None),
    };
    let pick = played.steered.and_then(|fact| fact.pick);
    let why = pick.map(|pick| pick.reason);
    let ttl = played.message.answers.first().map(|record| record.ttl);
    let configured = service.dns.as_ref().map_or(0, |dns| dns.ttl.0);
    let said = SurfaceQuestion {
        rtype: rtype.to_string(),
        rcode: played.rcode.as_str(),
        answers: played
            .message
            .answers
            .iter()
            .map(ExplainedRecord::from)
            .collect(),
        ttl,
        ttl_reason: ttl_reason(ttl, configured, rules.failover_ttl_seconds, why),
        scope: played.scope,
        scope_reason: scope_reason(zones, &played, client),
    };
    (said, why)
}

fn ttl_reason(ttl: Option<u32>, configured: u32, failover: u32, why: Option<Reason>) -> String {
    let Some(ttl) = ttl else {
        return "no record, so the SOA's negative TTL counts, or nothing may be cached".into();
    };
    let who = match why {
        None => "the policy's static answer",
        Some(Reason::Best | Reason::Spread) => "the service's own region answers",
        Some(Reason::Failover) => "a stand-in answers",
        Some(Reason::Panic) => "no region is healthy enough",
        Some(Reason::LastResort) => "only regions beyond their capacity are left",
        Some(Reason::IgnoringHealth) => "nothing is alive and health is ignored",
    };
    if ttl == configured {
        format!("the service's `ttl`: {who}")
    } else if ttl == configured.min(failover) {
        format!("at most `dns.failover_ttl`, {failover}s: {who}")
    } else {
        format!("shorter than the service's `ttl` of {configured}s: {who}")
    }
}

fn scope_reason(zones: &Zones, played: &Played, client: IpAddr) -> String {
    let Some(scope) = played.scope else {
        return "client subnets are not believed (`dns.client_subnet`)".into();
    };
    let class = zones.published().world.classes.lookup(client);
    let mapped = client.is_ipv6() && client.to_canonical().is_ipv4();
    let prefix = if mapped && class.prefix_len > 0 {
        class.prefix_len + 96
    } else {
        class.prefix_len
    };
    if scope == 0 {
        "the same for everybody".into()
    } else if scope == prefix {
        format!("everybody in this /{scope} is of the client's class")
    } else if scope > prefix {
        format!("the first {scope} bits of a client choose among several endpoints (`sticky`)")
    } else {
        format!("every class in this /{scope} is answered alike")
    }
}

#[cfg(test)]
mod tests;
