//! `meridian models report`: what the registry keeps of a model. The folds, slices and recipes of its
//! training are in the card that `models train` prints; an artifact carries their summary.

use meridian_score::{Artifact, DataSet, Judged, Kind, Metrics, Origin};
use meridian_train::Registry;
use serde::Serialize;

use super::named_or_promoted;
use crate::failure::Failure;
use crate::output::{self, Format};

/// Heading of a table of figures.
pub const FIGURES: [&str; 5] = ["model", "mae ms", "regret ms", "regret p95", "optimal"];

#[derive(Debug, clap::Args)]
pub struct ReportArgs {
    /// The model's id. Default: the promoted one.
    id: Option<String>,
    /// How the card is printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// What `-o json` prints: a stable schema.
#[derive(Debug, Serialize)]
struct Report<'a> {
    id: String,
    kind: Kind,
    promoted: bool,
    created_at_unix_s: u64,
    trained_on: &'a DataSet,
    judged: &'a Judged,
}

/// Prints the card of one model.
pub fn run(registry: &Registry, args: &ReportArgs) -> Result<(), Failure> {
    let artifact = named_or_promoted(registry, args.id.as_deref())?;
    let id = artifact.id();
    let report = Report {
        promoted: registry.history()?.last() == Some(&id),
        id,
        kind: artifact.kind(),
        created_at_unix_s: artifact.created_at_unix_s,
        trained_on: &artifact.trained_on,
        judged: &artifact.judged,
    };
    match args.output {
        Format::Json => output::json(&report)?,
        Format::Table => print(&report, &artifact),
    }
    Ok(())
}

fn print(report: &Report<'_>, artifact: &Artifact) {
    let data = report.trained_on;
    let origin = match data.origin {
        Origin::Measured => "measured".to_owned(),
        Origin::Generated { seed } => {
            format!("generated from seed {seed}: it knows nothing of the real Internet")
        }
    };
    let promoted = if report.promoted { "yes" } else { "no" };
    let kind = match report.kind {
        Kind::Haversine => "a line over the great-circle distance",
        Kind::Ridge => "ridge regression on geographic features",
    };
    let (rows, clients, regions) = (data.rows, data.clients, data.regions);
    for (key, value) in [
        ("model", report.id.clone()),
        ("kind", kind.to_owned()),
        ("promoted", promoted.to_owned()),
        (
            "trained at",
            format!("{} s since 1970", artifact.created_at_unix_s),
        ),
        ("trained on", format!("{} ({origin})", data.name)),
        (
            "size",
            format!("{rows} rows, {clients} clients, {regions} regions"),
        ),
        ("blake3", data.blake3.clone()),
    ] {
        output::line(format_args!("{key:<12} {value}"));
    }
    let versus = [
        ("every region a candidate", &report.judged.every_region),
        ("small deployments drawn by chance", &report.judged.fleets),
    ];
    for (what, figures) in versus {
        output::line(format_args!("\nclients it never saw, {what}:"));
        let rows = [
            row(&report.id, &figures.model),
            row("nearest by distance", &figures.geo),
        ];
        output::table(FIGURES, &rows);
    }
}

/// One model's figures as a row below [`FIGURES`].
pub fn row(who: &str, figures: &Metrics) -> [String; 5] {
    let number = |value: f64| format!("{value:.2}");
    [
        who.into(),
        number(figures.mae_ms),
        number(figures.regret_ms),
        number(figures.regret_p95_ms),
        format!("{:.0} %", figures.optimal_share * 100.0),
    ]
}
