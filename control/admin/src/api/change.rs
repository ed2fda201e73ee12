//! New texts for the whole deployment.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::Response;
use meridian_live::Sources;
use meridian_topology::SourceFile;
use serde::Serialize;
use tokio::runtime::Handle;
use utoipa::ToSchema;

use super::Api;
use crate::body::JsonText;
use crate::error::ApiError;
use crate::limits::FILES_MAX;

#[cfg(test)]
mod tests;

/// What a change became.
#[derive(Serialize, ToSchema)]
pub(super) struct Applied {
    /// The store's revision that holds it.
    revision: u64,
}

/// Replaces the YAML texts, all or nothing. `422` lists every problem with its place.
#[utoipa::path(put, path = "/v1/sources", security(("token" = [])),
    request_body(content = Object, description = "`{topology: [{name, text}], policies: [{name, text}]}`, as `GET` gives it"),
    responses((status = 200, body = Applied), (status = 400, body = ApiError), (status = 401, body = ApiError),
        (status = 403, body = ApiError), (status = 409, body = ApiError), (status = 413, body = ApiError),
        (status = 422, body = ApiError), (status = 503, body = ApiError)))]
pub(super) async fn apply(State(api): State<Api>, body: JsonText) -> Result<Response, ApiError> {
    let (live, runtime) = (api.live, Handle::current());
    let work = move || {
        let sources: Sources = body.parse()?;
        drop(body);
        check_files(&sources)?;
        let revision = runtime.block_on(live.apply(&sources))?.0;
        tracing::info!(revision, files = sources.files().count(), "sources applied");
        Ok(Applied { revision })
    };
    api.work.json(work).await
}

/// Whether the files are a deployment's. A name becomes a key of the store: two files of one key would
/// be validated together, and one of them lost.
fn check_files(sources: &Sources) -> Result<(), ApiError> {
    if sources.topology.is_empty() {
        // It would parse, as the deployment that serves nobody.
        return Err(ApiError::bad_request(
            "there is no topology among the files",
        ));
    }
    if sources.files().count() > FILES_MAX {
        return Err(ApiError::bad_request(format!(
            "more than {FILES_MAX} files; join some of them"
        )));
    }
    let kinds = [
        ("topology/", &sources.topology),
        ("policies/", &sources.policies),
    ];
    for (folder, files) in kinds {
        let mut taken = BTreeSet::new();
        for SourceFile { name, .. } in files {
            let stem = name.strip_prefix(folder).unwrap_or(name);
            if !is_file_name(stem) {
                return Err(ApiError::bad_request(format!(
                    "`{}` is no name of a file under {folder}",
                    name.escape_default()
                )));
            }
            if !taken.insert(stem) {
                return Err(ApiError::bad_request(format!(
                    "two files are called {name}"
                )));
            }
        }
    }
    Ok(())
}

/// One component of a path that names a file, hidden ones left out.
fn is_file_name(name: &str) -> bool {
    let plain = |c: char| !c.is_control() && c != '/' && c != '\\';
    (1..=255).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}
