#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use meridian_live::Sources;
use meridian_topology::SourceFile;

use super::check_files;

fn check(topology: &[&str], policies: &[&str], complaint: Option<&str>) {
    let files = |names: &[&str]| {
        let file = |name: &&str| SourceFile {
            name: (*name).to_owned(),
            text: String::new(),
        };
        names.iter().map(file).collect()
    };
    let sources = Sources {
        topology: files(topology),
        policies: files(policies),
    };
    let said = check_files(&sources).err().map(|error| error.message);
    match complaint {
        None => assert_eq!(said, None),
        Some(complaint) => assert!(said.as_ref().unwrap().contains(complaint), "{said:?}"),
    }
}

#[test]
fn names_of_files() {
    check(&["topology.yaml"], &["policies/a.yaml", "b.yaml"], None);
    check(&["topology/a.yaml", "topology/b.yaml"], &[], None);
    check(&["a.yaml", "topology/a.yaml"], &[], Some("two files"));
    check(
        &["t.yaml"],
        &["a.yaml", "policies/a.yaml"],
        Some("two files"),
    );
    for bad in [
        "",
        "../up.yaml",
        "a/b.yaml",
        ".hidden",
        "line\nbreak",
        "policies/",
    ] {
        check(&["t.yaml"], &[bad], Some("no name of a file"));
    }
    check(&[], &["a.yaml"], Some("no topology"));
    let long = "a".repeat(256);
    check(&[&long], &[], Some("no name of a file"));
}
