//! Drains: no new clients, old ones finish.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use meridian_live::{Drain, DrainTarget, Safety};
use serde::Deserialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::Api;
use crate::body::JsonText;
use crate::error::ApiError;
use crate::limits::REASON_BYTES_MAX;

/// The drains in force.
#[utoipa::path(get, path = "/v1/drains", responses(
    (status = 200, body = [Object], description = "`[{target: {region | endpoint: ID}, reason}]`"),
    (status = 503, body = ApiError)))]
pub(super) async fn drains(State(api): State<Api>) -> Result<Response, ApiError> {
    let (live, runtime) = (api.live, Handle::current());
    let work = move || Ok(runtime.block_on(live.drains())?);
    api.work.json(work).await
}

#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(super) enum DrainKind {
    Region,
    Endpoint,
}

type Target = Result<Path<(DrainKind, String)>, PathRejection>;

fn target(path: Target) -> Result<DrainTarget, ApiError> {
    let Path((kind, id)) =
        path.map_err(|error| ApiError::rejected(StatusCode::NOT_FOUND, error.body_text()))?;
    Ok(match kind {
        DrainKind::Region => DrainTarget::Region(id),
        DrainKind::Endpoint => DrainTarget::Endpoint(id),
    })
}

/// How a drain is asked for.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DrainRequest {
    /// Why, for those who see it later. At most 1,000 bytes.
    reason: String,
    /// `true` drains even when a service keeps fewer live regions than its policy asks for.
    force: bool,
}

/// Sends no new clients to a region or endpoint; old ones finish.
#[utoipa::path(put, path = "/v1/drains/{kind}/{id}", request_body = DrainRequest, security(("token" = [])),
    params(("kind" = DrainKind, Path), ("id" = String, Path)),
    responses((status = 204), (status = 400, body = ApiError), (status = 401, body = ApiError),
        (status = 403, body = ApiError), (status = 404, body = ApiError), (status = 409, body = ApiError),
        (status = 503, body = ApiError)))]
pub(super) async fn drain(
    State(api): State<Api>,
    path: Target,
    body: JsonText,
) -> Result<StatusCode, ApiError> {
    let target = target(path)?;
    let DrainRequest { reason, force } = body.parse()?;
    if reason.len() > REASON_BYTES_MAX {
        return Err(ApiError::bad_request(format!(
            "the reason has {} bytes, at most {REASON_BYTES_MAX} are kept",
            reason.len()
        )));
    }
    let safety = if force { Safety::Off } else { Safety::On };
    let drain = Drain { target, reason };
    let (live, runtime) = (api.live, Handle::current());
    let work = move || {
        runtime.block_on(live.drain(&drain, safety))?;
        tracing::info!(target = %drain.target, reason = ?drain.reason, force, "drained");
        Ok(StatusCode::NO_CONTENT)
    };
    api.work.run(work).await
}

/// Ends a drain. Ending one that is not in force changes nothing.
#[utoipa::path(delete, path = "/v1/drains/{kind}/{id}", security(("token" = [])),
    params(("kind" = DrainKind, Path), ("id" = String, Path)),
    responses((status = 204), (status = 401, body = ApiError), (status = 403, body = ApiError),
        (status = 404, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn undrain(State(api): State<Api>, path: Target) -> Result<StatusCode, ApiError> {
    let target = target(path)?;
    let (live, runtime) = (api.live, Handle::current());
    let work = move || {
        runtime.block_on(live.undrain(&target))?;
        tracing::info!(%target, "undrained");
        Ok(StatusCode::NO_CONTENT)
    };
    api.work.run(work).await
}
