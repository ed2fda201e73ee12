//! TCP without headers: bytes, ends, failures, bounds, drain.

use meridian_live::PassiveKind;
use meridian_stream::StreamConfig;
use meridian_topology::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{
    AMPLE, Proxy, echo, exchange, is_closed, refusing, soon, tcp_service, topology, until, world,
};

const SERVED: &str =
    "meridian_stream_connections_total{outcome=\"served\",service=\"echo\",transport=\"tcp\"}";

#[tokio::test]
async fn bytes_pass_both_ways_and_are_accounted_for() {
    let (endpoint, mut seen) = echo().await;
    let world = world(topology(&[&[endpoint]], &tcp_service("")));
    let proxy = Proxy::start(world, StreamConfig::default());

    let payload: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let (mut far, mut near) = TcpStream::connect(proxy.tcp()).await.unwrap().into_split();
    let sending = payload.clone();
    let sender = tokio::spawn(async move {
        near.write_all(&sending).await.unwrap();
        near.shutdown().await.unwrap();
    });
    let mut answer = Vec::new();
    soon(far.read_to_end(&mut answer)).await.unwrap();
    sender.await.unwrap();
    assert!(answer == payload);
    assert!(soon(seen.recv()).await.unwrap() == payload);

    until("the connection is counted", || proxy.metric(SERVED) == 1.0).await;
    let bytes = |way: &str| {
        let name = "meridian_stream_transferred_bytes_total";
        proxy.metric(&format!("{name}{{direction=\"{way}\",service=\"echo\"}}"))
    };
    assert_eq!((bytes("in"), bytes("out")), (1e6, 1e6));
    let open = "meridian_stream_open_connections{service=\"echo\",transport=\"tcp\"}";
    assert_eq!(proxy.metric(open), 0.0);

    let record = &proxy.access()[0];
    assert_eq!(record["service"], "echo");
    assert_eq!(record["endpoint"], "e0-0");
    assert_eq!(record["region"], "region-0");
    assert_eq!(record["outcome"], "served");
    assert_eq!(record["attempts"], 1);
    assert_eq!(record["bytes_in"], 1_000_000);
    assert_eq!(record["bytes_out"], 1_000_000);
    assert_eq!(record["stream"]["transport"], "tcp");
    assert_eq!(record.get("peer"), None);

    let decisions = proxy.decisions();
    assert_eq!(decisions.len(), 1);
    assert_eq!(decisions[0].status, Some(0));
    assert!(decisions[0].latency_us.is_some());
    assert!((decisions[0].propensity - 1.0).abs() < 1e-6);
    assert_eq!(
        record["decision_id"],
        serde_json::json!(decisions[0].decision_id)
    );
    proxy.stop().await;
}

#[tokio::test]
async fn an_endpoint_may_answer_after_the_client_has_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = String::new();
        stream.read_to_string(&mut question).await.unwrap();
        let answer = format!("you said {question}");
        stream.write_all(answer.as_bytes()).await.unwrap();
    });
    let world = world(topology(&[&[endpoint]], &tcp_service("")));
    let proxy = Proxy::start(world, StreamConfig::default());
    assert_eq!(
        exchange(proxy.tcp(), b"hello").await.unwrap(),
        b"you said hello"
    );
    proxy.stop().await;
}

#[tokio::test]
async fn an_endpoint_may_speak_and_end_first() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap();
    let endpoint_hears = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 ready").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.unwrap();
        heard
    });
    let world = world(topology(&[&[endpoint]], &tcp_service("")));
    let proxy = Proxy::start(world, StreamConfig::default());
    let mut client = TcpStream::connect(proxy.tcp()).await.unwrap();
    let mut greeting = String::new();
    soon(client.read_to_string(&mut greeting)).await.unwrap();
    assert_eq!(greeting, "220 ready");
    client.write_all(b"late words").await.unwrap();
    drop(client);
    assert_eq!(soon(endpoint_hears).await.unwrap(), "late words");
    proxy.stop().await;
}

#[tokio::test]
async fn a_refusing_endpoint_costs_no_connection() {
    let (living, _seen) = echo().await;
    let (dead, _held) = refusing();
    let world = world(topology(&[&[dead, dead], &[living]], &tcp_service("")));
    let proxy = Proxy::start(world, StreamConfig::default());
    for n in 0..30_u32 {
        let words = n.to_string().into_bytes();
        assert_eq!(exchange(proxy.tcp(), &words).await.unwrap(), words);
    }
    until("all are counted", || proxy.metric(SERVED) == 30.0).await;

    let refused = "meridian_stream_connect_failures_total{reason=\"refused\",region=\"region-0\"}";
    assert_eq!(proxy.metric(refused), 60.0);
    let reports = proxy.reports.lock().unwrap().clone();
    // Each of the two failed thirty times, every third is reported.
    assert_eq!(reports.len(), 20);
    assert!(
        reports
            .iter()
            .all(|report| report.kind == PassiveKind::ConnectFailed)
    );
    assert!(
        reports
            .iter()
            .all(|report| report.endpoint.as_str().starts_with("e0-"))
    );

    let record = &proxy.access()[0];
    assert_eq!(record["attempts"], 3);
    assert_eq!(record["endpoint"], "e1-0");
    // Failed attempts are decisions too: what the models learn from.
    let decisions = proxy.decisions();
    assert_eq!(decisions.len(), 90);
    assert_eq!(
        decisions
            .iter()
            .filter(|decision| decision.status == Some(1))
            .count(),
        60
    );
    proxy.stop().await;
}

#[tokio::test]
async fn without_a_living_endpoint_the_client_is_closed() {
    let (dead, _held) = refusing();
    let world = world(topology(&[&[dead]], &tcp_service("")));
    let proxy = Proxy::start(world, StreamConfig::default());
    let mut client = TcpStream::connect(proxy.tcp()).await.unwrap();
    assert!(is_closed(&mut client).await);
    until("it is logged", || proxy.access().len() == 1).await;
    assert_eq!(proxy.access()[0]["outcome"], "connect_failed");
    assert_eq!(proxy.access()[0]["attempts"], 1);
    proxy.stop().await;
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let (endpoint, _seen) = echo().await;
    let services = tcp_service(", idle_timeout: 100ms");
    let world = world(topology(&[&[endpoint]], &services));
    let proxy = Proxy::start(world, StreamConfig::default());
    let mut client = TcpStream::connect(proxy.tcp()).await.unwrap();
    client.write_all(b"x").await.unwrap();
    let mut byte = [0; 1];
    soon(client.read_exact(&mut byte)).await.unwrap();
    assert!(is_closed(&mut client).await);
    until("it is logged", || proxy.access().len() == 1).await;
    assert_eq!(proxy.access()[0]["outcome"], "timeout");
    proxy.stop().await;
}

#[tokio::test]
async fn past_the_bound_connections_are_closed_at_once() {
    let (endpoint, _seen) = echo().await;
    let world = world(topology(&[&[endpoint]], &tcp_service("")));
    let config = StreamConfig {
        connections: 1,
        ..StreamConfig::default()
    };
    let proxy = Proxy::start(world, config);
    let mut first = TcpStream::connect(proxy.tcp()).await.unwrap();
    first.write_all(b"x").await.unwrap();
    let mut byte = [0; 1];
    soon(first.read_exact(&mut byte)).await.unwrap();

    let mut second = TcpStream::connect(proxy.tcp()).await.unwrap();
    assert!(is_closed(&mut second).await);
    assert_eq!(
        proxy.metric("meridian_stream_connections_over_limit_total"),
        1.0
    );

    drop(first);
    until("there is room", || proxy.metric(SERVED) == 1.0).await;
    assert_eq!(exchange(proxy.tcp(), b"again").await.unwrap(), b"again");
    proxy.stop().await;
}

#[tokio::test]
async fn a_drain_lets_open_connections_finish() {
    let (endpoint, _seen) = echo().await;
    let world = world(topology(&[&[endpoint]], &tcp_service("")));
    let proxy = Proxy::start(world, StreamConfig::default());
    let address = proxy.tcp();
    let mut client = TcpStream::connect(address).await.unwrap();
    let mut byte = [0; 1];
    client.write_all(b"1").await.unwrap();
    soon(client.read_exact(&mut byte)).await.unwrap();

    proxy.shutdown.cancel();
    // The listening socket goes; the connection stays.
    let refused = async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    soon(refused).await;
    client.write_all(b"2").await.unwrap();
    soon(client.read_exact(&mut byte)).await.unwrap();
    assert_eq!(&byte, b"2");
    assert!(!proxy.running.is_finished());
    drop(client);
    soon(proxy.running).await.unwrap();
}

#[tokio::test]
async fn a_drain_has_a_deadline() {
    let (endpoint, _seen) = echo().await;
    let world = world(topology(&[&[endpoint]], &tcp_service("")));
    let config = StreamConfig {
        drain: Millis(100),
        ..StreamConfig::default()
    };
    let proxy = Proxy::start(world, config);
    let mut client = TcpStream::connect(proxy.tcp()).await.unwrap();
    let mut byte = [0; 1];
    client.write_all(b"1").await.unwrap();
    soon(client.read_exact(&mut byte)).await.unwrap();
    proxy.shutdown.cancel();
    assert!(is_closed(&mut client).await);
    tokio::time::timeout(AMPLE, proxy.running)
        .await
        .unwrap()
        .unwrap();
}
