//! The parts by themselves: vectors of the RFCs, agreement with hickory-proto, the rules of rolls.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its input has failed"
)]

mod keys;
mod lifecycle;
mod parts;
mod signer;
mod signing;

use hickory_proto::rr::Name;
use meridian_topology::Millis;

use super::canonical::wire_name;
use super::config::{ZoneSigning, ZoneSigningConfig};
use super::key::{Algorithm, KeyRole, SigningKey};
use super::keyring::ZoneKeys;
use super::lifecycle::{KeyFacts, KeyState, ZoneFacts};
use super::signer::push_record;
use crate::wire::RType;

/// A moment in 2026.
const NOW: u32 = 1_780_000_000;

fn wire(name: &str) -> Box<[u8]> {
    wire_name(&Name::from_ascii(name).unwrap())
}

fn signing(zone: &str, algorithm: Algorithm) -> ZoneSigning {
    let config = ZoneSigningConfig {
        algorithm,
        validity: Millis(14 * 86_400_000),
        ..ZoneSigningConfig::default()
    };
    let config = super::DnssecConfig {
        zones: [(zone.to_owned(), config)].into(),
        ..super::DnssecConfig::default()
    };
    config.validate().unwrap().zones.remove(0)
}

/// A zone with one key that does everything.
fn csk(zone: &str, algorithm: Algorithm) -> ZoneKeys {
    let pkcs8 = SigningKey::generate(algorithm).unwrap();
    let key = SigningKey::from_pkcs8(&pkcs8, algorithm, KeyRole::Csk).unwrap();
    let mut facts = ZoneFacts::new(zone);
    facts.keys.push(KeyFacts {
        tag: key.tag,
        algorithm,
        role: KeyRole::Csk,
        state: KeyState::Active,
        file: "key.pem".into(),
        published_at: 0,
        activated_at: Some(0),
        retired_at: None,
        cds_from: 0,
        ds_seen_at: None,
    });
    ZoneKeys::assemble(signing(zone, algorithm), facts, vec![key]).unwrap()
}

/// Precompiled records of one type.
fn records(rtype: RType, ttl_seconds: u32, data: &[Vec<u8>]) -> Vec<u8> {
    let mut records = Vec::new();
    for data in data {
        push_record(&mut records, rtype, ttl_seconds, &[data]);
    }
    records
}
