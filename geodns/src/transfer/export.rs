//! Zones out: AXFR (RFC 5936) and IXFR (RFC 1995).
//!
//! A transfer is one [`Snapshot`], held for as long as it takes, and written message by message as
//! the client takes them: a zone changed meanwhile is the next transfer's. Where an answer is one
//! message (UDP, HTTPS), an IXFR is answered when the steps fit into it, else by the SOA alone,
//! which says "ask over TCP".
//!
//! Limits: `transfers.max_concurrent` at once over all zones; one more is answered SERVFAIL. Nobody
//! may transfer anything unless `transfers` says so.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::archive::{Archive, Archived};
use super::config::TransferSettings;
use super::message::{Builder, Message, Section};
use super::metrics::TransferMetrics;
use super::record::{SoaTimes, is_newer};
use super::reply::{
    EDE_NOT_AUTHORITATIVE, EDE_NOT_READY, EDE_NOT_SUPPORTED, EDE_OTHER, EDE_PROHIBITED, Gone, Reply,
};
use super::snapshot::{Diff, Snapshot};
use crate::responder::Transport;
use crate::wire::{Class, RType, Rcode};
use crate::zone::RecordRef;

/// Answers requests for whole zones.
#[derive(Debug)]
pub(crate) struct Exporter {
    settings: Arc<TransferSettings>,
    archive: Arc<Archive>,
    at_once: Semaphore,
    metrics: TransferMetrics,
}

/// A record that is larger than a message can be, or nobody to send to.
enum Stop {
    Gone,
    TooLarge,
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

impl Exporter {
    pub(crate) fn new(
        settings: Arc<TransferSettings>,
        archive: Arc<Archive>,
        metrics: TransferMetrics,
    ) -> Self {
        Self {
            at_once: Semaphore::new(settings.max_concurrent),
            settings,
            archive,
            metrics,
        }
    }

    /// Answers an AXFR or IXFR; `is_served` says whether the zone is ours at all.
    pub(crate) async fn serve(&self, message: &Message, mut reply: Reply<'_>, is_served: bool) {
        let Some(question) = reply.question().cloned() else {
            return reply.end(Rcode::FormErr, None).await;
        };
        let zone = &question.name;
        if question.class != Class::IN || !is_served {
            let why = "this server has no zone of that name";
            return reply
                .end(Rcode::NotAuth, Some((EDE_NOT_AUTHORITATIVE, why)))
                .await;
        }
        let peers = self.settings.peers_of(zone);
        if !peers.allow.allows(reply.source.ip(), reply.key()) {
            self.metrics.out_refused.inc();
            tracing::info!(
                zone = %super::config::shown(zone),
                source = %reply.source,
                "a zone transfer was refused: `dns.transfers` does not allow it"
            );
            let why = "not allowed to transfer this zone";
            return reply.end(Rcode::Refused, Some((EDE_PROHIBITED, why))).await;
        }
        let Some(archived) = self.archive.get(zone) else {
            let why = "the zone is being prepared";
            return reply.end(Rcode::ServFail, Some((EDE_NOT_READY, why))).await;
        };
        let client_serial = match self.client_serial(message, question.rtype) {
            Ok(serial) => serial,
            Err(()) => return reply.end(Rcode::FormErr, None).await,
        };
        // RFC 9250 §4.2 lets a QUIC stream carry several messages; a body of HTTP is one (RFC 8484 §6).
        if matches!(reply.transport, Transport::Udp | Transport::Https) {
            return match client_serial {
                Some(serial) => self.in_one_message(&archived, serial, reply).await,
                None => {
                    let why = "AXFR needs TCP, TLS or QUIC";
                    reply
                        .end(Rcode::Refused, Some((EDE_NOT_SUPPORTED, why)))
                        .await;
                }
            };
        }
        let Ok(_permit) = self.at_once.try_acquire() else {
            self.metrics.out_busy.inc();
            let why = "too many transfers at once, try again";
            return reply.end(Rcode::ServFail, Some((EDE_OTHER, why))).await;
        };
        let (kind, ended) = self.over_stream(&archived, client_serial, &mut reply).await;
        self.note(zone, kind, &reply, &ended);
    }

    fn note(&self, zone: &[u8], kind: Kind, reply: &Reply<'_>, ended: &Result<u64, Stop>) {
        let (zone, source) = (super::config::shown(zone), reply.source);
        match ended {
            Ok(bytes) => {
                self.metrics.sent(kind, *bytes);
                tracing::info!(zone, %source, kind = kind.as_str(), bytes, "zone transferred out");
            }
            Err(Stop::Gone) => {
                self.metrics.out_failed.inc();
                tracing::info!(zone, %source, "the client of a zone transfer left before its end");
            }
            Err(Stop::TooLarge) => {
                self.metrics.out_failed.inc();
                tracing::error!(zone, %source, "a record is larger than a message may be; the transfer ends without it");
            }
        }
    }

    /// The serial an IXFR starts from; `None` for AXFR.
    fn client_serial(&self, message: &Message, rtype: RType) -> Result<Option<u32>, ()> {
        if rtype == RType::AXFR {
            return Ok(None);
        }
        let soa = message
            .authorities
            .iter()
            .find(|record| record.record.rtype == RType::SOA);
        let soa = soa.and_then(|soa| SoaTimes::read(&soa.record.data));
        soa.map(|soa| Some(soa.serial)).ok_or(())
    }

    async fn in_one_message(&self, archived: &Archived, serial: u32, mut reply: Reply<'_>) {
        let snapshot = &archived.snapshot;
        let Some(soa) = snapshot.soa() else {
            return reply.end(Rcode::ServFail, None).await;
        };
        let steps = if is_newer(snapshot.serial(), serial) {
            archived.steps_from(serial)
        } else {
            None
        };
        let whole = steps.and_then(|steps| fill(reply.builder(), incremental(soa, &steps)));
        let (kind, builder) = match whole {
            Some(builder) => (Kind::Incremental, Some(builder)),
            None => (Kind::UpToDate, fill(reply.builder(), std::iter::once(soa))),
        };
        if let Some(builder) = builder
            && let Ok(bytes) = reply.send(builder).await
        {
            self.metrics.sent(kind, bytes as u64);
        }
    }

    async fn over_stream(
        &self,
        archived: &Archived,
        client_serial: Option<u32>,
        reply: &mut Reply<'_>,
    ) -> (Kind, Result<u64, Stop>) {
        let snapshot = &archived.snapshot;
        let Some(soa) = snapshot.soa() else {
            return (Kind::Full, Err(Stop::TooLarge));
        };
        let Some(serial) = client_serial else {
            return (Kind::Full, send_all(reply, full(soa, snapshot)).await);
        };
        if !is_newer(snapshot.serial(), serial) {
            return (Kind::UpToDate, send_all(reply, std::iter::once(soa)).await);
        }
        match archived.steps_from(serial) {
            Some(steps) => (
                Kind::Incremental,
                send_all(reply, incremental(soa, &steps)).await,
            ),
            None => (Kind::Full, send_all(reply, full(soa, snapshot)).await),
        }
    }
}

/// How a transfer was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Full,
    Incremental,
    UpToDate,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Incremental, Self::UpToDate];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
            Self::UpToDate => "up_to_date",
        }
    }
}

fn full<'s>(
    soa: RecordRef<'s>,
    snapshot: &'s Snapshot,
) -> impl Iterator<Item = RecordRef<'s>> + use<'s> {
    let once = std::iter::once(soa);
    once.clone().chain(snapshot.records()).chain(once)
}

fn incremental<'s>(
    soa: RecordRef<'s>,
    steps: &'s [Arc<Diff>],
) -> impl Iterator<Item = RecordRef<'s>> + use<'s> {
    let once = std::iter::once(soa);
    let steps = steps.iter().flat_map(|step| step.records());
    once.clone().chain(steps).chain(once)
}

/// A message with all of the records, if they fit.
fn fill<'s>(
    mut builder: Builder,
    mut records: impl Iterator<Item = RecordRef<'s>>,
) -> Option<Builder> {
    records
        .all(|record| builder.record(Section::Answer, record).is_ok())
        .then_some(builder)
}

/// Sends records in as few messages as they need; returns the bytes.
async fn send_all<'s>(
    reply: &mut Reply<'_>,
    records: impl Iterator<Item = RecordRef<'s>>,
) -> Result<u64, Stop> {
    let mut sent = 0;
    let mut builder = reply.builder();
    for record in records {
        if builder.record(Section::Answer, record).is_ok() {
            continue;
        }
        let whole = std::mem::replace(&mut builder, reply.further());
        sent += reply.send(whole).await? as u64;
        if builder.record(Section::Answer, record).is_err() {
            return Err(Stop::TooLarge);
        }
    }
    sent += reply.send(builder).await? as u64;
    Ok(sent)
}
