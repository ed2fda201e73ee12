//! `meridian get`: facts of a running node.

use serde_json::Value;

use crate::client::{Admin, NodeArgs};
use crate::failure::Failure;
use crate::output::{self, Format};

/// What can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Status,
    Regions,
    Endpoints,
    Services,
    Policies,
    Probes,
    Drains,
    Sources,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian get endpoints --output json")]
pub struct GetArgs {
    /// The facts.
    what: What,
    /// How they are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Asks the node and prints.
pub async fn run(node: &NodeArgs, args: &GetArgs) -> Result<(), Failure> {
    let admin = Admin::find(node)?;
    let facts = facts(&admin, args.what).await?;
    match args.output {
        Format::Json => output::json(&facts)?,
        Format::Table => print(args.what, &facts),
    }
    Ok(())
}

async fn facts(admin: &Admin, what: What) -> Result<Value, Failure> {
    let part = |value: Value, key: &str| value.get(key).cloned().unwrap_or(Value::Null);
    Ok(match what {
        What::Status => {
            let mut status: Value = admin.get("/v1/status").await?;
            // The summary; regions and endpoints have views of their own.
            status
                .as_object_mut()
                .map(|status| status.shift_remove("endpoints"));
            status
        }
        What::Regions => part(admin.get("/v1/status").await?, "regions"),
        What::Endpoints => part(admin.get("/v1/status").await?, "endpoints"),
        What::Services => part(admin.get("/v1/topology").await?, "services"),
        What::Policies => admin.get("/v1/policies").await?,
        What::Probes => admin.get("/v1/probes").await?,
        What::Drains => admin.get("/v1/drains").await?,
        What::Sources => admin.get("/v1/sources").await?,
    })
}

fn print(what: What, facts: &Value) {
    match what {
        What::Status => status(facts),
        What::Regions => columns(
            facts,
            [
                "id",
                "serving",
                "endpoints",
                "drained",
                "ramp",
                "utilization",
            ],
        ),
        What::Endpoints => columns(
            facts,
            ["id", "region", "address", "state", "since_s", "cause"],
        ),
        What::Services => columns(facts, ["id", "policy"]),
        What::Policies => columns(facts, ["id", "description"]),
        What::Probes => columns(facts, ["endpoint", "check", "health", "consecutive"]),
        What::Drains => columns(facts, ["target", "reason"]),
        What::Sources => sources(facts),
    }
}

fn status(facts: &Value) {
    for key in [
        "sequence",
        "generation",
        "revision",
        "compile_ms",
        "plan_bytes",
        "model",
    ] {
        output::line(format_args!("{key:<12} {}", text(&facts[key])));
    }
    output::line(format_args!(
        "{:<12} {}",
        "store",
        text(&facts["store"]["state"])
    ));
    output::line(format_args!(
        "{:<12} {}",
        "sources",
        text(&facts["sources"]["state"])
    ));
    if let Some(problems) = facts["sources"]["problems"].as_str() {
        output::line(problems);
    }
    for warning in facts["warnings"].as_array().into_iter().flatten() {
        output::line(format_args!("{:<12} {}", "warning", text(warning)));
    }
    output::line("");
    columns(
        &facts["regions"],
        [
            "id",
            "serving",
            "endpoints",
            "drained",
            "ramp",
            "utilization",
        ],
    );
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

fn columns<const N: usize>(facts: &Value, keys: [&str; N]) {
    let rows: Vec<[String; N]> = facts
        .as_array()
        .into_iter()
        .flatten()
        .map(|fact| keys.map(|key| text(&fact[key])))
        .collect();
    output::table(keys, &rows);
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}
