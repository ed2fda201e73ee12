//! HTTPS: certificates by name, HTTP/2 by ALPN, and a swap under way.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use http::{Request, Version};
use rcgen::CertifiedKey;
use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::client::Client;
use crate::node::{Node, WorldText};
use crate::upstream::Upstream;

/// Writes a certificate for `name` where the proxy is told to look.
fn issue(directory: &Path, name: &str) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    std::fs::write(
        directory.join(format!("{name}.key")),
        signing_key.serialize_pem(),
    )
    .unwrap();
    std::fs::write(directory.join(format!("{name}.pem")), cert.pem()).unwrap();
    cert.der().clone()
}

fn trusting(certificates: &[&CertificateDer<'static>], alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots.add((*certificate).clone()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    // A resumed session shows the certificate of the first one.
    config.resumption = rustls::client::Resumption::disabled();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn handshake(
    connector: &TlsConnector,
    to: SocketAddr,
    name: &str,
) -> std::io::Result<TlsStream<TcpStream>> {
    let socket = TcpStream::connect(to).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    connector.connect(name, socket).await
}

fn shown(stream: &TlsStream<TcpStream>) -> CertificateDer<'static> {
    stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned()
}

struct Site {
    node: Node,
    directory: tempfile::TempDir,
    a: CertificateDer<'static>,
    b: CertificateDer<'static>,
    upstream: Upstream,
}

async fn site() -> Site {
    site_with("").await
}

/// A site with more settings.
async fn site_with(settings: &str) -> Site {
    let directory = tempfile::tempdir().unwrap();
    let (a, b) = (
        issue(directory.path(), "a.example"),
        issue(directory.path(), "b.example"),
    );
    let upstream = Upstream::start("u0").await;
    let world = WorldText::new()
        .region("r", "DE", "", &[(upstream.address, "shop")])
        .service("shop", "", "[{ hosts: [a.example, b.example] }]");
    let path = directory.path().display();
    let node = Node::start(
        &world,
        &format!(
            "{settings}\nhttps:\n  listen: [\"127.0.0.1:0\"]\n  certificates:\n    \
             - {{ certificate: {path}/a.example.pem, key: {path}/a.example.key }}\n    \
             - {{ certificate: {path}/b.example.pem, key: {path}/b.example.key }}"
        ),
    );
    Site {
        node,
        directory,
        a,
        b,
        upstream,
    }
}

#[tokio::test]
async fn https_serves_both_protocols_by_alpn() {
    let site = site().await;
    let address = site.node.tls_address.unwrap();
    let h1 = trusting(&[&site.a], &[b"http/1.1"]);
    let mut client = Client::over(handshake(&h1, address, "a.example").await.unwrap());
    for _ in 0..3 {
        assert_eq!(client.get("a.example", "/").await.text(), "u0");
    }
    let no_alpn = trusting(&[&site.b], &[]);
    let mut client = Client::over(handshake(&no_alpn, address, "b.example").await.unwrap());
    assert_eq!(client.get("b.example", "/").await.text(), "u0");

    let h2 = trusting(&[&site.a], &[b"h2", b"http/1.1"]);
    let stream = handshake(&h2, address, "a.example").await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (client, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::builder()
        .uri("https://a.example/secure")
        .version(Version::HTTP_2)
        .body(())
        .unwrap();
    let (response, body, _) = crate::http2::send(&client, request, b"").await;
    assert_eq!(
        (response.status().as_u16(), body.as_slice()),
        (200, &b"u0"[..])
    );
    let head = site.upstream.heads().pop().unwrap().to_ascii_lowercase();
    assert!(head.contains("x-forwarded-proto: https\r\n"), "{head}");
}

#[tokio::test]
async fn a_negotiated_http2_without_its_preface_is_closed() {
    let site = site_with("timeouts: { header: 200ms }").await;
    let connector = trusting(&[&site.a], &[b"h2"]);
    for (sent, closed) in [("", 1.0), ("PRI * HTTP/2.0\r\n", 2.0)] {
        let stream = handshake(&connector, site.node.tls_address.unwrap(), "a.example")
            .await
            .unwrap();
        let mut client = Client::over(stream);
        client.send(sent).await;
        assert_eq!(client.rest().await, b"", "nothing but a close");
        let line = "meridian_http_connections_closed_early_total{reason=\"header_timeout\"}";
        site.node.metric_becomes(line, closed).await;
    }
}

#[tokio::test]
async fn a_host_of_another_certificate_is_misdirected() {
    let site = site().await;
    let connector = trusting(&[&site.a], &[]);
    let stream = handshake(&connector, site.node.tls_address.unwrap(), "a.example")
        .await
        .unwrap();
    let mut client = Client::over(stream);
    assert_eq!(client.get("a.example", "/").await.status, 200);
    assert_eq!(client.get("A.EXAMPLE:443", "/").await.status, 200);
    assert_eq!(client.get("b.example", "/").await.status, 421);
    assert_eq!(site.upstream.requests(), 2);
}

#[tokio::test]
async fn certificates_are_swapped_without_touching_connections() {
    let site = site().await;
    let address = site.node.tls_address.unwrap();
    let old = trusting(&[&site.a], &[]);
    let stream = handshake(&old, address, "a.example").await.unwrap();
    assert_eq!(shown(&stream), site.a);
    let mut open = Client::over(stream);
    assert_eq!(open.get("a.example", "/").await.status, 200);

    let new = issue(site.directory.path(), "a.example");
    let both = trusting(&[&site.a, &new], &[]);
    let mut before = 0;
    loop {
        let stream = handshake(&both, address, "a.example").await.unwrap();
        let certificate = shown(&stream);
        assert_eq!(Client::over(stream).get("a.example", "/").await.status, 200);
        assert_eq!(
            open.get("a.example", "/").await.status,
            200,
            "the open connection goes on"
        );
        if certificate == new {
            break;
        }
        assert_eq!(certificate, site.a);
        before += 1;
        assert!(before < 2000, "the new certificate is never shown");
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    // A broken file leaves the last good certificate in use.
    std::fs::write(
        site.directory.path().join("a.example.pem"),
        "not a certificate",
    )
    .unwrap();
    let only_new = trusting(&[&new], &[]);
    for _ in 0..50 {
        let stream = handshake(&only_new, address, "a.example").await.unwrap();
        assert_eq!(shown(&stream), new);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_is_no_handshake_is_closed() {
    let site = site().await;
    let mut client = crate::client::connect(site.node.tls_address.unwrap()).await;
    client
        .send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        .await;
    client.rest().await;
    let line = "meridian_http_connections_closed_early_total{reason=\"handshake\"}";
    site.node.metric_becomes(line, 1.0).await;
    assert_eq!(site.upstream.requests(), 0);
}
