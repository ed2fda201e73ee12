//! Scalars of topologies that are more than an id or a quantity.

use crate::door::{Mistake, Scalar};
use crate::model::{DnsName, DnsNameError, HostPattern, RecordKind, StatusRange};
use crate::rdata::{rtype_from_text, rtype_names};

impl Scalar for DnsName {
    fn read(text: &str) -> Result<Self, Mistake> {
        text.parse().map_err(|error| dns_mistake(text, &error))
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["www.example.com"] })
    }
}

fn dns_mistake(text: &str, error: &DnsNameError) -> Mistake {
    let mistake = Mistake::new(error.to_string());
    if text.contains('@') {
        // A mailbox in a start of authority (RFC 1035 section 8).
        let name = text.replace('@', ".");
        return mistake.help(format!("write the `@` as a dot: `{name}`"));
    }
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return mistake.help(format!("write the name alone: `{host}`"));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
    {
        return mistake.help(format!("write the name without a port: `{host}`"));
    }
    mistake
}

impl Scalar for RecordKind {
    fn read(text: &str) -> Result<Self, Mistake> {
        rtype_from_text(text).map(Self).ok_or_else(|| {
            let known: Vec<&str> = rtype_names().collect();
            Mistake::unknown_word("record type", text, &known)
        })
    }

    fn schema() -> schemars::Schema {
        let known: Vec<&str> = rtype_names().collect();
        schemars::json_schema!({
            "type": "string",
            "anyOf": [
                { "enum": known },
                { "pattern": "^TYPE[0-9]{1,5}$" }
            ],
            "examples": ["A", "SRV", "TYPE65280"]
        })
    }
}

impl Scalar for HostPattern {
    fn read(text: &str) -> Result<Self, Mistake> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let name = DnsName::read(text)?;
        let Some(rest) = name.as_str().strip_prefix("*.") else {
            return Ok(Self::Exact(name));
        };
        DnsName::read(rest).map(Self::Suffix)
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "examples": ["shop.example.com", "*.example.com", "*"]
        })
    }
}

impl Scalar for StatusRange {
    /// `200`, `200-299` or `2xx`.
    fn read(text: &str) -> Result<Self, Mistake> {
        let wrong = || {
            Mistake::new(format!("`{text}` is not a status or a range of statuses"))
                .help("for example `200`, `200-299` or `2xx` (100 to 599)")
        };
        let (first, last) = match text.strip_suffix("xx") {
            Some(class) => {
                let class: u16 = class.parse().map_err(|_| wrong())?;
                (
                    class.saturating_mul(100),
                    class.saturating_mul(100).saturating_add(99),
                )
            }
            None => {
                let (first, last) = text.split_once('-').unwrap_or((text, text));
                let number = |part: &str| part.trim().parse::<u16>().map_err(|_| wrong());
                (number(first)?, number(last)?)
            }
        };
        if first < 100 || last > 599 || first > last {
            return Err(wrong());
        }
        Ok(Self { first, last })
    }

    fn schema() -> schemars::Schema {
        schemars::json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 100, "maximum": 599 },
                { "type": "string", "pattern": "^([1-5]xx|[1-5][0-9]{2}(-[1-5][0-9]{2})?)$" }
            ],
            "examples": [200, "200-299", "2xx"]
        })
    }
}
