//! What docs/http.md shows is what the code reads.

use meridian_http::{HttpConfig, HttpServer, HttpTelemetry, IgnoreReports};
use meridian_live::PlanHandle;
use meridian_telemetry::Metrics;
use meridian_topology::{SourceFile, Topology};
use serde::Deserialize;

use crate::node::WorldText;

const PAGE: &str = include_str!("../../../../docs/http.md");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Node {
    http: HttpConfig,
}

const TRAFFIC: &str = include_str!("../../../../docs/traffic.md");

fn blocks(page: &'static str) -> impl Iterator<Item = &'static str> {
    let fenced = page.split("```yaml\n").skip(1);
    fenced.map(|rest| rest.split("```").next().unwrap())
}

#[test]
fn every_block_loads() {
    let (settings, topologies): (Vec<_>, Vec<_>) =
        blocks(PAGE).partition(|block| block.starts_with("http:"));
    assert_eq!((settings.len(), topologies.len()), (3, 1));
    for (number, text) in settings.into_iter().enumerate() {
        let node: Node = serde_saphyr::from_str(text).unwrap();
        // The first block says what the defaults are.
        assert_eq!(number == 0, node.http == HttpConfig::default(), "{text}");
        node.http.validate().unwrap();
    }
    let file = SourceFile::new("docs/http.md", topologies[0]);
    let topology = Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(
        topology
            .services
            .iter()
            .map(|service| service.http.len())
            .sum::<usize>(),
        2
    );
}

#[test]
fn every_block_of_traffic_loads() {
    let mut count = 0;
    for block in blocks(TRAFFIC) {
        let file = SourceFile::new("docs/traffic.md", block);
        Topology::parse(&[file]).unwrap_or_else(|problems| panic!("{problems}"));
        count += 1;
    }
    assert_eq!(count, 11);
}

#[tokio::test]
async fn every_metric_and_key_is_listed() {
    let metrics = Metrics::new();
    let config: HttpConfig = serde_saphyr::from_str("listen: [\"127.0.0.1:0\"]").unwrap();
    let nobody = "127.0.0.1:9".parse().unwrap();
    let world = WorldText::new()
        .region("a", "DE", "", &[(nobody, "shop")])
        .service("shop", "", "[{ hosts: [shop.example] }]");
    let plan = PlanHandle::fixed(world.build());
    let telemetry = HttpTelemetry::metrics_only(metrics.clone());
    let settings = config.validate().unwrap();
    HttpServer::bind(
        &settings,
        &plan,
        std::sync::Arc::new(IgnoreReports),
        telemetry,
    )
    .unwrap();
    let names = metrics.names();
    assert!(names.len() > 5, "{names:?}");
    for name in names {
        assert!(
            PAGE.contains(&format!("`{name}`")),
            "docs/http.md does not list {name}"
        );
    }
    let schema = serde_json::to_value(schemars::schema_for!(HttpConfig)).unwrap();
    for key in schema["properties"].as_object().unwrap().keys() {
        assert!(
            PAGE.contains(&format!("| `{key}")),
            "docs/http.md does not list {key}"
        );
    }
}
