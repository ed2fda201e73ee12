#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use meridian_topology::Coordinates;

use super::*;
use crate::artifact::{Line, Ridge};
use crate::features::feature_names;

fn site(latitude: f64, longitude: f64) -> Site<'static> {
    let coordinates = Coordinates::new(latitude, longitude).unwrap();
    Site {
        coordinates,
        country: None,
        continent: None,
        provider: None,
    }
}

fn ridge(intercept: f64, coefficient: f64) -> Model {
    Model::Ridge(Ridge {
        transform: Transform::Direct,
        penalty: 0.0,
        features: feature_names().to_vec(),
        means: vec![3.0; FEATURE_COUNT],
        scales: vec![2.0; FEATURE_COUNT],
        coefficients: {
            let mut coefficients = vec![0.0; FEATURE_COUNT];
            coefficients[0] = coefficient;
            coefficients
        },
        intercept,
    })
}

#[test]
fn folding_the_scaler_changes_nothing() {
    let (here, there) = (site(0.0, 0.0), site(0.0, 90.0));
    let distance_mm = here.coordinates.distance_km(&there.coordinates) / 1000.0;
    let expected = 200.0 + 4.0 * (distance_mm - 3.0) / 2.0;
    let predicted = Predictor::new(&ridge(200.0, 4.0)).predict_ms(&here, &there);
    assert!(
        (predicted - expected).abs() < 1e-9,
        "{predicted} against {expected}"
    );
}

#[test]
fn no_answer_is_faster_than_light_or_without_end() {
    let (here, there) = (site(0.0, 0.0), site(0.0, 90.0));
    let km = here.coordinates.distance_km(&there.coordinates);
    for (model, expected) in [
        (ridge(-1e9, 0.0), km / KM_PER_MS_ROUND_TRIP),
        (ridge(1e9, 0.0), PREDICTED_MS_MAX),
        (ridge(f64::MAX, f64::MAX), PREDICTED_MS_MAX),
        (
            Model::Haversine(Line {
                intercept_ms: 2.0,
                ms_per_km: 0.02,
            }),
            2.0 + 0.02 * km,
        ),
        (
            Model::Haversine(Line {
                intercept_ms: -50.0,
                ms_per_km: 0.0,
            }),
            km / KM_PER_MS_ROUND_TRIP,
        ),
    ] {
        let predicted = Predictor::new(&model).predict_ms(&here, &there);
        assert!(
            (predicted - expected).abs() < 1e-9,
            "{model:?}: {predicted}"
        );
    }
}
