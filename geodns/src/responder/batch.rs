//! Messages answered together: one load of the zones, one reading of the clock, one addition to each
//! counter, for all of them.
//!
//! Every way in comes through here (UDP sockets and AF_XDP with what one receive brought, streams
//! with one message), so that all of them answer and count alike.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::Guard;
use meridian_telemetry::{Decision, Surface};
use meridian_topology::RegionIdx;

use super::{Asked, Outcome, Reply, Responder, SteeredFact, Transport, answer_in, slip, unix_time};
use crate::dnstap::Tapped;
use crate::guard::Ruling;
use crate::metrics::Tally;
use crate::wire::{QueryRoom, TCP_BYTES_MAX};
use crate::zone::SteeredIdx;
use crate::zones::Zones;

/// A batch being answered; dropping it counts what was answered. Hold it only as long as that takes:
/// it keeps its plan alive.
pub struct Batch<'r> {
    responder: &'r Responder,
    zones: Guard<Arc<Zones>>,
    room: QueryRoom,
    now_unix_seconds: u32,
    tally: Tally,
    steered: Steered,
}

impl<'r> Batch<'r> {
    pub(super) fn begin(responder: &'r Responder) -> Self {
        Self {
            responder,
            zones: responder.zones.load(),
            room: QueryRoom::default(),
            // 32 bits last until 2106.
            now_unix_seconds: unix_time().as_secs() as u32,
            tally: Tally::default(),
            steered: Steered::default(),
        }
    }

    /// Has what answers to these messages are made from fetched, where that is far away.
    pub fn look_ahead<'p>(&self, packets: impl ExactSizeIterator<Item = &'p [u8]>) {
        self.zones.look_ahead(packets);
    }

    /// Answers one message into `out`.
    #[inline]
    pub fn answer(
        &mut self,
        packet: &[u8],
        source: &SocketAddr,
        transport: Transport,
        out: &mut [u8],
    ) -> Outcome {
        let asked = self.asked(packet, source, transport);
        let rules = &self.responder.rules;
        let mut outcome = answer_in(&mut self.room, &self.zones, rules, &asked, out);
        if matches!(outcome, Outcome::Slow) {
            outcome = self.hand_on(&asked, out);
        } else if let Outcome::Reply(reply) = &outcome {
            let ruling = rules.guard.rule(&asked, reply);
            self.tally.rate_limited(ruling);
            match ruling {
                Ruling::Pass => {}
                Ruling::Slip => outcome = slip(rules, &asked, reply, out),
                Ruling::Drop => outcome = Outcome::Drop,
            }
        }
        self.count(transport, &outcome);
        self.show(packet, source, transport, &outcome, out);
        outcome
    }

    /// Hands a message on to the slow path, unless its source has had enough of that.
    fn hand_on(&mut self, asked: &Asked<'_>, out: &mut [u8]) -> Outcome {
        let rules = &self.responder.rules;
        let ruling = rules.guard.rule_slow(asked);
        self.tally.rate_limited(ruling);
        match ruling {
            Ruling::Pass => Outcome::Slow,
            // A transfer over UDP is told to come back over TCP; nothing else is.
            Ruling::Slip => slip(rules, asked, &Reply::WITHHELD, out),
            Ruling::Drop => Outcome::Drop,
        }
    }

    /// As [`Batch::answer`] for transports without rate limits, in a buffer that grows to the largest
    /// message when the answer needs it.
    pub(super) fn answer_growing(
        &mut self,
        packet: &[u8],
        source: &SocketAddr,
        transport: Transport,
        out: &mut Vec<u8>,
    ) -> Outcome {
        let asked = self.asked(packet, source, transport);
        let rules = &self.responder.rules;
        let mut outcome = answer_in(&mut self.room, &self.zones, rules, &asked, out);
        if let Outcome::Reply(Reply {
            truncated: true, ..
        }) = outcome
            && out.len() < TCP_BYTES_MAX
        {
            out.resize(TCP_BYTES_MAX, 0);
            outcome = answer_in(&mut self.room, &self.zones, rules, &asked, out);
        }
        self.count(transport, &outcome);
        self.show(packet, source, transport, &outcome, out);
        outcome
    }

    const fn asked<'a>(
        &self,
        packet: &'a [u8],
        source: &'a SocketAddr,
        transport: Transport,
    ) -> Asked<'a> {
        Asked {
            packet,
            source,
            transport,
            now_unix_seconds: self.now_unix_seconds,
        }
    }

    /// Shows a message and what became of it to dnstap, if it is on.
    #[inline]
    fn show(
        &self,
        query: &[u8],
        source: &SocketAddr,
        transport: Transport,
        outcome: &Outcome,
        out: &[u8],
    ) {
        let Some(tap) = &self.responder.tap else {
            return;
        };
        let response = match outcome {
            Outcome::Reply(reply) => out.get(..reply.bytes),
            _ => None,
        };
        tap.offer(&Tapped {
            query,
            response,
            source: *source,
            transport,
        });
    }

    fn count(&mut self, transport: Transport, outcome: &Outcome) {
        self.tally.query(transport);
        match outcome {
            Outcome::Drop => self.tally.dropped(),
            // The slow path counts its response when there is one.
            Outcome::Slow => {}
            Outcome::Reply(reply) => {
                self.tally.response(reply.rcode, reply.truncated);
                self.tally
                    .answer(reply.rtype, reply.rcode, reply.bytes, reply.subnet);
                self.tally.cookie(reply.cookie);
                if let Some(fact) = reply.steered {
                    self.note(fact);
                }
            }
        }
    }

    /// Counts a steered answer and offers it to the decision log.
    fn note(&mut self, fact: SteeredFact) {
        self.steered.add(&fact, &self.zones);
        let decisions = &self.responder.decisions;
        if !decisions.is_on() {
            return;
        }
        let decision_id = self.responder.ids.next_id();
        let Some(sample_rate) = decisions.sample(decision_id) else {
            return;
        };
        let published = self.zones.published();
        let topology = &published.world.topology;
        let Some(service) = topology.services.get(fact.service.index()) else {
            return;
        };
        let endpoint = fact
            .pick
            .and_then(|pick| topology.endpoints.get(pick.endpoint.index()));
        let region = fact
            .pick
            .and_then(|pick| topology.regions.get(pick.region.index()));
        // What became of it is in the log's own counters.
        let _ = decisions.offer(Decision {
            at_unix_us: u64::try_from(unix_time().as_micros()).unwrap_or(u64::MAX),
            decision_id,
            surface: Surface::Dns,
            service: service.id.clone(),
            class: fact.class.0,
            plan_generation: published.plan.generation(),
            endpoint: endpoint.map(|endpoint| endpoint.id.clone()),
            region: region.map(|region| region.id.clone()),
            propensity: fact.pick.map_or(0.0, |pick| pick.propensity),
            latency_us: None,
            status: None,
            sample_rate,
        });
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        self.steered.count(&self.zones);
        self.responder.metrics.add(&self.tally);
    }
}

/// Steered answers counted together.
const STEERED_MAX: usize = 32;

/// Steered answers still to be counted: of which name, and with which region.
#[derive(Default)]
struct Steered {
    answers: [(SteeredIdx, Option<RegionIdx>); STEERED_MAX],
    len: usize,
}

impl Steered {
    fn add(&mut self, fact: &SteeredFact, zones: &Zones) {
        if self.len == STEERED_MAX {
            self.count(zones);
        }
        self.answers[self.len] = (fact.steered, fact.pick.map(|pick| pick.region));
        self.len += 1;
    }

    /// Counts them all. With thousands of names their counters are not in the processor's caches, and an
    /// atomic addition waits for its memory alone: so all are read first, which the processor does side by
    /// side.
    fn count(&mut self, zones: &Zones) {
        let answers = &self.answers[..self.len];
        let counters = |steered| &zones.steered_name(steered).counters;
        let read = answers
            .iter()
            .map(|(steered, region)| counters(*steered).counted(*region))
            .fold(0, |all, count| all ^ count);
        std::hint::black_box(read);
        for (steered, region) in answers {
            counters(*steered).count(*region);
        }
        self.len = 0;
    }
}
