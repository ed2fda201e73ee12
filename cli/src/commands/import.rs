//! `meridian import`: another server's configuration as a deployment directory.

use std::path::PathBuf;

use meridian_import::{Note, NoteKind, gdnsd};
use serde::Serialize;

use crate::failure::Failure;
use crate::output::{self, Format};

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  meridian import gdnsd /etc/gdnsd --out edge")]
pub struct ImportArgs {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// Convert gdnsd's configuration directory: config, zones/, geoip/.
    #[command(
        after_help = "Example:\n  meridian import gdnsd /etc/gdnsd --out edge\n  meridian check --dir edge\n\nWhat has no counterpart, and what a person has to look at, is listed with file and line. Files that\nare in the folder already are left alone, and then nothing is written."
    )]
    Gdnsd(GdnsdArgs),
}

#[derive(Debug, clap::Args)]
struct GdnsdArgs {
    /// The configuration directory, usually /etc/gdnsd.
    folder: PathBuf,
    /// The deployment directory to write. Without it nothing is written, only said.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also list what was converted without anything to say.
    #[arg(long, short = 'v')]
    verbose: bool,
    /// How the notes are printed.
    #[arg(long, short, default_value = "table")]
    output: Format,
}

/// What `-o json` prints: a stable schema.
#[derive(Debug, Serialize)]
struct Said<'a> {
    /// Files of the deployment, by name.
    files: Vec<&'a str>,
    /// Where they were written.
    out: Option<&'a PathBuf>,
    /// `{kind: converted | check | no_counterpart, at: FILE:LINE, text}`.
    notes: &'a [Note],
}

/// Converts, writes, and says what there is to look at.
pub fn run(args: &ImportArgs) -> Result<(), Failure> {
    let From::Gdnsd(args) = &args.from;
    let made = gdnsd::convert(&args.folder)?;
    if let Some(out) = &args.out {
        let taken = made.files.keys().find(|name| out.join(name).exists());
        if let Some(name) = taken {
            let path = out.join(name);
            let words = format!("{} is there already; name an empty folder", path.display());
            return Err(Failure::other(words));
        }
        for (name, text) in &made.files {
            let path = out.join(name);
            if let Some(folder) = path.parent() {
                std::fs::create_dir_all(folder).map_err(Failure::at(folder))?;
            }
            std::fs::write(&path, text).map_err(Failure::at(&path))?;
        }
    }
    let said = Said {
        files: made.files.keys().map(String::as_str).collect(),
        out: args.out.as_ref(),
        notes: &made.notes,
    };
    match args.output {
        Format::Json => output::json(&said)?,
        Format::Table => print(&said, args.verbose),
    }
    Ok(())
}

fn print(said: &Said<'_>, verbose: bool) {
    let count = |kind| gdnsd::count(said.notes, kind);
    for note in said.notes {
        if verbose || note.kind != NoteKind::Converted {
            output::line(note);
        }
    }
    let place = said.out.map_or_else(
        || "nothing written (name a folder by --out)".to_owned(),
        |out| format!("{} files in {}", said.files.len(), out.display()),
    );
    output::line(format_args!(
        "{place}: {} converted, {} to check, {} without a counterpart",
        count(NoteKind::Converted),
        count(NoteKind::Check),
        count(NoteKind::NoCounterpart),
    ));
}
