//! Each proxy's configuration for the same job: one worker on one core, keepalive on both sides,
//! routing by host, timeouts and one retry on, logging off.

use std::{net::SocketAddr, path::Path};

use super::HOST;
use crate::{
    GenError, ours,
    process::{self, Pinned, SUBJECT_CORE},
    template::fill,
};

/// Our own proxy.
pub(super) fn meridian(
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<Pinned, GenError> {
    ours::write_http(folder, address, upstream)?;
    ours::serve(folder)
}

/// HAProxy with one thread.
pub(super) fn haproxy(
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<Pinned, GenError> {
    let template = include_str!("../../templates/haproxy.cfg");
    let config = write(folder, "haproxy.cfg", template, address, upstream)?;
    let program = process::find("haproxy", "haproxy")?;
    let args = ["-db".to_owned(), "-f".to_owned(), config];
    let log = folder.join("log");
    Pinned::start("haproxy", SUBJECT_CORE, &program, &args, &log)
}

/// nginx with one worker.
pub(super) fn nginx(
    folder: &Path,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<Pinned, GenError> {
    let template = include_str!("../../templates/nginx.conf");
    let config = write(folder, "nginx.conf", template, address, upstream)?;
    let program = process::find("nginx", "nginx-light")?;
    let prefix = folder.display().to_string();
    let args = ["-p".to_owned(), prefix, "-c".to_owned(), config];
    let log = folder.join("log");
    Pinned::start("nginx", SUBJECT_CORE, &program, &args, &log)
}

/// Writes a filled template; where it is.
fn write(
    folder: &Path,
    name: &str,
    template: &str,
    address: SocketAddr,
    upstream: SocketAddr,
) -> Result<String, GenError> {
    let values = [
        ("address", address.to_string()),
        ("upstream", upstream.to_string()),
        ("folder", folder.display().to_string()),
        ("host", HOST.to_owned()),
    ];
    let path = folder.join(name);
    process::write(&path, &fill(template, &values))?;
    Ok(path.display().to_string())
}
