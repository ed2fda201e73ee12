//! Why a step may not be taken, and what to do instead.

use thiserror::Error;

use super::super::key::{Algorithm, KeyRole};
use super::KEYS_MAX;

/// A step that may not be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum StepError {
    /// `generate` on a zone that has keys.
    #[error("{zone} has keys already; use `meridian dns keys roll {zone}` to replace them")]
    HasKeys {
        /// The zone.
        zone: String,
    },
    /// Anything but `generate` on a zone without keys.
    #[error("{zone} has no keys; make some with `meridian dns keys generate {zone}`")]
    NoKeys {
        /// The zone.
        zone: String,
    },
    /// No key has this tag.
    #[error("{zone} has no key {tag}; it has {have}")]
    NotFound {
        /// The zone.
        zone: String,
        /// The tag asked for.
        tag: u16,
        /// The tags there are.
        have: String,
    },
    /// No active key of the role.
    #[error("{zone} has no active {role}; it has {have}")]
    NoRole {
        /// The zone.
        zone: String,
        /// The role asked for.
        role: KeyRole,
        /// The keys there are.
        have: String,
    },
    /// One roll at a time.
    #[error(
        "the roll to key {tag} of {zone} is not finished; `meridian dns keys list {zone}` says what is next"
    )]
    Rolling {
        /// The zone.
        zone: String,
        /// The key in the way.
        tag: u16,
    },
    /// A roll to another algorithm.
    #[error(
        "the {role} of {zone} is {is}, and the configuration asks for {wanted}: a roll to another algorithm is not supported; set `algorithm: {is}`, or take the zone unsigned and sign it anew"
    )]
    OtherAlgorithm {
        /// The zone.
        zone: String,
        /// The role.
        role: KeyRole,
        /// The algorithm in use.
        is: Algorithm,
        /// The configured one.
        wanted: Algorithm,
    },
    /// The key is in another state.
    #[error("key {tag} is {is}; this step needs a key that is {needs}")]
    WrongState {
        /// The key.
        tag: u16,
        /// Its state.
        is: &'static str,
        /// The state needed.
        needs: &'static str,
    },
    /// Caches may still hold what the step takes away.
    #[error("not before {at}: {why}; add --now if you know better")]
    TooEarly {
        /// When it becomes safe, as text.
        at: String,
        /// What would break.
        why: &'static str,
    },
    /// The parent may still point at the key.
    #[error(
        "the parent's DS for key {tag} was not confirmed; when every server of the parent has it, say `meridian dns keys ds-seen {zone} {tag}`"
    )]
    DsNotSeen {
        /// The zone.
        zone: String,
        /// The successor whose DS is needed.
        tag: u16,
    },
    /// The last active key of its role.
    #[error(
        "key {tag} is the only active {role} of {zone}: without it the zone does not validate; roll it, or use `meridian dns keys unsign {zone}`"
    )]
    Last {
        /// The zone.
        zone: String,
        /// The key.
        tag: u16,
        /// Its role.
        role: KeyRole,
    },
    /// No DS points at a ZSK.
    #[error("key {tag} is a zsk: no DS points at it")]
    NoDs {
        /// The key.
        tag: u16,
    },
    /// [`KEYS_MAX`] is reached.
    #[error("{zone} has {KEYS_MAX} keys, the most it may have; remove a retired one first")]
    TooMany {
        /// The zone.
        zone: String,
    },
    /// The steps of going unsigned, out of order.
    #[error("{zone} is not going unsigned yet; begin with `meridian dns keys unsign {zone}`")]
    NotUnsigning {
        /// The zone.
        zone: String,
    },
    /// DS are still at the parent, as far as is known.
    #[error(
        "the parent's DS may still be there; when no server of the parent has one, say `meridian dns keys unsign {zone} --ds-gone`"
    )]
    DsNotGone {
        /// The zone.
        zone: String,
    },
}
