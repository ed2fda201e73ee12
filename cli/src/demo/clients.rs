//! The demo's clients: real DNS questions with a client subnet, real HTTP requests through the
//! proxy with a trusted forwarded address, and straight to the address that DNS gave.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RData, RecordType};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpStream, UdpSocket};

use crate::failure::Failure;

/// No client waits longer for an answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Bodies of the demo's origins are a few hundred bytes.
const BODY_BYTES_MAX: usize = 64 << 10;

/// A client somewhere in the world.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    /// Where it is, for the reader.
    pub place: &'static str,
    /// An address that the registries assign to that country.
    pub address: Ipv4Addr,
    /// Whether the GDPR protects it.
    pub in_eu: bool,
}

/// One client for each corner the demo's policies tell apart.
pub const CLIENTS: &[Client] = &[
    client("Germany", [85, 214, 132, 117], true),
    client("France", [90, 63, 240, 1], true),
    client("Ireland", [87, 32, 10, 20], true),
    client("Britain", [81, 2, 69, 160], false),
    client("United States", [12, 34, 56, 78], false),
    client("Brazil", [200, 147, 3, 157], false),
    client("Japan", [133, 242, 0, 3], false),
    client("Australia", [139, 130, 4, 5], false),
];

const fn client(place: &'static str, address: [u8; 4], in_eu: bool) -> Client {
    let [a, b, c, d] = address;
    Client {
        place,
        address: Ipv4Addr::new(a, b, c, d),
        in_eu,
    }
}

/// What DNS said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsAnswer {
    /// The response code.
    pub code: ResponseCode,
    /// The addresses, in order.
    pub addresses: Vec<IpAddr>,
}

/// Asks `server` for the addresses of `name` on behalf of `client`'s /24 (RFC 7871).
pub async fn resolve(server: SocketAddr, name: &str, client: Client) -> Result<DnsAnswer, Failure> {
    let mut question = Message::new(rand_id(), MessageType::Query, OpCode::Query);
    question.add_query(Query::query(
        Name::from_ascii(name).map_err(Failure::other)?,
        RecordType::A,
    ));
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    edns.options_mut()
        .insert(EdnsOption::Subnet(ClientSubnet::new(
            IpAddr::V4(client.address),
            24,
            0,
        )));
    question.set_edns(edns);
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))
        .await
        .map_err(Failure::other)?;
    socket.connect(server).await.map_err(Failure::other)?;
    socket
        .send(&question.to_vec().map_err(Failure::other)?)
        .await
        .map_err(Failure::other)?;
    let mut buffer = [0; 4096];
    let length = tokio::time::timeout(PATIENCE, socket.recv(&mut buffer))
        .await
        .map_err(|_| Failure::other(format!("no DNS answer for {name} within {PATIENCE:?}")))?
        .map_err(Failure::other)?;
    let answer = Message::from_vec(&buffer[..length]).map_err(Failure::other)?;
    let addresses = answer
        .answers
        .iter()
        .filter_map(|record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            _ => None,
        });
    Ok(DnsAnswer {
        code: answer.response_code,
        addresses: addresses.collect(),
    })
}

/// What an HTTP server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The region of the origin that answered, when one did.
    pub region: Option<String>,
}

/// `GET http://host/` at `server`, as `client` behind a trusted proxy.
pub async fn get(server: SocketAddr, host: &str, client: Client) -> Result<HttpAnswer, Failure> {
    let request = Request::builder()
        .uri("/")
        .header("host", host)
        .header("x-forwarded-for", client.address.to_string())
        .body(Empty::<Bytes>::new())
        .map_err(Failure::other)?;
    let exchange = async {
        let stream = TcpStream::connect(server).await.map_err(Failure::other)?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(Failure::other)?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await.map_err(Failure::other)?;
        let status = response.status().as_u16();
        let region = response.headers().get("x-origin-region");
        let region = region
            .and_then(|value| value.to_str().ok())
            .map(String::from);
        Limited::new(response.into_body(), BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(Failure::other)?;
        connection.abort();
        Ok(HttpAnswer { status, region })
    };
    tokio::time::timeout(PATIENCE, exchange)
        .await
        .map_err(|_| Failure::other(format!("no HTTP answer for {host} within {PATIENCE:?}")))?
}

/// Query ids only tell answers apart here; each question has a socket of its own.
fn rand_id() -> u16 {
    use std::sync::atomic::{AtomicU16, Ordering};
    static NEXT: AtomicU16 = AtomicU16::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}
