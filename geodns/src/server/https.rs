//! DNS over HTTPS (RFC 8484) on HTTP/2.
//!
//! GET carries the query as `?dns=` in base64url without padding, POST as a body of type
//! `application/dns-message`; the response says how long it may be kept, and for how many: a steered
//! answer is one client's (`private`), since a shared HTTP cache knows nothing of client subnets.
//!
//! Requests of a connection are tasks of their own, because h2 moves bodies only while the
//! connection is polled for the next request. Limits: streams per connection by configuration,
//! [`HEADER_BYTES_MAX`] of headers, [`QUERY_BYTES_MAX`] of query, and the patience of every
//! connection: one that asks nothing for that long is told to go (GOAWAY) and closed.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use h2::RecvStream;
use h2::server::SendResponse;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::accept::{DRAIN, House};
use super::udp::QUERY_BYTES_MAX;
use crate::config::HttpsConfig;
use crate::responder::{Reply, Transport};
use crate::wire::{Rcode, freshness_seconds};

/// The type of a DNS message (RFC 8484 §6).
const MESSAGE_TYPE: &str = "application/dns-message";
/// Largest header list of a request.
const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// What a client may send on one stream before it is read.
const WINDOW_BYTES: u32 = 64 * 1024;
/// What is read of a body that is refused.
const DISCARD_BYTES_MAX: usize = 64 * 1024;
/// Responses held back by a client's window, over all streams of a connection.
const SEND_BUFFER_BYTES_MAX: usize = 256 * 1024;
/// Streams that a client opened and reset before they were looked at; more ends the connection
/// (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;

/// What the HTTPS service is called and allows.
pub(super) struct Service {
    path: String,
    streams_max: u32,
}

impl Service {
    pub(super) fn new(config: &HttpsConfig) -> Self {
        Self {
            path: config.path.clone(),
            // At most 1,000.
            streams_max: config.streams as u32,
        }
    }
}

/// Serves one connection until it is silent, done, or the server stops.
pub(super) async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    source: SocketAddr,
    service: &Arc<Service>,
    house: &House,
    stop: &CancellationToken,
) {
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(service.streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_window_size(WINDOW_BYTES)
        .max_send_buffer_size(SEND_BUFFER_BYTES_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX);
    let shaken = house.seats.wait_for(builder.handshake::<_, Bytes>(stream));
    let Some(Ok(mut connection)) = shaken.await else {
        return;
    };
    let mut requests = JoinSet::new();
    let mut left = house.queries_max;
    while left > 0 {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = requests.join_next() => continue,
            accepted = house.seats.wait_for(connection.accept()) => accepted,
        };
        match accepted {
            Some(Some(Ok((request, respond)))) => {
                let (service, house) = (Arc::clone(service), house.clone());
                requests.spawn(answer(request, respond, source, service, house));
                left -= 1;
            }
            // Gone, or broken.
            Some(None | Some(Err(_))) => return,
            // Silent too long.
            None => break,
        }
    }
    connection.graceful_shutdown();
    let drained = async { while let Some(Ok(_)) = connection.accept().await {} };
    // A client that does not read is left behind.
    let _ = timeout(DRAIN, drained).await;
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    source: SocketAddr,
    service: Arc<Service>,
    house: House,
) {
    let (request, mut body) = request.into_parts();
    let (response, answer) = match query_of(&request, &mut body, &service, &house).await {
        Ok(query) => dns(&query, source, &house).await,
        Err(status) => refused(status),
    };
    let is_empty = answer.is_empty();
    // An error here is a client that has left.
    if let Ok(mut stream) = respond.send_response(response, is_empty)
        && !is_empty
    {
        let _ = stream.send_data(answer, true);
    }
    // A body left unread would reset the stream, perhaps before the client has seen the answer.
    let _ = house.seats.wait_for(discard(&mut body)).await;
}

/// Reads what is left of a body, up to [`DISCARD_BYTES_MAX`].
async fn discard(body: &mut RecvStream) {
    let mut bytes = 0;
    while let Some(Ok(chunk)) = body.data().await {
        bytes += chunk.len();
        if bytes > DISCARD_BYTES_MAX {
            return;
        }
        let _ = body.flow_control().release_capacity(chunk.len());
    }
}

/// The DNS message in a request, or the status that says what is wrong with it.
async fn query_of(
    request: &Parts,
    body: &mut RecvStream,
    service: &Service,
    house: &House,
) -> Result<Vec<u8>, StatusCode> {
    if request.uri.path() != service.path {
        return Err(StatusCode::NOT_FOUND);
    }
    match request.method {
        Method::GET => {
            let mut parameters = request.uri.query().unwrap_or_default().split('&');
            let encoded = parameters
                .find_map(|parameter| parameter.strip_prefix("dns="))
                .ok_or(StatusCode::BAD_REQUEST)?;
            if encoded.len() > BASE64URL_NOPAD.encode_len(QUERY_BYTES_MAX) {
                return Err(StatusCode::URI_TOO_LONG);
            }
            BASE64URL_NOPAD
                .decode(encoded.as_bytes())
                .map_err(|_| StatusCode::BAD_REQUEST)
        }
        Method::POST => {
            let media_type = request.headers.get(CONTENT_TYPE);
            let is_message = media_type
                .and_then(|value| value.to_str().ok()?.split(';').next())
                .is_some_and(|value| value.trim().eq_ignore_ascii_case(MESSAGE_TYPE));
            if !is_message {
                return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE);
            }
            let read = house.seats.wait_for(read_body(body));
            read.await.ok_or(StatusCode::REQUEST_TIMEOUT)?
        }
        _ => Err(StatusCode::METHOD_NOT_ALLOWED),
    }
}

async fn read_body(body: &mut RecvStream) -> Result<Vec<u8>, StatusCode> {
    let mut query = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(|_| StatusCode::BAD_REQUEST)?;
        if query.len() + chunk.len() > QUERY_BYTES_MAX {
            return Err(StatusCode::PAYLOAD_TOO_LARGE);
        }
        query.extend_from_slice(&chunk);
        // What was read makes room for more; a closed stream needs none.
        let _ = body.flow_control().release_capacity(chunk.len());
    }
    Ok(query)
}

async fn dns(query: &[u8], source: SocketAddr, house: &House) -> (Response<()>, Bytes) {
    let answered = house.answer_one(query, source, Transport::Https);
    let Some((message, reply)) = answered.await else {
        return refused(StatusCode::BAD_REQUEST);
    };
    let mut response = Response::new(());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, http::HeaderValue::from_static(MESSAGE_TYPE));
    headers.insert(CONTENT_LENGTH, message.len().into());
    if let Ok(value) = cache_control(reply.as_ref(), &message).try_into() {
        headers.insert(CACHE_CONTROL, value);
    }
    (response, message.into())
}

/// How long HTTP may keep a response (RFC 8484 §5.1).
fn cache_control(reply: Option<&Reply>, message: &[u8]) -> String {
    let lasting = reply.filter(|reply| matches!(reply.rcode, Rcode::NoError | Rcode::NxDomain));
    match (lasting, freshness_seconds(message)) {
        (Some(reply), Some(seconds)) if reply.steered.is_some() => {
            format!("private, max-age={seconds}")
        }
        (Some(_), Some(seconds)) => format!("max-age={seconds}"),
        _ => "no-store".to_owned(),
    }
}

fn refused(status: StatusCode) -> (Response<()>, Bytes) {
    let mut response = Response::new(());
    *response.status_mut() = status;
    if status == StatusCode::METHOD_NOT_ALLOWED {
        let allowed = http::HeaderValue::from_static("GET, POST");
        response.headers_mut().insert(ALLOW, allowed);
    }
    (response, Bytes::new())
}
