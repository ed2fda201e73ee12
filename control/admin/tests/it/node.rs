//! One node without data planes: the demo's deployment, its endpoints played by open ports.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_admin::{AdminConfig, AdminServer};
use meridian_live::{LiveConfig, LiveHandle};
use meridian_store::Embedded;
use meridian_telemetry::Metrics;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::wire::{Answer, PATIENCE, exchange, request};

const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../config/examples/demo");
/// Every address that the example's endpoints have.
const ENDPOINTS: &[[u8; 2]] = &[
    [1, 1],
    [1, 2],
    [1, 3],
    [2, 1],
    [2, 2],
    [3, 1],
    [3, 2],
    [3, 3],
    [4, 1],
    [4, 2],
    [5, 1],
    [5, 2],
];

/// A node under test.
pub struct Node {
    _folder: TempDir,
    pub address: SocketAddr,
    pub socket: PathBuf,
    pub live: LiveHandle,
    pub metrics: Metrics,
    origins: BTreeMap<Ipv4Addr, JoinHandle<()>>,
    config: AdminConfig,
    running: JoinHandle<()>,
    admin_stop: CancellationToken,
    _all_stop: tokio_util::sync::DropGuard,
}

impl Node {
    /// Starts everything, with room for two event streams.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, origins) = origins().await;
        write_deployment(folder.path(), port);
        let state = folder.path().join("state");
        std::fs::create_dir(&state).unwrap();
        let metrics = Metrics::new();
        let all_stop = CancellationToken::new();
        let store = Arc::new(Embedded::in_memory().await.unwrap());
        let config = LiveConfig {
            directory: Some(folder.path().to_path_buf()),
            ..LiveConfig::default()
        };
        let tasks = TaskTracker::new();
        let live = meridian_live::start(config, store, &metrics, &tasks, all_stop.clone())
            .await
            .unwrap();
        let mut config = AdminConfig {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            hosts: vec!["admin.example".into()],
            event_streams: 2,
            ..AdminConfig::default()
        };
        config.relative_to(&state);
        let admin_stop = CancellationToken::new();
        let (address, running) = serve(&config, &live, &metrics, &admin_stop).await;
        Self {
            address,
            socket: config.socket.clone().unwrap(),
            _folder: folder,
            live,
            metrics,
            origins,
            config,
            running,
            admin_stop,
            _all_stop: all_stop.drop_guard(),
        }
    }

    /// Closes an endpoint's port.
    pub async fn kill(&mut self, address: [u8; 4]) {
        let origin = self.origins.remove(&Ipv4Addr::from(address)).unwrap();
        origin.abort();
        let _aborted = origin.await;
    }

    /// Ends the admin API and starts it again on the same files.
    pub async fn restart_admin(&mut self) {
        self.stop_admin().await;
        self.admin_stop = CancellationToken::new();
        (self.address, self.running) =
            serve(&self.config, &self.live, &self.metrics, &self.admin_stop).await;
    }

    /// Ends the admin API.
    pub async fn stop_admin(&mut self) {
        self.admin_stop.cancel();
        tokio::time::timeout(PATIENCE, &mut self.running)
            .await
            .expect("it stops")
            .unwrap();
    }

    /// The file of the bearer token.
    pub fn token_file(&self) -> PathBuf {
        self.config.token_file.clone().unwrap()
    }

    /// Sends a request as it stands over TCP.
    pub async fn raw(&self, text: &str) -> Answer {
        exchange(TcpStream::connect(self.address).await.unwrap(), text).await
    }

    /// Sends `text`, then nothing, and reads until the node closes the connection.
    pub async fn closes(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut said = String::new();
        let read = stream.read_to_string(&mut said);
        tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
        said
    }

    /// Reads over TCP.
    pub async fn get(&self, path: &str) -> Answer {
        self.raw(&request("GET", path, &[("Host", "localhost")], ""))
            .await
    }

    /// Reads JSON over TCP.
    pub async fn facts(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        answer.expect(200, "");
        answer.json()
    }

    /// Changes something over TCP, with the node's token.
    pub async fn change(&self, method: &str, path: &str, body: &str) -> Answer {
        let token = std::fs::read_to_string(self.token_file()).unwrap();
        self.change_as(method, path, body, &format!("Bearer {token}"))
            .await
    }

    /// Changes something over TCP, presenting `authorization`.
    pub async fn change_as(
        &self,
        method: &str,
        path: &str,
        body: &str,
        authorization: &str,
    ) -> Answer {
        let fields = [
            ("Host", "localhost"),
            ("Content-Type", "application/json"),
            ("Authorization", authorization),
        ];
        let named = &fields[..if authorization.is_empty() { 2 } else { 3 }];
        self.raw(&request(method, path, named, body)).await
    }

    /// Sends a request over the Unix socket.
    pub async fn over_socket(&self, method: &str, path: &str, body: &str) -> Answer {
        let stream = UnixStream::connect(&self.socket).await.unwrap();
        let fields = [("Host", "node"), ("Content-Type", "application/json")];
        exchange(stream, &request(method, path, &fields, body)).await
    }

    /// Waits until the status fulfils `holds`.
    pub async fn until(&self, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let mut status = self.live.watch_status();
        let wait = async {
            loop {
                let now = serde_json::to_value(&**status.borrow_and_update()).unwrap();
                if holds(&now) {
                    return now;
                }
                status.changed().await.unwrap();
            }
        };
        match tokio::time::timeout(PATIENCE, wait).await {
            Ok(status) => status,
            Err(_) => panic!("never: {what}"),
        }
    }
}

async fn serve(
    config: &AdminConfig,
    live: &LiveHandle,
    metrics: &Metrics,
    stop: &CancellationToken,
) -> (SocketAddr, JoinHandle<()>) {
    let server = AdminServer::bind(config, live.clone(), None, metrics.clone())
        .await
        .unwrap();
    let address = server.local_addrs()[0].parse().unwrap();
    (address, tokio::spawn(server.run(stop.clone())))
}

/// One port, open on every address of the example's endpoints.
async fn origins() -> (u16, BTreeMap<Ipv4Addr, JoinHandle<()>>) {
    let addresses = ENDPOINTS
        .iter()
        .map(|[region, endpoint]| Ipv4Addr::new(127, 10, *region, *endpoint));
    'ports: loop {
        let mut port = 0;
        let mut listeners = Vec::new();
        for address in addresses.clone() {
            // A port that is free on one address may be taken on the next.
            let Ok(listener) = TcpListener::bind((address, port)).await else {
                continue 'ports;
            };
            port = listener.local_addr().unwrap().port();
            listeners.push((address, listener));
        }
        let opened = listeners
            .into_iter()
            .map(|(address, listener)| (address, tokio::spawn(accept(listener))));
        return (port, opened.collect());
    }
}

async fn accept(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream);
    }
}

/// The example with checks that an open port fulfils, and a shop that wants all its regions.
fn write_deployment(folder: &Path, port: u16) {
    let read = |name: &str| std::fs::read_to_string(Path::new(EXAMPLE).join(name)).unwrap();
    let replaced = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "the example no longer says {from}");
        text.replace(from, to)
    };
    let topology = replaced(read("topology.yaml"), "http: { path: /healthz }", "tcp: {}");
    let topology = replaced(topology, "port: 18080", &format!("port: {port}"));
    let topology = replaced(topology, "port: 17007", &format!("port: {port}"));
    std::fs::write(folder.join("topology.yaml"), topology).unwrap();
    std::fs::create_dir(folder.join("policies")).unwrap();
    for entry in std::fs::read_dir(Path::new(EXAMPLE).join("policies")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let mut text = read(&format!("policies/{name}"));
        if name == "shop.yaml" {
            text = replaced(text, "failover: {", "failover: { min_live_regions: 5,");
        }
        std::fs::write(folder.join("policies").join(name), text).unwrap();
    }
}
