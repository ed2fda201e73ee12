//! Errors as the API says them: a status, a code that scripts can match, and a sentence.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use meridian_live::{ChangeError, WriteError};
use serde::Serialize;
use utoipa::ToSchema;

/// Why a request was not served.
#[derive(Debug, Serialize, ToSchema)]
pub struct ApiError {
    #[serde(skip)]
    status: StatusCode,
    /// What kind of error, for scripts.
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl ApiError {
    /// An error answered with `status`.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    /// The request's own fault.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(self)).into_response()
    }
}

impl From<ChangeError> for ApiError {
    fn from(error: ChangeError) -> Self {
        let (status, code) = match &error {
            ChangeError::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            ChangeError::Unknown(_) => (StatusCode::NOT_FOUND, "unknown"),
            ChangeError::TooFewLeft { .. } => (StatusCode::CONFLICT, "too_few_left"),
            ChangeError::Write(WriteError::Conflict { .. }) => (StatusCode::CONFLICT, "conflict"),
            ChangeError::Write(WriteError::Store(_)) => (StatusCode::SERVICE_UNAVAILABLE, "store"),
        };
        Self::new(status, code, error.to_string())
    }
}
