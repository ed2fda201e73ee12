//! From what is written to what is used: every check, and all mistakes at once.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::time::Duration;

use meridian_accept::{CertConfig, CertSource, Expect, TrustedSources};

use super::{
    ClientFrom, ClientsConfig, EjectionConfig, HEAD_BYTES_RANGE, HttpConfig, HttpsConfig,
    LISTENERS_MAX, LaneChoice, LimitsConfig, ProxyProtocol, TIMEOUT_MAX, Toggle, WORKERS_MAX,
};
use crate::passive::Thresholds;

/// A configuration that cannot be served.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither `listen` nor `https.listen` names an address.
    #[error("http: no address to listen on; leave the section out to switch HTTP off")]
    NoListener,
    /// More than [`LISTENERS_MAX`] addresses.
    #[error("http.{key}: {count} addresses, at most {LISTENERS_MAX} are accepted")]
    TooManyListeners {
        /// `listen` or `https.listen`.
        key: &'static str,
        /// How many there are.
        count: usize,
    },
    /// `https` without a certificate.
    #[error("http.https.certificates: name at least one certificate and its key")]
    NoCertificate,
    /// A number outside what works.
    #[error("http.{key}: {value} is not within {allowed}")]
    OutOfRange {
        /// The key, from `http` on.
        key: &'static str,
        /// What was written.
        value: String,
        /// What may be written.
        allowed: &'static str,
    },
    /// A PROXY header is to be read but nobody is trusted to send one.
    #[error(
        "http.proxy_protocol: name the proxies in `trusted_proxies`; a PROXY header is believed from nobody else"
    )]
    NobodyTrusted,
}

/// A checked configuration. Made by [`HttpConfig::validate`].
#[derive(Debug, Clone)]
pub struct HttpSettings {
    pub(crate) plain: Vec<SocketAddr>,
    pub(crate) tls: Vec<SocketAddr>,
    pub(crate) certificates: Option<CertConfig>,
    pub(crate) clients: Option<ClientsConfig>,
    pub(crate) trusted: TrustedSources,
    pub(crate) proxy_protocol: Expect,
    pub(crate) decision_headers: Toggle,
    pub(crate) client_from: ClientFrom,
    pub(crate) ejection: Thresholds,
    pub(crate) outliers: Toggle,
    pub(crate) h2c: Toggle,
    pub(crate) lane: LaneChoice,
    pub(crate) connections_max: usize,
    pub(crate) head_bytes_max: usize,
    pub(crate) h2_streams_max: u32,
    pub(crate) upstream_idle_max: usize,
    pub(crate) handshake_timeout: Duration,
    pub(crate) header_timeout: Duration,
    pub(crate) keepalive_timeout: Duration,
    pub(crate) body_timeout: Duration,
    pub(crate) tunnel_timeout: Duration,
    pub(crate) upstream_idle_timeout: Duration,
    pub(crate) drain: Duration,
    pub(crate) workers: usize,
}

impl HttpConfig {
    /// Checks everything that serde cannot, and collects every mistake.
    ///
    /// # Errors
    /// All that is wrong, in the order of the keys.
    pub fn validate(self) -> Result<HttpSettings, Vec<ConfigError>> {
        let mut errors = Vec::new();
        self.check_listeners(&mut errors);
        self.limits.check(&mut errors);
        self.check_times(&mut errors);
        self.ejection.check(&mut errors);
        if self.proxy_protocol != ProxyProtocol::Off && self.trusted_proxies.is_empty() {
            errors.push(ConfigError::NobodyTrusted);
        }
        let workers = workers(self.worker_threads, &mut errors);
        if !errors.is_empty() {
            return Err(errors);
        }
        let (tls, clients, certificates) = match self.https {
            None => (Vec::new(), None, None),
            Some(https) => (
                https.listen.clone(),
                https.clients.clone(),
                Some(https.into_certificates()),
            ),
        };
        Ok(HttpSettings {
            plain: self.listen,
            tls,
            certificates,
            clients,
            trusted: TrustedSources::new(self.trusted_proxies),
            proxy_protocol: match self.proxy_protocol {
                ProxyProtocol::Off => Expect::Off,
                ProxyProtocol::Optional => Expect::Optional,
                ProxyProtocol::Required => Expect::Required,
            },
            decision_headers: self.decision_headers,
            client_from: self.client_from,
            ejection: Thresholds {
                connect_failures: self.ejection.connect_failures,
                timeouts: self.ejection.timeouts,
                server_errors: self.ejection.server_errors,
            },
            outliers: self.ejection.outliers,
            h2c: self.h2c,
            lane: self.lane,
            connections_max: self.limits.connections,
            head_bytes_max: self.limits.head_bytes,
            h2_streams_max: self.limits.h2_streams,
            upstream_idle_max: self.limits.upstream_idle,
            handshake_timeout: self.timeouts.handshake.as_duration(),
            header_timeout: self.timeouts.header.as_duration(),
            keepalive_timeout: self.timeouts.keepalive.as_duration(),
            body_timeout: self.timeouts.body.as_duration(),
            tunnel_timeout: self.timeouts.tunnel.as_duration(),
            upstream_idle_timeout: self.timeouts.upstream_idle.as_duration(),
            drain: self.drain.as_duration(),
            workers,
        })
    }

    fn check_listeners(&self, errors: &mut Vec<ConfigError>) {
        let tls = self.https.as_ref().map_or(0, |https| https.listen.len());
        if self.listen.is_empty() && tls == 0 {
            errors.push(ConfigError::NoListener);
        }
        for (key, count) in [("listen", self.listen.len()), ("https.listen", tls)] {
            if count > LISTENERS_MAX {
                errors.push(ConfigError::TooManyListeners { key, count });
            }
        }
        if let Some(https) = &self.https
            && https.certificates.is_empty()
        {
            errors.push(ConfigError::NoCertificate);
        }
    }

    fn check_times(&self, errors: &mut Vec<ConfigError>) {
        for (key, time) in [
            ("timeouts.handshake", self.timeouts.handshake),
            ("timeouts.header", self.timeouts.header),
            ("timeouts.keepalive", self.timeouts.keepalive),
            ("timeouts.body", self.timeouts.body),
            ("timeouts.tunnel", self.timeouts.tunnel),
            ("timeouts.upstream_idle", self.timeouts.upstream_idle),
        ] {
            if time.0 == 0 || time.as_duration() > TIMEOUT_MAX {
                errors.push(out_of_range(key, time, "1ms to 24h"));
            }
        }
        // No time to drain is a choice: cut at once.
        if self.drain.as_duration() > TIMEOUT_MAX {
            errors.push(out_of_range("drain", self.drain, "0ms to 24h"));
        }
    }
}

impl LimitsConfig {
    fn check(&self, errors: &mut Vec<ConfigError>) {
        if self.connections == 0 {
            errors.push(out_of_range("limits.connections", 0, "1 and more"));
        }
        if !HEAD_BYTES_RANGE.contains(&self.head_bytes) {
            errors.push(out_of_range(
                "limits.head_bytes",
                self.head_bytes,
                "1024 to 1048575",
            ));
        }
        if self.h2_streams == 0 {
            errors.push(out_of_range("limits.h2_streams", 0, "1 and more"));
        }
        if self.upstream_idle == 0 {
            errors.push(out_of_range("limits.upstream_idle", 0, "1 and more"));
        }
    }
}

impl EjectionConfig {
    fn check(&self, errors: &mut Vec<ConfigError>) {
        for (key, count) in [
            ("ejection.connect_failures", self.connect_failures),
            ("ejection.timeouts", self.timeouts),
            ("ejection.server_errors", self.server_errors),
        ] {
            if count == 0 {
                errors.push(out_of_range(key, 0, "1 and more"));
            }
        }
    }
}

impl HttpsConfig {
    fn into_certificates(self) -> CertConfig {
        CertConfig {
            certificates: self
                .certificates
                .into_iter()
                .map(|source| CertSource {
                    certificate: source.certificate,
                    key: source.key,
                    names: source.names,
                })
                .collect(),
            unmatched: self.unmatched,
        }
    }
}

fn workers(configured: Option<NonZeroUsize>, errors: &mut Vec<ConfigError>) -> usize {
    match configured {
        Some(count) if count.get() > WORKERS_MAX => {
            errors.push(out_of_range("worker_threads", count, "1 to 1024"));
            WORKERS_MAX
        }
        Some(count) => count.get(),
        None => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
    }
}

fn out_of_range(key: &'static str, value: impl fmt::Display, allowed: &'static str) -> ConfigError {
    ConfigError::OutOfRange {
        key,
        value: value.to_string(),
        allowed,
    }
}
