//! TLS as a client, towards upstreams: whom we believe, and as whom we come; and who may come to us with a
//! certificate of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::{CertError, load};

/// The files that a client's TLS is made of.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientFiles {
    /// PEM file with the certificates of the authorities that are believed; `None` is the system's.
    pub authorities: Option<PathBuf>,
    /// PEM files with the chain and the private key that are shown to servers that ask.
    pub identity: Option<(PathBuf, PathBuf)>,
}

impl ClientFiles {
    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Path> {
        let identity = self.identity.iter().flat_map(|(chain, key)| [chain, key]);
        self.authorities
            .iter()
            .chain(identity)
            .map(PathBuf::as_path)
    }
}

/// What was in them.
#[derive(Debug)]
pub struct ClientTls {
    files: ClientFiles,
    /// Certificates of the authorities; `None` is the system's.
    pub authorities: Option<Vec<CertificateDer<'static>>>,
    /// Chain and key.
    pub identity: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
}

impl ClientTls {
    /// Reads the files.
    ///
    /// # Errors
    /// A file cannot be read, or does not hold what it should.
    pub fn load(files: ClientFiles) -> Result<Self, CertError> {
        let authorities = files.authorities.as_deref().map(load::chain).transpose()?;
        let identity = match &files.identity {
            Some((chain, key)) => Some((load::chain(chain)?, load::key(key)?)),
            None => None,
        };
        let listed = files.authorities.iter().zip(authorities.iter());
        let shown = files.identity.iter().zip(identity.iter());
        let all = listed.chain(shown.map(|((file, _), (chain, _))| (file, chain)));
        for (file, certificates) in all {
            for certificate in certificates {
                is_certificate(file, certificate)?;
            }
        }
        Ok(Self {
            files,
            authorities,
            identity,
        })
    }

    /// A rustls configuration (ring; TLS 1.2 and 1.3) that offers `alpn` in order.
    ///
    /// # Errors
    /// A certificate is no authority's, or the key belongs to another one.
    pub fn config(&self, alpn: &[&[u8]]) -> Result<ClientConfig, CertError> {
        let roots = match (&self.authorities, &self.files.authorities) {
            (Some(certificates), Some(file)) => roots(file, certificates)?,
            _ => system_roots(),
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(CertError::Library)?
            .with_root_certificates(roots);
        let mut config = match (&self.identity, &self.files.identity) {
            (Some((chain, key)), Some((certificate, key_file))) => builder
                .with_client_auth_cert(chain.clone(), key.clone_key())
                .map_err(|source| CertError::Pair {
                    certificate: certificate.clone(),
                    key: key_file.clone(),
                    source,
                })?,
            _ => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

/// Whether clients must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// One that is shown must be good; none is as well.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// Judges clients' certificates by the authorities in a PEM file.
///
/// # Errors
/// The file cannot be read or holds no authority.
pub fn client_verifier(
    authorities: &Path,
    demand: Demand,
) -> Result<Arc<dyn ClientCertVerifier>, CertError> {
    let roots = Arc::new(roots(authorities, &load::chain(authorities)?)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = WebPkiClientVerifier::builder_with_provider(roots, provider);
    let builder = match demand {
        Demand::Optional => builder.allow_unauthenticated(),
        Demand::Required => builder,
    };
    builder.build().map_err(|error| CertError::Authority {
        file: authorities.to_owned(),
        source: rustls::Error::General(error.to_string()),
    })
}

/// PEM says only that something is called a certificate.
fn is_certificate(file: &Path, certificate: &CertificateDer<'_>) -> Result<(), CertError> {
    let read = webpki::EndEntityCert::try_from(certificate);
    read.map(|_| ()).map_err(|error| CertError::Authority {
        file: file.to_owned(),
        source: rustls::Error::General(error.to_string()),
    })
}

fn roots(
    file: &Path,
    certificates: &[CertificateDer<'static>],
) -> Result<RootCertStore, CertError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates {
        roots
            .add(certificate.clone())
            .map_err(|source| CertError::Authority {
                file: file.to_owned(),
                source,
            })?;
    }
    Ok(roots)
}

/// What the system believes; what of it cannot be read is left out, and said.
fn system_roots() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in found.errors {
        tracing::warn!(%error, "a certificate authority of the system is not used");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}
