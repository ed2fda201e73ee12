//! Floods from fifty addresses: what goes out is bounded, who has proven the address is served, seats
//! are kept, and memory stays where it was. Bounded in count; nothing here depends on speed.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use meridian_geodns::guard::RateLimitConfig;
use meridian_topology::Millis;
use socket2::{Domain, Socket, Type};

use crate::rig::{DEADLINE, Rig, answers, query, receive_tcp, send_tcp};

/// Addresses the flood comes from.
const SOURCES: u8 = 50;
/// Questions from each.
const ROUNDS: u32 = 400;
/// Answers a second for each.
const RATE: u32 = 5;
/// Growth of the process that is still noise.
const GROWTH_BYTES_MAX: usize = 16 << 20;

fn source(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 50, n + 1)
}

fn limited(config: &mut meridian_geodns::DnsConfig) {
    config.rate_limit = Some(RateLimitConfig {
        responses_per_second: RATE,
        nxdomains_per_second: RATE,
        errors_per_second: RATE,
        // Each loopback address stands for a network.
        ipv4_prefix: 32,
        ..RateLimitConfig::default()
    });
}

/// A NOTIFY from nobody we know is refused by the slow path, at no higher rate than anything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_to_the_slow_path_are_limited_too() {
    let rig = Rig::start(limited);
    let socket = rig.udp();
    let mut notify = query(7, "example.test.", RecordType::SOA, None);
    notify[2] = 4 << 3;
    let begun = Instant::now();
    for _ in 0..ROUNDS {
        socket.send(&notify).unwrap();
    }
    // Answered after all of them: by then they have been ruled on.
    let tcp = &mut rig.tcp();
    send_tcp(tcp, &query(8, "www.example.test.", RecordType::A, None));
    receive_tcp(tcp).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let mut answer = [0; 512];
    let refused = std::iter::from_fn(|| socket.recv(&mut answer).ok()).count();
    let seconds = u32::try_from(begun.elapsed().as_secs()).unwrap() + 2;
    let most = usize::try_from(RATE * seconds).unwrap();
    assert!((1..=most).contains(&refused), "{refused} of at most {most}");
    let dropped = rig.metric("meridian_dns_rate_limited_total{action=\"dropped\"}");
    assert!(dropped > 100.0, "{dropped}");
    rig.stop().await;
}

/// What the sources got.
#[derive(Debug, Default)]
struct Got {
    answers: u32,
    slips: u32,
    bytes: usize,
}

impl Got {
    fn take_from(&mut self, socket: &UdpSocket, question_bytes: usize) {
        let mut answer = [0; 4096];
        while let Ok(bytes) = socket.recv(&mut answer) {
            self.bytes += bytes;
            // TC, and no answer.
            if answer[2] & 0x02 != 0 {
                assert_eq!(answer[6..12], [0; 6], "a slip has no records");
                assert!(bytes <= question_bytes, "a slip of {bytes} bytes");
                self.slips += 1;
            } else {
                self.answers += 1;
            }
        }
    }
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<usize>().ok());
    kib.unwrap() * 1024
}

/// Floods the server; returns what came back, and how many bytes were sent.
async fn flood(rig: &Rig, sockets: &[UdpSocket], packet: &[u8]) -> (Got, usize) {
    let mut got = Got::default();
    let mut sent = 0;
    for _ in 0..ROUNDS {
        for socket in sockets {
            sent += socket.send(packet).unwrap_or(0);
        }
        for socket in sockets {
            got.take_from(socket, packet.len());
        }
        tokio::task::yield_now().await;
    }
    // Until the server has nothing left to say.
    let mut quiet = 0;
    let mut seen = rig.metric("meridian_dns_queries_total{transport=\"udp\"}");
    while quiet < 10 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        for socket in sockets {
            got.take_from(socket, packet.len());
        }
        let now = rig.metric("meridian_dns_queries_total{transport=\"udp\"}");
        quiet = if now == seen { quiet + 1 } else { 0 };
        seen = now;
    }
    (got, sent)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_gets_little_and_a_cookie_is_served() {
    let rig = Rig::start(limited);
    let sockets: Vec<_> = (0..SOURCES)
        .map(|n| {
            let socket = UdpSocket::bind((source(n), 0)).unwrap();
            socket.connect(rig.address).unwrap();
            socket.set_nonblocking(true).unwrap();
            socket
        })
        .collect();
    let packet = query(1, "www.example.test.", RecordType::A, None);
    // Warm: every buffer that will ever be needed is there.
    flood(&rig, &sockets[..1], &packet).await;
    let (resident, start) = (resident_bytes(), Instant::now());
    let count = |rig: &Rig| {
        [
            "meridian_dns_queries_total{transport=\"udp\"}",
            "meridian_dns_rate_limited_total{action=\"dropped\"}",
            "meridian_dns_rate_limited_total{action=\"slipped\"}",
        ]
        .map(|name| rig.metric(name))
    };
    let before = count(&rig);
    let (got, sent_bytes) = flood(&rig, &sockets, &packet).await;
    let elapsed = start.elapsed().as_secs() + 2;
    let after = count(&rig);
    let [queries, dropped, slipped] = [0, 1, 2].map(|at| (after[at] - before[at]) as u32);
    let answered = queries - dropped - slipped;

    let sources = u32::from(SOURCES);
    assert!(queries > sources * RATE * 10, "no flood: {queries} arrived");
    let most = sources * RATE * u32::try_from(elapsed).unwrap();
    assert!(answered <= most, "{answered} answers, allowed are {most}");
    assert!(got.answers <= answered && got.slips <= slipped, "{got:?}");
    // Every second withheld one slips, source by source.
    let withheld = dropped + slipped;
    assert!(
        withheld > 0 && slipped.abs_diff(withheld / 2) <= sources,
        "{slipped} of {withheld}"
    );
    assert!(got.answers > 0 && got.slips > 0, "{got:?}");
    assert!(got.bytes < sent_bytes, "{got:?} for {sent_bytes} bytes");
    let grown = resident_bytes().saturating_sub(resident);
    assert!(grown < GROWTH_BYTES_MAX, "{grown} bytes more");

    the_proven_are_served(&rig, &packet);
    rig.stop().await;
}

/// A real client at a flooded address: its first question with a cookie may be dropped or slipped,
/// either way it has a server cookie soon, and from then on every answer.
fn the_proven_are_served(rig: &Rig, packet: &[u8]) {
    let socket = UdpSocket::bind((source(3), 0)).unwrap();
    socket.connect(rig.address).unwrap();
    let mut cookie = vec![7; 8];
    let start = Instant::now();
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    while cookie.len() == 8 {
        assert!(start.elapsed() < DEADLINE, "no cookie");
        // Spends what the account has earned meanwhile, so that it is a slip that brings the cookie.
        for _ in 0..RATE * 2 {
            socket.send(packet).unwrap();
        }
        socket.send(&with_cookie(&cookie)).unwrap();
        let mut answer = [0; 4096];
        while let Ok(bytes) = socket.recv(&mut answer) {
            if let Some(full) = cookie_of(&Message::from_vec(&answer[..bytes]).unwrap()) {
                cookie = full;
            }
        }
    }
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    for n in 0..RATE * 20 {
        socket.send(&with_cookie(&cookie)).unwrap();
        let mut answer = [0; 4096];
        let bytes = socket.recv(&mut answer).unwrap();
        let message = Message::from_vec(&answer[..bytes]).unwrap();
        assert!(!message.metadata.truncation, "question {n}");
        assert_eq!(answers(&message).len(), 2, "question {n}");
        cookie = cookie_of(&message).unwrap();
    }
    // And over TCP without one.
    let mut stream = stream_from(source(3), rig.address);
    for _ in 0..RATE * 5 {
        send_tcp(&mut stream, packet);
        assert_eq!(answers(&receive_tcp(&mut stream).unwrap()).len(), 2);
    }
}

fn with_cookie(cookie: &[u8]) -> Vec<u8> {
    let packet = query(2, "www.example.test.", RecordType::A, None);
    let mut message = Message::from_vec(&packet).unwrap();
    let edns = message.edns.insert(Edns::new());
    let option = EdnsOption::Unknown(EdnsCode::Cookie.into(), cookie.to_vec());
    edns.options_mut().insert(option);
    message.to_vec().unwrap()
}

/// Client and server part.
fn cookie_of(message: &Message) -> Option<Vec<u8>> {
    match message.edns.as_ref()?.option(EdnsCode::Cookie)? {
        EdnsOption::Unknown(_, cookie) => Some(cookie.clone()),
        _ => None,
    }
}

/// A connection from an address.
fn stream_from(source: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((source, 0)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

/// Whether the server has closed a connection on which it owes nothing.
fn is_closed(stream: &mut TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    match stream.read(&mut [0; 1]) {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

const SEATS: usize = 40;
const SEATS_PER_CLIENT: usize = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_from_everywhere_find_their_seats_and_no_more() {
    let rig = Rig::start(|config| {
        config.tcp.connections = SEATS;
        config.tcp.connections_per_client = SEATS_PER_CLIENT;
        config.tcp.idle_timeout = Millis(600_000);
    });
    let open = "meridian_dns_connections{transport=\"tcp\"}";
    let refused = |reason: &str| {
        rig.metric(&format!(
            "meridian_dns_connections_refused_total{{reason=\"{reason}\",transport=\"tcp\"}}"
        ))
    };
    // Five from each address where two may sit; then the house is full.
    let mut streams: Vec<_> = (0..SOURCES)
        .flat_map(|n| (0..5).map(move |_| n))
        .map(|n| stream_from(source(n), rig.address))
        .collect();
    let all = streams.len() as f64;
    let start = Instant::now();
    while rig.metric(open) + refused("full") + refused("client") < all {
        assert!(start.elapsed() < DEADLINE, "not all were looked at");
        assert!(rig.metric(open) <= SEATS as f64);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(rig.metric(open), SEATS as f64);
    // Nineteen addresses have their two seats and were refused three; with the twentieth's two the
    // house was full.
    assert_eq!((refused("client"), refused("full")), (57.0, 153.0));
    let packet = query(1, "www.example.test.", RecordType::A, None);
    let (mut served, mut closed) = (0, 0);
    for stream in &mut streams {
        send_quietly(stream, &packet);
        match receive_tcp(stream) {
            Some(message) => {
                assert_eq!(answers(&message).len(), 2);
                served += 1;
            }
            None => closed += 1,
        }
    }
    assert_eq!((served, closed), (SEATS, streams.len() - SEATS));
    drop(streams);
    while rig.metric(open) > 0.0 {
        assert!(start.elapsed() < 2 * DEADLINE, "seats were not given back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    rig.stop().await;
}

/// Sends on a connection that may be closed already.
fn send_quietly(stream: &mut TcpStream, packet: &[u8]) {
    let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(packet);
    let _ = stream.write_all(&framed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_now_and_then_keeps_no_seat() {
    let rig = Rig::start(|config| {
        config.tcp.connections = 8;
        config.tcp.idle_timeout = Millis(2_000);
    });
    let packet = query(1, "www.example.test.", RecordType::A, None);
    let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(&packet);
    let mut slow: Vec<_> = (0..8)
        .map(|n| stream_from(source(n), rig.address))
        .collect();
    let start = Instant::now();
    // One byte of the question at a time, always before the idle time would be over: the whole
    // question takes longer than there is patience for.
    let mut next = 0;
    while !slow.iter_mut().all(is_closed) {
        assert!(start.elapsed() < DEADLINE, "slow clients still sit");
        for stream in &mut slow {
            let _ = stream.write(&framed[next..=next]);
        }
        next = (next + 1).min(framed.len() - 2);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let mut honest = stream_from(source(20), rig.address);
    send_tcp(&mut honest, &packet);
    assert_eq!(answers(&receive_tcp(&mut honest).unwrap()).len(), 2);
    rig.stop().await;
}
