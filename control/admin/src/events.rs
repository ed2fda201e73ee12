//! `GET /v1/events`: what happens, as server-sent events, from the moment of the request on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Sse;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use futures_util::{Stream, StreamExt};
use meridian_live::LiveHandle;
use tokio::sync::Semaphore;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::error::ApiError;

/// What an event stream needs.
#[derive(Clone)]
pub(crate) struct EventSource {
    pub live: LiveHandle,
    /// Places for streams.
    pub places: Arc<Semaphore>,
}

/// The stream. A reader too slow to keep up is told how many events it lost.
pub(crate) async fn stream(
    State(source): State<EventSource>,
) -> Result<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let Ok(place) = Arc::clone(&source.places).try_acquire_owned() else {
        let message = "all event streams are taken; see `admin.event_streams`";
        return Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "event_streams",
            message,
        ));
    };
    let events = BroadcastStream::new(source.live.events()).map(move |event| {
        let _held_while_streaming = &place;
        Ok(match event {
            Ok(event) => SseEvent::default().json_data(&event).unwrap_or_default(),
            Err(BroadcastStreamRecvError::Lagged(lost)) => {
                SseEvent::default().event("lost").data(lost.to_string())
            }
        })
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
