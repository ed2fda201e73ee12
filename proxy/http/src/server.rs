//! The proxy as the rest of the process holds it: bind, then run until told to
//! stop.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;

use meridian_accept::certs::{CertWatcher, Demand, client_verifier};
use meridian_accept::{
    BindError, BindOptions, CertError, CertStore, ConnectionLimit, PortSharing, bind_tcp,
};
use meridian_live::{PlanHandle, View};
use meridian_telemetry::decision::DecisionIds;
use meridian_telemetry::{AccessLog, DecisionLog, MetricError, Metrics};
use pingora_core::apps::HttpServerOptions;
use pingora_core::protocols::http::v2::server::default_h2_options;
use pingora_core::server::configuration::ServerConf;
use pingora_proxy::HttpProxy;
use tokio::sync::{oneshot, watch as latest};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::attempt::ATTEMPTS_MAX;
use crate::common::Common;
use crate::config::{ClientDemand, ClientsConfig, HttpSettings};
use crate::metrics::HttpMetrics;
use crate::passive::PassiveSink;
use crate::proxy::Proxy;
use crate::record::Recorder;
use crate::table::Table;
use crate::watch;
use crate::worker::{Listener, Shared, Worker};

/// Application protocols offered over TLS, best first.
const ALPN: &[&[u8]] = &[b"h2", b"http/1.1"];

/// Where the proxy reports what it does.
#[derive(Debug, Clone)]
pub struct HttpTelemetry {
    /// Counters and histograms.
    pub metrics: Metrics,
    /// One line per request.
    pub access: AccessLog,
    /// A sample of decisions with their outcome.
    pub decisions: DecisionLog,
}

impl HttpTelemetry {
    /// Metrics only.
    #[must_use]
    pub fn metrics_only(metrics: Metrics) -> Self {
        Self {
            metrics,
            access: AccessLog::off(),
            decisions: DecisionLog::off(),
        }
    }
}

/// Why the proxy cannot start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A bound socket cannot be used.
    #[error("cannot use the listening socket {address}: {source}")]
    Socket {
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A certificate cannot be used.
    #[error(transparent)]
    Certificate(#[from] CertError),
    /// rustls refused the configuration.
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// A worker's thread or runtime could not be started.
    #[error("cannot start worker {worker}: {source}")]
    Worker {
        /// Its number, from 0.
        worker: usize,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A worker ended without being told to.
    #[error("worker {worker} ended unexpectedly")]
    WorkerLost {
        /// Its number, from 0.
        worker: usize,
    },
}

/// A proxy whose sockets are bound and whose routes are compiled.
pub struct HttpServer {
    plain: Vec<SocketAddr>,
    tls: Vec<SocketAddr>,
    workers: Vec<Worker>,
    certificates: Option<Arc<CertStore>>,
    shutdown: CancellationToken,
}

impl fmt::Debug for HttpServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("HttpServer")
            .field("plain", &self.plain)
            .field("tls", &self.tls)
            .field("workers", &self.workers.len())
            .finish_non_exhaustive()
    }
}

impl HttpServer {
    /// Binds every listener of every worker and compiles the routes of the plan
    /// in force; later plans are followed. Call it inside a tokio runtime.
    ///
    /// # Errors
    /// See [`HttpError`]. Nothing keeps running after an error.
    pub fn bind(
        settings: &HttpSettings,
        plan: &PlanHandle,
        reports: Arc<dyn PassiveSink>,
        telemetry: HttpTelemetry,
    ) -> Result<Self, HttpError> {
        // pingora and rustls would otherwise choose by compiled-in features. An
        // error says that somebody was here before with the same choice.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let shutdown = CancellationToken::new();
        let metrics = HttpMetrics::register(&telemetry.metrics)?;
        let certificates = match settings.certificates.clone() {
            None => None,
            Some(config) => Some(CertStore::load(config)?),
        };
        let clients = match &settings.clients {
            None => None,
            Some(clients) => Some(client_verifier(&clients.ca, demand(clients))?),
        };
        let acceptor = match &certificates {
            None => None,
            Some(store) => {
                let config = store.server_config(ALPN, clients)?;
                Some(TlsAcceptor::from(Arc::new(config)))
            }
        };
        let mut listeners = Listeners::default();
        let plain = listeners.bind(&settings.plain, None, settings.workers)?;
        let tls = listeners.bind(&settings.tls, acceptor.as_ref(), settings.workers)?;

        let view = follow(settings, plan, reports, metrics.clone(), &shutdown);
        tokio::spawn(watch::watch(
            view.clone(),
            settings.outliers,
            shutdown.clone(),
        ));
        let parts = Parts {
            view,
            certificates: certificates.clone(),
            limit: ConnectionLimit::new(settings.connections_max),
            recorder: Recorder {
                access: telemetry.access,
                decisions: telemetry.decisions,
            },
            metrics,
            shutdown: shutdown.clone(),
        };
        let workers = listeners
            .by_worker
            .into_iter()
            .map(|listeners| parts.worker(settings, listeners))
            .collect();
        Ok(Self {
            plain,
            tls,
            workers,
            certificates,
            shutdown,
        })
    }

    /// Where plain HTTP is served, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.plain
    }

    /// Where HTTPS is served, in the order of the configuration.
    #[must_use]
    pub fn local_tls_addrs(&self) -> &[SocketAddr] {
        &self.tls
    }

    /// Serves until `shutdown`, then drains: no new connections, requests on
    /// their way finish within the configured time.
    ///
    /// # Errors
    /// A worker cannot be started, or ended by itself; the others are stopped.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), HttpError> {
        // Ours is cancelled by the caller's, and also when this future is dropped.
        let _stop_on_drop = self.shutdown.clone().drop_guard();
        if let Some(store) = self.certificates {
            watch_certificates(store, &self.shutdown);
        }
        let mut ends = Vec::with_capacity(self.workers.len());
        for (number, worker) in self.workers.into_iter().enumerate() {
            ends.push(start(number, worker)?);
        }
        let stop = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = shutdown.cancelled() => stop.cancel(),
                () = stop.cancelled() => {}
            }
        });
        let mut first_error = None;
        for (worker, end) in ends.into_iter().enumerate() {
            let outcome = match end.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(source)) => Err(HttpError::Worker { worker, source }),
                Err(_) => Err(HttpError::WorkerLost { worker }),
            };
            if let Err(error) = outcome {
                self.shutdown.cancel();
                first_error.get_or_insert(error);
            }
        }
        first_error.map_or(Ok(()), Err)
    }
}

/// The listeners of all workers.
#[derive(Default)]
struct Listeners {
    by_worker: Vec<Vec<Listener>>,
}

impl Listeners {
    /// Opens each address once per worker; says where they are.
    fn bind(
        &mut self,
        addresses: &[SocketAddr],
        tls: Option<&TlsAcceptor>,
        workers: usize,
    ) -> Result<Vec<SocketAddr>, HttpError> {
        self.by_worker.resize_with(workers, Vec::new);
        let sharing = if workers > 1 {
            PortSharing::Shared
        } else {
            PortSharing::Exclusive
        };
        let options = BindOptions {
            sharing,
            ..BindOptions::default()
        };
        let mut bound = Vec::with_capacity(addresses.len());
        for &configured in addresses {
            // The first worker settles what port 0 means for the others.
            let mut address = configured;
            for listeners in &mut self.by_worker {
                let socket = open(address, options)?;
                address = socket
                    .local_addr()
                    .map_err(|source| HttpError::Socket { address, source })?;
                let tls = tls.cloned();
                listeners.push(Listener { socket, tls });
            }
            bound.push(address);
        }
        Ok(bound)
    }
}

/// A socket that belongs to no runtime yet: each worker has its own.
fn open(address: SocketAddr, options: BindOptions) -> Result<StdListener, HttpError> {
    bind_tcp(address, options)?
        .into_std()
        .map_err(|source| HttpError::Socket { address, source })
}

fn demand(clients: &ClientsConfig) -> Demand {
    match clients.demand {
        ClientDemand::Optional => Demand::Optional,
        ClientDemand::Required => Demand::Required,
    }
}

/// What all workers are made from.
struct Parts {
    view: View<Table>,
    certificates: Option<Arc<CertStore>>,
    limit: ConnectionLimit,
    recorder: Recorder,
    metrics: HttpMetrics,
    shutdown: CancellationToken,
}

impl Parts {
    fn worker(&self, settings: &HttpSettings, listeners: Vec<Listener>) -> Worker {
        let common = Arc::new(Common {
            view: self.view.clone(),
            trusted: settings.trusted.clone(),
            client_from: settings.client_from,
            certificates: self.certificates.clone(),
            decision_headers: settings.decision_headers,
            body_timeout: settings.body_timeout,
            // Random per process and worker, so that ids of nodes do not meet.
            ids: DecisionIds::new(RandomState::new().hash_one(listeners.len())),
            metrics: self.metrics.clone(),
            recorder: self.recorder.clone(),
        });
        let proxy = Proxy {
            common: Arc::clone(&common),
            tunnel_timeout: settings.tunnel_timeout,
            upstream_idle_timeout: settings.upstream_idle_timeout,
        };
        let (stop_sender, stopping) = latest::channel(false);
        let proxy = pingora(settings, proxy);
        Worker {
            listeners,
            shared: Shared::new(settings, proxy, common, self.metrics.clone(), stopping),
            stop_sender,
            limit: self.limit.clone(),
            drain: settings.drain,
            shutdown: self.shutdown.clone(),
        }
    }
}

/// pingora's proxy, with its own pool of upstream connections.
fn pingora(settings: &HttpSettings, inner: Proxy) -> HttpProxy<Proxy> {
    let configuration = ServerConf {
        threads: 1,
        upstream_keepalive_pool_size: settings.upstream_idle_max,
        // A fail-safe: our own bound is lower.
        max_retries: ATTEMPTS_MAX + 2,
        ..ServerConf::default()
    };
    let mut proxy = HttpProxy::new(inner, Arc::new(configuration));
    proxy.handle_init_modules();
    let mut options = HttpServerOptions::default();
    options.h2_idle_timeout = Some(settings.keepalive_timeout);
    proxy.server_options = Some(options);
    let mut h2 = default_h2_options();
    h2.max_concurrent_streams(settings.h2_streams_max);
    h2.max_header_list_size(u32::try_from(settings.head_bytes_max).unwrap_or(u32::MAX));
    proxy.h2_options = Some(h2);
    proxy
}

fn follow(
    settings: &HttpSettings,
    plan: &PlanHandle,
    reports: Arc<dyn PassiveSink>,
    metrics: HttpMetrics,
    shutdown: &CancellationToken,
) -> View<Table> {
    let thresholds = settings.ejection;
    // Only the plan is followed; the channel is for those who follow something beside it.
    let (never, also) = latest::channel(0);
    View::follow_both(
        plan,
        also,
        move |published, before: Option<Arc<Table>>| {
            let _kept_open = &never;
            let (before, reports) = (before.as_deref(), Arc::clone(&reports));
            Table::derive(published, before, &metrics, thresholds, reports)
        },
        shutdown.clone(),
    )
}

/// Without a watch the certificates in use stay; that is worth a warning, not a
/// refusal to serve.
fn watch_certificates(store: Arc<CertStore>, shutdown: &CancellationToken) {
    match CertWatcher::new(store) {
        Ok(watcher) => {
            tokio::spawn(watcher.run(shutdown.clone()));
        }
        Err(error) => tracing::warn!(%error, "certificates will not be reloaded"),
    }
}

fn start(number: usize, worker: Worker) -> Result<oneshot::Receiver<io::Result<()>>, HttpError> {
    let (report, end) = oneshot::channel();
    std::thread::Builder::new()
        .name(format!("http-{number}"))
        .spawn(move || {
            // Nobody listens any more when `run` was dropped.
            let _ = report.send(worker.run());
        })
        .map_err(|source| HttpError::Worker {
            worker: number,
            source,
        })?;
    Ok(end)
}
