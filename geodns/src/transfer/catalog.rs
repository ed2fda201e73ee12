//! Catalog zones (RFC 9432): a zone whose records list other zones.
//!
//! Read are the version (`version.CATALOG TXT "2"`) and the members (`ID.zones.CATALOG PTR ZONE`).
//! Groups, change of ownership and other properties are left out: every member is served alike.

use std::collections::BTreeSet;

use thiserror::Error;

use super::record::WireName;
use crate::wire::{RType, parent_of};
use crate::zone::{DisplayName, StaticZone};

/// The one version there is.
const VERSION: &[u8] = b"\x012";

/// Why a zone is no catalog that can be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum CatalogError {
    #[error("it has no `version` TXT record with the one text \"2\"")]
    Version,
    #[error("the member at `{0}` has several PTR records")]
    Several(DisplayName),
    #[error("the zone `{0}` is listed twice")]
    Twice(DisplayName),
}

/// The origins of a catalog's members.
pub(crate) fn members(catalog: &StaticZone) -> Result<Vec<WireName>, CatalogError> {
    let under = |label: &[u8]| [label, catalog.origin()].concat();
    let version = catalog.get(&under(b"\x07version"));
    let version = version.and_then(|node| node.rrset(RType::TXT));
    let mut texts = version.into_iter().flat_map(|set| set.data());
    match (texts.next(), texts.next()) {
        (Some((_, VERSION)), None) => {}
        _ => return Err(CatalogError::Version),
    }
    let zones = under(b"\x05zones");
    let mut members = Vec::new();
    let mut seen = BTreeSet::new();
    for node in catalog.nodes() {
        if parent_of(node.name()) != Some(&zones) {
            continue;
        }
        let Some(set) = node.rrset(RType::PTR) else {
            continue;
        };
        let mut data = set.data();
        let (Some((_, origin)), None) = (data.next(), data.next()) else {
            return Err(CatalogError::Several(DisplayName(node.name().into())));
        };
        let origin: WireName = origin.to_ascii_lowercase().into();
        if !seen.insert(origin.clone()) {
            return Err(CatalogError::Twice(DisplayName(origin)));
        }
        members.push(origin);
    }
    Ok(members)
}

#[cfg(test)]
mod tests;
