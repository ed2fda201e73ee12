//! `meridian serve` on AF_XDP in a network namespace: killed, and without the rights it needs.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::run::{copy_example, word};

/// Far beyond what anything here takes.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

const NODE: &str = r#"
roles: [dns]
dns: { listen: ["10.53.0.1:53"], xdp: { interfaces: [s0, s9], frames: 256 } }
admin: { listen: "127.0.0.1:0" }
"#;

/// A namespace with one end of a veth pair; the other end is in a second one.
struct Lab {
    folder: TempDir,
    server: String,
    client: String,
}

fn run(words: &str) -> Result<String, String> {
    let output = Command::new("ip")
        .args(words.split(' '))
        .output()
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Lab {
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let of = |end: &str| format!("mcli-{}-{number}-{end}", std::process::id());
        let lab = Self {
            folder: tempfile::tempdir().unwrap(),
            server: of("s"),
            client: of("c"),
        };
        let Self { server, client, .. } = &lab;
        if let Err(reason) = run(&format!("netns add {server}")) {
            eprintln!("SKIP: no network namespace can be made here: {reason}");
            return None;
        }
        run(&format!("netns add {client}")).unwrap();
        run(&format!(
            "link add s0 netns {server} type veth peer name g0 netns {client}"
        ))
        .unwrap();
        for (namespace, device, host) in [(server, "s0", 1), (client, "g0", 2)] {
            for words in [
                "link set lo up".to_owned(),
                format!("link set {device} up"),
                format!("addr add 10.53.0.{host}/24 dev {device}"),
            ] {
                run(&format!("-n {namespace} {words}")).unwrap();
            }
        }
        copy_example("demo", &lab.dir());
        std::fs::write(lab.dir().join("meridian.yaml"), NODE).unwrap();
        Some(lab)
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("edge")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// Starts a node; `before` are words of a command that runs it.
    fn serve(&self, before: &[&str]) -> Killed {
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        let dir = self.dir();
        let mut serve = Command::new("ip");
        serve.args(["netns", "exec", &self.server]).args(before);
        serve.args([env!("CARGO_BIN_EXE_meridian"), "serve", "--dir", word(&dir)]);
        let child = serve.stderr(log).stdout(Stdio::null()).spawn().unwrap();
        let killed = Killed(child);
        self.until("the node answers", || self.answers());
        killed
    }

    /// Whether the demo's zone is answered for; its endpoints are not there, and that is another matter.
    fn answers(&self) -> bool {
        let words = "+norec +time=1 +retry=0 demo.test SOA";
        let command = format!("netns exec {} kdig @10.53.0.1 {words}", self.client);
        run(&command).is_ok_and(|output| output.contains("status: NOERROR"))
    }

    fn has_xdp(&self) -> bool {
        run(&format!("-n {} link show s0", self.server))
            .unwrap()
            .contains("prog/xdp")
    }

    fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < deadline, "{what}: {}", self.log());
            std::thread::park_timeout(LOOK_EVERY);
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        for namespace in [&self.server, &self.client] {
            let _ = run(&format!("netns del {namespace}"));
        }
    }
}

/// A process that is killed, not asked to stop (SIGKILL).
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_killed_node_leaves_nothing_attached_and_the_next_one_takes_over() {
    let Some(lab) = Lab::new() else { return };
    for _ in 0..2 {
        let node = lab.serve(&[]);
        assert!(lab.has_xdp(), "{}", lab.log());
        let log = lab.log();
        assert!(log.contains("AF_XDP answers on s0: native mode"), "{log}");
        assert!(log.contains("no AF_XDP on s9"), "{log}");
        assert!(log.contains("there is no interface `s9`"), "{log}");
        drop(node);
        lab.until("the program is detached", || !lab.has_xdp());
    }
}

#[test]
fn without_rights_the_sockets_answer_and_the_log_says_why() {
    let Some(lab) = Lab::new() else { return };
    let all = "-net_admin,-net_raw,-bpf,-perfmon,-sys_admin";
    let _node = lab.serve(&["setpriv", "--bounding-set", all]);
    assert!(!lab.has_xdp());
    let log = lab.log();
    for part in [
        "no AF_XDP on s0, UDP sockets answer there",
        "CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF",
    ] {
        assert!(log.contains(part), "no `{part}` in {log}");
    }
}
