//! `GET /v1/events`: what happens, as server-sent events, from the moment of the request on.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use axum::response::{IntoResponse, Sse};
use futures_util::{Stream, StreamExt};
use meridian_live::Event;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::wrappers::errors::BroadcastStreamRecvError;

use crate::api::Api;
use crate::error::ApiError;

/// What happens from now on: plans, flips, drains, refused sources, models. A reader too slow to keep
/// up gets an event `lost` with the number of events it missed.
#[utoipa::path(get, path = "/v1/events", responses(
    (status = 200, body = String, content_type = "text/event-stream", description = "Each event's data is `{kind: plan_published | sources_rejected | endpoint_flipped | drains_changed | model_changed, …}`"),
    (status = 503, body = ApiError)))]
pub(crate) async fn stream(State(api): State<Api>) -> Result<impl IntoResponse, ApiError> {
    let Ok(place) = Arc::clone(&api.streams).try_acquire_owned() else {
        let message = "all event streams are taken; see `admin.event_streams`";
        return Err(ApiError::busy("event_streams", message));
    };
    let events = BroadcastStream::new(api.live.events()).map(move |event| {
        let _held_while_streaming = &place;
        said(event)
    });
    let until_stop = events.take_until(api.stopping.cancelled_owned());
    Ok(sse(until_stop))
}

fn sse<S>(events: S) -> impl IntoResponse
where
    S: Stream<Item = Result<SseEvent, Infallible>> + Send + 'static,
{
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn said(event: Result<Event, BroadcastStreamRecvError>) -> Result<SseEvent, Infallible> {
    let lost = |count: &str| SseEvent::default().event("lost").data(count);
    Ok(match event {
        // One that could not be written would be missed silently.
        Ok(event) => SseEvent::default()
            .json_data(&event)
            .unwrap_or_else(|_| lost("1")),
        Err(BroadcastStreamRecvError::Lagged(count)) => lost(&count.to_string()),
    })
}
