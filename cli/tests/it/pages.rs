//! Completions and manual pages.

use std::process::Stdio;

use crate::run::{command, meridian, word};

#[test]
fn shells_get_their_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = meridian(&["completions", shell]).fine().out;
        assert!(script.contains("undrain"), "{shell}");
    }
}

#[test]
fn a_reader_that_stops_early_is_no_failure() {
    let mut run = command(&["completions", "bash"]);
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert!(ended.status.success(), "{ended:?}");
}

#[test]
fn every_command_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let man1 = folder.path().join("man1");
    meridian(&["man", word(&man1)]).fine();
    for page in [
        "meridian.1",
        "meridian-explain.1",
        "meridian-models-train.1",
        "meridian-dns-query.1",
    ] {
        let text = std::fs::read_to_string(man1.join(page)).unwrap();
        assert!(text.contains(".SH SYNOPSIS"), "{page}");
        assert!(text.contains("Example"), "{page}");
    }
}

#[test]
fn the_version_is_told() {
    let said = meridian(&["--version"]).fine();
    assert_eq!(
        said.out.trim(),
        concat!("meridian ", env!("CARGO_PKG_VERSION"))
    );
}
