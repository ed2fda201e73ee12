//! Opening DoT, DoH and DoQ: certificates, listeners, endpoints.
//!
//! Every section of the configuration has a certificate store of its own. It is watched: new files serve
//! the next handshake, and a pair that does not fit leaves the last good one.

use std::net::SocketAddr;
use std::sync::Arc;

use meridian_accept::certs::CertWatcher;
use meridian_accept::{BindOptions, CertConfig, CertSource, CertStore, Unmatched, bind_tcp};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::accept::{Front, House};
use super::{DnsError, accept, https, quic};
use crate::config::DnsSettings;
use crate::responder::Transport;

/// An address of DoT or DoH.
struct Door {
    address: SocketAddr,
    listener: TcpListener,
    front: Front,
}

impl std::fmt::Debug for Door {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Door({})", self.address)
    }
}

/// What DoT, DoH and DoQ are served on.
#[derive(Debug, Default)]
pub(super) struct Encrypted {
    doors: Vec<Door>,
    quic: Vec<(SocketAddr, quinn::Endpoint)>,
    certificates: Vec<Arc<CertStore>>,
}

impl Encrypted {
    pub(super) fn open(settings: &DnsSettings) -> Result<Self, DnsError> {
        let mut opened = Self::default();
        if let Some(config) = &settings.tls {
            let store = opened.certificates("tls", &config.certificates)?;
            let front = Front::Tls(acceptor(&store, b"dot")?);
            opened.doors(&config.listen, &front)?;
        }
        if let Some(config) = &settings.https {
            let store = opened.certificates("https", &config.certificates)?;
            let service = Arc::new(https::Service::new(config));
            let front = Front::Https(acceptor(&store, b"h2")?, service);
            opened.doors(&config.listen, &front)?;
        }
        if let Some(config) = &settings.quic {
            let store = opened.certificates("quic", &config.certificates)?;
            for address in &config.listen {
                let endpoint = quic::open(*address, &store, config, settings.tcp)?;
                let address = endpoint.local_addr().map_err(|source| DnsError::Socket {
                    address: *address,
                    source,
                })?;
                opened.quic.push((address, endpoint));
            }
        }
        Ok(opened)
    }

    /// The addresses in use.
    pub(super) fn addresses(&self) -> Vec<(Transport, SocketAddr)> {
        let doors = self.doors.iter();
        let doors = doors.map(|door| (door.front.transport(), door.address));
        let quic = self.quic.iter();
        doors
            .chain(quic.map(|(address, _)| (Transport::Quic, *address)))
            .collect()
    }

    /// Starts everything until `stop`.
    pub(super) fn serve(
        self,
        acceptors: &mut JoinSet<()>,
        house: &House,
        stop: &CancellationToken,
    ) {
        for door in self.doors {
            let (house, stop) = (house.clone(), stop.clone());
            acceptors.spawn(accept::accept(door.listener, door.front, house, stop));
        }
        for (_, endpoint) in self.quic {
            acceptors.spawn(quic::accept(endpoint, house.clone(), stop.clone()));
        }
        for store in self.certificates {
            watch_certificates(store, stop);
        }
    }

    fn certificates(
        &mut self,
        transport: &'static str,
        sources: &[CertSource],
    ) -> Result<Arc<CertStore>, DnsError> {
        let store = CertStore::load(CertConfig {
            certificates: sources.to_vec(),
            unmatched: Unmatched::First,
        })
        .map_err(|source| DnsError::Certificate {
            transport,
            source: Box::new(source),
        })?;
        self.certificates.push(Arc::clone(&store));
        Ok(store)
    }

    fn doors(&mut self, listen: &[SocketAddr], front: &Front) -> Result<(), DnsError> {
        for wanted in listen {
            let listener = bind_tcp(*wanted, BindOptions::default())?;
            let address = listener.local_addr().map_err(|source| DnsError::Socket {
                address: *wanted,
                source,
            })?;
            self.doors.push(Door {
                address,
                listener,
                front: front.clone(),
            });
        }
        Ok(())
    }
}

fn acceptor(store: &Arc<CertStore>, alpn: &[u8]) -> Result<TlsAcceptor, DnsError> {
    let config = store.server_config(&[alpn], None).map_err(DnsError::Tls)?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// Without a watch the certificates in use stay; that is worth a warning, not a refusal to serve.
fn watch_certificates(store: Arc<CertStore>, stop: &CancellationToken) {
    match CertWatcher::new(store) {
        Ok(watcher) => {
            tokio::spawn(watcher.run(stop.clone()));
        }
        Err(error) => tracing::warn!(%error, "dns: certificates will not be reloaded"),
    }
}
