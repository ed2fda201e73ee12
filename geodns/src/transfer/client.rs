//! Asking a primary: is there a newer zone, and if so, what is in it?
//!
//! Everything goes over TCP, the SOA query too: an answer over TCP cannot be forged from afar, and a
//! refresh is rare. A transfer has a connection of its own, so that a primary that closes after each
//! answer is no special case.
//!
//! Limits: [`CONNECT_TIMEOUT`], [`MESSAGE_TIMEOUT`] for each message, [`TRANSFER_TIMEOUT`] for all
//! of a transfer, and the zone's `bytes_max`.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::assembly::{Assembled, Assembly, AssemblyError};
use super::config::Peer;
use super::export::Kind;
use super::message::{Builder, Head, Message, MessageError, Section};
use super::record::{SoaTimes, is_newer};
use super::reply::unix_seconds;
use super::tsig::{Key, Signer, TsigError, Verifier};
use crate::wire::{Opcode, RType, TCP_BYTES_MAX};
use crate::zone::StaticZone;

/// How long a primary may take to accept a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long each message may take.
pub(crate) const MESSAGE_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a whole transfer may take.
pub(crate) const TRANSFER_TIMEOUT: Duration = Duration::from_secs(3_600);
/// Bytes read at once.
const READ_BYTES: usize = 64 * 1024;

/// Why a primary's answer is none.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("cannot connect: {0}")]
    Connect(io::Error),
    #[error("the connection broke: {0}")]
    Broken(io::Error),
    #[error("it did not answer in time")]
    Timeout,
    #[error("it answers {}", rcode_text(*.0))]
    Rcode(u8),
    #[error("it does not answer with authority for the zone")]
    NotAuthoritative,
    #[error("its answer does not fit the question")]
    Mismatch,
    #[error("its answer cannot be read: {0}")]
    Message(#[from] MessageError),
    #[error("its signature is not accepted: {0}")]
    Tsig(#[from] TsigError),
    #[error(transparent)]
    Assembly(#[from] AssemblyError),
    #[error("the zone could not be built: the task ended")]
    Task,
}

fn rcode_text(rcode: u8) -> String {
    match rcode {
        1 => "FORMERR".into(),
        2 => "SERVFAIL".into(),
        3 => "NXDOMAIN".into(),
        4 => "NOTIMP".into(),
        5 => "REFUSED: does it allow us to transfer the zone?".into(),
        9 => "NOTAUTH: has it the zone, and do we share the key?".into(),
        code => format!("response code {code}"),
    }
}

/// A primary to ask about a zone.
#[derive(Clone, Debug)]
pub(crate) struct Primary {
    pub(crate) peer: Peer,
    pub(crate) key: Option<Arc<Key>>,
    pub(crate) zone: Arc<[u8]>,
    pub(crate) bytes_max: u64,
}

/// What a refresh brought.
#[derive(Debug)]
pub(crate) enum Fetched {
    /// The primary has what we have, or something older; its serial.
    UpToDate(u32),
    /// A newer zone, and how many bytes it took.
    Newer(Kind, Arc<StaticZone>, u64),
}

impl Primary {
    /// Brings the zone up to date: asks for the serial, then for what changed, then for everything.
    pub(crate) async fn refresh(
        &self,
        current: Option<&Arc<StaticZone>>,
    ) -> Result<Fetched, FetchError> {
        if let Some(current) = current {
            let serial = self.serial().await?;
            if !is_newer(serial, current.serial()) {
                return Ok(Fetched::UpToDate(serial));
            }
            match self.transfer(Some(current)).await {
                Ok(fetched) => return Ok(fetched),
                Err(error @ (FetchError::Connect(_) | FetchError::Tsig(_))) => return Err(error),
                Err(error) => {
                    tracing::info!(
                        zone = %super::config::shown(&self.zone),
                        primary = %self.peer.address,
                        %error,
                        "an incremental transfer failed; the whole zone is fetched"
                    );
                }
            }
        }
        self.transfer(None).await
    }

    /// The primary's serial.
    async fn serial(&self) -> Result<u32, FetchError> {
        let mut exchange = Exchange::open(self, RType::SOA, None).await?;
        let message = exchange.next().await?;
        if !message.authoritative {
            return Err(FetchError::NotAuthoritative);
        }
        let soa = message
            .answers
            .iter()
            .map(|answer| &answer.record)
            .find(|record| record.rtype == RType::SOA && *record.owner == *self.zone);
        let soa = soa.and_then(|soa| SoaTimes::read(&soa.data));
        exchange.check_end()?;
        Ok(soa.ok_or(FetchError::Mismatch)?.serial)
    }

    async fn transfer(&self, current: Option<&Arc<StaticZone>>) -> Result<Fetched, FetchError> {
        let whole = self.transfer_untimed(current);
        timeout(TRANSFER_TIMEOUT, whole)
            .await
            .map_err(|_| FetchError::Timeout)?
    }

    async fn transfer_untimed(
        &self,
        current: Option<&Arc<StaticZone>>,
    ) -> Result<Fetched, FetchError> {
        let (rtype, current) = match current {
            Some(current) => (RType::IXFR, Some(Arc::clone(current))),
            None => (RType::AXFR, None),
        };
        let mut exchange = Exchange::open(self, rtype, current.as_deref()).await?;
        let mut assembly = Assembly::new(Arc::clone(&self.zone), current, self.bytes_max);
        while !assembly.is_complete() {
            for record in exchange.next().await?.answers {
                assembly.push(record)?;
            }
        }
        exchange.check_end()?;
        let bytes = exchange.bytes;
        // A large zone takes a while to build; the threads that serve do not wait for it.
        let built = tokio::task::spawn_blocking(move || assembly.finish()).await;
        match built.map_err(|_| FetchError::Task)?? {
            Assembled::NotNewer(serial) => Ok(Fetched::UpToDate(serial)),
            Assembled::Zone(kind, zone) => Ok(Fetched::Newer(kind, Arc::new(zone), bytes)),
        }
    }
}

/// One question over one connection, and its answers.
struct Exchange {
    stream: BufReader<TcpStream>,
    id: u16,
    verifier: Option<Verifier>,
    packet: Vec<u8>,
    bytes: u64,
}

impl Exchange {
    /// Connects and asks.
    async fn open(
        primary: &Primary,
        rtype: RType,
        current: Option<&StaticZone>,
    ) -> Result<Self, FetchError> {
        let mut stream = timeout(CONNECT_TIMEOUT, connect(&primary.peer))
            .await
            .map_err(|_| FetchError::Timeout)?
            .map_err(FetchError::Connect)?;
        // Best effort: without it the question may wait for an acknowledgement.
        let _ = stream.set_nodelay(true);
        let id = random() as u16;
        let (mut query, verifier) = question(primary, id, rtype, current);
        let mut framed = (query.len() as u16).to_be_bytes().to_vec();
        framed.append(&mut query);
        timeout(MESSAGE_TIMEOUT, stream.write_all(&framed))
            .await
            .map_err(|_| FetchError::Timeout)?
            .map_err(FetchError::Broken)?;
        Ok(Self {
            stream: BufReader::with_capacity(READ_BYTES, stream),
            id,
            verifier,
            packet: Vec::new(),
            bytes: 0,
        })
    }

    /// The next message of the answer, checked.
    async fn next(&mut self) -> Result<Message, FetchError> {
        timeout(MESSAGE_TIMEOUT, self.read())
            .await
            .map_err(|_| FetchError::Timeout)?
            .map_err(FetchError::Broken)?;
        let message = Message::read(&self.packet)?;
        if !message.is_response || message.id != self.id || message.opcode != Opcode::QUERY {
            return Err(FetchError::Mismatch);
        }
        if let Some(verifier) = &mut self.verifier {
            verifier.check(&self.packet, message.tsig.as_ref(), unix_seconds())?;
        }
        if message.rcode != 0 {
            return Err(FetchError::Rcode(message.rcode));
        }
        Ok(message)
    }

    async fn read(&mut self) -> io::Result<()> {
        let length = usize::from(self.stream.read_u16().await?);
        self.packet.resize(length, 0);
        self.stream.read_exact(&mut self.packet).await?;
        self.bytes += length as u64;
        Ok(())
    }

    /// Whether the answer may end here.
    fn check_end(&self) -> Result<(), FetchError> {
        match &self.verifier {
            Some(verifier) if !verifier.may_end() => Err(FetchError::Tsig(TsigError::Unsigned)),
            _ => Ok(()),
        }
    }
}

async fn connect(peer: &Peer) -> io::Result<TcpStream> {
    let socket = match peer.address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    if let Some(source) = peer.source {
        socket.bind(SocketAddr::new(source, 0))?;
    }
    socket.connect(peer.address).await
}

/// The question in wire form, signed where a key is shared.
fn question(
    primary: &Primary,
    id: u16,
    rtype: RType,
    current: Option<&StaticZone>,
) -> (Vec<u8>, Option<Verifier>) {
    let head = Head {
        id,
        opcode: Opcode::QUERY,
        is_response: false,
        authoritative: false,
        recursion_desired: false,
    };
    let mut wire = primary.zone.to_vec();
    wire.extend_from_slice(&rtype.0.to_be_bytes());
    wire.extend_from_slice(&[0, 1]);
    let mut builder = Builder::new(head, Some(&wire), TCP_BYTES_MAX);
    if let Some(soa) = current.and_then(|zone| zone.records().next()) {
        // A SOA has at most 532 bytes.
        let _ = builder.record(Section::Authority, soa);
    }
    let mut query = builder.finish(crate::wire::Rcode::NoError, None);
    let sign = |key| Signer::request(key, &mut query, unix_seconds());
    let verifier = primary.key.as_ref().map(sign);
    (query, verifier)
}

/// A number nobody foresees; without the system's randomness, the standard library's seed for hash
/// tables.
pub(crate) fn random() -> u64 {
    getrandom::u64().unwrap_or_else(|_| RandomState::new().build_hasher().finish())
}
