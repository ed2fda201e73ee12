//! Ports follow the plan.

use std::net::SocketAddr;
use std::sync::Arc;

use meridian_live::PlanHandle;
use meridian_stream::{StreamConfig, StreamError, StreamParts, StreamServer};
use meridian_telemetry::{AccessLog, DecisionLog, Metrics};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{Proxy, echo, exchange, soon, topology, until, world};

fn service(id: &str, port: &str) -> String {
    format!(
        "  - id: {id}\n    policy: {id}\n    tcp:\n      - {{ listen: \"127.0.0.1:{port}\" }}\n"
    )
}

/// A port that is free now.
async fn free_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap()
}

async fn answers(stream: &mut TcpStream) -> bool {
    let mut byte = [0; 1];
    stream.write_all(b"?").await.unwrap();
    soon(stream.read_exact(&mut byte)).await.is_ok()
}

#[tokio::test]
async fn ports_come_and_go_with_the_plan() {
    let (endpoint, _seen) = echo().await;
    let plan = |services: &str| world(topology(&[&[endpoint]], services));
    let only_a = service("a", "any");
    let both = only_a.clone() + &service("b", "any");
    let only_b = service("b", "any");

    let proxy = Proxy::start(plan(&only_a), StreamConfig::default());
    let a = proxy.port_of("a").unwrap();
    let mut on_a = TcpStream::connect(a).await.unwrap();
    assert!(answers(&mut on_a).await);

    proxy.plan.replace(plan(&both));
    until("b is open", || proxy.port_of("b").is_some()).await;
    let b = proxy.port_of("b").unwrap();
    assert_eq!(proxy.port_of("a"), Some(a));
    let mut on_b = TcpStream::connect(b).await.unwrap();
    assert!(answers(&mut on_b).await);
    assert!(answers(&mut on_a).await);
    assert_eq!(proxy.metric("meridian_stream_listeners"), 2.0);

    proxy.plan.replace(plan(&only_b));
    until("a is closed", || proxy.port_of("a").is_none()).await;
    let closed = async {
        while TcpStream::connect(a).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    soon(closed).await;
    // What was open stays open, on the closed port and on the other.
    assert!(answers(&mut on_a).await);
    assert!(answers(&mut on_b).await);
    assert_eq!(exchange(b, b"new").await.unwrap(), b"new");
    drop((on_a, on_b));
    proxy.stop().await;
}

#[tokio::test]
async fn a_port_goes_to_another_service_without_closing() {
    let (endpoint, _seen) = echo().await;
    let port = free_port().await.port().to_string();
    let plan = |id: &str| world(topology(&[&[endpoint]], &service(id, &port)));
    let proxy = Proxy::start(plan("old"), StreamConfig::default());
    let address = proxy.port_of("old").unwrap();
    let mut open = TcpStream::connect(address).await.unwrap();
    assert!(answers(&mut open).await);

    proxy.plan.replace(plan("new"));
    until("the port is new's", || {
        proxy.port_of("new") == Some(address)
    })
    .await;
    assert!(answers(&mut open).await);
    assert_eq!(exchange(address, b"x").await.unwrap(), b"x");
    drop(open);
    until("both are logged", || proxy.access().len() == 2).await;
    let mut services: Vec<String> = proxy
        .access()
        .iter()
        .map(|record| record["service"].to_string())
        .collect();
    services.sort();
    assert_eq!(services, ["\"new\"", "\"old\""]);
    proxy.stop().await;
}

#[tokio::test]
async fn a_taken_port_is_an_error_at_the_start_and_tried_again_later() {
    let (endpoint, _seen) = echo().await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let wanted = || {
        world(topology(
            &[&[endpoint]],
            &(service("a", "any") + &service("b", &port)),
        ))
    };

    let metrics = Metrics::new();
    let parts = StreamParts {
        plan: PlanHandle::fixed(wanted()),
        report: Arc::new(|_| {}),
        metrics: metrics.clone(),
        access: AccessLog::off(),
        decisions: DecisionLog::off(),
    };
    let error = StreamServer::bind(StreamConfig::default(), parts).unwrap_err();
    let StreamError::Bind { service: of, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(of.as_str(), "b");

    let without = world(topology(&[&[endpoint]], &service("a", "any")));
    let proxy = Proxy::start(without, StreamConfig::default());
    proxy.plan.replace(wanted());
    until("the failure shows", || {
        proxy.metric("meridian_stream_listeners_failed") == 1.0
    })
    .await;
    let a = proxy.port_of("a").unwrap();
    assert_eq!(exchange(a, b"x").await.unwrap(), b"x");
    drop(taken);
    until("b is open", || proxy.port_of("b").is_some()).await;
    assert_eq!(proxy.metric("meridian_stream_listeners_failed"), 0.0);
    proxy.stop().await;
}
