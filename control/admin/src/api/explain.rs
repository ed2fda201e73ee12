//! Why a client goes where it goes.

use std::net::IpAddr;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query as UrlQuery, State};
use axum::response::Response;
use meridian_engine::explain::Client;
use meridian_engine::{Explanation, Query, Surface, World, explain};
use meridian_live::LiveHandle;
use meridian_topology::ServiceId;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

use super::Api;
use crate::error::ApiError;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Question {
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

/// The engine's word, and what the surface that was asked adds to it.
#[derive(Serialize)]
struct Explained {
    #[serde(flatten)]
    explanation: Explanation,
    #[serde(skip_serializing_if = "Option::is_none")]
    dns: Option<serde_json::Value>,
}

/// Where a client would be sent at this moment, and why.
#[utoipa::path(get, path = "/v1/explain", params(Question), responses(
    (status = 200, body = Object, description = "`{service, policy, surface, client: {address, class, country, asn, location, …}, plan_generation, model, stages: [{name, kept, dropped: [{id, reason}], scores: [{id, selector, value, weight, contribution}]}], picks: [{endpoint, region, weight}], choice, fallback}`; at `dns` also `dns: {names: [{name, questions: [{type, rcode, answers, ttl, ttl_reason, scope, scope_reason}]}], families, configured_ttl, reason, fallback}`"),
    (status = 400, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn explanation(
    State(api): State<Api>,
    question: Result<UrlQuery<Question>, QueryRejection>,
) -> Result<Response, ApiError> {
    let UrlQuery(question) = question.map_err(|error| ApiError::bad_request(error.body_text()))?;
    let service = question
        .service
        .parse::<ServiceId>()
        .map_err(|error| ApiError::bad_request(format!("service: {error}")))?;
    let (live, dns) = (api.live, api.dns);
    let answer = move || {
        let (world, generation) = world_and_generation(&live);
        let query = Query {
            service,
            client: Client::Address(question.client),
            surface: question.at,
            family: None,
            key: None,
            plan_generation: Some(generation),
        };
        let explanation =
            explain(&world, &query).map_err(|error| ApiError::bad_request(error.to_string()))?;
        let surface = match (&dns, question.at) {
            (Some(dns), Surface::Dns) => Some(dns.surface(&query.service, question.client)),
            _ => None,
        };
        Ok(Explained {
            explanation,
            dns: surface,
        })
    };
    api.work.json(answer).await
}

/// Publications that may come between two reads before the newer of both is taken as it is.
const READS_MAX: usize = 3;

/// The world of this moment and the generation of the plan made from it.
fn world_and_generation(live: &LiveHandle) -> (World, u64) {
    let mut published = live.plan().full();
    for _ in 1..READS_MAX {
        let world = live.world();
        let after = live.plan().full();
        if after.sequence == published.sequence {
            return (world, published.plan.generation());
        }
        published = after;
    }
    (live.world(), published.plan.generation())
}
