//! `meridian geo build`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use meridian_geo::{GRID_DEGREES, SourceNote, Table, build_table, with_groups};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
pub struct BuildArgs {
    /// The file to write; it is renamed into its place when it is whole.
    #[arg(long)]
    out: PathBuf,
    /// City or country database in MMDB format, instead of the deployment's.
    #[arg(long)]
    mmdb_city: Option<PathBuf>,
    /// Database of autonomous systems in MMDB format, instead of the deployment's.
    #[arg(long)]
    mmdb_asn: Option<PathBuf>,
    /// A cloud's list of its prefixes, beside the deployment's; may be given several times.
    #[arg(long)]
    providers: Vec<PathBuf>,
    /// Measured places of prefixes, over the deployment's; may be given several times.
    #[arg(long)]
    overrides: Vec<PathBuf>,
    /// An autonomous system to tell apart beside those that policies name; may be given several times.
    #[arg(long)]
    asn: Vec<u32>,
    /// Finest cells, in degrees, that places are rounded to; coarser ones are taken when classes are too
    /// many.
    #[arg(long, default_value_t = GRID_DEGREES[0], value_parser = grid)]
    grid: f64,
    /// Lay the topology's client groups over the table, too. A node does that by itself.
    #[arg(long)]
    with_groups: bool,
    /// How the facts are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

fn grid(text: &str) -> Result<f64, String> {
    let degrees: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.01..=45.0).contains(&degrees) {
        Ok(degrees)
    } else {
        Err("a cell has 0.01 to 45 degrees".to_owned())
    }
}

/// What was built.
#[derive(Serialize)]
struct Built {
    file: PathBuf,
    id: Option<String>,
    bytes: u64,
    memory_bytes: usize,
    build_ms: f64,
    built_unix_seconds: u64,
    classes: usize,
    ranges_v4: usize,
    ranges_v6: usize,
    grid_degrees: f64,
    asns: Vec<u32>,
    sources: Vec<SourceNote>,
}

/// Builds, writes and reports.
pub fn run(folder: &Path, args: &BuildArgs) -> Result<(), Failure> {
    let (mut sources, topology) = super::deployment(folder)?;
    sources.mmdb_city = args.mmdb_city.clone().or(sources.mmdb_city);
    sources.mmdb_asn = args.mmdb_asn.clone().or(sources.mmdb_asn);
    sources.providers.extend(args.providers.iter().cloned());
    sources.overrides.extend(args.overrides.iter().cloned());
    sources.asns.extend(&args.asn);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "seconds since 1970 are positive and small"
    )]
    let now = crate::unix_seconds() as u64;
    let started = Instant::now();
    let mut table = build_table(&topology, &sources, args.grid, now)?;
    if args.with_groups {
        let classes = with_groups(&table.classes, &topology)?;
        table = Table::new(Arc::clone(&classes), table.about);
    }
    let build_ms = started.elapsed().as_secs_f64() * 1e3;
    let table = table.save(&args.out)?;
    let (ranges_v4, ranges_v6) = table.classes.range_counts();
    let built = Built {
        file: args.out.clone(),
        id: table.id,
        bytes: table.bytes,
        memory_bytes: table.classes.memory_bytes(),
        build_ms,
        built_unix_seconds: table.about.built_unix_seconds,
        classes: table.classes.classes().len(),
        ranges_v4,
        ranges_v6,
        grid_degrees: table.about.grid_degrees,
        asns: table.about.asns,
        sources: table.about.sources,
    };
    match args.output {
        Format::Json => output::json(&built),
        Format::Table => {
            print(&built);
            Ok(())
        }
    }
}

fn print(built: &Built) {
    let rows: Vec<[String; 3]> = built
        .sources
        .iter()
        .map(|source| {
            let file = source.file.clone().unwrap_or_default();
            [source.kind.clone(), file, source.detail.clone()]
        })
        .collect();
    output::table(["source", "file", "what"], &rows);
    output::line(format_args!(
        "{}: {} bytes, id {}, {} classes on a grid of {} degrees, {} ranges of IPv4 and {} of IPv6, built in {:.0} ms",
        built.file.display(),
        built.bytes,
        built.id.as_deref().unwrap_or("-"),
        built.classes,
        built.grid_degrees,
        built.ranges_v4,
        built.ranges_v6,
        built.build_ms,
    ));
}
