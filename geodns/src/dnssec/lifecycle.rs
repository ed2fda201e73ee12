//! The life of a zone's keys: which states there are, when a step is safe, what comes next.
//!
//! ```text
//! generate ─────────────────────────────> active        (a zone's first key)
//! roll ──> published ──activate──> active ──> retired ──remove──> gone
//! ```
//!
//! A *published* key stands in the DNSKEY set and signs no data yet; an *active* one signs; a
//! *retired* one signs no data any more and stays for the signatures it left in caches. Keys that a
//! DS points at (`csk`, `ksk`) sign the DNSKEY set in every state. So a data key is rolled by
//! pre-publication (RFC 6781 §4.1.1.1) and an entry key by double signature with both DS at the
//! parent (§4.1.2), which is safe in whatever order caches learn of it. The intervals are those of
//! RFC 7583. Everything here is a function of the facts and a time: files are another module's.
//!
//! Left out on purpose: rolls to another algorithm, which need every set signed twice at once; go
//! unsigned and sign anew, or move the zone.

mod error;
mod next;

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::key::{Algorithm, KeyRole};

pub use error::StepError;
pub use next::NextStep;

/// Most keys of a zone: a roll of each of two roles, and one to spare. The DNSKEY set stays within
/// one datagram.
pub const KEYS_MAX: usize = 6;

/// The version of the facts' file.
pub(crate) const FACTS_VERSION: u32 = 1;

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// In the DNSKEY set, signing no data.
    Published,
    /// Signing.
    Active,
    /// In the DNSKEY set for the signatures it made.
    Retired,
}

impl KeyState {
    /// As listed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// What is known of a key. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyFacts {
    /// The key tag: what DS and RRSIG call it.
    pub tag: u16,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// What it signs.
    pub role: KeyRole,
    /// Where it is in its life.
    pub state: KeyState,
    /// The private key's file, beside the facts.
    pub file: String,
    /// When it entered the DNSKEY set.
    pub published_at: u64,
    /// When it began to sign data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub activated_at: Option<u64>,
    /// When it stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retired_at: Option<u64>,
    /// From when on CDS and CDNSKEY ask the parent for its DS.
    pub cds_from: u64,
    /// When the operator saw its DS at every server of the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ds_seen_at: Option<u64>,
}

/// A zone on its way to being unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unsigning {
    /// Since when CDS and CDNSKEY ask the parent to remove its DS (RFC 8078 §4).
    pub since: u64,
    /// When the operator saw no DS at any server of the parent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ds_gone_at: Option<u64>,
}

/// What is known of a zone's keys: the content of `keys.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ZoneFacts {
    /// [`FACTS_VERSION`].
    pub version: u32,
    /// The zone's origin.
    pub zone: String,
    /// Its keys, oldest first.
    pub keys: Vec<KeyFacts>,
    /// Set while the zone goes unsigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsigning: Option<Unsigning>,
    /// The zone went unsigned by the book and is served so, listed or not.
    #[serde(default)]
    pub unsigned: bool,
}

/// How long things stay in caches and on the way; seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// TTL of the DNSKEY set.
    pub dnskey_ttl: u64,
    /// Largest TTL in the zone.
    pub ttl_max: u64,
    /// TTL of the parent's DS.
    pub ds_ttl: u64,
    /// How long every node and secondary takes to serve a change.
    pub propagation: u64,
}

/// Whether a command waits for the time that makes it safe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Refuse before that time.
    Wait,
    /// The operator knows better.
    Skip,
}

impl ZoneFacts {
    /// A zone without keys.
    #[must_use]
    pub fn new(zone: &str) -> Self {
        Self {
            version: FACTS_VERSION,
            zone: zone.to_owned(),
            keys: Vec::new(),
            unsigning: None,
            unsigned: false,
        }
    }

    /// Keys in a DS at the parent, or asked to be.
    pub fn entries(&self) -> impl Iterator<Item = &KeyFacts> {
        self.keys.iter().filter(|key| key.role.is_entry())
    }

    /// Adds a zone's first key of a role, active at once: nobody validates the zone yet. Its DS is
    /// asked for when unsigned answers have left the caches.
    ///
    /// # Errors
    /// [`StepError::HasKeys`], [`StepError::TooMany`].
    pub fn generated(&mut self, key: NewKey, timing: Timing, now: u64) -> Result<(), StepError> {
        self.may_generate(key.role)?;
        let mut facts = key.published(now);
        facts.state = KeyState::Active;
        facts.activated_at = Some(now);
        facts.cds_from = now + timing.ttl_max + timing.propagation;
        self.unsigned = false;
        self.push(facts)
    }

    /// Whether the zone lacks a key of this role.
    ///
    /// # Errors
    /// [`StepError::HasKeys`]
    pub fn may_generate(&self, role: KeyRole) -> Result<(), StepError> {
        let same = |other: &KeyFacts| {
            other.role == role || other.role == KeyRole::Csk || role == KeyRole::Csk
        };
        if self.keys.iter().any(same) {
            return Err(StepError::HasKeys {
                zone: self.zone.clone(),
            });
        }
        Ok(())
    }

    /// Whether a key of this role can be rolled now.
    ///
    /// # Errors
    /// [`StepError`]
    pub fn may_roll(&self, role: KeyRole, wanted: Algorithm) -> Result<(), StepError> {
        let zone = || self.zone.clone();
        if self.keys.is_empty() {
            return Err(StepError::NoKeys { zone: zone() });
        }
        let of_role = || self.keys.iter().filter(move |key| key.role == role);
        let Some(active) = of_role().find(|key| key.state == KeyState::Active) else {
            return Err(StepError::NoRole {
                zone: zone(),
                role,
                have: self.have(),
            });
        };
        if let Some(key) = of_role().find(|key| key.state != KeyState::Active) {
            return Err(StepError::Rolling {
                zone: zone(),
                tag: key.tag,
            });
        }
        if active.algorithm != wanted {
            return Err(StepError::OtherAlgorithm {
                zone: zone(),
                role,
                is: active.algorithm,
                wanted,
            });
        }
        Ok(())
    }

    /// Adds the successor of a role's active key.
    ///
    /// # Errors
    /// As [`ZoneFacts::may_roll`], and [`StepError::TooMany`].
    pub fn rolled(&mut self, key: NewKey, now: u64) -> Result<(), StepError> {
        self.may_roll(key.role, key.algorithm)?;
        self.push(key.published(now))
    }

    fn push(&mut self, key: KeyFacts) -> Result<(), StepError> {
        if self.keys.len() == KEYS_MAX {
            return Err(StepError::TooMany {
                zone: self.zone.clone(),
            });
        }
        self.keys.push(key);
        Ok(())
    }

    /// A published key begins to sign; the key it replaces retires.
    ///
    /// # Errors
    /// [`StepError`]
    pub fn activate(
        &mut self,
        tag: u16,
        timing: Timing,
        patience: Patience,
        now: u64,
    ) -> Result<Option<u16>, StepError> {
        let key = self.in_state(tag, KeyState::Published)?;
        let (role, safe_at) = (key.role, timing.activate_at(key));
        too_early(
            patience,
            now,
            safe_at,
            "validators may have cached the key set without this key",
        )?;
        let mut replaced = None;
        for key in &mut self.keys {
            if key.tag == tag {
                key.state = KeyState::Active;
                key.activated_at = Some(now);
            } else if key.role == role && key.state == KeyState::Active {
                key.state = KeyState::Retired;
                key.retired_at = Some(now);
                replaced = Some(key.tag);
            }
        }
        Ok(replaced)
    }

    /// An active key stops signing although nothing replaces it in this step.
    ///
    /// # Errors
    /// [`StepError`]; the last active key of a role cannot retire.
    pub fn retire(&mut self, tag: u16, now: u64) -> Result<(), StepError> {
        let key = self.in_state(tag, KeyState::Active)?;
        let role = key.role;
        let active = |key: &&KeyFacts| key.role == role && key.state == KeyState::Active;
        if self.keys.iter().filter(active).count() == 1 {
            return Err(StepError::Last {
                zone: self.zone.clone(),
                tag,
                role,
            });
        }
        for key in self.keys.iter_mut().filter(|key| key.tag == tag) {
            key.state = KeyState::Retired;
            key.retired_at = Some(now);
        }
        Ok(())
    }

    /// The operator saw a key's DS at the parent.
    ///
    /// # Errors
    /// [`StepError`]
    pub fn ds_seen(&mut self, tag: u16, now: u64) -> Result<(), StepError> {
        let key = self.find(tag)?;
        if !key.role.is_entry() {
            return Err(StepError::NoDs { tag });
        }
        for key in self.keys.iter_mut().filter(|key| key.tag == tag) {
            key.ds_seen_at.get_or_insert(now);
        }
        Ok(())
    }

    /// Takes a retired key, or a published one whose roll is given up, out of the DNSKEY set.
    ///
    /// # Errors
    /// [`StepError`]
    pub fn remove(
        &mut self,
        tag: u16,
        timing: Timing,
        patience: Patience,
        now: u64,
    ) -> Result<KeyFacts, StepError> {
        let key = self.find(tag)?;
        match key.state {
            KeyState::Active => {
                return Err(StepError::WrongState {
                    tag,
                    is: "active",
                    needs: "retired",
                });
            }
            KeyState::Published => {}
            KeyState::Retired => self.may_remove(key, timing, patience, now)?,
        }
        let at = self.keys.iter().position(|key| key.tag == tag);
        // `find` has just found it.
        at.map(|at| self.keys.remove(at))
            .ok_or_else(|| self.not_found(tag))
    }

    fn may_remove(
        &self,
        key: &KeyFacts,
        timing: Timing,
        patience: Patience,
        now: u64,
    ) -> Result<(), StepError> {
        let mut safe_at = timing.remove_at(key);
        if key.role.is_entry()
            && let Some(successor) = self.successor(key)
        {
            match successor.ds_seen_at {
                Some(seen) => safe_at = safe_at.max(seen + timing.ds_ttl),
                None if patience == Patience::Skip => {}
                None => {
                    return Err(StepError::DsNotSeen {
                        zone: self.zone.clone(),
                        tag: successor.tag,
                    });
                }
            }
        }
        too_early(
            patience,
            now,
            safe_at,
            "caches may hold signatures of this key, or the DS that points at it",
        )
    }

    /// Begins to go unsigned: CDS and CDNSKEY ask the parent to remove its DS.
    ///
    /// # Errors
    /// [`StepError::NoKeys`]
    pub fn unsign(&mut self, now: u64) -> Result<(), StepError> {
        if self.keys.is_empty() {
            return Err(StepError::NoKeys {
                zone: self.zone.clone(),
            });
        }
        self.unsigning.get_or_insert(Unsigning {
            since: now,
            ds_gone_at: None,
        });
        Ok(())
    }

    /// Stays signed after all.
    ///
    /// # Errors
    /// [`StepError::NotUnsigning`]
    pub fn stay_signed(&mut self) -> Result<(), StepError> {
        self.unsigning_since()?;
        self.unsigning = None;
        Ok(())
    }

    /// The operator saw no DS at the parent.
    ///
    /// # Errors
    /// [`StepError::NotUnsigning`]
    pub fn ds_gone(&mut self, now: u64) -> Result<(), StepError> {
        let mut unsigning = self.unsigning_since()?;
        unsigning.ds_gone_at.get_or_insert(now);
        self.unsigning = Some(unsigning);
        Ok(())
    }

    /// Ends it: no DS is in any cache, so the keys go. Returns them.
    ///
    /// # Errors
    /// [`StepError`]
    pub fn unsigned(
        &mut self,
        timing: Timing,
        patience: Patience,
        now: u64,
    ) -> Result<Vec<KeyFacts>, StepError> {
        let gone = self.unsigning_since()?.ds_gone_at;
        let Some(gone) = gone else {
            return Err(StepError::DsNotGone {
                zone: self.zone.clone(),
            });
        };
        too_early(
            patience,
            now,
            gone + timing.ds_ttl,
            "caches may hold the parent's DS, and would take unsigned answers for forged",
        )?;
        self.unsigning = None;
        self.unsigned = true;
        Ok(std::mem::take(&mut self.keys))
    }

    fn unsigning_since(&self) -> Result<Unsigning, StepError> {
        self.unsigning.ok_or_else(|| StepError::NotUnsigning {
            zone: self.zone.clone(),
        })
    }

    fn find(&self, tag: u16) -> Result<&KeyFacts, StepError> {
        if self.keys.is_empty() {
            return Err(StepError::NoKeys {
                zone: self.zone.clone(),
            });
        }
        let found = self.keys.iter().find(|key| key.tag == tag);
        found.ok_or_else(|| self.not_found(tag))
    }

    fn not_found(&self, tag: u16) -> StepError {
        StepError::NotFound {
            zone: self.zone.clone(),
            tag,
            have: self.have(),
        }
    }

    fn in_state(&self, tag: u16, needs: KeyState) -> Result<&KeyFacts, StepError> {
        let key = self.find(tag)?;
        if key.state == needs {
            Ok(key)
        } else {
            Err(StepError::WrongState {
                tag,
                is: key.state.as_str(),
                needs: needs.as_str(),
            })
        }
    }

    /// The active key of a retired one's role.
    fn successor(&self, key: &KeyFacts) -> Option<&KeyFacts> {
        let active = |other: &&KeyFacts| other.role == key.role && other.state == KeyState::Active;
        self.keys.iter().find(active)
    }

    fn have(&self) -> String {
        let mut have = String::new();
        for key in &self.keys {
            let comma = if have.is_empty() { "" } else { ", " };
            let _into_a_string = write!(
                have,
                "{comma}{} {} {}",
                key.state.as_str(),
                key.role,
                key.tag
            );
        }
        if have.is_empty() { "none".into() } else { have }
    }
}

impl Timing {
    /// The DNSKEY set without the key has left every cache.
    fn activate_at(self, key: &KeyFacts) -> u64 {
        key.published_at + self.dnskey_ttl + self.propagation
    }

    /// The key's signatures have left every cache.
    fn remove_at(self, key: &KeyFacts) -> u64 {
        key.retired_at.unwrap_or(key.published_at)
            + self.ttl_max.max(self.dnskey_ttl)
            + self.propagation
    }
}

/// A key that was just written, to be entered into the facts.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its tag.
    pub tag: u16,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// Its role.
    pub role: KeyRole,
    /// Its file.
    pub file: String,
}

impl NewKey {
    fn published(self, now: u64) -> KeyFacts {
        KeyFacts {
            tag: self.tag,
            algorithm: self.algorithm,
            role: self.role,
            state: KeyState::Published,
            file: self.file,
            published_at: now,
            activated_at: None,
            retired_at: None,
            cds_from: now,
            ds_seen_at: None,
        }
    }
}

fn too_early(
    patience: Patience,
    now: u64,
    safe_at: u64,
    why: &'static str,
) -> Result<(), StepError> {
    if patience == Patience::Skip || now >= safe_at {
        return Ok(());
    }
    Err(StepError::TooEarly {
        at: time_text(safe_at),
        why,
    })
}

/// A time as people and scripts read it: RFC 3339 in UTC.
#[must_use]
pub fn time_text(unix_seconds: u64) -> String {
    i64::try_from(unix_seconds)
        .ok()
        .and_then(|seconds| jiff::Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("{unix_seconds} s after 1970"),
            |time| time.to_string(),
        )
}
