//! `meridian dns zones`: what a node knows of zones that come from elsewhere.

use hyper::Method;
use serde_json::{Value, json};

use super::get::columns;
use crate::client::{Admin, NodeArgs};
use crate::failure::Failure;
use crate::output::{self, Format};

/// What is done.
#[derive(Debug, clap::Subcommand)]
pub enum ZonesCommand {
    /// Print serial, state, last refresh, expiry and last error of each.
    #[command(after_help = "Example:\n  meridian dns zones list -o json")]
    List(ListArgs),
    /// Ask the primaries for newer zones now.
    #[command(after_help = "Example:\n  meridian dns zones refresh corp.example.com")]
    Refresh(RefreshArgs),
}

/// How it is printed.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    /// How the zones are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// What is refreshed.
#[derive(Debug, clap::Args)]
pub struct RefreshArgs {
    /// The zone; all secondary zones without it.
    zone: Option<String>,
}

/// Asks the running node.
pub async fn run(node: &NodeArgs, command: &ZonesCommand) -> Result<(), Failure> {
    let admin = Admin::find(node)?;
    match command {
        ZonesCommand::List(args) => {
            let zones: Value = admin.get("/v1/dns/zones").await?;
            match args.output {
                Format::Json => output::json(&zones),
                Format::Table => {
                    print(&zones);
                    Ok(())
                }
            }
        }
        ZonesCommand::Refresh(args) => {
            let body = json!({ "zone": args.zone });
            let path = "/v1/dns/zones/refresh";
            let said = admin.change(Method::POST, path, &body).await?;
            let said: Value = serde_json::from_slice(&said)?;
            output::line(format_args!(
                "asked the primaries of {} zones; `meridian dns zones list` shows what came of it",
                said["asked"]
            ));
            Ok(())
        }
    }
}

fn print(zones: &Value) {
    columns(
        &zones["secondaries"],
        [
            "zone",
            "state",
            "serial",
            "refreshed_at",
            "expires_at",
            "last_error",
        ],
    );
    if zones["updated"]
        .as_array()
        .is_some_and(|rows| !rows.is_empty())
    {
        output::line("");
        columns(&zones["updated"], ["zone", "serial", "records"]);
    }
}
