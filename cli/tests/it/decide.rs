//! Decisions without a node: `explain --offline` and `dns query`.

use crate::run::{Said, copy_example, meridian, repository, word};

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
        let query = [
            "dns",
            "query",
            "--offline",
            "shop.demo.test",
            "--client",
            client,
        ];
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
    let said = in_demo(&[
        "dns",
        "query",
        "--offline",
        "nobody.demo.test",
        "--client",
        GERMAN,
    ])
    .fine();
    assert!(said.out.to_lowercase().contains("nx"), "{}", said.out);
    let said = in_demo(&[
        "dns",
        "query",
        "--offline",
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

#[test]
fn an_explanation_at_dns_has_the_surfaces_own_facts() {
    let explain = |at: &str| {
        let words = [
            "explain",
            "--offline",
            "--service",
            "shop",
            "--client",
            GERMAN,
            "--at",
            at,
            "-o",
            "json",
        ];
        in_demo(&words).fine().json()
    };
    let dns = &explain("dns")["dns"];
    let question = &dns["names"][0]["questions"][0];
    assert_eq!(dns["names"][0]["name"], "shop.demo.test", "{dns}");
    assert_eq!(dns["families"], "ipv4", "{dns}");
    assert_eq!(question["rcode"], "NOERROR", "{dns}");
    let reason = question["ttl_reason"].as_str().unwrap();
    assert!(reason.starts_with("the service's `ttl`"), "{dns}");
    assert_eq!(question["ttl"], dns["configured_ttl"], "{dns}");
    assert!(question["scope"].is_u64(), "{dns}");
    // Only that surface has them.
    assert!(explain("http").get("dns").is_none());
}

/// Where no node answers, the directory does, and a line says so; who insists on a node is refused.
#[test]
fn a_query_says_whom_it_asked() {
    let folder = tempfile::tempdir().unwrap();
    copy_example("demo", folder.path());
    let node = "admin: { listen: \"127.0.0.1:1\" }\n";
    std::fs::write(folder.path().join("meridian.yaml"), node).unwrap();
    let query = [
        "dns",
        "query",
        "shop.demo.test",
        "--client",
        GERMAN,
        "--dir",
        word(folder.path()),
    ];
    let said = meridian(&query).fine();
    assert!(said.err.contains("no node answers"), "{}", said.err);
    assert!(said.out.contains("127.10.3."), "{}", said.out);
    let refused = meridian(&[&query[..], &["--live"]].concat()).ends_with_code(1);
    assert!(
        refused.err.contains("no node answers at"),
        "{}",
        refused.err
    );
}
