//! From configuration to connection: addresses, credentials, TLS, timing.

use std::{path::Path, time::Duration};

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};

use crate::{EtcdConfig, EtcdTls, StoreError};

/// Longest wait for a connection to a member.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Ping a member this often while a call or watch is open. The server hangs up on anything below
/// 5 s, and on pings without a call under way.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(6);
/// A member that does not answer a ping in this time is lost.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(3);

/// Checks the configuration, reads its files and makes what the client wants.
pub(super) async fn connect_options(config: &EtcdConfig) -> Result<ConnectOptions, StoreError> {
    check_endpoints(config)?;
    let mut options = ConnectOptions::new()
        .with_connect_timeout(CONNECT_TIMEOUT)
        .with_keep_alive(KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT)
        .with_keep_alive_while_idle(false)
        .with_require_leader(true);
    match (&config.user, &config.password_file) {
        (Some(user), Some(file)) => {
            let password = String::from_utf8(read(file).await?)
                .map_err(|_| problem("the password file is not UTF-8 text"))?;
            options = options
                .with_user(user, password.trim_end_matches(['\r', '\n']))
                .with_auto_token_refresh(true);
        }
        (None, None) => {}
        _ => {
            return Err(problem(
                "etcd needs both `user` and `password_file`, or neither",
            ));
        }
    }
    if let Some(tls) = &config.tls {
        options = options.with_tls(tls_options(tls).await?);
    }
    Ok(options)
}

/// Every endpoint is a URL of the scheme that goes with the TLS setting.
fn check_endpoints(config: &EtcdConfig) -> Result<(), StoreError> {
    if config.endpoints.is_empty() {
        return Err(problem("etcd needs at least one endpoint"));
    }
    let scheme = match config.tls {
        Some(_) => "https://",
        None => "http://",
    };
    for endpoint in &config.endpoints {
        if !endpoint.starts_with(scheme) {
            let with = config.tls.as_ref().map_or("without", |_| "with");
            return Err(problem(&format!(
                "etcd endpoint `{endpoint}` must begin with {scheme} {with} `tls`"
            )));
        }
    }
    Ok(())
}

async fn tls_options(tls: &EtcdTls) -> Result<TlsOptions, StoreError> {
    let ca = Certificate::from_pem(read(&tls.ca_file).await?);
    let mut options = TlsOptions::new().ca_certificate(ca);
    match (&tls.cert_file, &tls.key_file) {
        (Some(cert), Some(key)) => {
            options = options.identity(Identity::from_pem(read(cert).await?, read(key).await?));
        }
        (None, None) => {}
        _ => {
            return Err(problem(
                "etcd tls needs both `cert_file` and `key_file`, or neither",
            ));
        }
    }
    if let Some(name) = &tls.server_name {
        options = options.domain_name(name);
    }
    Ok(options)
}

async fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    tokio::fs::read(path)
        .await
        .map_err(|source| StoreError::File {
            path: path.to_owned(),
            source,
        })
}

fn problem(detail: &str) -> StoreError {
    StoreError::Config {
        detail: detail.to_owned(),
    }
}
