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

/// The topology of an example, with the `multi_region_config` of its `meridian.yaml` if it has
/// one there, in one file.
fn example(name: &str) -> SourceFile {
    let folder = root().join("config/examples").join(name);
    let mut file = read(&folder.join("topology.yaml"));
    let node = std::fs::read_to_string(folder.join("meridian.yaml")).unwrap_or_default();
    let key = "multi_region_config:\n";
    if let Some((_, block)) = node.split_once(key) {
        let indented = |line: &&str| line.starts_with(' ') || line.trim().is_empty();
        file.text.push('\n');
        file.text.push_str(key);
        file.text
            .extend(block.split_inclusive('\n').take_while(indented));
    }
    file
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
