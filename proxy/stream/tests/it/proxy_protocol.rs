//! PROXY headers in and out, byte for byte, and who may write them.

use meridian_stream::StreamConfig;
use meridian_topology::Millis;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Proxy, Seen, echo, is_closed, soon, tcp_service, topology, until, world};

const V1: &[u8] = b"PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\r\n";
const V1_SIX: &[u8] = b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n";
const V2: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\xc0\0\x02\x01\x12\x67\x01\xbb";
const V2_SIX: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x24\
    \x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x12\x67\x01\xbb";
/// [`V2`] with a NOOP TLV of one byte.
const V2_TLV: &[u8] =
    b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc6\x33\x64\x07\xc0\0\x02\x01\x12\x67\x01\xbb\x04\0\x01\x2a";

struct Setup {
    proxy: Proxy,
    seen: tokio::sync::mpsc::UnboundedReceiver<Seen>,
}

async fn setup(options: &str, trusted: &str) -> Setup {
    let (endpoint, seen) = echo().await;
    let world = world(topology(&[&[endpoint]], &tcp_service(options)));
    let config = StreamConfig {
        trusted_proxies: trusted
            .split_whitespace()
            .map(|net| net.parse().unwrap())
            .collect(),
        proxy_header: Millis(20_000),
        ..StreamConfig::default()
    };
    let proxy = Proxy::start(world, config);
    Setup { proxy, seen }
}

/// Sends `bytes`, ends, and returns what the endpoint read.
async fn through(setup: &mut Setup, bytes: &[u8]) -> Seen {
    let mut client = TcpStream::connect(setup.proxy.tcp()).await.unwrap();
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let mut answer = Vec::new();
    soon(client.read_to_end(&mut answer)).await.unwrap();
    soon(setup.seen.recv()).await.unwrap()
}

#[tokio::test]
async fn headers_are_translated_byte_for_byte() {
    let cases: &[(&str, &[u8], &[u8])] = &[
        ("off", V1, b""),
        ("off", V2, b""),
        ("v1", V1, V1),
        ("v1", V2, V1),
        ("v1", V2_TLV, V1),
        ("v1", V1_SIX, V1_SIX),
        ("v1", V2_SIX, V1_SIX),
        ("v2", V1, V2),
        ("v2", V2, V2),
        // TLVs are the hop's before us; they do not travel on.
        ("v2", V2_TLV, V2),
        ("v2", V1_SIX, V2_SIX),
        ("v2", V2_SIX, V2_SIX),
    ];
    for (out, sent, wanted) in cases {
        let options = format!(", proxy_protocol_in: required, proxy_protocol_out: {out}");
        let mut setup = setup(&options, "127.0.0.0/8").await;
        let seen = through(&mut setup, &[sent, b"hello".as_slice()].concat()).await;
        let shown = seen.escape_ascii().to_string();
        assert_eq!(
            seen,
            [wanted, b"hello".as_slice()].concat(),
            "{out}: {shown}"
        );

        let record = &setup.proxy.access()[0];
        let client = if sent.starts_with(V1_SIX) || sent.starts_with(V2_SIX) {
            "[2001:db8::7]:4711"
        } else {
            "198.51.100.7:4711"
        };
        assert_eq!(record["client"], client);
        assert!(record["peer"].as_str().unwrap().starts_with("127.0.0.1:"));
        setup.proxy.stop().await;
    }
}

#[tokio::test]
async fn without_a_header_in_the_socket_is_announced() {
    for (out, local) in [
        ("v1", None),
        ("v2", None),
        ("v1", Some(V2_LOCAL)),
        ("v1", Some(V1_UNKNOWN)),
    ] {
        let taken = if local.is_some() { "required" } else { "off" };
        let options = format!(", proxy_protocol_in: {taken}, proxy_protocol_out: {out}");
        let mut setup = setup(&options, "127.0.0.1/32").await;
        let mut client = TcpStream::connect(setup.proxy.tcp()).await.unwrap();
        let (from, to) = (client.local_addr().unwrap(), client.peer_addr().unwrap());
        client.write_all(local.unwrap_or_default()).await.unwrap();
        client.write_all(b"hi").await.unwrap();
        client.shutdown().await.unwrap();
        let seen = soon(setup.seen.recv()).await.unwrap();
        let mut wanted = match out {
            "v1" => format!(
                "PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\n",
                from.port(),
                to.port()
            )
            .into_bytes(),
            _ => {
                let mut bytes = V2[..16].to_vec();
                bytes.extend([127, 0, 0, 1, 127, 0, 0, 1]);
                bytes.extend(from.port().to_be_bytes());
                bytes.extend(to.port().to_be_bytes());
                bytes
            }
        };
        wanted.extend(b"hi");
        assert_eq!(seen, wanted, "{}", seen.escape_ascii());
        setup.proxy.stop().await;
    }
}

const V2_LOCAL: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
const V1_UNKNOWN: &[u8] = b"PROXY UNKNOWN\r\n";

#[tokio::test]
async fn a_header_may_come_in_single_bytes() {
    let options = ", proxy_protocol_in: required, proxy_protocol_out: v1";
    let mut setup = setup(options, "127.0.0.0/8").await;
    for header in [V1, V2, V2_TLV] {
        let mut client = TcpStream::connect(setup.proxy.tcp()).await.unwrap();
        client.set_nodelay(true).unwrap();
        for byte in [header, b"hello"].concat() {
            client.write_all(&[byte]).await.unwrap();
            // Lets the proxy read what there is, so that the cuts are real.
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
        let seen = soon(setup.seen.recv()).await.unwrap();
        assert_eq!(seen, [V1, b"hello"].concat());
    }
    setup.proxy.stop().await;
}

/// Bytes that begin like a header and are none.
fn malformed() -> Vec<Vec<u8>> {
    let lines = [
        "PROXY \r\n",
        "PROXY TCP4\r\n",
        "PROXY tcp4 198.51.100.7 192.0.2.1 4711 443\r\n",
        "PROXY TCP5 198.51.100.7 192.0.2.1 4711 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 4711\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 4711 443 1\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 4711 443\n",
        "PROXY TCP4 198.51.100.7  192.0.2.1 4711 443\r\n",
        "PROXY TCP4 198.51.100.777 192.0.2.1 4711 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 65536 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 +80 443\r\n",
        "PROXY TCP4 198.51.100.7 192.0.2.1 080 443\r\n",
        "PROXY TCP4 2001:db8::7 2001:db8::1 4711 443\r\n",
        "PROXY TCP6 198.51.100.7 192.0.2.1 4711 443\r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY TCP4 client.example 192.0.2.1 4711 443\r\n",
    ];
    let mut all: Vec<Vec<u8>> = lines.iter().map(|line| line.as_bytes().to_vec()).collect();
    all.push([b"PROXY UNKNOWN ".as_slice(), &[b'x'; 200]].concat());
    all.push(b"PROXY TCP4 \xff 192.0.2.1 4711 443\r\n".to_vec());
    // The binary header with one field broken at a time.
    for (at, byte) in [
        (12, 0x11),
        (12, 0x31),
        (12, 0x22),
        (13, 0x41),
        (13, 0x13),
        (13, 0x21),
        (14, 0xff),
        (15, 11),
    ] {
        let mut header = V2.to_vec();
        header[at] = byte;
        all.push(header);
    }
    // A TLV that is longer than its header.
    let mut header = V2_TLV.to_vec();
    header[30] = 9;
    all.push(header);
    all
}

#[tokio::test]
async fn malformed_headers_are_closed_before_any_endpoint_hears() {
    for mode in ["required", "optional"] {
        let options = format!(", proxy_protocol_in: {mode}");
        let mut setup = setup(&options, "127.0.0.0/8").await;
        let vectors = malformed();
        assert!(vectors.len() >= 20);
        for bytes in &vectors {
            let mut client = TcpStream::connect(setup.proxy.tcp()).await.unwrap();
            client.write_all(bytes).await.unwrap();
            assert!(is_closed(&mut client).await, "{}", bytes.escape_ascii());
        }
        let refused = "meridian_stream_proxy_headers_refused_total{reason=\"malformed\"}";
        assert_eq!(setup.proxy.metric(refused), vectors.len() as f64);
        until("all are logged", || {
            setup.proxy.access().len() == vectors.len()
        })
        .await;
        for record in setup.proxy.access() {
            assert_eq!(record["outcome"], "malformed");
            assert_eq!(record["attempts"], 0);
        }
        assert!(setup.seen.try_recv().is_err());
        setup.proxy.stop().await;
    }
}

#[tokio::test]
async fn a_required_header_must_come() {
    let mut setup = setup(", proxy_protocol_in: required", "127.0.0.0/8").await;
    let mut client = TcpStream::connect(setup.proxy.tcp()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    assert!(is_closed(&mut client).await);
    let refused = "meridian_stream_proxy_headers_refused_total{reason=\"missing\"}";
    assert_eq!(setup.proxy.metric(refused), 1.0);
    assert!(setup.seen.try_recv().is_err());
    setup.proxy.stop().await;
}

#[tokio::test]
async fn an_optional_header_may_be_missing() {
    let mut setup = setup(
        ", proxy_protocol_in: optional, proxy_protocol_out: v1",
        "127.0.0.0/8",
    )
    .await;
    let seen = through(&mut setup, b"PRoxy is not what this is").await;
    assert!(seen.ends_with(b"PRoxy is not what this is"));
    assert!(seen.starts_with(b"PROXY TCP4 127.0.0.1 127.0.0.1 "));
    let seen = through(&mut setup, &[V2, b"hello"].concat()).await;
    assert_eq!(seen, [V1, b"hello"].concat());
    setup.proxy.stop().await;
}

#[tokio::test]
async fn a_header_from_anybody_else_is_refused() {
    for mode in ["required", "optional"] {
        let options = format!(", proxy_protocol_in: {mode}");
        let mut setup = setup(&options, "10.0.0.0/8").await;
        for header in [V1, V2, V2_LOCAL] {
            let mut client = TcpStream::connect(setup.proxy.tcp()).await.unwrap();
            // The proxy may have closed already.
            let _ = client.write_all(&[header, b"hello"].concat()).await;
            assert!(is_closed(&mut client).await, "{mode}");
        }
        let refused = "meridian_stream_proxy_headers_refused_total{reason=\"untrusted\"}";
        assert_eq!(setup.proxy.metric(refused), 3.0);
        assert!(setup.seen.try_recv().is_err());
        if mode == "optional" {
            // Without a header the same peer is a client like any other.
            assert_eq!(through(&mut setup, b"hello").await, b"hello");
        }
        setup.proxy.stop().await;
    }
}

#[tokio::test]
async fn a_port_without_headers_passes_the_bytes_on() {
    let mut setup = setup("", "127.0.0.0/8").await;
    let bytes = [V1, b"hello"].concat();
    assert_eq!(through(&mut setup, &bytes).await, bytes);
    setup.proxy.stop().await;
}
