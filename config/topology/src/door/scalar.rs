//! Scalars: what one YAML value may say, and what to answer when it says something else.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::IpNet;

use crate::country::CountryCode;
use crate::ids::{
    EndpointId, GroupId, IdError, Label, NodeId, PolicyId, ProviderId, RegionId, ServiceId, ZoneId,
};
use crate::place::Place;
use crate::units::{
    BitsPerSecond, ByteCount, Millis, Ratio, RequestsPerSecond, Ttl, UnitError, UsdPerGib,
    UsdPerMillionRequests, Weight,
};

use super::suggest;

/// What is wrong with a scalar, and what to write instead if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// One sentence without a full stop.
    pub message: String,
    /// The remedy.
    pub help: Option<String>,
}

impl Mistake {
    /// A mistake without a known remedy.
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// Adds the remedy.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// A word that is none of the known ones; suggests the closest, or lists them.
    #[must_use]
    pub fn unknown_word(what: &str, text: &str, known: &[&str]) -> Self {
        let mistake = Self::new(format!("`{text}` is not a known {what}"));
        match suggest::closest(text, known.iter().copied()) {
            Some(found) => mistake.help(format!("did you mean `{found}`?")),
            None => mistake.help(format!("one of: {}", known.join(", "))),
        }
    }
}

/// A type that one YAML scalar can be read as. Implementations are total: they say what is wrong
/// instead of failing the parse.
pub trait Scalar: Sized {
    /// Reads the scalar's text, quotes and escapes already removed.
    fn read(text: &str) -> Result<Self, Mistake>;

    /// The JSON Schema that editors complete and check with.
    fn schema() -> schemars::Schema;
}

/// A schema of type string with an example.
fn text_schema(example: &str) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "examples": [example] })
}

impl Scalar for String {
    fn read(text: &str) -> Result<Self, Mistake> {
        Ok(text.to_owned())
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string" })
    }
}

impl Scalar for bool {
    /// YAML 1.2 booleans only: `yes`, `no`, `on` and `off` are words.
    fn read(text: &str) -> Result<Self, Mistake> {
        match text {
            "true" => Ok(true),
            "false" => Ok(false),
            "yes" | "on" | "True" | "TRUE" | "Yes" | "On" => {
                Err(Mistake::new(format!("`{text}` is not true or false"))
                    .help("did you mean `true`?"))
            }
            "no" | "off" | "False" | "FALSE" | "No" | "Off" => {
                Err(Mistake::new(format!("`{text}` is not true or false"))
                    .help("did you mean `false`?"))
            }
            _ => Err(Mistake::new(format!("`{text}` is not true or false"))),
        }
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "boolean" })
    }
}

impl Scalar for f64 {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse::<Self>()
            .ok()
            .filter(|number| number.is_finite())
            .ok_or_else(|| Mistake::new(format!("`{text}` is not a number")))
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "number" })
    }
}

macro_rules! whole_numbers {
    ($($int:ty),*) => {$(
        impl Scalar for $int {
            fn read(text: &str) -> Result<Self, Mistake> {
                text.parse().map_err(|_| {
                    Mistake::new(format!(
                        "`{text}` is not a whole number from {} to {}", Self::MIN, Self::MAX,
                    ))
                })
            }

            fn schema() -> schemars::Schema {
                schemars::json_schema!({
                    "type": "integer", "minimum": Self::MIN, "maximum": Self::MAX
                })
            }
        }
    )*};
}
whole_numbers!(u8, u16, u32);

macro_rules! addresses {
    ($($name:ty: $what:literal, $example:literal;)*) => {$(
        impl Scalar for $name {
            fn read(text: &str) -> Result<Self, Mistake> {
                text.parse().map_err(|_| {
                    Mistake::new(format!(concat!("`{}` is not ", $what), text))
                        .help(concat!("for example `", $example, "`"))
                })
            }

            fn schema() -> schemars::Schema {
                text_schema($example)
            }
        }
    )*};
}
addresses! {
    IpAddr: "an IP address", "192.0.2.10";
    Ipv4Addr: "an IPv4 address", "192.0.2.10";
    Ipv6Addr: "an IPv6 address", "2001:db8::10";
    SocketAddr: "an address with a port", "127.0.0.1:8080";
}

impl Scalar for IpNet {
    fn read(text: &str) -> Result<Self, Mistake> {
        let net: Self = text.parse().map_err(|_| {
            Mistake::new(format!("`{text}` is not a network in CIDR notation"))
                .help("for example `192.0.2.0/24` or `2001:db8::/32`")
        })?;
        if net.trunc() != net {
            return Err(
                Mistake::new(format!("`{text}` has address bits beyond its prefix"))
                    .help(format!("did you mean `{}`?", net.trunc())),
            );
        }
        Ok(net)
    }

    fn schema() -> schemars::Schema {
        text_schema("192.0.2.0/24")
    }
}

impl From<UnitError> for Mistake {
    fn from(error: UnitError) -> Self {
        Self {
            help: error.help(),
            message: error.to_string(),
        }
    }
}

macro_rules! units {
    ($($name:ty: $example:literal;)*) => {$(
        impl Scalar for $name {
            fn read(text: &str) -> Result<Self, Mistake> {
                text.parse().map_err(Mistake::from)
            }

            fn schema() -> schemars::Schema {
                text_schema($example)
            }
        }
    )*};
}
units! {
    Millis: "500ms";
    Ttl: "30s";
    BitsPerSecond: "10Gbps";
    ByteCount: "64KiB";
    UsdPerGib: "0.09 USD/GiB";
    UsdPerMillionRequests: "0.40 USD/M requests";
    RequestsPerSecond: "2000 rps";
}

impl Scalar for Ratio {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse().map_err(Mistake::from)
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "number", "minimum": 0, "maximum": 1 },
                { "type": "string", "pattern": "^[0-9.]+%$" }
            ],
            "examples": ["5%", 0.05]
        })
    }
}

impl Scalar for Weight {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse().map_err(Mistake::from)
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({
            "type": "integer", "minimum": 0, "maximum": crate::units::MAX_WEIGHT
        })
    }
}

fn id_mistake(what: &str, text: &str, error: &IdError) -> Mistake {
    let mistake = Mistake::new(format!("`{text}` is not a {what} id: {error}"));
    let lower: String = text
        .to_lowercase()
        .chars()
        .map(|c| if matches!(c, ' ' | '/' | ':') { '-' } else { c })
        .collect();
    if lower != text && lower.parse::<RegionId>().is_ok() {
        return mistake.help(format!("did you mean `{lower}`?"));
    }
    mistake
}

macro_rules! ids {
    ($($name:ty),*) => {$(
        impl Scalar for $name {
            fn read(text: &str) -> Result<Self, Mistake> {
                text.parse().map_err(|error| id_mistake(Self::WHAT, text, &error))
            }

            fn schema() -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": "^[a-z0-9][a-z0-9._-]{0,62}$"
                })
            }
        }
    )*};
}
ids!(
    RegionId, ZoneId, EndpointId, ServiceId, NodeId, PolicyId, ProviderId, GroupId, Label
);

impl Scalar for CountryCode {
    /// A code that is in the country table; case does not matter.
    fn read(text: &str) -> Result<Self, Mistake> {
        match text.parse::<Place>() {
            Ok(Place::Country(code)) => Ok(code),
            Ok(other) => Err(Mistake::new(format!("`{other}` is not one country"))),
            Err(error) => {
                let mistake = Mistake::new(format!(
                    "`{text}` is not a country code of ISO 3166-1, such as DE or US"
                ));
                Err(match error.help().filter(|help| !help.contains(':')) {
                    Some(help) => mistake.help(help),
                    None => mistake,
                })
            }
        }
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z]{2}$", "examples": ["DE"] })
    }
}

impl Scalar for Place {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse()
            .map_err(|error: crate::place::PlaceError| Mistake {
                message: error.to_string(),
                help: error.help(),
            })
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "examples": ["EU", "EEA", "DE", "continent:europe", "asn:64500", "group:office"]
        })
    }
}
