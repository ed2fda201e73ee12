#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use linfa::prelude::{Dataset, Fit};
use linfa_elasticnet::ElasticNet;
use meridian_score::{Model, Predictor};

use super::*;
use crate::generate::generate;
use crate::random::SplitMix;

/// Three columns that are not alike and a target made of them.
fn easy() -> (Array2<f64>, Array1<f64>) {
    let mut random = SplitMix::new(5);
    let x = Array2::from_shape_fn((200, 3), |_| random.between(-1.0, 1.0));
    let y = x.dot(&Array1::from_vec(vec![3.0, -2.0, 0.5]))
        + Array1::from_shape_fn(200, |_| random.between(-0.1, 0.1));
    (x, y)
}

#[test]
fn the_answer_is_that_of_linfas_elastic_net_at_ratio_0() {
    for penalty in [0.001, 0.1, 2.0] {
        let (x, y) = easy();
        let ours = solve(&x, &y, penalty).unwrap();
        let theirs = ElasticNet::ridge()
            .with_intercept(false)
            .penalty(penalty)
            .tolerance(1e-12)
            .fit(&Dataset::new(x, y))
            .unwrap();
        for (ours, theirs) in ours.iter().zip(theirs.hyperplane()) {
            assert!(
                (ours - theirs).abs() < 1e-9,
                "{ours} against {theirs} at {penalty}"
            );
        }
    }
}

#[test]
fn the_normal_equations_hold_for_columns_that_are_alike() {
    let data = generate(1);
    let ridge = fit_ridge(&data, &data.rows, Transform::Direct, 0.003).unwrap();
    let mut x = Array2::<f64>::zeros((data.rows.len(), FEATURE_COUNT));
    let mut y = Array1::<f64>::zeros(data.rows.len());
    for (index, row) in data.rows.iter().enumerate() {
        let (client, region) = (&data.clients[row.client], &data.regions[row.region]);
        x.row_mut(index)
            .assign(&Array1::from_iter(features(&client.site(), &region.site())));
        y[index] = row.rtt_ms - ridge.intercept;
    }
    standardise(&mut x);
    // Solved again: what a model keeps is rounded.
    let w = solve(&x, &y, 0.003).unwrap();
    for (kept, exact) in ridge.coefficients.iter().zip(&w) {
        assert!(
            (kept - exact).abs() < 1e-5 * (1.0 + exact.abs()),
            "{kept} for {exact}"
        );
    }
    let n = data.rows.len() as f64;
    let violation = x.t().dot(&(x.dot(&w) - &y)) / n + &w * 0.003;
    let worst = violation
        .iter()
        .fold(0.0_f64, |worst, value| worst.max(value.abs()));
    assert!(worst < 1e-7, "{worst}");
}

#[test]
fn a_line_is_found_again() {
    let mut data = generate(1);
    for row in &mut data.rows {
        let km = data.clients[row.client]
            .coordinates
            .distance_km(&data.regions[row.region].coordinates);
        row.rtt_ms = 4.0 + 0.015 * km;
    }
    let line = fit_line(&data, &data.rows);
    assert!((line.intercept_ms - 4.0).abs() < 1e-6, "{line:?}");
    assert!((line.ms_per_km - 0.015).abs() < 1e-8, "{line:?}");
}

#[test]
fn one_distance_makes_no_slope_and_no_rows_make_none() {
    let data = generate(1);
    let one = &data.rows[..1];
    let line = fit_line(&data, one);
    assert_eq!(
        (line.intercept_ms, line.ms_per_km),
        (settle(one[0].rtt_ms), 0.0)
    );
    assert_eq!(fit_line(&data, &[]).intercept_ms, 0.0);
}

#[test]
fn bad_options_and_empty_data_are_errors() {
    let data = generate(1);
    for penalty in [0.0, -1.0, f64::NAN] {
        let error = fit_ridge(&data, &data.rows, Transform::Log, penalty).unwrap_err();
        assert!(matches!(error, TrainError::Option(_)), "{error}");
    }
    let error = fit_ridge(&data, &[], Transform::Log, 0.1).unwrap_err();
    assert!(matches!(error, TrainError::NoRows), "{error}");
}

#[test]
fn a_model_of_one_row_predicts_it() {
    let data = generate(1);
    let row = data.rows[0];
    let ridge = fit_ridge(&data, &[row], Transform::Direct, 0.003).unwrap();
    let predictor = Predictor::new(&Model::Ridge(ridge));
    let (client, region) = (&data.clients[row.client], &data.regions[row.region]);
    let predicted_ms = predictor.predict_ms(&client.site(), &region.site());
    assert!((predicted_ms - row.rtt_ms).abs() < 1e-3, "{predicted_ms}");
}
