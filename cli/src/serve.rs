//! `meridian serve`: wires the rooms together and runs them until a signal.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use meridian_admin::{AdminServer, DnsFacts};
use meridian_geodns::DnsServer;
use meridian_geodns::zone::ZoneShelf;
use meridian_http::{HttpServer, HttpTelemetry};
use meridian_live::{LiveConfig, LiveHandle};
use meridian_stream::{StreamParts, StreamServer};
use meridian_telemetry::metrics::BuildInfo;
use meridian_telemetry::{AccessLog, DecisionLog, Metrics};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Deployment, NodeConfig, Role};
use crate::dns_facts::RunningDns;
use crate::failure::Failure;
use crate::signals::Signals;

/// After the servers' own drain deadlines, what still runs is left behind.
const STOP_PATIENCE: Duration = Duration::from_secs(35);

/// A running node.
pub struct Node {
    /// The writer's handle.
    pub live: LiveHandle,
    /// Where everything listens: room and address.
    pub listeners: Vec<(&'static str, String)>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
    decisions: DecisionLog,
    access: AccessLog,
}

impl Node {
    /// Starts everything the deployment asks for.
    ///
    /// # Errors
    /// The first room that cannot start, in words; what had started is stopped.
    pub async fn start(deployment: &Deployment) -> Result<Self, Failure> {
        let node = &deployment.node;
        std::fs::create_dir_all(&node.state).map_err(Failure::at(&node.state))?;
        install_crypto();
        let metrics = Metrics::with_build_info(BuildInfo::current(), crate::unix_seconds())?;
        let access = AccessLog::start(&node.telemetry.access_log, &metrics)?;
        let decisions = DecisionLog::start(&node.telemetry.decision_log, &metrics)?;
        let store = node.store.open().await?;
        let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
        let live = meridian_live::start(
            live_config(deployment),
            store,
            &metrics,
            &tasks,
            shutdown.clone(),
        )
        .await?;
        let mut node = Self {
            live,
            listeners: Vec::new(),
            tasks,
            shutdown,
            decisions,
            access,
        };
        let started = node.start_planes(deployment, &metrics).await;
        if let Err(failure) = started {
            node.stop().await;
            return Err(failure);
        }
        Ok(node)
    }

    async fn start_planes(
        &mut self,
        deployment: &Deployment,
        metrics: &Metrics,
    ) -> Result<(), Failure> {
        let has = |role| deployment.node.roles.contains(&role);
        let mut dns = None;
        if has(Role::Dns) {
            let running = self.start_dns(&deployment.node, metrics)?;
            dns = Some(Arc::new(running) as Arc<dyn DnsFacts>);
        }
        if has(Role::Http) {
            self.start_http(&deployment.node, metrics)?;
        }
        if has(Role::Stream) {
            self.start_streams(&deployment.node, metrics)?;
        }
        let config = &deployment.node.admin;
        let admin = AdminServer::bind(config, self.live.clone(), dns, metrics.clone()).await?;
        self.listen("admin", admin.local_addrs());
        self.tasks.spawn(admin.run(self.shutdown.clone()));
        Ok(())
    }

    fn start_dns(&mut self, node: &NodeConfig, metrics: &Metrics) -> Result<RunningDns, Failure> {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let settings = node.dns.validate(cores)?;
        let server = DnsServer::bind(
            &settings,
            self.live.plan(),
            &ZoneShelf::new(),
            metrics,
            self.decisions.clone(),
        )?;
        self.listen("dns", server.local_addrs());
        let running = RunningDns {
            responder: server.responder(),
            exchange: server.exchange(),
            live: self.live.clone(),
        };
        let shutdown = self.shutdown.clone();
        self.tasks
            .spawn(async move { report("dns", server.run(shutdown).await) });
        Ok(running)
    }

    fn start_http(&mut self, node: &NodeConfig, metrics: &Metrics) -> Result<(), Failure> {
        let settings = node.http.clone().validate().map_err(Failure::all)?;
        let telemetry = HttpTelemetry {
            metrics: metrics.clone(),
            access: self.access.clone(),
            decisions: self.decisions.clone(),
        };
        let server = HttpServer::bind(
            &settings,
            self.live.plan(),
            Arc::new(self.live.clone()),
            telemetry,
        )?;
        self.listen("http", server.local_addrs());
        self.listen("https", server.local_tls_addrs());
        let shutdown = self.shutdown.clone();
        self.tasks
            .spawn(async move { report("http", server.run(shutdown).await) });
        Ok(())
    }

    fn start_streams(&mut self, node: &NodeConfig, metrics: &Metrics) -> Result<(), Failure> {
        let live = self.live.clone();
        let parts = StreamParts {
            plan: self.live.plan().clone(),
            report: Arc::new(move |failing| live.report(failing)),
            metrics: metrics.clone(),
            access: self.access.clone(),
            decisions: self.decisions.clone(),
        };
        let server = StreamServer::bind(node.stream.clone(), parts)?;
        self.listen(
            "stream",
            server.local_addrs().iter().map(|bound| bound.address),
        );
        self.tasks.spawn(server.run(self.shutdown.clone()));
        Ok(())
    }

    fn listen(&mut self, room: &'static str, addresses: impl IntoIterator<Item = impl ToString>) {
        self.listeners.extend(
            addresses
                .into_iter()
                .map(|address| (room, address.to_string())),
        );
    }

    /// Stops gracefully: no new clients, old ones finish within their rooms' deadlines.
    pub async fn stop(self) {
        self.shutdown.cancel();
        self.tasks.close();
        if tokio::time::timeout(STOP_PATIENCE, self.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!("some work did not finish within {STOP_PATIENCE:?}");
        }
        self.decisions.shutdown();
        self.access.shutdown();
    }
}

/// Serves the deployment in `folder` until SIGINT or SIGTERM.
pub async fn run(folder: &Path) -> Result<(), Failure> {
    // From here on a signal is an order to stop, not the end of the process.
    let mut signals = Signals::listen()?;
    let deployment = Deployment::read(folder)?;
    meridian_telemetry::logging::init(&deployment.node.telemetry.log)?;
    let node = tokio::select! {
        started = Node::start(&deployment) => started?,
        () = signals.next() => return Ok(()),
    };
    for (room, address) in &node.listeners {
        tracing::info!(room, %address, "listening");
    }
    // Absent systemd the notification has no socket to go to: nothing to do then.
    let _no_systemd = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    signals.next().await;
    let _no_systemd = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
    tracing::info!("stopping; a second signal stops at once");
    tokio::select! {
        () = node.stop() => {}
        () = signals.next() => {}
    }
    Ok(())
}

/// A room that ends by itself is a fault; the others keep serving.
fn report<E: std::fmt::Display>(room: &str, ended: Result<(), E>) {
    if let Err(error) = ended {
        tracing::error!(room, %error, "a server ended");
    }
}

fn live_config(deployment: &Deployment) -> LiveConfig {
    let node = &deployment.node;
    let has_topology = deployment.folder.join("topology.yaml").exists()
        || deployment.folder.join("topology").is_dir();
    LiveConfig {
        // A node whose directory holds only meridian.yaml serves what the store holds.
        directory: has_topology.then(|| deployment.folder.clone()),
        models: Some(node.models.clone()),
        node: deployment.intent.clone(),
        state: Some(node.state.clone()),
        geo: node.geo.sources(),
        probe: node.probe.clone(),
    }
}

/// One provider for everything that speaks TLS, named here and nowhere else.
fn install_crypto() {
    // A second node in the same process (tests, demo) finds it installed already.
    let _already_installed = rustls::crypto::ring::default_provider().install_default();
}
