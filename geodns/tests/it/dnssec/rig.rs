//! A server with a signed zone, the programs that validate it, and a relay that tampers.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use hickory_proto::dnssec::rdata::{DNSSECRData, RRSIG};
use hickory_proto::op::Message;
use hickory_proto::rr::RData;
use meridian_engine::{ClassTable, ClassTableBuilder, ClientClass};
use meridian_geodns::dnssec::{
    Algorithm, DeskError, DnssecSettings, KeyDesk, KeyRole, StepReport, ZoneSigningConfig,
};
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsError, DnsServer};
use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, Metrics};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::rig::DEADLINE;

/// The fixture's zone.
pub const ZONE: &str = "example.test.";

/// What the fixture's zone has beside its own records.
const MORE_RECORDS: &str = "    records:
      - { name: aka, type: ALIAS, data: shop.example.test }
      - { name: also, type: ALIAS, data: www.example.test }
      - { name: old, type: DNAME, data: shops.example.test }
";

pub struct SignedRig {
    pub address: SocketAddr,
    folder: tempfile::TempDir,
    settings: DnssecSettings,
    /// The anchors in use, as DNSKEY records.
    anchors: Vec<String>,
    server: JoinHandle<Result<(), DnsError>>,
    shutdown: DropGuard,
}

impl SignedRig {
    pub fn start(algorithm: Algorithm, roles: &[KeyRole]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = DnsConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            workers: NonZeroUsize::new(1),
            ..DnsConfig::default()
        };
        config.dnssec.keys = folder.path().join("keys");
        let zone = ZoneSigningConfig {
            algorithm,
            // CDS at once.
            ttl_max: "0s".parse().unwrap(),
            propagation: "0s".parse().unwrap(),
            ..ZoneSigningConfig::default()
        };
        config.dnssec.zones.insert("example.test".into(), zone);
        let settings = config.dnssec.validate().unwrap();
        let desk = KeyDesk::of(&settings, ZONE).unwrap();
        desk.generate(roles, unix_seconds()).unwrap();
        let topology = include_str!("../../fixture/topology.yaml");
        let topology = topology.replacen("    records:\n", MORE_RECORDS, 1);
        let world = crate::fixture::world_of(&topology, loopback_clients());
        let server = DnsServer::bind(
            &config.validate(NonZeroUsize::MIN).unwrap(),
            &PlanHandle::fixed(world),
            &ZoneShelf::new(),
            &Metrics::new(),
            DecisionLog::off(),
        )
        .unwrap();
        let address = server.local_addrs()[0];
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(server.run(shutdown.clone()));
        let mut rig = Self {
            address,
            folder,
            settings,
            anchors: Vec::new(),
            server,
            shutdown: shutdown.drop_guard(),
        };
        let entries: Vec<u16> = rig
            .desk()
            .at_parent()
            .unwrap()
            .iter()
            .map(|key| key.tag)
            .collect();
        rig.trust(&entries);
        rig
    }

    pub async fn stop(self) {
        drop(self.shutdown);
        let ended = tokio::time::timeout(DEADLINE, self.server).await;
        ended.unwrap().unwrap().unwrap();
    }

    fn desk(&self) -> KeyDesk<'_> {
        KeyDesk::of(&self.settings, ZONE).unwrap()
    }

    /// Makes these keys the trust anchors.
    pub fn trust(&mut self, tags: &[u16]) {
        let shown = self.desk().at_parent().unwrap();
        let trusted = shown.into_iter().filter(|key| tags.contains(&key.tag));
        self.anchors = trusted.map(|key| key.dnskey).collect();
        assert_eq!(self.anchors.len(), tags.len());
        let mut text = String::from("trust-anchors {\n");
        for anchor in &self.anchors {
            let words: Vec<&str> = anchor.split(' ').collect();
            // Owner, TTL, IN, DNSKEY, flags, protocol, algorithm, key.
            let (flags, protocol, algorithm) = (words[4], words[5], words[6]);
            let key = words[7..].concat();
            writeln!(
                text,
                "  \"{ZONE}\" static-key {flags} {protocol} {algorithm} \"{key}\";"
            )
            .unwrap();
        }
        text.push_str("};\n");
        std::fs::write(self.anchor_file(), text).unwrap();
    }

    fn anchor_file(&self) -> PathBuf {
        self.folder.path().join("anchors.conf")
    }

    /// The tag of a role's active key.
    pub fn active(&self, role: KeyRole) -> u16 {
        self.tag(|key| key.role == role.as_str() && key.state == "active")
    }

    /// The tag of a role's published key.
    pub fn newest(&self, role: KeyRole) -> u16 {
        self.tag(|key| key.role == role.as_str() && key.state == "published")
    }

    fn tag(&self, wanted: impl Fn(&meridian_geodns::dnssec::ListedKey) -> bool) -> u16 {
        let listed = self.desk().list().unwrap();
        listed.keys.iter().find(|key| wanted(key)).unwrap().tag
    }

    /// Takes a step and waits until the running server serves the key set that it leads to, signed
    /// by the key that is active then.
    pub async fn step(&self, take: impl Fn(&KeyDesk<'_>, u64) -> Result<StepReport, DeskError>) {
        take(&self.desk(), unix_seconds()).unwrap();
        let listed = self.desk().list().unwrap();
        let signers: Vec<String> = listed
            .keys
            .iter()
            .filter(|key| key.state == "active" && key.role != "ksk")
            .map(|key| key.tag.to_string())
            .collect();
        let started = Instant::now();
        loop {
            let keys = dig(self.address, "example.test", "DNSKEY");
            let soa = dig(self.address, "example.test", "SOA");
            let published = keys.matches("DNSKEY\t25").count() == listed.keys.len();
            if published
                && signers
                    .iter()
                    .all(|tag| soa.contains(&format!(" {tag} example.test.")))
            {
                return;
            }
            assert!(
                started.elapsed() < 4 * DEADLINE,
                "not served: {keys}\n{soa}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Loopback addresses as clients of three countries.
fn loopback_clients() -> ClassTable {
    let mut builder = ClassTableBuilder::new();
    for (network, country) in [
        ("127.0.1.0/24", "US"),
        ("127.0.2.0/24", "DE"),
        ("127.0.3.0/24", "SG"),
    ] {
        let class = ClientClass::default().in_country(country.parse().unwrap());
        builder.insert(network.parse().unwrap(), class).unwrap();
    }
    builder.build().unwrap()
}

pub fn said(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// What BIND's validating client says of a name, asking `server` from `source`.
pub fn delv(rig: &SignedRig, server: SocketAddr, source: &str, name: &str, rtype: &str) -> String {
    said(
        Command::new("delv")
            .arg(format!("@{}", server.ip()))
            .args(["-p", &server.port().to_string(), "-b", source, "-a"])
            .arg(rig.anchor_file())
            .args(["+root=example.test", name, rtype]),
    )
}

pub fn dig(server: SocketAddr, name: &str, rtype: &str) -> String {
    said(
        Command::new("dig")
            .arg(format!("@{}", server.ip()))
            .args([
                "-p",
                &server.port().to_string(),
                "+dnssec",
                "+time=20",
                "+tries=2",
            ])
            .args([name, rtype]),
    )
}

/// A running unbound that knows the zone's server and anchor.
pub struct Unbound {
    pub address: SocketAddr,
    process: Child,
}

impl Drop for Unbound {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub fn unbound(rig: &SignedRig) -> Unbound {
    let mut zones = String::new();
    for anchor in &rig.anchors {
        writeln!(zones, "  trust-anchor: \"{anchor}\"").unwrap();
    }
    let server = rig.address;
    write!(
        zones,
        "stub-zone:\n  name: \"example.test\"\n  stub-addr: {}@{}\n",
        server.ip(),
        server.port()
    )
    .unwrap();
    run_unbound(rig.folder.path(), &zones, "example.test")
}

/// An unbound that answers for a zone already. `zones` is the end of its configuration's `server`
/// section and what follows.
pub fn run_unbound(folder: &Path, zones: &str, zone: &str) -> Unbound {
    let port = crate::ports::free_port();
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let config = folder.join("unbound.conf");
    std::fs::write(&config, unbound_config(zones, folder, port)).unwrap();
    let process = Command::new("unbound")
        .arg("-d")
        .arg("-c")
        .arg(&config)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let resolver = Unbound { address, process };
    let started = Instant::now();
    while !dig(address, zone, "SOA").contains("status: NOERROR") {
        assert!(started.elapsed() < 4 * DEADLINE, "unbound does not answer");
        std::thread::park_timeout(Duration::from_millis(100));
    }
    resolver
}

fn unbound_config(zones: &str, folder: &Path, port: u16) -> String {
    format!(
        "server:\n  directory: \"{}\"\n  chroot: \"\"\n  username: \"\"\n  pidfile: \"\"\n  \
         use-syslog: no\n  interface: 127.0.0.1@{port}\n  do-ip6: no\n  do-not-query-localhost: no\n  \
         num-threads: 1\n  module-config: \"validator iterator\"\n  local-zone: \"test.\" nodefault\n\
         {zones}remote-control:\n  control-enable: no\n",
        folder.display()
    )
}

/// A relay between a resolver and the server that may change signatures of addresses.
pub struct Tampering {
    pub address: SocketAddr,
    stop: Arc<AtomicBool>,
}

impl Drop for Tampering {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Tampering {
    pub fn start(server: SocketAddr, lies: bool) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(200)))
            .unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        std::thread::spawn(move || {
            let behind = UdpSocket::bind("127.0.0.1:0").unwrap();
            behind.connect(server).unwrap();
            behind.set_read_timeout(Some(DEADLINE)).unwrap();
            let mut packet = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((bytes, client)) = socket.recv_from(&mut packet) else {
                    continue;
                };
                behind.send(&packet[..bytes]).unwrap();
                let bytes = behind.recv(&mut packet).unwrap();
                let answer = if lies {
                    tampered(&packet[..bytes])
                } else {
                    packet[..bytes].to_vec()
                };
                socket.send_to(&answer, client).unwrap();
            }
        });
        Self { address, stop }
    }
}

/// The message with a bit of every address signature turned.
fn tampered(packet: &[u8]) -> Vec<u8> {
    let mut message = Message::from_vec(packet).unwrap();
    for record in &mut message.answers {
        if let RData::DNSSEC(DNSSECRData::RRSIG(rrsig)) = &record.data
            && rrsig.input().type_covered == hickory_proto::rr::RecordType::A
        {
            let mut signature = rrsig.sig().to_vec();
            signature[10] ^= 1;
            let changed = RRSIG::from_sig(rrsig.input().clone(), signature);
            record.data = RData::DNSSEC(DNSSECRData::RRSIG(changed));
        }
    }
    message.to_vec().unwrap()
}
