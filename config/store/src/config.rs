//! The `store` section of `meridian.yaml`: which engine, and how to reach it.
//!
//! Secrets are never inline: passwords and keys are files.

use std::{path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Embedded, Etcd, Store, StoreError, embedded::HistoryLimits};

/// Where the deployment's state is kept.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum StoreConfig {
    /// In this process, for a single node.
    Embedded(EmbeddedConfig),
    /// In an etcd cluster (3.4 or newer), shared by all nodes.
    Etcd(EtcdConfig),
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::Embedded(EmbeddedConfig::default())
    }
}

impl StoreConfig {
    /// Opens or connects to the store.
    ///
    /// # Errors
    /// When the file cannot be used or the configuration is unusable. An etcd cluster that is not
    /// reachable yet is not an error here: calls say so.
    pub async fn open(&self) -> Result<Arc<dyn Store>, StoreError> {
        Ok(match self {
            Self::Embedded(config) => Arc::new(Embedded::start(config).await?),
            Self::Etcd(config) => Arc::new(Etcd::connect(config).await?),
        })
    }
}

/// The embedded engine's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddedConfig {
    /// The database file; its folder is created. Without it everything is lost at exit.
    pub path: Option<PathBuf>,
    /// Revisions kept for watchers that lag behind; older ones get a whole snapshot instead.
    pub history_revisions: u64,
    /// Bytes of history kept, whichever of the two bounds is reached first.
    pub history_bytes: u64,
}

impl Default for EmbeddedConfig {
    fn default() -> Self {
        let limits = HistoryLimits::default();
        Self {
            path: None,
            history_revisions: limits.revisions,
            history_bytes: limits.bytes,
        }
    }
}

/// The etcd engine's configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdConfig {
    /// Every member's client address: `http://10.0.0.1:2379`, or `https://…` with `tls`.
    pub endpoints: Vec<String>,
    /// The etcd user; needs `password_file`.
    #[serde(default)]
    pub user: Option<String>,
    /// A file that holds the user's password (a newline at its end is ignored).
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// TLS towards the members; `https://` endpoints need it.
    #[serde(default)]
    pub tls: Option<EtcdTls>,
}

/// TLS towards etcd.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EtcdTls {
    /// PEM file with the authorities that sign the members' certificates.
    pub ca_file: PathBuf,
    /// PEM file with our certificate, for members that ask for one; needs `key_file`.
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    /// PEM file with our private key.
    #[serde(default)]
    pub key_file: Option<PathBuf>,
    /// The name expected in the members' certificates, when it is not the endpoint's host.
    #[serde(default)]
    pub server_name: Option<String>,
}
