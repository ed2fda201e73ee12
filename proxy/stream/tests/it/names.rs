//! Several services on one port, told apart by the name that TLS clients ask for.

use std::net::SocketAddr;
use std::sync::Arc;

use meridian_stream::StreamConfig;
use meridian_topology::Millis;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Proxy, echo, exchange, is_closed, soon, topology, until, world};

/// The first message of a TLS client that asks for a name.
fn hello(name: &str) -> Vec<u8> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    let name = name.to_owned().try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

/// A free port, on a loopback address of this process's own: all services must name it, and nobody's
/// connections go out from there and take it meanwhile.
fn free_port() -> SocketAddr {
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let ip = std::net::IpAddr::from([127, 64 | a, b, c.max(1)]);
    let listener = std::net::TcpListener::bind((ip, 0)).unwrap();
    listener.local_addr().unwrap()
}

async fn start(listen: SocketAddr, services: &[(&str, &str)], config: StreamConfig) -> Proxy {
    let (endpoint, _) = echo().await;
    let services: Vec<String> = services
        .iter()
        .map(|(id, options)| {
            format!("  - id: {id}\n    policy: {id}\n    tcp:\n      - {{ listen: \"{listen}\"{options} }}")
        })
        .collect();
    Proxy::start(
        world(topology(&[&[endpoint]], &services.join("\n"))),
        config,
    )
}

#[tokio::test]
async fn each_name_has_its_service() {
    let listen = free_port();
    let services = [
        ("shop", ", server_names: [shop.example.com]"),
        (
            "mail",
            ", server_names: [\"*.mail.example.com\", mail.example.com]",
        ),
        ("rest", ""),
    ];
    let proxy = start(listen, &services, StreamConfig::default()).await;
    let asked = [
        (hello("shop.example.com"), "shop", Some("shop.example.com")),
        (hello("SHOP.example.com"), "shop", Some("shop.example.com")),
        (
            hello("a.b.mail.example.com"),
            "mail",
            Some("a.b.mail.example.com"),
        ),
        (hello("mail.example.com"), "mail", Some("mail.example.com")),
        (hello("www.example.com"), "rest", Some("www.example.com")),
        (hello("192.0.2.1"), "rest", None),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "rest", None),
    ];
    for (count, (bytes, service, name)) in asked.iter().enumerate() {
        let back = soon(exchange(listen, bytes)).await.unwrap();
        assert_eq!(back, *bytes, "as it came");
        until("it is logged", || proxy.access().len() == count + 1).await;
        let record = &proxy.access()[count];
        assert_eq!(record["service"], *service);
        assert_eq!(record["stream"]["server_name"].as_str(), *name, "{record}");
    }
}

#[tokio::test]
async fn a_name_of_nobody_and_a_late_one_are_closed() {
    let listen = free_port();
    let config = StreamConfig {
        proxy_header: Millis(300),
        ..StreamConfig::default()
    };
    let services = [("shop", ", server_names: [shop.example.com]")];
    let proxy = start(listen, &services, config).await;
    let whole = hello("shop.example.com");
    for (bytes, reason) in [
        (&hello("www.example.com")[..], "unknown_name"),
        (b"SSH-2.0-OpenSSH\r\n", "no_name"),
        (&whole[..40], "late"),
    ] {
        let mut client = TcpStream::connect(listen).await.unwrap();
        client.write_all(bytes).await.unwrap();
        assert!(soon(is_closed(&mut client)).await, "{reason}");
        let line = format!("meridian_stream_unrouted_connections_total{{reason=\"{reason}\"}}");
        until(&line, || proxy.metric(&line) == 1.0).await;
    }
}

#[tokio::test]
async fn a_name_may_come_in_pieces() {
    let listen = free_port();
    let services = [("shop", ", server_names: [shop.example.com]")];
    let _proxy = start(listen, &services, StreamConfig::default()).await;
    let bytes = hello("shop.example.com");
    let mut client = TcpStream::connect(listen).await.unwrap();
    client.set_nodelay(true).unwrap();
    for piece in bytes.chunks(50) {
        client.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut back = vec![0; bytes.len()];
    soon(client.read_exact(&mut back)).await.unwrap();
    assert_eq!(back, bytes);
}
