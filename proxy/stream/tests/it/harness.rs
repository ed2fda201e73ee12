//! A world of endpoints on loopback and a stream proxy in front of them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meridian_engine::{ClassTable, Policy, PolicySet, World};
use meridian_live::{PassiveReport, PlanHandle};
use meridian_stream::{BoundListener, StreamConfig, StreamParts, StreamServer, Transport};
use meridian_telemetry::access::AccessTarget;
use meridian_telemetry::{AccessLog, AccessLogConfig, DecisionLog, DecisionLogConfig, Metrics};
use meridian_topology::{SourceFile, Topology};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Far beyond what any step of these tests takes.
pub const AMPLE: Duration = Duration::from_secs(30);

/// Waits for a future that must end.
pub async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(AMPLE, future)
        .await
        .expect("did not end in ample time")
}

/// Polls until a condition holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(
        tokio::time::timeout(AMPLE, wait).await.is_ok(),
        "never: {what}"
    );
}

/// A topology with one region for every group of endpoints, nearest first,
/// and the given services. `any` as a port becomes port 0, which text may not
/// say: the kernel's choice, so that tests never meet.
pub fn topology(regions: &[&[SocketAddr]], services: &str) -> Topology {
    let numbered: Vec<_> = regions.iter().copied().enumerate().collect();
    topology_numbered(&numbered, services)
}

/// As [`topology`], in the order given, with names after the numbers given.
pub fn topology_numbered(regions: &[(usize, &[SocketAddr])], services: &str) -> Topology {
    let mut text = String::from("regions:\n");
    for (at, endpoints) in regions {
        let latitude = 10 * at;
        let _ = write!(
            text,
            "  - id: region-{at}\n    location: {{ country: DE, latitude: {latitude}, longitude: 0, provider: own }}\n    priority: {at}\n    endpoints:\n"
        );
        for (nth, address) in endpoints.iter().enumerate() {
            let (ip, port) = (address.ip(), address.port());
            let names = service_names(services);
            let _ = writeln!(
                text,
                "      - {{ id: e{at}-{nth}, address: \"{ip}\", port: {port}, services: [{names}] }}"
            );
        }
    }
    text.push_str("services:\n");
    let mut placeholder = 1;
    for line in services.lines() {
        let _ = writeln!(
            text,
            "{}",
            line.replace(":any\"", &format!(":{placeholder}\""))
        );
        placeholder += 1;
    }
    let file = SourceFile {
        name: "topology.yaml".to_owned(),
        text,
    };
    let mut topology = Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
    let listens = topology.services.iter_mut().flat_map(|service| {
        let tcp = service.tcp.iter_mut().map(|port| &mut port.listen);
        tcp.chain(service.udp.iter_mut().map(|port| &mut port.listen))
    });
    for listen in listens.filter(|listen| listen.port() < placeholder) {
        listen.set_port(0);
    }
    topology
}

fn service_names(services: &str) -> String {
    let ids = services
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- id: "));
    ids.collect::<Vec<_>>().join(", ")
}

/// Every client is unknown, every service goes to the nearest region.
pub fn world(topology: Topology) -> World {
    let ids = topology
        .services
        .iter()
        .map(|service| service.policy.clone());
    let policies = PolicySet::new(ids.map(Policy::nearest));
    World::new(
        Arc::new(topology),
        Arc::new(policies),
        Arc::new(ClassTable::unknown()),
    )
}

/// A service `echo` with one TCP port and these options.
pub fn tcp_service(options: &str) -> String {
    format!(
        "  - id: echo\n    policy: echo\n    tcp:\n      - {{ listen: \"127.0.0.1:any\"{options} }}"
    )
}

/// A service `echo` with one UDP port and these options.
pub fn udp_service(options: &str) -> String {
    format!(
        "  - id: echo\n    policy: echo\n    udp:\n      - {{ listen: \"127.0.0.1:any\"{options} }}"
    )
}

/// A running proxy.
pub struct Proxy {
    pub plan: PlanHandle,
    pub bound: watch::Receiver<Vec<BoundListener>>,
    pub metrics: Metrics,
    pub reports: Arc<Mutex<Vec<PassiveReport>>>,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<()>,
    access: AccessLog,
    decisions: DecisionLog,
    logs: TempDir,
}

impl Proxy {
    pub fn start(world: World, config: StreamConfig) -> Self {
        let logs = TempDir::new().unwrap();
        let metrics = Metrics::new();
        let access = AccessLogConfig {
            to: AccessTarget::File(logs.path().join("access.log")),
            ..AccessLogConfig::default()
        };
        let decisions = DecisionLogConfig {
            directory: Some(logs.path().join("decisions")),
            sample_rate: 1.0,
            ..DecisionLogConfig::default()
        };
        let access = AccessLog::start(&access, &metrics).unwrap();
        let decisions = DecisionLog::start(&decisions, &metrics).unwrap();
        let plan = PlanHandle::fixed(world);
        let reports: Arc<Mutex<Vec<PassiveReport>>> = Arc::default();
        let sink = Arc::clone(&reports);
        let parts = StreamParts {
            plan: plan.clone(),
            report: Arc::new(move |report| sink.lock().unwrap().push(report)),
            metrics: metrics.clone(),
            access: access.clone(),
            decisions: decisions.clone(),
        };
        let server = StreamServer::bind(config, parts).unwrap();
        let bound = server.watch_addrs();
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server.run(shutdown.clone()));
        Self {
            plan,
            bound,
            metrics,
            reports,
            shutdown,
            running,
            access,
            decisions,
            logs,
        }
    }

    /// The only port of a transport.
    pub fn address(&self, transport: Transport) -> SocketAddr {
        let bound = self.bound.borrow();
        let mut of = bound
            .iter()
            .filter(|listener| listener.transport == transport);
        let found = of.next().unwrap().address;
        assert!(of.next().is_none(), "several {transport} ports");
        found
    }

    pub fn tcp(&self) -> SocketAddr {
        self.address(Transport::Tcp)
    }

    /// The port of a service.
    pub fn port_of(&self, service: &str) -> Option<SocketAddr> {
        let bound = self.bound.borrow();
        let found = bound
            .iter()
            .find(|listener| listener.service.as_str() == service);
        found.map(|listener| listener.address)
    }

    /// The value of one line of `/metrics`; 0 when it is not there.
    pub fn metric(&self, name_and_labels: &str) -> f64 {
        let text = self.metrics.render().unwrap();
        let value = text
            .lines()
            .find_map(|line| line.strip_prefix(name_and_labels));
        value.map_or(0.0, |value| value.trim().parse().unwrap())
    }

    /// The access log so far, parsed.
    pub fn access(&self) -> Vec<serde_json::Value> {
        self.access.flush();
        let text = std::fs::read_to_string(self.logs.path().join("access.log")).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The decision log so far.
    pub fn decisions(&self) -> Vec<meridian_telemetry::Decision> {
        self.decisions.flush();
        let folder: PathBuf = self.logs.path().join("decisions");
        let files = meridian_telemetry::decision::decision_files(&folder).unwrap();
        let read = files
            .iter()
            .map(|file| meridian_telemetry::read_decisions(file).unwrap());
        read.flatten().collect()
    }

    /// Shuts down and waits for the end.
    pub async fn stop(self) {
        self.shutdown.cancel();
        soon(self.running).await.unwrap();
    }
}

/// What an endpoint saw of one connection: everything until the client's end.
pub type Seen = Vec<u8>;

/// A TCP endpoint that echoes, and reports each connection's bytes when the
/// client's side has ended.
pub async fn echo() -> (SocketAddr, mpsc::UnboundedReceiver<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut seen = Seen::new();
                let mut buffer = vec![0; 64 * 1024];
                loop {
                    match stream.read(&mut buffer).await {
                        Ok(0) | Err(_) => break,
                        Ok(read) => {
                            seen.extend_from_slice(&buffer[..read]);
                            if stream.write_all(&buffer[..read]).await.is_err() {
                                break;
                            }
                        }
                    }
                }
                let _ = sender.send(seen);
            });
        }
    });
    (address, receiver)
}

/// An address that refuses connections: it was free a moment ago, and the
/// socket that is returned keeps others from taking it.
pub fn refusing() -> (SocketAddr, tokio::net::TcpSocket) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// Sends, ends the sending side, and returns all that comes back.
pub async fn exchange(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(answer)
    };
    soon(work).await
}

/// Whether the proxy closes a connection without a byte, whatever is sent.
pub async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    // A close with unread bytes is a reset, which is an error here.
    !matches!(soon(stream.read(&mut byte)).await, Ok(1))
}
