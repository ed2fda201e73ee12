//! The OpenAPI description of the whole.

use axum::http::StatusCode;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{OpenApi as Description, RefOr};
use utoipa::{Modify, OpenApi};

/// What stands above the routes.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Meridian admin API",
        description = "State, explanations and changes of one node. Reading is free; changes need the bearer token, except over the Unix socket."
    ),
    modifiers(&BearerToken)
)]
pub(super) struct Document;

struct BearerToken;

impl Modify for BearerToken {
    fn modify(&self, document: &mut Description) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "The content of the node's `admin.token` file. The Unix socket needs none.",
            ))
            .build();
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("token", SecurityScheme::Http(bearer));
    }
}

/// Gives every answer without words of its own those of its status: OpenAPI 3.1 wants some.
pub(super) fn complete(mut document: Description) -> Description {
    for item in document.paths.paths.values_mut() {
        let methods = [&mut item.get, &mut item.put, &mut item.delete];
        for operation in methods.into_iter().flatten() {
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else {
                    continue;
                };
                if response.description.is_empty()
                    && let Ok(status) = status.parse::<StatusCode>()
                {
                    response.description = status.canonical_reason().unwrap_or("Other").to_owned();
                }
            }
        }
    }
    document
}
