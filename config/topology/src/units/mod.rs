//! Quantities with their unit in the type, and the text that YAML writes them as.
//!
//! A number without a unit is refused wherever a unit exists: `timeout: 300` does not say of
//! what. The serde form of these types (world replay, JSON output) is the bare number in the unit
//! that the type's name says; the YAML form is read by [`FromStr`] and written by `Display`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

mod parse;

pub use parse::UnitError;
use parse::{Scale, finite, scaled, split_number};

/// The longest duration that configuration may name: one leap year.
pub const MAX_MILLIS: u64 = 366 * 24 * 60 * 60 * 1_000;
/// The longest DNS time to live: a week. RFC 8767 section 4 caps cached data there too.
pub const MAX_TTL_SECONDS: u32 = 7 * 24 * 60 * 60;
/// The largest [`Weight`].
pub const MAX_WEIGHT: u16 = 10_000;

const DURATIONS: &[Scale] = &[
    ("ms", 1.0),
    ("s", 1e3),
    ("m", 6e4),
    ("h", 3.6e6),
    ("d", 8.64e7),
];
const BYTES: &[Scale] = &[
    ("B", 1.0),
    ("kB", 1e3),
    ("KB", 1e3),
    ("MB", 1e6),
    ("GB", 1e9),
    ("TB", 1e12),
    ("KiB", 1024.0),
    ("MiB", 1_048_576.0),
    ("GiB", 1_073_741_824.0),
    ("TiB", 1_099_511_627_776.0),
];
const BIT_RATES: &[Scale] = &[
    ("bps", 1.0),
    ("kbps", 1e3),
    ("Mbps", 1e6),
    ("Gbps", 1e9),
    ("Tbps", 1e12),
];
const REQUEST_RATES: &[Scale] = &[("rps", 1.0), ("krps", 1e3), ("Mrps", 1e6)];
const EGRESS_PRICES: &[Scale] = &[("USD/GiB", 1.0), ("USD/TiB", 1.0 / 1024.0)];
const REQUEST_PRICES: &[Scale] = &[
    ("USD/M requests", 1.0),
    ("USD/k requests", 1e3),
    ("USD/request", 1e6),
];

/// A span of time in milliseconds, at most [`MAX_MILLIS`]. YAML: `"250ms"`, `"5s"`, `"1.5m"`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The span as the standard library's type.
    #[must_use]
    pub const fn as_duration(self) -> Duration {
        Duration::from_millis(self.0)
    }

    /// `count` times this span; saturates instead of wrapping.
    #[must_use]
    pub const fn times(self, count: u64) -> Self {
        Self(self.0.saturating_mul(count))
    }
}

impl FromStr for Millis {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let value = scaled(text, DURATIONS, "a duration such as \"250ms\" or \"5s\"")?;
        Ok(Self(whole(text, value, MAX_MILLIS, "366d")?))
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0ms"),
            n if n % 86_400_000 == 0 => write!(f, "{}d", n / 86_400_000),
            n if n % 3_600_000 == 0 => write!(f, "{}h", n / 3_600_000),
            n if n % 60_000 == 0 => write!(f, "{}m", n / 60_000),
            n if n % 1_000 == 0 => write!(f, "{}s", n / 1_000),
            n => write!(f, "{n}ms"),
        }
    }
}

/// A DNS time to live in whole seconds, at most [`MAX_TTL_SECONDS`]. YAML: `"30s"`, `"5m"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ttl(pub u32);

impl FromStr for Ttl {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let value = scaled(text, &DURATIONS[1..], "a time to live such as \"30s\"")?;
        let seconds = whole(text, value / 1e3, u64::from(MAX_TTL_SECONDS), "7d")?;
        // `whole` refused everything above MAX_TTL_SECONDS, which is a u32.
        Ok(Self(u32::try_from(seconds).unwrap_or(MAX_TTL_SECONDS)))
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Millis(u64::from(self.0) * 1_000).fmt(f)
    }
}

/// A bit rate. YAML: `"10Gbps"` (decimal prefixes, as network hardware is sold).
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BitsPerSecond(pub u64);

impl FromStr for BitsPerSecond {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let value = scaled(text, BIT_RATES, "a bit rate such as \"10Gbps\"")?;
        Ok(Self(whole(text, value, 1_000_000_000_000_000, "1000Tbps")?))
    }
}

impl fmt::Display for BitsPerSecond {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("0bps"),
            n if n % 1_000_000_000 == 0 => write!(f, "{}Gbps", n / 1_000_000_000),
            n if n % 1_000_000 == 0 => write!(f, "{}Mbps", n / 1_000_000),
            n if n % 1_000 == 0 => write!(f, "{}kbps", n / 1_000),
            n => write!(f, "{n}bps"),
        }
    }
}

/// How many bytes something has. YAML: `"64KiB"`, `"10MB"` or a number of bytes.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct ByteCount(pub u64);

impl FromStr for ByteCount {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a number of bytes such as \"64KiB\" or \"10MB\"";
        if let Ok(bytes) = text.parse() {
            return Ok(Self(bytes));
        }
        let value = scaled(text, BYTES, expected)?;
        Ok(Self(whole(text, value, 1 << 50, "1024TiB")?))
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            n if n > 0 && n % (1 << 30) == 0 => write!(f, "{}GiB", n >> 30),
            n if n > 0 && n % (1 << 20) == 0 => write!(f, "{}MiB", n >> 20),
            n if n > 0 && n % (1 << 10) == 0 => write!(f, "{}KiB", n >> 10),
            n => write!(f, "{n}B"),
        }
    }
}

/// A share between 0 and 1. YAML: `"5%"` or `0.05`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Ratio(f64);

impl Ratio {
    /// Nothing.
    pub const ZERO: Self = Self(0.0);
    /// Everything.
    pub const ONE: Self = Self(1.0);

    /// A share; refuses what is not between 0 and 1.
    pub fn new(value: f64) -> Result<Self, UnitError> {
        if (0.0..=1.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(UnitError::Range {
                text: value.to_string(),
                low: "0".to_owned(),
                high: "1 (100%)".to_owned(),
            })
        }
    }

    /// The share as a number between 0 and 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Ratio {
    type Error = UnitError;

    fn try_from(value: f64) -> Result<Self, UnitError> {
        Self::new(value)
    }
}

impl From<Ratio> for f64 {
    fn from(ratio: Ratio) -> Self {
        ratio.0
    }
}

impl FromStr for Ratio {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let expected = "a share such as \"5%\" or 0.05";
        let (number, unit) = split_number(text, expected)?;
        let value = match unit {
            "" => number,
            "%" => number / 100.0,
            _ => return Err(UnitError::unknown(text, unit, &["%"], expected)),
        };
        Self::new(value).map_err(|_| UnitError::Range {
            text: text.to_owned(),
            low: "0".to_owned(),
            high: "1 (100%)".to_owned(),
        })
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Six decimals of a percent: below any share that a policy could mean, above the noise.
        let percent = (self.0 * 1e8).round() / 1e6;
        write!(f, "{percent}%")
    }
}

/// How large a part of its pool's clients an endpoint takes, 0 to [`MAX_WEIGHT`].
/// Zero takes no new clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Weight(pub u16);

impl Default for Weight {
    fn default() -> Self {
        Self(100)
    }
}

impl FromStr for Weight {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        text.parse::<u16>()
            .ok()
            .filter(|weight| *weight <= MAX_WEIGHT)
            .map(Self)
            .ok_or_else(|| UnitError::Range {
                text: text.to_owned(),
                low: "0".to_owned(),
                high: format!("{MAX_WEIGHT} (a whole number)"),
            })
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! float_units {
    ($($(#[$doc:meta])* $name:ident: $scales:ident, $unit:literal, $expected:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(try_from = "f64", into = "f64")]
        pub struct $name(f64);

        impl $name {
            /// A quantity; refuses what is negative or not finite.
            pub fn new(value: f64) -> Result<Self, UnitError> {
                finite(value).map(Self)
            }

            #[doc = concat!("The number of ", $unit, ".")]
            #[must_use]
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = UnitError;

            fn try_from(value: f64) -> Result<Self, UnitError> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(quantity: $name) -> Self {
                quantity.0
            }
        }

        impl FromStr for $name {
            type Err = UnitError;

            fn from_str(text: &str) -> Result<Self, UnitError> {
                Self::new(scaled(text, $scales, $expected)?)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    )*};
}

float_units! {
    /// The price of a gibibyte sent to clients. YAML: `"0.09 USD/GiB"`.
    UsdPerGib: EGRESS_PRICES, "USD/GiB", "a price such as \"0.09 USD/GiB\"";
    /// The price of a million requests. YAML: `"0.40 USD/M requests"`.
    UsdPerMillionRequests: REQUEST_PRICES, "USD/M requests",
        "a price such as \"0.40 USD/M requests\"";
    /// Requests per second. YAML: `"2000 rps"`.
    RequestsPerSecond: REQUEST_RATES, "rps", "a request rate such as \"2000 rps\"";
}

/// Rounds to a whole number of the base unit, within a bound.
fn whole(text: &str, value: f64, max: u64, max_text: &str) -> Result<u64, UnitError> {
    #[expect(
        clippy::cast_precision_loss,
        reason = "the bounds are far below 2^53, where f64 is exact"
    )]
    let high = max as f64;
    if !(0.0..=high).contains(&value) {
        return Err(UnitError::Range {
            text: text.to_owned(),
            low: "0".to_owned(),
            high: max_text.to_owned(),
        });
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to lie between 0 and the bound"
    )]
    let rounded = value.round() as u64;
    if value > 0.0 && rounded == 0 {
        return Err(UnitError::TooFine {
            text: text.to_owned(),
        });
    }
    Ok(rounded)
}

#[cfg(test)]
mod tests;
