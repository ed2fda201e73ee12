//! The criteria that depend on the class: performance and distance.

use meridian_topology::RegionIdx;

use super::context::baseline_ms;
use super::prepare::{Applied, selectors};
use crate::policy::{Model, Policy, SLO_STEP, Selector, SelectorKind};
use crate::recorder::Recorder;

/// Score for each millisecond when a policy has no performance selector: as if it had the default.
const DEFAULT_SCORE_PER_MS: f64 = 0.01;

/// A criterion that depends on the class.
#[derive(Clone, Debug)]
pub(super) enum Term {
    Performance {
        weight: f64,
        per_ms: f64,
        bound: f32,
        slo: Option<f32>,
        model: Model,
    },
    Geographic {
        weight: f64,
        per_km: f64,
    },
}

/// The criteria of a policy that apply.
pub(super) fn terms(policy: &Policy, applied: Applied) -> Vec<Term> {
    let term = |selector: &Selector| match &selector.kind {
        SelectorKind::Performance {
            model,
            bound,
            scale,
            slo,
        } => Some(Term::Performance {
            weight: selector.weight,
            per_ms: selector.weight / scale.0 as f64,
            bound: *bound as f32,
            slo: slo.map(|slo| slo.0 as f32),
            model: *model,
        }),
        SelectorKind::Geographic { scale_km } => Some(Term::Geographic {
            weight: selector.weight,
            per_km: selector.weight / scale_km,
        }),
        _ => None,
    };
    selectors(policy, applied).filter_map(term).collect()
}

/// What a millisecond of round trip costs: turns `best_within` into a difference of scores.
pub(super) fn score_per_ms(policy: &Policy, applied: Applied) -> f64 {
    let per_ms = selectors(policy, applied).filter_map(|selector| match &selector.kind {
        SelectorKind::Performance { scale, .. } => Some(selector.weight / scale.0 as f64),
        _ => None,
    });
    let sum: f64 = per_ms.sum();
    if sum > 0.0 { sum } else { DEFAULT_SCORE_PER_MS }
}

impl Term {
    /// What the criterion adds to a region's score.
    #[inline]
    pub fn contribution(
        &self,
        region: RegionIdx,
        km: f32,
        model_ms: f32,
        recorder: &mut impl Recorder,
    ) -> f64 {
        match self {
            Self::Performance {
                weight,
                per_ms,
                bound,
                slo,
                model,
            } => {
                let ms = expected_ms(km, model_ms, *bound, *model);
                let contribution = match slo {
                    Some(slo) if ms <= *slo => 0.0,
                    Some(slo) => weight * SLO_STEP + per_ms * f64::from(ms - slo),
                    None => per_ms * f64::from(ms),
                };
                recorder.score(region, "performance", f64::from(ms), *weight, contribution);
                contribution
            }
            Self::Geographic { weight, per_km } => {
                let km = if km.is_nan() { 0.0 } else { f64::from(km) };
                let contribution = per_km * km;
                recorder.score(region, "geographic", km, *weight, contribution);
                contribution
            }
        }
    }
}

/// The model's expectation within its bound around the baseline; the baseline without one.
#[inline]
fn expected_ms(km: f32, model_ms: f32, bound: f32, model: Model) -> f32 {
    let baseline = baseline_ms(km);
    if model == Model::Distance || model_ms.is_nan() {
        return baseline;
    }
    model_ms.clamp(baseline / bound, baseline * bound)
}
