//! Transfers, notifications, secondaries and updates with servers and clients we did not write.

mod catalog;
mod docs;
mod inward;
mod outward;
mod peers;
mod tools;
mod updates;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use meridian_geodns::DnsConfig;
use meridian_geodns::transfer::{
    NotifyConfig, PeerConfig, PrimaryConfig, SecondaryConfig, TsigAlgorithm, TsigKeyConfig,
};
use meridian_geodns::wire::RType;
use meridian_geodns::zone::{StaticZone, StaticZoneBuilder};

use crate::rig::{ask_udp, query};

/// A secret, and the name of its key.
pub const SECRET: &str = "c29tZXRoaW5nIHNlY3JldCBhbmQgbG9uZyBlbm91Z2g=";
pub const OTHER_SECRET: &str = "c29tZXRoaW5nIGVsc2UgdGhhdCBpcyBsb25nIGVub3VnaA==";
pub const KEY: &str = "xfr.test";

/// Longest wait for a condition; only a hang comes near it.
const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The wire form of a name.
pub fn wire(name: &str) -> Vec<u8> {
    let mut wire = Vec::new();
    for label in Name::from_ascii(name).unwrap().iter() {
        wire.push(u8::try_from(label.len()).unwrap());
        wire.extend_from_slice(label);
    }
    wire.push(0);
    wire
}

/// A zone with these addresses, `refresh` and `retry` of a second, and this time to expire.
pub fn zone_with(
    origin: &str,
    serial: u32,
    expire: u32,
    hosts: &[(&str, [u8; 4])],
) -> Arc<StaticZone> {
    let mut builder = StaticZoneBuilder::new(&wire(origin));
    let mut soa = [
        wire(&format!("ns.{origin}")),
        wire(&format!("admin.{origin}")),
    ]
    .concat();
    for number in [serial, 1, 1, expire, 60] {
        soa.extend_from_slice(&number.to_be_bytes());
    }
    builder.record(&wire(origin), RType::SOA, 300, &soa);
    builder.record(
        &wire(origin),
        RType::NS,
        300,
        &wire(&format!("ns.{origin}")),
    );
    builder.record(
        &wire(&format!("ns.{origin}")),
        RType::A,
        300,
        &[192, 0, 2, 53],
    );
    for (host, address) in hosts {
        builder.record(&wire(&format!("{host}.{origin}")), RType::A, 300, address);
    }
    Arc::new(builder.build().unwrap())
}

pub fn zone(origin: &str, serial: u32, hosts: &[(&str, [u8; 4])]) -> Arc<StaticZone> {
    zone_with(origin, serial, 3_600, hosts)
}

/// Gives a configuration the key, its secret in a file of `folder`.
pub fn with_key(config: &mut DnsConfig, folder: &Path) {
    let secret_file = folder.join("xfr.key");
    std::fs::write(&secret_file, SECRET).unwrap();
    config.tsig_keys.push(TsigKeyConfig {
        name: KEY.into(),
        algorithm: TsigAlgorithm::HmacSha256,
        secret_file,
    });
}

pub fn holder_of_key() -> PeerConfig {
    PeerConfig {
        network: None,
        tsig_key: Some(KEY.into()),
    }
}

pub fn notify(port: u16) -> NotifyConfig {
    NotifyConfig {
        address: SocketAddr::from(([127, 0, 0, 1], port)),
        tsig_key: Some(KEY.into()),
        source: None,
    }
}

/// A secondary of the primary at a port of this host.
pub fn secondary(zone: &str, port: u16) -> SecondaryConfig {
    SecondaryConfig {
        zone: zone.into(),
        primaries: vec![PrimaryConfig {
            address: SocketAddr::from(([127, 0, 0, 1], port)),
            tsig_key: Some(KEY.into()),
            source: None,
        }],
        allow_notify: Vec::new(),
        refresh_min: meridian_topology::Millis(1_000),
        refresh_max: meridian_topology::Millis(86_400_000),
        bytes_max: 1 << 30,
        catalog: false,
    }
}

/// The answer of the server at an address, over UDP; `None` when nothing comes.
pub fn ask(address: SocketAddr, name: &str, rtype: RecordType) -> Option<Message> {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(address).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let packet = query(9, name, rtype, None);
    socket.send(&packet).ok()?;
    let mut answer = [0; 4096];
    let len = socket.recv(&mut answer).ok()?;
    Some(Message::from_vec(&answer[..len]).unwrap())
}

/// The addresses that a server answers for a name.
pub fn addresses(address: SocketAddr, name: &str) -> Vec<String> {
    let answer = ask(address, name, RecordType::A);
    let mut texts: Vec<String> = answer
        .iter()
        .flat_map(|answer| &answer.answers)
        .map(|record| record.data.to_string())
        .collect();
    texts.sort();
    texts
}

/// The serial that a server answers for a zone.
pub fn serial(address: SocketAddr, zone: &str) -> Option<u32> {
    let answer = ask(address, zone, RecordType::SOA)?;
    answer.answers.iter().find_map(|record| match &record.data {
        hickory_proto::rr::RData::SOA(soa) => Some(soa.serial),
        _ => None,
    })
}

/// A line of the answer to one question over a fresh socket, for what `ask` does not show.
pub fn line(rig: &crate::rig::Rig, name: &str, rtype: RecordType) -> String {
    let packet = query(9, name, rtype, None);
    crate::fixture::summary(&ask_udp(&rig.udp(), &packet).to_vec().unwrap())
}
