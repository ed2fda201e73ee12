#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::collections::HashSet;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use meridian_topology::Millis;
use proptest::prelude::*;

use super::*;
use crate::metrics::{Metrics, Unit};

/// A test that waits longer has failed.
const DEADLINE: Duration = Duration::from_secs(60);

fn decision(n: u64) -> Decision {
    Decision {
        at_unix_us: 1_700_000_000_000_000 + n,
        decision_id: DecisionId(n),
        surface: Surface::Http,
        service: "shop".parse().unwrap(),
        class: 3,
        plan_generation: 9,
        endpoint: Some(format!("fra-{}", n % 5).parse().unwrap()),
        region: Some("eu-central-1".parse().unwrap()),
        propensity: 0.25,
        latency_us: Some(1_500),
        status: Some(200),
        sample_rate: SampleRate::ALL,
    }
}

fn config(directory: &Path) -> DecisionLogConfig {
    DecisionLogConfig {
        directory: Some(directory.to_path_buf()),
        sample_rate: 1.0,
        age_per_file: Millis(86_400_000),
        ..DecisionLogConfig::default()
    }
}

fn counted(metrics: &Metrics, what: &str) -> u64 {
    metrics
        .room("telemetry")
        .unwrap()
        .counter(what, Unit::Count, "h")
        .unwrap()
        .get()
}

fn offer_all(log: &DecisionLog, range: std::ops::Range<u64>) {
    for n in range {
        assert_eq!(log.offer(decision(n)), Offered::Queued);
    }
}

fn read_all(directory: &Path) -> Vec<Decision> {
    let files = decision_files(directory).unwrap();
    files
        .iter()
        .flat_map(|path| read_decisions(path).unwrap())
        .collect()
}

fn some_decision() -> impl Strategy<Value = Decision> {
    let id = "[a-z][a-z0-9.-]{0,8}";
    (
        (
            0..=i64::MAX.cast_unsigned(),
            any::<u64>(),
            0..3_usize,
            id,
            any::<u32>(),
            any::<u64>(),
        ),
        (
            proptest::option::of(id),
            proptest::option::of(id),
            0.0..=1.0_f32,
        ),
        (any::<Option<u32>>(), any::<Option<u16>>(), 0.0..=1.0_f32),
    )
        .prop_map(
            |(
                (at, id, surface, service, class, plan),
                (endpoint, region, p),
                (us, status, rate),
            )| {
                Decision {
                    at_unix_us: at,
                    decision_id: DecisionId(id),
                    surface: [Surface::Dns, Surface::Http, Surface::Stream][surface],
                    service: service.parse().unwrap(),
                    class,
                    plan_generation: plan,
                    endpoint: endpoint.map(|id| id.parse().unwrap()),
                    region: region.map(|id| id.parse().unwrap()),
                    propensity: p,
                    latency_us: us,
                    status,
                    sample_rate: SampleRate::new(rate).unwrap(),
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn files_give_back_what_was_offered(decisions in proptest::collection::vec(some_decision(), 1..50)) {
        let directory = tempfile::tempdir().unwrap();
        let log = DecisionLog::start(&config(directory.path()), &Metrics::new()).unwrap();
        for decision in &decisions {
            prop_assert_eq!(log.offer(decision.clone()), Offered::Queued);
        }
        log.flush();
        prop_assert_eq!(read_all(directory.path()), decisions);
    }

    /// A file from outside may be refused but must not end the process.
    #[test]
    fn broken_files_are_errors(at in 0.0..1.0_f64, flip in 1..=255_u8, cut in any::<bool>()) {
        let directory = tempfile::tempdir().unwrap();
        let mut bytes = whole_file();
        let at = (at * bytes.len() as f64) as usize;
        if cut {
            bytes.truncate(at);
        } else {
            bytes[at] ^= flip;
        }
        let path = directory.path().join("broken");
        fs::write(&path, bytes).unwrap();
        let read = read_decisions(path);
        prop_assert!(!cut || read.is_err());
    }

    #[test]
    fn a_higher_rate_keeps_what_a_lower_one_kept(id in any::<u64>(), a in 0.0..=1.0_f32, b in 0.0..=1.0_f32) {
        let (low, high) = (SampleRate(a.min(b)), SampleRate(a.max(b)));
        prop_assert!(!low.keeps(DecisionId(id)) || high.keeps(DecisionId(id)));
    }
}

fn whole_file() -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let log = DecisionLog::start(&config(directory.path()), &Metrics::new()).unwrap();
    offer_all(&log, 0..20);
    log.shutdown();
    fs::read(&decision_files(directory.path()).unwrap()[0]).unwrap()
}

#[test]
fn the_sample_is_the_stated_share() {
    const IDS: u64 = 200_000;
    let ids = DecisionIds::new(7);
    for rate in [0.0, 0.001, 0.01, 0.5, 1.0] {
        let rate = SampleRate::new(rate).unwrap();
        let kept = (0..IDS).filter(|_| rate.keeps(ids.next_id())).count() as f64;
        let expected = f64::from(rate.get()) * IDS as f64;
        // Six standard deviations: ids are fixed by the seed, so this cannot flake.
        let slack = 6.0 * (expected * (1.0 - f64::from(rate.get()))).sqrt();
        assert!(
            (kept - expected).abs() <= slack,
            "{rate:?}: {kept} of {IDS}"
        );
    }
}

#[test]
fn ids_never_repeat_and_seeds_differ() {
    let (a, b) = (DecisionIds::new(1), DecisionIds::new(2));
    let ids: HashSet<DecisionId> = (0..50_000)
        .flat_map(|_| [a.next_id(), b.next_id()])
        .collect();
    assert_eq!(ids.len(), 100_000);
}

#[test]
fn files_close_at_their_rows() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let config = DecisionLogConfig {
        rows_per_file: 10,
        ..config(directory.path())
    };
    let log = DecisionLog::start(&config, &metrics).unwrap();
    offer_all(&log, 0..25);
    log.flush();
    let rows = |path: &std::path::PathBuf| read_decisions(path).unwrap().len();
    let files = decision_files(directory.path()).unwrap();
    assert_eq!(files.iter().map(rows).collect::<Vec<_>>(), [10, 10, 5]);
    assert_eq!(
        read_all(directory.path()),
        (0..25).map(decision).collect::<Vec<_>>()
    );
    assert_eq!(counted(&metrics, "decisions_written"), 25);
    assert_eq!(counted(&metrics, "decision_files_written"), 3);
    // Nothing waits, so nothing is written.
    log.flush();
    assert_eq!(decision_files(directory.path()).unwrap().len(), 3);
}

#[test]
fn shutdown_writes_what_is_queued() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let log = DecisionLog::start(&config(directory.path()), &metrics).unwrap();
    offer_all(&log, 0..7);
    log.shutdown();
    assert_eq!(read_all(directory.path()).len(), 7);
    assert_eq!(log.offer(decision(8)), Offered::Dropped);
    log.shutdown();
    assert_eq!(counted(&metrics, "decisions_dropped"), 1);
    // A new run on the same directory overwrites nothing, even with the same times.
    let log = DecisionLog::start(&config(directory.path()), &Metrics::new()).unwrap();
    offer_all(&log, 0..2);
    drop(log);
    assert_eq!(read_all(directory.path()).len(), 9);
}

#[test]
fn the_oldest_files_go() {
    let directory = tempfile::tempdir().unwrap();
    let config = DecisionLogConfig {
        rows_per_file: 1,
        max_files: 3,
        ..config(directory.path())
    };
    let log = DecisionLog::start(&config, &Metrics::new()).unwrap();
    offer_all(&log, 0..9);
    log.flush();
    let left: Vec<u64> = read_all(directory.path())
        .iter()
        .map(|decision| decision.decision_id.0)
        .collect();
    assert_eq!(left, [6, 7, 8]);
}

#[test]
fn a_crash_leaves_nothing_behind_and_strangers_stay() {
    let directory = tempfile::tempdir().unwrap();
    for name in [
        "decisions-00000000000000000001-000000.tmp",
        "notes.tmp",
        "decisions.md",
    ] {
        fs::write(directory.path().join(name), "x").unwrap();
    }
    DecisionLog::start(&config(directory.path()), &Metrics::new())
        .unwrap()
        .shutdown();
    let mut names: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["decisions.md", "notes.tmp"]);
}

#[test]
fn a_file_under_its_name_is_whole() {
    let directory = tempfile::tempdir().unwrap();
    let done = AtomicBool::new(false);
    let log = DecisionLog::start(
        &DecisionLogConfig {
            rows_per_file: 50,
            max_files: 10_000,
            ..config(directory.path())
        },
        &Metrics::new(),
    )
    .unwrap();
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = HashSet::new();
            let mut last_look = false;
            while !last_look {
                last_look = done.load(Ordering::Acquire);
                for path in decision_files(directory.path()).unwrap() {
                    if seen.insert(path.clone()) {
                        assert_eq!(read_decisions(&path).unwrap().len(), 50);
                    }
                }
            }
            seen.len()
        });
        offer_all(&log, 0..5_000);
        log.shutdown();
        done.store(true, Ordering::Release);
        assert_eq!(reader.join().unwrap(), 100);
    });
}

#[test]
fn files_close_at_their_age() {
    let directory = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    let config = DecisionLogConfig {
        age_per_file: Millis(5),
        ..config(directory.path())
    };
    let log = DecisionLog::start(&config, &metrics).unwrap();
    offer_all(&log, 1..2);
    let began = Instant::now();
    while counted(&metrics, "decision_files_written") == 0 {
        assert!(began.elapsed() < DEADLINE, "the file was never closed");
        std::thread::yield_now();
    }
    assert_eq!(read_all(directory.path()), [decision(1)]);
}

#[test]
fn the_configuration_reads_as_documented() {
    let text = r#"{"directory": "decisions", "sample_rate": 0.5, "age_per_file": "30s"}"#;
    let config: DecisionLogConfig = serde_json::from_str(text).unwrap();
    let expected = DecisionLogConfig {
        directory: Some("decisions".into()),
        sample_rate: 0.5,
        age_per_file: Millis(30_000),
        ..DecisionLogConfig::default()
    };
    assert_eq!(config, expected);
    let again = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<DecisionLogConfig>(&again).unwrap(),
        config
    );
    assert!(serde_json::from_str::<DecisionLogConfig>(r#"{"age_per_file": 30}"#).is_err());
    assert!(serde_json::from_str::<DecisionLogConfig>(r#"{"max_file": 30}"#).is_err());
}

#[test]
fn a_failing_disk_is_counted_and_survived() {
    let directory = tempfile::tempdir().unwrap();
    let inside = directory.path().join("decisions");
    let metrics = Metrics::new();
    let log = DecisionLog::start(&config(&inside), &metrics).unwrap();
    fs::remove_dir(&inside).unwrap();
    offer_all(&log, 0..3);
    log.flush();
    assert_eq!(counted(&metrics, "decisions_lost"), 3);
    assert!(counted(&metrics, "decision_write_errors") > 0);
    fs::create_dir(&inside).unwrap();
    offer_all(&log, 3..5);
    log.flush();
    assert_eq!(read_all(&inside), [decision(3), decision(4)]);
}

#[test]
fn strange_files_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("other.arrow");
    assert!(matches!(read_decisions(&path), Err(ReadError::Io(_))));
    fs::write(&path, "not arrow at all").unwrap();
    assert!(matches!(read_decisions(&path), Err(ReadError::Arrow(_))));
    let schema = arrow_schema::Schema::new(vec![arrow_schema::Field::new(
        "class",
        arrow_schema::DataType::UInt32,
        false,
    )]);
    let mut writer =
        arrow_ipc::writer::FileWriter::try_new(fs::File::create(&path).unwrap(), &schema).unwrap();
    writer.finish().unwrap();
    let error = read_decisions(&path).unwrap_err();
    assert!(matches!(error, ReadError::Schema(_)), "{error}");
}

#[test]
fn limits_are_checked() {
    let base = DecisionLogConfig {
        directory: Some("/nowhere".into()),
        ..DecisionLogConfig::default()
    };
    let cases = [
        DecisionLogConfig {
            sample_rate: 1.5,
            ..base.clone()
        },
        DecisionLogConfig {
            sample_rate: f32::NAN,
            ..base.clone()
        },
        DecisionLogConfig {
            rows_per_file: ROWS_PER_FILE_MAX + 1,
            ..base.clone()
        },
        DecisionLogConfig {
            age_per_file: Millis(0),
            ..base.clone()
        },
        DecisionLogConfig {
            max_files: 0,
            ..base.clone()
        },
        DecisionLogConfig {
            queue: 0,
            ..base.clone()
        },
        DecisionLogConfig {
            directory: Some("/proc/none".into()),
            ..base
        },
    ];
    let seen: Vec<String> = cases
        .iter()
        .map(|config| {
            DecisionLog::start(config, &Metrics::new())
                .unwrap_err()
                .to_string()
        })
        .collect();
    expect_test::expect![[r#"
        decision log: `sample_rate` is 1.5, allowed is 0 to 1
        decision log: `sample_rate` is NaN, allowed is 0 to 1
        decision log: `rows_per_file` is 65537, allowed is 1 to 65536
        decision log: `age_per_file` is 0, allowed is 1 to 86400000
        decision log: `max_files` is 0, allowed is 1 to 10000
        decision log: `queue` is 0, allowed is 1 to 262144
        decision log: cannot use directory /proc/none"#]]
    .assert_eq(&seen.join("\n"));
}

#[test]
fn without_a_directory_nothing_is_sampled() {
    let log = DecisionLog::start(&DecisionLogConfig::default(), &Metrics::new()).unwrap();
    assert_eq!(log.sample(DecisionId(1)), None);
    assert_eq!(log.offer(decision(1)), Offered::Off);
}
