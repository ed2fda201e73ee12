//! UDP sessions: stickiness, expiry, bounds, endpoints that go.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use meridian_engine::EndpointState;
use meridian_stream::{StreamConfig, Transport};
use meridian_topology::{EndpointIdx, Millis};
use tokio::net::UdpSocket;

use crate::harness::{Proxy, soon, topology, topology_numbered, udp_service, until, world};

const OPEN: &str = "meridian_stream_open_connections{service=\"echo\",transport=\"udp\"}";

/// Sessions last until they are idle; most tests do not want to wait for that.
fn quick() -> StreamConfig {
    StreamConfig {
        drain: Millis(50),
        ..StreamConfig::default()
    }
}

/// An endpoint that answers its name and the datagram, and remembers whom it
/// heard: one source port for each session.
async fn named(name: &'static str) -> (SocketAddr, Arc<Mutex<Vec<SocketAddr>>>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let heard: Arc<Mutex<Vec<SocketAddr>>> = Arc::default();
    let record = Arc::clone(&heard);
    tokio::spawn(async move {
        let mut buffer = vec![0; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
            record.lock().unwrap().push(from);
            let answer = [name.as_bytes(), b":", &buffer[..length]].concat();
            let _ = socket.send_to(&answer, from).await;
        }
    });
    (address, heard)
}

async fn client(proxy: &Proxy) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(proxy.address(Transport::Udp)).await.unwrap();
    socket
}

async fn ask(client: &UdpSocket, words: &str) -> String {
    client.send(words.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = soon(client.recv(&mut buffer)).await.unwrap();
    String::from_utf8(buffer[..length].to_vec()).unwrap()
}

fn sources(heard: &Mutex<Vec<SocketAddr>>) -> Vec<SocketAddr> {
    let mut sources = heard.lock().unwrap().clone();
    sources.sort();
    sources.dedup();
    sources
}

#[tokio::test]
async fn a_session_stays_with_its_endpoint_and_its_port() {
    let (a, heard_a) = named("a").await;
    let (b, heard_b) = named("b").await;
    let world = world(topology(&[&[a, b]], &udp_service("")));
    let proxy = Proxy::start(world, quick());

    let (one, two) = (client(&proxy).await, client(&proxy).await);
    let first = ask(&one, "0").await;
    let name = first.split(':').next().unwrap();
    for n in 1..20 {
        assert_eq!(ask(&one, &n.to_string()).await, format!("{name}:{n}"));
    }
    ask(&two, "hello").await;
    // Two clients, two sessions, two source ports altogether.
    assert_eq!(sources(&heard_a).len() + sources(&heard_b).len(), 2);
    assert_eq!(proxy.metric(OPEN), 2.0);
    proxy.stop().await;
}

#[tokio::test]
async fn large_datagrams_pass_whole() {
    let (endpoint, _heard) = named("a").await;
    let world = world(topology(&[&[endpoint]], &udp_service("")));
    let proxy = Proxy::start(world, quick());
    let client = client(&proxy).await;
    let words = "x".repeat(60_000);
    assert_eq!(ask(&client, &words).await, format!("a:{words}"));
    assert_eq!(ask(&client, "").await, "a:");
    proxy.stop().await;
}

#[tokio::test]
async fn a_silent_session_is_forgotten() {
    let (endpoint, heard) = named("a").await;
    let services = udp_service(", idle_timeout: 50ms");
    let world = world(topology(&[&[endpoint]], &services));
    let proxy = Proxy::start(world, quick());
    let client = client(&proxy).await;
    ask(&client, "one").await;
    until("the session is gone", || proxy.metric(OPEN) == 0.0).await;
    until("it is logged", || proxy.access().len() == 1).await;
    let record = &proxy.access()[0];
    assert_eq!(record["outcome"], "served");
    assert_eq!(
        (&record["bytes_in"], &record["bytes_out"]),
        (&3.into(), &5.into())
    );
    assert_eq!(record["stream"]["transport"], "udp");

    ask(&client, "two").await;
    assert_eq!(sources(&heard).len(), 2);
    until("the second is gone", || proxy.metric(OPEN) == 0.0).await;
    let decisions = proxy.decisions();
    assert_eq!(decisions.len(), 2);
    assert!(
        decisions
            .iter()
            .all(|decision| decision.latency_us.is_some())
    );
    proxy.stop().await;
}

#[tokio::test]
async fn past_the_bound_new_clients_are_not_heard() {
    let (endpoint, heard) = named("a").await;
    let services = udp_service(", max_sessions: 1");
    let world = world(topology(&[&[endpoint]], &services));
    let proxy = Proxy::start(world, quick());
    let (one, two) = (client(&proxy).await, client(&proxy).await);
    ask(&one, "1").await;
    two.send(b"2").await.unwrap();
    let dropped = "meridian_stream_datagrams_dropped_total{reason=\"sessions_max\"}";
    until("the datagram is dropped", || proxy.metric(dropped) == 1.0).await;
    assert_eq!(ask(&one, "3").await, "a:3");
    assert_eq!(sources(&heard).len(), 1);
    proxy.stop().await;
}

#[tokio::test]
async fn a_refusing_endpoint_costs_no_datagram() {
    let (living, _heard) = named("b").await;
    // Keeps the number, but hears its own peer only: others are refused.
    let held = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    held.connect("127.0.0.1:9").await.unwrap();
    let dead = held.local_addr().unwrap();
    let world = world(topology(&[&[dead], &[living]], &udp_service("")));
    let proxy = Proxy::start(world, quick());
    let client = client(&proxy).await;
    assert_eq!(ask(&client, "hello").await, "b:hello");
    assert_eq!(ask(&client, "again").await, "b:again");
    let refused = "meridian_stream_connect_failures_total{reason=\"refused\",region=\"region-0\"}";
    assert_eq!(proxy.metric(refused), 1.0);
    proxy.stop().await;
}

#[tokio::test]
async fn a_session_leaves_an_endpoint_that_is_down() {
    let (near, _) = named("near").await;
    let (far, _) = named("far").await;
    let world = world(topology(&[&[near], &[far]], &udp_service("")));
    let proxy = Proxy::start(world, quick());
    let client = client(&proxy).await;
    assert_eq!(ask(&client, "1").await, "near:1");

    let set = |state| {
        let published = proxy.plan.load();
        published
            .bits
            .set_endpoint(&published.plan, EndpointIdx(0), state);
    };
    set(EndpointState::Down);
    assert_eq!(ask(&client, "2").await, "far:2");
    // Sessions stay where they are served: no second move.
    set(EndpointState::Up);
    assert_eq!(ask(&client, "3").await, "far:3");
    proxy.stop().await;
}

#[tokio::test]
async fn a_new_plan_moves_only_sessions_it_does_not_allow() {
    let (near, _) = named("near").await;
    let (far, _) = named("far").await;
    let services = udp_service("");
    let proxy = Proxy::start(world(topology(&[&[far]], &services)), quick());
    let client = client(&proxy).await;
    assert_eq!(ask(&client, "1").await, "far:1");
    // A nearer region appears: old sessions stay, and drained ones too.
    let mut both = world(topology(&[&[far], &[near]], &services));
    proxy.plan.replace(both.clone());
    assert_eq!(ask(&client, "2").await, "far:2");
    both.admin.drained_endpoints.insert("e0-0".parse().unwrap());
    proxy.plan.replace(both);
    assert_eq!(ask(&client, "3").await, "far:3");
    // The endpoint is gone from the topology.
    proxy.plan.replace(world(topology(&[&[near]], &services)));
    assert_eq!(ask(&client, "4").await, "near:4");
    proxy.stop().await;
}

/// Indices shift from plan to plan: what a session remembers of its endpoint
/// must be the newest plan's.
#[tokio::test]
async fn a_session_knows_its_region_in_every_plan() {
    let (old, _) = named("old").await;
    let (new, _) = named("new").await;
    let services = udp_service("");
    let proxy = Proxy::start(world(topology(&[&[old]], &services)), quick());
    let client = client(&proxy).await;
    assert_eq!(ask(&client, "1").await, "old:1");
    // The session's region is the second one now, and drained: it stays.
    let shifted = topology_numbered(&[(1, &[new]), (0, &[old])], &services);
    let mut drained = world(shifted);
    drained
        .admin
        .drained_regions
        .insert("region-0".parse().unwrap());
    proxy.plan.replace(drained);
    assert_eq!(ask(&client, "2").await, "old:2");
    proxy.stop().await;
}

#[tokio::test]
async fn a_drain_waits_for_sessions() {
    let (endpoint, _) = named("a").await;
    let services = udp_service(", idle_timeout: 300ms");
    let world = world(topology(&[&[endpoint]], &services));
    let proxy = Proxy::start(world, StreamConfig::default());
    let client = client(&proxy).await;
    ask(&client, "1").await;
    proxy.shutdown.cancel();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(ask(&client, "2").await, "a:2");
    soon(proxy.running).await.unwrap();
}
