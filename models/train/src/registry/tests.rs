#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::BTreeMap;

use meridian_score::{DataSet, Draft, Judged, Line, Metrics, Model, Origin, Versus};
use proptest::prelude::*;

use super::*;

fn artifact(number: u32) -> Artifact {
    let metrics = Metrics {
        mae_ms: 1.0,
        regret_ms: 1.0,
        regret_p95_ms: 1.0,
        optimal_share: 0.5,
        oracle_mean_ms: 1.0,
    };
    let versus = Versus {
        model: metrics,
        geo: metrics,
    };
    let line = Line {
        intercept_ms: f64::from(number),
        ms_per_km: 0.015,
    };
    let draft = Draft {
        name: "latency".to_owned(),
        model: Model::Haversine(line),
        distance: line,
        judged: Judged {
            every_region: versus,
            fleets: versus,
        },
        trained_on: DataSet {
            name: "by hand".to_owned(),
            origin: Origin::Measured,
            rows: 1,
            clients: 1,
            regions: 1,
            blake3: String::new(),
        },
        created_at_unix_s: 7,
    };
    Artifact::seal(draft, Some(&format!("v{number}"))).unwrap()
}

fn registry() -> (tempfile::TempDir, Registry) {
    let directory = tempfile::tempdir().unwrap();
    let registry = Registry::open(directory.path().join("models")).unwrap();
    (directory, registry)
}

fn corrupt(registry: &Registry, id: &str) {
    let path = registry.path(id);
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn an_empty_registry_has_nothing_and_says_so() {
    let (_directory, registry) = registry();
    assert_eq!(registry.current().unwrap(), None);
    assert_eq!(registry.list().unwrap(), []);
    assert!(matches!(
        registry.rollback(),
        Err(RegistryError::NoPrevious)
    ));
    let error = registry.promote("latency-v1").unwrap_err();
    assert!(matches!(error, RegistryError::NotFound { .. }), "{error}");
}

#[test]
fn add_is_idempotent_but_never_overwrites() {
    let (_directory, registry) = registry();
    let id = registry.add(&artifact(1)).unwrap();
    assert_eq!(id, "latency-v1");
    let mut later = artifact(1);
    later.created_at_unix_s = 8;
    assert_eq!(registry.add(&later).unwrap(), id);
    assert_eq!(registry.get(&id).unwrap().created_at_unix_s, 7);
    let mut other = artifact(2);
    other.version = "v1".to_owned();
    assert!(matches!(
        registry.add(&other),
        Err(RegistryError::Exists { .. })
    ));
    assert_eq!(registry.get(&id).unwrap(), artifact(1));
}

#[test]
fn an_id_never_leaves_the_directory() {
    let (directory, registry) = registry();
    fs::write(
        directory.path().join("up.model"),
        artifact(1).encode().unwrap(),
    )
    .unwrap();
    for id in ["../up", "/etc/passwd", "", ".hidden", "a/b"] {
        let error = registry.promote(id).unwrap_err();
        assert!(
            matches!(error, RegistryError::NotFound { .. }),
            "{id}: {error}"
        );
    }
}

#[test]
fn a_renamed_artifact_is_not_taken_for_another() {
    let (_directory, registry) = registry();
    let id = registry.add(&artifact(1)).unwrap();
    fs::rename(registry.path(&id), registry.path("latency-v2")).unwrap();
    let error = registry.promote("latency-v2").unwrap_err();
    assert!(matches!(error, RegistryError::Renamed { .. }), "{error}");
}

#[test]
fn a_corrupted_promoted_artifact_is_an_error_and_the_one_before_can_serve() {
    let (_directory, registry) = registry();
    for number in [1, 2] {
        let id = registry.add(&artifact(number)).unwrap();
        registry.promote(&id).unwrap();
    }
    corrupt(&registry, "latency-v2");
    let error = registry.current().unwrap_err().to_string();
    assert!(error.contains("checksum mismatch"), "{error}");
    let usable = registry.newest_usable().unwrap();
    assert_eq!(usable.artifact, Some(artifact(1)));
    assert_eq!(usable.passed_over.len(), 1);
    let entries = registry.list().unwrap();
    assert!(entries[1].promoted && entries[1].problem.is_some());
    assert_eq!(registry.rollback().unwrap(), artifact(1));
    assert_eq!(registry.current().unwrap(), Some(artifact(1)));
}

#[test]
fn a_pointer_edited_by_hand_is_named_by_line() {
    let (_directory, registry) = registry();
    fs::write(
        registry.directory().join(POINTER),
        "latency-v1\nlatency v2\n",
    )
    .unwrap();
    let error = registry.current().unwrap_err();
    assert!(
        matches!(error, RegistryError::BadPointer { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn what_a_crash_left_is_no_artifact_and_in_nobodys_way() {
    let (_directory, registry) = registry();
    fs::write(registry.directory().join(TEMPORARY), "half an arti").unwrap();
    assert_eq!(registry.list().unwrap(), []);
    let id = registry.add(&artifact(1)).unwrap();
    assert_eq!(registry.get(&id).unwrap(), artifact(1));
}

#[test]
fn concurrent_promotions_are_all_remembered() {
    let (_directory, registry) = registry();
    let numbers: Vec<u32> = (0..8).collect();
    for number in &numbers {
        registry.add(&artifact(*number)).unwrap();
    }
    std::thread::scope(|scope| {
        for number in &numbers {
            let registry = &registry;
            scope.spawn(move || {
                registry.promote(&format!("latency-v{number}")).unwrap();
                registry.current().unwrap().unwrap();
            });
        }
    });
    let mut history = registry.history().unwrap();
    history.sort_unstable();
    let expected: Vec<String> = numbers
        .iter()
        .map(|number| format!("latency-v{number}"))
        .collect();
    assert_eq!(history, expected);
}

#[test]
fn history_is_bounded() {
    let (_directory, registry) = registry();
    for number in [0, 1] {
        registry.add(&artifact(number)).unwrap();
    }
    for step in 0..=HISTORY_MAX {
        registry.promote(&format!("latency-v{}", step % 2)).unwrap();
    }
    assert_eq!(registry.history().unwrap().len(), HISTORY_MAX);
}

#[derive(Clone, Debug)]
enum Step {
    Add(u32),
    Promote(u32),
    Rollback,
    Corrupt(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..4_u32).prop_map(Step::Add),
        4 => (0..4_u32).prop_map(Step::Promote),
        3 => Just(Step::Rollback),
        1 => (0..4_u32).prop_map(Step::Corrupt),
    ]
}

/// What the registry must be like: files that are good or not, and a stack of promotions.
#[derive(Default)]
struct Expected {
    good: BTreeMap<u32, bool>,
    history: Vec<u32>,
}

impl Expected {
    fn is_good(&self, number: u32) -> bool {
        self.good.get(&number) == Some(&true)
    }

    /// Takes a step and says whether it must succeed.
    fn take(&mut self, step: &Step) -> bool {
        match step {
            Step::Add(number) => {
                // An artifact that is there is compared, and a corrupted one cannot be.
                *self.good.entry(*number).or_insert(true)
            }
            Step::Promote(number) => {
                let succeeds = self.is_good(*number);
                if succeeds && self.history.last() != Some(number) {
                    self.history.push(*number);
                }
                succeeds
            }
            Step::Rollback => {
                let previous = self.history.len().checked_sub(2).map(|at| self.history[at]);
                let succeeds = previous.is_some_and(|number| self.is_good(number));
                if succeeds {
                    self.history.pop();
                }
                succeeds
            }
            Step::Corrupt(number) => {
                let there = self.good.contains_key(number);
                self.good.entry(*number).and_modify(|good| *good = false);
                there
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_of_steps_leaves_what_a_stack_would(steps in prop::collection::vec(step(), 1..40)) {
        let (_directory, registry) = registry();
        let mut expected = Expected::default();
        for step in steps {
            let was_good = |number: u32| expected.is_good(number);
            let succeeded = match &step {
                Step::Add(number) => registry.add(&artifact(*number)).is_ok(),
                Step::Promote(number) => registry.promote(&format!("latency-v{number}")).is_ok(),
                Step::Rollback => registry.rollback().is_ok(),
                Step::Corrupt(number) => {
                    let id = format!("latency-v{number}");
                    let there = registry.path(&id).exists();
                    if was_good(*number) {
                        corrupt(&registry, &id);
                    }
                    there
                }
            };
            prop_assert_eq!(succeeded, expected.take(&step), "{:?}", &step);
            let history: Vec<String> =
                expected.history.iter().map(|number| format!("latency-v{number}")).collect();
            prop_assert_eq!(registry.history().unwrap(), history);
            match expected.history.last() {
                None => prop_assert!(registry.current().unwrap().is_none()),
                Some(number) if expected.is_good(*number) => {
                    prop_assert_eq!(registry.current().unwrap(), Some(artifact(*number)));
                }
                Some(_) => prop_assert!(registry.current().is_err()),
            }
        }
    }
}
