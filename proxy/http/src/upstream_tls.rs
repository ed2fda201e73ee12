//! TLS to a service's endpoints: read when a plan brings it, read again when its files change.
//!
//! Both lanes use what is made here: ours a rustls configuration, pingora the same certificates in its own
//! types. Until the files can be read, connections to the service's endpoints fail; after that the last
//! good ones stay in use, whatever becomes of the files.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use arc_swap::ArcSwapOption;
use meridian_accept::certs::{CertError, ClientFiles, ClientTls};
use meridian_topology::model;
use pingora_core::protocols::tls::CaType;
use pingora_core::utils::tls::{CertKey, WrappedX509, parse_x509};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;

/// Protocols our lane speaks upstream, and for gRPC.
const ALPN: &[&[u8]] = &[b"http/1.1"];
const ALPN_GRPC: &[&[u8]] = &[b"h2"];

/// Numbers given out; 0 is clear text.
static NUMBERS: AtomicU64 = AtomicU64::new(1);

/// See the module's documentation.
pub(crate) struct UpstreamTls {
    settings: model::UpstreamTls,
    ready: ArcSwapOption<Ready>,
    /// When each file was last changed, as of the last reading.
    seen: Mutex<Vec<Option<SystemTime>>>,
}

/// What connections are made with.
pub(crate) struct Ready {
    /// Tells connections made with it from others.
    pub(crate) number: u64,
    /// For our lane.
    pub(crate) config: Arc<ClientConfig>,
    /// The same for gRPC.
    pub(crate) grpc: Arc<ClientConfig>,
    /// Asked for, and what the certificate must be for.
    pub(crate) name: ServerName<'static>,
    /// The same name as text, and the certificates, for pingora.
    pub(crate) name_text: String,
    pub(crate) authorities: Option<Arc<CaType>>,
    pub(crate) identity: Option<Arc<CertKey>>,
}

impl fmt::Debug for Ready {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Ready")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl UpstreamTls {
    /// Reads the files; says in the log what is wrong with them.
    pub(crate) fn new(settings: model::UpstreamTls) -> Self {
        let tls = Self {
            settings,
            ready: ArcSwapOption::empty(),
            seen: Mutex::default(),
        };
        tls.refresh();
        tls
    }

    /// What it was made from.
    pub(crate) fn settings(&self) -> &model::UpstreamTls {
        &self.settings
    }

    /// What connections are made with; `None` while the files were never good.
    pub(crate) fn ready(&self) -> Option<Arc<Ready>> {
        self.ready.load_full()
    }

    /// Reads the files again if one has changed. Blocks on them.
    pub(crate) fn refresh(&self) {
        let files = files(&self.settings);
        let now: Vec<Option<SystemTime>> = files.all().map(changed).collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if self.ready.load().is_some() && *seen == now {
            return;
        }
        let was_read = *seen == now && !now.is_empty();
        *seen = now;
        match Ready::load(&self.settings, files) {
            Ok(ready) => self.ready.store(Some(Arc::new(ready))),
            // Said once for each state of the files.
            Err(_) if was_read => {}
            Err(error) => tracing::error!(
                %error,
                server_name = %self.settings.server_name,
                "upstream TLS: the last good files stay in use, if there were any"
            ),
        }
    }
}

impl Ready {
    fn load(settings: &model::UpstreamTls, files: ClientFiles) -> Result<Self, CertError> {
        let loaded = ClientTls::load(files)?;
        let config = Arc::new(loaded.config(ALPN)?);
        let grpc = Arc::new(loaded.config(ALPN_GRPC)?);
        let name_text = settings.server_name.to_string();
        let name = ServerName::try_from(name_text.clone()).map_err(|_| {
            CertError::Library(rustls::Error::General(format!(
                "{name_text} is no server name"
            )))
        })?;
        let own = |certificate: &[u8]| WrappedX509::new(certificate.to_vec(), parse_x509);
        let authorities = loaded.authorities.as_ref().map(|authorities| {
            let authorities = authorities.iter().map(|certificate| own(certificate));
            Arc::from(authorities.collect::<Vec<_>>())
        });
        let identity = loaded.identity.as_ref().map(|(chain, key)| {
            let chain = chain.iter().map(|certificate| certificate.to_vec());
            Arc::new(CertKey::new(chain.collect(), key.secret_der().to_vec()))
        });
        Ok(Self {
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            config,
            grpc,
            name,
            name_text,
            authorities,
            identity,
        })
    }
}

fn files(settings: &model::UpstreamTls) -> ClientFiles {
    ClientFiles {
        authorities: settings.authorities.as_ref().map(Into::into),
        identity: settings
            .identity
            .as_ref()
            .map(|(chain, key)| (chain.into(), key.into())),
    }
}

fn changed(file: &Path) -> Option<SystemTime> {
    std::fs::metadata(file).ok()?.modified().ok()
}
