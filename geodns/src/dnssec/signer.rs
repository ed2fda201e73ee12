//! Signing one zone's answers.
//!
//! Three places know signatures, asked in this order:
//! - *static* ones, by (name, type): made when the zones are built, for every authoritative set;
//! - *cached* ones, by content ([`super::cache`]): steered answers, filled when the zones are built
//!   for each endpoint alone and each region's set, and denials;
//! - the key itself, within [`super::budget`].
//!
//! A signature is replaced `refresh_before` its end: static ones by a rebuild off the packet path,
//! cached ones by the next question, which keeps the old one when the budget is used up. An expired
//! one is never sent.
//!
//! A miss allocates (the bytes to sign) and, with ECDSA, makes one `getrandom` call; a hit does
//! neither.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use super::budget::Purse;
use super::cache::{Names, Signature};
use super::canonical::{HEAD_BYTES, Head, Set, to_be_signed};
use super::key::{KeyError, SigningKey};
use super::keyring::ZoneKeys;
use super::signing::Shared;
use crate::wire::{Owner, RECORD_HEAD_BYTES, RType};
use crate::zone::StaticZone;

/// How far signatures reach back, for clocks that are behind.
const BACKDATE_SECONDS: u32 = 3_600;
/// The share of the validity that is taken off by chance.
const JITTER_SHARE: u32 = 8;

/// The budget for signatures is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OverBudget;

/// One zone's signer: immutable but for the caches it shares.
#[derive(Debug)]
pub(crate) struct ZoneSigner {
    keys: Arc<ZoneKeys>,
    shared: Arc<Shared>,
    statics: Arc<Statics>,
    apex_sets: Vec<ApexSet>,
    /// When it is to be built anew: a signature is due, or the sets that the keys make change.
    refresh_at: u32,
}

/// The signatures of a zone's own sets, by name and type.
#[derive(Debug)]
struct Statics {
    /// What was signed: the same data under the same keys is not looked at again.
    source: Option<Arc<StaticZone>>,
    signatures: HashMap<u64, StaticSignature, BuildHasherDefault<Hashed>>,
    refresh_at: u32,
}

/// The signature of one of a zone's own sets.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StaticSignature {
    /// The key that the set's content would have in the cache.
    content: u64,
    pub(crate) original_ttl_seconds: u32,
    pub(crate) signature: Signature,
}

/// A set that the keys make: DNSKEY, CDS or CDNSKEY.
#[derive(Debug)]
pub(crate) struct ApexSet {
    pub(crate) rtype: RType,
    pub(crate) count: u16,
    /// As in [`crate::zone::RrSet`].
    pub(crate) records: Box<[u8]>,
    /// The RRSIG records of every key that signs keys, likewise.
    pub(crate) signatures: Box<[u8]>,
    pub(crate) signature_count: u16,
}

impl ZoneSigner {
    /// Signs a zone's authoritative sets and its key sets; signatures of `previous` that cover the
    /// same and are fresh are kept.
    pub(crate) fn build<'a>(
        keys: &Arc<ZoneKeys>,
        shared: &Arc<Shared>,
        previous: Option<&Self>,
        source: Option<&Arc<StaticZone>>,
        sets: impl Iterator<Item = Set<'a>>,
        now: u32,
    ) -> Result<Self, KeyError> {
        let statics = Statics {
            source: source.cloned(),
            signatures: HashMap::default(),
            refresh_at: u32::MAX,
        };
        let mut signer = Self {
            keys: Arc::clone(keys),
            shared: Arc::clone(shared),
            statics: Arc::new(statics),
            apex_sets: Vec::new(),
            refresh_at: keys.changes_at_after(now),
        };
        match previous.filter(|previous| previous.has_signed(keys, source, now)) {
            Some(previous) => signer.statics = Arc::clone(&previous.statics),
            None => signer.sign_statics(previous, sets, now),
        }
        signer.refresh_at = signer.refresh_at.min(signer.statics.refresh_at);
        for (rtype, data) in keys.apex_data(now)? {
            let set = signer.apex_set_of(rtype, &data, now);
            signer.apex_sets.push(set);
        }
        Ok(signer)
    }

    /// Whether this very data is signed by these very keys, and nothing of it is due.
    fn has_signed(&self, keys: &Arc<ZoneKeys>, source: Option<&Arc<StaticZone>>, now: u32) -> bool {
        let same = |source: &Arc<StaticZone>| {
            let signed = self.statics.source.as_ref();
            signed.is_some_and(|signed| Arc::ptr_eq(signed, source))
        };
        Arc::ptr_eq(&self.keys, keys) && now < self.statics.refresh_at && source.is_some_and(same)
    }

    fn sign_statics<'a>(
        &mut self,
        previous: Option<&Self>,
        sets: impl Iterator<Item = Set<'a>>,
        now: u32,
    ) {
        let mut signatures = HashMap::default();
        let mut refresh_at = u32::MAX;
        for set in sets {
            let key = self.data_key();
            let content = self.shared.cache.key(&set, key.id);
            let at = self.shared.cache.name_key(set.owner, set.rtype);
            let kept = previous
                .and_then(|previous| previous.statics.signatures.get(&at))
                .filter(|kept| kept.content == content && self.is_fresh(&kept.signature, now))
                .map(|kept| kept.signature);
            let Some(signature) = kept.or_else(|| self.make(key, &set, content, now)) else {
                // Without randomness now: the packet path tries again.
                continue;
            };
            refresh_at = refresh_at.min(self.refresh_of(&signature));
            let signed = StaticSignature {
                content,
                original_ttl_seconds: set.original_ttl_seconds,
                signature,
            };
            signatures.insert(at, signed);
        }
        self.statics = Arc::new(Statics {
            source: self.statics.source.clone(),
            signatures,
            refresh_at,
        });
    }

    fn apex_set_of(&mut self, rtype: RType, data: &[Vec<u8>], now: u32) -> ApexSet {
        let ttl_seconds = self.keys.signing.dnskey_ttl_seconds;
        let mut records = Vec::new();
        for data in data {
            push_record(&mut records, rtype, ttl_seconds, &[data]);
        }
        let set = Set {
            owner: &self.keys.signing.apex,
            rtype,
            original_ttl_seconds: ttl_seconds,
            records: &records,
        };
        let mut signatures = Vec::new();
        let mut signature_count = 0;
        // RFC 7344 §4.1: CDS and CDNSKEY, too, by keys that a DS points at.
        for key in self.keys.entry_keys() {
            let salt = self.shared.cache.key(&set, key.id);
            if let Some(signature) = self.make(key, &set, salt, now) {
                let head = head_of(key, &set, signature.inception, signature.expiration);
                push_record(
                    &mut signatures,
                    RType::RRSIG,
                    ttl_seconds,
                    &[&head.to_bytes(), &self.keys.signing.apex, &signature.bytes],
                );
                signature_count += 1;
                self.refresh_at = self.refresh_at.min(self.refresh_of(&signature));
            }
        }
        ApexSet {
            rtype,
            // At most `KEYS_MAX`.
            count: data.len() as u16,
            records: records.into(),
            signatures: signatures.into(),
            signature_count,
        }
    }

    /// The zone's lowercased wire name: the signer's name in every RRSIG.
    pub(crate) fn apex(&self) -> &[u8] {
        &self.keys.signing.apex
    }

    /// When the signer should be built anew: a signature is due, or the sets that the keys make
    /// change with time.
    pub(crate) fn refresh_at(&self) -> u32 {
        self.refresh_at
    }

    /// The types of the sets that the keys make.
    pub(crate) fn apex_types(&self) -> impl Iterator<Item = RType> {
        self.apex_sets.iter().map(|set| set.rtype)
    }

    /// How long a denial may be kept: as long as the SOA beside it (RFC 9077 §3).
    pub(crate) fn negative_ttl_seconds(&self) -> u32 {
        let soa = self.statics.source.as_ref();
        soa.map_or(0, |zone| zone.negative_soa().ttl_seconds())
    }

    /// A set that the keys make.
    pub(crate) fn apex_set(&self, rtype: RType) -> Option<&ApexSet> {
        self.apex_sets.iter().find(|set| set.rtype == rtype)
    }

    /// The signature of a static set of ours, by its own name.
    pub(crate) fn static_signature(
        &self,
        owner: &[u8],
        rtype: RType,
        now: u32,
    ) -> Option<StaticSignature> {
        let at = self.shared.cache.name_key(owner, rtype);
        let found = self.statics.signatures.get(&at)?;
        holds(&found.signature, now).then_some(*found)
    }

    /// The signature of any set: cached, or made now if the budget allows.
    ///
    /// # Errors
    /// [`OverBudget`]
    pub(crate) fn signature(
        &self,
        set: &Set<'_>,
        names: Names,
        purse: Purse,
        now: u32,
    ) -> Result<Signature, OverBudget> {
        let key = self.data_key();
        let content = self.shared.cache.key(set, key.id);
        let cached = self.shared.cache.get(names, content);
        let cached = cached.filter(|signature| holds(signature, now));
        if let Some(cached) = cached
            && self.is_fresh(&cached, now)
        {
            return Ok(cached);
        }
        if !self.shared.budget.take(purse, now) {
            self.shared.metrics.over_budget.inc();
            return cached.ok_or(OverBudget);
        }
        self.shared.metrics.inline.inc();
        match self.make(key, set, content, now) {
            Some(signature) => {
                self.shared.cache.put(names, content, &signature);
                Ok(signature)
            }
            None => cached.ok_or(OverBudget),
        }
    }

    /// Signs a likely answer ahead of the first question for it.
    pub(crate) fn prepare(&mut self, set: &Set<'_>, now: u32) {
        let key = self.data_key();
        let content = self.shared.cache.key(set, key.id);
        let cached = self.shared.cache.get(Names::Ours, content);
        let fresh = cached.filter(|signature| self.is_fresh(signature, now));
        let signature = fresh.or_else(|| {
            let made = self.make(key, set, content, now)?;
            self.shared.cache.put(Names::Ours, content, &made);
            Some(made)
        });
        if let Some(signature) = signature {
            self.refresh_at = self.refresh_at.min(self.refresh_of(&signature));
        }
    }

    /// RRSIG data before the signer's name.
    pub(crate) fn rrsig_head(&self, set: &Set<'_>, signature: &Signature) -> [u8; HEAD_BYTES] {
        head_of(
            self.data_key(),
            set,
            signature.inception,
            signature.expiration,
        )
        .to_bytes()
    }

    fn data_key(&self) -> &SigningKey {
        self.keys.data_key()
    }

    fn make(&self, key: &SigningKey, set: &Set<'_>, salt: u64, now: u32) -> Option<Signature> {
        let validity = self.keys.signing.validity_seconds;
        let jitter = (salt % u64::from(validity / JITTER_SHARE + 1)) as u32;
        let inception = now.saturating_sub(BACKDATE_SECONDS);
        let expiration = now.saturating_add(validity - jitter);
        let head = head_of(key, set, inception, expiration);
        let message = to_be_signed(set, head, &self.keys.signing.apex);
        self.shared.metrics.made.inc();
        Some(Signature {
            inception,
            expiration,
            bytes: key.sign(&message)?,
        })
    }

    fn is_fresh(&self, signature: &Signature, now: u32) -> bool {
        holds(signature, now) && now < self.refresh_of(signature)
    }

    fn refresh_of(&self, signature: &Signature) -> u32 {
        signature
            .expiration
            .saturating_sub(self.keys.signing.refresh_seconds)
    }
}

/// Whether a signature is valid at a time: a clock that was set back makes new ones.
fn holds(signature: &Signature, now: u32) -> bool {
    signature.inception <= now && now < signature.expiration
}

fn head_of(key: &SigningKey, set: &Set<'_>, inception: u32, expiration: u32) -> Head {
    Head {
        covered: set.rtype,
        algorithm: key.algorithm.number(),
        labels: set.labels(),
        original_ttl_seconds: set.original_ttl_seconds,
        expiration,
        inception,
        key_tag: key.tag,
    }
}

/// Adds a record in the form that is copied into responses.
pub(crate) fn push_record(to: &mut Vec<u8>, rtype: RType, ttl_seconds: u32, data: &[&[u8]]) {
    let start = to.len();
    to.extend_from_slice(&Owner::QUESTION.pointer());
    to.extend_from_slice(&rtype.0.to_be_bytes());
    to.extend_from_slice(&[0, 1]);
    to.extend_from_slice(&ttl_seconds.to_be_bytes());
    to.extend_from_slice(&[0, 0]);
    for part in data {
        to.extend_from_slice(part);
    }
    // Keys, digests, signatures and addresses: far below 64 KiB.
    let bytes = (to.len() - start - RECORD_HEAD_BYTES) as u16;
    to[start + RECORD_HEAD_BYTES - 2..start + RECORD_HEAD_BYTES]
        .copy_from_slice(&bytes.to_be_bytes());
}

/// The keys are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
