//! What policies and client groups name when they say *where*: one small language.
//!
//! `EU` · `EEA` · `continent:europe` · `DE` (an ISO 3166-1 code, either case) · `asn:64500` ·
//! `provider:aws` · `group:office`. Two letters are always a country, except that `EU` is the
//! Union: ISO reserves that code for exactly this use.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::country::{Continent, Country, CountryCode};
use crate::door::suggest;
use crate::ids::{GroupId, IdError, ProviderId};

/// A set of clients by where they are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Place {
    /// The European Union.
    Eu,
    /// The European Economic Area.
    Eea,
    /// A continent.
    Continent(Continent),
    /// A country.
    Country(CountryCode),
    /// An autonomous system.
    Asn(u32),
    /// A network of a provider.
    Provider(ProviderId),
    /// A client group of the topology.
    Group(GroupId),
}

/// Why a text is not a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// Neither a known word nor a country code nor a known prefix.
    #[error(
        "`{text}` is not a place: write EU, EEA, a country code (DE), continent:NAME, asn:NUMBER, \
         provider:NAME or group:NAME"
    )]
    Unknown {
        /// The text as written.
        text: String,
        /// The closest known place.
        suggestion: Option<String>,
    },
    /// Two letters that no country has.
    #[error("there is no country `{code}`")]
    NoSuchCountry {
        /// The code as written.
        code: String,
        /// The closest known country.
        suggestion: Option<String>,
    },
    /// A continent that does not exist.
    #[error("there is no continent `{name}`")]
    NoSuchContinent {
        /// The name as written.
        name: String,
        /// The closest known continent.
        suggestion: Option<String>,
    },
    /// Not a number of 32 bits.
    #[error("`{text}` is not an autonomous system number")]
    Asn {
        /// The text after `asn:`.
        text: String,
    },
    /// A bad name after `provider:` or `group:`.
    #[error(transparent)]
    Id(#[from] IdError),
}

impl PlaceError {
    /// What to write instead, when that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        let (Self::Unknown { suggestion, .. }
        | Self::NoSuchCountry { suggestion, .. }
        | Self::NoSuchContinent { suggestion, .. }) = self
        else {
            return None;
        };
        suggestion
            .as_ref()
            .map(|found| format!("did you mean `{found}`?"))
    }
}

impl Place {
    /// Reads a place; the same as [`FromStr`].
    pub fn parse(text: &str) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        match text.split_once(':') {
            Some(("continent", name)) => continent(name),
            Some(("asn", number)) => number.parse().map(Self::Asn).map_err(|_| PlaceError::Asn {
                text: number.to_owned(),
            }),
            Some(("provider", name)) => Ok(Self::Provider(name.parse()?)),
            Some(("group", name)) => Ok(Self::Group(name.parse()?)),
            Some((prefix, rest)) => Err(PlaceError::Unknown {
                text: text.to_owned(),
                suggestion: suggest::closest(prefix, ["continent", "asn", "provider", "group"])
                    .map(|found| format!("{found}:{rest}")),
            }),
            None => word(text),
        }
    }
}

fn continent(name: &str) -> Result<Place, PlaceError> {
    Continent::find(name)
        .map(Place::Continent)
        .ok_or_else(|| PlaceError::NoSuchContinent {
            name: name.to_owned(),
            suggestion: suggest::closest(name, Continent::ALL.iter().map(|c| c.name()))
                .map(|found| format!("continent:{found}")),
        })
}

fn word(text: &str) -> Result<Place, PlaceError> {
    match text {
        "EU" | "eu" => return Ok(Place::Eu),
        "EEA" | "eea" => return Ok(Place::Eea),
        _ => {}
    }
    let Ok(code) = text.parse::<CountryCode>() else {
        return Err(PlaceError::Unknown {
            text: text.to_owned(),
            suggestion: named_place(text),
        });
    };
    if code.country().is_none() {
        return Err(PlaceError::NoSuchCountry {
            code: text.to_owned(),
            suggestion: match code.as_str() {
                "UK" => Some("GB".to_owned()),
                _ => None,
            },
        });
    }
    Ok(Place::Country(code))
}

/// `Germany` → `DE`, `europe` → `continent:europe`, `germny` → `DE`.
fn named_place(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    if let Some(name) = suggest::closest(&lower, Continent::ALL.iter().map(|c| c.name())) {
        return Some(format!("continent:{name}"));
    }
    let names: Vec<(String, CountryCode)> = Country::all()
        .iter()
        .map(|country| (country.name.to_lowercase(), country.code))
        .collect();
    let found = suggest::closest(&lower, names.iter().map(|(name, _)| name.as_str()))?;
    names
        .iter()
        .find(|(name, _)| name == found)
        .map(|(_, code)| code.to_string())
}

impl TryFrom<String> for Place {
    type Error = PlaceError;

    fn try_from(text: String) -> Result<Self, PlaceError> {
        text.parse()
    }
}

impl From<Place> for String {
    fn from(place: Place) -> Self {
        place.to_string()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Eu => f.write_str("EU"),
            Self::Eea => f.write_str("EEA"),
            Self::Continent(continent) => write!(f, "continent:{continent}"),
            Self::Country(code) => code.fmt(f),
            Self::Asn(number) => write!(f, "asn:{number}"),
            Self::Provider(name) => write!(f, "provider:{name}"),
            Self::Group(name) => write!(f, "group:{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
