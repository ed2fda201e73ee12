//! Real sockets on loopback.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::{BATCH_MAX, Batch, Destination, QUERY_BYTES_MAX, Sent};

/// Receives in a row that bring nothing before a test gives up.
const EMPTY_RECEIVES_MAX: usize = 50;

fn server(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    let timeout = Some(Duration::from_millis(100));
    socket.set_read_timeout(timeout).unwrap();
    socket
}

fn client(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    let timeout = Some(Duration::from_secs(20));
    socket.set_read_timeout(timeout).unwrap();
    socket
}

/// Receives until `wanted` datagrams came, answering each with itself reversed.
fn echo_reversed(socket: &UdpSocket, batch: &mut Batch, wanted: usize) -> Vec<(SocketAddr, usize)> {
    let (mut seen, mut empty) = (Vec::new(), 0);
    while seen.len() < wanted && empty < EMPTY_RECEIVES_MAX {
        match batch.receive(socket) {
            Ok(count) => assert!((1..=BATCH_MAX).contains(&count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                empty += 1;
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        batch.answer_each(|query, source, reply| {
            seen.push((source, query.len()));
            for (to, from) in reply.iter_mut().zip(query.iter().rev()) {
                *to = *from;
            }
            // The empty datagram stands for a query without an answer.
            (!query.is_empty()).then_some(query.len())
        });
        let sent = batch.send(socket);
        assert_eq!(sent.failed, 0);
    }
    seen
}

#[test]
fn every_datagram_gets_its_own_reply_in_both_families() {
    for (at, from) in [("127.0.0.1:0", "127.0.0.1:0"), ("[::1]:0", "[::1]:0")] {
        let server = server(at);
        let mut batch = Batch::new(&server, Destination::Bound).unwrap();
        let clients: Vec<_> = (0..5).map(|_| client(from)).collect();
        let mut sent = BTreeMap::new();
        // More than two batches.
        for n in 0..150_u16 {
            let socket = &clients[usize::from(n) % clients.len()];
            let text = format!("{n}:{}", "x".repeat(usize::from(n) * 3)).into_bytes();
            socket.send_to(&text, server.local_addr().unwrap()).unwrap();
            *sent.entry(socket.local_addr().unwrap()).or_insert(0_usize) += 1;
        }
        let seen = echo_reversed(&server, &mut batch, 150);
        assert_eq!(seen.len(), 150);
        for socket in &clients {
            let address = socket.local_addr().unwrap();
            let from_here = seen.iter().filter(|(source, _)| *source == address).count();
            assert_eq!(from_here, sent[&address]);
            let mut buffer = [0; QUERY_BYTES_MAX];
            for _ in 0..from_here {
                let bytes = socket.recv(&mut buffer).unwrap();
                let text: Vec<u8> = buffer[..bytes].iter().rev().copied().collect();
                let text = String::from_utf8(text).unwrap();
                let (n, padding) = text.split_once(':').unwrap();
                assert_eq!(padding.len(), n.parse::<usize>().unwrap() * 3);
            }
        }
    }
}

#[test]
fn a_wildcard_socket_replies_from_the_address_that_was_asked() {
    for (wildcard, asked, from) in [
        ("0.0.0.0:0", "127.0.0.77", "127.0.0.1:0"),
        ("[::]:0", "::1", "[::1]:0"),
    ] {
        let server = server(wildcard);
        let mut batch = Batch::new(&server, Destination::Any).unwrap();
        let port = server.local_addr().unwrap().port();
        let asked = SocketAddr::new(asked.parse::<IpAddr>().unwrap(), port);
        let client = client(from);
        client.send_to(b"who", asked).unwrap();
        assert_eq!(echo_reversed(&server, &mut batch, 1).len(), 1);
        let mut buffer = [0; 16];
        let (bytes, source) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..bytes], source), (&b"ohw"[..], asked));
    }
}

#[test]
fn silence_and_long_datagrams_are_taken_in_stride() {
    let server = server("127.0.0.1:0");
    let mut batch = Batch::new(&server, Destination::Bound).unwrap();
    let to = server.local_addr().unwrap();
    let client = client("127.0.0.1:0");
    client.send_to(&[], to).unwrap();
    client.send_to(&[7; QUERY_BYTES_MAX + 100], to).unwrap();
    client.send_to(b"end", to).unwrap();
    let lengths: Vec<_> = echo_reversed(&server, &mut batch, 3)
        .into_iter()
        .map(|(_, bytes)| bytes)
        .collect();
    assert_eq!(lengths, [0, QUERY_BYTES_MAX, 3]);
    let mut buffer = [0; QUERY_BYTES_MAX + 200];
    assert_eq!(client.recv(&mut buffer).unwrap(), QUERY_BYTES_MAX);
    assert_eq!(client.recv(&mut buffer).unwrap(), 3);
}

/// A datagram that claims to come from port 0, where nobody can be answered: a UDP header by hand,
/// with no checksum (RFC 768).
fn send_from_port_zero(to: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))?;
    let [high, low] = to.port().to_be_bytes();
    let datagram = [0, 0, high, low, 0, 12, 0, 0, b'f', b'a', b'k', b'e'];
    socket.send_to(&datagram, &to.into())?;
    Ok(())
}

#[test]
fn a_refused_reply_does_not_hold_up_the_others() {
    let server = server("127.0.0.1:0");
    let to = server.local_addr().unwrap();
    let mut batch = Batch::new(&server, Destination::Bound).unwrap();
    let client = client("127.0.0.1:0");
    client.send_to(b"before", to).unwrap();
    if let Err(error) = send_from_port_zero(to) {
        eprintln!("SKIP: raw sockets need root: {error}");
        return;
    }
    client.send_to(b"after", to).unwrap();
    let (mut seen, mut total) = (0, Sent::default());
    while seen < 3 {
        seen += batch.receive(&server).unwrap();
        batch.answer_each(|query, _, reply| {
            reply[..query.len()].copy_from_slice(query);
            Some(query.len())
        });
        let sent = batch.send(&server);
        total.sent += sent.sent;
        total.failed += sent.failed;
    }
    assert_eq!(total, Sent { sent: 2, failed: 1 });
    let mut buffer = [0; 64];
    for expected in [&b"before"[..], b"after"] {
        let bytes = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..bytes], expected);
    }
}
