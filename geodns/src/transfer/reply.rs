//! One slow message being answered: who asked, what the answers look like, and their signatures.

use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::mpsc;

use super::message::{Builder, Head, Message, Question};
use super::tsig::{Refusal, Signer};
use crate::metrics::DnsMetrics;
use crate::responder::Transport;
use crate::wire::{PLAIN_UDP_BYTES_MAX, Rcode, TCP_BYTES_MAX};

/// Bytes of an OPT record without options.
const OPT_BYTES: usize = crate::wire::OPT_RECORD_BYTES;

/// An explanation beside a response code (RFC 8914): its number and a sentence.
pub(crate) type Ede = (u16, &'static str);

/// "Other error", explained by its text.
pub(crate) const EDE_OTHER: u16 = 0;
/// "Not ready": a zone that is not there yet.
pub(crate) const EDE_NOT_READY: u16 = 14;
/// "Prohibited": the client may not do this.
pub(crate) const EDE_PROHIBITED: u16 = 18;
/// "Not authoritative".
pub(crate) const EDE_NOT_AUTHORITATIVE: u16 = 20;
/// "Not supported".
pub(crate) const EDE_NOT_SUPPORTED: u16 = 21;

/// Whoever asked has left; there is nobody to go on for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Gone;

/// The answers to one message.
#[derive(Debug)]
pub(crate) struct Reply<'a> {
    pub(crate) source: SocketAddr,
    pub(crate) transport: Transport,
    head: Head,
    question: Option<Question>,
    /// The largest UDP message we receive, when the client speaks EDNS.
    edns: Option<u16>,
    bytes_max: usize,
    signer: Option<Signer>,
    answers: &'a mpsc::Sender<Vec<u8>>,
    metrics: &'a DnsMetrics,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(
        message: &Message,
        source: SocketAddr,
        transport: Transport,
        udp_bytes_max: u16,
        answers: &'a mpsc::Sender<Vec<u8>>,
        metrics: &'a DnsMetrics,
    ) -> Self {
        let bytes_max = match (transport, message.edns) {
            (Transport::Udp, None) => PLAIN_UDP_BYTES_MAX,
            (Transport::Udp, Some(edns)) => {
                usize::from(edns.udp_bytes_max.min(udp_bytes_max)).max(PLAIN_UDP_BYTES_MAX)
            }
            _ => TCP_BYTES_MAX,
        };
        Self {
            source,
            transport,
            head: Head {
                id: message.id,
                opcode: message.opcode,
                is_response: true,
                authoritative: true,
                recursion_desired: message.recursion_desired,
            },
            question: message.question.clone(),
            edns: message.edns.map(|_| udp_bytes_max),
            bytes_max,
            signer: None,
            answers,
            metrics,
        }
    }

    /// Signs the answers from here on.
    pub(crate) fn sign_by(&mut self, signer: Signer) {
        self.signer = Some(signer);
    }

    /// The name of the key that the message was signed with.
    pub(crate) fn key(&self) -> Option<&[u8]> {
        self.signer.as_ref().map(|signer| signer.key().name())
    }

    pub(crate) fn question(&self) -> Option<&Question> {
        self.question.as_ref()
    }

    /// Bytes an answer may have, with room left for its signature and OPT.
    pub(crate) fn room(&self) -> usize {
        let signature = self
            .signer
            .as_ref()
            .map_or(0, |signer| signer.key().record_bytes());
        self.bytes_max - signature - OPT_BYTES
    }

    /// A message with the question in it.
    pub(crate) fn builder(&self) -> Builder {
        let question = self.question.as_ref().map(|question| &*question.wire);
        Builder::new(self.head, question, self.room())
    }

    /// A further message of the same answer, without the question (RFC 5936 §2.2.1).
    pub(crate) fn further(&self) -> Builder {
        Builder::new(self.head, None, self.room())
    }

    /// Sends one message.
    pub(crate) async fn send(&mut self, builder: Builder) -> Result<usize, Gone> {
        self.finish(builder, Rcode::NoError, None).await
    }

    /// Ends with a response code and, for clients that speak EDNS, the reason.
    pub(crate) async fn end(mut self, rcode: Rcode, why: Option<Ede>) {
        if rcode != Rcode::NoError {
            self.head.authoritative = false;
        }
        // An update is answered by its header (RFC 2136 §3.8); the zone may be repeated.
        let builder = self.builder();
        // Nobody is left to be told.
        let _ = self.finish(builder, rcode, why).await;
    }

    /// Ends with the refusal of a signature.
    pub(crate) async fn refuse(mut self, refusal: Refusal) {
        self.head.authoritative = false;
        let mut answer = self.builder().finish(Rcode::NotAuth, self.edns);
        refusal.sign(&mut answer, unix_seconds());
        self.metrics.count_response(Rcode::NotAuth, false);
        // Nobody is left to be told.
        let _ = self.answers.send(answer).await;
    }

    /// Sends bytes made elsewhere, signed.
    pub(crate) async fn send_bytes(&mut self, mut answer: Vec<u8>) -> Result<usize, Gone> {
        if let Some(signer) = &mut self.signer {
            signer.sign(&mut answer, unix_seconds());
        }
        let bytes = answer.len();
        self.answers.send(answer).await.map_err(|_| Gone)?;
        Ok(bytes)
    }

    async fn finish(
        &mut self,
        builder: Builder,
        rcode: Rcode,
        why: Option<Ede>,
    ) -> Result<usize, Gone> {
        let room = self.room();
        let answer = builder.finish(rcode, self.edns);
        // An explanation may be left out, a record may not.
        let explained = why.filter(|(_, text)| answer.len() + 6 + text.len() <= room + OPT_BYTES);
        let answer = match (self.edns, explained) {
            (Some(_), Some(why)) => add_explanation(answer, why),
            _ => answer,
        };
        self.metrics.count_response(rcode, false);
        self.send_bytes(answer).await
    }
}

/// Puts an extended error into the OPT record that the message ends with.
fn add_explanation(mut answer: Vec<u8>, (code, text): Ede) -> Vec<u8> {
    let length_at = answer.len() - 2;
    // Sentences of ours, far below 64 KiB.
    answer[length_at..].copy_from_slice(&((6 + text.len()) as u16).to_be_bytes());
    answer.extend_from_slice(&15_u16.to_be_bytes());
    answer.extend_from_slice(&((2 + text.len()) as u16).to_be_bytes());
    answer.extend_from_slice(&code.to_be_bytes());
    answer.extend_from_slice(text.as_bytes());
    answer
}

/// Seconds since 1970; a clock before that counts as 1970.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
