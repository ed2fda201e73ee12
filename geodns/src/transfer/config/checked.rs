//! The sections as checked: what the rest of the module goes by.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use thiserror::Error;

use super::names::{NamePattern, origin, pattern, shown};
use super::{
    CONCURRENT_RANGE, KEYS_MAX, LIST_MAX, NotifyConfig, PeerConfig, SecondaryConfig, SteeredExport,
    TransfersConfig, TsigAlgorithm, TsigKeyConfig, UpdateConfig, ZONE_BYTES_RANGE, ZONES_MAX,
};
use crate::transfer::record::WireName;
use crate::transfer::tsig::{Algorithm, Key, KeyRing, SECRET_BYTES_MAX};
use crate::wire::RType;

/// Something under `dns:` that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("dns: `{field}`: {reason}")]
pub struct TransferConfigError {
    /// The configuration key.
    pub field: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

pub(super) fn wrong(field: impl Into<String>, reason: impl fmt::Display) -> TransferConfigError {
    TransferConfigError {
        field: field.into(),
        reason: reason.to_string(),
    }
}

pub(super) type Checked<T> = Result<T, TransferConfigError>;

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
    pub(super) fn read(&self) -> Checked<Arc<Key>> {
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
