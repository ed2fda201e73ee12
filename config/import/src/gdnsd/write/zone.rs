//! Zones of the topology: start of authority, name servers and static records.

use std::fmt::Write as _;

use crate::gdnsd::zonefile::{Record, Word, ZoneText};
use crate::note::Notes;
use crate::yaml;

pub(super) fn all(out: &mut String, zones: &[ZoneText], notes: &mut Notes) {
    if zones.is_empty() {
        return;
    }
    out.push_str("dns_zones:\n");
    for zone in zones {
        one(out, zone, notes);
    }
}

fn one(out: &mut String, zone: &ZoneText, notes: &mut Notes) {
    let Some(soa) = zone.apex("SOA").next() else {
        notes.none(
            &zone.at,
            format!("zone {} has no SOA and is left out", zone.name),
        );
        return;
    };
    let word = |at: usize| soa.data.get(at).map_or("", |word| word.text.as_str());
    let servers: Vec<&Record> = zone.apex("NS").collect();
    if let Some(server) = servers.iter().find(|server| server.ttl != soa.ttl) {
        notes.check(
            &server.at,
            format!("{}: SOA and NS have one TTL here, {} s", zone.name, soa.ttl),
        );
    }
    let names = servers.iter().filter_map(|server| server.data.first());
    let _ = write!(
        out,
        "  - origin: {}\n    ttl: {}s\n    soa: {{ mname: {}, rname: {}, serial: {}, refresh: {}s, retry: {}s, expire: {}s, minimum: {}s }}\n    ns: {}\n",
        yaml::text(&zone.name),
        soa.ttl,
        yaml::text(without_dot(word(0))),
        yaml::text(without_dot(word(1))),
        word(2),
        word(3),
        word(4),
        word(5),
        word(6),
        yaml::list(names.map(|name| without_dot(&name.text))),
    );
    let others = zone.records.iter().filter(|record| {
        !(record.owner == zone.name && matches!(record.rtype.as_str(), "SOA" | "NS"))
    });
    let mut lines: Vec<String> = Vec::new();
    for record in others {
        lines.push(line(record, zone, notes));
    }
    if !lines.is_empty() {
        out.push_str("    records:\n");
        out.push_str(&lines.concat());
    }
    notes.converted(
        &zone.at,
        format!(
            "zone {}: {} static records, {} dynamic",
            zone.name,
            zone.records.len(),
            zone.dynamic.len()
        ),
    );
}

fn line(record: &Record, zone: &ZoneText, notes: &mut Notes) -> String {
    let owner = match record.owner.strip_suffix(&zone.name) {
        Some("") => "@",
        Some(rest) => rest.trim_end_matches('.'),
        None => &record.owner,
    };
    if record.rtype == "TXT" && record.data.len() > 1 {
        notes.check(
            &record.at,
            format!(
                "{}: the strings of this TXT record are joined; readers take them together anyway",
                record.owner
            ),
        );
    }
    format!(
        "      - {{ name: {}, type: {}, ttl: {}s, data: {} }}\n",
        yaml::text(owner),
        yaml::text(&record.rtype),
        record.ttl,
        yaml::text(&data(&record.rtype, &record.data)),
    )
}

/// Data as our records write it: names without the final dot, texts as they are.
fn data(rtype: &str, words: &[Word]) -> String {
    match rtype {
        "TXT" => words.iter().map(|word| unescaped(&word.text)).collect(),
        "NS" | "CNAME" | "PTR" | "MX" => {
            let words: Vec<&str> = words.iter().map(|word| without_dot(&word.text)).collect();
            words.join(" ")
        }
        // Standard text for every other type; quotes stay.
        _ => {
            let words: Vec<String> = words
                .iter()
                .map(|word| {
                    if word.quoted {
                        format!("\"{}\"", word.text)
                    } else {
                        word.text.clone()
                    }
                })
                .collect();
            words.join(" ")
        }
    }
}

fn without_dot(name: &str) -> &str {
    match name.strip_suffix('.') {
        Some("") | None => name,
        Some(rest) => rest,
    }
}

/// `\"` and `\DDD` as the character they stand for.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first != b'\\' {
            bytes.push(*first);
            continue;
        }
        let digits = rest
            .get(..3)
            .filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let number = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u8>().ok());
        if let Some(number) = number {
            bytes.push(number);
            rest = &rest[3..];
        } else if let Some((next, behind)) = rest.split_first() {
            bytes.push(*next);
            rest = behind;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
