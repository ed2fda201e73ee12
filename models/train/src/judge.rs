//! How well a way of choosing regions routes: regret, not prediction error.
//!
//! Observations are cut into [`Decision`]s: one client, one window of time, and the regions it
//! measured in it (the mean, when it measured one more than once). A decision asks "had this
//! client been routed by the model, how much longer would it have waited than at its best
//! region?". Regret needs two regions to choose from; a decision with one counts for the error
//! of prediction alone.
//!
//! Beside all the regions a client measured, judgement is passed over [`FLEETS`] deployments of
//! [`FLEET_SIZE`] regions drawn by a fixed chance: with a region in nearly every city, as in the
//! cloud data set, the nearest is nearly always fine and tells little of what an operator with
//! eight regions gains. Among options that a way of choosing ranks equal (two clouds in one city
//! are equally near) it is charged the mean: the names of regions must not decide a baseline.

use std::collections::{BTreeMap, BTreeSet};

use meridian_score::{Judged, Line, Metrics, Predictor, Versus};

use crate::data::{Mean, Observation, Observations};
use crate::fit::settle;
use crate::random::SplitMix;

#[cfg(test)]
mod tests;

/// Regions in one deployment drawn by chance.
pub const FLEET_SIZE: usize = 8;
/// Deployments drawn.
pub const FLEETS: usize = 40;
/// Observations of one client within this many seconds form one decision.
pub const WINDOW_S: i64 = 900;
const FLEET_SEED: u64 = 20_220_401;
const REGRET_PERCENTILE: f64 = 0.95;

/// One client's options at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Position in [`Observations::clients`].
    pub client: usize,
    /// The window; none for measurements without a time.
    pub window: Option<i64>,
    /// Region and its mean round-trip time in milliseconds, sorted by region.
    pub options: Vec<(usize, f64)>,
}

/// Cuts rows into decisions, sorted by client and window.
pub fn decisions(rows: &[Observation]) -> Vec<Decision> {
    let mut means: BTreeMap<(usize, Option<i64>), BTreeMap<usize, Mean>> = BTreeMap::new();
    for row in rows {
        let window = row.at_unix_s.map(|at| at.div_euclid(WINDOW_S));
        let by_region = means.entry((row.client, window)).or_default();
        by_region.entry(row.region).or_default().add(row.rtt_ms);
    }
    means
        .into_iter()
        .map(|((client, window), by_region)| Decision {
            client,
            window,
            options: by_region
                .into_iter()
                .map(|(region, mean)| (region, mean.value()))
                .collect(),
        })
        .collect()
}

/// What a way of choosing says of one option, beside what was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Position in [`Observations::regions`].
    pub region: usize,
    /// The lowest is chosen; among equals each with the same chance.
    pub rank: f64,
    /// Predicted round-trip time, milliseconds; none when this way of choosing cannot say.
    pub predicted_ms: Option<f64>,
    /// Measured round-trip time, milliseconds.
    pub observed_ms: f64,
}

/// A decision with what one way of choosing says of its options.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Position in [`Observations::clients`].
    pub client: usize,
    /// The options.
    pub candidates: Vec<Candidate>,
}

/// The model's say on each decision.
pub fn model_trials(data: &Observations, decisions: &[Decision], model: &Predictor) -> Vec<Trial> {
    trials(decisions, |client, region| {
        let (client, region) = (&data.clients[client], &data.regions[region]);
        let predicted_ms = model.predict_ms(&client.site(), &region.site());
        (predicted_ms, Some(predicted_ms))
    })
}

/// The say of "the nearest region"; `line` turns distance into milliseconds for its error.
pub fn geo_trials(data: &Observations, decisions: &[Decision], line: Line) -> Vec<Trial> {
    trials(decisions, |client, region| {
        let (client, region) = (&data.clients[client], &data.regions[region]);
        let km = client.coordinates.distance_km(&region.coordinates);
        (km, Some(line.intercept_ms + line.ms_per_km * km))
    })
}

/// The say of "the region that was fastest when last measured". None without a client that
/// measured regions in two windows. Decisions of which no option was measured before are left
/// out, so this baseline may be judged on fewer decisions than the model.
pub fn last_value_trials(decisions: &[Decision]) -> Option<Vec<Trial>> {
    let mut trials = Vec::new();
    let mut last: BTreeMap<(usize, usize), f64> = BTreeMap::new();
    for decision in decisions
        .iter()
        .filter(|decision| decision.window.is_some())
    {
        let candidates: Vec<Candidate> = decision
            .options
            .iter()
            .map(|(region, observed_ms)| {
                let predicted_ms = last.get(&(decision.client, *region)).copied();
                let rank = predicted_ms.unwrap_or(f64::INFINITY);
                Candidate {
                    region: *region,
                    rank,
                    predicted_ms,
                    observed_ms: *observed_ms,
                }
            })
            .collect();
        for (region, observed_ms) in &decision.options {
            last.insert((decision.client, *region), *observed_ms);
        }
        if candidates
            .iter()
            .any(|candidate| candidate.predicted_ms.is_some())
        {
            trials.push(Trial {
                client: decision.client,
                candidates,
            });
        }
    }
    (!trials.is_empty()).then_some(trials)
}

fn trials(decisions: &[Decision], say: impl Fn(usize, usize) -> (f64, Option<f64>)) -> Vec<Trial> {
    let trial = |decision: &Decision| Trial {
        client: decision.client,
        candidates: decision
            .options
            .iter()
            .map(|(region, observed_ms)| {
                let (rank, predicted_ms) = say(decision.client, *region);
                Candidate {
                    region: *region,
                    rank,
                    predicted_ms,
                    observed_ms: *observed_ms,
                }
            })
            .collect(),
    };
    decisions.iter().map(trial).collect()
}

/// Adds up trials.
#[derive(Clone, Debug, Default)]
struct Tally {
    pairs: f64,
    error_sum_ms: f64,
    oracle_sum_ms: f64,
    optimal: f64,
    regrets_ms: Vec<f64>,
}

impl Tally {
    fn add(&mut self, candidates: impl Iterator<Item = Candidate> + Clone) {
        for candidate in candidates.clone() {
            if let Some(predicted_ms) = candidate.predicted_ms {
                self.pairs += 1.0;
                self.error_sum_ms += (predicted_ms - candidate.observed_ms).abs();
            }
        }
        if candidates.clone().nth(1).is_none() {
            return;
        }
        let lowest = candidates
            .clone()
            .map(|candidate| candidate.rank)
            .min_by(f64::total_cmp);
        let best_ms = candidates
            .clone()
            .map(|candidate| candidate.observed_ms)
            .min_by(f64::total_cmp);
        let Some((lowest, best_ms)) = lowest.zip(best_ms) else {
            return;
        };
        let (mut chosen_ms, mut optimal) = (Mean::default(), Mean::default());
        for candidate in candidates.filter(|candidate| candidate.rank <= lowest) {
            chosen_ms.add(candidate.observed_ms);
            optimal.add(f64::from(u8::from(candidate.observed_ms <= best_ms)));
        }
        self.oracle_sum_ms += best_ms;
        self.optimal += optimal.value();
        self.regrets_ms.push(chosen_ms.value() - best_ms);
    }

    fn finish(mut self) -> Option<Metrics> {
        let decided = self.regrets_ms.len() as f64;
        if self.regrets_ms.is_empty() || self.pairs == 0.0 {
            return None;
        }
        self.regrets_ms.sort_by(f64::total_cmp);
        Some(Metrics {
            mae_ms: settle(self.error_sum_ms / self.pairs),
            regret_ms: settle(self.regrets_ms.iter().sum::<f64>() / decided),
            regret_p95_ms: settle(percentile(&self.regrets_ms, REGRET_PERCENTILE)),
            optimal_share: settle(self.optimal / decided),
            oracle_mean_ms: settle(self.oracle_sum_ms / decided),
        })
    }
}

/// The nearest-rank percentile of sorted values.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1))
        .or(sorted.last())
        .copied()
        .unwrap_or(0.0)
}

/// Figures over all regions a client measured; none when no client has a choice.
pub fn metrics<'a>(trials: impl IntoIterator<Item = &'a Trial>) -> Option<Metrics> {
    let mut tally = Tally::default();
    for trial in trials {
        tally.add(trial.candidates.iter().copied());
    }
    tally.finish()
}

/// Figures over deployments of [`FLEET_SIZE`] regions; over all of them when there are no more.
pub fn fleet_metrics(trials: &[Trial], regions: usize) -> Option<Metrics> {
    if regions <= FLEET_SIZE {
        return metrics(trials);
    }
    let mut random = SplitMix::new(FLEET_SEED);
    let mut tally = Tally::default();
    for _ in 0..FLEETS {
        let fleet: BTreeSet<usize> = random.sample(regions, FLEET_SIZE).into_iter().collect();
        for trial in trials {
            let members = trial
                .candidates
                .iter()
                .copied()
                .filter(|option| fleet.contains(&option.region));
            tally.add(members);
        }
    }
    tally.finish()
}

/// A model beside the nearest region; none when no client has a choice.
pub fn versus(model: &[Trial], geo: &[Trial], regions: usize) -> Option<Judged> {
    Some(Judged {
        every_region: Versus {
            model: metrics(model)?,
            geo: metrics(geo)?,
        },
        fleets: Versus {
            model: fleet_metrics(model, regions)?,
            geo: fleet_metrics(geo, regions)?,
        },
    })
}

/// Figures of the clients of one continent.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Slice {
    /// What the clients share, such as `continent:europe`.
    pub slice: String,
    /// How many clients.
    pub clients: usize,
    /// The model's figures.
    #[serde(flatten)]
    pub metrics: Metrics,
    /// Those of the nearest region.
    pub geo: Metrics,
}

/// One slice per continent that has a client with a choice, in order of name.
pub fn slices(data: &Observations, model: &[Trial], geo: &[Trial]) -> Vec<Slice> {
    let name = |client: usize| match data.clients[client].continent() {
        Some(continent) => format!("continent:{continent}"),
        None => "continent:unknown".to_owned(),
    };
    let mut clients: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for trial in model {
        clients
            .entry(name(trial.client))
            .or_default()
            .insert(trial.client);
    }
    clients
        .into_iter()
        .filter_map(|(slice, members)| {
            let of = |trials: &'_ [Trial]| {
                metrics(
                    trials
                        .iter()
                        .filter(|trial| members.contains(&trial.client)),
                )
            };
            Some(Slice {
                clients: members.len(),
                metrics: of(model)?,
                geo: of(geo)?,
                slice,
            })
        })
        .collect()
}
