#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use super::*;
use crate::generate::generate;
use crate::train::{Source, TrainOptions, train};

fn evaluated() -> (EvaluateReport, Artifact) {
    let mut options = TrainOptions::new(Source::Generated { seed: 1 }, 0);
    options.deals = 1;
    options.recipes.truncate(1);
    let artifact = train(&options).unwrap().artifact;
    (evaluate(&artifact, &generate(2)).unwrap(), artifact)
}

#[test]
fn the_json_has_the_fields_that_scripts_rely_on() {
    let (report, artifact) = evaluated();
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(json["model"], artifact.id());
    assert_eq!(json["rows"], generate(2).rows.len());
    let figures = [
        "mae_ms",
        "regret_ms",
        "regret_p95_ms",
        "optimal_share",
        "oracle_mean_ms",
    ];
    for field in figures {
        assert!(json[field].is_f64(), "{field}");
        assert!(
            json["baselines"]["geo"][field].is_f64(),
            "baselines.geo.{field}"
        );
        assert!(json["slices"][0][field].is_f64(), "slices[0].{field}");
    }
    assert!(
        json["baselines"]
            .as_object()
            .unwrap()
            .contains_key("last_value")
    );
    assert!(json["baselines"]["last_value"].is_null());
}

#[test]
fn slices_cover_every_client() {
    let (report, _) = evaluated();
    assert_eq!(
        report
            .slices
            .iter()
            .map(|slice| slice.clients)
            .sum::<usize>(),
        report.clients
    );
}

#[test]
fn what_makes_figures_doubtful_is_said_aloud() {
    let (report, artifact) = evaluated();
    let words = |report: &EvaluateReport| report.warnings.join("; ");
    assert!(words(&report).contains("generated data"), "{report:?}");
    assert!(!words(&report).contains("these very observations"));
    let own = evaluate(&artifact, &generate(1)).unwrap();
    assert!(words(&own).contains("these very observations"), "{own:?}");
}

#[test]
fn nothing_to_choose_is_an_error() {
    let (_, artifact) = evaluated();
    let mut data = generate(2);
    data.rows.truncate(1);
    let error = evaluate(&artifact, &data).unwrap_err();
    assert!(matches!(error, TrainError::TooFewClients { .. }), "{error}");
}
