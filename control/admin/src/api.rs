//! The routes and their description. Handlers translate; every decision is the engine's and the
//! writer's.

mod change;
mod dns;
mod document;
mod drain;
mod explain;
mod read;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use meridian_live::LiveHandle;
use meridian_telemetry::Metrics;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::document::{Document, complete};
use crate::dns::DnsFacts;
use crate::error::ApiError;
use crate::events;
use crate::limits::{BODY_BYTES_MAX, SMALL_BODY_BYTES_MAX};
use crate::work::Work;

/// What handlers share. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Api {
    pub live: LiveHandle,
    /// The DNS room, on a node that answers DNS.
    pub dns: Option<Arc<dyn DnsFacts>>,
    pub metrics: Metrics,
    pub work: Work,
    /// Places for event streams.
    pub streams: Arc<Semaphore>,
    /// Ends event streams, which never end by themselves.
    pub stopping: CancellationToken,
}

/// The OpenAPI description, as served at `/v1/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    complete(described().into_openapi())
}

/// Every route.
pub(crate) fn router(api: Api) -> Router {
    let (router, document) = described().split_for_parts();
    let document = complete(document);
    router
        .route(
            "/v1/openapi.json",
            get(move || async move { Json(document) }),
        )
        .fallback(nothing_here)
        .method_not_allowed_fallback(other_method)
        .with_state(api)
}

fn described() -> OpenApiRouter<Api> {
    let texts = OpenApiRouter::new()
        .routes(routes!(read::sources, change::apply))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX));
    let others = OpenApiRouter::new()
        .routes(routes!(read::status))
        .routes(routes!(read::topology))
        .routes(routes!(read::policies))
        .routes(routes!(explain::explanation))
        .routes(routes!(read::probes))
        .routes(routes!(dns::summary))
        .routes(routes!(dns::names))
        .routes(routes!(dns::query))
        .routes(routes!(dns::zones))
        .routes(routes!(dns::refresh))
        .routes(routes!(drain::drains))
        .routes(routes!(drain::drain, drain::undrain))
        .routes(routes!(events::stream))
        .routes(routes!(read::metrics))
        .routes(routes!(read::healthz))
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MAX));
    OpenApiRouter::with_openapi(Document::openapi())
        .merge(texts)
        .merge(others)
}

async fn nothing_here() -> ApiError {
    ApiError::rejected(
        StatusCode::NOT_FOUND,
        "nothing is here; /v1/openapi.json lists everything",
    )
}

async fn other_method() -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method",
        "this path has no such method; /v1/openapi.json lists them",
    )
}
