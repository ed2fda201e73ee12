//! `meridian explain`: where a client would be sent, and why, by the code that sends it.

use std::net::IpAddr;

use meridian_engine::explain::ExplainedFallback;
use meridian_engine::{Explanation, Surface};
use meridian_geodns::surface_explain;
use meridian_topology::ServiceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::client::{Admin, NodeArgs};
use crate::failure::Failure;
use crate::output::{self, Format};

/// Where the client asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum At {
    Dns,
    Http,
    Stream,
    L4,
}

impl At {
    fn surface(self) -> Surface {
        match self {
            Self::Dns => Surface::Dns,
            Self::Http => Surface::Http,
            Self::Stream => Surface::Stream,
            Self::L4 => Surface::L4,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Http => "http",
            Self::Stream => "stream",
            Self::L4 => "l4",
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  meridian explain --service shop --client 203.0.113.9 --at http -o json"
)]
pub struct ExplainArgs {
    /// The service asked for.
    #[arg(long)]
    service: ServiceId,
    /// The client's address.
    #[arg(long)]
    client: IpAddr,
    /// Where it asks.
    #[arg(long, default_value = "dns")]
    at: At,
    /// Decide from the deployment directory alone: no node, everything healthy, no load.
    #[arg(long)]
    offline: bool,
    /// How the explanation is printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// Asks the node, or decides offline, and prints.
pub async fn run(node: &NodeArgs, args: &ExplainArgs) -> Result<(), Failure> {
    let explained = if args.offline {
        offline(node, args)?
    } else {
        let path = format!(
            "/v1/explain?service={}&client={}&at={}",
            args.service,
            args.client,
            args.at.word()
        );
        Admin::find(node)?.get::<Explained>(&path).await?
    };
    match args.output {
        Format::Json => output::json(&explained)?,
        Format::Table => {
            print(&explained.decision);
            if let Some(dns) = &explained.dns {
                print_dns(dns);
            }
        }
    }
    Ok(())
}

/// The decision, and what the surface that was asked adds to it.
#[derive(Debug, Serialize, Deserialize)]
struct Explained {
    #[serde(flatten)]
    decision: Explanation,
    /// Names, answers, TTL and scope, at `--at dns`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns: Option<Value>,
}

/// The same without a node.
fn offline(node: &NodeArgs, args: &ExplainArgs) -> Result<Explained, Failure> {
    let world = super::offline::world(&node.dir)?;
    let decision = super::offline::explain(&world, &args.service, args.client, args.at.surface())?;
    let dns = match args.at {
        At::Dns => {
            let (zones, settings) = super::offline::zones(&node.dir, world)?;
            let rules = settings.rules();
            let said = surface_explain(&zones, rules, &args.service, args.client);
            Some(serde_json::to_value(said)?)
        }
        At::Http | At::Stream | At::L4 => None,
    };
    Ok(Explained { decision, dns })
}

/// What DNS adds, for people.
fn print_dns(dns: &Value) {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    for name in list(&dns["names"]) {
        for question in list(&name["questions"]) {
            let word = |key: &str| question[key].as_str().unwrap_or_default().to_owned();
            output::line(format_args!(
                "\nDNS {} {}: {}",
                name["name"].as_str().unwrap_or_default(),
                word("type"),
                word("rcode")
            ));
            for record in list(&question["answers"]) {
                let text = record["data"].as_str().unwrap_or_default();
                output::line(format_args!("  {text}"));
            }
            let ttl = &question["ttl"];
            output::line(format_args!("  TTL {ttl}: {}", word("ttl_reason")));
            let scope = &question["scope"];
            output::line(format_args!("  scope {scope}: {}", word("scope_reason")));
        }
    }
}

/// The explanation for people.
pub fn print(said: &Explanation) {
    let country = said
        .client
        .country
        .map_or_else(|| "unknown country".into(), |country| country.to_string());
    output::line(format_args!(
        "service {} by policy {}, client in {country}",
        said.service, said.policy
    ));
    for stage in &said.stages {
        let kept: Vec<&str> = stage
            .kept
            .iter()
            .map(meridian_topology::RegionId::as_str)
            .collect();
        output::line(format_args!("\n{}: {}", stage.name, kept.join(", ")));
        for dropped in &stage.dropped {
            output::line(format_args!("  - {}: {}", dropped.id, dropped.reason));
        }
        let rows: Vec<[String; 5]> = stage
            .scores
            .iter()
            .map(|score| {
                let number = |value: f64| format!("{value:.3}");
                let (value, weight, share) = (
                    number(score.value),
                    number(score.weight),
                    number(score.contribution),
                );
                [
                    score.id.to_string(),
                    score.selector.clone(),
                    value,
                    weight,
                    share,
                ]
            })
            .collect();
        if !rows.is_empty() {
            output::table(
                ["region", "selector", "value", "weight", "contribution"],
                &rows,
            );
        }
    }
    output::line("\npicks:");
    let rows: Vec<[String; 3]> = said
        .picks
        .iter()
        .map(|pick| {
            [
                pick.endpoint.to_string(),
                pick.region.to_string(),
                format!("{:.1} %", pick.weight * 100.0),
            ]
        })
        .collect();
    output::table(["endpoint", "region", "share"], &rows);
    if let Some(choice) = &said.choice {
        output::line(format_args!(
            "\nthis client: {} in {}",
            choice.endpoint, choice.region
        ));
    }
    if let Some(fallback) = &said.fallback {
        output::line(format_args!("\nnobody left: {}", fallback_words(fallback)));
    }
}

fn fallback_words(fallback: &ExplainedFallback) -> String {
    serde_json::to_string(fallback).unwrap_or_else(|_| "fallback".into())
}
