//! `meridian get`: facts of a running node.

use meridian_topology::ServiceId;
use meridian_train::{Entry, Registry};
use serde_json::Value;

use crate::client::{Admin, NodeArgs};
use crate::config::Deployment;
use crate::failure::Failure;
use crate::output::{self, Format};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    /// Plan, sources, store and regions at a glance.
    Status,
    /// The plan in force.
    Plan,
    /// Regions, with what they take.
    Regions,
    /// Endpoints, with their state and its cause.
    Endpoints,
    /// Services of the topology.
    Services,
    /// Policies in force.
    Policies,
    /// Models of the deployment's registry, and which of them scores regions.
    Models,
    /// Health checks and their last results.
    Probes,
    /// Drains in force.
    Drains,
    /// The YAML texts in the store.
    Sources,
    /// DNS: zones, names with their members, and what each continent is answered.
    Dns,
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  meridian get status\n  meridian get endpoints --dir /etc/meridian -o json"
)]
pub struct GetArgs {
    /// The facts.
    what: What,
    /// With `dns`: only names behind this one, the `next` of the page before.
    #[arg(long)]
    pub(super) after: Option<String>,
    /// With `dns`: names on a page, 1 to 500. Default 100.
    #[arg(long)]
    pub(super) limit: Option<usize>,
    /// With `dns`: only names of this service.
    #[arg(long)]
    pub(super) service: Option<ServiceId>,
    /// How they are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Asks the node and prints.
pub async fn run(node: &NodeArgs, args: &GetArgs) -> Result<(), Failure> {
    let facts = match args.what {
        What::Models => models(node).await?,
        What::Dns => super::get_dns::facts(&Admin::find(node)?, args).await?,
        what => facts(&Admin::find(node)?, what).await?,
    };
    match args.output {
        Format::Json => output::json(&facts)?,
        Format::Table => print(args.what, &facts),
    }
    Ok(())
}

/// Fields of the status that tell of the plan.
const PLAN: [&str; 6] = [
    "sequence",
    "generation",
    "revision",
    "compile_ms",
    "plan_bytes",
    "model",
];
/// Columns of regions, in `get regions` and below `get status`.
const REGIONS: [&str; 7] = [
    "id",
    "serving",
    "endpoints",
    "drained",
    "ramp",
    "utilization",
    "flapping",
];

async fn facts(admin: &Admin, what: What) -> Result<Value, Failure> {
    let path = match what {
        What::Status | What::Plan | What::Regions | What::Endpoints | What::Models => "/v1/status",
        What::Services => "/v1/topology",
        What::Policies => "/v1/policies",
        What::Probes => "/v1/probes",
        What::Drains => "/v1/drains",
        What::Sources => "/v1/sources",
        What::Dns => "/v1/dns",
    };
    let mut whole: Value = admin.get(path).await?;
    Ok(match what {
        What::Status => {
            // The summary; endpoints have a view of their own.
            whole
                .as_object_mut()
                .map(|status| status.shift_remove("endpoints"));
            whole
        }
        What::Plan => PLAN
            .into_iter()
            .map(|key| (key.to_owned(), whole[key].take()))
            .collect(),
        What::Regions => whole["regions"].take(),
        What::Endpoints => whole["endpoints"].take(),
        What::Services => whole["services"].take(),
        What::Models => whole["model"].take(),
        What::Policies | What::Probes | What::Drains | What::Sources | What::Dns => whole,
    })
}

/// The registry's entries, each with whether the node scores by it at this moment: the promoted
/// one, unless its file is damaged or the node has not looked yet.
async fn models(node: &NodeArgs) -> Result<Value, Failure> {
    let in_force = facts(&Admin::find(node)?, What::Models).await?;
    let folder = Deployment::read(&node.dir)?.node.models;
    let entries = if folder.is_dir() {
        Registry::open(folder)?.list()?
    } else {
        Vec::new()
    };
    let with_force = |entry: &Entry| -> Result<Value, Failure> {
        let mut entry = serde_json::to_value(entry)?;
        let is_used = in_force
            .as_str()
            .is_some_and(|version| entry["id"] == version.replace(' ', "-"));
        entry["in_force"] = is_used.into();
        Ok(entry)
    };
    entries.iter().map(with_force).collect()
}

fn print(what: What, facts: &Value) {
    match what {
        What::Status => status(facts),
        What::Plan => fields(facts, &PLAN),
        What::Regions => columns(facts, REGIONS),
        What::Endpoints => columns(
            facts,
            [
                "id",
                "region",
                "address",
                "state",
                "since_s",
                "transitions",
                "cause",
            ],
        ),
        What::Services => columns(facts, ["id", "policy"]),
        What::Policies => columns(facts, ["id", "description"]),
        What::Models => columns(facts, ["id", "kind", "promoted", "in_force", "problem"]),
        What::Probes => columns(
            facts,
            ["endpoint", "service", "kind", "verdict", "consecutive"],
        ),
        What::Drains => columns(facts, ["target", "reason"]),
        What::Sources => sources(facts),
        What::Dns => super::get_dns::print(facts),
    }
}

fn fields(facts: &Value, keys: &[&str]) {
    for key in keys {
        output::line(format_args!("{key:<12} {}", text(&facts[*key])));
    }
}

fn status(facts: &Value) {
    fields(facts, &PLAN);
    for key in ["store", "sources"] {
        output::line(format_args!("{key:<12} {}", text(&facts[key]["state"])));
    }
    let geo = &facts["geo"];
    output::line(format_args!(
        "{:<12} {} classes, built at {}, table {}",
        "geo",
        text(&geo["classes"]),
        text(&geo["built_unix_seconds"]),
        text(&geo["id"])
    ));
    if let Some(problem) = geo["problem"].as_str() {
        output::line(problem);
    }
    for asn in geo["missing_asns"].as_array().into_iter().flatten() {
        let asn = text(asn);
        output::line(format_args!(
            "AS{asn} is named by a policy and is not in the class table: build it again"
        ));
    }
    if let Some(cause) = facts["store"]["cause"].as_str() {
        output::line(cause);
    }
    if let Some(problems) = facts["sources"]["problems"].as_str() {
        output::line(problems);
    }
    for warning in facts["warnings"].as_array().into_iter().flatten() {
        output::line(text(warning));
    }
    output::line("");
    columns(&facts["regions"], REGIONS);
}

fn sources(facts: &Value) {
    for file in ["topology", "policies"]
        .iter()
        .flat_map(|kind| facts[kind].as_array().into_iter().flatten())
    {
        output::line(format_args!(
            "# {}\n{}",
            text(&file["name"]),
            text(&file["text"])
        ));
    }
}

pub(super) fn columns<const N: usize>(facts: &Value, keys: [&str; N]) {
    let rows: Vec<[String; N]> = facts
        .as_array()
        .into_iter()
        .flatten()
        .map(|fact| keys.map(|key| text(&fact[key])))
        .collect();
    output::table(keys, &rows);
}

/// A cell: `{region: x}` of a drain reads `region x`.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        Value::Object(parts) => {
            let part = |(key, value): (&String, &Value)| format!("{key} {}", text(value));
            parts.iter().map(part).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
