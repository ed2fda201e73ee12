//! `meridian dns`: what DNS would answer a client, by the very code that answers; keys of zones.

mod keys;

use std::net::IpAddr;

use hickory_proto::rr::RecordType;
use meridian_engine::Explanation;
use meridian_geodns::{ClientQuestion, query_explain};
use serde_json::Value;

use super::dns_serve::{self, ServeArgs};
use super::zones;
use crate::client::{Admin, NodeArgs};
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
    /// Answer one question as the running node would at this moment, or from the deployment directory.
    #[command(
        after_help = "Example:\n  meridian dns query shop.demo.test --client 81.2.69.160 --dir config/examples/demo\n\nWithout --live and --offline the node is asked if it answers at its admin API; else the directory\nis, with everything healthy and no load, and a line on standard error says so."
    )]
    Query(QueryArgs),
    /// Make, roll and remove the keys that sign zones.
    Keys(keys::KeysArgs),
    /// Zones taken from primaries elsewhere, and zones that take dynamic updates.
    #[command(subcommand, after_help = "Example:\n  meridian dns zones list")]
    Zones(zones::ZonesCommand),
    /// Serve every master file of a folder over UDP and TCP, without a deployment.
    ///
    /// Each `NAME.zone` is a zone; its origin is that of its SOA, and names before the first
    /// `$ORIGIN` are relative to NAME. Files are read again when they change; a file with a mistake
    /// keeps its last good zone served. Runs until SIGINT or SIGTERM.
    #[command(
        after_help = "Example:\n  meridian dns serve --zones /etc/zones --listen 127.0.0.1:5353"
    )]
    Serve(ServeArgs),
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
    /// Ask the running node and nothing else.
    #[arg(long, conflicts_with = "offline")]
    live: bool,
    /// Answer from the deployment directory alone: no node, everything healthy, no load.
    #[arg(long)]
    offline: bool,
    /// Ask the node whose admin API is at this HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "offline")]
    at: Option<String>,
    /// How the answer is printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Answers and prints.
pub async fn run(node: &NodeArgs, args: &DnsArgs) -> Result<(), Failure> {
    let query = match &args.command {
        DnsCommand::Query(query) => query,
        DnsCommand::Keys(args) => return keys::run(node, args),
        DnsCommand::Zones(command) => return zones::run(node, command).await,
        DnsCommand::Serve(args) => return dns_serve::run(args).await,
    };
    let said = if query.offline {
        offline(node, query)?
    } else {
        match running(node, query).await? {
            Some(said) => said,
            None => {
                output::warn(format_args!(
                    "no node answers, so this is what the directory {} says: everything healthy, no load",
                    node.dir.display()
                ));
                offline(node, query)?
            }
        }
    };
    match query.output {
        Format::Json => output::json(&said),
        Format::Table => print(said),
    }
}

/// What the node says; `None` when there is none and nobody insisted on one.
async fn running(node: &NodeArgs, query: &QueryArgs) -> Result<Option<Value>, Failure> {
    let insisted = query.live || query.at.is_some() || node.admin.is_some();
    let node = NodeArgs {
        admin: query.at.clone().or_else(|| node.admin.clone()),
        ..node.clone()
    };
    let admin = Admin::find(&node)?;
    if !insisted && !admin.is_there().await {
        return Ok(None);
    }
    let path = format!(
        "/v1/dns/query?name={}&type={}&client={}",
        encoded(&query.name),
        query.rtype,
        query.client
    );
    admin.get(&path).await.map(Some)
}

/// The same code over a plan of the directory.
fn offline(node: &NodeArgs, query: &QueryArgs) -> Result<Value, Failure> {
    let world = super::offline::world(&node.dir)?;
    let (zones, settings) = super::offline::zones(&node.dir, world)?;
    let question = ClientQuestion {
        name: &query.name,
        rtype: query.rtype,
        client: query.client,
    };
    let said = query_explain(&zones, settings.rules(), question)?;
    Ok(serde_json::to_value(said)?)
}

fn print(mut said: Value) -> Result<(), Failure> {
    let steering = said["steering"].take();
    let word = |key: &str| said[key].as_str().unwrap_or_default().to_owned();
    let scope = said["scope"]
        .as_u64()
        .map_or_else(|| "none".into(), |bits| format!("/{bits}"));
    output::line(format_args!(
        "{} {} for {}: {}, scope {scope}",
        word("name"),
        word("type"),
        word("client"),
        word("rcode")
    ));
    for section in ["answers", "authorities"] {
        for record in said[section].as_array().into_iter().flatten() {
            let part = |key: &str| record[key].as_str().unwrap_or_default();
            output::line(format_args!(
                "{}\t{}\t{}\t{}",
                part("name"),
                record["ttl"],
                part("type"),
                part("data")
            ));
        }
    }
    if !steering.is_null() {
        let steering: Explanation = serde_json::from_value(steering)?;
        output::line("");
        super::explain::print(&steering);
    }
    Ok(())
}

/// A name as it may stand in a URL's query: bytes that are not plain become `%XX`.
fn encoded(name: &str) -> String {
    let plain =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'*');
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        if plain(byte) {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
