//! Each proxy's configuration for the same job: one worker on one core, keepalive on both sides,
//! routing by host, timeouts and one retry on, logging off.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

use rustls::pki_types::CertificateDer;

use super::{CONNECTIONS_MAX, HOST, Setup, suite::Protocol};
use crate::{
    GenError, ours,
    process::{self, Pinned, SUBJECT_CORE},
    template::fill,
};

/// What a proxy is to do.
pub(super) struct Job<'a> {
    /// For its files alone.
    pub(super) folder: &'a Path,
    /// Where it listens.
    pub(super) address: SocketAddr,
    /// What is the same for all.
    pub(super) setup: &'a Setup<'a>,
}

/// A certificate (P-256) for [`HOST`] and its key, as files.
pub(crate) struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    /// Both in one, as HAProxy wants them.
    both: PathBuf,
    /// The certificate, for clients that check it.
    pub(crate) root: CertificateDer<'static>,
}

impl Tls {
    pub(crate) fn make(folder: &Path) -> Result<Self, GenError> {
        let made = rcgen::generate_simple_self_signed([HOST.to_owned()]);
        let made = made.map_err(|error| GenError::Failed {
            program: "rcgen".to_owned(),
            detail: error.to_string(),
        })?;
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let tls = Self {
            certificate: folder.join("cert.pem"),
            key: folder.join("key.pem"),
            both: folder.join("both.pem"),
            root: made.cert.der().clone(),
        };
        process::write(&tls.certificate, &certificate)?;
        process::write(&tls.key, &key)?;
        process::write(&tls.both, &format!("{certificate}{key}"))?;
        Ok(tls)
    }
}

/// Our own proxy, with one of its lanes.
pub(super) fn meridian(job: &Job<'_>, lane: &str) -> Result<Pinned, GenError> {
    let (address, tls) = (job.address, job.setup.tls);
    let listen = match job.setup.protocol {
        Protocol::Http => format!("listen: [\"{address}\"]"),
        // Clients choose HTTP/2 by ALPN.
        Protocol::Https | Protocol::H2 => format!(
            "listen: [], https: {{ listen: [\"{address}\"], certificates: [{{ certificate: {}, key: {} }}] }}",
            tls.certificate.display(),
            tls.key.display()
        ),
    };
    let http = format!("lane: {lane}, {listen}");
    ours::write_http(job.folder, &http, job.setup.upstream)?;
    ours::serve(job.folder)
}

/// HAProxy with one thread.
pub(super) fn haproxy(job: &Job<'_>) -> Result<Pinned, GenError> {
    let both = job.setup.tls.both.display();
    let tls = match job.setup.protocol {
        Protocol::Http => String::new(),
        Protocol::Https => format!("ssl crt {both} ssl-min-ver TLSv1.3"),
        Protocol::H2 => format!("ssl crt {both} ssl-min-ver TLSv1.3 alpn h2"),
    };
    let template = include_str!("../../templates/haproxy.cfg");
    let config = write(job, "haproxy.cfg", template, &tls)?;
    let program = process::find("haproxy", "haproxy")?;
    let args = ["-db".to_owned(), "-f".to_owned(), config];
    let log = job.folder.join("log");
    Pinned::start("haproxy", SUBJECT_CORE, &program, &args, &log)
}

/// nginx with one worker.
pub(super) fn nginx(job: &Job<'_>) -> Result<Pinned, GenError> {
    let files = format!(
        "ssl_certificate {}; ssl_certificate_key {}; ssl_protocols TLSv1.3;",
        job.setup.tls.certificate.display(),
        job.setup.tls.key.display()
    );
    let tls = match job.setup.protocol {
        Protocol::Http => ";".to_owned(),
        Protocol::Https => format!("ssl; {files}"),
        Protocol::H2 => format!("ssl http2; {files}"),
    };
    let template = include_str!("../../templates/nginx.conf");
    let config = write(job, "nginx.conf", template, &tls)?;
    let program = process::find("nginx", "nginx-light")?;
    let prefix = job.folder.display().to_string();
    let args = ["-p".to_owned(), prefix, "-c".to_owned(), config];
    let log = job.folder.join("log");
    Pinned::start("nginx", SUBJECT_CORE, &program, &args, &log)
}

/// Writes a filled template; where it is.
fn write(job: &Job<'_>, name: &str, template: &str, tls: &str) -> Result<String, GenError> {
    let values = [
        ("address", job.address.to_string()),
        ("upstream", job.setup.upstream.to_string()),
        ("folder", job.folder.display().to_string()),
        ("host", HOST.to_owned()),
        ("connections", CONNECTIONS_MAX.to_string()),
        ("both_sides", (2 * CONNECTIONS_MAX).to_string()),
        ("tls", tls.to_owned()),
    ];
    let path = job.folder.join(name);
    process::write(&path, &fill(template, &values))?;
    Ok(path.display().to_string())
}
