//! TLS to endpoints, and certificates of clients.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{PrivateKeyDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::{Client, get};
use crate::node::{Node, SHOP, WorldText};
use crate::upstream::Upstream;

/// The name in the endpoints' certificate.
const INNER: &str = "inner.example";

/// An authority and what it signs.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    fn sign(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap(), key)
    }

    /// A signed pair as files.
    fn write(&self, directory: &Path, name: &str) -> (PathBuf, PathBuf) {
        let (certificate, key) = self.sign(name);
        let files = (
            directory.join(format!("{name}.pem")),
            directory.join(format!("{name}.key")),
        );
        std::fs::write(&files.0, certificate.pem()).unwrap();
        std::fs::write(&files.1, key.serialize_pem()).unwrap();
        files
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }
}

/// Ends TLS in front of an upstream, and asks for certificates if `clients` says by whom.
async fn tls_before(
    upstream: &Upstream,
    authority: &Authority,
    clients: Option<&Authority>,
) -> SocketAddr {
    let (certificate, key) = authority.sign(INNER);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let roots = Arc::new(clients.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = builder
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, to) = (listener.local_addr().unwrap(), upstream.address);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(socket).await else {
                    return;
                };
                let mut inner = TcpStream::connect(to).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut stream, &mut inner).await;
            });
        }
    });
    address
}

fn world(address: SocketAddr, tls: &str) -> WorldText {
    WorldText::new()
        .region("a", "DE", "", &[(address, "shop")])
        .service(
            "shop",
            "",
            &format!("[{{ hosts: [{SHOP}] }}], traffic: {{ tls: {{ {tls} }} }}"),
        )
}

struct Site {
    directory: tempfile::TempDir,
    authority: Authority,
    upstream: Upstream,
    ca: PathBuf,
}

async fn site() -> Site {
    let directory = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let ca = directory.path().join("ca.pem");
    std::fs::write(&ca, authority.certificate.pem()).unwrap();
    Site {
        directory,
        authority,
        upstream: Upstream::start("u0").await,
        ca,
    }
}

#[tokio::test]
async fn endpoints_are_reached_over_tls() {
    let site = site().await;
    let address = tls_before(&site.upstream, &site.authority, None).await;
    let ca = site.ca.display();
    let node = Node::start(
        &world(address, &format!("server_name: {INNER}, ca: {ca}")),
        "worker_threads: 1",
    );
    for _ in 0..5 {
        let answer = get(node.address, SHOP, "/").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    assert_eq!(site.upstream.requests(), 5);
    assert_eq!(site.upstream.connections(), 1, "it is used again");
}

#[tokio::test]
async fn an_endpoint_with_another_name_or_authority_is_not_spoken_to() {
    let site = site().await;
    let address = tls_before(&site.upstream, &site.authority, None).await;
    let ca = site.ca.display();
    for tls in [
        format!("server_name: other.example, ca: {ca}"),
        // The system does not know our authority.
        format!("server_name: {INNER}"),
    ] {
        let node = Node::start(&world(address, &tls), "");
        let answer = get(node.address, SHOP, "/").await;
        assert_eq!(answer.status, 502, "{tls}: {}", answer.text());
    }
    assert_eq!(site.upstream.requests(), 0);
}

#[tokio::test]
async fn endpoints_are_shown_our_certificate() {
    let site = site().await;
    let address = tls_before(&site.upstream, &site.authority, Some(&site.authority)).await;
    let (certificate, key) = site.authority.write(site.directory.path(), "us.example");
    let tls = format!("server_name: {INNER}, ca: {}", site.ca.display());
    let node = Node::start(&world(address, &tls), "");
    let answer = get(node.address, SHOP, "/").await;
    assert_eq!(answer.status, 502, "nobody came: {}", answer.text());
    let tls = format!(
        "{tls}, certificate: {}, key: {}",
        certificate.display(),
        key.display()
    );
    let node = Node::start(&world(address, &tls), "");
    let answer = get(node.address, SHOP, "/").await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn files_that_come_later_are_read() {
    let site = site().await;
    let address = tls_before(&site.upstream, &site.authority, None).await;
    let late = site.directory.path().join("late.pem");
    let tls = format!("server_name: {INNER}, ca: {}", late.display());
    let node = Node::start(&world(address, &tls), "");
    let answer = get(node.address, SHOP, "/").await;
    assert!(matches!(answer.status, 500..=503), "{}", answer.status);
    std::fs::copy(&site.ca, &late).unwrap();
    for round in 0.. {
        if get(node.address, SHOP, "/").await.status == 200 {
            break;
        }
        assert!(round < 200, "never read");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn clients_without_a_certificate_stay_outside() {
    let site = site().await;
    let directory = site.directory.path();
    let (certificate, key) = site.authority.write(directory, SHOP);
    let world = WorldText::new()
        .region("a", "DE", "", &[(site.upstream.address, "shop")])
        .service("shop", "", &format!("[{{ hosts: [{SHOP}] }}]"));
    let ca = site.ca.display();
    let https = |demand: &str| {
        format!(
            "https: {{ listen: [\"127.0.0.1:0\"], certificates: [{{ certificate: {}, key: {} }}], clients: {{ ca: {ca}{demand} }} }}",
            certificate.display(),
            key.display()
        )
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = || {
        rustls::ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(site.authority.roots())
    };
    let (own, own_key) = site.authority.sign("client.example");
    let own_key = PrivateKeyDer::try_from(own_key.serialize_der()).unwrap();
    let known = builder()
        .with_client_auth_cert(vec![own.der().clone()], own_key)
        .unwrap();
    let stranger = builder().with_no_client_auth();
    for (demand, config, is_served) in [
        ("", &known, true),
        ("", &stranger, false),
        (", demand: optional", &known, true),
        (", demand: optional", &stranger, true),
    ] {
        let node = Node::start(&world, &https(demand));
        let connector = TlsConnector::from(Arc::new(config.clone()));
        let name = ServerName::try_from(SHOP).unwrap();
        let socket = TcpStream::connect(node.tls_address.unwrap()).await.unwrap();
        let stream = connector.connect(name, socket).await.unwrap();
        let mut client = Client::over(stream);
        client
            .send(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"))
            .await;
        // In TLS 1.3 the client learns of the refusal when it reads.
        assert_eq!(client.answer().await.is_some(), is_served, "{demand}");
    }
}

/// What the socket does not take at once is not forgotten.
#[tokio::test]
async fn large_bodies_reach_endpoints_over_tls() {
    let site = site().await;
    let address = tls_before(&site.upstream, &site.authority, None).await;
    let tls = format!("server_name: {INNER}, ca: {}", site.ca.display());
    let node = Node::start(&world(address, &tls), "");
    let body = vec![b'x'; 8_000_000];
    let mut client = crate::client::connect(node.address).await;
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: {}\r\n\r\n",
            body.len()
        ))
        .await;
    client.send(&body).await;
    assert_eq!(client.answer().await.expect("an answer").status, 200);
    assert_eq!(site.upstream.bodies()[0].len(), body.len());
}
