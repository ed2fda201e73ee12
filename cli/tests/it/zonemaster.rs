//! A zone of ours under Zonemaster, the registries' own judge of delegations.
//!
//! A small Internet in a network namespace: NSD plays the root, `test.` and the reverse zones, our
//! binary is both name servers of `demo.test`, and `zonemaster-cli` asks them all. Nothing at or above
//! WARNING may be said. The addresses are public ones because Zonemaster refuses reserved ones; they
//! exist inside the namespace only, which has no link to anywhere.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{command, word};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Where the parents answer, and where we do.
const PARENTS: [&str; 4] = ["5.5.1.1", "7.7.2.1", "2600:1::1", "2a01:2::1"];
const OURS: [&str; 4] = ["5.5.1.53", "7.7.2.53", "2600:1::53", "2a01:2::53"];

const ROOT: &str = "\
$TTL 86400
. SOA a.root. hostmaster.nic.test. 1 14400 3600 1209600 3600
. NS a.root.
. NS b.root.
a.root. A 5.5.1.1
a.root. AAAA 2600:1::1
b.root. A 7.7.2.1
b.root. AAAA 2a01:2::1
";

const TEST: &str = "\
$ORIGIN test.
$TTL 86400
@ SOA a.root. hostmaster.nic 1 14400 3600 1209600 3600
@ NS a.root.
@ NS b.root.
demo NS ns1.demo
demo NS ns2.demo
ns1.demo A 5.5.1.53
ns1.demo AAAA 2600:1::53
ns2.demo A 7.7.2.53
ns2.demo AAAA 2a01:2::53
";

/// `in-addr.arpa.` and `ip6.arpa.` in one.
const ARPA: &str = "\
$ORIGIN arpa.
$TTL 86400
@ SOA a.root. hostmaster.nic.test. 1 14400 3600 1209600 3600
@ NS a.root.
@ NS b.root.
53.1.5.5.in-addr PTR ns1.demo.test.
53.2.7.7.in-addr PTR ns2.demo.test.
3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.0.0.6.2.ip6 PTR ns1.demo.test.
3.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.1.0.a.2.ip6 PTR ns2.demo.test.
";

const NODE: &str = r#"
roles: [dns]
dns: { listen: ["5.5.1.53:53", "7.7.2.53:53", "[2600:1::53]:53", "[2a01:2::53]:53"], workers: 1 }
admin: { listen: "127.0.0.1:9443" }
"#;

const TOPOLOGY: &str = r#"
regions:
  - id: us-east
    location: { country: US, latitude: 39.0, longitude: -77.5, provider: aws }
    endpoints: [{ id: us-1, address: 5.5.1.80, port: 443, services: [shop] }]
  - id: eu-west
    location: { country: IE, latitude: 53.3, longitude: -6.3, provider: aws }
    endpoints: [{ id: eu-1, address: 7.7.2.80, port: 443, services: [shop] }]
services:
  - { id: shop, policy: nearest, dns: { names: [shop.demo.test], ttl: 30s } }
dns_zones:
  - origin: demo.test
    ttl: 1d
    soa: { mname: ns1.demo.test, rname: hostmaster.demo.test, serial: 2026112501, refresh: 4h, retry: 1h, expire: 14d, minimum: 1h }
    ns: [ns1.demo.test, ns2.demo.test]
    records:
      - { name: "@", type: MX, data: 10 mail.demo.test }
      - { name: mail, type: A, data: 5.5.1.25 }
      - { name: ns1, type: A, data: 5.5.1.53 }
      - { name: ns1, type: AAAA, data: "2600:1::53" }
      - { name: ns2, type: A, data: 7.7.2.53 }
      - { name: ns2, type: AAAA, data: "2a01:2::53" }
"#;

const POLICY: &str = "policy: nearest\nscore:\n  - geographic: { weight: 1.0 }\n";

const HINTS: &str = "\
. 3600000 NS a.root.
a.root. 3600000 A 5.5.1.1
a.root. 3600000 AAAA 2600:1::1
. 3600000 NS b.root.
b.root. 3600000 A 7.7.2.1
b.root. 3600000 AAAA 2a01:2::1
";

/// A network namespace that is removed with this value.
struct Namespace(String);

impl Namespace {
    fn new() -> Option<Self> {
        let name = format!("meridian-zm-{}", std::process::id());
        let made = ip(&["netns", "add", &name])?;
        made.then_some(Self(name))
    }

    /// Brings loopback up with all addresses, ready at once.
    fn furnish(&self) {
        let set = |words: &[&str]| {
            let words = [&["-n", &self.0], words].concat();
            assert_eq!(ip(&words), Some(true), "{words:?}");
        };
        set(&["link", "set", "lo", "up"]);
        for address in PARENTS.iter().chain(&OURS) {
            set(&["addr", "add", address, "dev", "lo"]);
        }
    }

    /// A program inside.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.0, program]);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&["netns", "del", &self.0]);
    }
}

/// Whether `ip` did it; `None` when there is no `ip`.
fn ip(words: &[&str]) -> Option<bool> {
    let output = Command::new("ip").args(words).output().ok()?;
    Some(output.status.success())
}

/// A server that ends with this value.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        let command = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap());
        Self(command.stderr(log).spawn().unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // `ip netns exec` becomes the program, so the child is the server itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn nsd_config(folder: &Path) -> String {
    let folder = folder.display();
    let mut text = format!(
        "server:\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  zonesdir: \"{folder}\"\n  \
         pidfile: \"{folder}/nsd.pid\"\n  xfrdfile: \"{folder}/xfrd\"\n  \
         zonelistfile: \"{folder}/zones.list\"\n  xfrdir: \"{folder}\"\n"
    );
    for address in PARENTS {
        text.push_str(&format!("  ip-address: {address}\n"));
    }
    text.push_str("remote-control:\n  control-enable: no\n");
    for (zone, file) in [(".", "root"), ("test", "test"), ("arpa", "arpa")] {
        text.push_str(&format!("zone:\n  name: {zone}\n  zonefile: {file}.zone\n"));
    }
    text
}

/// Waits until a server answers for a name.
fn wait_for(namespace: &Namespace, server: &str, name: &str, log: &Path) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut dig = namespace.command("kdig");
        let at = format!("@{server}");
        let output = dig
            .args([&at, name, "SOA", "+short", "+time=1", "+retry=0"])
            .output()
            .unwrap();
        if output.status.success() && !output.stdout.trim_ascii().is_empty() {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{server} does not answer: {}",
            std::fs::read_to_string(log).unwrap_or_default()
        );
        std::thread::park_timeout(LOOK_EVERY);
    }
}

#[test]
fn a_zone_of_ours_passes_zonemaster() {
    for program in ["zonemaster-cli", "nsd", "kdig"] {
        let found = std::env::var_os("PATH").is_some_and(|path| {
            std::env::split_paths(&path)
                .chain(["/usr/sbin".into()])
                .any(|folder| folder.join(program).is_file())
        });
        if !found {
            println!("SKIP: {program} is not installed");
            return;
        }
    }
    let Some(namespace) = Namespace::new() else {
        println!("SKIP: network namespaces need root");
        return;
    };
    namespace.furnish();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for (name, text) in [
        ("root.zone", ROOT),
        ("test.zone", TEST),
        ("arpa.zone", ARPA),
        ("hints", HINTS),
        ("nsd.conf", &nsd_config(folder.path())),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    std::fs::create_dir_all(at("node/policies")).unwrap();
    for (name, text) in [
        ("node/meridian.yaml", NODE),
        ("node/topology.yaml", TOPOLOGY),
        ("node/policies/nearest.yaml", POLICY),
    ] {
        std::fs::write(at(name), text).unwrap();
    }
    let mut nsd = namespace.command("/usr/sbin/nsd");
    nsd.args(["-d", "-c", word(&at("nsd.conf"))]);
    let _nsd = Server::start(&mut nsd, &at("nsd.log"));
    let ours = command(&["serve", "--dir", word(&at("node"))]);
    let mut serve = namespace.command(word(Path::new(ours.get_program())));
    serve.args(ours.get_args());
    let _ours = Server::start(&mut serve, &at("node.log"));
    wait_for(&namespace, PARENTS[0], "test.", &at("nsd.log"));
    wait_for(&namespace, OURS[0], "demo.test.", &at("node.log"));

    let mut judge = namespace.command("zonemaster-cli");
    let judged = judge
        .args(["demo.test", "--hints", word(&at("hints"))])
        .args(["--level", "WARNING", "--raw", "--no-progress", "--no-time"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&judged.stdout);
    let complaints: Vec<_> = said
        .lines()
        .filter(|line| {
            ["WARNING", "ERROR", "CRITICAL"]
                .iter()
                .any(|level| line.contains(level))
        })
        .collect();
    assert!(
        judged.status.success() && complaints.is_empty(),
        "{said}\n{}",
        String::from_utf8_lossy(&judged.stderr)
    );

    // The judge can be displeased: the same zone without its second name server's records.
    let broken = TOPOLOGY.replace("ns: [ns1.demo.test, ns2.demo.test]", "ns: [ns1.demo.test]");
    assert_ne!(broken, TOPOLOGY);
    std::fs::write(at("node/topology.yaml"), broken).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let mut judge = namespace.command("zonemaster-cli");
        let judged = judge
            .args([
                "demo.test",
                "--hints",
                word(&at("hints")),
                "--test",
                "Delegation",
            ])
            .args(["--level", "WARNING", "--raw", "--no-progress", "--no-time"])
            .output()
            .unwrap();
        if String::from_utf8_lossy(&judged.stdout).contains("ERROR") {
            break;
        }
        assert!(Instant::now() < deadline, "the judge finds nothing wrong");
        std::thread::park_timeout(LOOK_EVERY);
    }
}
