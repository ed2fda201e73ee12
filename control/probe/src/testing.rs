//! Real servers on loopback, and targets that point at them.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use hickory_proto::op::{Message, MessageType, ResponseCode};
use http_body_util::Empty;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use meridian_topology::{CheckKind, HealthCheck, HttpCheck, Millis, Ratio, Scheme, StatusRange};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::target::Target;

/// A test that waits longer has failed; none is meant to come near.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// A server that answers every request with its current status until it is dropped.
pub(crate) struct HttpServer {
    pub(crate) address: SocketAddr,
    pub(crate) status: Arc<AtomicU16>,
    /// Requests answered so far.
    pub(crate) requests: Arc<AtomicUsize>,
    _running: DropGuard,
}

impl HttpServer {
    pub(crate) async fn start(at: Option<SocketAddr>, tls: Option<ServerConfig>) -> Self {
        let listener = TcpListener::bind(at.unwrap_or_else(any_port))
            .await
            .unwrap();
        let address = listener.local_addr().unwrap();
        let status = Arc::new(AtomicU16::new(200));
        let requests = Arc::new(AtomicUsize::new(0));
        let running = CancellationToken::new();
        let (seen, answered, stop) = (Arc::clone(&status), Arc::clone(&requests), running.clone());
        let tls = tls.map(|config| TlsAcceptor::from(Arc::new(config)));
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (status, answered) = (Arc::clone(&seen), Arc::clone(&answered));
                let tls = tls.clone();
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, status, answered).await,
                        // A client that does not trust us breaks off here.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, status, answered).await;
                            }
                        }
                    }
                });
            }
        }));
        Self {
            address,
            status,
            requests,
            _running: running.drop_guard(),
        }
    }

    pub(crate) fn answer_with(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }
}

async fn serve<S>(stream: S, status: Arc<AtomicU16>, answered: Arc<AtomicUsize>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|_: Request<hyper::body::Incoming>| {
        answered.fetch_add(1, Ordering::Relaxed);
        let answer = Response::builder().status(status.load(Ordering::Relaxed));
        std::future::ready(Ok::<_, Infallible>(
            answer.body(Empty::<Bytes>::new()).unwrap(),
        ))
    });
    // A client that went away is its own business.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

/// A server that says `greeting` to everyone and then keeps the connection open, in silence.
pub(crate) async fn mumbling_server(greeting: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.write_all(greeting).await.unwrap();
            open.push(stream);
        }
    });
    address
}

/// A server that closes every connection at once.
pub(crate) async fn closing_server() -> SocketAddr {
    let listener = TcpListener::bind(any_port()).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            drop(listener.accept().await.unwrap());
        }
    });
    address
}

/// A name server that answers every question with a code, after a datagram with a wrong id.
pub(crate) async fn dns_server(code: ResponseCode) -> SocketAddr {
    let socket = UdpSocket::bind(any_port()).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 1_500];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let (id, op) = (question.metadata.id, question.metadata.op_code);
            for id in [id.wrapping_add(1), id] {
                let mut answer = Message::new(id, MessageType::Response, op);
                answer.metadata.response_code = code;
                answer.add_queries(question.queries.clone());
                socket
                    .send_to(&answer.to_vec().unwrap(), from)
                    .await
                    .unwrap();
            }
        }
    });
    address
}

/// An address where nothing listens: the port was ours a moment ago.
pub(crate) async fn closed_port() -> SocketAddr {
    TcpListener::bind(any_port())
        .await
        .unwrap()
        .local_addr()
        .unwrap()
}

pub(crate) fn any_port() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

/// A certificate authority of the test's own.
pub(crate) struct Authority {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    /// A server's configuration with a certificate for `name` (a DNS name or an address).
    pub(crate) fn server(&self, name: &str) -> ServerConfig {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain: Vec<CertificateDer<'static>> = vec![certificate.der().clone()];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap()
    }
}

/// A check that never fails for being slow.
pub(crate) fn check(kind: CheckKind) -> HealthCheck {
    HealthCheck {
        kind,
        interval: Millis(20),
        timeout: Millis(30_000),
        jitter: Ratio::ZERO,
        rise: 2,
        fall: 2,
        port: None,
    }
}

pub(crate) fn http(scheme: Scheme, host: Option<&str>) -> CheckKind {
    CheckKind::Http(HttpCheck {
        path: "/healthz?deep=1".into(),
        host: host.map(|host| host.parse().unwrap()),
        expect_status: vec![StatusRange {
            first: 200,
            last: 399,
        }],
        scheme,
    })
}

pub(crate) fn exec(command: &str, args: &[&str]) -> CheckKind {
    let args = args.iter().map(|&arg| arg.to_owned()).collect();
    CheckKind::Exec {
        command: command.into(),
        args,
    }
}

pub(crate) fn target(endpoint: &str, address: SocketAddr, kind: CheckKind) -> Target {
    Target {
        endpoint: endpoint.parse().unwrap(),
        region: "eu-central-1".parse().unwrap(),
        address,
        check: check(kind),
        service: None,
    }
}
