//! A running server and ways to ask it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::num::NonZeroUsize;
use std::time::Duration;

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RecordType};
use meridian_geodns::transfer::ZoneExchange;
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsError, DnsServer, Transport};
use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, Metrics};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest wait for anything; only a hang comes near it.
pub const DEADLINE: Duration = Duration::from_secs(30);

pub struct Rig {
    pub address: SocketAddr,
    /// DoT, DoH and DoQ.
    pub encrypted: Vec<(Transport, SocketAddr)>,
    pub plan: PlanHandle,
    pub shelf: ZoneShelf,
    pub metrics: Metrics,
    pub exchange: ZoneExchange,
    server: JoinHandle<Result<(), DnsError>>,
    shutdown: DropGuard,
}

impl Rig {
    /// A server for the fixture's world on a free port, two UDP workers.
    pub fn start(configure: impl FnOnce(&mut DnsConfig)) -> Self {
        let mut config = DnsConfig {
            listen: vec!["127.0.0.1:0".parse().unwrap()],
            ..DnsConfig::default()
        };
        config.workers = NonZeroUsize::new(2);
        configure(&mut config);
        let settings = config.validate(NonZeroUsize::MIN).unwrap();
        let plan = PlanHandle::fixed(crate::fixture::world());
        let metrics = Metrics::new();
        let shelf = ZoneShelf::new();
        let server =
            DnsServer::bind(&settings, &plan, &shelf, &metrics, DecisionLog::off()).unwrap();
        let address = server.local_addrs()[0];
        let exchange = server.exchange();
        let encrypted = server.encrypted_addrs();
        let shutdown = CancellationToken::new();
        let server = tokio::spawn(server.run(shutdown.clone()));
        Self {
            address,
            encrypted,
            plan,
            shelf,
            metrics,
            exchange,
            server,
            shutdown: shutdown.drop_guard(),
        }
    }

    /// Stops the server and waits for it.
    pub async fn stop(self) {
        drop(self.shutdown);
        tokio::time::timeout(DEADLINE, self.server)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    /// A metric's value, by the start of its line.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.metrics.render().unwrap();
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or(f64::NAN)
    }

    /// A UDP socket that talks to the server.
    pub fn udp(&self) -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    pub fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    }
}

/// A query, with a client subnet if one is given.
pub fn query(id: u16, name: &str, rtype: RecordType, subnet: Option<&str>) -> Vec<u8> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), rtype));
    if let Some((address, prefix)) = subnet.and_then(|subnet| subnet.split_once('/')) {
        let subnet = ClientSubnet::new(address.parse().unwrap(), prefix.parse().unwrap(), 0);
        message
            .edns
            .insert(Edns::new())
            .options_mut()
            .insert(EdnsOption::Subnet(subnet));
    }
    message.to_vec().unwrap()
}

pub fn ask_udp(socket: &UdpSocket, packet: &[u8]) -> Message {
    socket.send(packet).unwrap();
    let mut answer = [0; 4096];
    let len = socket.recv(&mut answer).unwrap();
    Message::from_vec(&answer[..len]).unwrap()
}

pub fn send_tcp(stream: &mut TcpStream, packet: &[u8]) {
    let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
    framed.extend_from_slice(packet);
    stream.write_all(&framed).unwrap();
}

/// The next message of a stream, or `None` at its end.
pub fn receive_tcp(stream: &mut TcpStream) -> Option<Message> {
    let mut length = [0; 2];
    match stream.read_exact(&mut length) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
            panic!("the server is silent")
        }
        Err(_) => return None,
    }
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    Some(Message::from_vec(&answer).unwrap())
}

/// The data of the answer section.
pub fn answers(message: &Message) -> Vec<String> {
    message
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect()
}
