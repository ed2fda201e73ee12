#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::path::Path;

use meridian_score::Metrics;

use super::*;
use crate::card::model_card;

fn generated(seed: u64) -> TrainOptions {
    TrainOptions {
        deals: 1,
        ..TrainOptions::new(Source::Generated { seed }, 1_700_000_000)
    }
}

/// What predicting the mean round-trip time for every pair would err by.
fn mean_predictor_mae_ms(data: &Observations) -> f64 {
    let n = data.rows.len() as f64;
    let mean_ms = data.rows.iter().map(|row| row.rtt_ms).sum::<f64>() / n;
    data.rows
        .iter()
        .map(|row| (row.rtt_ms - mean_ms).abs())
        .sum::<f64>()
        / n
}

#[test]
fn ridge_beats_the_mean_and_the_line_on_generated_data() {
    let trained = train(&generated(1)).unwrap();
    let judged = trained.report.judged.every_region;
    let mean_ms = mean_predictor_mae_ms(&generate(1));
    assert!(
        judged.model.mae_ms < mean_ms / 2.0,
        "{} against {mean_ms}",
        judged.model.mae_ms
    );
    assert!(judged.model.mae_ms < judged.geo.mae_ms, "{judged:?}");
    assert!(trained.report.warnings[0].contains("GENERATED"));
    assert_eq!(trained.report.judged, trained.artifact.judged);
}

#[test]
fn the_same_data_and_options_give_the_same_bytes() {
    let bytes = |options: &TrainOptions| train(options).unwrap().artifact.encode().unwrap();
    assert_eq!(bytes(&generated(1)), bytes(&generated(1)));
    assert_ne!(bytes(&generated(1)), bytes(&generated(2)));
}

#[test]
fn the_baseline_is_as_good_as_itself() {
    let mut options = generated(1);
    options.kind = Kind::Haversine;
    let trained = train(&options).unwrap();
    let Metrics {
        regret_ms,
        optimal_share,
        ..
    } = trained.report.judged.every_region.model;
    let geo = trained.report.judged.every_region.geo;
    assert_eq!(
        (regret_ms, optimal_share),
        (geo.regret_ms, geo.optimal_share)
    );
    assert_eq!(trained.artifact.kind(), Kind::Haversine);
}

#[test]
fn an_absent_data_set_is_generated_with_a_warning_that_names_it() {
    let source = Source::DataDirectory("/nowhere".into());
    let options = TrainOptions {
        source,
        ..generated(1)
    };
    let trained = train(&options).unwrap();
    assert!(trained.artifact.trained_on.is_generated());
    let warning = &trained.report.warnings[0];
    assert!(
        warning.starts_with("/nowhere/cloud_rtt_2022.csv is not there."),
        "{warning}"
    );
}

#[test]
fn senseless_options_are_errors() {
    let no_recipes = TrainOptions {
        recipes: vec![],
        ..generated(1)
    };
    let one_fold = TrainOptions {
        folds: 1,
        ..generated(1)
    };
    let no_deals = TrainOptions {
        deals: 0,
        ..generated(1)
    };
    let many_folds = TrainOptions {
        folds: 100_000,
        ..generated(1)
    };
    let bad_name = TrainOptions {
        name: "../up".to_owned(),
        ..generated(1)
    };
    for (options, expected) in [
        (no_recipes, "no recipes"),
        (one_fold, "1 folds"),
        (no_deals, "0 deals"),
        (many_folds, "has 160 clients"),
        (bad_name, "name \"../up\""),
    ] {
        let error = train(&options).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

/// The directory of public data sets, when this machine has it.
fn data_directory() -> Option<PathBuf> {
    let directory = std::env::var_os("MERIDIAN_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    directory
        .join(CLOUD_RTT_FILE)
        .is_file()
        .then_some(directory)
}

/// The checked-in card is what training says today: `UPDATE_EXPECT=1` writes it anew.
#[test]
fn ridge_halves_the_regret_of_small_deployments_on_real_data() {
    let Some(directory) = data_directory() else {
        eprintln!(
            "SKIP: no data sets: {CLOUD_RTT_FILE} is absent; set MERIDIAN_DATA to a directory that has it"
        );
        return;
    };
    let trained = train(&TrainOptions::new(Source::DataDirectory(directory), 0)).unwrap();
    assert_eq!(trained.report.warnings, Vec::<String>::new());
    assert_eq!(trained.artifact.trained_on.rows, 4692);
    let judged = trained.report.judged;
    assert!(judged.every_region.model.mae_ms < 0.65 * judged.every_region.geo.mae_ms);
    assert!(judged.fleets.model.regret_ms < 0.6 * judged.fleets.geo.regret_ms);
    assert!(judged.fleets.model.regret_p95_ms < 0.6 * judged.fleets.geo.regret_p95_ms);
    expect_test::expect_file!["../../../cards/latency.md"].assert_eq(&model_card(&trained));
}
