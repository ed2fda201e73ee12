//! The form of every result: the contract's JSON, and a table for people.

use std::{collections::BTreeMap, fmt::Write as _};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;

/// The subject every other is compared with.
pub const OURS: &str = "meridian";

/// Which direction is good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Better {
    /// More is better.
    Higher,
    /// Less is better.
    Lower,
}

/// One metric of one subject over all rounds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Who was measured.
    pub subject: String,
    /// What was measured.
    pub metric: String,
    /// In which unit.
    pub unit: String,
    /// The middle of the rounds.
    pub median: f64,
    /// The least of the rounds.
    pub min: f64,
    /// The most of the rounds.
    pub max: f64,
}

/// How we compare with one peer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// What is compared.
    pub metric: String,
    /// With whom.
    pub peer: String,
    /// Our median divided by the peer's.
    pub ours_over_peer: f64,
    /// What it should be, where a goal was set.
    pub goal: Option<f64>,
    /// Whether to be above or below it.
    pub better: Better,
}

/// How something grows with size: a line through the logarithms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// What grows.
    pub metric: String,
    /// With what.
    pub over: String,
    /// Size and median, by size.
    pub points: Vec<(f64, f64)>,
    /// The slope of log(median) over log(size): 1 is linear.
    pub slope: f64,
}

/// A whole result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The benchmark's name.
    pub bench: String,
    /// Where it ran.
    pub machine: Machine,
    /// How often every subject was measured.
    pub rounds: usize,
    /// All metrics.
    pub rows: Vec<Row>,
    /// All comparisons.
    pub ratios: Vec<Ratio>,
    /// Growth tables, for benchmarks that have them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub growth: Vec<Growth>,
}

/// What is known of a metric before it is measured.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// Which direction is good.
    pub better: Better,
    /// The goal against some peers.
    pub goals: Vec<(&'static str, f64)>,
}

/// The measurements of all rounds: metric, then subject, then one value a round.
#[derive(Debug, Default)]
pub struct Samples {
    values: BTreeMap<(String, String), Vec<f64>>,
}

impl Samples {
    /// Notes one measurement.
    pub fn add(&mut self, subject: &str, metric: &str, value: f64) {
        let of = (metric.to_owned(), subject.to_owned());
        self.values.entry(of).or_default().push(value);
    }

    /// Rows and ratios for `metrics` of `subjects`, in that order.
    #[must_use]
    pub fn summarise(&self, metrics: &[Metric], subjects: &[String]) -> (Vec<Row>, Vec<Ratio>) {
        let mut rows: Vec<Row> = Vec::new();
        let mut ratios = Vec::new();
        for metric in metrics {
            let first = rows.len();
            rows.extend(subjects.iter().filter_map(|subject| {
                let values = self.values.get(&(metric.name.clone(), subject.clone()))?;
                row(subject, metric, values)
            }));
            let of_metric = &rows[first..];
            let Some(ours) = of_metric.iter().find(|row| row.subject == OURS) else {
                continue;
            };
            let peers = of_metric.iter().filter(|row| row.subject != OURS);
            ratios.extend(peers.map(|peer| {
                Ratio {
                    metric: metric.name.clone(),
                    peer: peer.subject.clone(),
                    ours_over_peer: ours.median / peer.median,
                    goal: metric
                        .goals
                        .iter()
                        .find(|(name, _)| *name == peer.subject)
                        .map(|(_, goal)| *goal),
                    better: metric.better,
                }
            }));
        }
        (rows, ratios)
    }
}

fn row(subject: &str, metric: &Metric, values: &[f64]) -> Option<Row> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    Some(Row {
        subject: subject.to_owned(),
        metric: metric.name.clone(),
        unit: metric.unit.to_owned(),
        median: median(&sorted)?,
        min: *sorted.first()?,
        max: *sorted.last()?,
    })
}

/// The middle of sorted values; between the two middle ones when their number is even.
#[must_use]
pub fn median(sorted: &[f64]) -> Option<f64> {
    let upper = *sorted.get(sorted.len() / 2)?;
    if sorted.len() % 2 == 1 {
        return Some(upper);
    }
    Some(f64::midpoint(sorted[sorted.len() / 2 - 1], upper))
}

/// The slope of the least-squares line through (log size, log value).
#[must_use]
pub fn log_log_slope(points: &[(f64, f64)]) -> f64 {
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let mean_x = logs.iter().map(|(x, _)| x).sum::<f64>() / count;
    let mean_y = logs.iter().map(|(_, y)| y).sum::<f64>() / count;
    let rise: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let run: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    rise / run
}

impl Ratio {
    /// Whether the goal is met; `None` without one.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.goal.map(|goal| match self.better {
            Better::Higher => self.ours_over_peer >= goal,
            Better::Lower => self.ours_over_peer <= goal,
        })
    }
}

impl Report {
    /// The report as a table.
    #[must_use]
    pub fn table(&self) -> String {
        let mut out = format!(
            "{} on {} ({} rounds)\n",
            self.bench, self.machine, self.rounds
        );
        // Writing to a string cannot fail.
        for row in &self.rows {
            let _ = writeln!(
                out,
                "  {:<28} {:<10} {:>14} {:<6} ({} .. {})",
                row.metric,
                row.subject,
                figure(row.median),
                row.unit,
                figure(row.min),
                figure(row.max)
            );
        }
        for ratio in &self.ratios {
            let (bound, goal) = match (ratio.better, ratio.goal) {
                (_, None) => (' ', "no goal".to_owned()),
                (Better::Higher, Some(goal)) => ('≥', goal.to_string()),
                (Better::Lower, Some(goal)) => ('≤', goal.to_string()),
            };
            let verdict = match ratio.met() {
                Some(true) => "met",
                Some(false) => "MISSED",
                None => "",
            };
            let _ = writeln!(
                out,
                "  {:<28} {:.3} × {:<10} {bound} {goal} {verdict}",
                ratio.metric, ratio.ours_over_peer, ratio.peer
            );
        }
        for growth in &self.growth {
            let _ = writeln!(
                out,
                "  {} over {}: slope {:.2}",
                growth.metric, growth.over, growth.slope
            );
            for (size, value) in &growth.points {
                let _ = writeln!(out, "    {:>8} {:>14}", figure(*size), figure(*value));
            }
        }
        out
    }
}

/// A number with as many digits as one reads.
fn figure(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests;
