//! Probes and passive reports move clients at once, without a compile.

use meridian_live::{Event, PassiveKind, PassiveReport};
use std::net::TcpListener;

use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_endpoint_is_avoided_without_a_compile_and_taken_back() {
    let mut rig = Rig::start().await;
    rig.until_picked("near-1").await;
    let mut events = rig.live.events();
    let before = rig.live.plan().load().sequence;
    let address = rig.endpoints.addresses().0;

    drop(rig.endpoints.near.take());
    rig.until_picked("far-1").await;
    assert_eq!(
        rig.live.plan().load().sequence,
        before,
        "health bits need no compile"
    );
    let flipped = events.recv().await.unwrap();
    assert!(
        matches!(&flipped, Event::EndpointFlipped { endpoint, serves: false, cause, .. }
            if endpoint == "near-1" && cause.contains("refused")),
        "{flipped:?}"
    );
    assert!(
        rig.live
            .world()
            .health
            .down
            .iter()
            .any(|id| id.as_str() == "near-1"),
        "explain sees it too"
    );

    rig.endpoints.near = Some(TcpListener::bind(address).unwrap());
    rig.until_picked("near-1").await;

    // The service lost its only endpoint of the region and got it back, and nothing else moved.
    let metrics = rig.metrics.render().unwrap();
    for (name, labels) in [
        ("endpoint", "endpoint=\"near-1\",region=\"near\""),
        ("region", "region=\"near\""),
        ("service", "region=\"near\",service=\"shop\""),
    ] {
        for to in ["down", "serving"] {
            let sample =
                format!("meridian_live_{name}_transitions_total{{{labels},to=\"{to}\"}} 1");
            assert!(metrics.contains(&sample), "{sample}: {metrics}");
        }
    }
    assert!(!metrics.contains("region=\"far\""), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_goes_back_and_forth_is_named() {
    let mut rig = Rig::start().await;
    rig.until_picked("near-1").await;
    let address = rig.endpoints.addresses().0;
    for _ in 0..2 {
        drop(rig.endpoints.near.take());
        rig.until_picked("far-1").await;
        rig.endpoints.near = Some(TcpListener::bind(address).unwrap());
        rig.until_picked("near-1").await;
    }
    let flaps = || {
        let status = rig.live.status();
        let near = status.endpoints.iter().find(|it| it.id == "near-1");
        near.is_some_and(|it| it.flapping && it.recent_transitions == 4)
            && status
                .warnings
                .iter()
                .any(|it| it.contains("near-1 is flapping: 4 transitions"))
            && status.regions.iter().any(|it| it.flapping == 1)
    };
    rig.until("it is named", flaps).await;
    let metrics = rig.metrics.render().unwrap();
    assert!(
        metrics.contains("meridian_live_endpoints_flapping 1"),
        "{metrics}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passive_report_ejects_but_never_the_last_of_a_region() {
    let rig = Rig::start().await;
    rig.until_picked("near-1").await;
    let report = |endpoint: &str| PassiveReport {
        endpoint: endpoint.parse().unwrap(),
        kind: PassiveKind::Status5xx,
    };
    let state = |id: &str| {
        let status = rig.live.status();
        let endpoint = status
            .endpoints
            .iter()
            .find(|endpoint| endpoint.id == id)
            .cloned();
        endpoint.map(|endpoint| (endpoint.state, endpoint.cause))
    };
    rig.live.report(report("near-1"));

    let (near, far) = rig.endpoints.addresses();
    let second = format!(
        "endpoints: [{{ id: near-2, address: {}, port: {}, services: [shop] }}, {{ id: near-1,",
        far.ip(),
        far.port()
    );
    let two = crate::rig::topology(near, far, "").replacen("endpoints: [{ id: near-1,", &second, 1);
    rig.edit("topology.yaml", &two);
    rig.until("near-2 is known", || state("near-2").is_some())
        .await;
    assert_eq!(
        state("near-1").unwrap().0,
        "serving",
        "it was the last of its region"
    );

    rig.live.report(report("near-1"));
    rig.until_picked("near-2").await;
    let ejected = ("ejected", "answers are 5xx".to_owned());
    rig.until("the ejection shows", || {
        state("near-1") == Some(ejected.clone())
    })
    .await;
    rig.live.report(report("near-2"));
    rig.live.report(report("far-1"));
    rig.until("the reports are read", || {
        rig.live.probes().iter().all(|probe| probe.consecutive > 3)
    })
    .await;
    assert_eq!(rig.pick().unwrap().as_str(), "near-2");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_automatic_failover_nothing_moves() {
    let extra = "multi_region_config:
  regions: { primary: near, secondary: [far] }
  failover: { automatic_failover: false }
";
    let mut rig = Rig::start_with(extra).await;
    rig.until_picked("near-1").await;
    drop(rig.endpoints.near.take());
    rig.live.report(PassiveReport {
        endpoint: "near-1".parse().unwrap(),
        kind: PassiveKind::ConnectFailed,
    });
    let dead = || {
        rig.live
            .probes()
            .iter()
            .any(|probe| probe.endpoint.as_str() == "near-1" && probe.consecutive > 5)
    };
    rig.until("the probes saw it fail often", dead).await;
    assert_eq!(rig.pick().unwrap().as_str(), "near-1");
}
