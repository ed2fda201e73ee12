//! What `meridian dns keys` does to one zone's keys: each step changes the folder and says what it
//! did and what comes next.
//!
//! A step that adds a key writes the private half before the facts that name it, and one that takes
//! a key away changes the facts first: a node that reads in between finds every key it looks for. A
//! step holds the zone's lock from before it reads the facts until it has written them.

use std::path::Path;

use data_encoding::{BASE64, HEXUPPER};
use serde::Serialize;
use thiserror::Error;

use super::config::{DnssecSettings, ZoneSigning};
use super::key::{KeyError, KeyRole};
use super::lifecycle::{KeyFacts, KeyState, NextStep, Patience, StepError, ZoneFacts, time_text};
use super::lock::ZoneLock;
use super::store::{KeyFolder, StoreError};

/// A step that was not taken.
#[derive(Debug, Error)]
pub enum DeskError {
    /// The zone is not to be signed.
    #[error(
        "{zone} is not under `dns.dnssec.zones` of meridian.yaml; write `{zone}: {{}}` there first"
    )]
    NotListed {
        /// The zone.
        zone: String,
    },
    /// The order of steps forbids it.
    #[error(transparent)]
    Step(#[from] StepError),
    /// The folder cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepReport {
    /// The zone.
    pub zone: String,
    /// What was done, a sentence each.
    pub did: Vec<String>,
    /// What to do next.
    pub next: NextStep,
}

/// A key as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedKey {
    /// The key tag.
    pub tag: u16,
    /// csk, ksk or zsk.
    pub role: &'static str,
    /// ecdsa_p256 or ed25519.
    pub algorithm: &'static str,
    /// published, active or retired.
    pub state: &'static str,
    /// Since when, RFC 3339.
    pub since: String,
    /// When its DS was seen at the parent, RFC 3339.
    pub ds_seen: Option<String>,
    /// The private key's file.
    pub file: String,
}

/// A zone's keys as listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ListedZone {
    /// The zone.
    pub zone: String,
    /// signed, unsigned, going unsigned, or without keys.
    pub state: &'static str,
    /// Its keys.
    pub keys: Vec<ListedKey>,
    /// What to do next.
    pub next: NextStep,
}

/// A key in the words of the parent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyAtParent {
    /// The key tag.
    pub tag: u16,
    /// The DS record for the parent (SHA-256).
    pub ds: String,
    /// The DNSKEY record, for parents that make the DS themselves, and for trust anchors.
    pub dnskey: String,
}

/// One zone's keys, at work.
#[derive(Debug)]
pub struct KeyDesk<'s> {
    folder: &'s KeyFolder,
    signing: &'s ZoneSigning,
}

impl<'s> KeyDesk<'s> {
    /// The desk of a listed zone.
    ///
    /// # Errors
    /// [`DeskError::NotListed`]
    pub fn of(settings: &'s DnssecSettings, zone: &str) -> Result<Self, DeskError> {
        let signing = settings.zone(zone).ok_or_else(|| DeskError::NotListed {
            zone: zone.trim_end_matches('.').into(),
        })?;
        Ok(Self {
            folder: &settings.folder,
            signing,
        })
    }

    /// A zone's first key, or a KSK and a ZSK when `split`.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn generate(&self, roles: &[KeyRole], now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        let mut did = Vec::new();
        for role in roles {
            // Asked before a file is written.
            facts.may_generate(*role)?;
            let key = self
                .folder
                .generate(&facts, self.signing.algorithm, *role)?;
            did.push(format!(
                "made {role} {tag} ({algorithm}) in {file}; it signs at once",
                tag = key.tag,
                algorithm = key.algorithm,
                file = self
                    .folder
                    .zone_folder(&facts.zone)
                    .join(&key.file)
                    .display()
            ));
            facts.generated(key, self.signing.timing, now)?;
        }
        self.finish(&facts, did)
    }

    /// Takes over a private key from elsewhere: as the zone's first of its role, or as the successor
    /// in a roll.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn import(&self, file: &Path, role: KeyRole, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        let first = facts.may_generate(role).is_ok();
        if !first {
            facts.may_roll(role, self.signing.algorithm)?;
        }
        let key = self
            .folder
            .import(&facts.zone, file, self.signing.algorithm, role)?;
        let tag = key.tag;
        let state = if first {
            facts.generated(key, self.signing.timing, now)?;
            "it signs at once"
        } else {
            facts.rolled(key, now)?;
            "it is published"
        };
        let did = format!("took {role} {tag} over from {}; {state}", file.display());
        self.finish(&facts, vec![did])
    }

    /// Makes the successor of a role's active key and publishes it.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn roll(&self, role: Option<KeyRole>, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        let role = role.unwrap_or_else(|| default_role(&facts));
        facts.may_roll(role, self.signing.algorithm)?;
        let key = self.folder.generate(&facts, self.signing.algorithm, role)?;
        let tag = key.tag;
        facts.rolled(key, now)?;
        let mut did = vec![format!(
            "made {role} {tag} and published it beside the old one"
        )];
        if role.is_entry() {
            did.push("CDS and CDNSKEY now ask the parent for both".into());
        }
        self.finish(&facts, did)
    }

    /// A published key begins to sign.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn activate(
        &self,
        tag: u16,
        patience: Patience,
        now: u64,
    ) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        let replaced = facts.activate(tag, self.signing.timing, patience, now)?;
        let mut did = vec![format!("key {tag} signs now")];
        did.extend(replaced.map(|old| format!("key {old} is retired and stays published")));
        self.finish(&facts, did)
    }

    /// An active key stops signing.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn retire(&self, tag: u16, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        facts.retire(tag, now)?;
        self.finish(&facts, vec![format!("key {tag} is retired")])
    }

    /// The operator saw a key's DS at the parent.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn ds_seen(&self, tag: u16, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        facts.ds_seen(tag, now)?;
        self.finish(
            &facts,
            vec![format!("noted that the parent has the DS of key {tag}")],
        )
    }

    /// A retired key, or a published one, goes.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn remove(&self, tag: u16, patience: Patience, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        let gone = facts.remove(tag, self.signing.timing, patience, now)?;
        let report = self.finish(&facts, vec![format!("key {tag} is gone, its file too")])?;
        self.folder.delete(&facts.zone, &gone)?;
        Ok(report)
    }

    /// Asks the parent to remove its DS.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn unsign(&self, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        facts.unsign(now)?;
        let did = "CDS and CDNSKEY now ask the parent to remove its DS; the zone stays signed";
        self.finish(&facts, vec![did.into()])
    }

    /// Stays signed after all.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn stay_signed(&self) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        facts.stay_signed()?;
        let did = "CDS and CDNSKEY ask the parent for the keys again";
        self.finish(&facts, vec![did.into()])
    }

    /// The operator saw no DS at the parent.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn ds_gone(&self, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        facts.ds_gone(now)?;
        self.finish(&facts, vec!["noted that the parent has no DS".into()])
    }

    /// The zone is unsigned from now on, and its keys go.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn finish_unsigning(&self, patience: Patience, now: u64) -> Result<StepReport, DeskError> {
        let (_lock, mut facts) = self.take()?;
        let gone = facts.unsigned(self.signing.timing, patience, now)?;
        let did = vec![format!(
            "{} keys are gone; the zone is served unsigned",
            gone.len()
        )];
        let report = self.finish(&facts, did)?;
        for key in &gone {
            self.folder.delete(&facts.zone, key)?;
        }
        Ok(report)
    }

    /// Every key and what is next.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn list(&self) -> Result<ListedZone, DeskError> {
        let facts = self.facts()?;
        let state = match (&facts.unsigning, facts.keys.is_empty()) {
            _ if facts.unsigned => "unsigned",
            (Some(_), _) => "going unsigned",
            (None, true) => "without keys",
            (None, false) => "signed",
        };
        let next = if facts.keys.is_empty() && !facts.unsigned {
            NextStep {
                what: format!("meridian dns keys generate {}", facts.zone),
                safe_at: None,
            }
        } else {
            facts.next_step(self.signing.timing)
        };
        Ok(ListedZone {
            zone: facts.zone.clone(),
            state,
            keys: facts.keys.iter().map(listed).collect(),
            next,
        })
    }

    /// What the parent should have: the keys that CDS names.
    ///
    /// # Errors
    /// [`DeskError`]
    pub fn at_parent(&self) -> Result<Vec<KeyAtParent>, DeskError> {
        let facts = self.facts()?;
        if facts.keys.is_empty() {
            return Err(StepError::NoKeys { zone: facts.zone }.into());
        }
        let mut shown = Vec::new();
        for key in facts.entries().filter(|key| key.state != KeyState::Retired) {
            let signing_key = self.folder.key(&facts.zone, key)?;
            let ds = signing_key.ds_data(&self.signing.origin)?;
            let dnskey = signing_key.dnskey_data();
            let (zone, ttl) = (&facts.zone, self.signing.timing.dnskey_ttl);
            shown.push(KeyAtParent {
                tag: key.tag,
                ds: format!(
                    "{zone} {ttl} IN DS {} {} {} {}",
                    key.tag,
                    ds[2],
                    ds[3],
                    HEXUPPER.encode(&ds[4..])
                ),
                dnskey: format!(
                    "{zone} {ttl} IN DNSKEY {} {} {} {}",
                    u16::from_be_bytes([dnskey[0], dnskey[1]]),
                    dnskey[2],
                    dnskey[3],
                    BASE64.encode(&dnskey[4..])
                ),
            });
        }
        Ok(shown)
    }

    /// The facts to change, and the lock to hold until they are written.
    fn take(&self) -> Result<(ZoneLock, ZoneFacts), StoreError> {
        let lock = self.folder.lock(&self.signing.zone)?;
        Ok((lock, self.facts()?))
    }

    fn facts(&self) -> Result<ZoneFacts, StoreError> {
        let facts = self.folder.facts(&self.signing.zone)?;
        Ok(facts.unwrap_or_else(|| ZoneFacts::new(&self.signing.zone)))
    }

    fn finish(&self, facts: &ZoneFacts, did: Vec<String>) -> Result<StepReport, DeskError> {
        self.folder.save(facts)?;
        Ok(StepReport {
            zone: facts.zone.clone(),
            did,
            next: facts.next_step(self.signing.timing),
        })
    }
}

/// The role that a roll without one means: the key that signs the data.
fn default_role(facts: &ZoneFacts) -> KeyRole {
    let split = facts.keys.iter().any(|key| key.role == KeyRole::Zsk);
    if split { KeyRole::Zsk } else { KeyRole::Csk }
}

fn listed(key: &KeyFacts) -> ListedKey {
    let since = match key.state {
        KeyState::Published => Some(key.published_at),
        KeyState::Active => key.activated_at,
        KeyState::Retired => key.retired_at,
    };
    ListedKey {
        tag: key.tag,
        role: key.role.as_str(),
        algorithm: key.algorithm.as_str(),
        state: key.state.as_str(),
        since: time_text(since.unwrap_or(key.published_at)),
        ds_seen: key.ds_seen_at.map(time_text),
        file: key.file.clone(),
    }
}
