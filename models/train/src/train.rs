//! A training job: data, folds, recipes, the artifact and the report.
//!
//! Every recipe (what to fit, how much penalty) is judged by cross-validation over clients; the
//! one with the least regret over small deployments is fitted to all rows and becomes the
//! artifact. Its figures are those of the folds, never of data it was fitted to. They are a
//! little flattering nonetheless, since the recipe was chosen by them; with the few recipes of
//! [`TrainOptions::recipes`] that is far below the difference to the baseline.

use std::path::PathBuf;

use meridian_score::{Artifact, DataSet, Draft, Judged, Kind, Line, Model, Predictor, Transform};
use serde::Serialize;

use crate::data::{
    CLOUD_RTT_FILE, Observation, Observations, Regions, pair_means, read_cloud_rtt,
    read_observations,
};
use crate::error::TrainError;
use crate::fit::{fit_line, fit_ridge};
use crate::folds::Folds;
use crate::generate::generate;
use crate::judge::{self, Decision, Slice, Trial};

#[cfg(test)]
mod tests;

/// The least number of folds that leaves something to train on.
const FOLDS_MIN: usize = 2;
/// The seed of generated data when nothing else is asked for.
pub const DEFAULT_SEED: u64 = 7;

/// Where rows come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// `cloud_rtt_2022.csv` in this directory; a generated set, with a warning, when it is absent.
    DataDirectory(PathBuf),
    /// An operator's own file: see [`crate::data`].
    File {
        /// CSV or JSON lines.
        path: PathBuf,
        /// The regions it may name.
        regions: Regions,
    },
    /// The generated set, on purpose.
    Generated {
        /// Its seed.
        seed: u64,
    },
}

/// One way of fitting ridge regression.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Recipe {
    /// What is fitted.
    pub transform: Transform,
    /// The penalty on squared coefficients.
    pub penalty: f64,
}

/// What to train and on what.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// The model's name; policies refer to it.
    pub name: String,
    /// Its version; by default a hash of its content.
    pub version: Option<String>,
    /// The family.
    pub kind: Kind,
    /// The data.
    pub source: Source,
    /// Folds of the cross-validation, over clients.
    pub folds: usize,
    /// How often clients are dealt into folds; figures are those of all deals together.
    pub deals: usize,
    /// Deals clients into folds: the first deal, the following seeds are for the others.
    pub seed: u64,
    /// Recipes to choose from, for ridge.
    pub recipes: Vec<Recipe>,
    /// The time of training, seconds since the Unix epoch: goes into the artifact.
    pub created_at_unix_s: u64,
}

impl TrainOptions {
    /// Ridge under the name `latency`, five folds, the default recipes.
    pub fn new(source: Source, created_at_unix_s: u64) -> Self {
        let recipes =
            [Transform::Direct, Transform::SquareRoot, Transform::Log].map(|transform| Recipe {
                transform,
                penalty: 0.003,
            });
        Self {
            name: "latency".to_owned(),
            version: None,
            kind: Kind::Ridge,
            source,
            folds: 5,
            deals: 3,
            seed: DEFAULT_SEED,
            recipes: recipes.to_vec(),
            created_at_unix_s,
        }
    }
}

/// How one recipe did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RecipeReport {
    /// The recipe.
    #[serde(flatten)]
    pub recipe: Recipe,
    /// Its figures, for clients held out.
    pub judged: Judged,
}

/// What a training job did, for people and scripts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TrainReport {
    /// `name-version` of the artifact.
    pub model: String,
    /// Its family.
    pub kind: Kind,
    /// What a reader must know before using the model.
    pub warnings: Vec<String>,
    /// What it was trained on.
    pub trained_on: DataSet,
    /// Folds of the cross-validation.
    pub folds: usize,
    /// How often clients were dealt into folds.
    pub deals: usize,
    /// Figures for clients held out of training.
    pub judged: Judged,
    /// The same per continent, every region a candidate.
    pub slices: Vec<Slice>,
    /// Every recipe tried, the chosen one first; empty for haversine.
    pub recipes: Vec<RecipeReport>,
    /// The line over distance fitted to the same data.
    pub distance: Line,
}

/// A trained model and its report.
#[derive(Clone, Debug)]
pub struct Trained {
    /// The model.
    pub artifact: Artifact,
    /// What is known of it.
    pub report: TrainReport,
}

/// Trains a model.
pub fn train(options: &TrainOptions) -> Result<Trained, TrainError> {
    let (data, warnings) = load(&options.source)?;
    let bench = Bench::new(&data, options)?;
    let (model, outcome, recipes) = match options.kind {
        Kind::Haversine => {
            let line = fit_line(&data, &bench.pairs);
            (
                Model::Haversine(line),
                bench.run(|rows| Ok(Model::Haversine(fit_line(&data, rows))))?,
                vec![],
            )
        }
        Kind::Ridge => choose(&data, &bench, &options.recipes)?,
    };
    let distance = fit_line(&data, &bench.pairs);
    let artifact = Artifact::seal(
        Draft {
            name: options.name.clone(),
            model,
            distance,
            judged: outcome.judged,
            trained_on: data.describe(),
            created_at_unix_s: options.created_at_unix_s,
        },
        options.version.as_deref(),
    )?;
    let report = TrainReport {
        model: artifact.id(),
        kind: artifact.kind(),
        warnings,
        trained_on: artifact.trained_on.clone(),
        folds: options.folds,
        deals: options.deals,
        judged: outcome.judged,
        slices: judge::slices(&data, &outcome.trials, &bench.geo),
        recipes,
        distance,
    };
    Ok(Trained { artifact, report })
}

fn load(source: &Source) -> Result<(Observations, Vec<String>), TrainError> {
    match source {
        Source::Generated { seed } => Ok((generate(*seed), vec![generated_warning(None)])),
        Source::File { path, regions } => Ok((read_observations(path, regions)?, vec![])),
        Source::DataDirectory(directory) => {
            let path = directory.join(CLOUD_RTT_FILE);
            if path.is_file() {
                return Ok((read_cloud_rtt(&path)?, vec![]));
            }
            let missing = format!("{} is not there. ", path.display());
            Ok((
                generate(DEFAULT_SEED),
                vec![generated_warning(Some(&missing))],
            ))
        }
    }
}

fn generated_warning(missing: Option<&str>) -> String {
    format!(
        "{}THIS MODEL WAS TRAINED ON GENERATED DATA. It knows geography and nothing of the real \
         Internet. Do not let it route real clients; set MERIDIAN_DATA to a directory with \
         {CLOUD_RTT_FILE}, or train on your own observations.",
        missing.unwrap_or_default()
    )
}

type Chosen = (Model, Outcome, Vec<RecipeReport>);

/// Judges every recipe and fits the best one to all rows.
fn choose(
    data: &Observations,
    bench: &Bench<'_>,
    recipes: &[Recipe],
) -> Result<Chosen, TrainError> {
    let mut judged = Vec::with_capacity(recipes.len());
    for recipe in recipes {
        let fit =
            |rows: &[_]| fit_ridge(data, rows, recipe.transform, recipe.penalty).map(Model::Ridge);
        judged.push((*recipe, bench.run(fit)?));
    }
    let regret_ms = |outcome: &Outcome| outcome.judged.fleets.model.regret_ms;
    judged.sort_by(|(_, a), (_, b)| regret_ms(a).total_cmp(&regret_ms(b)));
    let reports = judged
        .iter()
        .map(|(recipe, outcome)| RecipeReport {
            recipe: *recipe,
            judged: outcome.judged,
        })
        .collect();
    let (best, outcome) = judged
        .into_iter()
        .next()
        .ok_or_else(|| TrainError::Option("there are no recipes to choose from".to_owned()))?;
    let model = Model::Ridge(fit_ridge(data, &bench.pairs, best.transform, best.penalty)?);
    Ok((model, outcome, reports))
}

/// A data set cut into folds, with the baseline's say on each.
struct Bench<'a> {
    data: &'a Observations,
    folds: Vec<Fold>,
    geo: Vec<Trial>,
    /// One row per pair, of all clients: what the final fit is made of.
    pairs: Vec<Observation>,
}

struct Fold {
    training: Vec<Observation>,
    decisions: Vec<Decision>,
}

/// What the folds say of one way of fitting.
struct Outcome {
    judged: Judged,
    trials: Vec<Trial>,
}

impl<'a> Bench<'a> {
    fn new(data: &'a Observations, options: &TrainOptions) -> Result<Self, TrainError> {
        let TrainOptions {
            folds, deals, seed, ..
        } = *options;
        if deals == 0 {
            return Err(TrainError::Option("0 deals judge nothing".to_owned()));
        }
        if folds < FOLDS_MIN {
            return Err(TrainError::Option(format!(
                "{folds} folds, {FOLDS_MIN} are needed"
            )));
        }
        let choosing = judge::decisions(&data.rows);
        let mut clients: Vec<usize> = choosing
            .iter()
            .filter(|decision| decision.options.len() > 1)
            .map(|decision| decision.client)
            .collect();
        clients.dedup();
        if clients.len() < folds {
            return Err(TrainError::TooFewClients {
                name: data.name.clone(),
                clients: clients.len(),
                needed: folds,
            });
        }
        let deal = |number: usize| Folds::deal(data, folds, seed.wrapping_add(number as u64));
        let folds: Vec<Fold> = (0..deals)
            .flat_map(|number| deal(number).splits(data))
            .map(|split| Fold {
                training: pair_means(&split.training),
                decisions: judge::decisions(&split.held_out),
            })
            .collect();
        let geo = folds
            .iter()
            .flat_map(|fold| {
                judge::geo_trials(data, &fold.decisions, fit_line(data, &fold.training))
            })
            .collect();
        let pairs = pair_means(&data.rows);
        Ok(Self {
            data,
            folds,
            geo,
            pairs,
        })
    }

    /// Fits each fold's training rows and judges the result on the clients held out.
    fn run(
        &self,
        fit: impl Fn(&[Observation]) -> Result<Model, TrainError>,
    ) -> Result<Outcome, TrainError> {
        let mut trials = Vec::new();
        for fold in &self.folds {
            let model = Predictor::new(&fit(&fold.training)?);
            trials.extend(judge::model_trials(self.data, &fold.decisions, &model));
        }
        let judged =
            judge::versus(&trials, &self.geo, self.data.regions.len()).ok_or_else(|| {
                TrainError::TooFewClients {
                    name: self.data.name.clone(),
                    clients: 0,
                    needed: 1,
                }
            })?;
        Ok(Outcome { judged, trials })
    }
}
