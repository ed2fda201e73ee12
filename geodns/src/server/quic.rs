//! DNS over QUIC (RFC 9250): one query, one stream.
//!
//! quinn brings the streams; a stream holds two bytes of length and the query, ended by FIN, and gets
//! the same back, several times for a zone transfer (§4.2). An answer that cannot be ended is reset: a
//! FIN would say that it was all. What RFC 9250 §4.3.3 calls fatal (a message id other than 0, a length that is not
//! the stream's, edns-tcp-keepalive, no FIN) closes the connection with DOQ_PROTOCOL_ERROR.
//!
//! Limits: streams per connection by configuration and the patience of every connection. While more
//! than half of the seats are taken, an address is validated (Retry, RFC 9000 §8.1.2) before it gets
//! one, so that forged ones fill at most half of the house. 0-RTT is not offered: a query replayed
//! is harmless, but not worth the state.

use std::net::SocketAddr;
use std::sync::Arc;

use meridian_accept::{BindOptions, CertStore, bind_udp};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{
    Connection, Endpoint, EndpointConfig, Incoming, RecvStream, SendStream, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::DnsError;
use super::accept::{DRAIN, House};
use super::tcp::RESPONSE_BYTES;
use super::udp::QUERY_BYTES_MAX;
use crate::config::{QuicConfig, TcpSettings};
use crate::responder::{Outcome, Transport};
use crate::transfer::SlowMessage;
use crate::wire::{Query, QueryRoom};

/// RFC 9250 §4.3.
const NO_ERROR: VarInt = VarInt::from_u32(0x0);
const INTERNAL_ERROR: VarInt = VarInt::from_u32(0x1);
const PROTOCOL_ERROR: VarInt = VarInt::from_u32(0x2);
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x4);
/// What a client may send on one stream before it is read: a query and its length.
const STREAM_WINDOW_BYTES: u32 = QUERY_BYTES_MAX as u32 + 2;
/// Answers a connection holds back for a client that does not read.
const SEND_WINDOW_BYTES: u64 = 256 * 1024;

/// The client broke the protocol.
struct ProtocolError;

/// Opens the endpoint of one address.
pub(super) fn open(
    address: SocketAddr,
    certificates: &Arc<CertStore>,
    config: &QuicConfig,
    tcp: TcpSettings,
) -> Result<Endpoint, DnsError> {
    let tls = certificates
        .server_config(&[b"doq"], None)
        .map_err(DnsError::Tls)?;
    let crypto = QuicServerConfig::try_from(tls).map_err(|_| DnsError::NoQuicCipher)?;
    let mut transport = TransportConfig::default();
    // At most 1,000.
    let streams = VarInt::from_u32(config.streams as u32);
    transport
        .max_concurrent_bidi_streams(streams)
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .send_window(SEND_WINDOW_BYTES)
        .datagram_receive_buffer_size(None)
        .max_idle_timeout(tcp.idle_timeout.try_into().ok());
    let mut server = ServerConfig::with_crypto(Arc::new(crypto));
    server
        .transport_config(Arc::new(transport))
        .max_incoming(tcp.connections_max);
    let socket_error = |source| DnsError::Socket { address, source };
    let socket = bind_udp(address, BindOptions::default())?
        .into_std()
        .map_err(socket_error)?;
    Endpoint::new(
        EndpointConfig::default(),
        Some(server),
        socket,
        Arc::new(TokioRuntime),
    )
    .map_err(socket_error)
}

/// Accepts on one endpoint until `stop`, then gives open connections a moment.
pub(super) async fn accept(endpoint: Endpoint, house: House, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        let incoming = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next() => continue,
            incoming = endpoint.accept() => incoming,
        };
        let Some(incoming) = incoming else { break };
        if house.seats.is_crowded() && incoming.may_retry() {
            // It fails only for an address that is validated already.
            let _ = incoming.retry();
            continue;
        }
        let source = incoming.remote_address();
        let Some(seated) = house.seat(Transport::Quic, source) else {
            incoming.refuse();
            continue;
        };
        let (house, stop) = (house.clone(), stop.clone());
        connections.spawn(async move {
            serve(incoming, source, &house, &stop).await;
            drop(seated);
        });
    }
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(DRAIN, drained).await.is_err() {
        connections.shutdown().await;
    }
    endpoint.close(NO_ERROR, b"");
    // Says goodbye to those who are still there.
    let _ = timeout(DRAIN, endpoint.wait_idle()).await;
}

async fn serve(incoming: Incoming, source: SocketAddr, house: &House, stop: &CancellationToken) {
    let shaken = tokio::select! {
        () = stop.cancelled() => return,
        shaken = house.seats.wait_for(incoming.into_future()) => shaken,
    };
    let Some(Ok(connection)) = shaken else {
        house
            .responder
            .metrics()
            .count_handshake_failure(Transport::Quic);
        return;
    };
    let code = queries(&connection, source, house, stop).await;
    connection.close(code, b"");
}

/// Answers until the client is silent, done or breaks the protocol; the code to close with.
async fn queries(
    connection: &Connection,
    source: SocketAddr,
    house: &House,
    stop: &CancellationToken,
) -> VarInt {
    let mut streams = JoinSet::new();
    let mut left = house.queries_max;
    let code = loop {
        if left == 0 {
            break EXCESSIVE_LOAD;
        }
        let accepted = tokio::select! {
            () = stop.cancelled() => break NO_ERROR,
            Some(ended) = streams.join_next() => match ended {
                Ok(Err(ProtocolError)) => return PROTOCOL_ERROR,
                _ => continue,
            },
            accepted = house.seats.wait_for(connection.accept_bi()) => accepted,
        };
        match accepted {
            Some(Ok((send, receive))) => {
                streams.spawn(answer(send, receive, source, house.clone()));
                left -= 1;
            }
            // Gone.
            Some(Err(_)) => return NO_ERROR,
            // Silent because it is being answered; every stream has a patience of its own.
            None if !streams.is_empty() => {}
            // Silent too long.
            None => break NO_ERROR,
        }
    };
    let drained = async { while streams.join_next().await.is_some() {} };
    let _ = timeout(DRAIN, drained).await;
    code
}

/// Answers the query of one stream. A breach resets it; dropped, it would look like an empty answer.
async fn answer(
    mut send: SendStream,
    receive: RecvStream,
    source: SocketAddr,
    house: House,
) -> Result<(), ProtocolError> {
    let exchanged = exchange(&mut send, receive, source, &house).await;
    if exchanged.is_err() {
        // The client may have closed it already.
        let _ = send.reset(PROTOCOL_ERROR);
    }
    exchanged
}

async fn exchange(
    send: &mut SendStream,
    mut receive: RecvStream,
    source: SocketAddr,
    house: &House,
) -> Result<(), ProtocolError> {
    let read = house
        .seats
        .wait_for(receive.read_to_end(2 + QUERY_BYTES_MAX));
    let framed = match read.await {
        Some(Ok(framed)) => framed,
        // Without the FIN in time.
        None | Some(Err(quinn::ReadToEndError::TooLong)) => return Err(ProtocolError),
        // The client thought better of it.
        Some(Err(quinn::ReadToEndError::Read(_))) => return Ok(()),
    };
    let query = query_of(&framed).ok_or(ProtocolError)?;
    let mut message = vec![0; RESPONSE_BYTES];
    let outcome = house
        .responder
        .answer_stream(query, source, Transport::Quic, &mut message);
    let written = match outcome {
        Outcome::Reply(reply) => write(send, &message[..reply.bytes], house).await,
        Outcome::Slow => write_slowly(send, query, source, house).await?,
        Outcome::Drop => return Err(ProtocolError),
    };
    if written.is_none() {
        // The client may have left.
        let _ = send.reset(INTERNAL_ERROR);
        return Ok(());
    }
    let ended = house.seats.wait_for(async {
        send.finish().ok()?;
        // Until it has arrived: closing the connection would take it back.
        send.stopped().await.ok()
    });
    // The client may have left.
    let _ = ended.await;
    Ok(())
}

/// Writes the slow path's answer, message by message as the client takes them; `None` when it does not
/// in time. Not one message is a breach: it was no query.
async fn write_slowly(
    send: &mut SendStream,
    query: &[u8],
    source: SocketAddr,
    house: &House,
) -> Result<Option<()>, ProtocolError> {
    let mut answers = house.slow.stream(SlowMessage {
        packet: query.to_vec(),
        source,
        transport: Transport::Quic,
    });
    let mut next = Some(answers.next().await.ok_or(ProtocolError)?);
    while let Some(message) = next {
        if write(send, &message, house).await.is_none() {
            return Ok(None);
        }
        next = answers.next().await;
    }
    Ok(Some(()))
}

/// Writes one message with its length; `None` when the client left or does not read.
async fn write(send: &mut SendStream, message: &[u8], house: &House) -> Option<()> {
    // At most 65,535 bytes: `TCP_BYTES_MAX`.
    let length = (message.len() as u16).to_be_bytes();
    let framed = [&length, message].concat();
    let written = house.seats.wait_for(send.write_all(&framed));
    written.await?.ok()
}

/// The query in a stream's bytes; `None` is a breach of RFC 9250 §4.3.3.
fn query_of(framed: &[u8]) -> Option<&[u8]> {
    let (length, query) = framed.split_first_chunk::<2>()?;
    let is_whole = query.len() == usize::from(u16::from_be_bytes(*length));
    if !is_whole || !query.starts_with(&[0, 0]) {
        return None;
    }
    let mut room = QueryRoom::default();
    let edns = Query::read(query, &mut room)
        .ok()
        .and_then(|query| query.edns);
    let asks_keepalive = edns.is_some_and(|edns| edns.keepalive_bytes.is_some());
    (!asks_keepalive).then_some(query)
}
