//! Client classes: groups of clients that every policy treats alike.
//!
//! An address is turned into a small integer once ([`ClassTable::lookup`]); everything that depends
//! on the client is then computed per class, when a plan is compiled, and never per request. Class 0
//! is the client of whom nothing is known.

mod builder;
mod direct;
mod ranges;
mod table;

use meridian_topology::country::{Continent, CountryCode};
use meridian_topology::{Coordinates, GroupId, Place, ProviderId, RegionId};
use serde::{Deserialize, Serialize};

pub use builder::{ClassError, ClassPatch, ClassTableBuilder, MAX_CLASSES};
pub use ranges::{CoverError, MAX_RANGES};
pub(crate) use table::NO_RANGE;
pub use table::{ClassMatch, ClassTable, Ranges};

use crate::hash::{self, Fingerprint};

/// A position in [`ClassTable::classes`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ClassId(pub u32);

impl ClassId {
    /// The class of clients of whom nothing is known.
    pub const UNKNOWN: Self = Self(0);

    /// The id as an array index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// What is known of the clients of one class; `None` is "not known".
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientClass {
    /// Country by ISO 3166-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<CountryCode>,
    /// Where the clients are, or the middle of where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<Coordinates>,
    /// Autonomous system.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asn: Option<u32>,
    /// Cloud provider the clients run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<ProviderId>,
    /// Region of ours the clients run in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<RegionId>,
    /// The operator's group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
}

impl ClientClass {
    /// This class in `country`, at its middle when no better place is known.
    #[must_use]
    pub fn in_country(mut self, country: CountryCode) -> Self {
        self.country = Some(country);
        self.location = self
            .location
            .or_else(|| country.country().map(|found| found.centroid));
        self
    }

    /// The continent of the class's country.
    #[must_use]
    pub fn continent(&self) -> Option<Continent> {
        self.country
            .and_then(|code| code.country())
            .map(|country| country.continent)
    }

    /// Whether the class lies in a place. A class that is not known to be there is not there.
    #[must_use]
    pub fn is_in(&self, place: &Place) -> bool {
        let country = || self.country.and_then(|code| code.country());
        match place {
            Place::Eu => country().is_some_and(|known| known.eu),
            Place::Eea => country().is_some_and(|known| known.eea),
            Place::Continent(continent) => self.continent() == Some(*continent),
            Place::Country(code) => self.country == Some(*code),
            Place::Asn(asn) => self.asn == Some(*asn),
            Place::Provider(provider) => self.provider.as_ref() == Some(provider),
            Place::Group(group) => self.group.as_ref() == Some(group),
        }
    }

    /// Feeds everything that tells this class from another into a fingerprint.
    fn add_to(&self, fingerprint: &mut Fingerprint) {
        let text = |text: Option<&str>| text.map_or(0, |text| hash::bytes(text.as_bytes()));
        fingerprint.add(text(self.country.as_ref().map(CountryCode::as_str)));
        fingerprint.add(self.location.map_or(1, |at| at.latitude().to_bits()));
        fingerprint.add(self.location.map_or(1, |at| at.longitude().to_bits()));
        fingerprint.add(self.asn.map_or(u64::MAX, u64::from));
        fingerprint.add(text(self.provider.as_ref().map(ProviderId::as_str)));
        fingerprint.add(text(self.region.as_ref().map(RegionId::as_str)));
        fingerprint.add(text(self.group.as_ref().map(GroupId::as_str)));
    }
}

#[cfg(test)]
mod tests;
