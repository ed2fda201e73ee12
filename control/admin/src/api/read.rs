//! What is: state, topology, policies, texts, probes, metrics.

use axum::extract::State;
use axum::response::Response;
use tokio::runtime::Handle;

use super::Api;
use crate::error::ApiError;

/// The node's state: plan, sources, store, regions, endpoints, warnings.
#[utoipa::path(get, path = "/v1/status", responses(
    (status = 200, body = Object, description = "`{sequence, generation, revision, compile_ms, plan_bytes, sources, model, store, regions, endpoints, warnings}`"),
    (status = 503, body = ApiError)))]
pub(super) async fn status(State(api): State<Api>) -> Result<Response, ApiError> {
    let status = api.live.status();
    api.work.json(move || Ok(status)).await
}

/// The topology in force.
#[utoipa::path(get, path = "/v1/topology", responses(
    (status = 200, body = Object, description = "`{regions, endpoints, services, edge_nodes, client_groups, dns_zones, multi_region}`"),
    (status = 503, body = ApiError)))]
pub(super) async fn topology(State(api): State<Api>) -> Result<Response, ApiError> {
    let published = api.live.plan().full();
    api.work
        .json(move || Ok(published.world.topology.clone()))
        .await
}

/// The policies in force.
#[utoipa::path(get, path = "/v1/policies", responses(
    (status = 200, body = Object, description = "The validated policies, ordered by id"),
    (status = 503, body = ApiError)))]
pub(super) async fn policies(State(api): State<Api>) -> Result<Response, ApiError> {
    let published = api.live.plan().full();
    api.work
        .json(move || Ok(published.world.policies.clone()))
        .await
}

/// The YAML texts in the store.
#[utoipa::path(get, path = "/v1/sources", responses(
    (status = 200, body = Object, description = "`{topology: [{name, text}], policies: [{name, text}]}`"),
    (status = 503, body = ApiError)))]
pub(super) async fn sources(State(api): State<Api>) -> Result<Response, ApiError> {
    let (live, runtime) = (api.live, Handle::current());
    let work = move || Ok(runtime.block_on(live.sources())?);
    api.work.json(work).await
}

/// Every health check and its last result.
#[utoipa::path(get, path = "/v1/probes", responses(
    (status = 200, body = [Object], description = "`[{endpoint, region, service, kind, address, verdict, since_unix_us, consecutive, last, not_probed}]`"),
    (status = 503, body = ApiError)))]
pub(super) async fn probes(State(api): State<Api>) -> Result<Response, ApiError> {
    let live = api.live;
    api.work.json(move || Ok(live.probes())).await
}

/// Prometheus metrics.
#[utoipa::path(get, path = "/metrics", responses(
    (status = 200, body = String, content_type = "text/plain", description = "Text format 0.0.4"),
    (status = 503, body = ApiError)))]
pub(super) async fn metrics(State(api): State<Api>) -> Result<Response, ApiError> {
    let metrics = api.metrics;
    let render = move || {
        let rendered = metrics.render();
        rendered.map_err(|error| ApiError::internal(error.to_string()))
    };
    api.work
        .text("text/plain; version=0.0.4; charset=utf-8", render)
        .await
}

/// `200` once a plan is in force; a node that answers at all has one.
#[utoipa::path(get, path = "/healthz", responses((status = 200, body = String, content_type = "text/plain")))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}
