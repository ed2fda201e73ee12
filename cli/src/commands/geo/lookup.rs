//! `meridian geo lookup`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;
use meridian_engine::{ClassTable, ClientClass};
use meridian_geo::diff::Label;
use meridian_geo::witness::{Said, Witnesses};
use meridian_geo::{Sources, Table, with_groups};
use meridian_topology::Topology;
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
pub struct LookupArgs {
    /// The addresses asked for.
    #[arg(required = true)]
    addresses: Vec<IpAddr>,
    /// Ask this table alone, not the deployment's sources and client groups.
    #[arg(long)]
    table: Option<PathBuf>,
    /// How the answers are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Who an address is.
#[derive(Serialize)]
struct Found {
    address: IpAddr,
    class: u32,
    /// The prefix in which every address has this class: what an ECS answer may claim.
    prefix: Option<IpNet>,
    prefix_len: u8,
    #[serde(flatten)]
    client: ClientClass,
    /// What each source says, lowest first.
    sources: Vec<Said>,
}

/// Looks up and prints.
pub fn run(folder: &Path, args: &LookupArgs) -> Result<(), Failure> {
    let (sources, topology) = match &args.table {
        Some(table) => {
            let sources = Sources {
                table: Some(table.clone()),
                ..Sources::default()
            };
            (sources, Topology::default())
        }
        None => super::deployment(folder)?,
    };
    let classes = match &sources.table {
        Some(path) => with_groups(&Table::open(path)?.classes, &topology)?,
        None => meridian_geo::build(&topology, &sources)?,
    };
    let witnesses = Witnesses::open(&topology, &sources)?;
    let found: Vec<Found> = args
        .addresses
        .iter()
        .map(|address| find(&classes, &witnesses, *address))
        .collect::<Result<_, _>>()?;
    match args.output {
        Format::Json => output::json(&found),
        Format::Table => {
            print(&found);
            Ok(())
        }
    }
}

fn find(
    classes: &Arc<ClassTable>,
    witnesses: &Witnesses<'_>,
    address: IpAddr,
) -> Result<Found, Failure> {
    let matched = classes.lookup(address);
    let prefix = IpNet::new(address.to_canonical(), matched.prefix_len);
    Ok(Found {
        address,
        class: matched.class.0,
        prefix: prefix.ok().map(|net| net.trunc()),
        prefix_len: matched.prefix_len,
        client: classes.class(matched.class).clone(),
        sources: witnesses.ask(address)?,
    })
}

fn print(found: &[Found]) {
    for found in found {
        let prefix = found
            .prefix
            .map_or_else(|| "-".to_owned(), |prefix| prefix.to_string());
        output::line(format_args!(
            "{}: class {}, {}, as all of {prefix}",
            found.address,
            found.class,
            Label(&found.client)
        ));
        for said in &found.sources {
            let prefix = said
                .prefix
                .map_or_else(String::new, |prefix| format!(" of {prefix}"));
            output::line(format_args!(
                "  {}{prefix}: {}",
                said.source,
                Label(&said.says)
            ));
        }
    }
}
