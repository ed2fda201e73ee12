//! Countries by ISO 3166-1 code: continent, membership of EU and EEA, and a point to measure
//! distance from when nothing better is known of a client.
//!
//! The facts are those of the `keshvar` crate, copied once into a table sorted by code, because
//! the crate builds a large value at each look-up and class tables ask thousands of times.
//! A [`CountryCode`] may name a country that the table does not know (registries hand out `EU`
//! and `AP`); [`Country::find`] then says `None`.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::geo::Coordinates;

/// Why a text is not a country code.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a country code: two letters of ISO 3166-1, such as DE or US")]
pub struct CountryCodeError {
    /// The text as written.
    pub text: String,
}

/// Two upper-case letters of ISO 3166-1 alpha-2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CountryCode([u8; 2]);

impl CountryCode {
    /// The code as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("the constructor admits ASCII letters only")
    }

    /// What is known of the country.
    #[must_use]
    pub fn country(self) -> Option<&'static Country> {
        Country::find(self)
    }
}

impl FromStr for CountryCode {
    type Err = CountryCodeError;

    /// Accepts either case: `de` is Germany as well.
    fn from_str(text: &str) -> Result<Self, CountryCodeError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            _ => Err(CountryCodeError {
                text: text.to_owned(),
            }),
        }
    }
}

impl TryFrom<String> for CountryCode {
    type Error = CountryCodeError;

    fn try_from(text: String) -> Result<Self, CountryCodeError> {
        text.parse()
    }
}

impl From<CountryCode> for String {
    fn from(code: CountryCode) -> Self {
        code.as_str().to_owned()
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CountryCode({})", self.as_str())
    }
}

macro_rules! continents {
    ($($(#[$doc:meta])* $variant:ident = $name:literal;)*) => {
        /// One of seven continents.
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        pub enum Continent {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Continent {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name as configuration writes it.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }
        }
    };
}

continents! {
    /// Africa.
    Africa = "africa";
    /// Antarctica.
    Antarctica = "antarctica";
    /// Asia.
    Asia = "asia";
    /// Europe.
    Europe = "europe";
    /// North America with Central America and the Caribbean.
    NorthAmerica = "north-america";
    /// Australia, New Zealand and the Pacific islands.
    Oceania = "oceania";
    /// South America.
    SouthAmerica = "south-america";
}

impl Continent {
    /// The continent of a name.
    #[must_use]
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|c| c.name() == name)
    }
}

impl fmt::Display for Continent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What is known of a country.
#[derive(Debug, Clone, PartialEq)]
pub struct Country {
    /// Its code.
    pub code: CountryCode,
    /// Its short English name.
    pub name: &'static str,
    /// Where it lies.
    pub continent: Continent,
    /// Member of the European Union, or one of its territories with a code of their own in which
    /// its law applies (Åland, French Guiana and the like).
    pub eu: bool,
    /// Member of the European Economic Area (the EU, Iceland, Liechtenstein and Norway).
    pub eea: bool,
    /// A point in its middle.
    pub centroid: Coordinates,
}

static COUNTRIES: LazyLock<Vec<Country>> = LazyLock::new(|| {
    let mut countries: Vec<Country> = keshvar::SUPPORTED_ALPHA2_LIST
        .iter()
        .filter_map(|alpha2| read(&alpha2.to_country()))
        .collect();
    countries.sort_by_key(|country| country.code);
    countries
});

fn read(country: &keshvar::Country) -> Option<Country> {
    let geo = country.geo();
    // The crate marks EEA membership beside the EU for some members only.
    let eu = country.eu_member();
    Some(Country {
        code: country.alpha2().to_string().parse().ok()?,
        name: country.iso_short_name(),
        continent: match country.continent() {
            keshvar::Continent::Africa => Continent::Africa,
            keshvar::Continent::Antarctica => Continent::Antarctica,
            keshvar::Continent::Asia => Continent::Asia,
            keshvar::Continent::Australia => Continent::Oceania,
            keshvar::Continent::Europe => Continent::Europe,
            keshvar::Continent::NorthAmerica => Continent::NorthAmerica,
            keshvar::Continent::SouthAmerica => Continent::SouthAmerica,
        },
        eu,
        eea: eu || country.eea_member(),
        centroid: Coordinates::new(geo.latitude(), geo.longitude()).ok()?,
    })
}

impl Country {
    /// All countries, sorted by code.
    #[must_use]
    pub fn all() -> &'static [Self] {
        &COUNTRIES
    }

    /// The country of a code.
    #[must_use]
    pub fn find(code: CountryCode) -> Option<&'static Self> {
        let all = Self::all();
        let at = all
            .binary_search_by_key(&code, |country| country.code)
            .ok()?;
        all.get(at)
    }
}

#[cfg(test)]
mod tests;
