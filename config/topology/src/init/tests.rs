#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::{SourceFile, Topology};

#[test]
fn the_commented_topology_loads() {
    let text = topology_yaml();
    let file = SourceFile::new("topology.yaml", text.as_str());
    let topology = Topology::parse(&[file]).unwrap_or_else(|p| panic!("{p}\n{text}"));
    assert_eq!(topology.endpoints.len(), 2);
    assert_eq!(topology.lints(), []);
}

#[test]
fn every_key_of_what_it_shows_is_explained() {
    let text = topology_yaml();
    let schema = topology_schema();
    for property in Shape::root(&schema).properties() {
        assert!(
            text.contains(&format!("{}:", property.name)),
            "{}",
            property.name
        );
    }
    for line in [
        "    # capacity: \"2000 rps\"\n",
        "    # drain: false\n",
        "        # rise: 2\n",
        "        # forwarded: append\n",
        "      # refresh: 1h\n",
        "        # jitter: \"10%\"\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
}

#[test]
fn scalars_are_quoted_when_yaml_would_read_them_otherwise() {
    for (value, expected) in [
        (json!("web-1"), "web-1"),
        (json!("0.05 USD/GiB"), "\"0.05 USD/GiB\""),
        (json!("*"), "\"*\""),
        (json!(["a", 1, true]), "[a, 1, true]"),
    ] {
        assert_eq!(flow(&value), expected);
    }
}
