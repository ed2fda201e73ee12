//! Answers that cost something are made on a blocking thread, few at a time: a storm of questions
//! to the admin API must not take the processors that serve clients.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::error::ApiError;
use crate::limits::{WORK_MAX, WORK_PATIENCE};

#[cfg(test)]
mod tests;

/// The places for work. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Work {
    places: Arc<Semaphore>,
    patience: Duration,
}

impl Work {
    pub fn new() -> Self {
        Self::bounded(WORK_MAX, WORK_PATIENCE)
    }

    fn bounded(places: usize, patience: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            patience,
        }
    }

    /// Does the work. Its place stays taken until it is done, even when nobody waits any more.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Arc::clone(&self.places).acquire_owned();
        let Ok(Ok(place)) = tokio::time::timeout(self.patience, place).await else {
            return Err(ApiError::busy(
                "busy",
                "the admin API has too much to answer; ask again",
            ));
        };
        let done = tokio::task::spawn_blocking(move || {
            let _held_until_done = place;
            work()
        });
        done.await
            .map_err(|_| ApiError::busy("stopping", "the node is stopping"))?
    }

    /// Makes a value and writes it as JSON.
    pub async fn json<T: Serialize>(
        &self,
        make: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        let write = move || {
            let value = make()?;
            serde_json::to_vec(&value).map_err(|error| ApiError::internal(error.to_string()))
        };
        Ok(answer("application/json", self.run(write).await?))
    }

    /// Makes a text.
    pub async fn text(
        &self,
        media_type: &'static str,
        make: impl FnOnce() -> Result<String, ApiError> + Send + 'static,
    ) -> Result<Response, ApiError> {
        Ok(answer(media_type, self.run(make).await?))
    }
}

fn answer(media_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    let media_type = HeaderValue::from_static(media_type);
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, media_type);
    response
}
