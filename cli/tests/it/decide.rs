//! Decisions without a node: `explain --offline` and `dns query`.

use crate::run::{Said, meridian, repository, word};

/// In blocks that registries gave to Germany and to the United States.
const GERMAN: &str = "85.214.132.117";
const AMERICAN: &str = "12.34.56.78";

fn in_demo(words: &[&str]) -> Said {
    let folder = repository("config/examples/demo");
    let mut all = words.to_vec();
    all.extend(["--dir", word(&folder)]);
    meridian(&all)
}

#[test]
fn clients_go_to_their_side_of_the_ocean() {
    for (client, country, region) in [
        (GERMAN, "DE", "eu-central-1"),
        ("203.0.113.9", "DE", "eu-central-1"),
        (AMERICAN, "US", "us-"),
    ] {
        let explain = [
            "explain",
            "--offline",
            "--service",
            "shop",
            "--client",
            client,
        ];
        let said = in_demo(&[&explain[..], &["-o", "json"]].concat())
            .fine()
            .json();
        for key in [
            "service",
            "client",
            "plan_generation",
            "stages",
            "picks",
            "fallback",
        ] {
            assert!(said.get(key).is_some(), "{key} is missing: {said}");
        }
        for key in ["address", "class", "country", "asn", "location"] {
            assert!(said["client"].get(key).is_some(), "client.{key}: {said}");
        }
        assert_eq!(said["client"]["country"], country);
        let pick = said["picks"][0]["region"].as_str().unwrap();
        assert!(pick.starts_with(region), "{client}: {pick}");

        let table = in_demo(&explain).fine().out;
        for part in ["service shop by policy shop", "picks:", pick] {
            assert!(table.contains(part), "{part}: {table}");
        }
    }
}

#[test]
fn a_service_that_is_not_there_is_a_failure() {
    let explain = [
        "explain",
        "--offline",
        "--service",
        "shpo",
        "--client",
        GERMAN,
    ];
    let said = in_demo(&explain).ends_with_code(1);
    assert!(said.err.contains("did you mean `shop`"), "{}", said.err);
}

#[test]
fn dns_answers_by_country() {
    for (client, addresses) in [(GERMAN, "127.10.3."), (AMERICAN, "127.10.")] {
        let query = ["dns", "query", "shop.demo.test", "--client", client];
        let said = in_demo(&[&query[..], &["-o", "json"]].concat())
            .fine()
            .json();
        let answers = said["answers"].as_array().unwrap();
        assert!(!answers.is_empty(), "{said}");
        for answer in answers {
            let data = answer["data"].as_str().unwrap();
            assert!(data.starts_with(addresses), "{client}: {data}");
            let table = in_demo(&query).fine().out;
            assert!(table.contains(data), "{table}");
        }
    }
    let said = in_demo(&["dns", "query", "nobody.demo.test", "--client", GERMAN]).fine();
    assert!(said.out.to_lowercase().contains("nx"), "{}", said.out);
    let said = in_demo(&[
        "dns",
        "query",
        "demo.test",
        "--type",
        "TXT",
        "--client",
        GERMAN,
    ])
    .fine();
    assert!(said.out.contains("meridian demo"), "{}", said.out);
}

#[test]
fn without_a_node_commands_say_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("meridian.yaml"),
        "admin: { listen: \"127.0.0.1:1\" }\n",
    )
    .unwrap();
    let said = meridian(&["get", "status", "--dir", word(folder.path())]).ends_with_code(1);
    assert!(said.err.contains("meridian serve"), "{}", said.err);
}
