//! What a route asks of a request beside host, path and method, and of whom it serves.

use std::net::IpAddr;

use meridian_topology::{ClientRules, Condition};

use crate::affinity::cookie;
use crate::fields::Fields;

/// Whether a request has all that is asked for. `target` is its path and query.
pub(crate) fn meets<F: Fields + ?Sized>(
    conditions: &[Condition],
    fields: &F,
    target: &str,
) -> bool {
    let is = |wanted: &Option<String>, found: &[u8]| {
        wanted
            .as_ref()
            .is_none_or(|wanted| wanted.as_bytes() == found)
    };
    conditions.iter().all(|condition| match condition {
        Condition::Header(name, value) => {
            let mut values = fields.values(name.as_str());
            values.any(|found| is(value, found))
        }
        Condition::Cookie(name, value) => {
            cookie(fields, name.as_str()).is_some_and(|found| is(value, found))
        }
        Condition::Query(name, value) => {
            let query = target.split_once('?').map_or("", |(_, query)| query);
            let mut pairs = query
                .split('&')
                .map(|pair| pair.split_once('=').unwrap_or((pair, "")));
            pairs.any(|(found, with)| found == name && is(value, with.as_bytes()))
        }
    })
}

/// Whether a client is served.
pub(crate) fn serves(rules: &ClientRules, client: IpAddr) -> bool {
    let among =
        |networks: &[ipnet::IpNet]| networks.iter().any(|network| network.contains(&client));
    !among(&rules.deny) && (rules.allow.is_empty() || among(&rules.allow))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn condition(text: &str) -> Condition {
        let (kind, rest) = text.split_once(' ').unwrap();
        let (name, value) = match rest.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (rest, None),
        };
        match kind {
            "header" => Condition::Header(name.parse().unwrap(), value),
            "cookie" => Condition::Cookie(name.parse().unwrap(), value),
            _ => Condition::Query(name.to_owned(), value),
        }
    }

    #[test]
    fn all_must_be_there() {
        let fields = [
            ("X-Beta", "1"),
            ("Cookie", "a=b; Beta=yes"),
            ("x-beta", "2"),
        ];
        let fields = fields.map(|(name, value)| httparse::Header {
            name,
            value: value.as_bytes(),
        });
        for (conditions, expected) in [
            (&["header x-beta"][..], true),
            (&["header x-beta=2"], true),
            (&["header x-beta=3"], false),
            (&["header x-none"], false),
            (&["cookie beta=yes"], true),
            (&["cookie beta=no"], false),
            (&["query v=2"], true),
            (&["query v"], true),
            (&["query flag="], true),
            (&["query flag"], true),
            (&["query w"], false),
            (&["query v=2", "header x-beta=1", "cookie a=b"], true),
            (&["query v=2", "header x-beta=1", "cookie a=c"], false),
        ] {
            let conditions: Vec<_> = conditions.iter().map(|text| condition(text)).collect();
            let met = meets(&conditions, &fields[..], "/path?u=1&v=2&flag");
            assert_eq!(met, expected, "{conditions:?}");
        }
    }

    #[test]
    fn denied_is_denied() {
        let rules = |allow: &[&str], deny: &[&str]| ClientRules {
            allow: allow.iter().map(|net| net.parse().unwrap()).collect(),
            deny: deny.iter().map(|net| net.parse().unwrap()).collect(),
        };
        let client = "192.0.2.1".parse().unwrap();
        assert!(serves(&rules(&[], &[]), client));
        assert!(serves(&rules(&["192.0.2.0/24"], &[]), client));
        assert!(!serves(&rules(&["198.51.100.0/24"], &[]), client));
        assert!(!serves(&rules(&[], &["192.0.2.1/32"]), client));
        assert!(!serves(
            &rules(&["192.0.2.0/24"], &["192.0.2.1/32"]),
            client
        ));
    }
}
