//! The NSEC3 records of a zone, sorted by hash.

use super::super::{DisplayName, RrSet, ZoneError};
use super::hash::{NSEC3_HASH_BYTES, Nsec3Params};

/// Where the next hash's length stands in NSEC3 data, behind a salt of no bytes (RFC 5155 §3.2).
const NEXT_AT: usize = 5;

/// The NSEC3 records of a zone.
#[derive(Clone, Debug)]
pub struct Nsec3Chain {
    /// How names are hashed.
    pub params: Nsec3Params,
    /// Those of the chain by hash, then those of other parameters: a zone may be on its way from one
    /// chain to another (RFC 5155 §10.4).
    links: Box<[Nsec3Link]>,
    /// How many are of the chain.
    in_chain: usize,
}

/// One NSEC3 record set.
#[derive(Clone, Debug)]
pub struct Nsec3Link {
    name: Box<[u8]>,
    hash: [u8; NSEC3_HASH_BYTES],
    set: RrSet,
}

impl Nsec3Link {
    /// The link at an owner name whose first label is a hash; `None` when it is not one.
    pub(in super::super) fn of(name: &[u8], set: RrSet) -> Option<Self> {
        let label = name.get(1..=usize::from(*name.first()?))?;
        Some(Self {
            name: name.into(),
            hash: read_base32hex(label)?,
            set,
        })
    }

    /// The lowercased owner name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// The hash in the owner name.
    #[must_use]
    pub fn hash(&self) -> &[u8; NSEC3_HASH_BYTES] {
        &self.hash
    }

    /// The NSEC3 record.
    #[must_use]
    pub fn rrset(&self) -> &RrSet {
        &self.set
    }

    fn params(&self) -> Option<Nsec3Params> {
        let (_, data) = self.set.data().next()?;
        Nsec3Params::read(data)
    }

    /// The hash that the record says is the next.
    fn next_hash(&self) -> Option<&[u8]> {
        let (_, data) = self.set.data().next()?;
        let length_at = NEXT_AT + usize::from(*data.get(NEXT_AT - 1)?);
        let length = usize::from(*data.get(length_at)?);
        data.get(length_at + 1..=length_at + length)
    }
}

impl Nsec3Chain {
    pub(super) fn new(params: Nsec3Params, links: Vec<Nsec3Link>) -> Self {
        let of_chain = |link: &Nsec3Link| link.params().as_ref() == Some(&params);
        let (mut links, others): (Vec<_>, Vec<_>) = links.into_iter().partition(of_chain);
        links.sort_by_key(|link| link.hash);
        let in_chain = links.len();
        links.extend(others);
        Self {
            params,
            links: links.into(),
            in_chain,
        }
    }

    /// Every record, also those of other parameters.
    #[must_use]
    pub fn links(&self) -> &[Nsec3Link] {
        &self.links
    }

    /// The chain, by hash; empty when its hashes cost too much.
    fn chain(&self) -> &[Nsec3Link] {
        if self.params.are_affordable() {
            self.links.get(..self.in_chain).unwrap_or_default()
        } else {
            &[]
        }
    }

    /// Whether answers are proved from it.
    pub(super) fn is_usable(&self) -> bool {
        !self.chain().is_empty()
    }

    /// The record whose owner is the hash of a name.
    pub(super) fn matching(&self, name: &[u8]) -> Option<&Nsec3Link> {
        let chain = self.chain();
        let at = self.search(chain, name).ok()?;
        chain.get(at)
    }

    /// The record that says there is no name of this hash; `None` when there is one.
    pub(super) fn covering(&self, name: &[u8]) -> Option<&Nsec3Link> {
        let chain = self.chain();
        let after = self.search(chain, name).err()?;
        let before = after.checked_sub(1).and_then(|at| chain.get(at));
        before.or(chain.last())
    }

    fn search(&self, chain: &[Nsec3Link], name: &[u8]) -> Result<usize, usize> {
        let hash = self.params.hash(name);
        chain.binary_search_by(|link| link.hash.cmp(&hash))
    }

    /// Why validators will not be content with what is answered from it.
    pub(super) fn problem(&self, origin: &[u8]) -> Option<ZoneError> {
        let origin = || DisplayName(origin.into());
        if !self.params.are_affordable() {
            return Some(ZoneError::Nsec3TooCostly {
                origin: origin(),
                iterations: self.params.iterations,
                salt_bytes: self.params.salt.len(),
            });
        }
        let chain = self.chain();
        if chain.is_empty() {
            return Some(ZoneError::Nsec3WithoutParameters { origin: origin() });
        }
        let after = chain.iter().skip(1).chain(chain.first());
        let gap = chain
            .iter()
            .zip(after)
            .find(|(one, next)| one.next_hash() != Some(&next.hash));
        gap.map(|(one, _)| ZoneError::DenialGap {
            name: DisplayName(one.name.clone()),
        })
    }
}

/// A hash from its 32 characters (RFC 4648 §7, without padding).
fn read_base32hex(label: &[u8]) -> Option<[u8; NSEC3_HASH_BYTES]> {
    if label.len() * 5 != NSEC3_HASH_BYTES * 8 {
        return None;
    }
    let mut hash = [0; NSEC3_HASH_BYTES];
    for (eight, five) in label.chunks(8).zip(hash.chunks_mut(5)) {
        let mut bits = 0_u64;
        for digit in eight {
            let value = match digit.to_ascii_lowercase() {
                digit @ b'0'..=b'9' => digit - b'0',
                digit @ b'a'..=b'v' => digit - b'a' + 10,
                _ => return None,
            };
            bits = bits << 5 | u64::from(value);
        }
        five.copy_from_slice(&bits.to_be_bytes()[3..]);
    }
    Some(hash)
}
