//! A finished model against observations it may never have seen: `meridian models evaluate`.
//!
//! The fields of [`EvaluateReport`] are a contract with users' scripts.

use meridian_score::{Artifact, Metrics};
use serde::Serialize;

use crate::data::Observations;
use crate::error::TrainError;
use crate::judge::{self, Slice};

#[cfg(test)]
mod tests;

/// Ways of choosing that need no model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Baselines {
    /// The nearest region by haversine.
    pub geo: Metrics,
    /// The region that was fastest when last measured; none when nothing was measured twice, at
    /// known times.
    pub last_value: Option<Metrics>,
}

/// The verdict on a model.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvaluateReport {
    /// `name-version` of the model.
    pub model: String,
    /// Observations judged by.
    pub rows: usize,
    /// Clients among them.
    pub clients: usize,
    /// Regions among them.
    pub regions: usize,
    /// The model's figures.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Ways of choosing that need no model, on the same observations.
    pub baselines: Baselines,
    /// Figures by the clients' continent.
    pub slices: Vec<Slice>,
    /// What a reader must know before trusting the figures.
    pub warnings: Vec<String>,
}

/// Judges `artifact` by `observations`.
pub fn evaluate(
    artifact: &Artifact,
    observations: &Observations,
) -> Result<EvaluateReport, TrainError> {
    let decisions = judge::decisions(&observations.rows);
    let model = judge::model_trials(observations, &decisions, &artifact.predictor());
    let geo = judge::geo_trials(observations, &decisions, artifact.distance);
    let no_choice = || TrainError::TooFewClients {
        name: observations.name.clone(),
        clients: 0,
        needed: 1,
    };
    let metrics = judge::metrics(&model).ok_or_else(no_choice)?;
    let baselines = Baselines {
        geo: judge::metrics(&geo).ok_or_else(no_choice)?,
        last_value: judge::last_value_trials(&decisions).and_then(|trials| judge::metrics(&trials)),
    };
    let mut warnings = Vec::new();
    if artifact.trained_on.is_generated() {
        warnings.push(
            "the model was trained on generated data: it knows nothing of the real Internet"
                .to_owned(),
        );
    }
    if artifact.trained_on.blake3 == observations.describe().blake3 {
        warnings.push(
            "the model was trained on these very observations: the figures flatter it; the ones \
             in its artifact are from clients held out"
                .to_owned(),
        );
    }
    Ok(EvaluateReport {
        model: artifact.id(),
        rows: observations.rows.len(),
        clients: observations.clients.len(),
        regions: observations.regions.len(),
        metrics,
        baselines,
        slices: judge::slices(observations, &model, &geo),
        warnings,
    })
}
