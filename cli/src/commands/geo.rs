//! `meridian geo`: class tables ahead of time. Build one from every source, ask who an address is and
//! which source said so, see what a new table changes before nodes get it.

mod build;
mod diff;
mod lookup;

use std::path::Path;

use meridian_topology::Topology;

use crate::client::NodeArgs;
use crate::config::Deployment;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    meridian geo build --out clients.geo --mmdb-city GeoLite2-City.mmdb --providers ip-ranges.json\n  \
    meridian geo lookup 203.0.113.9 2001:db8::1 --table clients.geo\n  \
    meridian geo diff old.geo clients.geo")]
pub struct GeoArgs {
    #[command(subcommand)]
    command: GeoCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GeoCommand {
    /// Build a class table of the deployment's sources and those named here.
    #[command(after_help = "Examples:\n  \
        meridian geo build --dir /etc/meridian --out /etc/meridian/clients.geo\n  \
        meridian geo build --out clients.geo --mmdb-city GeoLite2-City.mmdb --overrides measured.csv -o json")]
    Build(build::BuildArgs),
    /// Say of addresses which class they have, how far it reaches, and which source said so.
    #[command(after_help = "Examples:\n  \
        meridian geo lookup 203.0.113.9 --dir /etc/meridian\n  \
        meridian geo lookup 203.0.113.9 2001:db8::1 --table clients.geo -o json")]
    Lookup(lookup::LookupArgs),
    /// Say which addresses change their class from one table to another, and how many.
    #[command(after_help = "Examples:\n  \
        meridian geo diff old.geo new.geo\n  \
        meridian geo diff old.geo new.geo --exit-code -o json")]
    Diff(diff::DiffArgs),
}

/// Runs one of them.
pub fn run(node: &NodeArgs, args: &GeoArgs) -> Result<(), Failure> {
    match &args.command {
        GeoCommand::Build(args) => build::run(&node.dir, args),
        GeoCommand::Lookup(args) => lookup::run(&node.dir, args),
        GeoCommand::Diff(args) => diff::run(args),
    }
}

/// What a deployment directory says about addresses: its sources, with the autonomous systems that its
/// policies name, and its topology. A directory without a topology has no regions and no groups.
fn deployment(folder: &Path) -> Result<(meridian_geo::Sources, Topology), Failure> {
    let deployment = Deployment::read(folder)?;
    let mut sources = deployment.node.geo.sources();
    if !folder.join("topology.yaml").exists() && !folder.join("topology").is_dir() {
        return Ok((sources, Topology::default()));
    }
    let meaning = meridian_live::read_directory(folder)?
        .read(deployment.intent.as_deref())
        .map_err(Failure::other)?;
    sources.asns = meaning.policies.asns();
    Ok((sources, Topology::clone(&meaning.topology)))
}
