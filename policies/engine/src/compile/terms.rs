//! The criteria that depend on the class: performance and distance.

use meridian_topology::RegionIdx;

use super::context::{Context, baseline_ms};
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
        /// By region; empty when none has one.
        bias: Vec<i8>,
    },
}

/// The criteria of a policy that apply.
pub(super) fn terms(context: &Context<'_>, policy: &Policy, applied: Applied) -> Vec<Term> {
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
        SelectorKind::Geographic { scale_km, bias } => Some(Term::Geographic {
            weight: selector.weight,
            per_km: selector.weight / scale_km,
            bias: if bias.is_empty() {
                Vec::new()
            } else {
                let of = |id| bias.iter().find(|(region, _)| region == id);
                let regions = context.regions().iter();
                regions
                    .map(|region| of(&region.id).map_or(0, |(_, bias)| *bias))
                    .collect()
            },
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
            Self::Geographic {
                weight,
                per_km,
                bias,
            } => {
                let km = if km.is_nan() { 0.0 } else { f64::from(km) };
                let bias = bias.get(region.index()).copied().unwrap_or(0);
                let contribution = per_km * biased_km(km, bias);
                recorder.score(region, "geographic", km, *weight, contribution);
                if bias != 0 {
                    recorder.biased(bias);
                }
                contribution
            }
        }
    }
}

/// The distance that counts for a region with a bias, as Amazon Route 53 has it in its geoproximity
/// routing: a positive bias makes it shorter, up to 99 % less; a negative one longer, up to 100 times.
#[inline]
fn biased_km(km: f64, bias: i8) -> f64 {
    let share = f64::from(bias) / 100.0;
    if bias >= 0 {
        km * (1.0 - share)
    } else {
        km / (1.0 + share)
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
