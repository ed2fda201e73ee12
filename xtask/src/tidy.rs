//! The architecture's rules as a test.
//!
//! - an arrow between rooms goes to a lower rank, never sideways or up;
//! - pure rooms touch no file, clock, environment, thread or socket;
//! - only the fenced rooms may lift the ban on unsafe code;
//! - every room takes the workspace's lints and says in one sentence what it is;
//! - files stay below [`LINES_MAX`]; no test is switched off.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand, Package};

use crate::shell;

/// A file longer than this has a second idea that wants a file of its own (style.md).
const LINES_MAX: usize = 800;

/// Rank of every room, as in `ARCHITECTURE.md`.
const RANKS: &[(&str, u8)] = &[
    ("meridian-topology", 0),
    ("meridian-engine", 1),
    ("meridian-accept", 2),
    ("meridian-geo", 2),
    ("meridian-import", 2),
    ("meridian-mmsg", 2),
    ("meridian-score", 2),
    ("meridian-telemetry", 2),
    ("meridian-xdp", 2),
    ("meridian-store", 3),
    ("meridian-train", 4),
    ("meridian-probe", 4),
    ("meridian-live", 5),
    ("meridian-geodns", 6),
    ("meridian-http", 6),
    ("meridian-stream", 6),
    ("meridian-admin", 6),
    ("meridian-gen", 6),
    ("meridian", 7),
];

/// Rooms that do no I/O, read no clock and spawn nothing (invariant 1).
const PURE: &[&str] = &["meridian-topology", "meridian-engine", "meridian-score"];

/// Rooms that may hold `unsafe` code (invariant 8), each for system calls with no safe wrapper.
const FENCED: &[&str] = &["meridian-mmsg", "meridian-xdp"];

/// Words that lift the workspace's ban on unsafe code; split so that this file does not hold them.
const UNFENCED: [&str; 2] = [
    concat!("allow(", "unsafe_code"),
    concat!("expect(", "unsafe_code"),
];

/// What a pure room may not even name.
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::net::Tcp",
    "std::net::Udp",
    "std::thread",
    "std::process",
    "Instant::now",
    "SystemTime::now",
    "tokio::",
    "include_str!(\"/",
];

/// Checks every rule and lists all that is wrong.
pub fn run() -> Result<()> {
    let metadata = MetadataCommand::new()
        .current_dir(shell::root())
        .no_deps()
        .exec()
        .context("cargo metadata")?;
    let mut problems = Vec::new();
    arrows(&metadata, &mut problems);
    for package in metadata.workspace_packages() {
        manifest(package, &mut problems)?;
        let folder = package
            .manifest_path
            .parent()
            .context("a manifest lies in a folder")?;
        for file in rust_files(folder.as_std_path())? {
            source(package, &file, &mut problems)?;
        }
    }
    if problems.is_empty() {
        eprintln!("tidy: {} rooms, all rules kept", RANKS.len());
        return Ok(());
    }
    bail!(
        "tidy found {} problem(s):\n  {}",
        problems.len(),
        problems.join("\n  ")
    )
}

fn arrows(metadata: &Metadata, problems: &mut Vec<String>) {
    let ranks: BTreeMap<&str, u8> = RANKS.iter().copied().collect();
    for package in metadata.workspace_packages() {
        let name = package.name.as_str();
        if name == "xtask" {
            continue;
        }
        let Some(rank) = ranks.get(name) else {
            problems.push(format!(
                "{name}: no rank; add the room to ARCHITECTURE.md and xtask/src/tidy.rs"
            ));
            continue;
        };
        for dependency in &package.dependencies {
            if ranks
                .get(dependency.name.as_str())
                .is_some_and(|other| other >= rank)
            {
                problems.push(format!(
                    "{name} (rank {rank}) may not depend on {}",
                    dependency.name
                ));
            }
        }
    }
}

fn manifest(package: &Package, problems: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(&package.manifest_path)?;
    if !text.contains("[lints]\nworkspace = true") {
        problems.push(format!(
            "{}: does not take the workspace's lints",
            package.manifest_path
        ));
    }
    if package
        .description
        .as_deref()
        .is_none_or(|charter| charter.len() < 20)
    {
        problems.push(format!(
            "{}: the description is the room's charter, one sentence",
            package.manifest_path
        ));
    }
    Ok(())
}

fn source(package: &Package, file: &Path, problems: &mut Vec<String>) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let shown = file.strip_prefix(shell::root()).unwrap_or(file).display();
    let lines = text.lines().count();
    if lines > LINES_MAX {
        problems.push(format!("{shown}: {lines} lines; what is the second idea?"));
    }
    if package.name != "xtask" && text.contains("#[ignore") {
        problems.push(format!(
            "{shown}: a test that never runs; make it run or delete it"
        ));
    }
    let is_library =
        file.components().any(|part| part.as_os_str() == "src") && !file.ends_with("tests.rs");
    if is_library && !text.trim_start().starts_with("//!") && package.name != "xtask" {
        problems.push(format!(
            "{shown}: a module says in its first comment what it is"
        ));
    }
    if !FENCED.contains(&package.name.as_str()) && UNFENCED.iter().any(|words| text.contains(words))
    {
        problems.push(format!(
            "{shown}: unsafe code belongs into a fenced room ({})",
            FENCED.join(", ")
        ));
    }
    if is_library && PURE.contains(&package.name.as_str()) {
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
        {
            if let Some(word) = IMPURE.iter().find(|word| line.contains(**word)) {
                problems.push(format!(
                    "{shown}:{}: a pure room names `{word}`",
                    number + 1
                ));
            }
        }
    }
    Ok(())
}

fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            if path.is_dir() && !path.ends_with("target") && !path.join("Cargo.toml").exists() {
                open.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}
