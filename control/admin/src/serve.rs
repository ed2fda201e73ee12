//! Connections: HTTP/1.1, bounded in number and in the time that a client may take.
//!
//! What is left out on purpose: a client that stops reading its answer keeps its connection until it
//! closes it. It holds one of [`CONNECTIONS_MAX`] places of its own listener and nothing else, and the
//! Unix socket has places of its own.

use std::pin::pin;
use std::sync::Arc;

use axum::Router;
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::{CONNECTIONS_MAX, GRACE, HEAD_BYTES_MAX, HEAD_PATIENCE};

/// Serves `listener` until `stop`; then requests in flight get [`GRACE`]. `event_streams` come on top
/// of [`CONNECTIONS_MAX`], because each holds a connection for long.
pub(crate) async fn serve<L>(
    mut listener: L,
    router: Router,
    event_streams: usize,
    stop: CancellationToken,
) where
    L: Listener,
    L::Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let places = CONNECTIONS_MAX.saturating_add(event_streams);
    let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
    let connections = TaskTracker::new();
    let next = async |listener: &mut L| {
        let place = Arc::clone(&places).acquire_owned().await.ok()?;
        let (stream, _) = listener.accept().await;
        Some((stream, place))
    };
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => None,
            accepted = next(&mut listener) => accepted,
        };
        let Some((stream, place)) = accepted else {
            break;
        };
        connections.spawn(connection(stream, place, router.clone(), stop.clone()));
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn connection<S>(
    stream: S,
    place: OwnedSemaphorePermit,
    router: Router,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            match tokio::time::timeout(GRACE, connection).await {
                Ok(ended) => ended,
                Err(_) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an admin connection broke");
    }
    drop(place);
}
