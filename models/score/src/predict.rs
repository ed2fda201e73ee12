//! Milliseconds from an artifact.
//!
//! Two bounds hold whatever the coefficients say: no answer is faster than light in fibre over
//! the great circle ([`KM_PER_MS_ROUND_TRIP`]), none is above [`PREDICTED_MS_MAX`]. A linear
//! model asked about a place unlike any it was trained on may otherwise answer nonsense below
//! zero, and the nonsense would look like the best region.

use crate::artifact::{Artifact, Line, Model, Transform};
use crate::features::{FEATURE_COUNT, Features, Site, features};

#[cfg(test)]
mod tests;

/// Kilometres of distance per millisecond of round trip at the speed of light in fibre
/// (about 200,000 km/s, there and back).
pub const KM_PER_MS_ROUND_TRIP: f64 = 100.0;
/// The largest prediction, milliseconds: beyond it clients have given up.
pub const PREDICTED_MS_MAX: f64 = 5_000.0;

/// An artifact made ready for many predictions: standardisation is folded into the weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictor(Form);

#[derive(Clone, Debug, PartialEq)]
enum Form {
    Haversine(Line),
    Ridge {
        transform: Transform,
        intercept: f64,
        weights: Box<Features>,
    },
}

impl Predictor {
    /// Prepares `model`, which must be valid: one out of an [`Artifact`], or a fit.
    pub fn new(model: &Model) -> Self {
        match model {
            Model::Haversine(line) => Self(Form::Haversine(*line)),
            Model::Ridge(ridge) => {
                let mut weights = Box::new([0.0; FEATURE_COUNT]);
                let mut intercept = ridge.intercept;
                let columns = ridge
                    .coefficients
                    .iter()
                    .zip(&ridge.scales)
                    .zip(&ridge.means);
                for (weight, ((coefficient, scale), mean)) in weights.iter_mut().zip(columns) {
                    *weight = coefficient / scale;
                    intercept -= *weight * mean;
                }
                Self(Form::Ridge {
                    transform: ridge.transform,
                    intercept,
                    weights,
                })
            }
        }
    }

    /// The round-trip time from `client` to `region` in milliseconds.
    pub fn predict_ms(&self, client: &Site<'_>, region: &Site<'_>) -> f64 {
        let km = client.coordinates.distance_km(&region.coordinates);
        let fitted_ms = match &self.0 {
            Form::Haversine(line) => line.intercept_ms + line.ms_per_km * km,
            Form::Ridge {
                transform,
                intercept,
                weights,
            } => {
                let vector = features(client, region);
                let sum: f64 = vector.iter().zip(weights.iter()).map(|(x, w)| x * w).sum();
                let fitted = intercept + sum;
                // Checked before the inverse, whose lower bound would make 0 ms of it.
                if fitted.is_nan() {
                    f64::INFINITY
                } else {
                    transform.inverse(fitted)
                }
            }
        };
        let floor_ms = km / KM_PER_MS_ROUND_TRIP;
        // `max` and `min`, not `clamp`: a NaN must not come out.
        fitted_ms.max(floor_ms).min(PREDICTED_MS_MAX)
    }
}

impl Artifact {
    /// The model made ready for many predictions.
    pub fn predictor(&self) -> Predictor {
        Predictor::new(&self.model)
    }

    /// One prediction, in milliseconds; for many take [`Artifact::predictor`] once.
    pub fn predict_ms(&self, client: &Site<'_>, region: &Site<'_>) -> f64 {
        self.predictor().predict_ms(client, region)
    }
}
