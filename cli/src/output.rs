//! What commands print on standard output: lines, tables and JSON.
//!
//! A reader that closes its end early (`meridian get endpoints | head`) is no failure.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use crate::failure::Failure;

/// How facts are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Table,
    /// For scripts: a stable schema.
    Json,
}

/// Prints one line.
pub fn line(text: impl Display) {
    let _reader_gone = writeln!(std::io::stdout().lock(), "{text}");
}

/// Says on standard error what a user must know before using the result.
pub fn warn(text: impl Display) {
    let _reader_gone = writeln!(std::io::stderr().lock(), "warning: {text}");
}

/// Prints `facts` as JSON.
pub fn json(facts: &impl Serialize) -> Result<(), Failure> {
    line(serde_json::to_string_pretty(facts)?);
    Ok(())
}

/// Prints rows under a heading, each column as wide as its widest cell.
pub fn table<const N: usize>(heading: [&str; N], rows: &[[String; N]]) {
    let mut widths = heading.map(str::len);
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    line(joined(&heading.map(String::from), &widths));
    for row in rows {
        line(joined(row, &widths));
    }
}

fn joined<const N: usize>(cells: &[String; N], widths: &[usize; N]) -> String {
    let padded = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| format!("{cell:<width$}"));
    padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}
