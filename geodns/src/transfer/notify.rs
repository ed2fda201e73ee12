//! NOTIFY (RFC 1996): telling secondaries that a zone changed.
//!
//! Each pair of zone and server has at most one notification under way; a newer change replaces it.
//! It is repeated with doubled waits until the server acknowledges it, at most [`TRIES_MAX`] times:
//! a secondary that hears nothing still asks by its own timer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::UdpSocket;
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::client::random;
use super::config::{Peer, TransferSettings, shown};
use super::message::{Builder, Head, Message, Section};
use super::metrics::TransferMetrics;
use super::record::{Record, WireName};
use super::reply::unix_seconds;
use super::tsig::{Key, KeyRing, Signer, TsigError};
use crate::wire::{Opcode, PLAIN_UDP_BYTES_MAX, RType, Rcode};

/// Times one notification is sent.
const TRIES_MAX: u32 = 6;
/// First wait for an acknowledgement; doubled each time.
const FIRST_WAIT: Duration = Duration::from_secs(2);
/// Notifications under way at once; more wait their turn.
const AT_ONCE_MAX: usize = 64;
/// Datagrams read while waiting for one acknowledgement.
const STRAYS_MAX: usize = 16;

/// Tells secondaries.
#[derive(Debug)]
pub(crate) struct Notifier {
    settings: Arc<TransferSettings>,
    keys: KeyRing,
    metrics: TransferMetrics,
    at_once: Arc<Semaphore>,
    under_way: HashMap<(WireName, Peer), JoinHandle<()>>,
}

/// Why a server did not acknowledge.
#[derive(Debug, Error)]
enum NotifyError {
    #[error("{0}")]
    Io(#[from] std::io::Error),
    #[error("it does not answer")]
    Timeout,
    #[error("it answers with response code {0}")]
    Rcode(u8),
    #[error("its signature is not accepted: {0}")]
    Tsig(#[from] TsigError),
}

impl Notifier {
    pub(crate) fn new(
        settings: Arc<TransferSettings>,
        keys: KeyRing,
        metrics: TransferMetrics,
    ) -> Self {
        Self {
            settings,
            keys,
            metrics,
            at_once: Arc::new(Semaphore::new(AT_ONCE_MAX)),
            under_way: HashMap::new(),
        }
    }

    /// Tells everybody who wants to know that a zone has this SOA now. Call it inside a runtime.
    pub(crate) fn tell(&mut self, zone: &WireName, soa: &Record) {
        self.under_way.retain(|_, task| !task.is_finished());
        for peer in &self.settings.peers_of(zone).notify {
            let key = peer.key.as_deref().and_then(|key| self.keys.get(key));
            let notification = Notification {
                zone: zone.clone(),
                soa: soa.clone(),
                peer: peer.clone(),
                key: key.cloned(),
            };
            let (at_once, metrics) = (Arc::clone(&self.at_once), self.metrics.clone());
            let task = tokio::spawn(async move {
                // Never closed: the notifier holds it.
                let _permit = at_once.acquire_owned().await;
                notification.deliver(&metrics).await;
            });
            if let Some(older) = self.under_way.insert((zone.clone(), peer.clone()), task) {
                older.abort();
            }
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        for task in self.under_way.values() {
            task.abort();
        }
    }
}

struct Notification {
    zone: WireName,
    soa: Record,
    peer: Peer,
    key: Option<Arc<Key>>,
}

impl Notification {
    async fn deliver(&self, metrics: &TransferMetrics) {
        let mut wait = FIRST_WAIT;
        let mut last = NotifyError::Timeout;
        for _ in 0..TRIES_MAX {
            match self.send_once(wait).await {
                Ok(()) => {
                    metrics.notify_sent.inc();
                    return;
                }
                // It has answered; asking again changes nothing.
                Err(error @ (NotifyError::Rcode(_) | NotifyError::Tsig(_))) => {
                    last = error;
                    break;
                }
                Err(error @ NotifyError::Io(_)) => {
                    last = error;
                    tokio::time::sleep(wait).await;
                }
                Err(error) => last = error,
            }
            wait *= 2;
        }
        metrics.notify_failed.inc();
        tracing::warn!(zone = %shown(&self.zone), to = %self.peer.address, error = %last, "a secondary was not notified");
    }

    async fn send_once(&self, wait: Duration) -> Result<(), NotifyError> {
        let source = self.peer.source.unwrap_or(match self.peer.address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        });
        let socket = UdpSocket::bind(SocketAddr::new(source, 0)).await?;
        socket.connect(self.peer.address).await?;
        let id = random() as u16;
        let mut packet = self.packet(id);
        let sign = |key| Signer::request(key, &mut packet, unix_seconds());
        let mut verifier = self.key.as_ref().map(sign);
        socket.send(&packet).await?;
        let answered = async {
            let mut buffer = [0; 4096];
            for _ in 0..STRAYS_MAX {
                let bytes = socket.recv(&mut buffer).await?;
                let Ok(message) = Message::read(&buffer[..bytes]) else {
                    continue;
                };
                if !message.is_response || message.id != id || message.opcode != Opcode::NOTIFY {
                    continue;
                }
                if let Some(verifier) = &mut verifier {
                    verifier.check(&buffer[..bytes], message.tsig.as_ref(), unix_seconds())?;
                }
                return match message.rcode {
                    0 => Ok(()),
                    rcode => Err(NotifyError::Rcode(rcode)),
                };
            }
            Err(NotifyError::Timeout)
        };
        timeout(wait, answered)
            .await
            .unwrap_or(Err(NotifyError::Timeout))
    }

    fn packet(&self, id: u16) -> Vec<u8> {
        let head = Head {
            id,
            opcode: Opcode::NOTIFY,
            is_response: false,
            authoritative: true,
            recursion_desired: false,
        };
        let mut question = self.zone.to_vec();
        question.extend_from_slice(&RType::SOA.0.to_be_bytes());
        question.extend_from_slice(&[0, 1]);
        let mut builder = Builder::new(head, Some(&question), PLAIN_UDP_BYTES_MAX);
        // The SOA is a hint (RFC 1996 §3.7); one with very long names is left out.
        let _ = builder.record(Section::Answer, self.soa.as_ref());
        builder.finish(Rcode::NoError, None)
    }
}
