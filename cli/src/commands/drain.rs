//! `meridian drain` and `undrain`.

use hyper::Method;
use meridian_topology::EndpointId;

use crate::client::{Admin, NodeArgs};
use crate::failure::Failure;
use crate::output;

/// What is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Region,
    Endpoint,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Region => "region",
            Self::Endpoint => "endpoint",
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian drain region eu-west-1 --reason 'kernel update'")]
pub struct DrainArgs {
    /// `region` or `endpoint`.
    kind: Kind,
    /// Its id; those of regions and endpoints are written alike.
    id: EndpointId,
    /// Why, for those who see it later.
    #[arg(long, default_value = "")]
    reason: String,
    /// Drain even when a service keeps fewer live regions than its policy asks for.
    #[arg(long)]
    force: bool,
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian undrain region eu-west-1")]
pub struct UndrainArgs {
    /// `region` or `endpoint`.
    kind: Kind,
    /// Its id; those of regions and endpoints are written alike.
    id: EndpointId,
}

/// Begins a drain.
pub async fn run(node: &NodeArgs, args: &DrainArgs) -> Result<(), Failure> {
    let body = serde_json::json!({ "reason": args.reason, "force": args.force });
    Admin::find(node)?
        .change(Method::PUT, &path(args.kind, &args.id), &body)
        .await?;
    output::line(format_args!(
        "{} {} takes no new clients",
        args.kind.word(),
        args.id
    ));
    Ok(())
}

/// Ends a drain.
pub async fn undo(node: &NodeArgs, args: &UndrainArgs) -> Result<(), Failure> {
    Admin::find(node)?
        .change(Method::DELETE, &path(args.kind, &args.id), &())
        .await?;
    output::line(format_args!(
        "{} {} takes new clients again",
        args.kind.word(),
        args.id
    ));
    Ok(())
}

fn path(kind: Kind, id: &EndpointId) -> String {
    format!("/v1/drains/{}/{id}", kind.word())
}
