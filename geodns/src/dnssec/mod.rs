//! DNSSEC: signing answers as they are made, and the keys that do it.
//!
//! ```text
//! keys.json, *.pem ──keyring──┐
//!                             ├──signing──> ZoneSigner, one a zone, built with the zones
//! dns.dnssec ────────config───┘                 │
//!                                               ├ static signatures, made off the packet path
//!                                               ├ cached signatures: steered answers, denials
//!                                               └ the key, within a budget
//! ```
//!
//! A zone's own records are signed when the zones are built; a steered answer is signed once for
//! each set of records that can come out; what does not exist is denied by one NSEC record at the
//! very name asked for (RFC 9824). A wildcard's answers are signed under the name asked for, as
//! RFC 9824 §3.3 wants, so no proof goes with them. Zones that arrive signed are not touched.
//!
//! Left out on purpose: NSEC3 for what is signed here (one NSEC at the name itself gives no zone
//! away), keys in hardware (a PKCS#11 round trip is no packet path), rolls to another algorithm, and
//! more than one data key at a time.

mod arrived;
mod budget;
mod cache;
mod canonical;
mod config;
mod denial;
mod desk;
mod key;
mod keyring;
mod lifecycle;
mod lock;
mod signer;
mod signing;
mod store;

pub use arrived::ArrivesSigned;
pub(crate) use budget::Purse;
pub(crate) use cache::Names;
pub(crate) use canonical::Set;
pub use config::{DnssecConfig, DnssecConfigError, DnssecSettings, ZoneSigning, ZoneSigningConfig};
pub(crate) use denial::{LowTypes, NSEC_BYTES_MAX, write_nsec};
pub use desk::{DeskError, KeyAtParent, KeyDesk, ListedKey, ListedZone, StepReport};
pub use key::{Algorithm, KeyError, KeyRole};
pub use keyring::KeyringError;
pub use lifecycle::{
    KEYS_MAX, KeyFacts, KeyState, NewKey, NextStep, Patience, StepError, Timing, Unsigning,
    ZoneFacts, time_text,
};
pub(crate) use signer::{OverBudget, ZoneSigner, push_record};
pub use signing::{Signing, SigningError};
pub use store::{FACTS_FILE, KeyFolder, StoreError};

#[cfg(test)]
mod tests;
