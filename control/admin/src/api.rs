//! The routes and what they answer. Handlers translate; every decision is the engine's and the
//! writer's.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query as UrlQuery, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use meridian_engine::explain::Client;
use meridian_engine::{Explanation, PolicySet, Query, Surface, explain};
use meridian_live::{Drain, DrainTarget, LiveHandle, Sources, Status};
use meridian_probe::ProbeStatus;
use meridian_telemetry::Metrics;
use meridian_topology::{ServiceId, Topology};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use utoipa::{IntoParams, OpenApi, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::events::{self, EventSource};

/// Largest request body, in bytes: a whole deployment's texts.
pub const BODY_BYTES_MAX: usize = 64 << 20;

#[derive(OpenApi)]
#[openapi(info(
    title = "Meridian admin API",
    description = "State, explanations and changes of one node. Reading is free; changes need the bearer token."
))]
struct Document;

#[derive(Clone)]
struct Api {
    live: LiveHandle,
    metrics: Metrics,
}

/// The OpenAPI description, as served at `/v1/openapi.json`.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().into_openapi()
}

/// Every route.
pub(crate) fn router(live: LiveHandle, metrics: Metrics, event_streams: usize) -> Router {
    let events = EventSource {
        live: live.clone(),
        places: Arc::new(Semaphore::new(event_streams)),
    };
    let (router, document) = described().split_for_parts();
    router
        .route(
            "/v1/openapi.json",
            get(move || async move { Json(document) }),
        )
        .with_state(Api { live, metrics })
        .merge(
            Router::new()
                .route("/v1/events", get(events::stream))
                .with_state(events),
        )
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
}

fn described() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status))
        .routes(routes!(topology))
        .routes(routes!(policies))
        .routes(routes!(sources, apply))
        .routes(routes!(explanation))
        .routes(routes!(probes))
        .routes(routes!(drains))
        .routes(routes!(drain, undrain))
        .routes(routes!(metrics))
        .routes(routes!(healthz))
}

/// The node's state: plan, sources, store, regions, endpoints, warnings.
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Object)))]
async fn status(State(api): State<Api>) -> Json<Arc<Status>> {
    Json(api.live.status())
}

/// The topology in force.
#[utoipa::path(get, path = "/v1/topology", responses((status = 200, body = Object)))]
async fn topology(State(api): State<Api>) -> Json<Arc<Topology>> {
    Json(Arc::clone(&api.live.plan().load().world.topology))
}

/// The policies in force.
#[utoipa::path(get, path = "/v1/policies", responses((status = 200, body = Object)))]
async fn policies(State(api): State<Api>) -> Json<Arc<PolicySet>> {
    Json(Arc::clone(&api.live.plan().load().world.policies))
}

/// The YAML texts in the store.
#[utoipa::path(get, path = "/v1/sources", responses((status = 200, body = Object)))]
async fn sources(State(api): State<Api>) -> Result<Json<Sources>, ApiError> {
    Ok(Json(api.live.sources().await?))
}

/// What a change became.
#[derive(Serialize, ToSchema)]
struct Applied {
    /// The store's revision that holds it.
    revision: u64,
}

/// Replaces the YAML texts, all or nothing. `422` lists every problem with its place.
#[utoipa::path(put, path = "/v1/sources", request_body = Object,
    responses((status = 200, body = Applied), (status = 422, body = ApiError)))]
async fn apply(
    State(api): State<Api>,
    Json(sources): Json<Sources>,
) -> Result<Json<Applied>, ApiError> {
    let revision = api.live.apply(&sources).await?;
    Ok(Json(Applied {
        revision: revision.0,
    }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct Question {
    /// The service asked for.
    service: String,
    /// The client's address.
    #[param(value_type = String)]
    client: IpAddr,
    /// Where it asks: `dns` (default), `http`, `stream` or `l4`.
    #[serde(default)]
    #[param(value_type = Option<String>)]
    at: Surface,
}

/// Where a client would be sent at this moment, and why.
#[utoipa::path(get, path = "/v1/explain", params(Question),
    responses((status = 200, body = Object), (status = 400, body = ApiError)))]
async fn explanation(
    State(api): State<Api>,
    question: Result<UrlQuery<Question>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<Explanation>, ApiError> {
    let UrlQuery(question) = question.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let service = question
        .service
        .parse::<ServiceId>()
        .map_err(|error| ApiError::bad_request(error.to_string()))?;
    let query = Query {
        service,
        client: Client::Address(question.client),
        surface: question.at,
        key: None,
        plan_generation: Some(api.live.plan().load().plan.generation()),
    };
    explain(&api.live.world(), &query)
        .map(Json)
        .map_err(|error| ApiError::bad_request(error.to_string()))
}

/// Every health check and its last result.
#[utoipa::path(get, path = "/v1/probes", responses((status = 200, body = Object)))]
async fn probes(State(api): State<Api>) -> Json<Vec<ProbeStatus>> {
    Json(api.live.probes())
}

/// The drains in force.
#[utoipa::path(get, path = "/v1/drains", responses((status = 200, body = Object)))]
async fn drains(State(api): State<Api>) -> Result<Json<Vec<Drain>>, ApiError> {
    Ok(Json(api.live.drains().await?))
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum DrainKind {
    Region,
    Endpoint,
}

impl DrainKind {
    fn target(self, id: String) -> DrainTarget {
        match self {
            Self::Region => DrainTarget::Region(id),
            Self::Endpoint => DrainTarget::Endpoint(id),
        }
    }
}

/// How a drain is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
struct DrainRequest {
    /// Why, for those who see it later.
    reason: String,
    /// `true` drains even when a service keeps fewer live regions than its policy asks for.
    force: bool,
}

/// Sends no new clients to a region or endpoint; old ones finish.
#[utoipa::path(put, path = "/v1/drains/{kind}/{id}", request_body = DrainRequest,
    params(("kind" = DrainKind, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404, body = ApiError), (status = 409, body = ApiError)))]
async fn drain(
    State(api): State<Api>,
    Path((kind, id)): Path<(DrainKind, String)>,
    Json(request): Json<DrainRequest>,
) -> Result<axum::http::StatusCode, ApiError> {
    let drain = Drain {
        target: kind.target(id),
        reason: request.reason,
    };
    let safety = if request.force {
        meridian_live::Safety::Off
    } else {
        meridian_live::Safety::On
    };
    api.live.drain(&drain, safety).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

/// Ends a drain.
#[utoipa::path(delete, path = "/v1/drains/{kind}/{id}",
    params(("kind" = DrainKind, Path), ("id" = String, Path)),
    responses((status = 204), (status = 404, body = ApiError)))]
async fn undrain(
    State(api): State<Api>,
    Path((kind, id)): Path<(DrainKind, String)>,
) -> Result<axum::http::StatusCode, ApiError> {
    api.live.undrain(&kind.target(id)).await?;
    Ok(axum::http::StatusCode::NO_CONTENT)
}

/// Prometheus metrics.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = String)))]
async fn metrics(State(api): State<Api>) -> Result<impl IntoResponse, ApiError> {
    let text = api.metrics.render().map_err(|error| {
        ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "metrics",
            error.to_string(),
        )
    })?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text))
}

/// `200` once a plan is in force; a node that answers at all has one.
#[utoipa::path(get, path = "/healthz", responses((status = 200)))]
async fn healthz() -> &'static str {
    "ok\n"
}
