//! Applying texts and draining.

use serde_json::{Value, json};

use crate::node::Node;

fn text_of<'a>(sources: &'a mut Value, kind: &str, file: &str) -> &'a mut Value {
    let files = sources[kind].as_array_mut().unwrap();
    let found = files.iter_mut().find(|it| it["name"] == file);
    &mut found.unwrap_or_else(|| panic!("no {file}"))["text"]
}

#[tokio::test]
async fn texts_are_taken_whole_or_not_at_all() {
    let node = Node::start().await;
    let before = node.facts("/v1/sources").await;

    let mut broken = before.clone();
    let text = text_of(&mut broken, "policies", "policies/shop.yaml");
    *text = text
        .as_str()
        .unwrap()
        .replace("geographic:", "geografic:")
        .into();
    let answer = node.change("PUT", "/v1/sources", &broken.to_string()).await;
    answer.expect(422, "invalid");
    let said = answer.json();
    assert_eq!(said["problems"][0]["file"], "policies/shop.yaml");
    assert_eq!(said["problems"][0]["line"], 12);
    let message = said["message"].as_str().unwrap();
    assert!(message.contains("policies/shop.yaml:12:"), "{message}");
    assert!(message.contains("did you mean `geographic`"), "{message}");
    assert_eq!(node.facts("/v1/sources").await, before);

    let mut better = before.clone();
    let text = text_of(&mut better, "policies", "policies/shop.yaml");
    *text = text
        .as_str()
        .unwrap()
        .replace("Fast, then cheap", "Fast, then cheaper")
        .into();
    let sequence = node.live.status().sequence;
    let answer = node.change("PUT", "/v1/sources", &better.to_string()).await;
    answer.expect(200, "");
    assert!(answer.json()["revision"].as_u64().unwrap() > 1);
    node.until("the new texts are in force", |status| {
        status["sequence"].as_u64().unwrap() > sequence
    })
    .await;
    assert!(
        node.facts("/v1/policies")
            .await
            .to_string()
            .contains("then cheaper")
    );
}

#[tokio::test]
async fn what_is_no_deployment_is_refused() {
    let node = Node::start().await;
    let file = |name: &str| json!({ "name": name, "text": "policy: a\n" });
    let twice = json!({ "topology": [], "policies": [file("a.yaml"), file("policies/a.yaml")] });
    let outside = json!({ "topology": [], "policies": [file("../a.yaml")] });
    let nothing = json!({ "topology": [], "policies": [] });
    for (body, status, code) in [
        ("not json", 400, "bad_request"),
        ("{}", 400, "bad_request"),
        (&twice.to_string(), 400, "bad_request"),
        (&outside.to_string(), 400, "bad_request"),
        (&nothing.to_string(), 400, "bad_request"),
    ] {
        node.change("PUT", "/v1/sources", body)
            .await
            .expect(status, code);
    }
    let token = std::fs::read_to_string(node.token_file()).unwrap();
    let authorization = format!("Bearer {token}");
    let fields = [
        ("Host", "localhost"),
        ("Authorization", authorization.as_str()),
    ];
    let answer = node
        .raw(&crate::wire::request("PUT", "/v1/sources", &fields, "{}"))
        .await;
    answer.expect(415, "media_type");
}

#[tokio::test]
async fn a_drain_keeps_the_regions_that_policies_ask_for() {
    let node = Node::start().await;
    let path = "/v1/drains/region/us-west-2";
    let answer = node
        .change("PUT", path, r#"{"reason": "kernel update"}"#)
        .await;
    answer.expect(409, "too_few_left");
    assert!(
        answer.json()["message"]
            .as_str()
            .unwrap()
            .contains("service shop")
    );
    assert_eq!(node.facts("/v1/drains").await, json!([]));

    let forced = r#"{"reason": "kernel update", "force": true}"#;
    node.change("PUT", path, forced).await.expect(204, "");
    let drained = |status: &Value, drained: bool| {
        let mut regions = status["regions"].as_array().unwrap().iter();
        regions.any(|region| region["id"] == "us-west-2" && region["drained"] == drained)
    };
    node.until("the region is drained", |status| drained(status, true))
        .await;
    assert_eq!(
        node.facts("/v1/drains").await,
        json!([{ "target": { "region": "us-west-2" }, "reason": "kernel update" }])
    );

    node.change("DELETE", path, "").await.expect(204, "");
    node.until("the region is back", |status| drained(status, false))
        .await;
    node.change("DELETE", path, "").await.expect(204, "");
}

#[tokio::test]
async fn drains_of_nothing_are_not_found() {
    let node = Node::start().await;
    for (path, code) in [
        ("/v1/drains/region/atlantis", "unknown"),
        ("/v1/drains/endpoint/%2e%2e%2f", "unknown"),
        ("/v1/drains/planet/earth", "not_found"),
    ] {
        node.change("PUT", path, "{}").await.expect(404, code);
        node.change("DELETE", path, "").await.expect(404, code);
    }
    let misspelt = r#"{"raeson": "x"}"#;
    let answer = node
        .change("PUT", "/v1/drains/endpoint/use1-1", misspelt)
        .await;
    answer.expect(400, "bad_request");
}
