//! Fitting: a line over the distance, and ridge regression over the feature vector.
//!
//! Ridge is solved exactly: `(XᵀX / n + penalty·I) w = Xᵀy / n` by linfa-linalg's Cholesky
//! factorisation, 53 × 53 whatever the number of rows. linfa's own elastic net at an L1 ratio of
//! 0 minimises the same function by coordinate descent (a test holds the two together), and is
//! the wrong tool here: geographic columns are so alike (a distance, its root, its logarithm)
//! that it needs above 1,000 sweeps over all rows, and its stopping rule, a duality gap whose
//! dual point is scaled by the L1 part, never fires at ratio 0 (linfa-elasticnet 0.8.1), so it
//! always runs to its bound and returns whatever it has by then.
//!
//! Results are kept at the precision of `f32` ([`settle`]). The bits below differ between
//! processors (libm and matrix kernels pick other instructions), and artifacts are compared byte
//! for byte.

use linfa_linalg::cholesky::SolveCInplace;
use meridian_score::{FEATURE_COUNT, Line, Ridge, Transform, feature_names, features};
use ndarray::{Array1, Array2, Axis};

use crate::data::{Observation, Observations};
use crate::error::TrainError;

#[cfg(test)]
mod tests;

/// The smallest penalty: keeps the normal equations positive definite when a column never varies
/// or others make it up.
pub const PENALTY_MIN: f64 = 1e-6;

/// Rounds to the precision of `f32`: what is equal but for a machine's rounding becomes equal.
pub(crate) fn settle(value: f64) -> f64 {
    f64::from(value as f32)
}

/// A straight line through round-trip time over distance, by least squares.
pub fn fit_line(data: &Observations, rows: &[Observation]) -> Line {
    let points: Vec<(f64, f64)> = rows
        .iter()
        .map(|row| {
            let (client, region) = (&data.clients[row.client], &data.regions[row.region]);
            let km = client.coordinates.distance_km(&region.coordinates);
            (km, row.rtt_ms)
        })
        .collect();
    let n = points.len().max(1) as f64;
    let mean_km = points.iter().map(|(km, _)| km).sum::<f64>() / n;
    let mean_ms = points.iter().map(|(_, ms)| ms).sum::<f64>() / n;
    let (mut variance, mut covariance) = (0.0, 0.0);
    for (km, ms) in points {
        variance += (km - mean_km).powi(2);
        covariance += (km - mean_km) * (ms - mean_ms);
    }
    // Rows of one distance say nothing of a slope.
    let ms_per_km = if variance > 0.0 {
        covariance / variance
    } else {
        0.0
    };
    Line {
        intercept_ms: settle(mean_ms - ms_per_km * mean_km),
        ms_per_km: settle(ms_per_km),
    }
}

/// Ridge regression of the transformed round-trip time on the standardised features.
pub fn fit_ridge(
    data: &Observations,
    rows: &[Observation],
    transform: Transform,
    penalty: f64,
) -> Result<Ridge, TrainError> {
    if rows.is_empty() {
        return Err(TrainError::NoRows);
    }
    if !(PENALTY_MIN..=f64::MAX).contains(&penalty) {
        return Err(TrainError::Option(format!(
            "penalty {penalty} is not at least {PENALTY_MIN}"
        )));
    }
    let mut x = Array2::<f64>::zeros((rows.len(), FEATURE_COUNT));
    let mut y = Array1::<f64>::zeros(rows.len());
    for (index, row) in rows.iter().enumerate() {
        let (client, region) = (&data.clients[row.client], &data.regions[row.region]);
        let vector = features(&client.site(), &region.site());
        x.row_mut(index).assign(&Array1::from_iter(vector));
        y[index] = transform.forward(row.rtt_ms);
    }
    let (means, scales) = standardise(&mut x);
    let intercept = y.sum() / rows.len() as f64;
    y -= intercept;
    let coefficients = solve(&x, &y, penalty)?;
    Ok(Ridge {
        transform,
        penalty,
        features: feature_names().to_vec(),
        means: means.into_iter().map(settle).collect(),
        scales: scales.into_iter().map(settle).collect(),
        coefficients: coefficients.into_iter().map(settle).collect(),
        intercept: settle(intercept),
    })
}

/// Centres and scales each column; a column without variance becomes zero with scale 1.
fn standardise(x: &mut Array2<f64>) -> (Vec<f64>, Vec<f64>) {
    let n = x.nrows() as f64;
    let (mut means, mut scales) = (Vec::new(), Vec::new());
    for mut column in x.axis_iter_mut(Axis(1)) {
        let mean = column.sum() / n;
        column -= mean;
        let deviation = (column.iter().map(|value| value * value).sum::<f64>() / n).sqrt();
        // Rounding leaves a column of equal values a hair of deviation.
        if deviation > 1e-12 * (1.0 + mean.abs()) {
            column /= deviation;
            scales.push(deviation);
        } else {
            column.fill(0.0);
            scales.push(1.0);
        }
        means.push(mean);
    }
    (means, scales)
}

/// Minimises `‖y − Xw‖² / 2n + penalty ‖w‖² / 2`.
fn solve(x: &Array2<f64>, y: &Array1<f64>, penalty: f64) -> Result<Array1<f64>, TrainError> {
    let n = x.nrows() as f64;
    let mut normal = x.t().dot(x) / n;
    for diagonal in normal.diag_mut() {
        *diagonal += penalty;
    }
    let moment = (x.t().dot(y) / n).insert_axis(Axis(1));
    let solution = normal.solvec_into(moment).map_err(TrainError::Fit)?;
    Ok(solution.remove_axis(Axis(1)))
}
