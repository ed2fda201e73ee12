//! The OpenAPI description is under version control and is what the node serves.

use expect_test::expect_file;

use crate::node::Node;

#[tokio::test]
async fn the_description_is_checked_in() {
    let mut text = serde_json::to_string_pretty(&meridian_admin::openapi()).unwrap();
    text.push('\n');
    expect_file!["../../../../config/schemas/openapi.json"].assert_eq(&text);

    let node = Node::start().await;
    let served = node.facts("/v1/openapi.json").await;
    assert_eq!(
        served,
        serde_json::to_value(meridian_admin::openapi()).unwrap()
    );
    // Nothing is described that is not there.
    for (path, methods) in served["paths"].as_object().unwrap() {
        let path = path
            .replace("{kind}", "region")
            .replace("{id}", "us-east-1");
        if methods.get("get").is_some() && path != "/v1/events" {
            let answer = node.get(&path).await;
            // This node has no DNS room, and says so.
            if path.starts_with("/v1/dns") {
                answer.expect(404, "no_dns");
                continue;
            }
            assert!(
                matches!(answer.status, 200 | 400),
                "{path}: {}",
                answer.status
            );
        }
    }
}
