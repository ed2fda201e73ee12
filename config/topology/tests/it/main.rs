//! The room against files: every example loads, every broken file is answered with its golden
//! report, and what is generated (schemas, reference, the YAML of `meridian init`) is up to date.
//! `UPDATE_EXPECT=1` rewrites goldens.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests read files; the room itself does not"
)]

mod broken;
mod examples;
mod generated;
mod mutations;

use std::path::{Path, PathBuf};

use meridian_topology::SourceFile;

/// The root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The YAML files of a folder, sorted by name.
fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml"))
        .collect();
    files.sort();
    files
}

fn read(path: &Path) -> SourceFile {
    let name = path.file_name().unwrap().to_string_lossy();
    SourceFile::new(name, std::fs::read_to_string(path).unwrap())
}
