//! What the project needs from the system's package manager, and why.
//!
//! Packages are looked up by a file they bring, so that a machine which has the
//! tool from elsewhere is left alone. Only Debian's `apt-get` is driven; any
//! other system gets the list to install by hand.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::shell;

/// How much of the list is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    /// To compile the default members and run them.
    Build,
    /// To run every test and every benchmark: the independent clients, stores and peers.
    Test,
}

struct Package {
    name: &'static str,
    /// Programs or files whose presence makes the package unnecessary.
    brings: &'static str,
    need: Need,
    why: &'static str,
}

const fn package(
    need: Need,
    name: &'static str,
    brings: &'static str,
    why: &'static str,
) -> Package {
    Package {
        name,
        brings,
        need,
        why,
    }
}

const PACKAGES: &[Package] = &[
    package(Need::Build, "gcc", "gcc", "ring and zlib-ng are C"),
    package(
        Need::Build,
        "cmake",
        "cmake",
        "pingora-core compresses with zlib-ng, which builds by cmake",
    ),
    package(
        Need::Build,
        "protobuf-compiler",
        "protoc",
        "etcd-client generates its gRPC code",
    ),
    package(
        Need::Build,
        "libprotobuf-dev",
        "/usr/include/google/protobuf/any.proto",
        "the well-known protobuf types etcd's API imports",
    ),
    package(
        Need::Test,
        "etcd-server",
        "etcd",
        "the store's contract test runs three real nodes",
    ),
    package(
        Need::Test,
        "knot-dnsutils",
        "kdig",
        "an independent DNS client in the GeoDNS tests",
    ),
    package(
        Need::Test,
        "bind9-dnsutils",
        "dig",
        "another one, and dnstap-read",
    ),
    package(
        Need::Test,
        "bind9-utils",
        "dnssec-signzone",
        "signs the zones that arrive signed in the GeoDNS tests",
    ),
    package(
        Need::Test,
        "fstrm-bin",
        "fstrm_capture",
        "an independent reader of our dnstap sockets",
    ),
    package(
        Need::Test,
        "curl",
        "curl",
        "an independent HTTP/2 client in the tests of DNS over HTTPS",
    ),
    package(
        Need::Test,
        "unbound",
        "unbound",
        "a validating resolver in the DNSSEC tests",
    ),
    package(
        Need::Test,
        "python3",
        "python3",
        "a program that we did not write maps a class table",
    ),
    package(
        Need::Test,
        "gdnsd",
        "gdnsd",
        "peer of `bench dns`, and its tests",
    ),
    package(
        Need::Test,
        "knot",
        "knotd",
        "peer of `bench dns`, and its tests",
    ),
    package(
        Need::Test,
        "knot-module-geoip",
        "/usr/lib/x86_64-linux-gnu/knot/modules-3.2/geoip.so",
        "Knot's geography",
    ),
    package(
        Need::Test,
        "pdns-server",
        "pdns_server",
        "peer of `bench dns`, and its tests",
    ),
    package(
        Need::Test,
        "pdns-backend-geoip",
        "/usr/lib/x86_64-linux-gnu/pdns/libgeoipbackend.so",
        "PowerDNS's geography",
    ),
    package(
        Need::Test,
        "nsd",
        "nsd",
        "peer of `bench dns`, and its tests",
    ),
    package(
        Need::Test,
        "ethtool",
        "ethtool",
        "VLAN offload in the AF_XDP tests, threaded NAPI in the bench",
    ),
    package(
        Need::Test,
        "iputils-ping",
        "ping",
        "ICMP still passes beside AF_XDP",
    ),
    package(
        Need::Test,
        "zonemaster-cli",
        "zonemaster-cli",
        "an independent judge of a zone and its servers",
    ),
    package(
        Need::Test,
        "iproute2",
        "ip",
        "network namespaces for tests that need networks of their own",
    ),
    package(
        Need::Test,
        "haproxy",
        "haproxy",
        "peer of `bench http`, and its tests",
    ),
    package(
        Need::Test,
        "nginx-light",
        "nginx",
        "peer of `bench http`, and its tests",
    ),
    package(Need::Test, "wrk", "wrk", "load for `bench http`"),
    package(
        Need::Test,
        "nghttp2-client",
        "h2load",
        "load for `bench h2`",
    ),
];

/// Installs what is missing for `need`.
///
/// Needs root or `sudo`; without either it prints the one line to run and fails.
pub fn run(need: Need) -> Result<()> {
    let missing: Vec<&Package> = PACKAGES
        .iter()
        .filter(|package| package.need <= need && !present(package.brings))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        eprintln!("missing: {} ({})", package.name, package.why);
    }
    let names: Vec<&str> = missing.iter().map(|package| package.name).collect();
    let line = format!(
        "apt-get update && apt-get install -y --no-install-recommends {}",
        names.join(" ")
    );
    if !shell::installed("apt-get") {
        bail!(
            "this system has no apt-get: install the packages above with its own package manager"
        );
    }
    let prefix: &[&str] = match privilege() {
        Privilege::Root => &[],
        Privilege::Sudo => &["sudo", "-n"],
        Privilege::None => {
            bail!("not root and no password-less sudo; run this once:\n  sudo sh -c '{line}'")
        }
    };
    apt(prefix, &["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(names);
    apt(prefix, &install)
}

fn present(brings: &str) -> bool {
    if brings.starts_with('/') {
        Path::new(brings).exists()
    } else {
        shell::installed(brings)
    }
}

enum Privilege {
    Root,
    Sudo,
    None,
}

fn privilege() -> Privilege {
    let answers = |program: &str, args: &[&str]| {
        Command::new(program)
            .args(args)
            .output()
            .is_ok_and(|output| output.status.success() && output.stdout.trim_ascii() == b"0")
    };
    if answers("id", &["-u"]) {
        Privilege::Root
    } else if answers("sudo", &["-n", "id", "-u"]) {
        Privilege::Sudo
    } else {
        Privilege::None
    }
}

fn apt(prefix: &[&str], args: &[&str]) -> Result<()> {
    let words: Vec<&str> = prefix
        .iter()
        .copied()
        .chain(["apt-get", "-qq"])
        .chain(args.iter().copied())
        .collect();
    let (program, args) = words.split_first().expect("apt-get is always there");
    // Debian's daemons start on installation unless told otherwise; ours are started by the tests.
    let mut command = shell::command(program, args);
    command
        .env("DEBIAN_FRONTEND", "noninteractive")
        .env("RUNLEVEL", "1");
    shell::run(&mut command)
}
