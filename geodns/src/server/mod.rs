//! The sockets: UDP on threads, everything with connections on tokio, one [`Responder`] behind all.
//!
//! Every address gets one UDP socket per worker (`SO_REUSEPORT`: the kernel spreads clients over
//! them by a hash of their address) and one TCP listener. A UDP worker is a plain thread in a loop
//! of receive, answer, send, a batch at a time: no runtime stands between the kernel and the answer
//! ([`udp`]).
//!
//! DoT, DoH and DoQ have addresses of their own ([`accept`], [`https`], [`quic`]); their certificates
//! are read again when their files change, and open connections keep what they agreed on.

mod accept;
mod encrypted;
mod https;
mod quic;
mod tcp;
mod udp;
pub(crate) mod xdp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use meridian_accept::{BindError, BindOptions, CertError, PortSharing, bind_tcp, bind_udp};
use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, MetricError, Metrics};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::rustls;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::config::DnsSettings;
use crate::dnssec::{Signing, SigningError};
use crate::dnstap::Tap;
use crate::guard::{Guard, GuardError, Seats};
use crate::master::{WatchError, ZoneFilesStatus, ZoneFolder, ZoneFolderWatcher};
use crate::metrics::DnsMetrics;
use crate::responder::{AnswerRules, Responder, Transport};
use crate::transfer::{Prepared, TransferError, Transfers, ZoneExchange};
use crate::zone::ZoneShelf;
use accept::{Front, House};
use encrypted::Encrypted;
use xdp::metrics::XdpMetrics;
use xdp::{SlowReplies, Xdp};

/// Free ports tried for port 0: the one UDP was given may be taken for TCP.
const FREE_PORT_TRIES: usize = 16;

/// The DNS server could not start, or stopped by itself.
#[derive(Debug, Error)]
pub enum DnsError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A socket refused an option or to say its address.
    #[error("dns: cannot set up the socket of {address}")]
    Socket {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A UDP thread, or that of dnstap, could not be started.
    #[error("dns: cannot start a thread")]
    Thread(#[source] io::Error),
    /// A UDP thread stopped although nobody asked it to.
    #[error("dns: the UDP worker of {address} stopped")]
    Worker {
        /// Its address.
        address: SocketAddr,
        /// Why; none when it panicked.
        #[source]
        source: Option<io::Error>,
    },
    /// A certificate cannot be used.
    #[error("dns: {transport}: {source}")]
    Certificate {
        /// The section of the configuration.
        transport: &'static str,
        /// What is wrong.
        #[source]
        source: Box<CertError>,
    },
    /// TLS cannot be set up.
    #[error("dns: TLS cannot be set up")]
    Tls(#[source] rustls::Error),
    /// TLS has no cipher that QUIC begins with.
    #[error("dns: this build's TLS has no AES-128-GCM, which QUIC begins with")]
    NoQuicCipher,
    /// Cookies or rate limits cannot be set up.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// Zones cannot be signed.
    #[error(transparent)]
    Signing(#[from] SigningError),
    /// The folder of master files cannot be followed.
    #[error(transparent)]
    ZoneFiles(#[from] WatchError),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// Keys, kept zones or updates cannot be read.
    #[error(transparent)]
    Transfer(#[from] TransferError),
}

/// A DNS server whose sockets are open.
#[derive(Debug)]
pub struct DnsServer {
    responder: Arc<Responder>,
    listeners: Vec<Listener>,
    encrypted: Encrypted,
    seats: Seats,
    queries_max: usize,
    transfers: Transfers,
    xdp: Xdp,
    zone_files: Option<ZoneFolderWatcher>,
    alias_resolvers: Vec<SocketAddr>,
    /// Ends the responder's following of plans with the server.
    following: DropGuard,
}

/// The sockets of one address.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    udp: Vec<udp::Prepared>,
    tcp: TcpListener,
}

impl DnsServer {
    /// Opens every socket and builds the first zones. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// [`DnsError`].
    pub fn bind(
        settings: &DnsSettings,
        plan: &PlanHandle,
        shelf: &ZoneShelf,
        metrics: &Metrics,
        decisions: DecisionLog,
    ) -> Result<Self, DnsError> {
        let listeners: Vec<Listener> = settings
            .listen
            .iter()
            .map(|address| {
                let udp_bytes_max = settings.rules.udp_bytes_max;
                Listener::open(*address, settings.workers, udp_bytes_max)
            })
            .collect::<Result<_, _>>()?;
        let following = CancellationToken::new();
        let prepared = Prepared::load(&settings.transfers, shelf, metrics, &following)?;
        let tap = settings.dnstap.as_ref();
        let tap = tap.map(|config| Tap::start(config, metrics)).transpose();
        let xdp_metrics = settings
            .xdp
            .is_some()
            .then(|| XdpMetrics::register(metrics))
            .transpose()?;
        let signing = Signing::load(settings.dnssec.clone(), metrics)?;
        tokio::spawn(Arc::clone(&signing).follow(following.clone(), shelf.clone()));
        let metrics = DnsMetrics::register(metrics)?;
        let zone_files = settings.zone_files.clone().map(|folder| {
            ZoneFolderWatcher::start(ZoneFolder::new(folder, shelf.clone()), metrics.clone())
        });
        let zone_files = zone_files.transpose()?;
        signing.check_arrivals(&shelf.snapshot())?;
        let tcp = settings.tcp;
        let seats = Seats::new(tcp.connections_max, tcp.per_client_max, tcp.idle_timeout);
        let encrypted = Encrypted::open(settings)?;
        let rules = AnswerRules {
            guard: Guard::open(
                settings.cookies.as_ref(),
                settings.rate.as_ref(),
                seats.clone(),
            )?,
            ..settings.rules.clone()
        };
        let responder = Responder::follow(
            plan,
            shelf,
            signing,
            rules,
            metrics,
            decisions,
            following.clone(),
        )
        .tapped_by(tap.map_err(DnsError::Thread)?);
        let responder = Arc::new(responder);
        let addresses: Vec<_> = listeners.iter().map(Listener::address).collect();
        let xdp = settings
            .xdp
            .as_ref()
            .zip(xdp_metrics)
            .map_or_else(Xdp::default, |(settings, metrics)| {
                Xdp::open(settings, &addresses, &responder, &metrics)
            });
        Ok(Self {
            transfers: Transfers::start(prepared, &responder, following.clone()),
            responder,
            listeners,
            encrypted,
            seats,
            queries_max: tcp.queries_max,
            xdp,
            zone_files,
            alias_resolvers: settings.alias_resolvers.clone(),
            following: following.drop_guard(),
        })
    }

    /// The addresses in use, ports filled in; UDP and TCP are the same.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(Listener::address).collect()
    }

    /// The addresses of DoT, DoH and DoQ in use, in the order of the configuration.
    #[must_use]
    pub fn encrypted_addrs(&self) -> Vec<(Transport, SocketAddr)> {
        self.encrypted.addresses()
    }

    /// The master files, for status pages.
    #[must_use]
    pub fn zone_files(&self) -> Option<ZoneFilesStatus> {
        self.zone_files.as_ref().map(ZoneFolderWatcher::status)
    }

    /// What answers: for status pages.
    #[must_use]
    pub fn responder(&self) -> Arc<Responder> {
        Arc::clone(&self.responder)
    }

    /// Zones that come from elsewhere or are changed by others: for status pages and commands.
    #[must_use]
    pub fn exchange(&self) -> ZoneExchange {
        self.transfers.exchange()
    }

    /// Serves until `shutdown`. What was received by then is answered; TCP connections end after
    /// the query they are at.
    ///
    /// # Errors
    /// [`DnsError::Thread`] or [`DnsError::Worker`]; the other workers are stopped first.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), DnsError> {
        let Self {
            responder,
            listeners,
            encrypted,
            seats,
            queries_max,
            transfers,
            xdp,
            zone_files,
            alias_resolvers,
            following,
        } = self;
        let stop = StopWorkers::default();
        let stopping = shutdown.child_token();
        let slow = transfers.slow;
        let house = House {
            responder: Arc::clone(&responder),
            slow: slow.clone(),
            seats,
            queries_max,
        };
        let mut workers = JoinSet::new();
        let mut acceptors = JoinSet::new();
        let mut failure = None;
        let xdp = xdp.start(&stop.0, SlowReplies::new(&slow, &listeners)?);
        for listener in listeners {
            for socket in listener.udp {
                let worker = udp::Worker::new(
                    socket,
                    Arc::clone(&responder),
                    slow.clone(),
                    Arc::clone(&stop.0),
                );
                let address = listener.address;
                match spawn_worker(worker, address) {
                    Ok(end) => {
                        workers.spawn(async move { (address, end.await.ok()) });
                    }
                    Err(error) => failure = Some(error),
                }
            }
            let (house, stop) = (house.clone(), stopping.clone());
            acceptors.spawn(accept::accept(listener.tcp, Front::Tcp, house, stop));
        }
        encrypted.serve(&mut acceptors, &house, &stopping);
        acceptors.spawn(responder.rules().guard.clone().run(stopping.clone()));
        let aliases = responder.rules().aliases.clone();
        let of_zones = Arc::clone(&responder);
        acceptors.spawn(aliases.run(of_zones, alias_resolvers, stopping.clone()));
        if let Some(zone_files) = zone_files {
            acceptors.spawn(zone_files.run(stopping.clone()));
        }
        if failure.is_none() {
            failure = tokio::select! {
                () = shutdown.cancelled() => None,
                Some(Ok((address, end))) = workers.join_next() => {
                    Some(DnsError::Worker { address, source: end.and_then(Result::err) })
                }
            };
        }
        drop(stop);
        stopping.cancel();
        xdp.ended().await;
        while workers.join_next().await.is_some() {}
        while acceptors.join_next().await.is_some() {}
        drop(following);
        failure.map_or(Ok(()), Err)
    }
}

/// Stops the worker threads when dropped: also when nobody waits for [`DnsServer::run`] any more.
#[derive(Default)]
struct StopWorkers(Arc<AtomicBool>);

impl Drop for StopWorkers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

type WorkerEnd = tokio::sync::oneshot::Receiver<io::Result<()>>;

/// Starts a worker's thread; the receiver hears how it ended, or nothing when it panicked.
fn spawn_worker(worker: udp::Worker, address: SocketAddr) -> Result<WorkerEnd, DnsError> {
    let (say, hear) = tokio::sync::oneshot::channel();
    std::thread::Builder::new()
        .name(format!("dns-{}", address.port()))
        // Nobody listening means that the server is gone.
        .spawn(move || drop(say.send(worker.run())))
        .map_err(DnsError::Thread)?;
    Ok(hear)
}

impl Listener {
    fn address(&self) -> SocketAddr {
        self.address
    }

    fn open(address: SocketAddr, workers: usize, udp_bytes_max: u16) -> Result<Self, DnsError> {
        let tries = if address.port() == 0 {
            FREE_PORT_TRIES
        } else {
            1
        };
        let mut last = Self::open_once(address, workers, udp_bytes_max);
        for _ in 1..tries {
            if last.is_ok() {
                break;
            }
            last = Self::open_once(address, workers, udp_bytes_max);
        }
        last
    }

    fn open_once(wanted: SocketAddr, workers: usize, udp_bytes_max: u16) -> Result<Self, DnsError> {
        let shared = BindOptions {
            sharing: PortSharing::Shared,
            ..BindOptions::default()
        };
        // TCP asks for the port alone: a second server on this address fails here, instead of
        // sharing the UDP clients of the first.
        let tcp = bind_tcp(wanted, BindOptions::default())?;
        let socket_error = |source| DnsError::Socket {
            address: wanted,
            source,
        };
        let address = tcp.local_addr().map_err(socket_error)?;
        let udp = (0..workers)
            .map(|_| udp::prepare(bind_udp(address, shared)?, udp_bytes_max).map_err(socket_error))
            .collect::<Result<_, DnsError>>()?;
        Ok(Self { address, udp, tcp })
    }
}
