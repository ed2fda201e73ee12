//! `meridian man`: the manual, one page a command.

use std::path::PathBuf;

use clap::CommandFactory;

use crate::Cli;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian man /usr/share/man/man1")]
pub struct ManArgs {
    /// Where the pages are written; made when missing.
    folder: PathBuf,
}

/// Writes the pages.
pub fn run(args: &ManArgs) -> Result<(), Failure> {
    std::fs::create_dir_all(&args.folder).map_err(Failure::at(&args.folder))?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(Failure::at(&args.folder))
}
