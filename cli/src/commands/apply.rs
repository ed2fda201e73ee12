//! `meridian apply`: a deployment directory's texts into a running node's store, all or nothing.

use std::path::PathBuf;

use hyper::Method;
use meridian_live::read_directory;

use crate::client::{Admin, NodeArgs};
use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian apply new/ --dir /etc/meridian")]
pub struct ApplyArgs {
    /// Folder with topology and policies.
    folder: PathBuf,
}

/// Sends the texts; the node validates them whole.
pub async fn run(node: &NodeArgs, args: &ApplyArgs) -> Result<(), Failure> {
    let sources = read_directory(&args.folder)?;
    let answer = Admin::find(node)?
        .change(Method::PUT, "/v1/sources", &sources)
        .await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    output::line(format_args!(
        "applied {} files at revision {}",
        sources.files().count(),
        answer["revision"]
    ));
    Ok(())
}
