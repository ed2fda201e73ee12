//! Each server's configuration for the same map: one UDP worker on one core, logging off.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use super::{
    geography::{Geography, PLACES},
    query::{NAME, ZONE},
};
use crate::{
    GenError,
    ours::{
        self,
        big::{CLASSES, SERVICES},
    },
    process::{self, Pinned, SUBJECT_CORE},
    template::fill,
};

/// Writes into a string, which cannot fail.
macro_rules! line {
    ($out:expr, $($arg:tt)*) => {
        let _ = writeln!($out, $($arg)*);
    };
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Our own server.
pub(super) fn meridian(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
) -> Result<Pinned, GenError> {
    ours::write_dns(folder, address, geography)?;
    ours::serve(folder)
}

/// Our own server with the big deployment.
pub(super) fn meridian_big(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
) -> Result<Pinned, GenError> {
    ours::big::write_dns_big(folder, address, geography, SERVICES, CLASSES)?;
    ours::serve(folder)
}

/// gdnsd with its geoip plugin and a map of networks.
pub(super) fn gdnsd(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
) -> Result<Pinned, GenError> {
    let program = process::find("gdnsd", "gdnsd")?;
    let mut nets = String::new();
    for network in geography.networks() {
        line!(nets, "{network} => {}", network.place.name);
    }
    let (mut names, mut addresses) = (String::new(), String::new());
    for place in &PLACES {
        names.push_str(&format!("{}, ", place.name));
        line!(addresses, "          {} => {}", place.name, place.address());
    }
    process::make_folder(&folder.join("zones"))?;
    process::make_folder(&folder.join("geoip"))?;
    process::make_folder(&folder.join("run"))?;
    process::make_folder(&folder.join("state"))?;
    process::write(&folder.join("geoip/nets"), &nets)?;
    let zone = include_str!("../../templates/gdnsd.zone");
    process::write(&folder.join("zones").join(ZONE), zone)?;
    let config = fill(
        include_str!("../../templates/gdnsd.conf"),
        &[
            ("address", address.to_string()),
            ("run", text(&folder.join("run"))),
            ("state", text(&folder.join("state"))),
            ("places", names.trim_end_matches(", ").to_owned()),
            ("addresses", addresses),
        ],
    );
    process::write(&folder.join("config"), &config)?;
    let args = ["-c".to_owned(), text(folder), "start".to_owned()];
    let log = folder.join("log");
    Pinned::start("gdnsd", SUBJECT_CORE, &program, &args, &log)
}

/// Knot with its geoip module in subnet mode.
pub(super) fn knot(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
) -> Result<Pinned, GenError> {
    let program = process::find("knotd", "knot")?;
    let mut nets = format!("{NAME}:\n");
    for network in geography.networks() {
        line!(nets, "  - net: {network}");
        line!(nets, "    A: [ {} ]", network.place.address());
    }
    process::write(&folder.join("nets.conf"), &nets)?;
    let zone = include_str!("../../templates/knot.zone");
    process::write(&folder.join("bench.zone"), zone)?;
    process::make_folder(&folder.join("run"))?;
    let config = fill(
        include_str!("../../templates/knot.conf"),
        &[
            ("ip", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("folder", text(folder)),
        ],
    );
    process::write(&folder.join("knot.conf"), &config)?;
    let args = ["-c".to_owned(), text(&folder.join("knot.conf"))];
    let log = folder.join("log");
    Pinned::start("knot", SUBJECT_CORE, &program, &args, &log)
}

/// PowerDNS with its geoip backend: networks to places, without a database.
pub(super) fn pdns(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
) -> Result<Pinned, GenError> {
    let program = process::find("pdns_server", "pdns-server")?;
    let mut zones = String::from(include_str!("../../templates/pdns.zones"));
    for place in &PLACES {
        line!(
            zones,
            "      {}.{ZONE}: [ a: {} ]",
            place.name,
            place.address()
        );
    }
    line!(zones, "    services:\n      {NAME}:");
    for network in geography.networks() {
        line!(
            zones,
            "        {network}: [ '{}.{ZONE}' ]",
            network.place.name
        );
    }
    process::write(&folder.join("zones.yaml"), &zones)?;
    process::make_folder(&folder.join("run"))?;
    let config = fill(
        include_str!("../../templates/pdns.conf"),
        &[
            ("ip", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("folder", text(folder)),
        ],
    );
    process::write(&folder.join("pdns.conf"), &config)?;
    let args = [format!("--config-dir={}", text(folder))];
    let log = folder.join("log");
    Pinned::start("pdns", SUBJECT_CORE, &program, &args, &log)
}

/// NSD with the zone alone: it has no geography.
pub(super) fn nsd(folder: &Path, address: SocketAddr) -> Result<Pinned, GenError> {
    let program = process::find("nsd", "nsd")?;
    let zone = include_str!("../../templates/knot.zone");
    process::write(&folder.join("bench.zone"), zone)?;
    let config = fill(
        include_str!("../../templates/nsd.conf"),
        &[
            ("ip", address.ip().to_string()),
            ("port", address.port().to_string()),
            ("folder", text(folder)),
        ],
    );
    process::write(&folder.join("nsd.conf"), &config)?;
    let args = [
        "-d".to_owned(),
        "-c".to_owned(),
        text(&folder.join("nsd.conf")),
    ];
    let log = folder.join("log");
    Pinned::start("nsd", SUBJECT_CORE, &program, &args, &log)
}
