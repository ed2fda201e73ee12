//! A whole node in a process of its own: started, asked, changed and stopped by the command line.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::run::{Said, command, copy_example, meridian, word};

/// Far beyond what anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Any free ports, and no streams: their ports stand in the topology.
const NODE: &str = r#"
roles: [dns, http]
dns: { listen: ["127.0.0.1:0"] }
http: { listen: ["127.0.0.1:0"] }
admin: { listen: "127.0.0.1:0" }
"#;

/// Probes are looked at and move nobody.
const NO_FAILOVER: &str = r#"
multi_region_config:
  regions: { primary: us-east-1, secondary: [us-west-2, eu-central-1, eu-west-1, asia-northeast1] }
  failover: { automatic_failover: false }
"#;

/// A node that serves the directory `edge` of a folder.
pub struct Node {
    folder: TempDir,
    child: Child,
}

impl Node {
    async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with more in its `meridian.yaml`.
    async fn start_with(more: &str) -> Self {
        Self::start_as(&format!("{NODE}{more}")).await
    }

    /// A node with this `meridian.yaml`.
    async fn start_as(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("edge");
        copy_example("demo", &dir);
        std::fs::write(dir.join("meridian.yaml"), text).unwrap();
        Self::serve(folder).await
    }

    /// A node whose directory is written already.
    pub async fn serve(folder: TempDir) -> Self {
        let dir = folder.path().join("edge");
        // Outside of the directory, which is watched.
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let mut serve = Command::from(command(&["serve", "--dir", word(&dir)]));
        let child = serve.stderr(log).kill_on_drop(true).spawn().unwrap();
        let mut node = Self { folder, child };
        let wait = async {
            while node.run(&["get", "status"]).code != 0 {
                let ended = node.child.try_wait().unwrap();
                assert!(ended.is_none(), "{ended:?}: {}", node.log());
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap();
        node
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("edge")
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Runs a command on this node's directory.
    fn run(&self, words: &[&str]) -> Said {
        let dir = self.dir();
        meridian(&[words, &["--dir", word(&dir)]].concat())
    }

    /// Where a room listens, as the log says.
    pub fn listens(&self, room: &str) -> String {
        let log = self.log();
        let line = log.lines().find(|line| {
            line.contains("listening") && line.contains(room) && line.contains("address=127")
        });
        let address = line.and_then(|line| line.split("address=").nth(1));
        address.unwrap_or_else(|| panic!("{log}")).trim().to_owned()
    }

    pub async fn until(&self, words: &[&str], holds: impl Fn(&Said) -> bool) {
        let wait = async {
            while !holds(&self.run(words)) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "{words:?}: {:?}", self.run(words));
    }

    pub async fn stop(mut self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id().unwrap()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.expect("it stops").unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        let state = self.dir().join("state");
        assert!(!state.join("admin.sock").exists());
        assert!(state.join("admin.token").exists());
    }
}

#[tokio::test]
async fn a_node_answers_for_itself() {
    let node = Node::start().await;
    let status = node.run(&["get", "status", "-o", "json"]).fine().json();
    assert_eq!(status["sources"]["state"], "in_force");
    assert_eq!(status["regions"].as_array().unwrap().len(), 5);
    for (what, part) in [
        ("status", "eu-central-1"),
        ("plan", "generation"),
        ("regions", "utilization"),
        ("endpoints", "127.10.3.1:18080"),
        ("services", "cheapest-within-slo"),
        ("policies", "Fast, then cheap"),
        ("models", "in_force"),
        ("probes", "consecutive"),
        ("drains", "reason"),
        ("sources", "# policies/shop.yaml"),
        ("dns", "shop.demo.test"),
    ] {
        let table = node.run(&["get", what]).fine().out;
        assert!(table.contains(part), "{what}: {table}");
        node.run(&["get", what, "-o", "json"]).fine().json();
    }
    let explain = [
        "explain",
        "--service",
        "accounts",
        "--client",
        "12.34.56.78",
        "--at",
        "http",
    ];
    assert!(node.run(&explain).fine().out.contains("client in US"));
    // Two processes cannot have one directory; the first goes on.
    let second = node.run(&["serve"]).ends_with_code(1);
    assert!(second.err.contains("error:"), "{}", second.err);
    node.run(&["get", "status"]).fine();
    node.stop().await;
}

#[tokio::test]
async fn a_node_is_changed_from_outside() {
    let node = Node::start().await;
    node.run(&[
        "drain",
        "endpoint",
        "use1-1",
        "--reason",
        "kernel update",
        "--force",
    ])
    .fine();
    let drains = node.run(&["get", "drains"]).fine().out;
    assert!(
        drains.contains("endpoint use1-1  kernel update"),
        "{drains}"
    );
    node.until(&["get", "endpoints"], |said| said.out.contains("drained"))
        .await;
    node.run(&["undrain", "endpoint", "use1-1"]).fine();
    assert_eq!(
        node.run(&["get", "drains", "-o", "json"]).fine().json(),
        json!([])
    );
    let unknown = node.run(&["drain", "region", "atlantis"]).ends_with_code(1);
    assert!(
        unknown.err.contains("no region atlantis"),
        "{}",
        unknown.err
    );

    let edited = node.folder.path().join("edited");
    copy_example("demo", &edited);
    edit(&edited, "Fast, then cheap", "Fast, then cheaper");
    node.run(&["apply", word(&edited)]).fine();
    node.until(&["get", "policies"], |said| {
        said.out.contains("then cheaper")
    })
    .await;
    edit(&edited, "geographic:", "geografic:");
    let refused = node.run(&["apply", word(&edited)]).ends_with_code(1);
    assert!(
        refused.err.contains("policies/shop.yaml:12:5"),
        "{}",
        refused.err
    );

    // Over TCP reading is free and changing is not.
    let admin = node.listens("admin");
    meridian(&["get", "status", "--admin", &admin]).fine();
    let undrain = ["undrain", "endpoint", "use1-1", "--admin", &admin];
    let refused = meridian(&undrain).ends_with_code(1);
    assert!(refused.err.contains("401"), "{}", refused.err);
    let token = node.dir().join("state/admin.token");
    meridian(&[&undrain[..], &["--token-file", word(&token)]].concat()).fine();
    node.stop().await;
}

/// The status page and `dns query` tell of this moment: a drained region is gone from both at once.
#[tokio::test]
async fn dns_is_seen_as_it_is_answered_now() {
    const GERMAN: &str = "85.214.132.117";
    // Nobody plays the endpoints here: their failing probes must not move clients.
    let node = Node::start_with(NO_FAILOVER).await;
    let query = [
        "dns",
        "query",
        "shop.demo.test",
        "--client",
        GERMAN,
        "-o",
        "json",
    ];
    let page = [
        "get",
        "dns",
        "--service",
        "shop",
        "--limit",
        "1",
        "-o",
        "json",
    ];
    let said = node.run(&[&query[..], &["--live"]].concat()).fine().json();
    assert_eq!(said["rcode"], "NOERROR", "{said}");
    assert!(said["steering"]["choice"].is_object(), "{said}");
    let facts = node.run(&page).fine().json();
    let zone = &facts["summary"]["zones"][0];
    assert_eq!(zone["origin"], "demo.test", "{facts}");
    assert!(zone["serial"].is_u64(), "{facts}");
    assert!(facts["summary"]["counters"]["queries.udp"].is_u64());
    let name = &facts["names"][0];
    assert_eq!(name["service"], "shop", "{facts}");
    let of = |name: &serde_json::Value, continent: &str| {
        let rows = name["continents"].as_array().unwrap();
        rows.iter()
            .find(|row| row["continent"] == continent)
            .unwrap()
            .clone()
    };
    assert!(
        of(name, "europe")["classes"].as_u64().unwrap() > 20,
        "{name}"
    );
    assert!(of(name, "europe")["regions"][0]["region"].is_string());

    node.run(&["drain", "region", "eu-central-1", "--force"])
        .fine();
    node.until(&query, |said| {
        let answers = said.json()["answers"].as_array().cloned().unwrap();
        !answers.is_empty()
            && answers
                .iter()
                .all(|answer| !answer["data"].as_str().unwrap().starts_with("127.10.3."))
    })
    .await;
    node.until(&page, |said| {
        let facts = said.json();
        let members = facts["names"][0]["members"].as_array().cloned().unwrap();
        let drained = members
            .iter()
            .filter(|member| member["region"] == "eu-central-1")
            .all(|member| member["state"] == "drained");
        let europe = of(&facts["names"][0], "europe");
        let left = europe["regions"].as_array().cloned().unwrap();
        drained && left.iter().all(|row| row["region"] != "eu-central-1")
    })
    .await;
    let explain = [
        "explain",
        "--service",
        "shop",
        "--client",
        GERMAN,
        "-o",
        "json",
    ];
    let dns = &node.run(&explain).fine().json()["dns"];
    assert_eq!(dns["names"][0]["name"], "shop.demo.test", "{dns}");
    let unknown = node
        .run(&["dns", "query", "a..b", "--client", GERMAN])
        .ends_with_code(1);
    assert!(unknown.err.contains("not a domain name"), "{}", unknown.err);
    node.stop().await;
}

#[tokio::test]
async fn a_bad_edit_is_shown_and_changes_nothing() {
    let node = Node::start().await;
    edit(&node.dir(), "geographic:", "geografic:");
    node.until(&["get", "status"], |said| {
        said.out.contains("policies/shop.yaml:12:5")
    })
    .await;
    let explain = ["explain", "--service", "shop", "--client", "12.34.56.78"];
    node.run(&explain).fine();
    edit(&node.dir(), "geografic:", "geographic:");
    node.until(&["get", "status"], |said| said.out.contains("in_force"))
        .await;
    node.stop().await;
}

#[test]
fn a_broken_directory_is_not_served() {
    let folder = tempfile::tempdir().unwrap();
    copy_example("demo", folder.path());
    std::fs::write(folder.path().join("meridian.yaml"), NODE).unwrap();
    edit(folder.path(), "geographic:", "geografic:");
    let said = meridian(&["serve", "--dir", word(folder.path())]).ends_with_code(1);
    assert!(said.err.contains("policies/shop.yaml:12:5"), "{}", said.err);
}

/// Replaces a word of the shop's policy.
fn edit(folder: &Path, from: &str, to: &str) {
    let file = folder.join("policies/shop.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains(from), "{from}: {text}");
    std::fs::write(file, text.replace(from, to)).unwrap();
}

/// Zones from elsewhere are listed with what is wrong, and asked for on demand.
#[tokio::test]
async fn secondary_zones_are_listed_and_refreshed() {
    let node = Node::start_as(&NODE.replace(
        r#"dns: { listen: ["127.0.0.1:0"] }"#,
        r#"dns: { listen: ["127.0.0.1:0"], secondaries: [{ zone: corp.test, primaries: [{ address: "127.0.0.1:1" }] }] }"#,
    ))
    .await;
    let list = ["dns", "zones", "list", "-o", "json"];
    node.until(&list, |said| {
        said.code == 0 && said.out.contains("cannot connect")
    })
    .await;
    let zones = node.run(&list).fine().json();
    let zone = &zones["secondaries"][0];
    assert_eq!(
        (&zone["zone"], &zone["state"]),
        (&json!("corp.test"), &json!("waiting"))
    );
    assert!(node.dir().join("state/zones").is_dir());
    let table = node.run(&["dns", "zones", "list"]).fine();
    assert!(table.out.contains("corp.test  waiting"), "{}", table.out);
    let asked = node.run(&["dns", "zones", "refresh", "corp.test"]).fine();
    assert!(asked.out.contains("1 zones"), "{}", asked.out);
    let unknown = node.run(&["dns", "zones", "refresh", "other.test"]);
    assert_eq!(unknown.code, 1);
    assert!(unknown.err.contains("no secondary zone"), "{}", unknown.err);
    node.stop().await;
}
