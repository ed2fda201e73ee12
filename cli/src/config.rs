//! `meridian.yaml`: what this node does, put together out of each room's own configuration.
//!
//! Relative paths are relative to the deployment directory. Everything has a default: a
//! directory without the file is a node with every role on loopback.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_admin::AdminConfig;
use meridian_geo::GeoConfig;
use meridian_geodns::DnsConfig;
use meridian_http::HttpConfig;
use meridian_live::NodeIntent;
use meridian_probe::ProbeConfig;
use meridian_store::StoreConfig;
use meridian_stream::StreamConfig;
use meridian_telemetry::access::AccessTarget;
use meridian_telemetry::logging::LogConfig;
use meridian_telemetry::{AccessLogConfig, DecisionLogConfig};
use meridian_topology::raw::RawMultiRegion;
use meridian_topology::{Problems, door};
use serde::Deserialize;

/// The file's name in a deployment directory.
pub const FILE: &str = "meridian.yaml";

/// What a node can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Answers DNS questions.
    Dns,
    /// Proxies HTTP.
    Http,
    /// Proxies TCP and UDP.
    Stream,
}

/// The node.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NodeConfig {
    /// What the node does. Default: everything.
    pub roles: Vec<Role>,
    /// Where the node keeps what it must not lose: store, last good sources, token. Default `state`.
    pub state: PathBuf,
    /// The model registry. Default `models`.
    pub models: PathBuf,
    /// DNS listeners and limits.
    pub dns: DnsConfig,
    /// HTTP listeners and limits.
    pub http: HttpConfig,
    /// Stream limits; the listeners stand in the topology.
    pub stream: StreamConfig,
    /// Admin API.
    pub admin: AdminConfig,
    /// `embedded` (default) or `etcd`.
    pub store: StoreConfig,
    /// Files that tell more about addresses than the embedded registry data.
    pub geo: GeoConfig,
    /// Health checks.
    pub probe: ProbeConfig,
    /// Logs.
    pub telemetry: TelemetryConfig,
    /// Intentions over all regions.
    pub multi_region_config: Option<RawMultiRegion>,
}

impl Default for NodeConfig {
    fn default() -> Self {
        Self {
            roles: vec![Role::Dns, Role::Http, Role::Stream],
            state: "state".into(),
            models: "models".into(),
            dns: DnsConfig::default(),
            http: HttpConfig::default(),
            stream: StreamConfig::default(),
            admin: AdminConfig::default(),
            store: StoreConfig::default(),
            geo: GeoConfig::default(),
            probe: ProbeConfig::default(),
            telemetry: TelemetryConfig::default(),
            multi_region_config: None,
        }
    }
}

/// Logs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TelemetryConfig {
    /// What the process says of itself, on standard error.
    pub log: LogConfig,
    /// One line a request or connection.
    pub access_log: AccessLogConfig,
    /// Sampled decisions, for training.
    pub decision_log: DecisionLogConfig,
}

/// Why a deployment directory's `meridian.yaml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It is there and cannot be read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is wrong.
    #[error("{0}")]
    Invalid(Problems),
}

/// A node's configuration and the directory it came from.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The deployment directory.
    pub folder: PathBuf,
    /// Its `meridian.yaml`, paths made absolute.
    pub node: NodeConfig,
    /// The block that bears on the topology.
    pub intent: Option<Arc<NodeIntent>>,
}

impl Deployment {
    /// Reads `meridian.yaml` of `folder`; a missing file is an empty one.
    pub fn read(folder: &Path) -> Result<Self, ConfigError> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(source) => return Err(ConfigError::Io { path, source }),
        };
        Self::parse(folder, &text)
    }

    /// Reads `text` as the `meridian.yaml` of `folder`.
    pub fn parse(folder: &Path, text: &str) -> Result<Self, ConfigError> {
        let mut node = NodeConfig::default();
        let mut intent = None;
        if text
            .lines()
            .any(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'))
        {
            let parsed = door::parse::<NodeConfig>(FILE, text).map_err(ConfigError::Invalid)?;
            node = parsed.value;
            intent = node.multi_region_config.clone().map(|block| {
                Arc::new(NodeIntent {
                    source: parsed.source.clone(),
                    block,
                })
            });
        }
        for path in paths(&mut node) {
            *path = folder.join(&*path);
        }
        if let StoreConfig::Embedded(embedded) = &mut node.store
            && embedded.path.is_none()
        {
            embedded.path = Some(node.state.join("store.redb"));
        }
        node.admin.relative_to(&node.state);
        node.dns.keep_zones_in(&node.state);
        Ok(Self {
            folder: folder.to_path_buf(),
            node,
            intent,
        })
    }
}

/// Every path that a `meridian.yaml` may name, the admin API's aside: those lie in the state folder.
fn paths(node: &mut NodeConfig) -> Vec<&mut PathBuf> {
    let mut paths = vec![&mut node.state, &mut node.models];
    paths.extend(node.dns.paths_mut());
    paths.extend(node.geo.paths_mut());
    paths.extend(&mut node.probe.ca_file);
    paths.extend(&mut node.telemetry.decision_log.directory);
    if let AccessTarget::File(file) = &mut node.telemetry.access_log.to {
        paths.push(file);
    }
    if let Some(https) = &mut node.http.https {
        for certificate in &mut https.certificates {
            paths.extend([&mut certificate.certificate, &mut certificate.key]);
        }
        paths.extend(https.clients.iter_mut().map(|clients| &mut clients.ca));
    }
    match &mut node.store {
        StoreConfig::Embedded(embedded) => paths.extend(&mut embedded.path),
        StoreConfig::Etcd(etcd) => {
            paths.extend(&mut etcd.password_file);
            if let Some(tls) = &mut etcd.tls {
                paths.push(&mut tls.ca_file);
                paths.extend(tls.cert_file.iter_mut().chain(&mut tls.key_file));
            }
        }
    }
    paths
}
