//! Real servers in folders of their own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::{KEY, SECRET};

/// A server's process; ended when dropped.
pub struct Peer {
    child: Child,
    pub port: u16,
    folder: PathBuf,
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub use crate::ports::free_port;

/// Whether a program is there; says so when not.
pub fn has(program: &str, package: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|folder| folder.join(program).exists())
    });
    if !found {
        eprintln!("SKIP: {program} is not installed ({package})");
    }
    found
}

fn spawn(program: &str, arguments: &[&str], log: &Path) -> Child {
    let log = std::fs::File::create(log).unwrap();
    Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

/// knotd with these sections behind the general ones.
pub fn knot(folder: &Path, port: u16, sections: &str) -> Peer {
    // Without the folder its journal fails silently.
    std::fs::create_dir_all(folder.join("db")).unwrap();
    let at = folder.display();
    let config = format!(
        "server:\n  listen: 127.0.0.1@{port}\n  rundir: {at}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\n\
         database:\n  storage: {at}/db\n\
         log:\n  - target: {at}/knot.log\n    any: debug\n\
         key:\n  - id: {KEY}\n    algorithm: hmac-sha256\n    secret: {SECRET}\n{sections}"
    );
    let file = folder.join("knot.conf");
    std::fs::write(&file, config).unwrap();
    let child = spawn(
        "knotd",
        &["-c", file.to_str().unwrap()],
        &folder.join("out"),
    );
    Peer {
        child,
        port,
        folder: folder.into(),
    }
}

/// A zone of knotd that it takes from us.
pub fn knot_secondary(zone: &str, primary: u16, folder: &Path) -> String {
    let at = folder.display();
    format!(
        "remote:\n  - id: us\n    address: 127.0.0.1@{primary}\n    key: {KEY}\n\
         acl:\n  - id: notify\n    key: {KEY}\n    action: notify\n\
         zone:\n  - domain: {zone}\n    storage: {at}\n    master: us\n    acl: notify\n"
    )
}

/// A zone of knotd that we take from it.
pub fn knot_primary(zone: &str, secondary: u16, folder: &Path, text: &str) -> String {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(format!("{zone}.zone")), text).unwrap();
    let at = folder.display();
    format!(
        "remote:\n  - id: us\n    address: 127.0.0.1@{secondary}\n    key: {KEY}\n\
         acl:\n  - id: transfer\n    key: {KEY}\n    action: transfer\n\
         zone:\n  - domain: {zone}\n    storage: {at}\n    acl: transfer\n    notify: us\n"
    )
}

/// nsd with one zone that it takes from us.
pub fn nsd_secondary(folder: &Path, port: u16, zone: &str, primary: u16) -> Peer {
    std::fs::create_dir_all(folder).unwrap();
    let at = folder.display();
    let config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  zonesdir: \"{at}\"\n  database: \"\"\n  pidfile: \"{at}/nsd.pid\"\n  xfrdfile: \"{at}/xfrd.state\"\n  xfrdir: \"{at}\"\n  zonelistfile: \"{at}/zone.list\"\n  logfile: \"{at}/nsd.log\"\n  server-count: 1\n  verbosity: 3\n\
         remote-control:\n  control-enable: no\n\
         key:\n  name: \"{KEY}\"\n  algorithm: hmac-sha256\n  secret: \"{SECRET}\"\n\
         zone:\n  name: \"{zone}\"\n  zonefile: \"{zone}.zone\"\n  request-xfr: 127.0.0.1@{primary} {KEY}\n  allow-notify: 127.0.0.1 {KEY}\n"
    );
    let file = folder.join("nsd.conf");
    std::fs::write(&file, config).unwrap();
    let child = spawn(
        "nsd",
        &["-d", "-c", file.to_str().unwrap()],
        &folder.join("out"),
    );
    Peer {
        child,
        port,
        folder: folder.into(),
    }
}

impl Peer {
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        ["knot.log", "nsd.log", "out"]
            .iter()
            .filter_map(|name| std::fs::read_to_string(self.folder.join(name)).ok())
            .collect()
    }

    /// Changes a zone of knotd: each line is what follows the zone in `zone-set` or `zone-unset`.
    pub fn change(&self, zone: &str, changes: &[(&str, &str)]) {
        let control = |arguments: &[&str]| {
            let output = Command::new("knotc")
                .args(["-b", "-s", self.folder.join("knot.sock").to_str().unwrap()])
                .args(arguments)
                .output()
                .unwrap();
            assert!(output.status.success(), "{arguments:?}: {output:?}");
        };
        control(&["zone-begin", zone]);
        for (verb, record) in changes {
            let mut arguments = vec![*verb, zone];
            arguments.extend(record.split(' '));
            control(&arguments);
        }
        control(&["zone-commit", zone]);
    }
}

/// A zone in text, as knotd reads it.
pub fn zone_text(origin: &str, serial: u32, expire: u32, hosts: &[(&str, &str)]) -> String {
    use std::fmt::Write as _;

    let mut text = format!(
        "$ORIGIN {origin}.\n$TTL 300\n@ SOA ns admin {serial} 1 1 {expire} 60\n@ NS ns\nns A 192.0.2.53\n"
    );
    for (host, address) in hosts {
        writeln!(text, "{host} A {address}").unwrap();
    }
    text
}
