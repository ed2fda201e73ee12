//! Errors as the API says them: a status, a code that scripts can match, and a sentence.

use axum::Json;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use meridian_live::{ChangeError, WriteError};
use meridian_topology::Problems;
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
    /// With the code `invalid`: every problem of the texts, with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<PlacedProblem>,
}

/// One problem of a YAML text.
#[derive(Debug, Serialize, ToSchema)]
pub struct PlacedProblem {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 when no place is known.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// The place as a path, such as `regions[2].location.latitude`.
    pub path: String,
    /// What kind of problem, for scripts.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
}

impl PlacedProblem {
    /// The listed problems, in their order.
    pub fn all_of(problems: &Problems) -> Vec<Self> {
        let placed = problems.list().iter().map(|problem| Self {
            file: problem.file().to_owned(),
            line: problem.line(),
            column: problem.column(),
            path: problem.path.clone(),
            code: problem.code.0,
            message: problem.message.clone(),
            help: problem.help.clone(),
        });
        placed.collect()
    }
}

impl ApiError {
    /// An error answered with `status`.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            problems: Vec::new(),
        }
    }

    /// The request's own fault.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Our own fault.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }

    /// What the framework refused, in our shape.
    pub fn rejected(status: StatusCode, message: impl Into<String>) -> Self {
        let code = match status {
            StatusCode::PAYLOAD_TOO_LARGE => "too_large",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "media_type",
            StatusCode::NOT_FOUND => "not_found",
            _ => "bad_request",
        };
        Self::new(status, code, message)
    }

    /// A bound is reached for the moment: the same request may pass later.
    pub fn busy(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, message)
    }

    /// The fields that RFC 9110 wants beside some statuses (sections 11.6.1 and 10.2.3).
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self.status {
            StatusCode::UNAUTHORIZED => Some((
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"meridian\""),
            )),
            StatusCode::SERVICE_UNAVAILABLE => {
                Some((header::RETRY_AFTER, HeaderValue::from_static("1")))
            }
            _ => None,
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, header) = (self.status, self.header());
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().extend(header);
        response
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
        let mut said = Self::new(status, code, error.to_string());
        if let ChangeError::Invalid(problems) = &error {
            said.problems = PlacedProblem::all_of(problems);
        }
        said
    }
}
