//! A node's writer over a temporary deployment directory.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian_engine::{ClientKey, Pick};
use meridian_live::{GeoSources, LiveConfig, LiveError, LiveHandle};
use meridian_store::{Embedded, Store};
use meridian_telemetry::Metrics;
use meridian_topology::EndpointId;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Generous: a condition that does not come true within this time is broken, not slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two regions of one endpoint each, with TCP checks of the given addresses.
pub fn topology(near: SocketAddr, far: SocketAddr, extra: &str) -> String {
    format!(
        "{extra}
regions:
  - id: near
    location: {{ region: near, country: DE, latitude: 50.1, longitude: 8.7, provider: aws }}
    endpoints: [{{ id: near-1, address: {}, port: {}, services: [shop] }}]
  - id: far
    location: {{ region: far, country: US, latitude: 38.9, longitude: -77.4, provider: aws }}
    endpoints: [{{ id: far-1, address: {}, port: {}, services: [shop] }}]
services:
  - id: shop
    policy: nearest
    health_checks: [{{ tcp: {{}}, interval: \"50ms\", timeout: \"40ms\" }}]
client_groups: [{{ id: office, cidrs: [203.0.113.0/24], country: DE }}]
",
        near.ip(),
        near.port(),
        far.ip(),
        far.port()
    )
}

pub const NEAREST: &str =
    "policy: nearest\nscore:\n  - geographic: { weight: 1.0 }\nfailover: { min_live_regions: 1 }\n";
pub const FAR_FIRST: &str =
    "policy: nearest\ntiers:\n  - [far]\nscore:\n  - geographic: { weight: 1.0 }\n";

/// Two listeners that stand for endpoints.
pub struct Endpoints {
    pub near: Option<TcpListener>,
    pub far: Option<TcpListener>,
}

impl Endpoints {
    pub fn open() -> Self {
        let open = || Some(TcpListener::bind("127.0.0.1:0").unwrap());
        Self {
            near: open(),
            far: open(),
        }
    }

    pub fn addresses(&self) -> (SocketAddr, SocketAddr) {
        let of = |listener: &Option<TcpListener>| listener.as_ref().unwrap().local_addr().unwrap();
        (of(&self.near), of(&self.far))
    }
}

/// A running writer.
pub struct Rig {
    pub folder: TempDir,
    pub endpoints: Endpoints,
    pub live: LiveHandle,
    pub store: Arc<dyn Store>,
    pub metrics: Metrics,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl Rig {
    /// A fresh directory with [`NEAREST`] and an empty store in memory.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with `extra` at the topology's top.
    pub async fn start_with(extra: &str) -> Self {
        let (folder, endpoints) = (TempDir::new().unwrap(), Endpoints::open());
        let (near, far) = endpoints.addresses();
        write(folder.path(), "topology.yaml", &topology(near, far, extra));
        write(folder.path(), "policies/nearest.yaml", NEAREST);
        let store = Arc::new(Embedded::in_memory().await.unwrap());
        Self::over(folder, endpoints, store).await.unwrap()
    }

    /// A writer over what is there.
    pub async fn over(
        folder: TempDir,
        endpoints: Endpoints,
        store: Arc<dyn Store>,
    ) -> Result<Self, LiveError> {
        Self::with_geo(folder, endpoints, store, GeoSources::default()).await
    }

    /// The same with sources of classes.
    pub async fn with_geo(
        folder: TempDir,
        endpoints: Endpoints,
        store: Arc<dyn Store>,
        geo: GeoSources,
    ) -> Result<Self, LiveError> {
        let (metrics, tasks, shutdown) =
            (Metrics::new(), TaskTracker::new(), CancellationToken::new());
        let has_topology = folder.path().join("topology.yaml").exists();
        let config = LiveConfig {
            directory: has_topology.then(|| folder.path().to_path_buf()),
            models: Some(folder.path().join("models")),
            state: Some(folder.path().to_path_buf()),
            geo,
            ..LiveConfig::default()
        };
        let live = meridian_live::start(
            config,
            Arc::clone(&store),
            &metrics,
            &tasks,
            shutdown.clone(),
        )
        .await?;
        Ok(Self {
            folder,
            endpoints,
            live,
            store,
            metrics,
            tasks,
            shutdown,
        })
    }

    /// Writes a file of the deployment, as an editor would.
    pub fn edit(&self, name: &str, text: &str) {
        write(self.folder.path(), name, text);
    }

    /// Where the office is sent at this moment.
    pub fn pick(&self) -> Option<EndpointId> {
        self.pick_for("203.0.113.9")
    }

    /// Where a client is sent at this moment.
    pub fn pick_for(&self, client: &str) -> Option<EndpointId> {
        let published = self.live.plan().load();
        let topology = &published.world.topology;
        let service = topology.service(&"shop".parse().unwrap()).unwrap();
        let client = client.parse().unwrap();
        let class = published.world.classes.lookup(client).class;
        let key = ClientKey::from_client_prefix(client);
        let pick: Option<Pick> = published.plan.pick(service, class, key, &published.bits);
        pick.map(|pick| topology.endpoints[pick.endpoint.index()].id.clone())
    }

    /// Waits until the office is sent to `endpoint`.
    pub async fn until_picked(&self, endpoint: &str) {
        self.until(endpoint, || {
            self.pick().is_some_and(|id| id.as_str() == endpoint)
        })
        .await;
    }

    /// Waits until `holds`.
    pub async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let started = Instant::now();
        while !holds() {
            assert!(
                started.elapsed() < PATIENCE,
                "never: {what}; status {:#?}",
                self.live.status()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops the tasks and hands folder, listeners and store to the next writer.
    pub async fn stop(self) -> (TempDir, Endpoints, Arc<dyn Store>) {
        self.shutdown.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        (self.folder, self.endpoints, self.store)
    }
}

pub fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, text).unwrap();
}
