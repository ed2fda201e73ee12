//! `dns.dnssec` of `meridian.yaml`: as written ([`DnssecConfig`]) and as used ([`DnssecSettings`]).

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use hickory_proto::rr::Name;
use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use super::canonical::wire_name;
use super::key::Algorithm;
use super::lifecycle::Timing;
use super::store::KeyFolder;

/// Most zones signed by one node.
pub const ZONES_MAX: usize = 10_000;
/// Bounds on signatures made on the packet path, each second.
pub const BUDGET_RANGE: RangeInclusive<u32> = 0..=1_000_000;
/// Bounds on cached signatures; each takes 96 bytes.
pub const CACHE_RANGE: RangeInclusive<usize> = 1_024..=16_777_216;
/// Bounds on how long signatures hold.
const VALIDITY_SECONDS: RangeInclusive<u64> = 3_600..=90 * 86_400;
/// Bounds on the TTLs and the propagation time.
const INTERVAL_SECONDS: RangeInclusive<u64> = 0..=30 * 86_400;

/// Signing answers as they are made (RFC 4033–4035, RFC 9824).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DnssecConfig {
    /// Folder of the keys, which `meridian dns keys` writes. Default `dnssec`, beside
    /// `meridian.yaml`.
    pub keys: PathBuf,
    /// The zones to sign, by origin. Default none.
    pub zones: BTreeMap<String, ZoneSigningConfig>,
    /// Signatures made while a question waits, each second, 0 to 1000000: once for UDP and once more
    /// for everything else. Beyond it UDP is told to come back over TCP and TCP gets SERVFAIL.
    /// Default 2000.
    pub signatures_per_second: u32,
    /// Signatures kept of answers for our own names, 1024 to 16777216; each takes 96 bytes.
    /// Default 65536.
    pub cached_answers: usize,
    /// Signatures kept of answers for names that clients make up (what does not exist, what a
    /// wildcard stands for), 1024 to 16777216. Default 65536.
    pub cached_denials: usize,
}

/// How a zone is signed. Times are text with a unit (`"14d"`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ZoneSigningConfig {
    /// `ecdsa_p256` (default) or `ed25519`: what new keys are.
    pub algorithm: Algorithm,
    /// How long a signature holds, `"1h"` to `"90d"`. Default `"14d"`; up to an eighth less, so that
    /// not all expire at once.
    #[serde(deserialize_with = "from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub validity: Millis,
    /// How long before it expires a signature is replaced. Default `"7d"`; at most three quarters of
    /// `validity`.
    #[serde(deserialize_with = "from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub refresh_before: Millis,
    /// TTL of the DNSKEY, CDS and CDNSKEY sets. Default `"1h"`.
    #[serde(deserialize_with = "from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub dnskey_ttl: Millis,
    /// Largest TTL in the zone: how long a retired data key is waited for. Default `"1d"`.
    #[serde(deserialize_with = "from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub ttl_max: Millis,
    /// TTL of the parent's DS. Default `"1d"`.
    #[serde(deserialize_with = "from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub ds_ttl: Millis,
    /// How long it takes until every node and secondary serves a change. Default `"1h"`.
    #[serde(deserialize_with = "from_text", serialize_with = "as_text")]
    #[schemars(with = "String")]
    pub propagation: Millis,
}

impl Default for DnssecConfig {
    fn default() -> Self {
        Self {
            keys: "dnssec".into(),
            zones: BTreeMap::new(),
            signatures_per_second: 2_000,
            cached_answers: 65_536,
            cached_denials: 65_536,
        }
    }
}

impl Default for ZoneSigningConfig {
    fn default() -> Self {
        let hours = |hours: u64| Millis(hours * 3_600_000);
        Self {
            algorithm: Algorithm::default(),
            validity: hours(14 * 24),
            refresh_before: hours(7 * 24),
            dnskey_ttl: hours(1),
            ttl_max: hours(24),
            ds_ttl: hours(24),
            propagation: hours(1),
        }
    }
}

/// A `dns.dnssec:` section that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum DnssecConfigError {
    /// Not a domain name that can also name a folder.
    #[error("dns.dnssec.zones: `{zone}` is no zone: {reason}")]
    Zone {
        /// As written.
        zone: String,
        /// What is wrong.
        reason: String,
    },
    /// A number outside its bounds.
    #[error("dns.dnssec: `{field}` is {value}, allowed is {min} to {max}")]
    OutOfRange {
        /// The configuration key.
        field: String,
        /// What was given.
        value: u64,
        /// Its lower bound.
        min: u64,
        /// Its upper bound.
        max: u64,
    },
}

/// A checked configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnssecSettings {
    pub(crate) folder: KeyFolder,
    pub(crate) zones: Vec<ZoneSigning>,
    pub(crate) signatures_per_second: u32,
    pub(crate) cached_answers: usize,
    pub(crate) cached_denials: usize,
}

/// How one zone is signed; times in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneSigning {
    /// The origin with a trailing dot, in lower case.
    pub zone: String,
    /// What new keys are.
    pub algorithm: Algorithm,
    /// What the parent and caches are waited for.
    pub timing: Timing,
    pub(crate) origin: Name,
    pub(crate) apex: Box<[u8]>,
    pub(crate) validity_seconds: u32,
    pub(crate) refresh_seconds: u32,
    pub(crate) dnskey_ttl_seconds: u32,
}

impl DnssecSettings {
    /// The folder of the keys.
    #[must_use]
    pub fn folder(&self) -> &KeyFolder {
        &self.folder
    }

    /// How a zone is signed; `None` when it is not listed.
    #[must_use]
    pub fn zone(&self, zone: &str) -> Option<&ZoneSigning> {
        let wanted = zone.trim_end_matches('.').to_ascii_lowercase();
        self.zones
            .iter()
            .find(|known| known.zone.trim_end_matches('.') == wanted)
    }

    /// Every zone that is signed.
    #[must_use]
    pub fn zones(&self) -> &[ZoneSigning] {
        &self.zones
    }
}

impl DnssecConfig {
    /// Checks every name and bound.
    ///
    /// # Errors
    /// The first that is broken.
    pub fn validate(&self) -> Result<DnssecSettings, DnssecConfigError> {
        in_range("zones", self.zones.len() as u64, &(0..=ZONES_MAX as u64))?;
        let budget = u64::from(*BUDGET_RANGE.start())..=u64::from(*BUDGET_RANGE.end());
        in_range(
            "signatures_per_second",
            u64::from(self.signatures_per_second),
            &budget,
        )?;
        let cache = *CACHE_RANGE.start() as u64..=*CACHE_RANGE.end() as u64;
        in_range("cached_answers", self.cached_answers as u64, &cache)?;
        in_range("cached_denials", self.cached_denials as u64, &cache)?;
        let zones = self
            .zones
            .iter()
            .map(|(zone, config)| config.validate(zone))
            .collect::<Result<_, _>>()?;
        Ok(DnssecSettings {
            folder: KeyFolder::new(&self.keys),
            zones,
            signatures_per_second: self.signatures_per_second,
            cached_answers: self.cached_answers,
            cached_denials: self.cached_denials,
        })
    }
}

impl ZoneSigningConfig {
    fn validate(&self, zone: &str) -> Result<ZoneSigning, DnssecConfigError> {
        let origin = origin_of(zone)?;
        let seconds = |time: Millis| time.0 / 1000;
        let field = |name: &str| format!("zones.{zone}.{name} (s)");
        let validity = seconds(self.validity);
        in_range(&field("validity"), validity, &VALIDITY_SECONDS)?;
        let refresh = seconds(self.refresh_before);
        in_range(&field("refresh_before"), refresh, &(60..=validity / 4 * 3))?;
        for (name, time) in [
            ("dnskey_ttl", self.dnskey_ttl),
            ("ttl_max", self.ttl_max),
            ("ds_ttl", self.ds_ttl),
            ("propagation", self.propagation),
        ] {
            in_range(&field(name), seconds(time), &INTERVAL_SECONDS)?;
        }
        // The bounds above fit into 32 bits.
        Ok(ZoneSigning {
            zone: origin.to_ascii(),
            algorithm: self.algorithm,
            timing: Timing {
                dnskey_ttl: seconds(self.dnskey_ttl),
                ttl_max: seconds(self.ttl_max),
                ds_ttl: seconds(self.ds_ttl),
                propagation: seconds(self.propagation),
            },
            apex: wire_name(&origin),
            origin,
            validity_seconds: validity as u32,
            refresh_seconds: refresh as u32,
            dnskey_ttl_seconds: seconds(self.dnskey_ttl) as u32,
        })
    }
}

/// The zone's name, fully qualified and in lower case.
fn origin_of(zone: &str) -> Result<Name, DnssecConfigError> {
    let wrong = |reason: &str| DnssecConfigError::Zone {
        zone: zone.into(),
        reason: reason.into(),
    };
    // It names a folder, too.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if !zone.bytes().all(is_plain) || zone.is_empty() {
        return Err(wrong(
            "use letters, digits, `-` and `_` between the dots, other characters as punycode",
        ));
    }
    let mut name = Name::from_ascii(zone)
        .map_err(|error| wrong(&error.to_string()))?
        .to_lowercase();
    name.set_fqdn(true);
    Ok(name)
}

fn in_range(field: &str, value: u64, range: &RangeInclusive<u64>) -> Result<(), DnssecConfigError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(DnssecConfigError::OutOfRange {
        field: field.into(),
        value,
        min: *range.start(),
        max: *range.end(),
    })
}

fn from_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(serde::de::Error::custom)
}

fn as_text<S: Serializer>(value: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
