//! A model's card: what it is, what it was trained on, how it routes, what it must not be used
//! for. Markdown, made of the report, so that no figure is typed by hand.

use std::fmt::Write;

use meridian_score::{Artifact, Metrics, Model, Origin, Versus};

use crate::judge::{FLEET_SIZE, FLEETS};
use crate::train::Trained;

#[cfg(test)]
mod tests;

/// How many of the strongest coefficients a card shows.
const STRONGEST_SHOWN: usize = 12;

/// The card of a training run.
pub fn model_card(trained: &Trained) -> String {
    let mut card = String::new();
    write_card(&mut card, trained).expect("writing to a String does not fail");
    card
}

fn write_card(card: &mut String, Trained { artifact, report }: &Trained) -> std::fmt::Result {
    writeln!(card, "# Model `{}`\n", artifact.id())?;
    for warning in &report.warnings {
        writeln!(card, "> **Warning:** {warning}\n")?;
    }
    writeln!(card, "{}\n", sentence(artifact))?;
    write_data(card, artifact)?;
    writeln!(card, "## How it routes clients it never saw\n")?;
    writeln!(
        card,
        "{} folds over places, dealt {} times; regret is the latency of the region chosen minus \
         that of the best.\n",
        report.folds, report.deals
    )?;
    let every = format!("every one of {} regions", artifact.trained_on.regions);
    write_versus(card, &every, &artifact.judged.every_region)?;
    let fleets = format!("{FLEETS} deployments of {FLEET_SIZE} regions drawn by chance");
    write_versus(card, &fleets, &artifact.judged.fleets)?;
    write_slices(card, report)?;
    write_recipes(card, report)?;
    write_coefficients(card, artifact)?;
    write_limits(card, artifact)
}

fn sentence(artifact: &Artifact) -> String {
    match &artifact.model {
        Model::Haversine(line) => format!(
            "A line over the great-circle distance: {:.1} ms + {:.2} ms per 1,000 km.",
            line.intercept_ms,
            line.ms_per_km * 1000.0
        ),
        Model::Ridge(ridge) => format!(
            "Ridge regression of round-trip time ({}) on {} geographic features, penalty {}.",
            transform_name(ridge.transform),
            ridge.features.len(),
            ridge.penalty
        ),
    }
}

fn transform_name(transform: meridian_score::Transform) -> &'static str {
    match transform {
        meridian_score::Transform::Direct => "direct",
        meridian_score::Transform::SquareRoot => "square root",
        meridian_score::Transform::Log => "logarithm",
    }
}

fn write_data(card: &mut String, artifact: &Artifact) -> std::fmt::Result {
    let data = &artifact.trained_on;
    let origin = match data.origin {
        Origin::Measured => "measured".to_owned(),
        Origin::Generated { seed } => format!("generated from seed {seed}"),
    };
    writeln!(card, "## Trained on\n")?;
    writeln!(
        card,
        "| data set | origin | rows | clients | regions | blake3 of the rows |"
    )?;
    writeln!(card, "|---|---|--:|--:|--:|---|")?;
    writeln!(
        card,
        "| {} | {origin} | {} | {} | {} | `{}` |\n",
        data.name, data.rows, data.clients, data.regions, data.blake3
    )
}

const FIGURES: &str = "MAE ms | regret ms | p95 ms | optimal | oracle mean ms |";

fn figures(metrics: &Metrics) -> String {
    format!(
        "{:.2} | {:.2} | {:.1} | {:.1} % | {:.1} |",
        metrics.mae_ms,
        metrics.regret_ms,
        metrics.regret_p95_ms,
        metrics.optimal_share * 100.0,
        metrics.oracle_mean_ms
    )
}

fn write_versus(card: &mut String, what: &str, versus: &Versus) -> std::fmt::Result {
    writeln!(card, "Candidates: {what}.\n")?;
    writeln!(card, "| chosen by | {FIGURES}")?;
    writeln!(card, "|---|--:|--:|--:|--:|--:|")?;
    writeln!(card, "| this model | {}", figures(&versus.model))?;
    writeln!(card, "| nearest by haversine | {}\n", figures(&versus.geo))
}

fn write_slices(card: &mut String, report: &crate::train::TrainReport) -> std::fmt::Result {
    writeln!(
        card,
        "By the client's continent, every region a candidate:\n"
    )?;
    writeln!(
        card,
        "| clients | how many | {FIGURES} nearest: regret ms |"
    )?;
    writeln!(card, "|---|--:|--:|--:|--:|--:|--:|--:|")?;
    for slice in &report.slices {
        writeln!(
            card,
            "| {} | {} | {} {:.2} |",
            slice.slice,
            slice.clients,
            figures(&slice.metrics),
            slice.geo.regret_ms
        )?;
    }
    writeln!(card)
}

fn write_recipes(card: &mut String, report: &crate::train::TrainReport) -> std::fmt::Result {
    if report.recipes.is_empty() {
        return Ok(());
    }
    writeln!(card, "## Recipes tried\n")?;
    writeln!(card, "The least regret over the small deployments won.\n")?;
    writeln!(
        card,
        "| fitted to | penalty | MAE ms | regret, every region | regret, deployments |"
    )?;
    writeln!(card, "|---|--:|--:|--:|--:|")?;
    for tried in &report.recipes {
        writeln!(
            card,
            "| {} | {} | {:.2} | {:.2} | {:.2} |",
            transform_name(tried.recipe.transform),
            tried.recipe.penalty,
            tried.judged.every_region.model.mae_ms,
            tried.judged.every_region.model.regret_ms,
            tried.judged.fleets.model.regret_ms
        )?;
    }
    writeln!(card)
}

fn write_coefficients(card: &mut String, artifact: &Artifact) -> std::fmt::Result {
    let Model::Ridge(ridge) = &artifact.model else {
        return Ok(());
    };
    let mut strongest: Vec<(&str, f64)> = ridge
        .features
        .iter()
        .map(String::as_str)
        .zip(ridge.coefficients.iter().copied())
        .collect();
    strongest.sort_by(|(_, a), (_, b)| b.abs().total_cmp(&a.abs()));
    writeln!(card, "## Strongest coefficients\n")?;
    writeln!(
        card,
        "Per standard deviation of the feature, on the scale of the fit.\n"
    )?;
    writeln!(card, "| feature | coefficient |")?;
    writeln!(card, "|---|--:|")?;
    for (feature, coefficient) in strongest.iter().take(STRONGEST_SHOWN) {
        writeln!(card, "| `{feature}` | {coefficient:+.3} |")?;
    }
    writeln!(card)
}

fn write_limits(card: &mut String, artifact: &Artifact) -> std::fmt::Result {
    writeln!(card, "## Limits\n")?;
    if artifact.trained_on.is_generated() {
        writeln!(
            card,
            "- The data was generated: this model knows nothing of the real Internet."
        )?;
    }
    writeln!(
        card,
        "- It predicts a typical round-trip time from places alone: no congestion, outage or time \
         of day. It makes the shortlist; probes and the policy's bound decide.\n\
         - Where clients are data centres, homes and phones add a last mile that is the same \
         towards every region and that the model does not know.\n\
         - The recipe was chosen by the figures above, which are therefore slightly flattering."
    )
}
