//! The parts of `dns:` that transfers, secondaries and updates read: as written, and as checked.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hickory_proto::rr::Name;
use ipnet::IpNet;
use meridian_topology::Millis;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::record::WireName;
use super::tsig::{Algorithm, Key, KeyRing, SECRET_BYTES_MAX};
use crate::wire::RType;

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

/// Something under `dns:` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("dns: `{field}`: {reason}")]
pub struct TransferConfigError {
    /// The configuration key.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

fn wrong(field: impl Into<String>, reason: impl fmt::Display) -> TransferConfigError {
    TransferConfigError {
        field: field.into(),
        reason: reason.to_string(),
    }
}

type Checked<T> = Result<T, TransferConfigError>;

/// The four sections as they stand in `dns:`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sections<'c> {
    pub(crate) tsig_keys: &'c [TsigKeyConfig],
    pub(crate) transfers: &'c TransfersConfig,
    pub(crate) secondaries: &'c [SecondaryConfig],
    pub(crate) updates: &'c [UpdateConfig],
    /// Where zones are kept; secondaries and updates need it.
    pub(crate) state: Option<&'c Path>,
}

/// Everything checked; secrets are read when the server starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TransferSettings {
    pub(crate) keys: Vec<KeySettings>,
    pub(crate) default: ZonePeers,
    pub(crate) zones: Vec<(WireName, ZonePeers)>,
    pub(crate) max_concurrent: usize,
    pub(crate) journal_bytes: usize,
    pub(crate) steered: SteeredExport,
    pub(crate) secondaries: Vec<SecondarySettings>,
    pub(crate) updates: Vec<UpdateSettings>,
    pub(crate) state: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeySettings {
    pub(crate) name: WireName,
    pub(crate) algorithm: TsigAlgorithm,
    pub(crate) secret_file: PathBuf,
}

/// Who may take a zone, and who is told of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ZonePeers {
    pub(crate) allow: Acl,
    pub(crate) notify: Vec<Peer>,
}

/// A server to talk to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) key: Option<WireName>,
    pub(crate) source: Option<IpAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SecondarySettings {
    pub(crate) zone: WireName,
    pub(crate) primaries: Vec<Peer>,
    pub(crate) allow_notify: Acl,
    pub(crate) refresh_min: Duration,
    pub(crate) refresh_max: Duration,
    pub(crate) bytes_max: u64,
    pub(crate) catalog: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UpdateSettings {
    pub(crate) zone: WireName,
    pub(crate) key: WireName,
    pub(crate) names: Vec<NamePattern>,
    pub(crate) types: Vec<RType>,
}

/// An access list: whoever fits one entry may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Acl(Vec<AclEntry>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct AclEntry {
    network: Option<IpNet>,
    key: Option<WireName>,
}

impl Acl {
    /// Whether somebody at `source` who signed with `key` may.
    pub(crate) fn allows(&self, source: IpAddr, key: Option<&[u8]>) -> bool {
        let source = source.to_canonical();
        self.0.iter().any(|entry| {
            let from_there = entry.network.is_none_or(|net| net.contains(&source));
            let signed = entry.key.as_deref().is_none_or(|name| key == Some(name));
            from_there && signed
        })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Names that an update may change; labels in wire form, lowercased.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NamePattern(Vec<Box<[u8]>>);

impl NamePattern {
    /// Whether it fits a lowercased wire name.
    pub(crate) fn fits(&self, name: &[u8]) -> bool {
        let labels = labels(name);
        let (any, rest) = match self.0.split_first() {
            Some((first, rest)) if **first == *b"*" => (true, rest),
            _ => (false, &self.0[..]),
        };
        let Some(extra) = labels.len().checked_sub(rest.len()) else {
            return false;
        };
        (if any { extra > 0 } else { extra == 0 })
            && rest
                .iter()
                .zip(&labels[extra..])
                .all(|(pattern, label)| **pattern == *b"*" || **pattern == **label)
    }
}

fn labels(name: &[u8]) -> Vec<&[u8]> {
    let mut labels = Vec::new();
    let mut rest = name;
    while let Some((&length, after)) = rest.split_first()
        && length != 0
    {
        let (label, next) = after.split_at(usize::from(length).min(after.len()));
        labels.push(label);
        rest = next;
    }
    labels
}

impl Sections<'_> {
    /// Checks everything but the secrets, which stand in files.
    pub(crate) fn check(self) -> Checked<TransferSettings> {
        let keys = check_keys(self.tsig_keys)?;
        let peers = Peers { keys: &keys };
        let transfers = self.transfers;
        if !CONCURRENT_RANGE.contains(&transfers.max_concurrent) {
            let reason = format!("is {}, allowed is 1 to 1024", transfers.max_concurrent);
            return Err(wrong("transfers.max_concurrent", reason));
        }
        let default = ZonePeers {
            allow: peers.acl("transfers.allow", &transfers.allow)?,
            notify: peers.notify("transfers.notify", &transfers.notify)?,
        };
        bounded("transfers.zones", transfers.zones.len(), ZONES_MAX)?;
        let mut zones = Vec::with_capacity(transfers.zones.len());
        for zone in &transfers.zones {
            let field = format!("transfers.zones `{}`", zone.zone);
            let origin = origin(&field, &zone.zone)?;
            let lists = ZonePeers {
                allow: peers.acl(&format!("{field}.allow"), &zone.allow)?,
                notify: peers.notify(&format!("{field}.notify"), &zone.notify)?,
            };
            if zones.iter().any(|(other, _)| *other == origin) {
                return Err(wrong(field, "is named twice; join the two"));
            }
            zones.push((origin, lists));
        }
        let secondaries = check_secondaries(&peers, self.secondaries)?;
        let updates = check_updates(&peers, self.updates, &secondaries)?;
        if self.state.is_none() && !(secondaries.is_empty() && updates.is_empty()) {
            let reason =
                "secondaries and updates are kept on disk, but this command has no state folder";
            return Err(wrong("state", reason));
        }
        Ok(TransferSettings {
            default,
            zones,
            max_concurrent: transfers.max_concurrent,
            journal_bytes: transfers.journal_bytes,
            steered: transfers.steered,
            secondaries,
            updates,
            state: self.state.map(Path::to_path_buf),
            keys,
        })
    }
}

fn check_keys(configs: &[TsigKeyConfig]) -> Checked<Vec<KeySettings>> {
    bounded("tsig_keys", configs.len(), KEYS_MAX)?;
    let mut keys: Vec<KeySettings> = Vec::with_capacity(configs.len());
    for config in configs {
        let field = format!("tsig_keys `{}`", config.name);
        let name = origin(&field, &config.name)?;
        if keys.iter().any(|key| key.name == name) {
            return Err(wrong(
                field,
                "is named twice; give each key a name of its own",
            ));
        }
        keys.push(KeySettings {
            name,
            algorithm: config.algorithm,
            secret_file: config.secret_file.clone(),
        });
    }
    Ok(keys)
}

fn check_secondaries(
    peers: &Peers<'_>,
    configs: &[SecondaryConfig],
) -> Checked<Vec<SecondarySettings>> {
    bounded("secondaries", configs.len(), ZONES_MAX)?;
    let mut secondaries: Vec<SecondarySettings> = Vec::with_capacity(configs.len());
    for config in configs {
        let field = format!("secondaries `{}`", config.zone);
        let zone = origin(&field, &config.zone)?;
        if secondaries.iter().any(|other| other.zone == zone) {
            return Err(wrong(
                field,
                "is named twice; list all primaries in one entry",
            ));
        }
        let primaries = config
            .primaries
            .iter()
            .map(|primary| {
                let field = format!("{field}.primaries");
                peers.peer(
                    &field,
                    primary.address,
                    primary.tsig_key.as_deref(),
                    primary.source,
                )
            })
            .collect::<Checked<Vec<_>>>()?;
        if primaries.is_empty() {
            return Err(wrong(
                field,
                "names no primary; add `primaries: [{ address: \"192.0.2.1:53\" }]`",
            ));
        }
        bounded(&format!("{field}.primaries"), primaries.len(), LIST_MAX)?;
        if config.refresh_min.0 < 1_000 || config.refresh_min > config.refresh_max {
            let reason = "`refresh_min` must be at least \"1s\" and not above `refresh_max`";
            return Err(wrong(field, reason));
        }
        if !ZONE_BYTES_RANGE.contains(&config.bytes_max) {
            return Err(wrong(
                field,
                "`bytes_max` must be 1024 to 17179869184 (16 GiB)",
            ));
        }
        secondaries.push(SecondarySettings {
            zone,
            primaries,
            allow_notify: peers.acl(&format!("{field}.allow_notify"), &config.allow_notify)?,
            refresh_min: config.refresh_min.as_duration(),
            refresh_max: config.refresh_max.as_duration(),
            bytes_max: config.bytes_max,
            catalog: config.catalog,
        });
    }
    Ok(secondaries)
}

fn check_updates(
    peers: &Peers<'_>,
    configs: &[UpdateConfig],
    secondaries: &[SecondarySettings],
) -> Checked<Vec<UpdateSettings>> {
    bounded("updates", configs.len(), ZONES_MAX)?;
    let mut updates = Vec::with_capacity(configs.len());
    for config in configs {
        let field = format!("updates `{}`", config.zone);
        let zone = origin(&field, &config.zone)?;
        if secondaries.iter().any(|secondary| secondary.zone == zone) {
            let reason = "is a secondary here; send updates to its primary";
            return Err(wrong(field, reason));
        }
        if config.names.is_empty() || config.types.is_empty() {
            let reason = "needs `names` and `types` that may be changed, for example `names: [\"*.dyn.example.com\"]` and `types: [A, AAAA, TXT]`";
            return Err(wrong(field, reason));
        }
        bounded(&format!("{field}.names"), config.names.len(), LIST_MAX)?;
        bounded(&format!("{field}.types"), config.types.len(), LIST_MAX)?;
        let name_field = format!("{field}.names");
        let names = config.names.iter();
        let names = names.map(|name| pattern(&name_field, name, &zone));
        let type_field = format!("{field}.types");
        let types = config.types.iter().map(|name| rtype(&type_field, name));
        updates.push(UpdateSettings {
            key: peers.key(&field, &config.tsig_key)?,
            names: names.collect::<Checked<_>>()?,
            types: types.collect::<Checked<_>>()?,
            zone,
        });
    }
    Ok(updates)
}

/// Looks up keys by the names that lists use.
struct Peers<'k> {
    keys: &'k [KeySettings],
}

impl Peers<'_> {
    fn key(&self, field: &str, name: &str) -> Checked<WireName> {
        let wire = origin(field, name)?;
        if self.keys.iter().any(|key| key.name == wire) {
            return Ok(wire);
        }
        let known: Vec<_> = self.keys.iter().map(|key| shown(&key.name)).collect();
        let reason = match known.as_slice() {
            [] => format!("names the key `{name}`, but `dns.tsig_keys` lists none"),
            known => format!(
                "names the key `{name}`; `dns.tsig_keys` has {}",
                known.join(", ")
            ),
        };
        Err(wrong(field, reason))
    }

    fn peer(
        &self,
        field: &str,
        address: SocketAddr,
        key: Option<&str>,
        source: Option<IpAddr>,
    ) -> Checked<Peer> {
        if source.is_some_and(|source| source.is_ipv4() != address.is_ipv4()) {
            let reason = format!("`source` and `{address}` must be of one address family");
            return Err(wrong(field, reason));
        }
        Ok(Peer {
            address,
            key: key.map(|name| self.key(field, name)).transpose()?,
            source,
        })
    }

    fn notify(&self, field: &str, configs: &[NotifyConfig]) -> Checked<Vec<Peer>> {
        bounded(field, configs.len(), LIST_MAX)?;
        let peers = configs.iter();
        peers
            .map(|to| self.peer(field, to.address, to.tsig_key.as_deref(), to.source))
            .collect()
    }

    fn acl(&self, field: &str, configs: &[PeerConfig]) -> Checked<Acl> {
        bounded(field, configs.len(), LIST_MAX)?;
        let mut entries = Vec::with_capacity(configs.len());
        for config in configs {
            if config.network.is_none() && config.tsig_key.is_none() {
                let reason = "an entry needs a `network`, a `tsig_key` or both";
                return Err(wrong(field, reason));
            }
            let key = config.tsig_key.as_deref();
            entries.push(AclEntry {
                network: config.network,
                key: key.map(|name| self.key(field, name)).transpose()?,
            });
        }
        Ok(Acl(entries))
    }
}

impl KeySettings {
    /// Reads the secret.
    fn read(&self) -> Checked<Arc<Key>> {
        let field = format!("tsig_keys `{}`.secret_file", shown(&self.name));
        let file = self.secret_file.display();
        let text = std::fs::read_to_string(&self.secret_file)
            .map_err(|error| wrong(&field, format!("{file}: {error}")))?;
        let packed: String = text.split_whitespace().collect();
        // What the decoder says may quote the secret.
        let secret = data_encoding::BASE64
            .decode(packed.as_bytes())
            .map_err(|_| {
                let reason = format!("{file}: is not base64; put the secret alone into the file");
                wrong(&field, reason)
            })?;
        if secret.len() < 16 || secret.len() > SECRET_BYTES_MAX {
            let reason = format!(
                "{file}: the secret has {} bytes, allowed is 16 to {SECRET_BYTES_MAX}",
                secret.len()
            );
            return Err(wrong(&field, reason));
        }
        let algorithm = match self.algorithm {
            TsigAlgorithm::HmacSha1 => Algorithm::Sha1,
            TsigAlgorithm::HmacSha256 => Algorithm::Sha256,
            TsigAlgorithm::HmacSha384 => Algorithm::Sha384,
            TsigAlgorithm::HmacSha512 => Algorithm::Sha512,
        };
        Ok(Arc::new(Key::new(self.name.clone(), algorithm, &secret)))
    }
}

impl TransferSettings {
    /// Reads every secret.
    pub(crate) fn read_keys(&self) -> Checked<KeyRing> {
        let keys = self.keys.iter().map(KeySettings::read);
        Ok(KeyRing::new(keys.collect::<Checked<_>>()?))
    }

    /// The lists of a zone.
    pub(crate) fn peers_of(&self, zone: &[u8]) -> &ZonePeers {
        let own = self.zones.iter().find(|(origin, _)| **origin == *zone);
        own.map_or(&self.default, |(_, peers)| peers)
    }
}

fn bounded(field: &str, count: usize, count_max: usize) -> Checked<()> {
    if count <= count_max {
        return Ok(());
    }
    Err(wrong(
        field,
        format!("has {count} entries, allowed are {count_max}"),
    ))
}

/// A domain name as people write it, in wire form and lower case.
fn origin(field: &str, text: &str) -> Checked<WireName> {
    let mut name = Name::from_ascii(text)
        .map_err(|error| wrong(field, format!("`{text}` is not a domain name: {error}")))?;
    name.set_fqdn(true);
    Ok(wire_name(&name))
}

fn wire_name(name: &Name) -> WireName {
    let mut wire = Vec::with_capacity(name.len() + 1);
    for label in name.iter() {
        // Labels have at most 63 bytes: hickory-proto checked it.
        wire.push(label.len() as u8);
        wire.extend(label.iter().map(u8::to_ascii_lowercase));
    }
    wire.push(0);
    wire.into()
}

/// Parses a name given by an operator; the error is a sentence.
pub(crate) fn parse_name(text: &str) -> Result<WireName, String> {
    origin("zone", text).map_err(|error| error.reason)
}

fn pattern(field: &str, text: &str, zone: &[u8]) -> Checked<NamePattern> {
    let wire = origin(field, text)?;
    if !crate::zone::is_within(&wire, zone) {
        return Err(wrong(
            field,
            format!("`{text}` is not inside the zone `{}`", shown(zone)),
        ));
    }
    Ok(NamePattern(
        labels(&wire).into_iter().map(Box::from).collect(),
    ))
}

fn rtype(field: &str, text: &str) -> Checked<RType> {
    let number = text.to_ascii_uppercase();
    let known = number
        .strip_prefix("TYPE")
        .and_then(|number| number.parse().ok())
        .or_else(|| {
            let rtype: hickory_proto::rr::RecordType = number.parse().ok()?;
            Some(u16::from(rtype))
        });
    let rtype = known.ok_or_else(|| wrong(field, format!("`{text}` is not a record type")))?;
    // SOA and the types of DNSSEC are kept by the server; 128 and above are no data (RFC 6895 §3.1).
    if matches!(rtype, 0 | 6 | 41 | 46 | 47 | 48 | 50 | 51 | 128..=255) {
        return Err(wrong(
            field,
            format!("`{text}` cannot be changed by updates"),
        ));
    }
    Ok(RType(rtype))
}

/// A wire name for people, without the last dot.
pub(crate) fn shown(name: &[u8]) -> String {
    let text = crate::zone::DisplayName(name.into()).to_string();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(text) => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
