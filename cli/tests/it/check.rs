//! `init` and `check`, and what they say of mistakes.

use crate::run::{copy_example, meridian, repository, word};

/// The block of the contract, character by character.
const CONTRACT: &str = r#"multi_region_config:
  regions: { primary: us-east-1, secondary: [us-west-2, eu-west-1, ap-southeast-1], edge_regions: [us-central-1, eu-central-1, ap-northeast-1] }
  replication: { consistency_model: strong, min_replicas: 3, max_replicas: 12, topology: mesh }
  network: { enable_dpdk: true, enable_sriov: true, bandwidth_limit: "10Gbps", latency_target: "1ms" }
  failover: { automatic_failover: true, rto_target: "5s", rpo_target: "1s", health_check_interval: "5s" }
"#;

#[test]
fn a_first_directory_is_fine() {
    let folder = tempfile::tempdir().unwrap();
    let edge = folder.path().join("edge");
    let made = meridian(&["init", word(&edge)]).fine();
    assert!(made.out.contains("next: meridian check"), "{}", made.out);
    let checked = meridian(&["check", "--dir", word(&edge)]).fine();
    assert!(checked.out.contains(": fine"), "{}", checked.out);

    std::fs::write(edge.join("meridian.yaml"), "roles: [dns]\n").unwrap();
    let again = meridian(&["init", word(&edge)]).fine();
    assert!(again.out.contains("left alone"), "{}", again.out);
    let kept = std::fs::read_to_string(edge.join("meridian.yaml")).unwrap();
    assert_eq!(kept, "roles: [dns]\n");
    // The comments for editors name files that are there.
    let policy = std::fs::read_to_string(edge.join("policies/web.yaml")).unwrap();
    let named = policy
        .lines()
        .next()
        .unwrap()
        .split("$schema=")
        .nth(1)
        .unwrap();
    assert!(edge.join("policies").join(named).is_file(), "{named}");
}

#[test]
fn every_example_is_fine() {
    let mut examples = 0;
    for entry in std::fs::read_dir(repository("config/examples")).unwrap() {
        let path = entry.unwrap().path();
        let checked = meridian(&["check", "--dir", word(&path), "-o", "json"]).fine();
        let found = checked.json();
        assert_eq!(found["fine"], true, "{}: {found}", path.display());
        assert!(found["endpoints"].as_u64().unwrap() > 0);
        assert_eq!(found["problems"], serde_json::json!([]));
        examples += 1;
    }
    assert!(examples >= 5, "{examples} examples");
}

#[test]
fn mistakes_are_placed() {
    let folder = tempfile::tempdir().unwrap();
    copy_example("demo", folder.path());
    let file = folder.path().join("policies/shop.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("geographic:", "geografic:")).unwrap();

    let said = meridian(&["check", "--dir", word(folder.path())]).ends_with_code(1);
    assert!(said.err.contains("policies/shop.yaml:12:5"), "{}", said.err);
    assert!(
        said.err.contains("did you mean `geographic`"),
        "{}",
        said.err
    );
    assert!(!said.err.contains('\u{1b}'), "no colours into a pipe");
    assert_eq!(said.out, "");

    let said = meridian(&["check", "--dir", word(folder.path()), "-o", "json"]);
    let found = said.ends_with_code(1).json();
    assert_eq!(found["fine"], false);
    assert_eq!(found["problems"][0]["file"], "policies/shop.yaml");
    assert_eq!(found["problems"][0]["line"], 12);
}

#[test]
fn the_nodes_own_file_is_checked_too() {
    let folder = tempfile::tempdir().unwrap();
    copy_example("demo", folder.path());
    for (text, said) in [
        ("rolls: [dns]\n", "meridian.yaml:1:1"),
        ("roles: [dns, web]\n", "meridian.yaml:1:"),
        ("admin: { listen: nowhere }\n", "meridian.yaml:1:"),
        ("geo: { mmdb_city: missing.mmdb }\n", "missing.mmdb"),
    ] {
        std::fs::write(folder.path().join("meridian.yaml"), text).unwrap();
        let checked = meridian(&["check", "--dir", word(folder.path())]).ends_with_code(1);
        assert!(checked.err.contains(said), "{text}: {}", checked.err);
    }
}

#[test]
fn the_contracts_block_is_read_and_has_effect() {
    let folder = tempfile::tempdir().unwrap();
    copy_example("multi-region", folder.path());
    std::fs::write(folder.path().join("meridian.yaml"), CONTRACT).unwrap();
    let dir = word(folder.path());

    let checked = meridian(&["check", "--dir", dir, "--effects"]).fine();
    let json = meridian(&["check", "--dir", dir, "-o", "json"])
        .fine()
        .json();
    let effects = json["effects"].as_array().unwrap();
    for (key, value) in [
        ("regions.primary", "us-east-1"),
        ("regions.secondary", "us-west-2, eu-west-1, ap-southeast-1"),
        (
            "regions.edge_regions",
            "us-central-1, eu-central-1, ap-northeast-1",
        ),
        ("replication.consistency_model", "strong"),
        ("replication.min_replicas", "3"),
        ("replication.max_replicas", "12"),
        ("replication.topology", "mesh"),
        ("network.enable_dpdk", "on"),
        ("network.enable_sriov", "on"),
        ("network.bandwidth_limit", "10Gbps"),
        ("network.latency_target", "1ms"),
        ("failover.automatic_failover", "automatic"),
        ("failover.rto_target", "5s"),
        ("failover.rpo_target", "1s"),
        ("failover.health_check_interval", "5s"),
    ] {
        let effect = effects.iter().find(|it| it["key"] == key);
        assert_eq!(effect.unwrap_or_else(|| panic!("{key}"))["value"], value);
        assert!(checked.out.contains(key), "{key}: {}", checked.out);
    }
    // 1 ms across oceans is no promise that light can keep.
    let warnings = json["warnings"].as_array().unwrap();
    assert!(
        warnings.iter().any(|it| it["code"] == "latency-target"),
        "{json}"
    );
    assert!(
        checked.out.contains("warning[latency-target]"),
        "{}",
        checked.out
    );
}

#[test]
fn usage_errors_have_a_code_of_their_own() {
    for words in [
        &[][..],
        &["fly"],
        &["check", "--colour"],
        &["get", "everything"],
        &["explain", "--service", "shop"],
        &["explain", "--service", "SHOP!", "--client", "1.2.3.4"],
        &["explain", "--service", "shop", "--client", "1.2.3"],
        &["drain", "region", "a/b"],
        &["drain", "planet", "earth"],
    ] {
        let said = meridian(words).ends_with_code(2);
        assert!(
            said.err.contains("Usage:") || said.err.contains("--help"),
            "{}",
            said.err
        );
        assert_eq!(said.out, "", "{words:?}");
    }
}

/// A zone file as another signer writes it; `check` and a start do not validate signatures.
const SIGNED: &str = "$TTL 60
@ SOA ns1 admin 1 7200 3600 1209600 60
@ RRSIG SOA 13 2 60 20400101000000 20200101000000 7 @ AAAA
@ NS ns1
@ NSEC ns1 SOA NS RRSIG NSEC
ns1 A 192.0.2.1
ns1 NSEC @ A RRSIG NSEC
";

#[test]
fn a_zone_file_is_not_signed_twice() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    copy_example("single-node", folder);
    std::fs::create_dir(folder.join("zones")).unwrap();
    std::fs::write(folder.join("zones/signed.test.zone"), SIGNED).unwrap();
    let config = "dns:\n  zone_files: zones\n  dnssec: { zones: { signed.test: {} } }\n";
    std::fs::write(folder.join("meridian.yaml"), config).unwrap();
    meridian(&[
        "dns",
        "keys",
        "generate",
        "signed.test",
        "--dir",
        word(folder),
    ])
    .fine();
    for refuses in ["check", "serve"] {
        let refused = meridian(&[refuses, "--dir", word(folder)]).ends_with_code(1);
        assert!(
            refused
                .err
                .contains("the zone file of signed.test. is signed already"),
            "{refuses}: {}",
            refused.err
        );
    }
    std::fs::write(folder.join("meridian.yaml"), "dns: { zone_files: zones }\n").unwrap();
    meridian(&["check", "--dir", word(folder)]).fine();
}

#[test]
fn steered_names_in_a_signed_zone_file_are_doubted() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    copy_example("single-node", folder);
    let topology = folder.join("topology.yaml");
    let text = std::fs::read_to_string(&topology).unwrap();
    let (before, _) = text.split_once("dns_zones:").unwrap();
    std::fs::write(
        &topology,
        format!("{before}external_zones: [example.com]\n"),
    )
    .unwrap();
    std::fs::create_dir(folder.join("zones")).unwrap();
    std::fs::write(folder.join("zones/example.com.zone"), SIGNED).unwrap();
    std::fs::write(folder.join("meridian.yaml"), "dns: { zone_files: zones }\n").unwrap();
    let checked = meridian(&["check", "--dir", word(folder)]).fine();
    let warning = "warning[signed-zone]: name www.example.com.: it is steered and the file of its zone `example.com.` is signed";
    assert!(checked.out.contains(warning), "{}", checked.out);
}
