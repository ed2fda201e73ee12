//! An HTTP/1.1 GET over a connection of its own; the status decides, the body is not read.

use std::error::Error as _;
use std::net::SocketAddr;
use std::pin::pin;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{CONNECTION, HOST, HeaderValue, USER_AGENT};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use meridian_topology::HttpCheck;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Failure, Phase, Progress};

/// Largest head of an answer, in bytes.
const HEAD_BYTES_MAX: usize = 16 << 10;

pub(super) async fn ask<S>(
    stream: S,
    check: &HttpCheck,
    address: SocketAddr,
    progress: &Progress,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let request = request(check, address)?;
    progress.enter(Phase::Waiting);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failure(&error))?;
    let mut connection = pin!(connection);
    let mut answer = pin!(sender.send_request(request));
    // The connection does the I/O and may finish in the very step that completes the answer.
    let answer: Response<_> = tokio::select! {
        biased;
        answer = &mut answer => answer.map_err(|error| failure(&error))?,
        ended = &mut connection => {
            ended.map_err(|error| failure(&error))?;
            answer.await.map_err(|error| failure(&error))?
        }
    };
    let got = answer.status().as_u16();
    if check.expect_status.iter().any(|range| range.contains(got)) {
        return Ok(());
    }
    Err(Failure::Status {
        got,
        expected: check.expect_status.clone(),
    })
}

fn request(check: &HttpCheck, address: SocketAddr) -> Result<Request<Empty<Bytes>>, Failure> {
    let host = match &check.host {
        Some(host) => HeaderValue::from_str(host.as_str()),
        None => HeaderValue::from_str(&address.to_string()),
    };
    let unsendable =
        |error: &dyn std::fmt::Display| Failure::Protocol(format!("unsendable request: {error}"));
    Request::get(check.path.as_str())
        .header(HOST, host.map_err(|error| unsendable(&error))?)
        .header(USER_AGENT, HeaderValue::from_static("meridian-probe"))
        .header(CONNECTION, HeaderValue::from_static("close"))
        .body(Empty::new())
        .map_err(|error| unsendable(&error))
}

fn failure(error: &hyper::Error) -> Failure {
    if let Some(io) = error
        .source()
        .and_then(|source| source.downcast_ref::<std::io::Error>())
    {
        return Failure::Broken {
            phase: Phase::Waiting,
            kind: io.kind(),
        };
    }
    if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
        let kind = std::io::ErrorKind::UnexpectedEof;
        return Failure::Broken {
            phase: Phase::Waiting,
            kind,
        };
    }
    Failure::Protocol(error.to_string())
}
