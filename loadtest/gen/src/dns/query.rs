//! One question as bytes, made once and patched for each network; and asking it once.
//!
//! All questions have the same length, so a kernel that segments (UDP GSO) can send many at once.

use std::{
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use hickory_proto::{
    op::{Message, ResponseCode},
    rr::RData,
};

use super::geography::Network;
use crate::ours::big;

/// The name asked for.
pub const NAME: &str = "www.bench.example";
/// The name of the plain load: one static A record.
pub const PLAIN_NAME: &str = "plain.bench.example";
/// The zone they are in.
pub const ZONE: &str = "bench.example";
/// Longest wait for the answer to a single question.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// Enough for every answer.
const ANSWER_BYTES_MAX: usize = 1232;

/// Where a question's first label starts: behind the header and the label's length.
const LABEL_AT: usize = 13;

/// Which questions a load asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Ask {
    /// A records of [`NAME`] on behalf of a client subnet of /24.
    Geo,
    /// As `Geo`, of the names of ten thousand services ([`crate::ours::big`]).
    Big,
    /// A records of [`PLAIN_NAME`], without EDNS.
    Plain,
}

impl Ask {
    /// The word on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Geo => "geo",
            Self::Big => "big",
            Self::Plain => "plain",
        }
    }
}

/// A question; all of one kind have one length.
#[derive(Clone, Debug)]
pub struct Question {
    ask: Ask,
    bytes: Vec<u8>,
}

impl Question {
    /// The question of a kind, for no network yet.
    #[must_use]
    pub fn new(ask: Ask) -> Self {
        let (name, additionals) = match ask {
            Ask::Geo | Ask::Big => (NAME, 1),
            Ask::Plain => (PLAIN_NAME, 0),
        };
        // RFC 1035 §4.1.1: id, flags, one question, the additional records.
        let mut bytes = vec![0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, additionals];
        for label in name.split('.') {
            bytes.push(u8::try_from(label.len()).unwrap_or(0));
            bytes.extend(label.bytes());
        }
        // The root; type A, class IN.
        bytes.extend([0, 0, 1, 0, 1]);
        if ask != Ask::Plain {
            // RFC 6891 §6.1.2: OPT for 1,232 bytes with 11 bytes of options.
            bytes.extend([0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 11]);
            // RFC 7871 §6: client subnet, 7 bytes, IPv4, source /24, scope 0, three bytes of address.
            bytes.extend([0, 8, 0, 7, 0, 1, 24, 0, 0, 0, 0]);
        }
        Self { ask, bytes }
    }

    /// How long every question is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a question has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of the question `id`, on behalf of `network` where that is told. Which of many services
    /// is asked for follows from the id, so that neighbours' names are far apart.
    pub fn patched(&mut self, id: u16, network: Network) -> &[u8] {
        self.bytes[..2].copy_from_slice(&id.to_be_bytes());
        if self.ask == Ask::Big {
            let service = usize::from(id.wrapping_mul(40_503)) % big::SERVICES;
            let label = big::label(service);
            self.bytes[LABEL_AT..LABEL_AT + label.len()].copy_from_slice(&label);
        }
        if self.ask != Ask::Plain {
            let subnet = self.bytes.len() - network.prefix.len();
            self.bytes[subnet..].copy_from_slice(&network.prefix);
        }
        &self.bytes
    }
}

/// The id of a reply that is a success with at least one answer; `None` for anything else.
#[must_use]
pub fn answered(reply: &[u8]) -> Option<u16> {
    let header = reply.first_chunk::<12>()?;
    let is_reply = header[2] & 0x80 != 0;
    let is_success = header[3] & 0x0f == 0;
    let answers = u16::from_be_bytes([header[6], header[7]]);
    (is_reply && is_success && answers > 0).then(|| u16::from_be_bytes([header[0], header[1]]))
}

/// Asks once and reads the answer with a decoder that is not ours.
///
/// # Errors
/// In words, when there is no answer or not one A record.
pub fn ask(server: SocketAddr, ask: Ask, id: u16, network: Network) -> Result<Ipv4Addr, String> {
    let exchange = || -> std::io::Result<Vec<u8>> {
        let socket = UdpSocket::bind(("127.0.0.1", 0))?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.connect(server)?;
        socket.send(Question::new(ask).patched(id, network))?;
        let mut reply = vec![0; ANSWER_BYTES_MAX];
        let length = socket.recv(&mut reply)?;
        reply.truncate(length);
        Ok(reply)
    };
    let reply = exchange().map_err(|error| format!("{network}: {error}"))?;
    let message = Message::from_vec(&reply).map_err(|error| format!("{network}: {error}"))?;
    if message.metadata.response_code != ResponseCode::NoError {
        return Err(format!("{network}: {}", message.metadata.response_code));
    }
    match message.answers.as_slice() {
        [record] => match &record.data {
            RData::A(address) => Ok(address.0),
            other => Err(format!("{network}: {other} is no A record")),
        },
        answers => Err(format!("{network}: {} answers", answers.len())),
    }
}
