//! The parts of `dns:` that transfers, secondaries and updates read: as written, and as checked.

mod checked;
mod names;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use checked::TransferConfigError;
pub(crate) use checked::{Peer, SecondarySettings, Sections, TransferSettings, UpdateSettings};
pub(crate) use names::{parse_name, shown};

/// Most TSIG keys; each signed message walks the list.
pub const KEYS_MAX: usize = 256;
/// Most zones named under `transfers.zones`, `secondaries` or `updates`.
pub const ZONES_MAX: usize = 10_000;
/// Most entries of one access list, and most addresses notified for one zone.
pub const LIST_MAX: usize = 64;
/// Bounds on transfers out at once.
pub const CONCURRENT_RANGE: std::ops::RangeInclusive<usize> = 1..=1024;
/// Bounds on a secondary zone's size.
pub const ZONE_BYTES_RANGE: std::ops::RangeInclusive<u64> = 1_024..=(16 << 30);

/// A key shared with other servers (TSIG, RFC 8945).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TsigKeyConfig {
    /// The key's name, a domain name that both sides write alike.
    pub name: String,
    /// The hash. Default `hmac-sha256`.
    #[serde(default)]
    pub algorithm: TsigAlgorithm,
    /// A file with the secret in base64, as `tsig-keygen` and `keymgr` print it, readable by this
    /// user only. The secret itself never stands in `meridian.yaml`.
    pub secret_file: PathBuf,
}

/// See [`TsigKeyConfig::algorithm`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TsigAlgorithm {
    /// HMAC-SHA-256, which every peer has.
    #[default]
    HmacSha256,
    /// HMAC-SHA-384.
    HmacSha384,
    /// HMAC-SHA-512.
    HmacSha512,
    /// HMAC-SHA-1: only for peers that have nothing else (RFC 8945 §6 advises against it).
    HmacSha1,
}

/// Who may take zones from here, and who is told of changes. Default: nobody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TransfersConfig {
    /// Who may transfer any zone out, unless `zones` says otherwise for it.
    pub allow: Vec<PeerConfig>,
    /// Who is told of changes of any zone, unless `zones` says otherwise for it.
    pub notify: Vec<NotifyConfig>,
    /// Zones with lists of their own.
    pub zones: Vec<ZoneTransfersConfig>,
    /// Transfers out at once, 1 to 1024; one more is answered SERVFAIL and tried again by the
    /// secondary. Default 8.
    pub max_concurrent: usize,
    /// Bytes of changes remembered for IXFR, for each zone; 0 answers every IXFR with the whole
    /// zone. Default `4194304`.
    pub journal_bytes: usize,
    /// What other servers are told of steered names, which they cannot steer themselves:
    /// `fallback` (default), the addresses of their policy's `when_none: { static: … }`, or nothing
    /// where it has none; `omit`, nothing at all.
    pub steered: SteeredExport,
}

/// See [`TransfersConfig::steered`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SteeredExport {
    /// The fixed addresses of the policy.
    #[default]
    Fallback,
    /// Nothing.
    Omit,
}

impl Default for TransfersConfig {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            notify: Vec::new(),
            zones: Vec::new(),
            max_concurrent: 8,
            journal_bytes: 4 << 20,
            steered: SteeredExport::default(),
        }
    }
}

/// Lists of one zone, in place of the general ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ZoneTransfersConfig {
    /// The zone's origin.
    pub zone: String,
    /// Who may transfer it out. Default: nobody.
    #[serde(default)]
    pub allow: Vec<PeerConfig>,
    /// Who is told of changes. Default: nobody.
    #[serde(default)]
    pub notify: Vec<NotifyConfig>,
}

/// Somebody who may do something: whoever fits all that is given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PeerConfig {
    /// The network it asks from. Default: any.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub network: Option<IpNet>,
    /// The name of the key it signs with. Default: none needed.
    #[serde(default)]
    pub tsig_key: Option<String>,
}

/// A server to notify.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotifyConfig {
    /// Address and port.
    pub address: SocketAddr,
    /// The key to sign with. Default: unsigned.
    #[serde(default)]
    pub tsig_key: Option<String>,
    /// The address to send from. Default: the system's choice.
    #[serde(default)]
    pub source: Option<IpAddr>,
}

/// A zone that this node takes from a primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SecondaryConfig {
    /// The zone's origin.
    pub zone: String,
    /// Where it is taken from; the first that answers is used.
    pub primaries: Vec<PrimaryConfig>,
    /// Who else may say that it changed. The primaries' addresses always may.
    #[serde(default)]
    pub allow_notify: Vec<PeerConfig>,
    /// Shortest time between two refreshes by the SOA's timers. Default `"30s"`.
    #[serde(default = "refresh_min")]
    #[schemars(with = "String")]
    #[serde(with = "millis_text")]
    pub refresh_min: Millis,
    /// Longest time between two refreshes, whatever the SOA says. Default `"1d"`.
    #[serde(default = "refresh_max")]
    #[schemars(with = "String")]
    #[serde(with = "millis_text")]
    pub refresh_max: Millis,
    /// Largest size of the zone, in bytes of its records. Default `1073741824`.
    #[serde(default = "bytes_max")]
    pub bytes_max: u64,
    /// The zone is a catalog (RFC 9432): its members become secondaries of the same primaries.
    /// Default `false`.
    #[serde(default)]
    pub catalog: bool,
}

/// A primary.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrimaryConfig {
    /// Address and port.
    pub address: SocketAddr,
    /// The key to sign with. Default: unsigned.
    #[serde(default)]
    pub tsig_key: Option<String>,
    /// The address to ask from. Default: the system's choice.
    #[serde(default)]
    pub source: Option<IpAddr>,
}

fn refresh_min() -> Millis {
    Millis(30_000)
}

fn refresh_max() -> Millis {
    Millis(86_400_000)
}

fn bytes_max() -> u64 {
    1 << 30
}

mod millis_text {
    use meridian_topology::Millis;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Millis, D::Error> {
        String::deserialize(from)?
            .parse()
            .map_err(serde::de::Error::custom)
    }

    pub(super) fn serialize<S: Serializer>(value: &Millis, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }
}

/// What a key may change in a zone by dynamic update (RFC 2136).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UpdateConfig {
    /// The zone's origin: of the topology or of a zone file.
    pub zone: String,
    /// The name of the key that updates are signed with.
    pub tsig_key: String,
    /// Names that may be changed. `*` as the first label stands for any labels, at least one;
    /// elsewhere for exactly one: `*.dyn.example.com`, `_acme-challenge.*.example.com`.
    pub names: Vec<String>,
    /// Types that may be changed.
    pub types: Vec<String>,
}

#[cfg(test)]
mod tests;
