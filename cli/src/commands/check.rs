//! `meridian check`: everything a running node would refuse, before it runs, and what it would doubt.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use meridian_admin::PlacedProblem;
use meridian_engine::{ClassTable, World};
use meridian_geodns::zone::{ShelfSnapshot, ZoneError};
use meridian_geodns::zones_for_query;
use meridian_live::{Meaning, PlanHandle, read_directory};
use meridian_topology::{Lint, LintCode};
use serde::Serialize;

use crate::config::{Deployment, NodeConfig};
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meridian check --dir config/examples/demo\n  meridian check --dir config/examples/multi-region --effects\n\nWarnings do not fail the check."
)]
pub struct CheckArgs {
    /// Also say what each key of `multi_region_config` does here.
    #[arg(long, short = 'v')]
    effects: bool,
    /// How the findings are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// What `-o json` prints: a stable schema.
#[derive(Debug, Default, Serialize)]
struct Findings {
    /// True when a node would serve this directory.
    fine: bool,
    regions: usize,
    endpoints: usize,
    services: usize,
    policies: usize,
    problems: Vec<PlacedProblem>,
    warnings: Vec<Lint>,
    effects: Vec<meridian_topology::Effect>,
}

/// Reads the whole deployment and says what it holds.
pub fn run(folder: &Path, args: &CheckArgs) -> Result<(), Failure> {
    let (deployment, meaning) = match read(folder) {
        Ok(read) => read,
        Err(failure) => {
            if let (Format::Json, Some(problems)) = (args.output, failure.problems()) {
                output::json(&Findings {
                    problems: PlacedProblem::all_of(problems),
                    ..Findings::default()
                })?;
            }
            return Err(failure);
        }
    };
    let shelf = check_node(&deployment.node)?;
    let topology = &meaning.topology;
    let mut warnings = topology.lints();
    warnings.extend(steered_and_signed(&meaning, &shelf)?);
    let effects = topology.multi_region.as_ref();
    let findings = Findings {
        fine: true,
        regions: topology.regions.len(),
        endpoints: topology.endpoints.len(),
        services: topology.services.len(),
        policies: meaning.policies.policies().len(),
        problems: Vec::new(),
        warnings,
        effects: effects.map_or_else(Vec::new, |block| block.effects(topology)),
    };
    match args.output {
        Format::Json => output::json(&findings)?,
        Format::Table => print(folder, &findings, args.effects),
    }
    Ok(())
}

fn read(folder: &Path) -> Result<(Deployment, Meaning), Failure> {
    let deployment = Deployment::read(folder)?;
    let meaning = read_directory(folder)?
        .read(deployment.intent.as_deref())
        .map_err(Failure::other)?;
    Ok((deployment, meaning))
}

/// What the rooms would refuse at start; whether ports are free is for the start itself. Returns the
/// zones of master files.
fn check_node(node: &NodeConfig) -> Result<Arc<ShelfSnapshot>, Failure> {
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let dns = node.dns.validate(cores)?;
    dns.dnssec().check_keys()?;
    let shelf = dns.read_zone_files()?;
    dns.dnssec().check_arrivals(&shelf)?;
    node.http.clone().validate().map_err(Failure::all)?;
    for path in node.geo.clone().paths_mut() {
        std::fs::File::open(&*path).map_err(Failure::at(path))?;
    }
    if let Some(table) = &node.geo.table {
        meridian_geo::Table::open(table)?;
    }
    Ok(shelf)
}

/// Steered names in zones whose files are signed, as a running node would log them.
fn steered_and_signed(meaning: &Meaning, shelf: &ShelfSnapshot) -> Result<Vec<Lint>, Failure> {
    if !shelf.values().any(|shelved| shelved.zone.is_signed()) {
        return Ok(Vec::new());
    }
    let (topology, policies) = (Arc::clone(&meaning.topology), Arc::clone(&meaning.policies));
    let world = World::new(topology, policies, Arc::new(ClassTable::unknown()));
    let plan = PlanHandle::fixed(world);
    let zones = zones_for_query(Arc::clone(&plan.full()), shelf)?;
    let lint = |problem: &ZoneError| match problem {
        ZoneError::SteeredAndSigned { name, origin } => Some(Lint {
            code: LintCode::SignedZone,
            subject: format!("name {name}"),
            message: format!(
                "it is steered and the file of its zone `{origin}` is signed, so validating resolvers refuse its answers"
            ),
            help: format!(
                "write the file unsigned and list `{origin}` under `dns.dnssec.zones`, or delegate the name to a zone of its own"
            ),
        }),
        _ => None,
    };
    Ok(zones.problems().iter().filter_map(lint).collect())
}

fn print(folder: &Path, findings: &Findings, effects: bool) {
    for warning in &findings.warnings {
        output::line(warning);
    }
    if effects {
        let rows: Vec<[String; 3]> = findings
            .effects
            .iter()
            .map(|it| [it.key.clone(), it.value.clone(), it.effect.clone()])
            .collect();
        output::table(["multi_region_config", "value", "effect"], &rows);
    }
    let warnings = match findings.warnings.len() {
        0 => String::new(),
        1 => ", 1 warning".into(),
        count => format!(", {count} warnings"),
    };
    output::line(format_args!(
        "{}: {} regions, {} endpoints, {} services, {} policies: fine{warnings}",
        folder.display(),
        findings.regions,
        findings.endpoints,
        findings.services,
        findings.policies,
    ));
}
