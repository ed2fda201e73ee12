//! What this node answers in DNS, and why.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use axum::http::StatusCode;
use axum::response::Response;
use meridian_topology::ServiceId;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use super::Api;
use crate::body::JsonText;
use crate::dns::{DnsFacts, DnsQuestion, NamesPage};
use crate::error::ApiError;

/// The zones that are served, what was left out of them, the room's counters, and what flaps.
#[utoipa::path(get, path = "/v1/dns", responses(
    (status = 200, body = Object, description = "`{zones: [{origin, serial, source, records, names}], zones_total, names_total, services_total, problems: [text], problems_total, counters: {name: value}, flapping: [{endpoint, region, recent_transitions, cause}], plan_sequence, plan_generation}`"),
    (status = 404, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn summary(State(api): State<Api>) -> Result<Response, ApiError> {
    let dns = facts(&api)?;
    api.work.json(move || Ok(dns.summary())).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Names {
    /// Only names behind this one: the `next` of the page before.
    after: Option<String>,
    /// Names on the page, 1 to 500. Default 100.
    limit: Option<usize>,
    /// Only names of this service.
    service: Option<String>,
    /// Only names that contain this.
    contains: Option<String>,
}

/// Every steered name, in alphabetical order: its service, members with health, drain and weight, and
/// what each continent is answered at this moment.
#[utoipa::path(get, path = "/v1/dns/names", params(Names), responses(
    (status = 200, body = Object, description = "`{names: [{name, service, policy, answer, ttl, members: [{endpoint, region, address, weight, state, cause, recent_transitions, flapping}], members_total, serving, continents: [{continent, classes, looked_at, nobody, regions: [{region, share}], example: {country, answer, reason}}]}], total, next}`"),
    (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn names(
    State(api): State<Api>,
    asked: Result<UrlQuery<Names>, QueryRejection>,
) -> Result<Response, ApiError> {
    let dns = facts(&api)?;
    let UrlQuery(asked) = asked.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let service = asked.service.map(|service| service.parse::<ServiceId>());
    let page = NamesPage {
        after: asked.after,
        limit: asked.limit,
        service: service
            .transpose()
            .map_err(|error| ApiError::bad_request(format!("service: {error}")))?,
        contains: asked.contains,
    };
    api.work.json(move || Ok(dns.names(&page))).await
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
    /// The name asked for.
    name: String,
    /// The client's address.
    #[param(value_type = String)]
    client: IpAddr,
    /// The record type. Default `A`.
    #[serde(rename = "type", default = "address")]
    #[param(rename = "type", required = false)]
    rtype: String,
}

fn address() -> String {
    "A".into()
}

/// What a client would be answered at this moment, by the code that answers, and why.
#[utoipa::path(get, path = "/v1/dns/query", params(Question), responses(
    (status = 200, body = Object, description = "`{name, type, client, rcode, authoritative, answers: [{name, ttl, type, data}], authorities, scope, steering: null | the explanation of /v1/explain}`"),
    (status = 400, body = ApiError), (status = 404, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn query(
    State(api): State<Api>,
    asked: Result<UrlQuery<Question>, QueryRejection>,
) -> Result<Response, ApiError> {
    let dns = facts(&api)?;
    let UrlQuery(asked) = asked.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let question = DnsQuestion {
        name: asked.name,
        rtype: asked.rtype,
        client: asked.client,
    };
    let answer = move || dns.query(&question).map_err(ApiError::bad_request);
    api.work.json(answer).await
}

/// Zones that come from primaries, with serial, last refresh, expiry and last error, and zones that
/// take dynamic updates.
#[utoipa::path(get, path = "/v1/dns/zones", responses(
    (status = 200, body = Object, description = "`{secondaries: [{zone, state: waiting | serving | expired, serial, refreshed_at, expires_at, next_refresh_at, last_error, catalog}], updated: [{zone, serial, records}]}`; times are seconds since 1970"),
    (status = 404, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn zones(State(api): State<Api>) -> Result<Response, ApiError> {
    let dns = facts(&api)?;
    api.work.json(move || Ok(dns.zones())).await
}

/// Which zones are refreshed.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RefreshRequest {
    /// One secondary zone. Default: all.
    zone: Option<String>,
}

/// Asks primaries for newer zones now, without waiting for what comes of it.
#[utoipa::path(post, path = "/v1/dns/zones/refresh", request_body = RefreshRequest, security(("token" = [])),
    responses((status = 200, body = Object, description = "`{asked: number of zones}`"),
        (status = 400, body = ApiError), (status = 401, body = ApiError), (status = 403, body = ApiError),
        (status = 404, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn refresh(State(api): State<Api>, body: JsonText) -> Result<Response, ApiError> {
    let dns = facts(&api)?;
    let RefreshRequest { zone } = body.parse()?;
    let ask = move || {
        let asked = dns
            .refresh(zone.as_deref())
            .map_err(ApiError::bad_request)?;
        tracing::info!(?zone, asked, "a refresh of secondary zones was asked for");
        Ok(serde_json::json!({ "asked": asked }))
    };
    api.work.json(ask).await
}

fn facts(api: &Api) -> Result<Arc<dyn DnsFacts>, ApiError> {
    api.dns.clone().ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "no_dns",
            "this node does not answer DNS: `roles` of its meridian.yaml leaves `dns` out",
        )
    })
}
