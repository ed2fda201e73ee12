//! Certificates by server name.
//!
//! [`CertStore`] keeps one immutable table — exact names, wildcard suffixes,
//! the certificate for everything else — behind an `ArcSwap`. A handshake
//! loads it once; [`CertStore::reload`] builds a new table from the files and
//! swaps it in whole. A file that cannot be read or a key that does not belong
//! to its certificate leaves the old table serving and is returned as an error.
//!
//! Names come from the configuration or else from the certificate's subject
//! alternative names. A wildcard stands for exactly one label (RFC 6125
//! section 6.4.3). Of two certificates for one name the first configured wins.
//!
//! Keys never reach a log: errors name files.

mod client;
mod load;
mod table;
mod watch;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use client::{ClientFiles, ClientTls, Demand, client_verifier};
use table::Table;
pub use watch::{CertWatcher, WatchError};

/// Largest PEM file read; a chain of ten certificates has about 20 KiB.
pub const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// Most certificates in one store.
pub const CERTIFICATES_MAX: usize = 10_000;

/// One certificate chain and its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertSource {
    /// PEM file with the chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// PEM file with the private key (PKCS#8, SEC1 or PKCS#1).
    pub key: PathBuf,
    /// Names it serves, exact or `*.example.com`; empty takes the
    /// certificate's subject alternative names.
    #[serde(default)]
    pub names: Vec<String>,
}

/// What a client gets that names no server, or one we have no certificate for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Unmatched {
    /// The first configured certificate: the client judges the name.
    #[default]
    First,
    /// A failed handshake (alert `access_denied`).
    Refuse,
}

/// The certificates of a listener.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertConfig {
    /// Certificates in order of preference.
    pub certificates: Vec<CertSource>,
    /// What happens without a match.
    #[serde(default)]
    pub unmatched: Unmatched,
}

/// A set of certificates that cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum CertError {
    /// The configuration lists none.
    #[error("no certificate is configured")]
    Empty,
    /// The configuration lists more than [`CERTIFICATES_MAX`].
    #[error("{count} certificates are configured, more than {CERTIFICATES_MAX}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// A file could not be read.
    #[error("{}: {source}", file.display())]
    Read {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is larger than [`PEM_BYTES_MAX`].
    #[error("{}: {bytes} bytes, more than {PEM_BYTES_MAX}", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A file is not PEM, or has no section of the kind that is needed.
    #[error("{}: no {wanted} in this PEM file: {source}", file.display())]
    Pem {
        /// The file.
        file: PathBuf,
        /// `"certificate"` or `"private key"`.
        wanted: &'static str,
        /// What the PEM reader said.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The key is of no supported kind or belongs to another certificate.
    #[error("{} and {}: {source}", certificate.display(), key.display())]
    Pair {
        /// The chain's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// A certificate is no authority's.
    #[error("{}: {source}", file.display())]
    Authority {
        /// The file.
        file: PathBuf,
        /// What rustls said.
        #[source]
        source: rustls::Error,
    },
    /// rustls refuses what it was built with, or a name.
    #[error("TLS: {0}")]
    Library(#[source] rustls::Error),
    /// Neither the configuration nor the certificate gives a name.
    #[error("{}: the certificate has no DNS name and none is configured", file.display())]
    Nameless {
        /// The chain's file.
        file: PathBuf,
    },
    /// A configured name is not a DNS name, or has a star anywhere else than
    /// as its first label.
    #[error("{}: {name:?} is not a DNS name or a wildcard of one", file.display())]
    Name {
        /// The chain's file.
        file: PathBuf,
        /// The configured name.
        name: String,
    },
}

/// What a reload did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// The files say what is already being served.
    Unchanged,
    /// New certificates are being served.
    Changed,
}

/// The certificates in use. Give it to rustls as the resolver.
#[derive(Debug)]
pub struct CertStore {
    config: CertConfig,
    table: ArcSwap<Table>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

impl CertStore {
    /// Loads every configured certificate.
    ///
    /// # Errors
    /// Any of them cannot be used: at start there is no last good one.
    pub fn load(config: CertConfig) -> Result<Arc<Self>, CertError> {
        let table = load::table(&config)?;
        Ok(Arc::new(Self {
            config,
            table: ArcSwap::from_pointee(table),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }))
    }

    /// Reads the files again and swaps the new certificates in. Blocks on file
    /// reads. Connections that are open keep what they agreed on.
    ///
    /// # Errors
    /// Any certificate cannot be used; the ones in use stay.
    pub fn reload(&self) -> Result<Reload, CertError> {
        match load::table(&self.config) {
            Ok(table) if table.same_certificates(&self.table.load()) => Ok(Reload::Unchanged),
            Ok(table) => {
                self.table.store(Arc::new(table));
                self.reloads.fetch_add(1, Ordering::Relaxed);
                Ok(Reload::Changed)
            }
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// The certificate for a server name.
    #[must_use]
    pub fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        self.table.load().find(name)
    }

    /// Reloads that changed what is served, since the start.
    #[must_use]
    pub fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// Reloads that failed and left the last good certificates, since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// The files the store was made from.
    #[must_use]
    pub fn config(&self) -> &CertConfig {
        &self.config
    }

    /// A rustls server configuration (ring; TLS 1.2 and 1.3) that serves from this store, offers
    /// `alpn` in order and, with `clients`, judges the certificates of those.
    ///
    /// # Errors
    /// rustls refuses the provider's protocol versions: a build without TLS 1.2.
    pub fn server_config(
        self: &Arc<Self>,
        alpn: &[&[u8]],
        clients: Option<Arc<dyn ClientCertVerifier>>,
    ) -> Result<rustls::ServerConfig, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?;
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config =
            builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

impl ResolvesServerCert for CertStore {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.find(hello.server_name())
    }
}

#[cfg(test)]
mod tests;
