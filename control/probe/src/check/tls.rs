//! Trust in certificates, and the handshake of an HTTPS check.
//!
//! The certificate must be valid for the check's host, or for the endpoint's address when no host
//! is named, under the configured authorities. There is no way to switch that off.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_topology::HttpCheck;
use rustls::client::Resumption;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Failure;

/// Why the authorities cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The file is missing or not PEM.
    #[error("cannot read the authorities in {path}")]
    Read {
        /// The configured path.
        path: PathBuf,
        /// The reader's reason.
        #[source]
        source: rustls_pki_types::pem::Error,
    },
    /// The file holds no certificate, or one that no authority may have.
    #[error("{path} holds no usable certificate of an authority")]
    Empty {
        /// The configured path.
        path: PathBuf,
    },
    /// The TLS library refuses its own defaults.
    #[error("TLS cannot be set up")]
    Setup(#[from] rustls::Error),
}

/// Whom HTTPS checks believe. Cheap to clone.
#[derive(Clone)]
pub struct TlsTrust {
    connector: TlsConnector,
}

impl std::fmt::Debug for TlsTrust {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsTrust").finish_non_exhaustive()
    }
}

impl TlsTrust {
    /// The authorities in `ca_file`, or the system's.
    ///
    /// # Errors
    /// [`TrustError`].
    pub fn load(ca_file: Option<&Path>) -> Result<Self, TrustError> {
        let roots = match ca_file {
            Some(path) => from_file(path)?,
            None => from_system(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // A resumed session would not look at the certificate again, which may have expired.
        config.resumption = Resumption::disabled();
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
        })
    }

    pub(super) async fn handshake(
        &self,
        stream: TcpStream,
        check: &HttpCheck,
        address: SocketAddr,
    ) -> Result<TlsStream<TcpStream>, Failure> {
        let name = match &check.host {
            Some(host) => ServerName::try_from(host.as_str().to_owned())
                .map_err(|error| Failure::Tls(error.to_string()))?,
            None => ServerName::from(address.ip()),
        };
        self.connector.connect(name, stream).await.map_err(|error| {
            // rustls says what is wrong with a certificate in an inner error.
            let inner = error.get_ref().map(ToString::to_string);
            Failure::Tls(inner.unwrap_or_else(|| error.kind().to_string()))
        })
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, TrustError> {
    let read = |source| TrustError::Read {
        path: path.into(),
        source,
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(read)? {
        let unusable = |_| TrustError::Empty { path: path.into() };
        roots.add(certificate.map_err(read)?).map_err(unusable)?;
    }
    if roots.is_empty() {
        return Err(TrustError::Empty { path: path.into() });
    }
    Ok(roots)
}

/// A system without authorities is no reason not to start: HTTPS checks will say so.
fn from_system() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "some of the system's authorities cannot be read");
    }
    let (usable, ignored) = roots.add_parsable_certificates(found.certs);
    tracing::debug!(usable, ignored, "authorities of the system");
    roots
}
