//! One query in, one response out: the heart of the room.
//!
//! ```text
//! bytes ──Query::read──> question ──Resolution::run──> records ──ResponseWriter──> bytes
//!             │                          │
//!         Rejection                 zone tree, plan.pick
//! ```
//!
//! [`answer`] is a function of its arguments: no I/O, no clock, no lock, and no allocation. It
//! works on the caller's buffers, the name is lowercased onto the stack, picks and addresses live
//! in arrays, record sets are copied from the zone tree. Sockets, batching or kernel bypass differ
//! only in who calls it. [`Responder`] adds what is not pure: the zones in force, counters and the
//! decision log, a [`Batch`] of messages at a time.

mod alias;
mod batch;
mod client;
mod denial;
mod resolve;
mod signed;
mod steer;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use meridian_live::{PlanHandle, View};
use meridian_telemetry::DecisionLog;
use meridian_telemetry::decision::DecisionIds;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::alias::AliasBook;
use crate::dnssec::{Purse, Signing};
use crate::dnstap::Tap;
use crate::guard::{CookieSeen, Guard, Visitor};
use crate::identity::Identity;
use crate::metrics::DnsMetrics;
use crate::wire::{
    Authority, Edns, HEADER_BYTES, OptReply, PLAIN_UDP_BYTES_MAX, Query, QueryRoom, Question,
    RType, Rcode, Rejection, ResponseWriter, TCP_BYTES_MAX,
};
use crate::zone::ZoneShelf;
use crate::zones::Zones;
use client::Client;
use denial::Proofs;
use resolve::{Resolution, Verdict};
use signed::Terms;

pub use batch::Batch;
pub use client::EcsTrust;
use steer::Moment;
pub use steer::SteeredFact;

/// How a query came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// A datagram: the response has a bound of its own.
    Udp,
    /// A stream: up to 65,535 bytes.
    Tcp,
    /// A stream under TLS (RFC 7858).
    Tls,
    /// The body of an HTTPS request or its `dns` parameter (RFC 8484).
    Https,
    /// A stream of a QUIC connection (RFC 9250).
    Quic,
}

impl Transport {
    /// All, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Udp, Self::Tcp, Self::Tls, Self::Https, Self::Quic];

    /// The label in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
            Self::Https => "https",
            Self::Quic => "quic",
        }
    }

    /// Whether anybody can put another's address on a query: then the answer must be small.
    #[must_use]
    pub const fn is_spoofable(self) -> bool {
        matches!(self, Self::Udp)
    }

    /// Whether nobody on the way can read it: then its length is worth hiding (RFC 8467).
    #[must_use]
    pub const fn is_encrypted(self) -> bool {
        matches!(self, Self::Tls | Self::Https | Self::Quic)
    }
}

/// A message as it came, and what else an answer depends on.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The message, without a stream's length before it.
    pub packet: &'a [u8],
    /// Who sent it, or whose address is on it ([`Transport::is_spoofable`]).
    pub source: &'a SocketAddr,
    /// How it came.
    pub transport: Transport,
    /// Seconds since 1970, read by the caller: once for many messages.
    pub now_unix_seconds: u32,
}

impl<'a> Asked<'a> {
    /// A message that arrives now, by this machine's clock.
    #[must_use]
    pub fn now(packet: &'a [u8], source: &'a SocketAddr, transport: Transport) -> Self {
        Self {
            packet,
            source,
            transport,
            // 32 bits last until 2106.
            now_unix_seconds: unix_time().as_secs() as u32,
        }
    }
}

/// What the operator decides about answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerRules {
    /// Largest UDP response, whatever a client offers (1232 avoids fragments: DNS flag day 2020).
    pub udp_bytes_max: u16,
    /// Whose client subnets are believed.
    pub ecs: EcsTrust,
    /// Largest TTL of a stand-in's answer.
    pub failover_ttl_seconds: u32,
    /// Cookies, rate limits and the patience with streams.
    pub guard: Guard,
    /// What is said about the server itself.
    pub identity: Identity,
    /// The addresses of names elsewhere that ALIAS records point at.
    pub aliases: AliasBook,
}

/// What became of a packet.
#[derive(Clone, Copy, Debug)]
pub enum Outcome {
    /// Send nothing.
    Drop,
    /// Send the first `bytes` of the buffer.
    Reply(Reply),
    /// Not answered on the packet path: NOTIFY, UPDATE, zone transfers and whatever carries a TSIG
    /// go to the slow path (`transfer::SlowPath`), which answers in its own time.
    Slow,
}

/// A response that was written.
#[derive(Clone, Copy, Debug)]
pub struct Reply {
    /// Its length.
    pub bytes: usize,
    /// Its code.
    pub rcode: Rcode,
    /// Whether TC is set.
    pub truncated: bool,
    /// The type asked for; 0 when the question could not be read.
    pub rtype: RType,
    /// Whether it tells for which client subnet it is.
    pub subnet: bool,
    /// What steering decided, if it had a say.
    pub steered: Option<SteeredFact>,
    /// What the query's cookie said.
    pub cookie: CookieSeen,
    /// The name the response speaks of.
    pub subject: Subject,
}

impl Reply {
    /// What is withheld of a message to the slow path: nobody knows yet.
    const WITHHELD: Self = Self {
        bytes: 0,
        rcode: Rcode::NoError,
        truncated: false,
        rtype: RType(0),
        subnet: false,
        steered: None,
        cookie: CookieSeen::Absent,
        subject: Subject { at: 0, bytes: 0 },
    };
}

/// The part of the question's name that a response speaks of: all of it for a name that exists, the
/// zone's for one that does not, the name before the star for what a wildcard makes. Rates are limited
/// by it, so that made-up names share one account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subject {
    at: u16,
    bytes: u8,
}

impl Subject {
    /// The last `bytes` of the question's name.
    fn ending(question: &Question<'_>, bytes: usize) -> Self {
        let name = question.name.as_bytes().len();
        let bytes = bytes.min(name);
        // A name has at most 255 bytes.
        Self {
            at: (HEADER_BYTES + name - bytes) as u16,
            bytes: bytes as u8,
        }
    }

    /// Its bytes in the query, spelled as the client does.
    pub(crate) fn of(self, packet: &[u8]) -> &[u8] {
        let at = usize::from(self.at);
        packet
            .get(at..at + usize::from(self.bytes))
            .unwrap_or_default()
    }
}

/// Answers one packet from `zones` into `out`; a function of its arguments.
#[must_use]
pub fn answer(zones: &Zones, rules: &AnswerRules, asked: &Asked<'_>, out: &mut [u8]) -> Outcome {
    answer_in(&mut QueryRoom::default(), zones, rules, asked, out)
}

/// As [`answer`], in the caller's room: making it costs as much as a look for a name.
fn answer_in(
    room: &mut QueryRoom,
    zones: &Zones,
    rules: &AnswerRules,
    asked: &Asked<'_>,
    out: &mut [u8],
) -> Outcome {
    let query = match Query::read(asked.packet, room) {
        Ok(query) if matches!(query.question.rtype, RType::AXFR | RType::IXFR) => {
            return Outcome::Slow;
        }
        Ok(query) => query,
        Err(Rejection::Slow) => return Outcome::Slow,
        Err(rejection) => return reject(rules, asked, &rejection, out),
    };
    let visitor = rules.guard.see(asked, query.edns);
    if let Some(rcode) = visitor.refused {
        let refused = Rejection::Error {
            rcode,
            header: query.header,
            question: Some(query.question.wire),
            edns: query.edns,
        };
        return reject(rules, asked, &refused, out);
    }
    let client = Client::of(query.edns, asked.source, &rules.ecs);
    let limit = size_limit(rules, asked.transport, query.edns);
    let opt = query.edns.map(|edns| OptReply {
        subnet: client.subnet.map(|subnet| (subnet, 0)),
        ..opt_reply(rules, asked, edns, &visitor)
    });
    let Some(mut writer) =
        ResponseWriter::start(out, limit, query.header, Some(query.question.wire), opt)
    else {
        return Outcome::Drop;
    };
    let start = writer.mark();
    let mut resolution = Resolution {
        zones,
        client: &client,
        writer: &mut writer,
        terms: Terms {
            dnssec_ok: query.edns.is_some_and(|edns| edns.dnssec_ok),
            compact_ok: query.edns.is_some_and(|edns| edns.compact_ok),
            purse: if asked.transport.is_spoofable() {
                Purse::Spoofable
            } else {
                Purse::Verified
            },
            now: asked.now_unix_seconds,
        },
        over_budget: false,
        proofs: Proofs::default(),
        identity: &rules.identity,
        aliases: &rules.aliases,
        moment: Moment {
            failover_ttl_seconds: rules.failover_ttl_seconds,
            now_unix_seconds: asked.now_unix_seconds,
            // Both are the client's fresh choice for each query (RFC 5452), and cost no shared state.
            draw: u64::from(query.header.id) << 16 | u64::from(asked.source.port()),
        },
        steered: None,
        subject_bytes: 0,
        next: None,
    };
    // A truncated response still is one: the client asks again over TCP.
    let mut verdict = resolution
        .run(&query.question)
        .unwrap_or(Verdict::TRUNCATED);
    // What does not fit truncates, and the response code still stands.
    let _ = resolution.write_proofs();
    let unsigned = resolution.over_budget.then_some(resolution.terms.purse);
    let steered = resolution.steered;
    let subject = Subject::ending(&query.question, resolution.subject_bytes);
    if let Some(purse) = unsigned {
        verdict = signed::over_budget(&mut writer, start, purse);
    }
    let truncated = writer.is_truncated();
    let bytes = writer.finish(verdict.rcode, verdict.authority);
    Outcome::Reply(Reply {
        bytes,
        rcode: verdict.rcode,
        truncated,
        rtype: query.question.rtype,
        subnet: client.subnet.is_some(),
        steered,
        cookie: visitor.cookie,
        subject,
    })
}

/// OPT as every response has it; the client subnet is not for all of them.
fn opt_reply<'a>(
    rules: &'a AnswerRules,
    asked: &Asked<'_>,
    edns: &Edns,
    visitor: &'a Visitor,
) -> OptReply<'a> {
    OptReply {
        udp_bytes_max: rules.udp_bytes_max,
        dnssec_ok: edns.dnssec_ok,
        subnet: None,
        cookie: visitor.fresh_cookie.as_ref(),
        keepalive_tenths: visitor.keepalive_tenths,
        nsid: rules.identity.nsid().filter(|_| edns.nsid),
        padded: edns.padding && asked.transport.is_encrypted(),
        error: None,
    }
}

/// The empty, truncated response in the place of one that rate limiting withholds: the client's
/// fresh cookie goes with it, so that the next question passes.
fn slip(rules: &AnswerRules, asked: &Asked<'_>, withheld: &Reply, out: &mut [u8]) -> Outcome {
    let mut room = QueryRoom::default();
    let (header, question, edns) = match Query::read(asked.packet, &mut room) {
        Ok(query) => (query.header, Some(query.question.wire), query.edns),
        Err(Rejection::Error {
            header,
            question,
            edns,
            ..
        }) => (header, question, edns),
        Err(Rejection::Silence | Rejection::Slow) => return Outcome::Drop,
    };
    let visitor = rules.guard.see(asked, edns);
    let opt = edns.map(|edns| opt_reply(rules, asked, edns, &visitor));
    let limit = size_limit(rules, asked.transport, edns);
    let Some(mut writer) = ResponseWriter::start(out, limit, header, question, opt) else {
        return Outcome::Drop;
    };
    writer.truncate();
    let bytes = writer.finish(withheld.rcode, Authority::None);
    Outcome::Reply(Reply {
        bytes,
        truncated: true,
        steered: None,
        ..*withheld
    })
}

/// Answers what is not a query to look up.
fn reject(
    rules: &AnswerRules,
    asked: &Asked<'_>,
    rejection: &Rejection<'_>,
    out: &mut [u8],
) -> Outcome {
    let &Rejection::Error {
        rcode,
        header,
        question,
        edns,
    } = rejection
    else {
        return Outcome::Drop;
    };
    // No client subnet: it may be what was malformed.
    let visitor = rules.guard.see(asked, edns);
    let opt = edns.map(|edns| opt_reply(rules, asked, edns, &visitor));
    let limit = size_limit(rules, asked.transport, edns);
    let Some(writer) = ResponseWriter::start(out, limit, header, question, opt) else {
        return Outcome::Drop;
    };
    let bytes = writer.finish(rcode, Authority::None);
    Outcome::Reply(Reply {
        bytes,
        rcode,
        truncated: false,
        rtype: RType(0),
        subnet: false,
        steered: None,
        cookie: visitor.cookie,
        subject: Subject::default(),
    })
}

fn size_limit(rules: &AnswerRules, transport: Transport, edns: Option<&Edns>) -> usize {
    match (transport, edns) {
        (transport, _) if !transport.is_spoofable() => TCP_BYTES_MAX,
        (_, None) => PLAIN_UDP_BYTES_MAX,
        (_, Some(edns)) => edns.udp_bytes_max.min(usize::from(rules.udp_bytes_max)),
    }
}

/// Answers packets from the plan in force, and counts.
#[derive(Debug)]
pub struct Responder {
    zones: View<Zones>,
    rules: AnswerRules,
    metrics: DnsMetrics,
    decisions: DecisionLog,
    ids: DecisionIds,
    tap: Option<Tap>,
}

impl Responder {
    /// Follows the plan and the shelf until `shutdown`; zones are rebuilt off the packet path. Call it inside a
    /// tokio runtime.
    #[must_use]
    pub fn follow(
        plan: &PlanHandle,
        shelf: &ZoneShelf,
        signing: Arc<Signing>,
        rules: AnswerRules,
        metrics: DnsMetrics,
        decisions: DecisionLog,
        shutdown: CancellationToken,
    ) -> Self {
        let for_zones = metrics.clone();
        let (changes, shelf) = (shelf.subscribe(), shelf.clone());
        let derive = move |published, before: Option<Arc<Zones>>| {
            let (shelf, now) = (shelf.snapshot(), unix_time().as_secs());
            let started = std::time::Instant::now();
            let zones = Zones::build(published, &shelf, before.as_deref(), &for_zones, now)
                .signed(&signing, now as u32);
            for_zones.set_zones_build(started.elapsed());
            for problem in zones.problems() {
                tracing::error!(%problem, "left out of the zones");
            }
            for_zones.set_zone_problems(zones.problems().len());
            zones
        };
        // Ids need only differ between processes that write into one log.
        let ids = DecisionIds::new(unix_time().as_nanos() as u64);
        Self {
            zones: View::follow_both(plan, changes, derive, shutdown),
            rules,
            metrics,
            decisions,
            ids,
            tap: None,
        }
    }

    /// Hands queries and responses to dnstap from now on.
    #[must_use]
    pub fn tapped_by(mut self, tap: Option<Tap>) -> Self {
        self.tap = tap;
        self
    }

    /// The zones in force, for status pages and `meridian dns query`.
    #[must_use]
    pub fn zones(&self) -> Arc<Zones> {
        self.zones.full()
    }

    /// Learns of every time that zones come into force.
    pub(crate) fn zones_changed(&self) -> watch::Receiver<u64> {
        self.zones.subscribe()
    }

    /// The rules answers follow.
    #[must_use]
    pub fn rules(&self) -> &AnswerRules {
        &self.rules
    }

    /// The room's counters.
    #[must_use]
    pub fn metrics(&self) -> &DnsMetrics {
        &self.metrics
    }

    /// Begins a batch: the zones in force and the time now, for as many messages as came at once.
    #[must_use]
    pub fn batch(&self) -> Batch<'_> {
        Batch::begin(self)
    }

    /// Answers one message of a stream. `out` grows to the largest message when the answer needs it,
    /// which no answer but a large static set does.
    pub fn answer_stream(
        &self,
        packet: &[u8],
        source: SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.batch().answer_growing(packet, &source, transport, out)
    }
}

/// Time since 1970; a clock before that counts as 1970.
fn unix_time() -> std::time::Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(test)]
pub(crate) mod tests;
