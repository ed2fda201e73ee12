//! The benchmarks by name.

use crate::{
    GenError, dns, dns_xdp, engine, http, idle, process, report::Report, rounds::Effort, tcp,
};

/// Every benchmark there is.
pub const NAMES: [&str; 11] = [
    "decide",
    "compile",
    "dns",
    "dns-xdp",
    "http",
    "http-new",
    "http-growth",
    "tls",
    "h2",
    "tcp",
    "idle-memory",
];

/// Runs a benchmark against `peers`, or all it knows.
///
/// # Errors
/// When there is none of that name, or it fails.
pub fn run(name: &str, peers: Option<&[String]>, effort: Effort) -> Result<Report, GenError> {
    process::raise_open_files()?;
    match name {
        "decide" => engine::decide(effort),
        "compile" => engine::compile_plans(effort),
        "dns" => dns::run(peers, effort),
        "dns-xdp" => dns_xdp::run(peers, effort),
        "http" => http::run(&http::HTTP, peers, effort),
        "http-new" => http::run(&http::NEW, peers, effort),
        "http-growth" => http::run(&http::GROWTH, peers, effort),
        "tls" => http::run(&http::TLS, peers, effort),
        "h2" => http::run(&http::H2, peers, effort),
        "tcp" => tcp::run(peers, effort),
        "idle-memory" => idle::run(peers, effort),
        _ => Err(GenError::Unknown {
            what: "benchmark",
            name: name.to_owned(),
            known: NAMES.join(", "),
        }),
    }
}
