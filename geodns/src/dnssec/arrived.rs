//! Zones that are to be signed here and are signed already.

use thiserror::Error;

use super::config::DnssecSettings;
use super::keyring::Keyring;
use crate::zone::{DisplayName, ShelfSnapshot, ZoneSource};

/// A zone under `dns.dnssec.zones` whose master file is signed already: two signers cannot share it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "dns.dnssec.zones: the zone file of {zone} is signed already (RRSIG, NSEC or DNSKEY at its apex); take {zone} out of the list to have it served as it comes, or write the file unsigned"
)]
pub struct ArrivesSigned {
    /// The zone.
    pub zone: String,
}

impl DnssecSettings {
    /// Whether a start would refuse the zones that are known before it: those of master files. One
    /// that arrives signed later is served as it came, and is a problem of the zones. Keys that
    /// cannot be read are for [`DnssecSettings::check_keys`] to name.
    ///
    /// # Errors
    /// [`ArrivesSigned`] for the first.
    pub fn check_arrivals(&self, shelf: &ShelfSnapshot) -> Result<(), ArrivesSigned> {
        let (ring, _) = Keyring::read(self, &Keyring::default());
        refuse_signed(shelf, |apex| ring.zone(apex).is_some())
    }
}

/// Refuses the first zone of a master file that would be signed twice.
pub(crate) fn refuse_signed(
    shelf: &ShelfSnapshot,
    is_to_be_signed: impl Fn(&[u8]) -> bool,
) -> Result<(), ArrivesSigned> {
    let of_files = shelf
        .values()
        .filter(|shelved| shelved.source == ZoneSource::File);
    for shelved in of_files {
        if shelved.zone.came_signed() && is_to_be_signed(shelved.zone.origin()) {
            return Err(ArrivesSigned {
                zone: DisplayName(shelved.zone.origin().into()).to_string(),
            });
        }
    }
    Ok(())
}
