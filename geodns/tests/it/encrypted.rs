//! DoT, DoH and DoQ, asked by kdig and curl; certificates that change while connections are open.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use meridian_accept::CertSource;
use meridian_geodns::config::{HttpsConfig, QuicConfig, TlsConfig};
use meridian_geodns::transfer::PeerConfig;
use meridian_geodns::zone::ZoneSource;
use meridian_geodns::{DnsConfig, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::rig::{DEADLINE, Rig, answers, query};

/// A certificate for `localhost` in files that can be written again.
struct Certificate {
    directory: tempfile::TempDir,
    der: CertificateDer<'static>,
}

impl Certificate {
    fn new() -> Self {
        let mut certificate = Self {
            directory: tempfile::tempdir().unwrap(),
            der: CertificateDer::from(Vec::new()),
        };
        certificate.renew();
        certificate
    }

    fn renew(&mut self) {
        let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let write = |file: PathBuf, text: String| {
            // As renewals do: a new file in the place of the old.
            let beside = file.with_extension("new");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(beside, file).unwrap();
        };
        write(self.key(), pair.signing_key.serialize_pem());
        write(self.chain(), pair.cert.pem());
        self.der = pair.cert.der().clone();
    }

    fn chain(&self) -> PathBuf {
        self.directory.path().join("chain.pem")
    }

    fn key(&self) -> PathBuf {
        self.directory.path().join("key.pem")
    }

    fn source(&self) -> Vec<CertSource> {
        vec![CertSource {
            certificate: self.chain(),
            key: self.key(),
            names: Vec::new(),
        }]
    }
}

/// A server with all three transports.
fn rig(certificate: &Certificate) -> Rig {
    rig_with(certificate, |_| {})
}

fn rig_with(certificate: &Certificate, more: impl FnOnce(&mut DnsConfig)) -> Rig {
    let listen: Vec<SocketAddr> = vec!["127.0.0.1:0".parse().unwrap()];
    Rig::start(|config| {
        more(config);
        config.tcp.idle_timeout = meridian_topology::Millis(60_000);
        config.tls = Some(TlsConfig {
            listen: listen.clone(),
            certificates: certificate.source(),
        });
        config.https = Some(HttpsConfig {
            listen: listen.clone(),
            certificates: certificate.source(),
            path: "/dns-query".into(),
            streams: 100,
        });
        config.quic = Some(QuicConfig {
            listen,
            certificates: certificate.source(),
            streams: 100,
        });
    })
}

fn port(rig: &Rig, transport: Transport) -> u16 {
    let mut found = rig.encrypted.iter();
    found.find(|(of, _)| *of == transport).unwrap().1.port()
}

/// A tool's output and whether it was content; `None` when it is not installed.
fn run(tool: &str, arguments: &[&str]) -> Option<(bool, Vec<u8>)> {
    match Command::new(tool).args(arguments).output() {
        Ok(output) => {
            let mut text = output.stdout;
            text.extend_from_slice(&output.stderr);
            Some((output.status.success(), text))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIP: {tool} is not installed (knot-dnsutils, curl)");
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

/// kdig's words, with the server's certificate verified; its complaint when it got no answer.
fn kdig(
    rig: &Rig,
    certificate: &Certificate,
    transport: Transport,
    more: &str,
) -> Option<Result<String, String>> {
    let how = match transport {
        Transport::Tls => "+tls",
        Transport::Https => "+https",
        Transport::Quic => "+quic",
        Transport::Udp | Transport::Tcp => unreachable!("not encrypted"),
    };
    let (port, ca) = (
        port(rig, transport).to_string(),
        format!("+tls-ca={}", certificate.chain().display()),
    );
    // The transport last: the TLS options before it choose TLS over TCP.
    let mut arguments = vec![
        "@127.0.0.1",
        "-p",
        &port,
        &ca,
        "+tls-hostname=localhost",
        how,
    ];
    arguments.extend(more.split(' '));
    let (content, text) = run("kdig", &arguments)?;
    let text = String::from_utf8(text).unwrap();
    if !content || text.contains("WARNING") {
        return Some(Err(format!("{arguments:?}: {text}")));
    }
    Some(Ok(text.split_whitespace().collect::<Vec<_>>().join(" ")))
}

const ENCRYPTED: [Transport; 3] = [Transport::Tls, Transport::Https, Transport::Quic];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kdig_is_answered_over_tls_https_and_quic() {
    let certificate = Certificate::new();
    let rig = rig(&certificate);
    for transport in ENCRYPTED {
        let check = |arguments: &str, parts: &[&str]| {
            let Some(output) = kdig(&rig, &certificate, transport, arguments) else {
                return;
            };
            let output = output.unwrap();
            for part in parts {
                assert!(
                    output.contains(part),
                    "{transport:?} {arguments}: no `{part}` in {output}"
                );
            }
        };
        check(
            "+norec +subnet=10.2.0.0/24 shop.example.test A",
            &[
                "status: NOERROR",
                "CLIENT-SUBNET: 10.2.0.0/24/16",
                "shop.example.test. 30 IN A 198.51.100.1",
            ],
        );
        // kdig pads over encrypted transports unless told otherwise, and so do we: to 468.
        check("+norec www.example.test A", &["Received 468 B", "PADDING"]);
        check(
            "+norec +nopadding nowhere.example.test A",
            &["status: NXDOMAIN", "example.test. 60 IN SOA"],
        );
        check("+norec +cookie www.example.test A", &["COOKIE: "]);
        let counted = format!(
            "meridian_dns_queries_total{{transport=\"{}\"}}",
            transport.as_str()
        );
        assert!(rig.metric(&counted) >= 4.0, "{counted}");
    }
    rig.stop().await;
}

/// Base64url without padding (RFC 4648 §5), written here so that the server's own is checked by it.
fn base64url(packet: &[u8]) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for chunk in packet.chunks(3) {
        let mut word = 0_u32;
        for at in 0..3 {
            word = word << 8 | u32::from(*chunk.get(at).unwrap_or(&0));
        }
        for at in 0..=chunk.len() {
            let index = word >> (18 - 6 * at) & 63;
            text.push(char::from(alphabet[index as usize]));
        }
    }
    text
}

/// curl's answer: the head, and the body.
fn curl(
    rig: &Rig,
    certificate: &Certificate,
    path: &str,
    more: &[&str],
) -> Option<(String, Vec<u8>)> {
    let port = port(rig, Transport::Https);
    let url = format!("https://localhost:{port}{path}");
    let resolve = format!("localhost:{port}:127.0.0.1");
    let ca = certificate.chain();
    let ca = ca.to_str().unwrap();
    let mut arguments = vec![
        "--silent",
        "--show-error",
        "--http2",
        "--include",
        "--max-time",
        "60",
        "--noproxy",
        "*",
        "--cacert",
        ca,
        "--resolve",
        &resolve,
    ];
    arguments.extend(more);
    arguments.push(&url);
    let (content, output) = run("curl", &arguments)?;
    assert!(content, "{}", String::from_utf8_lossy(&output));
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8(output[..end].to_vec()).unwrap();
    Some((head.to_ascii_lowercase(), output[end + 4..].to_vec()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn curl_gets_and_posts_and_is_told_how_long_to_keep_it() {
    let certificate = Certificate::new();
    let rig = rig(&certificate);
    let steered = query(0, "shop.example.test.", RecordType::A, Some("10.3.0.0/24"));
    let fixed = query(0, "www.example.test.", RecordType::A, None);
    let nowhere = query(0, "nowhere.example.test.", RecordType::A, None);
    let refused = query(0, "www.example.net.", RecordType::A, None);
    let message = "content-type: application/dns-message";
    let body = certificate.directory.path().join("body");
    let data = format!("@{}", body.display());
    for (packet, cache) in [
        (&steered, "cache-control: private, max-age=30"),
        (&fixed, "cache-control: max-age=300"),
        (&nowhere, "cache-control: max-age=60"),
        (&refused, "cache-control: no-store"),
    ] {
        let path = format!("/dns-query?ct=x&dns={}", base64url(packet));
        let Some((head, got)) = curl(&rig, &certificate, &path, &[]) else {
            return;
        };
        std::fs::write(&body, packet).unwrap();
        let post = ["--header", message, "--data-binary", &data];
        let (_, posted) = curl(&rig, &certificate, "/dns-query", &post).unwrap();
        for part in ["http/2 200", message, cache] {
            assert!(head.contains(part), "no `{part}` in {head}");
        }
        assert!(head.contains(&format!("content-length: {}", got.len())));
        assert_eq!(got, posted);
    }
    std::fs::write(&body, &steered).unwrap();
    let post = ["--header", message, "--data-binary", &data];
    let (_, answer) = curl(&rig, &certificate, "/dns-query", &post).unwrap();
    assert_eq!(
        answers(&Message::from_vec(&answer).unwrap()),
        ["203.0.113.1"]
    );

    let large = certificate.directory.path().join("large");
    std::fs::write(&large, [0; 5000]).unwrap();
    let large = format!("@{}", large.display());
    let get = format!("/dns-query?dns={}", base64url(&fixed));
    let long = format!("/dns-query?dns={}", "A".repeat(6000));
    for (path, more, status) in [
        ("/", &[][..], "404"),
        ("/dns-query", &[], "400"),
        ("/dns-query?dns=*", &[], "400"),
        ("/dns-query?dns=AAAA", &[], "400"),
        (&long, &[], "414"),
        (&get, &["--request", "DELETE"], "405"),
        ("/dns-query", &["--data-binary", &data], "415"),
        (
            "/dns-query",
            &["--header", message, "--data-binary", &large],
            "413",
        ),
    ] {
        let (head, _) = curl(&rig, &certificate, path, more).unwrap();
        assert!(
            head.starts_with(&format!("http/2 {status}")),
            "{path} {more:?}: {head}"
        );
    }
    rig.stop().await;
}

async fn connect(
    rig: &Rig,
    roots: &[&CertificateDer<'static>],
) -> Option<TlsStream<tokio::net::TcpStream>> {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add((*root).clone()).unwrap();
    }
    let mut config =
        ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(store)
            .with_no_client_auth();
    config.alpn_protocols = vec![b"dot".to_vec()];
    let address = ("127.0.0.1", port(rig, Transport::Tls));
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let name = "localhost".try_into().unwrap();
    connector.connect(name, stream).await.ok()
}

async fn ask(stream: &mut TlsStream<tokio::net::TcpStream>) -> Vec<String> {
    let packet = query(7, "shop.example.test.", RecordType::A, Some("10.2.0.0/24"));
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    stream
        .write_all(&[&length[..], &packet].concat())
        .await
        .unwrap();
    stream.flush().await.unwrap();
    let bytes = stream.read_u16().await.unwrap();
    let mut answer = vec![0; bytes.into()];
    stream.read_exact(&mut answer).await.unwrap();
    answers(&Message::from_vec(&answer).unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_certificate_is_served_and_no_connection_is_lost() {
    let mut certificate = Certificate::new();
    let rig = rig(&certificate);
    let old = certificate.der.clone();
    let mut before = connect(&rig, &[&old]).await.expect("the first certificate");
    assert_eq!(before.get_ref().1.alpn_protocol(), Some(&b"dot"[..]));
    assert_eq!(ask(&mut before).await, ["198.51.100.1"]);
    certificate.renew();
    let start = Instant::now();
    let mut after = loop {
        assert!(start.elapsed() < DEADLINE, "the new certificate never came");
        if let Some(stream) = connect(&rig, &[&certificate.der]).await {
            break stream;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ask(&mut after).await, ["198.51.100.1"]);
    // The connection of before goes on under the certificate it has seen.
    assert_eq!(ask(&mut before).await, ["198.51.100.1"]);
    assert_eq!(
        rig.metric("meridian_dns_connections{transport=\"tls\"}"),
        2.0
    );
    // The other transports have stores of their own, which see the change in their own time.
    for transport in [Transport::Https, Transport::Quic] {
        let arguments = "+norec +retry=0 www.example.test A";
        while let Some(Err(problem)) = kdig(&rig, &certificate, transport, arguments) {
            assert!(start.elapsed() < DEADLINE, "not renewed: {problem}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    // A pair that does not fit changes nothing.
    std::fs::write(certificate.key(), "no key").unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(connect(&rig, &[&certificate.der]).await.is_some());
    // Whoever trusts only the old one turns away, and that is counted.
    assert!(connect(&rig, &[&old]).await.is_none());
    let failures = "meridian_dns_handshake_failures_total{transport=\"tls\"}";
    while rig.metric(failures) < 1.0 {
        assert!(start.elapsed() < DEADLINE, "no failure was counted");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    drop((before, after));
    rig.stop().await;
}

/// Asks over one stream of a QUIC connection; the answer, or the code the connection was closed with.
async fn ask_quic(connection: &quinn::Connection, stream: &[u8]) -> Result<Vec<u8>, u64> {
    let closed = |connection: &quinn::Connection| match connection.close_reason() {
        Some(quinn::ConnectionError::ApplicationClosed(close)) => close.error_code.into_inner(),
        other => panic!("{other:?}"),
    };
    let (mut send, mut receive) = connection.open_bi().await.unwrap();
    // A breach may be seen before all of it is sent.
    let _ = send.write_all(stream).await;
    let _ = send.finish();
    match tokio::time::timeout(DEADLINE, receive.read_to_end(65_537))
        .await
        .unwrap()
    {
        Ok(answer) => Ok(answer[2..].to_vec()),
        Err(_) => {
            tokio::time::timeout(DEADLINE, connection.closed())
                .await
                .unwrap();
            Err(closed(connection))
        }
    }
}

/// A client that speaks DoQ and trusts the certificate.
fn quic_client(certificate: &Certificate) -> quinn::Endpoint {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    let mut tls = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"doq".to_vec()];
    let tls = quinn::crypto::rustls::QuicClientConfig::try_from(tls).unwrap();
    let mut endpoint = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    endpoint.set_default_client_config(quinn::ClientConfig::new(Arc::new(tls)));
    endpoint
}

/// The messages of a stream, each behind its length.
fn messages(mut stream: &[u8]) -> Vec<Message> {
    let mut messages = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk() {
        let (message, rest) = rest.split_at(u16::from_be_bytes(*length).into());
        messages.push(Message::from_vec(message).unwrap());
        stream = rest;
    }
    assert!(stream.is_empty(), "bytes behind the last message");
    messages
}

/// RFC 9250 §4.2: all messages of a transfer on one stream, then FIN. RFC 8484 §6: one, over HTTPS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_carries_a_transfer_of_many_messages_and_https_refuses_it() {
    const HOSTS: usize = 9_000;
    let certificate = Certificate::new();
    let rig = rig_with(&certificate, |config| {
        config.transfers.allow = vec![PeerConfig {
            network: Some("127.0.0.0/8".parse().unwrap()),
            tsig_key: None,
        }];
    });
    let names: Vec<String> = (0..HOSTS).map(|nth| format!("host-{nth}")).collect();
    let hosts: Vec<(&str, [u8; 4])> = names
        .iter()
        .map(|name| (name.as_str(), [192, 0, 2, 1]))
        .collect();
    let zone = crate::transfers::zone("large.test", 1, &hosts);
    rig.shelf.put(ZoneSource::File, zone).unwrap();
    let axfr = query(0, "large.test.", RecordType::AXFR, None);
    let framed = [&u16::try_from(axfr.len()).unwrap().to_be_bytes()[..], &axfr].concat();

    let endpoint = quic_client(&certificate);
    let server = SocketAddr::from(([127, 0, 0, 1], port(&rig, Transport::Quic)));
    let connection = endpoint.connect(server, "localhost").unwrap();
    let connection = connection.await.unwrap();
    let start = Instant::now();
    let messages = loop {
        let (mut send, mut receive) = connection.open_bi().await.unwrap();
        send.write_all(&framed).await.unwrap();
        send.finish().unwrap();
        let read = receive.read_to_end(4 << 20);
        let stream = tokio::time::timeout(DEADLINE, read).await.unwrap().unwrap();
        let messages = messages(&stream);
        if messages[0].metadata.response_code == ResponseCode::NoError {
            break messages;
        }
        // Until the zone is built and archived.
        assert!(start.elapsed() < DEADLINE, "{:?}", messages[0]);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(messages.len() > 1, "{} messages", messages.len());
    assert!(messages.iter().all(|message| message.metadata.id == 0));
    let records: Vec<_> = messages
        .iter()
        .flat_map(|message| &message.answers)
        .collect();
    // SOA at either end, NS, the address of ns, and the hosts.
    assert_eq!(records.len(), HOSTS + 4);
    for end in [records[0], records[records.len() - 1]] {
        assert_eq!(end.record_type(), RecordType::SOA);
    }

    let path = format!("/dns-query?dns={}", base64url(&axfr));
    if let Some((head, answer)) = curl(&rig, &certificate, &path, &[]) {
        let answer = Message::from_vec(&answer).unwrap();
        assert!(head.contains("http/2 200"), "{head}");
        assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn quic_streams_are_answered_and_breaches_end_the_connection() {
    let certificate = Certificate::new();
    let rig = rig(&certificate);
    let endpoint = quic_client(&certificate);
    let server = SocketAddr::from(([127, 0, 0, 1], port(&rig, Transport::Quic)));
    let connect = async || {
        endpoint
            .connect(server, "localhost")
            .unwrap()
            .await
            .unwrap()
    };
    let framed = |packet: &[u8]| {
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        [&length[..], packet].concat()
    };
    let good = query(0, "shop.example.test.", RecordType::A, Some("10.2.0.0/24"));

    let connection = connect().await;
    let mut streams = tokio::task::JoinSet::new();
    for _ in 0..300 {
        // Three times as many as may be under way: the rest waits for its turn.
        let (connection, framed) = (connection.clone(), framed(&good));
        streams.spawn(async move { ask_quic(&connection, &framed).await });
    }
    let mut answered = 0;
    while let Some(answer) = streams.join_next().await {
        let message = Message::from_vec(&answer.unwrap().unwrap()).unwrap();
        assert_eq!(
            (message.metadata.id, answers(&message)),
            (0, vec!["198.51.100.1".into()])
        );
        answered += 1;
    }
    assert_eq!(answered, 300);

    let with_id = query(7, "www.example.test.", RecordType::A, None);
    // OPT with an empty edns-tcp-keepalive option.
    let mut keepalive = query(0, "www.example.test.", RecordType::A, None);
    keepalive[11] = 1;
    keepalive.extend_from_slice(&[0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 4, 0, 11, 0, 0]);
    let mut response = good.clone();
    response[2] |= 0x80;
    for (case, stream) in [
        ("an id", framed(&with_id)),
        ("edns-tcp-keepalive", framed(&keepalive)),
        ("two queries", [framed(&good), framed(&good)].concat()),
        ("a length beyond the end", [&[0, 200][..], &good].concat()),
        ("nothing", Vec::new()),
        ("a response", framed(&response)),
        ("more than any query", framed(&[0; 9000])),
    ] {
        let connection = connect().await;
        assert_eq!(ask_quic(&connection, &stream).await, Err(2), "{case}");
    }
    rig.stop().await;
    assert!(matches!(
        tokio::time::timeout(DEADLINE, connection.closed()).await.unwrap(),
        quinn::ConnectionError::ApplicationClosed(close) if close.error_code.into_inner() == 0
    ));
}
