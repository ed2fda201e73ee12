//! Two namespaces, a veth pair between them, a server in one and clients in the other.

use std::fmt::Write as _;
use std::fs::File;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsServer};
use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, Metrics};
use nix::sched::{CloneFlags, setns};
use tokio_util::sync::CancellationToken;

use crate::rig::DEADLINE;

/// How long a question that gets no answer is waited for; the next one shows that it was passed over.
const SILENCE: Duration = Duration::from_millis(300);

/// What lies on the veth pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// Nothing.
    Plain,
    /// VLAN 7 on both ends, with tags that XDP sees.
    Vlan,
    /// VLAN 7, with tags taken off before XDP: the default of veth and of many cards.
    StrippedVlan,
}

/// The namespaces; gone with this value.
pub struct Lab {
    server: String,
    client: String,
}

/// What a tool printed; fails if the tool did.
fn run(program: &str, words: &str) -> Result<String, String> {
    let output: Output = Command::new(program)
        .args(words.split(' '))
        .output()
        .map_err(|error| format!("{program}: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program} {words}: {}", said.trim()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Lab {
    /// Makes the namespaces, or says why that cannot be done here.
    pub fn new(link: Link) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let of = |end: &str| format!("mlab-{}-{number}-{end}", std::process::id());
        let lab = Self {
            server: of("s"),
            client: of("c"),
        };
        for tool in ["ethtool --version", "kdig -V", "ping -V"] {
            let (program, words) = tool.split_once(' ').unwrap();
            if run(program, words).is_err() {
                eprintln!(
                    "SKIP: {program} is not installed (ethtool, knot-dnsutils, iputils-ping)"
                );
                return None;
            }
        }
        if let Err(reason) = run("ip", &format!("netns add {}", lab.server)) {
            eprintln!("SKIP: no network namespace can be made here: {reason}");
            return None;
        }
        match lab.wire(link) {
            Ok(()) => Some(lab),
            // A kernel may be built without 802.1Q.
            Err(reason) if link != Link::Plain && reason.contains("Unknown device type") => {
                eprintln!("SKIP: this kernel has no VLAN interfaces");
                None
            }
            Err(reason) => panic!("{reason}"),
        }
    }

    fn wire(&self, link: Link) -> Result<(), String> {
        let Self { server, client } = self;
        run("ip", &format!("netns add {client}"))?;
        run(
            "ip",
            &format!(
                "link add s0 netns {server} numrxqueues 1 numtxqueues 1 type veth \
                 peer name g0 netns {client} numrxqueues 1 numtxqueues 1"
            ),
        )?;
        for (namespace, device, host) in [(server, "s0", 1), (client, "g0", 2)] {
            let ip = |words: String| run("ip", &format!("-n {namespace} {words}"));
            ip("link set lo up".to_owned())?;
            ip(format!("link set {device} up"))?;
            ip(format!("addr add 10.53.0.{host}/24 dev {device}"))?;
            ip(format!("addr add fd53::{host}/64 dev {device} nodad"))?;
            if link == Link::Plain {
                continue;
            }
            if link == Link::Vlan {
                let words =
                    format!("netns exec {namespace} ethtool -K {device} rxvlan off txvlan off");
                run("ip", &words)?;
            }
            ip(format!(
                "link add link {device} name {device}.7 type vlan id 7"
            ))?;
            ip(format!("link set {device}.7 up"))?;
            ip(format!("addr add 10.53.7.{host}/24 dev {device}.7"))?;
            ip(format!("addr add fd53:7::{host}/64 dev {device}.7 nodad"))?;
        }
        Ok(())
    }

    /// Starts a server in its namespace.
    pub fn serve(&self, configure: fn(&mut DnsConfig)) -> Server {
        let has_vlan = self.link("s0.7").contains("s0.7");
        let mut listen = vec!["10.53.0.1:53", "[fd53::1]:53"];
        if has_vlan {
            listen.extend(["10.53.7.1:53", "[fd53:7::1]:53"]);
        }
        let mut config = DnsConfig {
            listen: listen.iter().map(|text| text.parse().unwrap()).collect(),
            workers: Some(std::num::NonZeroUsize::MIN),
            ..DnsConfig::default()
        };
        configure(&mut config);
        let settings = config.validate(std::num::NonZeroUsize::MIN).unwrap();
        let metrics = Metrics::new();
        let shutdown = CancellationToken::new();
        let (say, hear) = mpsc::channel();
        let thread = {
            let (namespace, metrics) = (self.server.clone(), metrics.clone());
            let shutdown = shutdown.clone();
            std::thread::spawn(move || {
                enter(&namespace).unwrap();
                // One thread, so that everything it starts is in the namespace.
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap();
                runtime.block_on(async {
                    let plan = PlanHandle::fixed(world());
                    let shelf = ZoneShelf::new();
                    let server =
                        DnsServer::bind(&settings, &plan, &shelf, &metrics, DecisionLog::off())
                            .unwrap();
                    say.send(()).unwrap();
                    server.run(shutdown).await.unwrap();
                });
            })
        };
        hear.recv_timeout(DEADLINE).unwrap();
        Server {
            metrics,
            shutdown,
            thread: Some(thread),
        }
    }

    /// Asks everything from one socket of the client and gives every answer that came.
    pub fn ask_all(&self, server: SocketAddr, questions: &[Vec<u8>]) -> Vec<Option<Vec<u8>>> {
        let questions = questions.to_vec();
        self.on_client(move || {
            let host = if server.is_ipv4() {
                "10.53.0.2:4053"
            } else {
                "[fd53::2]:4053"
            };
            let socket = UdpSocket::bind(host).unwrap();
            socket.connect(server).unwrap();
            questions
                .iter()
                .map(|question| ask(&socket, question))
                .collect()
        })
    }

    /// Runs something in the client's namespace.
    pub fn on_client<T: Send + 'static>(&self, run: impl FnOnce() -> T + Send + 'static) -> T {
        let namespace = self.client.clone();
        let thread = std::thread::spawn(move || {
            enter(&namespace).unwrap();
            run()
        });
        thread.join().unwrap()
    }

    /// The MAC address of the server's end.
    pub fn server_mac(&self) -> [u8; 6] {
        let link = self.link("s0");
        let mac = link.split("link/ether ").nth(1).unwrap();
        let bytes: Vec<u8> = mac[..17]
            .split(':')
            .map(|byte| u8::from_str_radix(byte, 16).unwrap())
            .collect();
        bytes.try_into().unwrap()
    }

    /// Runs kdig in the client's namespace and looks for parts of what it printed.
    pub fn kdig(&self, address: &str, words: &str, parts: &[&str]) {
        let command = format!("netns exec {} kdig @{address} -p 53 {words}", self.client);
        let output = run("ip", &command).unwrap();
        let output = output.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(
                output.contains(part),
                "kdig @{address} {words}: no `{part}` in {output}"
            );
        }
        assert!(
            !output.contains("WARNING"),
            "kdig @{address} {words}: {output}"
        );
    }

    /// ICMP passes.
    pub fn ping(&self, address: &str) {
        let command = format!("netns exec {} ping -c 1 -w 30 {address}", self.client);
        run("ip", &command).unwrap();
    }

    /// What the system says of a device of the server; empty when there is none.
    pub fn link(&self, device: &str) -> String {
        run("ip", &format!("-n {} link show {device}", self.server)).unwrap_or_default()
    }

    /// The MTU of the server's end.
    pub fn set_mtu(&self, mtu: u32) {
        run("ip", &format!("-n {} link set s0 mtu {mtu}", self.server)).unwrap();
        // Too little for IPv6, whose addresses went with it: what listens on them needs a place.
        run(
            "ip",
            &format!("-n {} addr add fd53::1/64 dev lo nodad", self.server),
        )
        .unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.client] {
            // The pair goes with its first end.
            let _ = run("ip", &format!("netns del {namespace}"));
        }
    }
}

/// A server in its namespace.
pub struct Server {
    metrics: Metrics,
    shutdown: CancellationToken,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Server {
    /// All metrics as text.
    pub fn text(&self) -> String {
        self.metrics.render().unwrap()
    }

    /// One metric; 0 when there is none.
    pub fn value(&self, name: &str) -> f64 {
        let text = self.text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(0.0)
    }

    /// Waits until a metric has a value.
    pub fn until(&self, name: &str, value: f64) {
        let deadline = Instant::now() + DEADLINE;
        while self.value(name) != value {
            assert!(Instant::now() < deadline, "{name} is {}", self.value(name));
            std::thread::park_timeout(Duration::from_millis(20));
        }
    }

    /// Stops it and keeps its metrics.
    pub fn stop(mut self) -> Self {
        self.shutdown.cancel();
        self.thread.take().unwrap().join().unwrap();
        self
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Asks until the answer to this very question comes. What gets none is silent for a moment only.
fn ask(socket: &UdpSocket, question: &[u8]) -> Option<Vec<u8>> {
    let is_silent = question.len() < 12 || question[2] & 0x80 != 0;
    let patience = if is_silent { SILENCE } else { DEADLINE };
    socket.set_read_timeout(Some(patience)).unwrap();
    socket.send(question).unwrap();
    let mut answer = [0; 4096];
    match socket.recv(&mut answer) {
        Ok(bytes) => Some(answer[..bytes].to_vec()),
        Err(_) if is_silent => None,
        Err(error) => panic!("{question:?}: {error}"),
    }
}

/// Moves this thread, and those it starts, into a namespace.
fn enter(namespace: &str) -> std::io::Result<()> {
    let file = File::open(format!("/run/netns/{namespace}"))?;
    Ok(setns(file, CloneFlags::CLONE_NEWNET)?)
}

/// The fixture's world, with two names whose records take 900 and 2,600 bytes.
fn world() -> meridian_engine::World {
    let mut topology = include_str!("../../fixture/topology.yaml").to_owned();
    let at = "      - { name: www, type: A, data: 192.0.2.80 }\n";
    let mut more = String::new();
    for (name, records) in [("middle", 4), ("big", 12)] {
        for record in 0..records {
            let text = format!("{record:02}").repeat(100);
            writeln!(
                more,
                "      - {{ name: {name}, type: TXT, data: \"{text}\" }}"
            )
            .unwrap();
        }
    }
    let (before, after) = topology.split_once(at).unwrap();
    topology = format!("{before}{at}{more}{after}");
    crate::fixture::world_of(&topology, crate::fixture::clients())
}
