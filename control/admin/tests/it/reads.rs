//! What is free to read.

use serde_json::Value;

use crate::node::Node;

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[tokio::test]
async fn everything_reads_without_a_token() {
    let node = Node::start().await;
    let status = node.facts("/v1/status").await;
    assert_eq!(status["sources"]["state"], "in_force");
    assert_eq!(status["regions"].as_array().unwrap().len(), 5);
    assert_eq!(
        node.facts("/v1/topology").await["services"]
            .as_array()
            .unwrap()
            .len(),
        4
    );
    assert!(
        node.facts("/v1/policies")
            .await
            .to_string()
            .contains("cheapest-within-slo")
    );
    let sources = node.facts("/v1/sources").await;
    assert_eq!(sources["policies"].as_array().unwrap().len(), 4);
    assert!(
        sources["topology"][0]["text"]
            .as_str()
            .unwrap()
            .starts_with("# yaml")
    );
    assert!(
        !node
            .facts("/v1/probes")
            .await
            .as_array()
            .unwrap()
            .is_empty()
    );
    let health = node.get("/healthz").await;
    assert_eq!((health.status, health.body.as_str()), (200, "ok\n"));
    for field in ["x-content-type-options: nosniff", "cache-control: no-store"] {
        assert!(
            health.head.to_lowercase().contains(field),
            "{}",
            health.head
        );
    }
    node.get("/v1/nothing").await.expect(404, "not_found");
    node.change("POST", "/v1/status", "")
        .await
        .expect(405, "method");
}

#[tokio::test]
async fn an_explanation_has_the_contracts_keys() {
    let node = Node::start().await;
    let said = node
        .facts("/v1/explain?service=shop&client=203.0.113.9&at=http")
        .await;
    for key in [
        "service",
        "client",
        "plan_generation",
        "stages",
        "picks",
        "fallback",
    ] {
        assert!(keys(&said).contains(&key), "{key} is missing: {said}");
    }
    for key in ["address", "class", "country", "asn", "location"] {
        assert!(keys(&said["client"]).contains(&key), "client.{key}: {said}");
    }
    assert_eq!(said["client"]["country"], "DE");
    assert_eq!(
        said["plan_generation"],
        node.facts("/v1/status").await["generation"]
    );
    for stage in said["stages"].as_array().unwrap() {
        assert_eq!(keys(stage)[..3], ["name", "kept", "dropped"], "{stage}");
    }
    let scored = said["stages"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|stage| stage["scores"].get(0));
    for key in ["id", "selector", "value", "weight", "contribution"] {
        assert!(keys(scored.unwrap()).contains(&key));
    }
    let pick = &said["picks"][0];
    for key in ["endpoint", "region", "weight"] {
        assert!(keys(pick).contains(&key));
    }
    assert!(
        pick["region"].as_str().unwrap().starts_with("eu-"),
        "{pick}"
    );

    for (query, about) in [
        ("service=shoo&client=203.0.113.9", "did you mean `shop`"),
        ("service=SHOP!&client=203.0.113.9", "service"),
        ("service=shop&client=nowhere", "client"),
        ("service=shop", "client"),
        ("service=shop&client=203.0.113.9&at=moon", "moon"),
        ("service=shop&client=203.0.113.9&color=red", "color"),
    ] {
        let answer = node.get(&format!("/v1/explain?{query}")).await;
        answer.expect(400, "bad_request");
        let message = answer.json()["message"].to_string();
        assert!(message.contains(about), "{query}: {message}");
    }
}

/// `meridian_<room>_<what>…`, as the contract says.
fn is_ours(name: &str) -> bool {
    let mut words = name.split('_');
    let plain = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    words.next() == Some("meridian")
        && words
            .next()
            .is_some_and(|room| room.bytes().all(|c| c.is_ascii_lowercase()))
        && words.clone().count() >= 1
        && words.all(plain)
}

#[tokio::test]
async fn every_metric_has_a_name_of_ours() {
    let node = Node::start().await;
    let answer = node.get("/metrics").await;
    answer.expect(200, "");
    assert!(answer.head.contains("text/plain; version=0.0.4"));
    let samples: Vec<&str> = answer
        .body
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect();
    assert!(samples.len() > 20, "{}", answer.body);
    for sample in samples {
        let name = sample.split(['{', ' ']).next().unwrap();
        assert!(is_ours(name), "{sample}");
    }
}
