#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use expect_test::expect;
use meridian_topology::{CheckKind, Millis, Scheme};
use tokio::net::TcpListener;
use tokio::time::timeout;

use super::*;
use crate::ExecChecks;
use crate::hysteresis::Verdict;
use crate::target::Health;
use crate::testing::{DEADLINE, HttpServer, any_port, closed_port, exec, http, target};

/// A running prober and everything around it.
struct World {
    prober: Prober,
    targets: watch::Sender<Arc<Vec<Target>>>,
    transitions: mpsc::Receiver<Transition>,
    metrics: Metrics,
    shutdown: CancellationToken,
}

impl World {
    fn start(config: &ProbeConfig, targets: Vec<Target>) -> Self {
        Self::start_with_room(config, targets, 64)
    }

    fn start_with_room(config: &ProbeConfig, targets: Vec<Target>, room: usize) -> Self {
        let (targets, list) = watch::channel(Arc::new(targets));
        let (sink, transitions) = mpsc::channel(room);
        let metrics = Metrics::new();
        let shutdown = CancellationToken::new();
        let prober = Prober::start(config, list, sink, &metrics, shutdown.clone()).unwrap();
        Self {
            prober,
            targets,
            transitions,
            metrics,
            shutdown,
        }
    }

    fn replace(&self, targets: Vec<Target>) {
        self.targets.send(Arc::new(targets)).unwrap();
    }

    async fn next(&mut self) -> Transition {
        timeout(DEADLINE, self.transitions.recv())
            .await
            .unwrap()
            .unwrap()
    }

    /// Waits until there are checks and their statuses are as wanted.
    async fn wait_for(&self, mut wanted: impl FnMut(&[ProbeStatus]) -> bool) {
        let mut there = |all: Vec<ProbeStatus>| !all.is_empty() && wanted(&all);
        let reached = async {
            while !there(self.prober.statuses()) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        assert!(
            timeout(DEADLINE, reached).await.is_ok(),
            "{:#?}",
            self.prober.statuses()
        );
    }

    fn metric(&self, line: &str) -> Option<String> {
        let text = self.metrics.render().unwrap();
        text.lines()
            .find_map(|l| l.strip_prefix(line).map(|v| v.trim().to_owned()))
    }
}

fn fast() -> ProbeConfig {
    ProbeConfig {
        start_spread: Millis(5),
        ..ProbeConfig::default()
    }
}

#[tokio::test]
async fn an_endpoint_dies_and_comes_back() {
    let server = HttpServer::start(None, None).await;
    let address = server.address;
    let mut world = World::start(
        &fast(),
        vec![target("fra-1", address, http(Scheme::Http, None))],
    );
    let up = world.next().await;
    assert_eq!((up.to, up.cause.as_str()), (Health::Up, "probe succeeded"));
    server.answer_with(503);
    let down = world.next().await;
    assert_eq!(
        (down.to, down.cause.as_str()),
        (Health::Down, "status 503, expected 200-399")
    );
    assert_eq!(down.endpoint.as_str(), "fra-1");
    assert!(down.detection < DEADLINE);
    assert_eq!(
        world.metric("meridian_probe_endpoint_up{endpoint=\"fra-1\"}"),
        Some("0".into())
    );
    server.answer_with(204);
    let up = world.next().await;
    assert_eq!(
        (up.to, up.cause.as_str()),
        (Health::Up, "2 probes succeeded")
    );
    assert_eq!(
        world.metric("meridian_probe_endpoint_up{endpoint=\"fra-1\"}"),
        Some("1".into())
    );
    assert_eq!(
        world.metric("meridian_probe_transitions_total{to=\"down\"}"),
        Some("1".into())
    );
    assert_eq!(
        world.metric("meridian_probe_transitions_total{to=\"up\"}"),
        Some("2".into())
    );
    // The whole server goes, then another one takes its place.
    drop(server);
    assert_eq!(world.next().await.to, Health::Down);
    let _server = HttpServer::start(Some(address), None).await;
    assert_eq!(world.next().await.to, Health::Up);
}

#[tokio::test]
async fn statuses_show_the_latest() {
    let server = HttpServer::start(None, None).await;
    let refused = target("fra-2", closed_port().await, CheckKind::Tcp);
    let targets = vec![
        refused,
        target("fra-1", server.address, http(Scheme::Http, None)),
    ];
    let world = World::start(&fast(), targets);
    world
        .wait_for(|all| all.iter().all(|s| s.verdict != Verdict::Unknown))
        .await;
    let statuses = world.prober.status_reader().statuses();
    let [up, down] = &statuses[..] else {
        unreachable!("two checks: {statuses:?}")
    };
    assert_eq!(
        (up.endpoint.as_str(), up.kind, up.verdict),
        ("fra-1", "http", Verdict::Up)
    );
    assert_eq!(up.last.as_ref().unwrap().failure, None);
    assert_eq!(
        (down.endpoint.as_str(), down.kind, down.verdict),
        ("fra-2", "tcp", Verdict::Down)
    );
    assert_eq!(
        down.last.as_ref().unwrap().failure.as_deref(),
        Some("connect refused")
    );
    assert!(down.consecutive >= 2);
    assert!(down.since_unix_us <= down.last.as_ref().unwrap().at_unix_us);
    let ok = world
        .metric("meridian_probe_probes_total{kind=\"http\",result=\"ok\"}")
        .unwrap();
    assert!(ok.parse::<u32>().unwrap() >= 1);
    expect![[r#"
        meridian_probe_checks
        meridian_probe_detection_seconds
        meridian_probe_duration_seconds
        meridian_probe_endpoint_up
        meridian_probe_probes_total
        meridian_probe_running
        meridian_probe_start_delay_seconds
        meridian_probe_transitions_total"#]]
    .assert_eq(&world.metrics.names().join("\n"));
}

#[tokio::test]
async fn a_new_list_changes_only_what_differs() {
    let (one, two) = (
        HttpServer::start(None, None).await,
        HttpServer::start(None, None).await,
    );
    let first = target("fra-1", one.address, http(Scheme::Http, None));
    let second = target("fra-2", two.address, http(Scheme::Http, None));
    let mut world = World::start(&fast(), vec![first.clone()]);
    assert_eq!(world.next().await.endpoint.as_str(), "fra-1");
    world.wait_for(|all| all[0].consecutive >= 3).await;
    let before = world.prober.statuses().remove(0);
    world.replace(vec![first.clone(), second.clone()]);
    assert_eq!(world.next().await.endpoint.as_str(), "fra-2");
    let after = world.prober.statuses().remove(0);
    assert!(after.consecutive >= before.consecutive, "its run went on");
    assert_eq!(after.since_unix_us, before.since_unix_us);
    world.replace(vec![second]);
    world
        .wait_for(|all| all.len() == 1 && all[0].endpoint.as_str() == "fra-2")
        .await;
    assert_eq!(
        world.metric("meridian_probe_endpoint_up{endpoint=\"fra-1\"}"),
        None
    );
    // Nothing of the removed check is asked any more: only the other server's count goes on.
    let asked = one.requests.load(Ordering::Relaxed);
    world.wait_for(|all| all[0].consecutive >= 10).await;
    let late = one.requests.load(Ordering::Relaxed) - asked;
    assert!(
        late <= 1,
        "{late} probes after the removal, at most one was on its way"
    );
}

#[tokio::test]
async fn programs_are_refused_unless_allowed() {
    let program = || vec![target("fra-1", any_port(), exec("/bin/false", &[]))];
    let refusing = World::start(&fast(), program());
    refusing
        .wait_for(|all| all.len() == 1 && all[0].not_probed.is_some())
        .await;
    let config = ProbeConfig {
        exec_checks: ExecChecks::Run,
        ..fast()
    };
    let mut running = World::start(&config, program());
    let down = running.next().await;
    assert_eq!(
        (down.to, down.cause.as_str()),
        (Health::Down, "exit code 1")
    );
    // The other one had at least as much time and did nothing.
    let status = refusing.prober.statuses().remove(0);
    assert_eq!((status.verdict, status.last), (Verdict::Unknown, None));
}

/// Accepts connections and answers nothing. Whenever `together` are open it waits a moment for one
/// that should not come, then closes them all. Returns the most that were open at a time; a slow
/// machine can only make it see fewer.
async fn counting_server(together: usize) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let most = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&most);
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let patience = if open.len() < together {
                DEADLINE
            } else {
                Duration::from_millis(20)
            };
            match timeout(patience, listener.accept()).await {
                Ok(accepted) => open.push(accepted.unwrap()),
                Err(_) => open.clear(),
            }
            seen.fetch_max(open.len(), Ordering::SeqCst);
        }
    });
    (address, most)
}

#[tokio::test]
async fn concurrency_is_bounded() {
    const CHECKS: usize = 12;
    const TOGETHER: usize = 4;
    let (address, most) = counting_server(TOGETHER).await;
    let one = |n| target(&format!("e{n}"), address, http(Scheme::Http, None));
    let config = ProbeConfig {
        max_concurrent: TOGETHER,
        ..fast()
    };
    let mut world = World::start(&config, (0..CHECKS).map(one).collect());
    for _ in 0..CHECKS {
        let down = world.next().await;
        let expected = "connection broke while waiting for the answer";
        assert!(down.cause.starts_with(expected), "{}", down.cause);
    }
    assert_eq!(most.load(Ordering::SeqCst), TOGETHER);
    let started = world
        .metric("meridian_probe_start_delay_seconds_count")
        .unwrap();
    assert!(started.parse::<usize>().unwrap() >= 2 * CHECKS);
}

#[tokio::test]
async fn a_slow_receiver_gets_the_latest_verdict() {
    let server = HttpServer::start(None, None).await;
    let other = HttpServer::start(None, None).await;
    let targets = vec![
        target("fra-1", server.address, http(Scheme::Http, None)),
        target("fra-2", other.address, http(Scheme::Http, None)),
    ];
    let mut world = World::start_with_room(&fast(), targets, 1);
    let verdicts =
        |wanted: Verdict| move |all: &[ProbeStatus]| all.iter().all(|s| s.verdict == wanted);
    world.wait_for(verdicts(Verdict::Up)).await;
    // The channel has room for one: it holds a first verdict before the next ones are made.
    world.wait_for(|_| world.transitions.len() == 1).await;
    for (status, verdict) in [
        (500, Verdict::Down),
        (200, Verdict::Up),
        (500, Verdict::Down),
    ] {
        server.answer_with(status);
        other.answer_with(status);
        world.wait_for(verdicts(verdict)).await;
    }
    // One waits in the channel (the oldest of all), then the latest of each endpoint.
    let first = world.next().await;
    assert_eq!(first.to, Health::Up);
    let mut rest = [world.next().await, world.next().await];
    rest.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
    assert_eq!(
        rest.each_ref().map(|t| (t.endpoint.as_str(), t.to)),
        [("fra-1", Health::Down), ("fra-2", Health::Down),]
    );
}

#[tokio::test]
async fn probing_goes_on_without_anybody_around() {
    let server = HttpServer::start(None, None).await;
    let World {
        prober,
        targets,
        transitions,
        ..
    } = World::start(
        &fast(),
        vec![target("fra-1", server.address, http(Scheme::Http, None))],
    );
    drop((targets, transitions));
    for (status, verdict) in [(500, Verdict::Down), (200, Verdict::Up)] {
        server.answer_with(status);
        let reached = async {
            while prober
                .statuses()
                .first()
                .is_none_or(|s| s.verdict != verdict)
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(DEADLINE, reached).await.unwrap();
    }
}

#[tokio::test]
async fn shutdown_ends_running_probes() {
    let (address, most) = counting_server(2).await;
    let world = World::start(
        &fast(),
        vec![target("fra-1", address, http(Scheme::Http, None))],
    );
    let asked = async {
        while most.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, asked).await.unwrap();
    world.shutdown.cancel();
    // The probe itself would wait for half a minute.
    timeout(DEADLINE, world.prober.stopped()).await.unwrap();
    let text = world.metrics.render().unwrap();
    assert!(text.contains("meridian_probe_running 0"), "{text}");
}

#[tokio::test]
async fn bad_settings_are_refused() {
    let start = |config: ProbeConfig| {
        let (_, targets) = watch::channel(Arc::new(Vec::new()));
        let (sink, _) = mpsc::channel(1);
        Prober::start(
            &config,
            targets,
            sink,
            &Metrics::new(),
            CancellationToken::new(),
        )
        .map_or_else(|error| error.to_string(), |_| "fine".into())
    };
    let seen = [
        start(ProbeConfig {
            max_concurrent: 0,
            ..fast()
        }),
        start(ProbeConfig {
            max_concurrent: CONCURRENT_MAX + 1,
            ..fast()
        }),
        start(ProbeConfig {
            ca_file: Some("/proc/none".into()),
            ..fast()
        }),
        start(fast()),
    ];
    expect![[r#"
        probe: `max_concurrent` is 0, allowed is 1 to 16384
        probe: `max_concurrent` is 16385, allowed is 1 to 16384
        probe: cannot read the authorities in /proc/none
        fine"#]]
    .assert_eq(&seen.join("\n"));
}
