//! `meridian models`: train, judge, promote, roll back. A running node follows the registry's
//! pointer by itself; nothing here restarts anything.

mod report;

use std::path::{Path, PathBuf};

use meridian_score::{Artifact, Kind};
use meridian_train::train::DEFAULT_SEED;
use meridian_train::{Registry, Source, TrainOptions, Trained, evaluate, model_card, train};

use crate::client::NodeArgs;
use crate::config::Deployment;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Where the public data sets lie when `MERIDIAN_DATA` does not say.
const DATA_DEFAULT: &str = "../shared/data";

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian models train --promote --dir /etc/meridian")]
pub struct ModelsArgs {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ModelsCommand {
    /// Train a model and add it to the registry.
    #[command(after_help = "Example:\n  meridian models train --promote")]
    Train(TrainArgs),
    /// Judge a model by the regret of its choices on measured clients.
    #[command(after_help = "Example:\n  meridian models evaluate --observations rtt.csv -o json")]
    Evaluate(EvaluateArgs),
    /// Every model of the registry.
    #[command(after_help = "Example:\n  meridian models list -o json")]
    List(ListArgs),
    /// A model's card: what it is, what it was trained on, how it routes.
    #[command(after_help = "Example:\n  meridian models report latency-1a2b3c4d")]
    Report(report::ReportArgs),
    /// Let a model score regions from now on.
    #[command(after_help = "Example:\n  meridian models promote latency-1a2b3c4d")]
    Promote(PromoteArgs),
    /// Go back to the model that was promoted before.
    #[command(after_help = "Example:\n  meridian models rollback --dir /etc/meridian")]
    Rollback,
}

#[derive(Debug, clap::Args)]
struct TrainArgs {
    /// Folder of the public data sets, or a file of observations.
    #[arg(long, env = "MERIDIAN_DATA", hide_env_values = true)]
    data: Option<PathBuf>,
    /// `ridge` or `haversine` (the baseline).
    #[arg(long, default_value = "ridge")]
    kind: KindArg,
    /// The model's name.
    #[arg(long, default_value = "latency")]
    name: String,
    /// Promote it when it is trained.
    #[arg(long)]
    promote: bool,
    /// `json` prints the report; `table` the model card.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum KindArg {
    Ridge,
    Haversine,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Ridge => Self::Ridge,
            KindArg::Haversine => Self::Haversine,
        }
    }
}

#[derive(Debug, clap::Args)]
struct EvaluateArgs {
    /// CSV or JSON lines of measured clients (docs/models.md lists the columns).
    #[arg(long)]
    observations: PathBuf,
    /// The model's id. Default: the promoted one.
    #[arg(long)]
    model: Option<String>,
    /// How the figures are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct ListArgs {
    /// How the list is printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

#[derive(Debug, clap::Args)]
struct PromoteArgs {
    /// The model's id, as `models list` shows it.
    id: String,
}

/// Runs one of them on the registry of the deployment directory.
pub fn run(node: &NodeArgs, args: &ModelsArgs) -> Result<(), Failure> {
    let registry = Registry::open(&Deployment::read(&node.dir)?.node.models)?;
    match &args.command {
        ModelsCommand::Train(args) => run_train(&registry, args),
        ModelsCommand::Evaluate(args) => run_evaluate(&registry, args),
        ModelsCommand::List(args) => list(&registry, args.output),
        ModelsCommand::Report(args) => report::run(&registry, args),
        ModelsCommand::Promote(args) => {
            output::line(format_args!(
                "{} scores regions from now on",
                registry.promote(&args.id)?.id()
            ));
            Ok(())
        }
        ModelsCommand::Rollback => {
            output::line(format_args!("back to {}", registry.rollback()?.id()));
            Ok(())
        }
    }
}

fn run_train(registry: &Registry, args: &TrainArgs) -> Result<(), Failure> {
    let mut options = TrainOptions::new(source(args.data.as_deref()), created_at());
    options.kind = args.kind.into();
    options.name.clone_from(&args.name);
    let trained = train(&options)?;
    for warning in &trained.report.warnings {
        output::warn(warning);
    }
    let id = registry.add(&trained.artifact)?;
    if args.promote {
        registry.promote(&id)?;
    }
    match args.output {
        Format::Json => output::json(&trained.report),
        Format::Table => {
            output::line(model_card(&trained));
            Ok(())
        }
    }
}

fn run_evaluate(registry: &Registry, args: &EvaluateArgs) -> Result<(), Failure> {
    let artifact = named_or_promoted(registry, args.model.as_deref())?;
    let regions = meridian_train::data::Regions::clouds();
    let observations = meridian_train::data::read_observations(&args.observations, &regions)?;
    let judged = evaluate(&artifact, &observations)?;
    if args.output == Format::Json {
        return output::json(&judged);
    }
    let mut rows = vec![
        report::row(&judged.model, &judged.metrics),
        report::row("nearest by distance", &judged.baselines.geo),
    ];
    let last_value = judged.baselines.last_value.as_ref();
    rows.extend(last_value.map(|figures| report::row("last value", figures)));
    output::table(report::FIGURES, &rows);
    Ok(())
}

/// The model of an id, else the promoted one.
fn named_or_promoted(registry: &Registry, id: Option<&str>) -> Result<Artifact, Failure> {
    match id {
        Some(id) => Ok(registry.get(id)?),
        None => registry.current()?.ok_or_else(|| {
            Failure::other("no model is promoted; name one (`meridian models list`)")
        }),
    }
}

fn list(registry: &Registry, format: Format) -> Result<(), Failure> {
    let entries = registry.list()?;
    if format == Format::Json {
        return output::json(&entries);
    }
    let rows: Vec<[String; 3]> = entries
        .iter()
        .map(|entry| {
            let state = if entry.promoted { "promoted" } else { "" };
            [
                entry.id.clone(),
                state.into(),
                entry.problem.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::table(["model", "state", "problem"], &rows);
    Ok(())
}

/// Trains and promotes the demo's model; one line on how good it is.
pub fn train_for(folder: &Path) -> Result<String, Failure> {
    let registry = Registry::open(folder)?;
    let data = std::env::var_os("MERIDIAN_DATA").map(PathBuf::from);
    let trained = train(&TrainOptions::new(source(data.as_deref()), created_at()))?;
    let id = registry.add(&trained.artifact)?;
    registry.promote(&id)?;
    Ok(summary(&trained))
}

fn summary(trained: &Trained) -> String {
    let judged = &trained.report.judged.fleets;
    let warnings: String = trained
        .report
        .warnings
        .iter()
        .map(|warning| format!("; {warning}"))
        .collect();
    format!(
        "{}: regret {:.1} ms, nearest by distance {:.1} ms{warnings}",
        trained.report.model, judged.model.regret_ms, judged.geo.regret_ms
    )
}

/// The data set named, else the one beside the checkout, else a generated one (the report says so).
fn source(data: Option<&Path>) -> Source {
    let path = data.unwrap_or_else(|| Path::new(DATA_DEFAULT));
    if path.is_file() {
        return Source::File {
            path: path.to_path_buf(),
            regions: meridian_train::data::Regions::clouds(),
        };
    }
    if path.join(meridian_train::data::CLOUD_RTT_FILE).is_file() {
        return Source::DataDirectory(path.to_path_buf());
    }
    Source::Generated { seed: DEFAULT_SEED }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "seconds since 1970 are positive and small"
)]
fn created_at() -> u64 {
    crate::unix_seconds() as u64
}
