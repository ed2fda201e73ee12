//! Broken policies: each file of `tests/broken` has the report beside it that a user sees.

use std::path::Path;

use expect_test::expect_file;
use meridian_engine::PolicySet;

use crate::library::{fixture_topology, read, yaml_files};

#[test]
fn broken_policies_are_reported() {
    let topology = fixture_topology();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let files = yaml_files(&folder);
    assert!(files.len() >= 12, "only {} broken files", files.len());
    for path in files {
        let problems = match PolicySet::parse(&[read(&path)], &topology) {
            Ok(_) => panic!("{} was accepted", path.display()),
            Err(problems) => problems,
        };
        let lines: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
        let report = lines.join("\n") + "\n";
        expect_file![path.with_extension("txt")].assert_eq(&report);
    }
}

/// Problems of several files come in one report, and so does a service without its policy.
#[test]
fn files_are_judged_together() {
    let topology = fixture_topology();
    let file = |name: &str, text: &str| meridian_topology::SourceFile::new(name, text);
    let twice = [
        file("a.yaml", "policy: canary\n"),
        file("b.yaml", "policy: canary\n"),
    ];
    let problems = PolicySet::parse(&twice, &topology).unwrap_err();
    let report = problems.list()[0].to_string();
    assert!(
        report.starts_with("b.yaml:1:9: there are two policies `canary`"),
        "{report}"
    );
    assert!(report.contains("first defined at a.yaml:1:9"), "{report}");

    let problems = PolicySet::parse(&[file("a.yaml", "policy: cannary\n")], &topology).unwrap_err();
    let report = problems
        .list()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        report.contains("service `canary` names the policy `canary`"),
        "{report}"
    );
    assert!(report.contains("did you mean `cannary`?"), "{report}");
}
