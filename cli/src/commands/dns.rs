//! `meridian dns query`: what DNS would answer a client, by the very code that answers.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use meridian_geodns::zone::ShelfSnapshot;
use meridian_geodns::{ClientQuestion, query_explain, zones_for_query};
use meridian_live::PlanHandle;

use crate::client::NodeArgs;
use crate::config::Deployment;
use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  meridian dns query shop.demo.test --client 81.2.69.160 --dir config/examples/demo"
)]
pub struct DnsArgs {
    #[command(subcommand)]
    command: DnsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum DnsCommand {
    /// Answer one question from the deployment directory: everything healthy, no load.
    #[command(
        after_help = "Example:\n  meridian dns query shop.demo.test --client 81.2.69.160 --dir config/examples/demo"
    )]
    Query(QueryArgs),
}

#[derive(Debug, clap::Args)]
struct QueryArgs {
    /// The name asked for.
    name: String,
    /// The record type.
    #[arg(long = "type", default_value = "A")]
    rtype: RecordType,
    /// The client's address.
    #[arg(long)]
    client: IpAddr,
    /// How the answer is printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Answers and prints.
pub fn run(node: &NodeArgs, args: &DnsArgs) -> Result<(), Failure> {
    let DnsCommand::Query(query) = &args.command;
    let plan = PlanHandle::fixed(super::offline::world(&node.dir)?);
    let zones = zones_for_query(Arc::clone(&plan.full()), &ShelfSnapshot::new())?;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let settings = Deployment::read(&node.dir)?.node.dns.validate(cores)?;
    let question = ClientQuestion {
        name: &query.name,
        rtype: query.rtype,
        client: query.client,
    };
    let said = query_explain(&zones, settings.rules(), question)?;
    if query.output == Format::Json {
        return output::json(&said);
    }
    let scope = said
        .scope
        .map_or_else(|| "none".into(), |bits| format!("/{bits}"));
    output::line(format_args!(
        "{} {} for {}: {}, scope {scope}",
        said.name, said.rtype, said.client, said.rcode
    ));
    for record in said.answers.iter().chain(&said.authorities) {
        output::line(format_args!(
            "{}\t{}\t{}\t{}",
            record.name, record.ttl, record.rtype, record.data
        ));
    }
    if let Some(steering) = &said.steering {
        output::line("");
        super::explain::print(steering);
    }
    Ok(())
}
