//! The subjects, each in its namespace: one UDP worker on one core, logging off, one zone.

use std::path::Path;

use super::wire::{CLIENTS, SERVER, SERVER_DEVICE, Wire};
use crate::{
    GenError,
    dns::{
        geography::{Geography, NETWORKS, PLACES},
        query::NAME,
    },
    ours,
    process::{self, Pinned, SUBJECT_CORE},
    report::OURS,
    template::fill,
};

/// What peers answer, from their zone.
const STATIC_ADDRESS: &str = "192.0.2.252";

/// A static zone, for all peers.
const ZONE_FILE: &str = include_str!("../../templates/knot.zone");

/// Starts a subject and makes sure that it answers, and by AF_XDP where that is what is measured.
pub(super) fn start(
    name: &str,
    wire: &Wire,
    folder: &Path,
    geography: &Geography,
) -> Result<Pinned, GenError> {
    let (program, args) = match name {
        OURS => meridian(folder, geography, "")?,
        super::BUSY => meridian(folder, geography, ", busy_poll: {}")?,
        "gdnsd" => gdnsd(folder)?,
        "nsd" => nsd(folder)?,
        _ => knot(folder, name == super::KNOT_XDP)?,
    };
    let ip = process::find("ip", "iproute2")?;
    let words = Wire::inside(&wire.server, &program, &args);
    let mut process = Pinned::start(name, SUBJECT_CORE, &ip, &words, &folder.join("log"))?;
    let first_client = format!("{}.{}.0.1", CLIENTS[0], CLIENTS[1]);
    let steered = PLACES[0].address().to_string();
    let is_ours = name == OURS || name == super::BUSY;
    let expected = if is_ours { &steered } else { STATIC_ADDRESS };
    process.wait_until(|| check(wire, &format!("-b {first_client}"), expected))?;
    let needs_xdp = is_ours || name == super::KNOT_XDP;
    if needs_xdp != wire.has_xdp()? {
        return Err(GenError::Failed {
            program: name.to_owned(),
            detail: format!("an XDP program should be attached: {needs_xdp}, and it is not so"),
        });
    }
    if is_ours {
        steers_by_subnet(wire, geography)?;
    }
    Ok(process)
}

/// One network of each place is answered with its place.
fn steers_by_subnet(wire: &Wire, geography: &Geography) -> Result<(), GenError> {
    for place in &PLACES {
        let mut networks = geography.networks().take(NETWORKS);
        let Some(network) = networks.find(|network| network.place == place) else {
            continue;
        };
        let address = place.address().to_string();
        check(wire, &format!("+subnet={network}"), &address).map_err(|detail| {
            GenError::WrongAnswer {
                subject: OURS.to_owned(),
                detail,
            }
        })?;
    }
    Ok(())
}

/// Asks once, by a client that is not ours.
fn check(wire: &Wire, words: &str, expected: &str) -> Result<(), String> {
    let command = format!(
        "kdig @{} {words} +short +norec +time=1 +retry=0 {NAME} A",
        SERVER.ip()
    );
    let answer = wire
        .on_client(&command)
        .map_err(|error| error.to_string())?;
    if answer.trim() == expected {
        return Ok(());
    }
    Err(format!("{words}: {} instead of {expected}", answer.trim()))
}

type Invocation = (std::path::PathBuf, Vec<String>);

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// Ourselves: geography on AF_XDP with `more` settings, everything else at its default.
fn meridian(folder: &Path, geography: &Geography, more: &str) -> Result<Invocation, GenError> {
    let node = format!(
        "roles: [dns]\n\
         dns: {{ listen: [\"{SERVER}\"], workers: 1, xdp: {{ interfaces: [{SERVER_DEVICE}]{more} }} }}\n"
    );
    ours::write_dns_node(folder, &node, geography)?;
    let args = ["serve".to_owned(), "--dir".to_owned(), text(folder)];
    Ok((ours::binary()?, args.into()))
}

fn gdnsd(folder: &Path) -> Result<Invocation, GenError> {
    for part in ["zones", "run", "state"] {
        process::make_folder(&folder.join(part))?;
    }
    process::write(&folder.join("zones/bench.example"), ZONE_FILE)?;
    let config = fill(
        include_str!("../../templates/gdnsd-static.conf"),
        &[
            ("address", SERVER.to_string()),
            ("run", text(&folder.join("run"))),
            ("state", text(&folder.join("state"))),
        ],
    );
    process::write(&folder.join("config"), &config)?;
    let args = ["-c".to_owned(), text(folder), "start".to_owned()];
    Ok((process::find("gdnsd", "gdnsd")?, args.into()))
}

fn nsd(folder: &Path) -> Result<Invocation, GenError> {
    process::write(&folder.join("bench.zone"), ZONE_FILE)?;
    let config = fill(
        include_str!("../../templates/nsd.conf"),
        &[
            ("ip", SERVER.ip().to_string()),
            ("port", SERVER.port().to_string()),
            ("folder", text(folder)),
        ],
    );
    process::write(&folder.join("nsd.conf"), &config)?;
    let config = text(&folder.join("nsd.conf"));
    let args = ["-d".to_owned(), "-c".to_owned(), config];
    Ok((process::find("nsd", "nsd")?, args.into()))
}

/// Knot on sockets, or in XDP mode.
fn knot(folder: &Path, on_xdp: bool) -> Result<Invocation, GenError> {
    process::write(&folder.join("bench.zone"), ZONE_FILE)?;
    process::make_folder(&folder.join("run"))?;
    let xdp = format!(
        "xdp:\n    listen: {SERVER_DEVICE}@{}\n    udp: on\n",
        SERVER.port()
    );
    let config = fill(
        include_str!("../../templates/knot-static.conf"),
        &[
            ("ip", SERVER.ip().to_string()),
            ("port", SERVER.port().to_string()),
            ("folder", text(folder)),
            ("xdp", if on_xdp { xdp } else { String::new() }),
        ],
    );
    process::write(&folder.join("knot.conf"), &config)?;
    let args = ["-c".to_owned(), text(&folder.join("knot.conf"))];
    Ok((process::find("knotd", "knot")?, args.into()))
}
