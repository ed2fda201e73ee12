//! `meridian completions`: a shell's completion script.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::Cli;
use crate::failure::Failure;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian completions bash > /etc/bash_completion.d/meridian")]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<(), Failure> {
    clap_complete::generate(
        args.shell,
        &mut Cli::command(),
        "meridian",
        &mut std::io::stdout().lock(),
    );
    Ok(())
}
