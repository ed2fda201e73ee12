//! `meridian geo diff`.

use std::path::PathBuf;

use meridian_geo::Table;
use meridian_geo::diff::{Diff, Label, Move, Space, diff};

use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The table in force.
    before: PathBuf,
    /// The table to come.
    after: PathBuf,
    /// How many classes and ranges are listed; the summaries count all.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// Exit with 1 when the tables differ.
    #[arg(long)]
    exit_code: bool,
    /// How the differences are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Compares and prints.
pub fn run(args: &DiffArgs) -> Result<(), Failure> {
    let (before, after) = (Table::open(&args.before)?, Table::open(&args.after)?);
    let found = diff(&before.classes, &after.classes, args.limit);
    match args.output {
        Format::Json => output::json(&found)?,
        Format::Table => print(&found),
    }
    if args.exit_code && !found.is_empty() {
        return Err(Failure::other("the tables differ"));
    }
    Ok(())
}

fn print(found: &Diff) {
    if found.is_empty() {
        output::line("no address changes its class");
        return;
    }
    output::line(format_args!("changed: {}", space(found.changed)));
    let rows: Vec<[String; 2]> = found
        .by_field
        .iter()
        .map(|(field, sum)| [(*field).to_owned(), space(*sum)])
        .collect();
    output::table(["field", "space"], &rows);
    moves("country", &found.by_country);
    moves("class", &found.by_class);
    output::line("");
    let rows: Vec<[String; 3]> = found
        .ranges
        .iter()
        .map(|range| {
            let addresses = format!("{}-{}", range.first, range.last);
            [
                addresses,
                Label(&range.from).to_string(),
                Label(&range.to).to_string(),
            ]
        })
        .collect();
    output::table(["addresses", "from", "to"], &rows);
}

fn moves(what: &str, moves: &[Move]) {
    if moves.is_empty() {
        return;
    }
    output::line("");
    let rows: Vec<[String; 3]> = moves
        .iter()
        .map(|moved| [moved.from.clone(), moved.to.clone(), space(moved.space)])
        .collect();
    output::table([&format!("{what} from"), "to", "space"], &rows);
}

fn space(space: Space) -> String {
    let Space {
        v4_addresses,
        v6_48s,
        ranges,
    } = space;
    format!("{v4_addresses} IPv4 addresses, {v6_48s} IPv6 /48s, {ranges} ranges")
}
