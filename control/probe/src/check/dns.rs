//! A DNS question over UDP. Any answer to it without an error code is healthy, a truncated or an
//! empty one included: the server answers for the name.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RecordType as WireType};
use meridian_topology::{DnsName, RecordType};
use tokio::net::UdpSocket;

use super::Failure;

/// Largest answer that is read, in bytes; a longer datagram is cut and so malformed.
const ANSWER_BYTES_MAX: usize = 4_096;

pub(super) async fn ask(
    address: SocketAddr,
    name: &DnsName,
    rtype: RecordType,
    nonce: u64,
) -> Result<(), Failure> {
    // The low bits of a mixed number: every id is as good as every other.
    let id = (nonce & 0xffff) as u16;
    let question = question(name, rtype, id)?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // A connected socket takes answers from this address only and hears of a closed port.
    let failed = |error: std::io::Error| Failure::connecting(&error);
    let socket = UdpSocket::bind(any).await.map_err(failed)?;
    socket.connect(address).await.map_err(failed)?;
    let bytes = question
        .to_vec()
        .map_err(|error| Failure::Protocol(error.to_string()))?;
    socket.send(&bytes).await.map_err(failed)?;
    let mut buffer = [0; ANSWER_BYTES_MAX];
    loop {
        let length = socket.recv(&mut buffer).await.map_err(failed)?;
        let answer = &buffer[..length];
        // An answer to an earlier question is late, not wrong: keep waiting for ours.
        if answer.get(..2) == Some(&id.to_be_bytes()[..]) {
            return judge(answer, &question);
        }
    }
}

fn question(name: &DnsName, rtype: RecordType, id: u16) -> Result<Message, Failure> {
    let mut name = Name::from_ascii(name.as_str())
        .map_err(|error| Failure::Protocol(format!("unsendable name: {error}")))?;
    name.set_fqdn(true);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, wire_type(rtype)));
    Ok(message)
}

const fn wire_type(rtype: RecordType) -> WireType {
    match rtype {
        RecordType::A => WireType::A,
        RecordType::Aaaa => WireType::AAAA,
        RecordType::Cname => WireType::CNAME,
        RecordType::Txt => WireType::TXT,
        RecordType::Ns => WireType::NS,
        RecordType::Mx => WireType::MX,
    }
}

fn judge(answer: &[u8], question: &Message) -> Result<(), Failure> {
    let answer = Message::from_vec(answer).map_err(|error| Failure::Protocol(error.to_string()))?;
    if answer.metadata.message_type != MessageType::Response {
        return Err(Failure::Protocol("a question came back".into()));
    }
    match answer.metadata.response_code {
        ResponseCode::NoError if answer.queries == question.queries => Ok(()),
        ResponseCode::NoError => Err(Failure::Protocol("an answer to another question".into())),
        code => Err(Failure::DnsCode(code.to_str().to_owned())),
    }
}
