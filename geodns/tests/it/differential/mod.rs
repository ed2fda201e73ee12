//! We answer as NSD and Knot answer: thousands of questions about zones made by chance, to all three,
//! and no difference that a standard does not allow ([`compare`]).
//!
//! `MERIDIAN_DIFFERENTIAL=QUESTIONS` asks more; a failure prints the seed's zone and every question
//! that differs, and the zone file is kept.

mod chance;
mod compare;
mod message;
mod questions;
mod servers;
mod zones;

use std::num::NonZeroUsize;
use std::sync::Arc;

use meridian_engine::{ClassTable, PolicySet, World};
use meridian_geodns::zone::ZoneShelf;
use meridian_geodns::{DnsConfig, DnsServer};
use meridian_live::PlanHandle;
use meridian_telemetry::{DecisionLog, Metrics};
use tokio_util::sync::CancellationToken;

use crate::presigned::{self, Denies};
use chance::Chance;
use compare::{difference, left_early, special};
use servers::Server;
use zones::MadeZone;

/// Zones of one run.
const ZONES: u64 = 8;
/// Zones of one run that arrive signed, for each way to deny.
const SIGNED_ZONES: u64 = 2;
/// Questions of one run over all zones, unless the environment says more.
const QUESTIONS: usize = 7_000;
/// Differences printed.
const SHOWN_MAX: usize = 60;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_those_of_nsd_and_knot() {
    let servers = ["nsd", "knotd"].into_iter();
    let missing = servers.filter(|program| !servers::installed(program));
    if let Some(missing) = missing.chain(presigned::missing()).next() {
        eprintln!("skipped: {missing} is not installed (`cargo xtask setup` brings it)");
        return;
    }
    let questions = std::env::var("MERIDIAN_DIFFERENTIAL").ok();
    let questions = questions
        .and_then(|text| text.parse().ok())
        .unwrap_or(QUESTIONS);
    let folder = tempfile::tempdir().unwrap();
    let mut zones: Vec<MadeZone> = (1..=ZONES).map(zones::make).collect();
    for seed in ZONES + 1..=ZONES + SIGNED_ZONES * Denies::ALL.len() as u64 {
        let denies = Denies::ALL[seed as usize % Denies::ALL.len()];
        zones.push(zones::make(seed).signed(folder.path(), denies));
    }
    for zone in &zones {
        std::fs::write(
            folder.path().join(format!("{}zone", zone.origin)),
            &zone.text,
        )
        .unwrap();
    }
    std::fs::create_dir(folder.path().join("knot")).unwrap();
    let shutdown = CancellationToken::new();
    let ours = ours(folder.path(), zones.len(), &shutdown);
    let peers = [
        servers::nsd(folder.path(), &zones),
        servers::knot(folder.path(), &zones),
    ];
    let found = compare_all(&ours, &peers, &zones, questions);
    shutdown.cancel();
    if !found.is_empty() {
        let kept = folder.keep();
        panic!(
            "{} differences, zones in {}:\n{}",
            found.len(),
            kept.display(),
            found[..found.len().min(SHOWN_MAX)].join("\n")
        );
    }
}

/// Our server for the master files of a folder.
fn ours(folder: &std::path::Path, zones: usize, shutdown: &CancellationToken) -> Server {
    let config = DnsConfig {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        workers: NonZeroUsize::new(1),
        udp_bytes_max: 4096,
        zone_files: Some(folder.to_owned()),
        ..DnsConfig::default()
    };
    let world = World::new(
        Arc::default(),
        Arc::new(PolicySet::new([])),
        Arc::new(ClassTable::unknown()),
    );
    let settings = config.validate(NonZeroUsize::MIN).unwrap();
    let (plan, shelf, metrics) = (PlanHandle::fixed(world), ZoneShelf::new(), Metrics::new());
    let server = DnsServer::bind(&settings, &plan, &shelf, &metrics, DecisionLog::off()).unwrap();
    let files = server.zone_files().unwrap().files();
    let wrong: Vec<_> = files
        .iter()
        .filter(|file| !file.mistakes.is_empty() || !file.problems.is_empty())
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(shelf.snapshot().len(), zones);
    let address = server.local_addrs()[0];
    tokio::spawn(server.run(shutdown.clone()));
    Server::at("ours", address)
}

fn compare_all(
    ours: &Server,
    peers: &[Server],
    zones: &[MadeZone],
    questions: usize,
) -> Vec<String> {
    let mut found = Vec::new();
    for (seed, zone) in zones.iter().enumerate() {
        let mut chance = Chance::new(0x5eed + seed as u64);
        for _ in 0..questions / zones.len() {
            let question = questions::ask_about(zone, &mut chance);
            let our = ours.ask(&question);
            for peer in peers {
                let their = peer.ask(&question);
                if left_early(&our, &their) || special(&question, peer.name, &our) {
                    continue;
                }
                let differ = difference(&question, &zone.origin, peer.name, &our, &their);
                if let Some(difference) = differ {
                    found.push(format!("{question} vs {}: {difference}", peer.name));
                }
            }
        }
    }
    found
}
