//! What one client would be answered, and why: `meridian dns query` and the status page.
//!
//! The answer is made by the packet path itself: a query packet is written, answered from the zones
//! in force, and read back. The reasons are the engine's own explanation.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsCode, EdnsOption};
use hickory_proto::rr::{Name, Record, RecordType};
use meridian_engine::{Explanation, Family, Surface, World, explain};
use serde::Serialize;
use thiserror::Error;

use crate::responder::{AnswerRules, Asked, EcsTrust, Outcome, SteeredFact, Transport, answer};
use crate::wire::{Rcode, TCP_BYTES_MAX};
use crate::zone::ShelfSnapshot;
use crate::zones::Zones;

/// Source port of the query that is played; only services that are not sticky depend on it.
const SOURCE_PORT: u16 = 53;

/// Why a question could not be played.
#[derive(Debug, Error)]
pub enum QueryExplainError {
    /// Not a domain name.
    #[error("`{name}` is not a domain name: {reason}")]
    Name {
        /// The text given.
        name: String,
        /// What the parser said.
        reason: String,
    },
    /// The packet path dropped the question, or its answer could not be read: a fault of ours.
    #[error("the answer could not be read: {0}")]
    Unreadable(String),
    /// The engine does not know the service the answer came from: a fault of ours.
    #[error(transparent)]
    Engine(#[from] meridian_engine::explain::ExplainError),
}

/// One question and the client that asks it.
#[derive(Clone, Copy, Debug)]
pub struct ClientQuestion<'a> {
    /// The name, with or without its final dot.
    pub name: &'a str,
    /// The type, such as `RecordType::A`.
    pub rtype: RecordType,
    /// The client.
    pub client: IpAddr,
}

/// What a client would be answered, and why.
#[derive(Clone, Debug, Serialize)]
pub struct QueryExplanation {
    /// The name asked for.
    pub name: String,
    /// The type asked for.
    #[serde(rename = "type")]
    pub rtype: String,
    /// The client.
    pub client: IpAddr,
    /// The response code.
    pub rcode: &'static str,
    /// Whether the answer is from a zone of ours.
    pub authoritative: bool,
    /// The answer section.
    pub answers: Vec<ExplainedRecord>,
    /// The authority section: the SOA of a negative answer, the servers of a referral.
    pub authorities: Vec<ExplainedRecord>,
    /// Leading bits of the client's address for which the answer is the same; `None` when client
    /// subnets are not believed.
    pub scope: Option<u8>,
    /// Why, when the name is steered.
    pub steering: Option<Explanation>,
}

/// A record as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ExplainedRecord {
    /// The owner.
    pub name: String,
    /// Seconds it may be cached.
    pub ttl: u32,
    /// Its type.
    #[serde(rename = "type")]
    pub rtype: String,
    /// What it says, as in a zone file.
    pub data: String,
}

impl From<&Record> for ExplainedRecord {
    fn from(record: &Record) -> Self {
        Self {
            name: record.name.to_ascii(),
            ttl: record.ttl,
            rtype: record.record_type().to_string(),
            data: record.data.to_string(),
        }
    }
}

/// Plays a question of a client, as a resolver that discloses the whole address would ask it. The
/// reasons are those of the world that the zones' plan was made from.
///
/// # Errors
/// [`QueryExplainError`].
pub fn query_explain(
    zones: &Zones,
    rules: &AnswerRules,
    question: ClientQuestion<'_>,
) -> Result<QueryExplanation, QueryExplainError> {
    query_explain_in(zones, rules, question, &zones.published().world)
}

/// The same with the reasons of `world`: a running node knows more of this moment than its plan does.
///
/// # Errors
/// [`QueryExplainError`].
pub fn query_explain_in(
    zones: &Zones,
    rules: &AnswerRules,
    question: ClientQuestion<'_>,
    world: &World,
) -> Result<QueryExplanation, QueryExplainError> {
    let played = play(zones, rules, question)?;
    let published = zones.published();
    let steering = played.steered.map(|fact| {
        explain(
            world,
            &meridian_engine::Query {
                service: published.world.topology.services[fact.service.index()]
                    .id
                    .clone(),
                client: meridian_engine::explain::Client::Address(question.client),
                surface: Surface::Dns,
                family: family_of(question.rtype),
                key: None,
                plan_generation: Some(published.plan.generation()),
            },
        )
    });
    let records = |section: &[Record]| section.iter().map(ExplainedRecord::from).collect();
    Ok(QueryExplanation {
        name: question.name.to_owned(),
        rtype: question.rtype.to_string(),
        client: question.client,
        rcode: played.rcode.as_str(),
        authoritative: played.message.metadata.authoritative,
        answers: records(&played.message.answers),
        authorities: records(&played.message.authorities),
        scope: played.scope,
        steering: steering.transpose()?,
    })
}

/// A question's answer, read back.
pub(crate) struct Played {
    pub(crate) message: Message,
    pub(crate) rcode: Rcode,
    pub(crate) scope: Option<u8>,
    pub(crate) steered: Option<SteeredFact>,
}

/// Asks the packet path.
pub(crate) fn play(
    zones: &Zones,
    rules: &AnswerRules,
    question: ClientQuestion<'_>,
) -> Result<Played, QueryExplainError> {
    // The client is not a resolver whose word must be weighed; but where nobody's is taken, the
    // answer goes by the source address.
    let ecs = match rules.ecs {
        EcsTrust::Nobody => EcsTrust::Nobody,
        EcsTrust::Everybody | EcsTrust::From(_) | EcsTrust::Except(_) => EcsTrust::Everybody,
    };
    let rules = AnswerRules {
        ecs,
        ..rules.clone()
    };
    let packet = query_packet(question)?;
    let source = SocketAddr::new(question.client, SOURCE_PORT);
    let mut out = vec![0; TCP_BYTES_MAX];
    let asked = Asked::now(&packet, &source, Transport::Tcp);
    let Outcome::Reply(reply) = answer(zones, &rules, &asked, &mut out) else {
        return Err(QueryExplainError::Unreadable("no answer at all".into()));
    };
    let message = Message::from_vec(&out[..reply.bytes]).map_err(|error| unreadable(&error))?;
    Ok(Played {
        scope: scope_of(&message),
        rcode: reply.rcode,
        steered: reply.steered,
        message,
    })
}

/// The zones of a plan and of a shelf for [`query_explain`] outside of a server; counters go nowhere.
///
/// # Errors
/// Never in practice: the metrics' registry is fresh.
pub fn zones_for_query(
    published: Arc<meridian_live::Published>,
    shelf: &ShelfSnapshot,
) -> Result<Zones, meridian_telemetry::MetricError> {
    let metrics = crate::metrics::DnsMetrics::register(&meridian_telemetry::Metrics::new())?;
    Ok(Zones::build(published, shelf, None, &metrics, 0))
}

fn query_packet(question: ClientQuestion<'_>) -> Result<Vec<u8>, QueryExplainError> {
    let mut name = Name::from_ascii(question.name).map_err(|error| QueryExplainError::Name {
        name: question.name.to_owned(),
        reason: error.to_string(),
    })?;
    name.set_fqdn(true);
    let prefix = if question.client.is_ipv4() { 32 } else { 128 };
    let mut edns = Edns::new();
    edns.options_mut()
        .insert(EdnsOption::Subnet(ClientSubnet::new(
            question.client,
            prefix,
            0,
        )));
    let mut message = Message::query();
    message.metadata.id = 0;
    message
        .add_query(Query::query(name, question.rtype))
        .set_edns(edns);
    message.to_vec().map_err(|error| unreadable(&error))
}

/// The address family that a question is for.
fn family_of(rtype: RecordType) -> Option<Family> {
    match rtype {
        RecordType::A => Some(Family::V4),
        RecordType::AAAA => Some(Family::V6),
        _ => None,
    }
}

fn scope_of(message: &Message) -> Option<u8> {
    match message.edns.as_ref()?.option(EdnsCode::Subnet)? {
        EdnsOption::Subnet(subnet) => Some(subnet.scope_prefix()),
        _ => None,
    }
}

fn unreadable(error: &impl std::fmt::Display) -> QueryExplainError {
    QueryExplainError::Unreadable(error.to_string())
}

#[cfg(test)]
mod tests;
