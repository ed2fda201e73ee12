//! A model's life: trained, listed, promoted, rolled back, reported.

use serde_json::Value;

use crate::run::{Said, command, word};

#[test]
fn a_model_is_trained_promoted_and_rolled_back() {
    let folder = tempfile::tempdir().unwrap();
    let models = |words: &[&str]| {
        let mut run = command(&["models", "--dir", word(folder.path())]);
        // There is nothing: the job falls back to what it generates, and says so.
        run.args(words)
            .env("MERIDIAN_DATA", folder.path().join("no-data"));
        Said::of(run.output().unwrap())
    };
    let ids = |list: &Value, promoted: bool| -> Vec<String> {
        let entries = list.as_array().unwrap().iter();
        entries
            .filter(|entry| !promoted || entry["promoted"] == true)
            .map(|entry| entry["id"].as_str().unwrap().to_owned())
            .collect()
    };

    let none = models(&["report"]).ends_with_code(1);
    assert!(none.err.contains("no model is promoted"), "{}", none.err);
    let trained = models(&["train", "--kind", "haversine", "--promote", "-o", "json"]).fine();
    assert!(
        trained.err.contains("warning:") && trained.err.to_lowercase().contains("generated data"),
        "{}",
        trained.err
    );
    let first = trained.json()["model"].as_str().unwrap().to_owned();
    assert!(trained.json()["judged"]["fleets"]["model"]["regret_ms"].is_number());

    let card = models(&["train", "--kind", "haversine", "--name", "other"]).fine();
    assert!(card.out.starts_with("# Model `other-"), "{}", card.out);
    let list = models(&["list", "-o", "json"]).fine().json();
    assert_eq!(ids(&list, true), [first.as_str()]);
    let second = ids(&list, false)
        .into_iter()
        .find(|id| *id != first)
        .unwrap();

    let promoted = models(&["promote", &second]).fine();
    assert!(promoted.out.contains(&second));
    assert_eq!(
        ids(&models(&["list", "-o", "json"]).fine().json(), true),
        [second.as_str()]
    );
    let report = models(&["report", "-o", "json"]).fine().json();
    assert_eq!(
        (&report["id"], &report["promoted"]),
        (&second.as_str().into(), &true.into())
    );
    let table = models(&["report", &first]).fine().out;
    assert!(
        table.contains("promoted     no") && table.contains("generated from seed"),
        "{table}"
    );

    models(&["rollback"]).fine();
    assert_eq!(
        ids(&models(&["list", "-o", "json"]).fine().json(), true),
        [first.as_str()]
    );
    let table = models(&["list"]).fine().out;
    assert!(table.contains("promoted"), "{table}");
    models(&["rollback"]).ends_with_code(1);
    models(&["promote", "../../etc/passwd"]).ends_with_code(1);
}
