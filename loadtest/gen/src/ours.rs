//! Our own node as a subject: a deployment directory and `meridian serve` on it.
//!
//! The binary is the one beside this program (`target/release/meridian` when built by `cargo xtask
//! bench`). Everything not named here is at its default, as a user would run it.

pub mod big;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use crate::{
    GenError,
    dns::{
        PLAIN_ADDRESS,
        geography::{Geography, PLACES},
        query::{NAME, ZONE},
    },
    http::CONNECTIONS_MAX,
    process::{self, Pinned, SUBJECT_CORE},
    report::OURS,
};

/// Starts the node of a deployment directory.
///
/// # Errors
/// When the binary is not there or cannot be started.
pub fn serve(folder: &Path) -> Result<Pinned, GenError> {
    let dir = folder.display().to_string();
    let args = ["serve".to_owned(), "--dir".to_owned(), dir];
    let log = folder.join("log");
    Pinned::start(OURS, SUBJECT_CORE, &binary()?, &args, &log)
}

/// Where our binary is: beside this one, or one folder up from where Cargo keeps tests.
///
/// # Errors
/// When it was not built.
pub fn binary() -> Result<PathBuf, GenError> {
    let here = std::env::current_exe()?;
    let beside = here.with_file_name("meridian");
    let above = here
        .parent()
        .filter(|folder| folder.ends_with("deps"))
        .map(|folder| folder.with_file_name("meridian"));
    for binary in above.iter().chain([&beside]) {
        if binary.is_file() {
            return Ok(binary.clone());
        }
    }
    Err(GenError::Missing {
        program: beside.display().to_string(),
        package: "meridian, by `cargo build --release -p meridian`",
    })
}

/// A deployment that answers [`NAME`] by geography.
///
/// # Errors
/// When a file cannot be written.
pub fn write_dns(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
) -> Result<(), GenError> {
    let admin = process::free_address()?;
    let node = format!(
        "roles: [dns]\n\
         dns: {{ listen: [\"{address}\"], workers: 1 }}\n\
         admin: {{ listen: \"{admin}\" }}\n"
    );
    write_dns_node(folder, &node, geography)
}

/// The same with a `meridian.yaml` of the caller's.
///
/// # Errors
/// When a file cannot be written.
pub fn write_dns_node(folder: &Path, node: &str, geography: &Geography) -> Result<(), GenError> {
    write_deployment(folder, node, &dns_topology(geography))
}

/// A deployment that proxies host `bench.example` to one upstream.
///
/// # Errors
/// When a file cannot be written.
pub fn write_http(folder: &Path, http: &str, upstream: SocketAddr) -> Result<(), GenError> {
    let admin = process::free_address()?;
    let node = format!(
        "roles: [http]\n\
         http: {{ {http}, worker_threads: 1, limits: {{ upstream_idle: {CONNECTIONS_MAX} }} }}\n\
         admin: {{ listen: \"{admin}\" }}\n"
    );
    write_deployment(folder, &node, &one_upstream(upstream, HTTP_ENTRY))
}

/// A deployment that passes a port's connections on to one upstream.
///
/// # Errors
/// When a file cannot be written.
pub fn write_tcp(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> Result<(), GenError> {
    let admin = process::free_address()?;
    let node = format!("roles: [stream]\nadmin: {{ listen: \"{admin}\" }}\n");
    let entry = format!("tcp: [{{ listen: \"{address}\", connect_timeout: \"1s\" }}]");
    write_deployment(folder, &node, &one_upstream(upstream, &entry))
}

fn write_deployment(folder: &Path, node: &str, topology: &str) -> Result<(), GenError> {
    process::make_folder(&folder.join("policies"))?;
    process::write(&folder.join("meridian.yaml"), node)?;
    process::write(&folder.join("topology.yaml"), topology)?;
    process::write(&folder.join("policies/bench.yaml"), POLICY)
}

/// Nearest region, one of it: what the peers' maps do.
const POLICY: &str =
    "policy: bench\nscore:\n  - geographic: { weight: 1.0 }\nspread: { at_most: 1 }\n";

/// One region a place, and the place's networks as a group of clients that are there.
fn dns_topology(geography: &Geography) -> String {
    let mut out = String::from("regions:\n");
    for place in &PLACES {
        let _ = write!(
            out,
            "  - id: {name}\n    \
             location: {{ country: \"{}\", latitude: {}, longitude: {}, provider: bench }}\n    \
             endpoints:\n      \
             - {{ id: {name}-1, address: {}, port: 80, services: [www] }}\n",
            place.country,
            place.latitude,
            place.longitude,
            place.address(),
            name = place.name,
        );
    }
    let _ = write!(
        out,
        "services:\n  - id: www\n    policy: bench\n    \
         dns: {{ names: [{NAME}], ttl: \"60s\" }}\n\
         dns_zones:\n  - origin: {ZONE}\n    \
         soa: {{ mname: ns1.{ZONE}, rname: hostmaster.{ZONE}, serial: 1 }}\n    \
         ns: [ns1.{ZONE}]\n    \
         records:\n      - {{ name: ns1, type: A, data: 192.0.2.250 }}\n      \
         - {{ name: plain, type: A, data: {PLAIN_ADDRESS} }}\n\
         client_groups:\n"
    );
    for place in &PLACES {
        let _ = write!(
            out,
            "  - id: near-{}\n    latitude: {}\n    longitude: {}\n    cidrs:\n",
            place.name, place.latitude, place.longitude
        );
        let here = geography
            .networks()
            .filter(|network| network.place == place);
        for network in here {
            let _ = writeln!(out, "      - {network}");
        }
    }
    out
}

/// How HTTP comes to the service.
const HTTP_ENTRY: &str = "http: [{ hosts: [bench.example], timeouts: { connect: \"1s\" } }]";

/// One upstream in one region, and how clients come to its service.
fn one_upstream(upstream: SocketAddr, entry: &str) -> String {
    format!(
        "regions:\n  - id: here\n    \
         location: {{ country: DE, latitude: 50.1, longitude: 8.7, provider: bench }}\n    \
         endpoints:\n      \
         - {{ id: here-1, address: \"{}\", port: {}, services: [www] }}\n\
         services:\n  - id: www\n    policy: bench\n    {entry}\n",
        upstream.ip(),
        upstream.port()
    )
}

#[cfg(test)]
mod tests;
