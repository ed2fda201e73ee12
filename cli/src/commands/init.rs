//! `meridian init`: a first deployment directory, its comments made from the code's own words.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::output;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  meridian init /etc/meridian && meridian check --dir /etc/meridian"
)]
pub struct InitArgs {
    /// The folder; made when missing. Files that are there are left alone.
    folder: PathBuf,
}

const NODE: &str = "# What this node does. Everything has a default: an empty file is a node with every role on\n\
                    # loopback. docs/operate.md lists every key.\nroles: [dns, http, stream]\n";

/// Writes what is missing.
pub fn run(args: &InitArgs) -> Result<(), Failure> {
    let policy = include_str!("../../../policies/library/latency-first.yaml");
    let schema = meridian_topology::schema::text(&meridian_topology::schema::topology_schema());
    // The library's copy has a name of its own and names its schema by the repository's paths.
    let policy = policy
        .replace("policy: latency-first", "policy: web")
        .replace(
            "../../config/schemas/policy.schema.json",
            "../policy.schema.json",
        );
    let policy_schema = include_str!("../../../config/schemas/policy.schema.json");
    let files = [
        (meridian_topology::init::TOPOLOGY_SCHEMA_FILE, schema),
        ("policy.schema.json", policy_schema.to_owned()),
        ("meridian.yaml", NODE.to_owned()),
        ("topology.yaml", meridian_topology::init::topology_yaml()),
        ("policies/web.yaml", policy),
    ];
    for (name, text) in files {
        write_new(&args.folder.join(name), &text)?;
    }
    output::line(format_args!(
        "next: meridian check --dir {0}; meridian serve --dir {0}",
        args.folder.display()
    ));
    Ok(())
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(Failure::at(parent))?;
    }
    match std::fs::File::create_new(path) {
        Ok(mut file) => {
            file.write_all(text.as_bytes()).map_err(Failure::at(path))?;
            output::line(format_args!("wrote {}", path.display()));
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => output::line(format_args!(
            "{} is there already: left alone",
            path.display()
        )),
        Err(error) => return Err(Failure::at(path)(error)),
    }
    Ok(())
}
