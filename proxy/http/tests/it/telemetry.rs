//! What is written down of requests.

use meridian_http::HttpTelemetry;
use meridian_telemetry::access::AccessTarget;
use meridian_telemetry::{
    AccessLog, AccessLogConfig, DecisionLog, DecisionLogConfig, Surface, read_decisions,
};

use crate::client::{connect, get};
use crate::node::{Node, SHOP, one_region};
use crate::upstream::{Manner, Upstream};

#[tokio::test]
async fn every_request_is_counted_and_logged() {
    let directory = tempfile::tempdir().unwrap();
    let access_file = directory.path().join("access.log");
    let decision_directory = directory.path().join("decisions");
    let upstreams = [Upstream::start("u0").await, Upstream::start("u1").await];
    let all: Vec<_> = upstreams.iter().collect();
    let mut logs = None;
    let node = Node::start_with(
        &one_region(&all, "retries: { attempts: 1 }"),
        "decision_headers: on",
        |metrics| {
            let access = AccessLogConfig {
                to: AccessTarget::File(access_file.clone()),
                ..AccessLogConfig::default()
            };
            let decisions = DecisionLogConfig {
                directory: Some(decision_directory.clone()),
                sample_rate: 1.0,
                ..DecisionLogConfig::default()
            };
            let access = AccessLog::start(&access, &metrics).unwrap();
            let decisions = DecisionLog::start(&decisions, &metrics).unwrap();
            logs = Some((access.clone(), decisions.clone()));
            HttpTelemetry {
                metrics,
                access,
                decisions,
            }
        },
    );
    let (access, decisions) = logs.unwrap();
    let order = node.order(&all);
    order[0].behave(Manner::CloseSilently);
    let mut client = connect(node.address).await;
    client
        .send(format!(
            "GET /path?secret=1 HTTP/1.1\r\nHost: {SHOP}\r\nUser-Agent: test\r\n\r\n"
        ))
        .await;
    let answer = client.answer().await.expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(get(node.address, "other.example", "/").await.status, 404);
    node.metric_becomes(
        "meridian_http_requests_total{service=\"shop\",status=\"2xx\"}",
        1.0,
    )
    .await;
    node.metric_becomes(
        "meridian_http_request_duration_seconds_count{service=\"shop\"}",
        1.0,
    )
    .await;
    node.metric_becomes(
        "meridian_http_upstream_failures_total{reason=\"closed\",service=\"shop\"}",
        1.0,
    )
    .await;

    crate::node::eventually("two lines", || {
        access.flush();
        std::fs::read_to_string(&access_file)
            .unwrap()
            .lines()
            .count()
            == 2
    })
    .await;
    let text = std::fs::read_to_string(&access_file).unwrap();
    let line = text.lines().find(|line| line.contains(SHOP)).unwrap();
    let decision = answer.header("x-meridian-decision").unwrap();
    for part in [
        "\"service\":\"shop\"",
        "\"outcome\":\"served\"",
        "\"attempts\":2",
        "\"path\":\"/path\"",
        "\"status\":200",
        "\"user_agent\":\"test\"",
        "\"bytes_out\":2",
        &format!("\"decision_id\":\"{decision}\""),
        &format!(
            "\"endpoint\":\"{}\"",
            answer.header("x-meridian-endpoint").unwrap()
        ),
    ] {
        assert!(line.contains(part), "{part} not in {line}");
    }
    assert!(!text.contains("secret"), "{text}");
    let unrouted = text
        .lines()
        .find(|line| line.contains("other.example"))
        .unwrap();
    assert!(unrouted.contains("\"outcome\":\"local\""), "{unrouted}");

    decisions.flush();
    let files: Vec<_> = meridian_telemetry::decision::decision_files(&decision_directory).unwrap();
    let rows: Vec<_> = files
        .iter()
        .flat_map(|file| read_decisions(file).unwrap())
        .collect();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let row = &rows[0];
    assert_eq!(row.surface, Surface::Http);
    assert_eq!(row.decision_id.to_string(), decision);
    assert_eq!(row.status, Some(200));
    assert_eq!(
        row.endpoint.as_ref().unwrap().as_str(),
        answer.header("x-meridian-endpoint").unwrap()
    );
    assert!(row.propensity > 0.0 && row.propensity <= 1.0);
    assert!(row.latency_us.is_some());
}
