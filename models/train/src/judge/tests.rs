#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use meridian_score::{Model, Origin};
use meridian_topology::Coordinates;

use super::*;
use crate::data::{NamedSite, Sample};

/// Sites on the equator, by degrees of longitude.
fn site(id: &str, longitude: f64, country: &str) -> NamedSite {
    NamedSite {
        id: id.to_owned(),
        coordinates: Coordinates::new(0.0, longitude).unwrap(),
        country: country.parse().ok(),
        provider: None,
    }
}

fn region(id: &str) -> NamedSite {
    match id {
        "near" => site("near", 1.0, "KE"),
        "far" => site("far", 10.0, "KE"),
        "farther" => site("farther", 30.0, "KE"),
        other => panic!("no region {other}"),
    }
}

fn observations(rows: &[(&str, &str, f64, Option<i64>)]) -> Observations {
    let samples: Vec<Sample> = rows
        .iter()
        .map(|(client, region_id, rtt_ms, at_unix_s)| Sample {
            client: site(
                client,
                0.0,
                if client.starts_with('e') { "DE" } else { "KE" },
            ),
            region: region(region_id),
            rtt_ms: *rtt_ms,
            at_unix_s: *at_unix_s,
        })
        .collect();
    Observations::collect("by hand".to_owned(), Origin::Measured, &samples)
}

/// Nearest is best for `a`, wrong by 40 ms for `b` and by 5 ms for `europe`.
fn by_hand() -> Observations {
    observations(&[
        ("a", "near", 10.0, None),
        ("a", "far", 30.0, None),
        ("b", "near", 90.0, None),
        ("b", "far", 50.0, None),
        ("b", "farther", 70.0, None),
        ("europe", "near", 25.0, None),
        ("europe", "far", 20.0, None),
    ])
}

fn geo(data: &Observations) -> Vec<Trial> {
    let line = Line {
        intercept_ms: 10.0,
        ms_per_km: 0.0,
    };
    geo_trials(data, &decisions(&data.rows), line)
}

#[test]
fn regret_of_a_case_made_by_hand() {
    let data = by_hand();
    let figures = metrics(&geo(&data)).unwrap();
    assert_eq!(figures.regret_ms, (0.0 + 40.0 + 5.0) / 3.0);
    assert_eq!(figures.regret_p95_ms, 40.0);
    assert_eq!(figures.optimal_share, settle(1.0 / 3.0));
    assert_eq!(figures.oracle_mean_ms, settle((10.0 + 50.0 + 20.0) / 3.0));
    // The line says 10 ms for all seven pairs.
    assert_eq!(
        figures.mae_ms,
        settle((0.0 + 20.0 + 80.0 + 40.0 + 60.0 + 15.0 + 10.0) / 7.0)
    );
}

#[test]
fn equals_are_charged_their_mean() {
    let candidate = |rank, observed_ms| Candidate {
        region: 0,
        rank,
        predicted_ms: Some(0.0),
        observed_ms,
    };
    let trial = Trial {
        client: 0,
        candidates: vec![
            candidate(1.0, 10.0),
            candidate(1.0, 70.0),
            candidate(2.0, 5.0),
            candidate(1.0, 10.0),
        ],
    };
    let figures = metrics([&trial]).unwrap();
    assert_eq!((figures.regret_ms, figures.optimal_share), (25.0, 0.0));
    let trial = Trial {
        candidates: trial.candidates[..2].to_vec(),
        ..trial
    };
    let figures = metrics([&trial]).unwrap();
    assert_eq!((figures.regret_ms, figures.optimal_share), (30.0, 0.5));
}

#[test]
fn slices_are_the_same_figures_of_fewer_clients() {
    let data = by_hand();
    let trials = geo(&data);
    let slices = slices(&data, &trials, &trials);
    let shown: Vec<_> = slices
        .iter()
        .map(|slice| (slice.slice.as_str(), slice.clients, slice.metrics.regret_ms))
        .collect();
    assert_eq!(
        shown,
        [("continent:africa", 2, 20.0), ("continent:europe", 1, 5.0)]
    );
    assert_eq!(slices[0].geo, slices[0].metrics);
}

#[test]
fn a_client_without_a_choice_counts_for_the_error_alone() {
    let mut rows = vec![("a", "near", 10.0, None), ("a", "far", 30.0, None)];
    let before = metrics(&geo(&observations(&rows))).unwrap();
    rows.push(("c", "far", 1010.0, None));
    let after = metrics(&geo(&observations(&rows))).unwrap();
    assert_eq!(after.regret_ms, before.regret_ms);
    assert_eq!(after.optimal_share, 1.0);
    assert_eq!(after.mae_ms, settle((0.0 + 20.0 + 1000.0) / 3.0));
    assert_eq!(metrics(&geo(&observations(&rows[2..]))), None);
}

#[test]
fn repeated_measurements_are_averaged_in_a_window_and_kept_apart_over_time() {
    let data = observations(&[
        ("a", "near", 10.0, Some(0)),
        ("a", "near", 20.0, Some(WINDOW_S - 1)),
        ("a", "near", 40.0, Some(WINDOW_S)),
        ("a", "near", 50.0, None),
    ]);
    let found: Vec<_> = decisions(&data.rows)
        .into_iter()
        .map(|decision| (decision.window, decision.options))
        .collect();
    assert_eq!(
        found,
        [
            (None, vec![(0, 50.0)]),
            (Some(0), vec![(0, 15.0)]),
            (Some(1), vec![(0, 40.0)]),
        ]
    );
}

#[test]
fn last_value_needs_a_past() {
    let untimed = decisions(&by_hand().rows);
    assert_eq!(last_value_trials(&untimed), None);
    let once = observations(&[("a", "near", 10.0, Some(0)), ("a", "far", 30.0, Some(0))]);
    assert_eq!(last_value_trials(&decisions(&once.rows)), None);
}

#[test]
fn last_value_chooses_what_was_fastest_and_pays_for_it() {
    let data = observations(&[
        ("a", "near", 10.0, Some(0)),
        ("a", "far", 30.0, Some(0)),
        // Now near is slow; last value still goes there. A region never seen is not chosen.
        ("a", "near", 80.0, Some(WINDOW_S)),
        ("a", "far", 35.0, Some(WINDOW_S)),
        ("a", "farther", 5.0, Some(WINDOW_S)),
    ]);
    let trials = last_value_trials(&decisions(&data.rows)).unwrap();
    let figures = metrics(&trials).unwrap();
    assert_eq!(figures.regret_ms, 75.0);
    assert_eq!(figures.oracle_mean_ms, 5.0);
    assert_eq!(figures.mae_ms, (70.0 + 5.0) / 2.0);
}

#[test]
fn few_regions_are_one_fleet() {
    let data = by_hand();
    let trials = geo(&data);
    assert_eq!(fleet_metrics(&trials, data.regions.len()), metrics(&trials));
}

#[test]
fn percentiles_are_nearest_rank() {
    let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
    for (values, share, expected) in [
        (&hundred[..], 0.95, 95.0),
        (&hundred[..], 1.0, 100.0),
        (&hundred[..20], 0.95, 19.0),
        (&hundred[..1], 0.95, 1.0),
    ] {
        assert_eq!(percentile(values, share), expected);
    }
}

#[test]
fn the_model_ranks_by_what_it_predicts() {
    let data = by_hand();
    let line = Line {
        intercept_ms: 0.0,
        ms_per_km: 0.02,
    };
    let model = Predictor::new(&Model::Haversine(line));
    let decisions = decisions(&data.rows);
    let by_model = metrics(&model_trials(&data, &decisions, &model)).unwrap();
    let by_distance = metrics(&geo_trials(&data, &decisions, line)).unwrap();
    assert_eq!(by_model, by_distance);
}
