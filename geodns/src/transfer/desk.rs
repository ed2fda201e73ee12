//! Who answers what the packet path hands on: reads it whole, checks its signature, and leads it to
//! the part that knows.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::SlowMessage;
use super::export::Exporter;
use super::message::{Message, MessageError};
use super::metrics::TransferMetrics;
use super::record::SoaTimes;
use super::reply::{EDE_NOT_AUTHORITATIVE, EDE_PROHIBITED, Reply, unix_seconds};
use super::secondaries::{Notified, Secondaries};
use super::tsig::{Checked, KeyRing, TsigRecord};
use super::update::Updates;
use crate::responder::{Outcome, Responder};
use crate::wire::{Class, HEADER_BYTES, Opcode, RType, Rcode, TCP_BYTES_MAX};

/// Answers slow messages.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) responder: Arc<Responder>,
    pub(crate) keys: KeyRing,
    pub(crate) exporter: Exporter,
    pub(crate) secondaries: Option<Secondaries>,
    pub(crate) updates: Updates,
    pub(crate) metrics: TransferMetrics,
}

impl Desk {
    /// Answers one message into `answers`, as many messages as it takes.
    pub(crate) async fn serve(&self, slow: SlowMessage, answers: &mpsc::Sender<Vec<u8>>) {
        let message = match Message::read(&slow.packet) {
            Ok(message) if message.is_response => return,
            Ok(message) => message,
            Err(error) => return self.malformed(&slow, error, answers).await,
        };
        let mut reply = Reply::new(
            &message,
            slow.source,
            slow.transport,
            self.responder.rules().udp_bytes_max,
            answers,
            self.responder.metrics(),
        );
        if let Some(record) = &message.tsig {
            match self.keys.check(&slow.packet, record, unix_seconds()) {
                Checked::Good(signer) => reply.sign_by(signer),
                Checked::Malformed => return reply.end(Rcode::FormErr, None).await,
                Checked::Refused(refusal) => {
                    self.metrics.tsig_refused.inc();
                    tracing::info!(
                        source = %slow.source,
                        key = %super::config::shown(&record.key),
                        code = ?refusal.code,
                        "a signature was refused"
                    );
                    return reply.refuse(refusal).await;
                }
            }
        }
        if message.edns.is_some_and(|edns| edns.version != 0) {
            return reply.end(Rcode::BadVers, None).await;
        }
        match message.opcode {
            Opcode::NOTIFY => self.notified(&message, reply).await,
            Opcode::UPDATE => self.updates.serve(&message, reply, &self.responder).await,
            Opcode::QUERY => self.query(&slow, &message, reply).await,
            _ => reply.end(Rcode::NotImp, None).await,
        }
    }

    async fn query(&self, slow: &SlowMessage, message: &Message, reply: Reply<'_>) {
        let question = message.question.as_ref();
        match question.map(|question| (question.rtype, &question.name)) {
            Some((RType::AXFR | RType::IXFR, zone)) => {
                let zones = self.responder.zones();
                let is_served = zones.set().zone(zone).is_some();
                self.exporter.serve(message, reply, is_served).await;
            }
            _ => self.signed_query(slow, message.tsig.as_ref(), reply).await,
        }
    }

    /// Answers an ordinary question that came with a signature: as without, and signed.
    async fn signed_query(
        &self,
        slow: &SlowMessage,
        tsig: Option<&TsigRecord>,
        mut reply: Reply<'_>,
    ) {
        let Some(plain) = tsig.and_then(|tsig| without_tsig(&slow.packet, tsig)) else {
            return reply.end(Rcode::FormErr, None).await;
        };
        let mut out = vec![0; reply.room().min(TCP_BYTES_MAX)];
        let outcome = self
            .responder
            .batch()
            .answer(&plain, &slow.source, slow.transport, &mut out);
        if let Outcome::Reply(written) = outcome {
            out.truncate(written.bytes);
            // Nobody is left to be told.
            let _ = reply.send_bytes(out).await;
        }
    }

    /// Takes a notification (RFC 1996 §3).
    async fn notified(&self, message: &Message, reply: Reply<'_>) {
        let question = message.question.as_ref();
        let Some(question) = question.filter(|question| question.class == Class::IN) else {
            return reply.end(Rcode::FormErr, None).await;
        };
        if question.rtype != RType::SOA {
            return reply.end(Rcode::NotImp, None).await;
        }
        let soa = message.answers.iter().map(|answer| &answer.record);
        let mut soa = soa.filter(|record| record.rtype == RType::SOA);
        let serial = soa
            .next()
            .and_then(|soa| SoaTimes::read(&soa.data))
            .map(|soa| soa.serial);
        let notified = self
            .secondaries
            .as_ref()
            .map_or(Notified::NotOurs, |secondaries| {
                secondaries.notified(&question.name, serial, reply.source.ip(), reply.key())
            });
        match notified {
            Notified::Taken => {
                self.metrics.notify_received.inc();
                reply.end(Rcode::NoError, None).await;
            }
            Notified::Refused => {
                self.metrics.notify_refused.inc();
                let why = "not a primary of this zone";
                reply.end(Rcode::Refused, Some((EDE_PROHIBITED, why))).await;
            }
            Notified::NotOurs => {
                self.metrics.notify_refused.inc();
                let why = "this server is no secondary of that zone";
                reply
                    .end(Rcode::NotAuth, Some((EDE_NOT_AUTHORITATIVE, why)))
                    .await;
            }
        }
    }

    /// FORMERR with as much of the message as its header.
    async fn malformed(
        &self,
        slow: &SlowMessage,
        error: MessageError,
        answers: &mpsc::Sender<Vec<u8>>,
    ) {
        let Some(head) = slow.packet.first_chunk::<HEADER_BYTES>() else {
            return;
        };
        if head[2] & 0x80 != 0 {
            return;
        }
        tracing::debug!(source = %slow.source, %error, "a message could not be read");
        let mut answer = head.to_vec();
        answer[2] = 0x80 | (head[2] & 0x79);
        answer[3] = Rcode::FormErr.low_bits();
        answer[4..].fill(0);
        self.responder
            .metrics()
            .count_response(Rcode::FormErr, false);
        // Nobody is left to be told.
        let _ = answers.send(answer).await;
    }

    /// A datagram found no place in the queue.
    pub(crate) fn count_overflow(&self) {
        self.metrics.slow_dropped.inc();
    }

    /// The system would not send an answer.
    pub(crate) fn count_send_error(&self) {
        self.responder.metrics().send_errors.inc();
    }
}

/// The message as it was before it was signed.
fn without_tsig(packet: &[u8], tsig: &TsigRecord) -> Option<Vec<u8>> {
    let mut plain = packet.get(..tsig.at)?.to_vec();
    let counts = plain.get_mut(10..HEADER_BYTES)?;
    let additionals = u16::from_be_bytes([counts[0], counts[1]]).checked_sub(1)?;
    counts.copy_from_slice(&additionals.to_be_bytes());
    Some(plain)
}
