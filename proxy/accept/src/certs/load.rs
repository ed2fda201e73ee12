//! Files to a [`Table`].

use std::fs::File;
use std::io::Read;
use std::path::Path;

use rustls::crypto::CryptoProvider;
use rustls::sign::CertifiedKey;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use super::table::{Name, Table};
use super::{CERTIFICATES_MAX, CertConfig, CertError, CertSource, PEM_BYTES_MAX};

pub(super) fn table(config: &CertConfig) -> Result<Table, CertError> {
    match config.certificates.len() {
        0 => return Err(CertError::Empty),
        count if count > CERTIFICATES_MAX => return Err(CertError::TooMany { count }),
        _ => {}
    }
    let provider = rustls::crypto::ring::default_provider();
    let mut table = Table::new(config.unmatched);
    for source in &config.certificates {
        let key = certified_key(source, &provider)?;
        let names = names(source, &key)?;
        table.add(key, names);
    }
    Ok(table)
}

fn certified_key(
    source: &CertSource,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, CertError> {
    let chain = chain(&source.certificate)?;
    let key = key(&source.key)?;
    CertifiedKey::from_der(chain, key, provider).map_err(|error| CertError::Pair {
        certificate: source.certificate.clone(),
        key: source.key.clone(),
        source: error,
    })
}

/// The private key in a file.
pub(super) fn key(file: &Path) -> Result<PrivateKeyDer<'static>, CertError> {
    warn_if_readable_by_others(file);
    let text = read(file)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| CertError::Pem {
        file: file.to_owned(),
        wanted: "private key",
        source: error,
    })
}

/// The certificates in a file, one at least.
pub(super) fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, CertError> {
    let fail = |source| CertError::Pem {
        file: file.to_owned(),
        wanted: "certificate",
        source,
    };
    let text = read(file)?;
    let chain = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<Vec<_>, _>>()
        .map_err(fail)?;
    if chain.is_empty() {
        return Err(fail(pem::Error::NoItemsFound));
    }
    Ok(chain)
}

fn names(source: &CertSource, key: &CertifiedKey) -> Result<Vec<Name>, CertError> {
    let file = &source.certificate;
    if !source.names.is_empty() {
        let parse = |text: &String| {
            Name::parse(text).ok_or_else(|| CertError::Name {
                file: file.clone(),
                name: text.clone(),
            })
        };
        return source.names.iter().map(parse).collect();
    }
    let pair = |source_error| CertError::Pair {
        certificate: file.clone(),
        key: source.key.clone(),
        source: source_error,
    };
    let end_entity = key.end_entity_cert().map_err(pair)?;
    let parsed = webpki::EndEntityCert::try_from(end_entity).map_err(|_| {
        pair(rustls::Error::InvalidCertificate(
            rustls::CertificateError::BadEncoding,
        ))
    })?;
    let names: Vec<Name> = parsed.valid_dns_names().filter_map(Name::parse).collect();
    if names.is_empty() {
        return Err(CertError::Nameless { file: file.clone() });
    }
    Ok(names)
}

fn read(file: &Path) -> Result<Vec<u8>, CertError> {
    let fail = |source| CertError::Read {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(fail)?;
    let mut text = Vec::new();
    // One byte past the bound tells a file at the bound from a larger one,
    // also where the size in the metadata means nothing (pipes, /proc).
    opened
        .take(PEM_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(fail)?;
    let bytes = text.len() as u64;
    if bytes > PEM_BYTES_MAX {
        return Err(CertError::TooLarge {
            file: file.to_owned(),
            bytes,
        });
    }
    Ok(text)
}

/// A key that others may read still serves: refusing it would turn a warning
/// into an outage at the next renewal.
#[cfg(unix)]
fn warn_if_readable_by_others(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    const OTHERS: u32 = 0o007;
    if let Ok(metadata) = std::fs::metadata(file) {
        let mode = metadata.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            tracing::warn!(
                file = %file.display(),
                mode = %format_args!("{mode:04o}"),
                "private key is accessible to every user; chmod 0600 or 0640"
            );
        }
    }
}

#[cfg(not(unix))]
fn warn_if_readable_by_others(_file: &Path) {}
