//! `meridian completions`: a shell's completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian completions bash > /etc/bash_completion.d/meridian")]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    // Written to memory first: a reader that closes its end early is no failure.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "meridian", &mut script);
    output::line(String::from_utf8_lossy(&script).trim_end());
    Ok(())
}
