//! The schema that editors use and the reference that people read, made from the raw types.

use expect_test::expect_file;
use meridian_engine::PolicySet;
use meridian_engine::policy::{policy_schema, reference};
use meridian_topology::SourceFile;

use crate::library::{fixture_topology, root};

#[test]
fn the_schema_is_checked_in() {
    let schema = serde_json::to_string_pretty(&policy_schema()).unwrap() + "\n";
    expect_file![root().join("config/schemas/policy.schema.json")].assert_eq(&schema);
}

#[test]
fn the_reference_is_checked_in() {
    let page = reference::markdown(&policy_schema().to_value());
    expect_file![root().join("docs/reference/policy.md")].assert_eq(&page);
}

/// Every YAML block of the page is a policy that loads.
#[test]
fn yaml_of_the_reference_loads() {
    let page = std::fs::read_to_string(root().join("docs/reference/policy.md")).unwrap();
    let mut topology = fixture_topology();
    topology.services.clear();
    let blocks: Vec<&str> = page
        .split("```yaml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(blocks.len() >= 6, "only {} blocks", blocks.len());
    for block in blocks {
        let file = SourceFile::new("policy.md", block);
        PolicySet::parse(&[file], &topology)
            .unwrap_or_else(|problems| panic!("{block}\n{problems}"));
    }
}
