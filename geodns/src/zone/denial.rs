//! How a zone that arrived signed says that something does not exist: its NSEC or NSEC3 records.

use super::RrSet;
use super::static_zone::{NodeIdx, StaticZone};
use crate::wire::RType;

/// Longest hash in an NSEC3 owner: SHA-1, the only algorithm there is (RFC 5155 §11).
pub const NSEC3_HASH_BYTES: usize = 20;

/// The denial of existence that came with a zone.
#[derive(Clone, Debug, Default)]
pub enum Denial {
    /// None: the zone is not signed, or not by whoever wrote it.
    #[default]
    None,
    /// NSEC (RFC 4034): the nodes that have one, in canonical order.
    Nsec(Box<[NodeIdx]>),
    /// NSEC3 (RFC 5155).
    Nsec3(Nsec3Chain),
}

/// The NSEC3 records of a zone.
#[derive(Clone, Debug)]
pub struct Nsec3Chain {
    /// How names are hashed.
    pub params: Nsec3Params,
    /// The records, by hash.
    pub(super) links: Box<[Nsec3Link]>,
}

/// How names are hashed for NSEC3 (RFC 5155 §4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nsec3Params {
    /// Iterations beside the first.
    pub iterations: u16,
    /// The salt.
    pub salt: Box<[u8]>,
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
    pub(super) fn of(name: &[u8], set: RrSet) -> Option<Self> {
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
}

impl Denial {
    /// The NSEC3 records, if there are any.
    #[must_use]
    pub fn nsec3_links(&self) -> &[Nsec3Link] {
        match self {
            Self::Nsec3(chain) => &chain.links,
            Self::None | Self::Nsec(_) => &[],
        }
    }
}

/// What a zone's records say about its denial. NSEC3 counts when the apex names its parameters.
pub(super) fn of_zone(zone: &StaticZone, mut links: Vec<Nsec3Link>) -> Denial {
    let params = zone.apex().rrset(RType::NSEC3PARAM);
    let params = params.and_then(|set| set.data().find_map(|(_, data)| Nsec3Params::read(data)));
    if let Some(params) = params
        && !links.is_empty()
    {
        links.sort_by_key(|link| link.hash);
        let links = links.into();
        return Denial::Nsec3(Nsec3Chain { params, links });
    }
    if zone.apex().rrset(RType::NSEC).is_none() {
        return Denial::None;
    }
    let has_nsec = |at: &NodeIdx| zone.node(*at).rrset(RType::NSEC).is_some();
    let all = (0..zone.nodes().len()).map(|at| NodeIdx(at as u32));
    Denial::Nsec(all.filter(has_nsec).collect())
}

impl Nsec3Params {
    /// Reads NSEC3PARAM data with an algorithm we know and no flags (RFC 5155 §4.1.2).
    fn read(data: &[u8]) -> Option<Self> {
        let &[1, 0, high, low, length, ref salt @ ..] = data else {
            return None;
        };
        (salt.len() == usize::from(length)).then(|| Self {
            iterations: u16::from_be_bytes([high, low]),
            salt: salt.into(),
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
