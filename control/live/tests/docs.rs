//! What the pages of `docs/` show is what the code reads.
//!
//! Every YAML block says in an HTML comment before it what it is, and is read as that by the parsers
//! of a running node ([`Kind`]). Pages of rooms above this one are read by tests of those rooms
//! ([`ELSEWHERE`]). Beside the blocks: links lead somewhere, every page is in `SUMMARY.md`, and keys,
//! defaults and metrics of `operate.md` are those of the code.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_engine::explain::Client;
use meridian_engine::{PolicySet, Query, Surface, World, explain};
use meridian_geo::GeoConfig;
use meridian_live::{GeoSources, LiveConfig, Sources, SourcesStatus};
use meridian_probe::ProbeConfig;
use meridian_store::{Embedded, EtcdConfig, EtcdTls, StoreConfig};
use meridian_telemetry::logging::{self, LogConfig};
use meridian_telemetry::{AccessLogConfig, DecisionLogConfig, Metrics};
use meridian_topology::raw::RawMultiRegion;
use meridian_topology::{SourceFile, Topology, door};
use serde::Deserialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Pages whose blocks are read by a test of their own room, and that test.
const ELSEWHERE: &[(&str, &str)] = &[
    ("dns.md", "geodns/tests/it/docs.rs"),
    ("dns-operate.md", "geodns/tests/it/docs.rs"),
    ("dns-transport.md", "geodns/tests/it/docs.rs"),
    ("dns-transfers.md", "geodns/tests/it/transfers/docs.rs"),
    ("dns-xdp.md", "geodns/tests/it/xdp.rs"),
    ("dns-zones.md", "geodns/tests/it/docs.rs"),
    ("dnssec.md", "geodns/tests/it/docs.rs"),
    ("dns-cookbook.md", "geodns/tests/it/cookbook.rs"),
    ("http.md", "proxy/http/tests/it/docs.rs"),
    ("streams.md", "proxy/stream/tests/it/docs.rs"),
    ("traffic.md", "proxy/http/tests/it/docs.rs"),
    (
        "reference/topology.md",
        "config/topology/tests/it/generated.rs",
    ),
    (
        "reference/policy.md",
        "policies/engine/tests/it/documents.rs",
    ),
];

/// What stands around a fragment to make a whole file: name, before, each line's indent, after.
const WRAPS: &[(&str, &str, &str, &str)] = &[
    ("policy", "policy: fragment\n", "", ""),
    (
        "service",
        "services:\n  - id: web\n    policy: any\n",
        "    ",
        "",
    ),
    (
        "topology",
        "",
        "",
        "regions:\n  - id: us-east-1\n    location: { country: US, latitude: 39.0, longitude: -77.5, provider: aws }\n",
    ),
];

/// What a block is, as the comment before it says.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// `topology`: a whole topology.
    Topology,
    /// `policy`: a whole policy, for the demo's topology.
    Policy,
    /// `node`: sections of `meridian.yaml` that this room and those below it know.
    Node,
    /// `fragment: NAME`: a piece that goes into one of [`WRAPS`].
    Fragment(String),
    /// `file: PATH`: a file of a deployment; all of a page, or of a folder in it, belong together.
    File(String),
    /// `excerpt: PATH`: lines of a checked-in file that another test reads whole.
    Excerpt(String),
}

/// A fenced YAML block of a page.
#[derive(Debug)]
struct Block {
    page: String,
    line: usize,
    comment: String,
    text: String,
}

/// Sections of `meridian.yaml` whose types are not above this room.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    geo: Option<GeoConfig>,
    store: Option<StoreConfig>,
    probe: Option<ProbeConfig>,
    telemetry: Option<Telemetry>,
    multi_region_config: Option<RawMultiRegion>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Telemetry {
    log: LogConfig,
    access_log: Option<AccessLogConfig>,
    decision_log: Option<DecisionLogConfig>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page, by its path below `docs/`.
fn pages() -> BTreeMap<String, String> {
    let docs = root().join("docs");
    let (mut found, mut open) = (BTreeMap::new(), vec![docs.clone()]);
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                let name = path
                    .strip_prefix(&docs)
                    .unwrap()
                    .to_string_lossy()
                    .into_owned();
                found.insert(name, std::fs::read_to_string(&path).unwrap());
            }
        }
    }
    found
}

fn blocks(page: &str, text: &str) -> Vec<Block> {
    let (mut found, mut before) = (Vec::new(), "");
    let mut lines = text.lines().enumerate();
    while let Some((at, line)) = lines.next() {
        if line.trim_start().starts_with("```") {
            let inside: Vec<&str> = lines
                .by_ref()
                .map(|(_, line)| line)
                .take_while(|line| line.trim_start() != "```")
                .collect();
            if line.contains("yaml") || line.contains("yml") {
                found.push(Block {
                    page: page.to_owned(),
                    line: at + 1,
                    comment: before.to_owned(),
                    text: inside.join("\n") + "\n",
                });
            }
            before = "";
        } else if !line.trim().is_empty() {
            before = line;
        }
    }
    found
}

fn kind(comment: &str) -> Result<Kind, String> {
    let inside = comment
        .trim()
        .strip_prefix("<!-- ")
        .and_then(|rest| rest.strip_suffix(" -->"));
    let inside =
        inside.ok_or("no comment before this block says what it is, such as <!-- policy -->")?;
    Ok(match inside.split_once(": ") {
        None if inside == "topology" => Kind::Topology,
        None if inside == "policy" => Kind::Policy,
        None if inside == "node" => Kind::Node,
        Some(("fragment", name)) => Kind::Fragment(name.to_owned()),
        Some(("file", path)) => Kind::File(path.to_owned()),
        Some(("excerpt", path)) => Kind::Excerpt(path.to_owned()),
        _ => return Err(format!("`{inside}` is no kind of block")),
    })
}

/// Reads a block as what it says it is.
fn check(kind: &Kind, text: &str) -> Result<(), String> {
    match kind {
        Kind::Topology => topology(text).map(drop),
        Kind::Policy => policy(text),
        Kind::Node => node(text),
        Kind::Fragment(name) => {
            let wrap = WRAPS.iter().find(|(known, ..)| known == name);
            let (_, before, indent, after) = wrap.ok_or(format!("no fragment is called {name}"))?;
            let inside: String = text
                .lines()
                .map(|line| format!("{indent}{line}\n"))
                .collect();
            let whole = format!("{before}{inside}{after}");
            if name == "policy" {
                policy(&whole)
            } else {
                topology(&whole).map(drop)
            }
        }
        // They are read together, by `deployments`.
        Kind::File(_) => Ok(()),
        Kind::Excerpt(path) => {
            let found = read(path).contains(text);
            found
                .then_some(())
                .ok_or(format!("these lines are not in {path}"))
        }
    }
}

fn topology(text: &str) -> Result<Topology, String> {
    Topology::parse(&[SourceFile::new("topology.yaml", text)])
        .map_err(|problems| problems.to_string())
}

fn policy(text: &str) -> Result<(), String> {
    let mut demo = topology(&read("config/examples/demo/topology.yaml"))?;
    // Services name policies of their own, which are not in this one file.
    demo.services.clear();
    PolicySet::parse(&[SourceFile::new("policies/this.yaml", text)], &demo)
        .map(drop)
        .map_err(|problems| problems.to_string())
}

fn node(text: &str) -> Result<(), String> {
    let node = door::parse::<Node>("meridian.yaml", text)
        .map_err(|problems| problems.to_string())?
        .value;
    let telemetry = node.telemetry.unwrap_or_default();
    logging::filter(&telemetry.log).map_err(|error| error.to_string())?;
    let says_something = node.store.is_some()
        || node.geo.is_some()
        || node.probe.is_some()
        || node.multi_region_config.is_some()
        || telemetry.access_log.is_some()
        || telemetry.decision_log.is_some();
    says_something
        .then_some(())
        .ok_or("this block sets nothing".into())
}

/// The deployments that pages show file by file: by page, and folder where the page has several. A
/// `meridian.yaml` among them has sections of every room: `cli/tests/it/migrate.rs` reads it.
fn deployments() -> BTreeMap<String, Sources> {
    let mut found: BTreeMap<String, Sources> = BTreeMap::new();
    for (page, text) in pages() {
        for block in blocks(&page, &text) {
            let Ok(Kind::File(path)) = kind(&block.comment) else {
                continue;
            };
            let (folder, name) = placed(&path);
            if name == "meridian.yaml" {
                continue;
            }
            let key = format!("{page} {folder}").trim_end().to_owned();
            let sources = found.entry(key).or_default();
            let file = SourceFile::new(name, block.text);
            if name.starts_with("policies/") {
                sources.policies.push(file);
            } else {
                sources.topology.push(file);
            }
        }
    }
    found
}

/// The folder of its page that a deployment's file lies in, with its slash, and its name there.
fn placed(path: &str) -> (&str, &str) {
    let at = path
        .find("policies/")
        .unwrap_or_else(|| path.rfind('/').map_or(0, |slash| slash + 1));
    path.split_at(at)
}

#[test]
fn every_block_loads() {
    let mut wrong = Vec::new();
    let mut read_here = 0;
    for (page, text) in pages() {
        if ELSEWHERE.iter().any(|(known, _)| *known == page) {
            continue;
        }
        for block in blocks(&page, &text) {
            read_here += 1;
            let checked = kind(&block.comment).and_then(|kind| check(&kind, &block.text));
            if let Err(problem) = checked {
                wrong.push(format!("docs/{}:{}: {problem}", block.page, block.line));
            }
        }
    }
    for (place, sources) in deployments() {
        if let Err(problems) = sources.read(None) {
            wrong.push(format!("docs/{place}: its deployment: {problems}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
    assert!(read_here >= 15, "only {read_here} blocks were found");
}

/// A page that nobody reads would rot unseen.
#[test]
fn the_other_pages_are_read_elsewhere() {
    for (page, test) in ELSEWHERE {
        assert!(root().join("docs").join(page).is_file(), "no docs/{page}");
        let name = page.rsplit('/').next().unwrap();
        assert!(read(test).contains(name), "{test} does not read {page}");
    }
}

#[test]
fn wrong_blocks_are_refused() {
    let fragment = |name: &str| Kind::Fragment(name.into());
    let cases = [
        (
            Kind::Topology,
            "regions:\n  - id: a\n    location: {}\n",
            "country",
        ),
        (
            Kind::Policy,
            "policy: a\nscore:\n  - geografic: { weight: 1 }\n",
            "geographic",
        ),
        (
            Kind::Policy,
            "policy: a\ntiers: [[us-east-7]]\n",
            "us-east-7",
        ),
        (Kind::Node, "probe: { max_concurent: 1 }\n", "max_concurent"),
        (Kind::Node, "dns: { listen: [] }\n", "dns"),
        (Kind::Node, "telemetry: {}\n", "sets nothing"),
        (
            fragment("policy"),
            "failover: { failback: { ramp: [50%, 5%] } }\n",
            "ramp",
        ),
        (
            fragment("service"),
            "health_checks:\n  - http: { path: healthz }\n",
            "path",
        ),
        (fragment("nothing"), "a: 1\n", "nothing"),
        (
            Kind::Excerpt("README.md".into()),
            "no such line\n",
            "README.md",
        ),
    ];
    for (kind, text, says) in cases {
        let problem = check(&kind, text).expect_err(text);
        assert!(problem.contains(says), "{kind:?}: {problem}");
    }
    for comment in ["", "A sentence.", "<!-- polici -->"] {
        assert!(kind(comment).is_err(), "{comment}");
    }
    let found = blocks(
        "page.md",
        "<!-- policy -->\n```yaml\npolicy: a\n```\n\n```sh\nx\n```\n",
    );
    assert_eq!(found.len(), 1);
    assert_eq!(kind(&found[0].comment), Ok(Kind::Policy));
    assert_eq!((found[0].line, found[0].text.as_str()), (2, "policy: a\n"));
}

/// What `get-started.md` says of its two clients.
#[test]
fn the_first_deployment_steers_as_told() {
    let meaning = deployments()["get-started.md"]
        .read(None)
        .unwrap_or_else(|problems| panic!("{problems}"));
    let classes = meridian_geo::build(&meaning.topology, &GeoSources::default()).unwrap();
    let world = World::new(meaning.topology, meaning.policies, classes);
    for (client, region) in [("85.214.132.117", "frankfurt"), ("12.34.56.78", "ashburn")] {
        let query = Query {
            service: "web".parse().unwrap(),
            client: Client::Address(client.parse().unwrap()),
            surface: Surface::Dns,
            family: None,
            key: None,
            plan_generation: None,
        };
        let choice = explain(&world, &query).unwrap().choice.unwrap();
        assert_eq!(choice.region.as_str(), region, "{client}");
        assert!(pages()["get-started.md"].contains(client));
    }
}

/// Text outside fenced blocks.
fn prose(text: &str) -> String {
    let parts = text.split("\n```").step_by(2);
    parts.collect::<Vec<_>>().join("\n")
}

/// The anchor that mdBook and GitHub give a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn links(text: &str) -> Vec<String> {
    let text = prose(text);
    let targets = text.split("](").skip(1).filter_map(|rest| {
        let (target, _) = rest.split_once(')')?;
        (!target.contains("://")).then(|| target.to_owned())
    });
    targets.collect()
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for (page, text) in pages() {
        let folder = Path::new(&page).parent().unwrap();
        for link in links(&text) {
            let (file, part) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() {
                root().join("docs").join(&page)
            } else {
                root().join("docs").join(folder).join(file)
            };
            let Ok(there) = std::fs::read_to_string(&target) else {
                broken.push(format!("docs/{page}: {link}"));
                continue;
            };
            let there = prose(&there);
            let mut headings = there
                .lines()
                .filter_map(|line| line.strip_prefix('#'))
                .map(|heading| anchor(heading.trim_start_matches('#')));
            if !part.is_empty() && !headings.any(|heading| heading == part) {
                broken.push(format!("docs/{page}: {link} (no such heading)"));
            }
        }
    }
    assert!(broken.is_empty(), "broken links:\n{}", broken.join("\n"));
}

#[test]
fn every_page_is_in_the_summary() {
    let pages = pages();
    let listed: BTreeSet<String> = links(&pages["SUMMARY.md"]).into_iter().collect();
    for page in pages.keys().filter(|page| *page != "SUMMARY.md") {
        assert!(
            listed.contains(page),
            "docs/SUMMARY.md does not list {page}"
        );
    }
}

/// Dotted paths of all leaves, with their values.
fn leaves(path: &str, value: &Value, found: &mut Vec<(String, Value)>) {
    match value {
        Value::Object(keys) => {
            for (key, value) in keys {
                leaves(&format!("{path}.{key}"), value, found);
            }
        }
        leaf => found.push((path.to_owned(), leaf.clone())),
    }
}

/// Whether a table's cell states a default. Paths, lists and what is absent are told in words.
fn states(cell: &str, default: &Value) -> bool {
    let cell = cell.trim_matches('`');
    match default {
        Value::Number(number) => {
            let (said, real) = (
                cell.parse::<f64>().unwrap_or(f64::NAN),
                number.as_f64().unwrap(),
            );
            // An f32 such as 0.01 becomes an f64 next to it.
            (said - real).abs() <= 1e-6 * real.abs()
        }
        Value::String(text) if !text.is_empty() => cell == text,
        _ => !cell.is_empty(),
    }
}

#[test]
fn operate_lists_every_key_with_its_default() {
    let etcd = EtcdConfig {
        tls: Some(EtcdTls::default()),
        ..EtcdConfig::default()
    };
    let sections = [
        ("store", serde_json::to_value(StoreConfig::default())),
        ("store.etcd", serde_json::to_value(etcd)),
        ("probe", serde_json::to_value(ProbeConfig::default())),
        ("telemetry.log", serde_json::to_value(LogConfig::default())),
        (
            "telemetry.access_log",
            serde_json::to_value(AccessLogConfig::default()),
        ),
        (
            "telemetry.decision_log",
            serde_json::to_value(DecisionLogConfig::default()),
        ),
    ];
    let page = read("docs/operate.md");
    for (path, section) in sections {
        let mut keys = Vec::new();
        leaves(path, &section.unwrap(), &mut keys);
        assert!(!keys.is_empty(), "{path}");
        for (key, default) in keys {
            let row = page
                .lines()
                .find_map(|line| line.strip_prefix(&format!("| `{key}` | ")));
            let row = row.unwrap_or_else(|| panic!("docs/operate.md does not list {key}"));
            let cell = row.split(" |").next().unwrap();
            assert!(
                states(cell, &default),
                "{key}: docs/operate.md says {cell}, it is {default}"
            );
        }
    }
}

/// The first deployment really runs, and what it counts is in the page that says what to watch.
#[tokio::test]
async fn the_first_deployment_runs_and_its_metrics_are_listed() {
    let folder = tempfile::tempdir().unwrap();
    for file in deployments()["get-started.md"].files() {
        let path = folder.path().join(&file.name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, &file.text).unwrap();
    }
    let metrics = Metrics::new();
    let (tasks, shutdown) = (TaskTracker::new(), CancellationToken::new());
    let config = LiveConfig {
        directory: Some(folder.path().to_path_buf()),
        ..LiveConfig::default()
    };
    let store = Arc::new(Embedded::in_memory().await.unwrap());
    let live = meridian_live::start(config, store, &metrics, &tasks, shutdown.clone())
        .await
        .unwrap();
    assert_eq!(live.status().sources, SourcesStatus::InForce);

    let page = read("docs/operate.md");
    let names = metrics.names();
    for room in ["meridian_live_", "meridian_probe_"] {
        assert!(names.iter().any(|name| name.starts_with(room)), "{names:?}");
    }
    for name in names {
        assert!(
            page.contains(&format!("`{name}")),
            "docs/operate.md does not list {name}"
        );
    }
    shutdown.cancel();
    tasks.close();
    tasks.wait().await;
}
