//! The keys in force, read from the key folder.

use std::collections::HashMap;
use std::sync::Arc;

use thiserror::Error;

use super::config::{DnssecSettings, ZoneSigning};
use super::key::{KeyError, SigningKey};
use super::lifecycle::{KeyFacts, KeyState, ZoneFacts};
use super::store::StoreError;
use crate::wire::RType;

/// CDS data that asks the parent to remove every DS (RFC 8078 §4).
const CDS_DELETE: [u8; 5] = [0, 0, 0, 0, 0];
/// The same as CDNSKEY.
const CDNSKEY_DELETE: [u8; 5] = [0, 0, 3, 0, 0];

/// Keys that cannot be signed with.
#[derive(Debug, Error)]
pub enum KeyringError {
    /// A file is missing, unreadable or wrong.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A zone is to be signed and cannot be.
    #[error(
        "dns.dnssec.zones: {zone} has no active {lacks} in {folder}; run `meridian dns keys generate {zone}`, or take the zone out of the list"
    )]
    NoKeys {
        /// The zone.
        zone: String,
        /// What is missing.
        lacks: &'static str,
        /// Where it was looked for.
        folder: String,
    },
}

/// A record set at a zone's apex: its type, and each record's data on the wire.
pub(crate) type ApexSet = (RType, Vec<Vec<u8>>);

/// One zone's keys.
#[derive(Debug)]
pub(crate) struct ZoneKeys {
    pub(crate) signing: ZoneSigning,
    facts: ZoneFacts,
    /// In the order of the facts.
    keys: Vec<SigningKey>,
    data_key: usize,
}

/// Every signed zone's keys, by the zone's lowercased wire name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Keyring {
    zones: HashMap<Box<[u8]>, Arc<ZoneKeys>>,
}

impl Keyring {
    /// Reads all keys. Zones whose keys cannot be used keep those of `last`, and are named.
    pub(crate) fn read(settings: &DnssecSettings, last: &Self) -> (Self, Vec<KeyringError>) {
        let mut ring = Self::default();
        let mut problems = Vec::new();
        for signing in &settings.zones {
            let keys = match ZoneKeys::read(settings, signing) {
                Ok(keys) => keys.map(Arc::new),
                Err(problem) => {
                    problems.push(problem);
                    last.zones.get(&signing.apex).cloned()
                }
            };
            if let Some(keys) = keys {
                ring.zones.insert(signing.apex.clone(), keys);
            }
        }
        (ring, problems)
    }

    /// The keys of a zone.
    pub(crate) fn zone(&self, apex: &[u8]) -> Option<&Arc<ZoneKeys>> {
        self.zones.get(apex)
    }

    pub(crate) fn zones(&self) -> impl Iterator<Item = &Arc<ZoneKeys>> {
        self.zones.values()
    }
}

impl DnssecSettings {
    /// Reads every key as a start would.
    ///
    /// # Errors
    /// The first zone that could not be signed.
    pub fn check_keys(&self) -> Result<(), KeyringError> {
        let (_, problems) = Keyring::read(self, &Keyring::default());
        problems.into_iter().next().map_or(Ok(()), Err)
    }
}

impl ZoneKeys {
    /// A zone's keys; `None` when it went unsigned by the book.
    fn read(
        settings: &DnssecSettings,
        signing: &ZoneSigning,
    ) -> Result<Option<Self>, KeyringError> {
        let lacks = |lacks| KeyringError::NoKeys {
            zone: signing.zone.clone(),
            lacks,
            folder: settings
                .folder
                .zone_folder(&signing.zone)
                .display()
                .to_string(),
        };
        let facts = settings.folder.facts(&signing.zone)?;
        let Some(facts) = facts else {
            return Err(lacks("key"));
        };
        if facts.unsigned {
            return Ok(None);
        }
        let keys = facts
            .keys
            .iter()
            .map(|key| settings.folder.key(&signing.zone, key))
            .collect::<Result<Vec<_>, _>>()?;
        Self::assemble(signing.clone(), facts, keys)
            .map(Some)
            .map_err(lacks)
    }

    /// Puts facts and keys, in the same order, together; the error says which role is missing.
    pub(crate) fn assemble(
        signing: ZoneSigning,
        facts: ZoneFacts,
        keys: Vec<SigningKey>,
    ) -> Result<Self, &'static str> {
        let active = |key: &KeyFacts| key.state == KeyState::Active;
        let data_key = facts
            .keys
            .iter()
            .position(|key| active(key) && key.role.signs_data());
        let data_key = data_key.ok_or("csk or zsk")?;
        if !facts.entries().any(active) {
            return Err("csk or ksk");
        }
        Ok(Self {
            signing,
            facts,
            keys,
            data_key,
        })
    }

    /// The key that signs the zone's data.
    pub(crate) fn data_key(&self) -> &SigningKey {
        &self.keys[self.data_key]
    }

    /// The keys that sign the zone's keys.
    pub(crate) fn entry_keys(&self) -> impl Iterator<Item = &SigningKey> {
        self.keys.iter().filter(|key| key.role.is_entry())
    }

    /// The sets that the keys make at the apex, as data on the wire, in the order of their types.
    pub(crate) fn apex_data(&self, now: u32) -> Result<Vec<ApexSet>, KeyError> {
        let dnskeys = self.keys.iter().map(SigningKey::dnskey_data).collect();
        let mut sets = vec![(RType::DNSKEY, dnskeys)];
        let (mut cds, mut cdnskeys) = (Vec::new(), Vec::new());
        if self.facts.unsigning.is_some() {
            cds.push(CDS_DELETE.to_vec());
            cdnskeys.push(CDNSKEY_DELETE.to_vec());
        } else {
            for (facts, key) in self.facts.keys.iter().zip(&self.keys) {
                if is_offered(facts) && facts.cds_from <= u64::from(now) {
                    cds.push(key.ds_data(&self.signing.origin)?);
                    cdnskeys.push(key.dnskey_data());
                }
            }
        }
        if !cds.is_empty() {
            sets.push((RType::CDS, cds));
            sets.push((RType::CDNSKEY, cdnskeys));
        }
        Ok(sets)
    }

    /// When [`ZoneKeys::apex_data`] next becomes another by time alone; the end of time when it does
    /// not.
    pub(crate) fn changes_at_after(&self, built_at: u32) -> u32 {
        let times = self
            .facts
            .keys
            .iter()
            .filter(|key| is_offered(key) && key.cds_from > u64::from(built_at))
            .map(|key| u32::try_from(key.cds_from).unwrap_or(u32::MAX));
        times.min().unwrap_or(u32::MAX)
    }
}

/// Whether the parent is asked for the key's DS: until it retires.
fn is_offered(key: &KeyFacts) -> bool {
    key.role.is_entry() && key.state != KeyState::Retired
}
