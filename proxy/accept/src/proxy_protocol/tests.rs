#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::time::Duration;

use proptest::prelude::*;
use tokio::io::{AsyncWriteExt, duplex};

use super::*;

/// Far beyond what any of these tests takes.
const AMPLE: Duration = Duration::from_secs(30);

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A version 2 header from its fields.
fn v2(version_command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    v2_announcing(
        version_command,
        family,
        u16::try_from(body.len()).unwrap(),
        body,
    )
}

fn v2_announcing(version_command: u8, family: u8, length: u16, body: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([version_command, family]);
    bytes.extend(length.to_be_bytes());
    bytes.extend(body);
    bytes
}

/// 198.51.100.1:4711 → 192.0.2.1:443.
const INET: [u8; 12] = [198, 51, 100, 1, 192, 0, 2, 1, 0x12, 0x67, 1, 0xbb];

fn inet6() -> Vec<u8> {
    let mut body = Vec::new();
    body.extend(
        "2001:db8::1"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets(),
    );
    body.extend(
        "2001:db8::2"
            .parse::<std::net::Ipv6Addr>()
            .unwrap()
            .octets(),
    );
    body.extend(4711_u16.to_be_bytes());
    body.extend(443_u16.to_be_bytes());
    body
}

fn with_tlvs(body: &[u8], tlvs: &[u8]) -> Vec<u8> {
    [body, tlvs].concat()
}

/// Well-formed headers and the client they name (`None`: the socket's own).
fn well_formed() -> Vec<(Vec<u8>, Option<&'static str>)> {
    let v4 = Some("198.51.100.1:4711");
    let v6 = Some("[2001:db8::1]:4711");
    let line = |text: &str| text.as_bytes().to_vec();
    vec![
        (line("PROXY TCP4 198.51.100.1 192.0.2.1 4711 443\r\n"), v4),
        (line("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n"), v6),
        (
            line("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n"),
            Some("255.255.255.255:65535"),
        ),
        (
            line("PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n"),
            Some("0.0.0.0:0"),
        ),
        (line("PROXY UNKNOWN\r\n"), None),
        (line("PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n"), None),
        (line("PROXY UNKNOWN a b c d e f g h anything!\r\n"), None),
        (v2(0x21, 0x11, &INET), v4),
        (v2(0x21, 0x12, &INET), v4),
        (v2(0x21, 0x21, &inet6()), v6),
        (v2(0x21, 0x31, &[0; 216]), None),
        (v2(0x21, 0x00, &[]), None),
        (v2(0x20, 0x00, &[]), None),
        // LOCAL: family and block are to be ignored whatever they hold.
        (v2(0x20, 0x11, &INET), None),
        (v2(0x20, 0x11, &[1, 2, 3]), None),
        (v2(0x20, 0x77, &[9; 40]), None),
        // TLVs: NOOP, ALPN h2, and one of a custom type.
        (v2(0x21, 0x11, &with_tlvs(&INET, &[4, 0, 1, 42])), v4),
        (
            v2(
                0x21,
                0x11,
                &with_tlvs(&INET, &[1, 0, 2, b'h', b'2', 0xE0, 0, 0]),
            ),
            v4,
        ),
        (
            v2(
                0x21,
                0x21,
                &with_tlvs(&inet6(), &[2, 0, 3, b'a', b'.', b'b']),
            ),
            v6,
        ),
        // The longest that is believed.
        (v2(0x21, 0x11, &with_tlvs(&INET, &filler(4096 - 12))), v4),
    ]
}

/// One NOOP TLV of `bytes` bytes altogether.
fn filler(bytes: usize) -> Vec<u8> {
    let value = u16::try_from(bytes - 3).unwrap();
    let mut tlv = vec![4];
    tlv.extend(value.to_be_bytes());
    tlv.resize(bytes, 0);
    tlv
}

/// Bytes that begin like a header and are none; the first word of the error.
pub(crate) fn malformed() -> Vec<(&'static str, Vec<u8>)> {
    let line = |text: &str| text.as_bytes().to_vec();
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(92));
    assert_eq!(long.len(), V1_BYTES_MAX + 1);
    vec![
        ("v1 one byte too long", line(&long)),
        (
            "v1 without any end",
            line(&format!("PROXY TCP4 {}", "1".repeat(200))),
        ),
        (
            "v1 bare newline",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 4711 443\n"),
        ),
        ("v1 no fields", line("PROXY \r\n")),
        (
            "v1 family lower case",
            line("PROXY tcp4 198.51.100.1 192.0.2.1 4711 443\r\n"),
        ),
        (
            "v1 unknown family",
            line("PROXY UDP4 198.51.100.1 192.0.2.1 4711 443\r\n"),
        ),
        ("v1 UNKNOWN glued", line("PROXY UNKNOWNX\r\n")),
        (
            "v1 missing ports",
            line("PROXY TCP4 198.51.100.1 192.0.2.1\r\n"),
        ),
        (
            "v1 missing one port",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 4711\r\n"),
        ),
        (
            "v1 five fields",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 4711 443 9\r\n"),
        ),
        (
            "v1 two spaces",
            line("PROXY TCP4  198.51.100.1 192.0.2.1 4711 443\r\n"),
        ),
        (
            "v1 trailing space",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 4711 443 \r\n"),
        ),
        (
            "v1 bad source",
            line("PROXY TCP4 198.51.100.256 192.0.2.1 4711 443\r\n"),
        ),
        (
            "v1 bad destination",
            line("PROXY TCP4 198.51.100.1 192.0.2 4711 443\r\n"),
        ),
        (
            "v1 v6 address in TCP4",
            line("PROXY TCP4 2001:db8::1 2001:db8::2 4711 443\r\n"),
        ),
        (
            "v1 v4 address in TCP6",
            line("PROXY TCP6 198.51.100.1 192.0.2.1 4711 443\r\n"),
        ),
        (
            "v1 port too large",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 65536 443\r\n"),
        ),
        (
            "v1 port with sign",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 +4711 443\r\n"),
        ),
        (
            "v1 port negative",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 -1 443\r\n"),
        ),
        (
            "v1 port with zero in front",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 04711 443\r\n"),
        ),
        (
            "v1 hexadecimal port",
            line("PROXY TCP4 198.51.100.1 192.0.2.1 ff 443\r\n"),
        ),
        (
            "v1 host name",
            line("PROXY TCP4 localhost 192.0.2.1 4711 443\r\n"),
        ),
        (
            "v1 zone id",
            line("PROXY TCP6 fe80::1%eth0 2001:db8::2 4711 443\r\n"),
        ),
        (
            "v1 tab",
            line("PROXY TCP4\t198.51.100.1 192.0.2.1 4711 443\r\n"),
        ),
        (
            "v1 not UTF-8",
            b"PROXY TCP4 \xff\xfe 192.0.2.1 4711 443\r\n".to_vec(),
        ),
        (
            "v1 carriage return inside",
            line("PROXY TCP4 198.51.100.1\r 192.0.2.1 4711 443\r\n"),
        ),
        ("v2 version 1", v2(0x11, 0x11, &INET)),
        ("v2 version 3", v2(0x31, 0x11, &INET)),
        ("v2 command 2", v2(0x22, 0x11, &INET)),
        ("v2 command 15", v2(0x2f, 0x11, &INET)),
        ("v2 family 4", v2(0x21, 0x41, &INET)),
        ("v2 transport 3", v2(0x21, 0x13, &INET)),
        ("v2 short for IPv4", v2(0x21, 0x11, &INET[..11])),
        ("v2 short for IPv6", v2(0x21, 0x21, &INET)),
        ("v2 short for Unix", v2(0x21, 0x31, &[0; 215])),
        ("v2 no addresses", v2(0x21, 0x11, &[])),
        ("v2 too long", v2_announcing(0x21, 0x11, 4097, &INET)),
        (
            "v2 longest the wire allows",
            v2_announcing(0x21, 0x11, u16::MAX, &INET),
        ),
        (
            "v2 LOCAL too long",
            v2_announcing(0x20, 0x00, u16::MAX, &[]),
        ),
        (
            "v2 TLV cut in its head",
            v2(0x21, 0x11, &with_tlvs(&INET, &[4, 0])),
        ),
        (
            "v2 TLV cut in its value",
            v2(0x21, 0x11, &with_tlvs(&INET, &[4, 0, 9, 1])),
        ),
    ]
}

#[test]
fn well_formed_headers_name_the_client() {
    for (bytes, source) in well_formed() {
        let shown = bytes.escape_ascii().to_string();
        let input = [bytes.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        let Parsed::Complete { header, consumed } = parse(&input).unwrap() else {
            panic!("not complete: {shown}");
        };
        assert_eq!(consumed, bytes.len(), "{shown}");
        let named = header
            .addresses
            .map(|addresses| addresses.source.to_string());
        assert_eq!(named.as_deref(), source, "{shown}");
        // Every cut of it waits for the rest.
        for cut in 0..bytes.len() {
            assert_eq!(
                parse(&bytes[..cut]).unwrap(),
                Parsed::Partial,
                "{cut} of {shown}"
            );
        }
    }
}

#[test]
fn malformed_headers_are_errors() {
    for (what, bytes) in malformed() {
        assert!(parse(&bytes).is_err(), "{what}: {:?}", parse(&bytes));
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let said: Vec<String> = malformed()
        .iter()
        .map(|(what, bytes)| format!("{what}: {}", parse(bytes).unwrap_err()))
        .collect();
    expect_test::expect_file!["tests/errors.txt"].assert_eq(&(said.join("\n") + "\n"));
}

#[test]
fn other_protocols_are_not_headers() {
    let others: [&[u8]; 6] = [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"PROXZ TCP4",
        b"PROXYTCP4 ",
        b"\r\n\r\n\0\r\nQUIX\n",
        b"\0",
    ];
    for bytes in others {
        assert_eq!(
            parse(bytes).unwrap(),
            Parsed::Absent,
            "{}",
            bytes.escape_ascii()
        );
    }
    assert_eq!(parse(b"").unwrap(), Parsed::Partial);
    // HTTP/2's preface and the v1 prefix part at the third byte.
    assert_eq!(parse(b"PR").unwrap(), Parsed::Partial);
    assert_eq!(parse(b"PRI * HTTP/2.0\r\n").unwrap(), Parsed::Absent);
}

#[test]
fn encoded_bytes_are_the_specifications() {
    let v4 = ("198.51.100.1:4711", "192.0.2.1:443");
    let v6 = ("[2001:db8::1]:4711", "[2001:db8::2]:443");
    let check = |version, (source, destination): (&str, &str), wanted: Vec<u8>| {
        let bytes = encode(
            version,
            source.parse().unwrap(),
            destination.parse().unwrap(),
        );
        assert_eq!(bytes, wanted, "{version:?} {source}");
    };
    let line = |text: &str| text.as_bytes().to_vec();
    check(
        Version::V1,
        v4,
        line("PROXY TCP4 198.51.100.1 192.0.2.1 4711 443\r\n"),
    );
    check(
        Version::V1,
        v6,
        line("PROXY TCP6 2001:db8::1 2001:db8::2 4711 443\r\n"),
    );
    check(Version::V2, v4, v2(0x21, 0x11, &INET));
    check(Version::V2, v6, v2(0x21, 0x21, &inet6()));
    check(
        Version::V1,
        ("[::ffff:198.51.100.1]:4711", "192.0.2.1:443"),
        line("PROXY TCP4 198.51.100.1 192.0.2.1 4711 443\r\n"),
    );
    check(
        Version::V1,
        ("198.51.100.1:4711", "[2001:db8::2]:443"),
        line("PROXY TCP6 ::ffff:198.51.100.1 2001:db8::2 4711 443\r\n"),
    );
}

#[tokio::test]
async fn a_header_may_come_byte_by_byte() {
    for (bytes, source) in well_formed() {
        // A pipe of one byte: every read yields exactly one.
        let (mut client, mut server) = duplex(1);
        let input = [bytes.as_slice(), b"x"].concat();
        let writer = tokio::spawn(async move { client.write_all(&input).await });
        let (header, rest) = read_header(&mut server, Expect::Required, AMPLE)
            .await
            .unwrap();
        let named = header
            .unwrap()
            .addresses
            .map(|addresses| addresses.source.to_string());
        assert_eq!(named.as_deref(), source);
        assert!(rest.is_empty());
        drop(server);
        // The one byte past the header was never read here.
        let _ = writer.await.unwrap();
    }
}

#[tokio::test]
async fn bytes_past_the_header_are_given_back() {
    let (mut client, mut server) = duplex(1024);
    client
        .write_all(b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\nhello")
        .await
        .unwrap();
    let (header, rest) = read_header(&mut server, Expect::Required, AMPLE)
        .await
        .unwrap();
    assert_eq!(header.unwrap().addresses, None);
    assert_eq!(rest, "PROXY UNKNOWN\r\nhello");
}

/// Sends `bytes`, ends the stream when told to, and reads a header.
async fn outcome(bytes: &[u8], expect: Expect, end: End) -> String {
    let (mut client, mut server) = duplex(8192);
    client.write_all(bytes).await.unwrap();
    if end == End::Closed {
        client.shutdown().await.unwrap();
    }
    match read_header(&mut server, expect, Duration::from_millis(20)).await {
        Ok((None, rest)) => format!("none, {} bytes", rest.len()),
        Ok((Some(header), rest)) => format!("{:?}, {} bytes", header.version, rest.len()),
        Err(error) => error.to_string(),
    }
}

#[derive(Clone, Copy, PartialEq)]
enum End {
    Open,
    Closed,
}

#[tokio::test(start_paused = true)]
async fn what_is_expected_decides() {
    use Expect::{Off, Optional, Required};
    let v1: &[u8] = b"PROXY UNKNOWN\r\nhi";
    let missing = "the connection does not begin with a PROXY header";
    let late = "no complete PROXY header within 20ms";
    let cases: &[(&[u8], Expect, End, &str)] = &[
        (v1, Off, End::Open, "none, 0 bytes"),
        (v1, Optional, End::Open, "V1, 2 bytes"),
        (v1, Required, End::Open, "V1, 2 bytes"),
        (b"GET /", Optional, End::Open, "none, 5 bytes"),
        (b"GET /", Required, End::Open, missing),
        (b"", Optional, End::Open, "none, 0 bytes"),
        (b"", Required, End::Open, late),
        (b"", Optional, End::Closed, "none, 0 bytes"),
        (b"", Required, End::Closed, missing),
        (b"PROXY TC", Optional, End::Open, late),
        (b"PROXY TC", Required, End::Open, late),
        (
            b"PROXY TC",
            Optional,
            End::Closed,
            "the connection ended after 8 bytes of a PROXY header",
        ),
        (
            b"PROXY TC\r\n",
            Optional,
            End::Open,
            "PROXY v1: Header has an invalid protocol.",
        ),
    ];
    for (bytes, expect, end, wanted) in cases {
        let got = outcome(bytes, *expect, *end).await;
        assert_eq!(&got, wanted, "{} {expect:?}", bytes.escape_ascii());
    }
}

fn arbitrary_address() -> impl Strategy<Value = SocketAddr> {
    (any::<std::net::IpAddr>(), any::<u16>()).prop_map(|(ip, port)| SocketAddr::new(ip, port))
}

/// Bytes that get past the first comparisons more often than noise does.
fn headerish() -> impl Strategy<Value = Vec<u8>> {
    let tail = proptest::collection::vec(any::<u8>(), 0..300);
    let text = "[ -~]{0,120}(\r\n)?";
    prop_oneof![
        tail.clone(),
        tail.prop_map(|tail| [SIGNATURE, &tail].concat()),
        text.prop_map(|text| format!("PROXY {text}").into_bytes()),
        "(TCP4|TCP6|UNKNOWN) [0-9a-f.: ]{0,90}\r\n"
            .prop_map(|text| format!("PROXY {text}").into_bytes()),
        (
            arbitrary_address(),
            arbitrary_address(),
            any::<usize>(),
            any::<u8>(),
            any::<bool>()
        )
            .prop_map(|(source, destination, at, byte, first)| {
                let version = if first { Version::V1 } else { Version::V2 };
                let mut bytes = encode(version, source, destination);
                let at = at % bytes.len();
                bytes[at] = byte;
                bytes
            }),
    ]
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic_and_never_over_read(bytes in headerish()) {
        match parse(&bytes) {
            Ok(Parsed::Complete { consumed, header }) => {
                prop_assert!(consumed <= bytes.len().min(V2_BYTES_MAX));
                // What follows the header does not change it.
                let exact = parse(&bytes[..consumed]).unwrap();
                prop_assert_eq!(exact, Parsed::Complete { consumed, header });
                // And nothing shorter was enough.
                prop_assert_eq!(parse(&bytes[..consumed - 1]).unwrap(), Parsed::Partial);
            }
            Ok(Parsed::Partial) => prop_assert!(bytes.len() < V2_BYTES_MAX),
            // A verdict is final: more bytes do not change it.
            Ok(Parsed::Absent) => {
                let more = [bytes.as_slice(), b"\r\n"].concat();
                prop_assert_eq!(parse(&more).unwrap(), Parsed::Absent);
            }
            Err(_) => {
                let more = [bytes.as_slice(), b"\r\n"].concat();
                prop_assert!(parse(&more).is_err());
            }
        }
    }

    #[test]
    fn what_is_encoded_is_read_back(
        source in arbitrary_address(),
        destination in arbitrary_address(),
        first in any::<bool>(),
    ) {
        let version = if first { Version::V1 } else { Version::V2 };
        let bytes = encode(version, source, destination);
        let Parsed::Complete { header, consumed } = parse(&bytes).unwrap() else {
            panic!("incomplete");
        };
        prop_assert_eq!(consumed, bytes.len());
        let addresses = header.addresses.unwrap();
        prop_assert_eq!(addresses.source.ip().to_canonical(), source.ip().to_canonical());
        prop_assert_eq!(addresses.source.port(), source.port());
        prop_assert_eq!(addresses.destination.ip().to_canonical(), destination.ip().to_canonical());
        prop_assert_eq!(addresses.destination.port(), destination.port());
    }
}
