//! DNS zones and their static records.

use std::collections::BTreeMap;

use super::Checker;
use crate::door::{Code, Field, Mistake, Scalar, Source};
use crate::model::{DnsName, DnsZone, Record, RecordData, RecordKind, Soa};
use crate::raw::{RawRecord, RawSoa, RawZone};
use crate::rdata::{self, ALIAS, Lexer, RTypeName};
use crate::units::{Millis, Ttl};

/// The longest string of a TXT record (RFC 1035 section 3.3); longer texts are split.
const TXT_STRING_MAX: usize = 255;
/// The longest TXT record, all its strings together.
const TXT_MAX: usize = 4_000;
/// The longest time in a start of authority: 90 days.
const SOA_MAX: Millis = Millis(90 * 24 * 3_600_000);

impl Checker {
    pub(super) fn zone(&mut self, source: &Source, raw: &RawZone) -> Option<DnsZone> {
        let origin = self.field(source, &raw.origin).cloned();
        let ttl = self.or(source, raw.ttl.as_ref(), Ttl(300));
        let soa = self.soa(source, &raw.soa);
        let ns = self.list(source, &raw.ns);
        if raw.ns.is_empty() {
            let mistake = Mistake::new("a zone needs at least one name server")
                .help("list one in `ns`, for example `ns1.` and the zone's name");
            self.wrong(source, raw.origin.span, Code::MISSING_FIELD, mistake);
        }
        let (origin, ttl) = (origin?, ttl?);
        let mut records: Vec<Record> = raw
            .records
            .iter()
            .filter_map(|record| self.record(source, record, &origin, ttl))
            .collect();
        self.cname_alone(source, raw, &origin);
        records.sort_by(|a, b| (&a.name, a.data.rtype()).cmp(&(&b.name, b.data.rtype())));
        Some(DnsZone {
            origin,
            ttl,
            soa: soa?,
            ns,
            records,
        })
    }

    fn soa(&mut self, source: &Source, raw: &RawSoa) -> Option<Soa> {
        let mname = self.field(source, &raw.mname).cloned();
        let rname = self.field(source, &raw.rname).cloned();
        let serial = self.optional(source, raw.serial.as_ref());
        let mut time = |field: Option<&Field<Millis>>, default| {
            self.bounded(source, field, default, (Millis(1_000), SOA_MAX))
        };
        let refresh = time(raw.refresh.as_ref(), Millis(3_600_000));
        let retry = time(raw.retry.as_ref(), Millis(600_000));
        let expire = time(raw.expire.as_ref(), Millis(14 * 24 * 3_600_000));
        let minimum = self.or(source, raw.minimum.as_ref(), Ttl(60));
        Some(Soa {
            mname: mname?,
            rname: rname?,
            serial: serial?,
            refresh: refresh?,
            retry: retry?,
            expire: expire?,
            minimum: minimum?,
        })
    }

    fn record(
        &mut self,
        source: &Source,
        raw: &RawRecord,
        origin: &DnsName,
        default_ttl: Ttl,
    ) -> Option<Record> {
        let name = self.field(source, &raw.name).cloned();
        let rtype = self.field(source, &raw.rtype).copied();
        let ttl = self.or(source, raw.ttl.as_ref(), default_ttl);
        let name = name.and_then(|name| match owner(&name, origin) {
            Ok(owner) => Some(owner),
            Err(mistake) => {
                self.wrong(source, raw.name.span, Code::INVALID_VALUE, mistake);
                None
            }
        });
        let text = self.field(source, &raw.data).cloned();
        let data = data(rtype?, &text?);
        let data = match data {
            Ok(data) => Some(data),
            Err(mistake) => {
                self.wrong(source, raw.data.span, Code::INVALID_VALUE, mistake);
                None
            }
        };
        Some(Record {
            name: name?,
            ttl: ttl?,
            data: data?,
        })
    }

    /// A name with a CNAME has no other records (RFC 1034 section 3.6.2), and the apex, which has
    /// a start of authority, has no CNAME. An ALIAS has no addresses beside it.
    fn cname_alone(&mut self, source: &Source, raw: &RawZone, origin: &DnsName) {
        let mut owners: BTreeMap<DnsName, Vec<(u16, &RawRecord)>> = BTreeMap::new();
        for record in &raw.records {
            let (name, kind) = (record.name.get(), record.rtype.get());
            if let (Some(Ok(owner)), Some(kind)) = (name.map(|name| owner(name, origin)), kind) {
                owners.entry(owner).or_default().push((kind.0, record));
            }
        }
        for (owner, records) in owners {
            let of = |wanted: u16| records.iter().find(|(kind, _)| *kind == wanted);
            let addresses = records.iter().any(|(kind, _)| matches!(*kind, A | AAAA));
            let (record, mistake) = if let Some((_, cname)) = of(CNAME) {
                let mistake = if owner == *origin {
                    Mistake::new("the apex of a zone cannot be a CNAME")
                        .help("give it addresses, or make it a service's name")
                } else if records.len() > 1 {
                    Mistake::new(format!(
                        "`{owner}` has a CNAME and other records; a CNAME stands alone"
                    ))
                    .help("keep the CNAME or the others")
                } else {
                    continue;
                };
                (cname, mistake)
            } else if let Some((_, alias)) = of(ALIAS)
                && addresses
            {
                let mistake = Mistake::new(format!("`{owner}` has an ALIAS and addresses"))
                    .help("keep the ALIAS or the addresses");
                (alias, mistake)
            } else {
                continue;
            };
            self.wrong(source, record.name.span, Code::CONFLICT, mistake);
        }
    }
}

/// The absolute owner of a record.
pub(super) fn owner(name: &str, origin: &DnsName) -> Result<DnsName, Mistake> {
    if name == "@" {
        return Ok(origin.clone());
    }
    if name.ends_with('.') {
        let absolute = DnsName::read(name)?;
        if !absolute.is_within(origin) {
            return Err(Mistake::new(format!(
                "`{absolute}` lies outside of the zone `{origin}`"
            )));
        }
        return Ok(absolute);
    }
    let relative = DnsName::read(name)?;
    if relative.is_within(origin) {
        return Err(Mistake::new(format!(
            "`{name}` is relative: it would become `{name}.{origin}`"
        ))
        .help(format!(
            "write `{name}.` with a final dot, or the part before `{origin}`"
        )));
    }
    DnsName::read(&format!("{relative}.{origin}"))
}

/// The data of a record from its text.
fn data(kind: RecordKind, text: &str) -> Result<RecordData, Mistake> {
    Ok(match kind.0 {
        A => RecordData::A(Scalar::read(text)?),
        AAAA => RecordData::Aaaa(Scalar::read(text)?),
        CNAME => RecordData::Cname(DnsName::read(text)?),
        NS => RecordData::Ns(DnsName::read(text)?),
        TXT => RecordData::Txt(strings(text)?),
        MX => {
            let mistake = || {
                Mistake::new(format!("`{text}` is not a preference and a name"))
                    .help("for example `10 mail.example.com`")
            };
            let (preference, exchange) = text.split_once(' ').ok_or_else(mistake)?;
            RecordData::Mx {
                preference: preference.parse().map_err(|_| mistake())?,
                exchange: DnsName::read(exchange.trim())?,
            }
        }
        SOA => {
            return Err(Mistake::new("a start of authority is no static record")
                .help("set the zone's `soa`"));
        }
        RRSIG | NSEC | NSEC3 | NSEC3PARAM => {
            let name = RTypeName(kind.0);
            return Err(
                Mistake::new(format!("{name} records belong to a signed zone"))
                    .help("let the server sign, or serve the signed zone from a zone file"),
            );
        }
        other => RecordData::Other {
            rtype: other,
            data: zone_file_data(other, text)?,
        },
    })
}

pub(super) const A: u16 = 1;
const NS: u16 = 2;
pub(super) const CNAME: u16 = 5;
const SOA: u16 = 6;
const MX: u16 = 15;
const TXT: u16 = 16;
pub(super) const AAAA: u16 = 28;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const NSEC3: u16 = 50;
const NSEC3PARAM: u16 = 51;

/// Data in the text form of zone files; names are absolute with or without the final dot.
fn zone_file_data(rtype: u16, text: &str) -> Result<Vec<u8>, Mistake> {
    let mut lexer = Lexer::new(text.as_bytes());
    let entry = lexer.entry().map_err(|error| Mistake::new(error.reason))?;
    let tokens = entry.map(|entry| entry.tokens).unwrap_or_default();
    if !matches!(lexer.entry(), Ok(None)) {
        return Err(
            Mistake::new("the data has more than one line").help("write each record by itself")
        );
    }
    rdata::read(rtype, &tokens, &[0]).map_err(|error| Mistake::new(error.to_string()))
}

/// A text as strings of at most [`TXT_STRING_MAX`] bytes, cut between characters.
fn strings(text: &str) -> Result<Vec<String>, Mistake> {
    if text.len() > TXT_MAX {
        return Err(Mistake::new(format!(
            "a TXT record has at most {TXT_MAX} bytes, this one has {}",
            text.len()
        )));
    }
    let mut strings = vec![String::new()];
    for c in text.chars() {
        let full = strings
            .last()
            .is_none_or(|last| last.len() + c.len_utf8() > TXT_STRING_MAX);
        if full {
            strings.push(String::new());
        }
        if let Some(last) = strings.last_mut() {
            last.push(c);
        }
    }
    Ok(strings)
}
