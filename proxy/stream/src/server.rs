//! The room's front: opens the ports a plan names, follows later plans, drains.
//!
//! Ports are told apart by transport and address. A plan that keeps a port
//! keeps its socket: a changed service or option is handed to the port's task
//! and holds for the next connection. A port that a plan does not name any more
//! stops accepting; its TCP connections end by themselves, its UDP sessions at
//! once, since their socket goes with it. Other ports notice nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use meridian_accept::{BindError, BindOptions, ConnectionLimit, bind_tcp, bind_udp};
use meridian_live::PlanHandle;
use meridian_telemetry::{AccessLog, DecisionLog, MetricError, Metrics};
use meridian_topology::ServiceId;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::config::{ConfigError, StreamConfig};
use crate::listener::{Key, Spec, TcpSpec, Transport, UdpSpec, wanted};
use crate::metrics::StreamMetrics;
use crate::passive::{Passive, Reporter};
use crate::shared::{Shared, decision_ids};
use crate::{tcp, udp};

/// Wait before a port that could not be opened is tried again.
pub const RETRY_BIND: Duration = Duration::from_secs(1);

/// Where streams get their plans and leave their traces.
#[derive(Clone)]
pub struct StreamParts {
    /// The plan in force.
    pub plan: PlanHandle,
    /// Who hears of endpoints that fail; must not block (`LiveHandle::report`).
    pub report: Reporter,
    /// The process's metrics.
    pub metrics: Metrics,
    /// The process's access log.
    pub access: AccessLog,
    /// The process's decision log.
    pub decisions: DecisionLog,
}

/// The stream proxy could not start.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// A configured value is outside its bounds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A port of the first plan cannot be opened.
    #[error("service {service}: {source}")]
    Bind {
        /// Whose port.
        service: ServiceId,
        /// What the kernel said.
        #[source]
        source: BindError,
    },
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// An open port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BoundListener {
    /// Whose it is.
    pub service: ServiceId,
    /// What it carries.
    pub transport: Transport,
    /// Where it is open; with the port the kernel chose for port 0.
    pub address: SocketAddr,
}

/// The stream proxy. Ports are open from [`StreamServer::bind`] on; dropping
/// the server cuts everything.
#[derive(Debug)]
pub struct StreamServer {
    shared: Arc<Shared>,
    open: BTreeMap<Key, Open>,
    failed: usize,
    sequence: watch::Receiver<u64>,
    bound: watch::Sender<Vec<BoundListener>>,
    _cut_on_drop: DropGuard,
}

/// A port's task as the server sees it.
#[derive(Debug)]
struct Open {
    service: ServiceId,
    address: SocketAddr,
    spec: SpecSender,
    closing: CancellationToken,
    /// Ends UDP sessions; TCP connections only listen to the server's.
    cut: CancellationToken,
}

#[derive(Debug)]
enum SpecSender {
    Tcp(watch::Sender<Arc<TcpSpec>>),
    Udp(watch::Sender<UdpSpec>),
}

impl StreamServer {
    /// Opens every port of the plan in force and begins to serve. Call it
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// The configuration is out of bounds, or a port cannot be opened: at the
    /// start that is a mistake to show, later it is tried again.
    pub fn bind(config: StreamConfig, parts: StreamParts) -> Result<Self, StreamError> {
        let settings = config.validate()?;
        let cut = CancellationToken::new();
        // Subscribed before the first load: a plan in between is not missed.
        let sequence = parts.plan.subscribe();
        let shared = Arc::new(Shared {
            limit: ConnectionLimit::new(settings.connections),
            settings,
            plan: parts.plan,
            passive: Passive::new(parts.report),
            metrics: StreamMetrics::register(&parts.metrics)?,
            access: parts.access,
            decisions: parts.decisions,
            ids: decision_ids(),
            tasks: TaskTracker::new(),
            cut: cut.clone(),
        });
        let mut server = Self {
            shared,
            open: BTreeMap::new(),
            failed: 0,
            sequence,
            bound: watch::Sender::default(),
            _cut_on_drop: cut.drop_guard(),
        };
        for (key, spec) in wanted(&server.shared.plan.full()) {
            server.open(key, spec)?;
        }
        server.publish();
        Ok(server)
    }

    /// The ports open now, in a fixed order.
    #[must_use]
    pub fn local_addrs(&self) -> Vec<BoundListener> {
        self.bound.borrow().clone()
    }

    /// The ports open now and after each change.
    #[must_use]
    pub fn watch_addrs(&self) -> watch::Receiver<Vec<BoundListener>> {
        self.bound.subscribe()
    }

    /// Follows the plan until `shutdown`, then stops accepting, gives open
    /// connections the configured time to finish, and cuts the rest.
    pub async fn run(mut self, shutdown: CancellationToken) {
        loop {
            let retry = tokio::time::sleep(RETRY_BIND);
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = retry, if self.failed > 0 => {}
                changed = self.sequence.changed() => if changed.is_err() {
                    // The writer is gone; the last plan outlives it.
                    shutdown.cancelled().await;
                    break;
                },
            }
            self.reconcile();
        }
        self.drain().await;
    }

    /// Opens, changes and closes ports until they are those of the newest plan.
    fn reconcile(&mut self) {
        let wanted = wanted(&self.shared.plan.full());
        self.open.retain(|key, open| {
            let keep = wanted.contains_key(key);
            if !keep {
                tracing::info!(transport = %key.transport, listen = %open.address, "listener closed");
                open.closing.cancel();
                open.cut.cancel();
            }
            keep
        });
        let failed_before = self.failed;
        self.failed = 0;
        for (key, spec) in wanted {
            if let Some(open) = self.open.get_mut(&key) {
                open.update(spec);
            } else if let Err(error) = self.open(key, spec) {
                self.failed += 1;
                if failed_before == 0 {
                    tracing::error!(%error, "listener not opened; trying again");
                }
            }
        }
        self.publish();
    }

    fn publish(&self) {
        let bound: Vec<BoundListener> = self
            .open
            .iter()
            .map(|(key, open)| BoundListener {
                service: open.service.clone(),
                transport: key.transport,
                address: open.address,
            })
            .collect();
        let metrics = &self.shared.metrics;
        metrics.listeners.set(as_gauge(bound.len()));
        metrics.listeners_failed.set(as_gauge(self.failed));
        self.bound.send_if_modified(|current| {
            let changed = *current != bound;
            *current = bound;
            changed
        });
    }

    fn open(&mut self, key: Key, spec: Spec) -> Result<(), StreamError> {
        let Some(service) = spec.service().cloned() else {
            // A port exists because some service wants it.
            return Ok(());
        };
        let failed = |source| StreamError::Bind {
            service: service.clone(),
            source,
        };
        let open = match spec {
            Spec::Tcp(spec) => {
                let listener = bind_tcp(key.listen, BindOptions::default()).map_err(failed)?;
                self.spawn_tcp(listener, spec, service.clone())
            }
            Spec::Udp(spec) => {
                let socket = bind_udp(key.listen, BindOptions::default()).map_err(failed)?;
                self.spawn_udp(socket, spec)
            }
        };
        let open = open.map_err(|source| {
            failed(BindError {
                transport: key.transport.as_str(),
                address: key.listen,
                source,
            })
        })?;
        tracing::info!(transport = %key.transport, listen = %open.address, %service, "listening");
        self.open.insert(key, open);
        Ok(())
    }

    fn spawn_tcp(
        &self,
        listener: TcpListener,
        spec: Arc<TcpSpec>,
        service: ServiceId,
    ) -> io::Result<Open> {
        let address = listener.local_addr()?;
        let (closing, cut) = (CancellationToken::new(), self.shared.cut.child_token());
        let (sender, receiver) = watch::channel(spec);
        let shared = Arc::clone(&self.shared);
        let task = tcp::serve(shared, listener, address, receiver, closing.clone());
        self.shared.tasks.spawn(task);
        Ok(Open {
            service,
            address,
            spec: SpecSender::Tcp(sender),
            closing,
            cut,
        })
    }

    fn spawn_udp(&self, socket: UdpSocket, spec: UdpSpec) -> io::Result<Open> {
        let address = socket.local_addr()?;
        let (closing, cut) = (CancellationToken::new(), self.shared.cut.child_token());
        let service = spec.service.clone();
        let (sender, receiver) = watch::channel(spec);
        let port = udp::Port {
            shared: Arc::clone(&self.shared),
            socket: Arc::new(socket),
            listen: address,
            spec: receiver,
            closing: closing.clone(),
            cut: cut.clone(),
        };
        self.shared.tasks.spawn(port.serve());
        Ok(Open {
            service,
            address,
            spec: SpecSender::Udp(sender),
            closing,
            cut,
        })
    }

    async fn drain(self) {
        for open in self.open.values() {
            open.closing.cancel();
        }
        let tasks = &self.shared.tasks;
        tasks.close();
        let deadline = self.shared.settings.drain;
        if tokio::time::timeout(deadline, tasks.wait()).await.is_err() {
            tracing::info!(
                open = tasks.len(),
                "drain deadline passed; cutting what is open"
            );
            self.shared.cut.cancel();
            tasks.wait().await;
        }
    }
}

impl Open {
    fn update(&mut self, spec: Spec) {
        if let Some(service) = spec.service() {
            self.service = service.clone();
        }
        match (&self.spec, spec) {
            (SpecSender::Tcp(sender), Spec::Tcp(spec)) => replace(sender, spec),
            (SpecSender::Udp(sender), Spec::Udp(spec)) => replace(sender, spec),
            // The transport is part of the key under which this was found.
            (SpecSender::Tcp(_), Spec::Udp(_)) | (SpecSender::Udp(_), Spec::Tcp(_)) => {}
        }
    }
}

fn replace<T: PartialEq>(sender: &watch::Sender<T>, spec: T) {
    sender.send_if_modified(|current| {
        let changed = *current != spec;
        *current = spec;
        changed
    });
}

fn as_gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
