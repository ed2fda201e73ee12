//! How a service appears in DNS: names, answers, and the SRV, HTTPS and SVCB records beside them.

use super::Checker;
use crate::door::{Code, Field, Mistake, Source, Span};
use crate::ids::{MAX_ID_LEN, RegionIdx};
use crate::model::{DnsAnswer, DnsName, ServiceDns, SrvName, Svcb, SvcbName};
use crate::raw::{
    RawAddresses, RawAnswer, RawCnameTarget, RawServiceDns, RawSrv, RawSvcb, RawSvcbName,
};

/// The longest name below which ids become names: a name has at most 253 characters (RFC 1035 section
/// 2.3.4), an id 63, and a dot stands between them.
const TARGETS_LEN_MAX: usize = 253 - MAX_ID_LEN - 1;

impl Checker {
    pub(super) fn service_dns(
        &mut self,
        source: &Source,
        raw: &RawServiceDns,
        owner: Span,
    ) -> Option<ServiceDns> {
        let mut names = Vec::with_capacity(raw.names.len());
        for field in &raw.names {
            names.extend(self.zone_name(source, field));
        }
        if raw.names.is_empty() {
            let mistake = Mistake::new("`dns` names no name").help("list at least one in `names`");
            self.wrong(source, owner, Code::MISSING_FIELD, mistake);
        }
        let ttl = self.or(source, raw.ttl.as_ref(), ServiceDns::DEFAULT_TTL);
        let answer = self.answer(source, raw.answer.as_ref());
        if let (Some(https), Some(RawAnswer::Cname(_))) = (&raw.https, &raw.answer) {
            let mistake =
                Mistake::new("a name that answers a CNAME has no HTTPS record of its own")
                    .help("say it at the CNAME's target, or answer addresses");
            self.wrong(source, https.span, Code::CONFLICT, mistake);
        }
        let hints = match &answer {
            Some(DnsAnswer::Addresses { at_most, .. }) => *at_most,
            _ => 1,
        };
        let srv = raw.srv.iter().filter_map(|srv| self.srv(source, srv));
        let srv = srv.collect();
        let https = match &raw.https {
            Some(https) => Some(self.svcb(source, &https.value, hints)?),
            None => None,
        };
        let svcb = raw.svcb.iter();
        let svcb = svcb
            .filter_map(|svcb| self.svcb_name(source, svcb, hints))
            .collect();
        Some(ServiceDns {
            names,
            ttl: ttl?,
            answer: answer?,
            srv,
            https,
            svcb,
        })
    }

    /// A name inside one of our zones.
    fn zone_name(&mut self, source: &Source, field: &Field<DnsName>) -> Option<DnsName> {
        let name = self.field(source, field).cloned()?;
        self.inside_zone(source, &name, field.span);
        Some(name)
    }

    fn answer(&mut self, source: &Source, raw: Option<&RawAnswer>) -> Option<DnsAnswer> {
        match raw {
            None => Some(DnsAnswer::Addresses {
                at_most: 1,
                at_least: None,
            }),
            Some(RawAnswer::Addresses(RawAddresses { at_most, at_least })) => {
                let bounds = (at_most.as_ref(), at_least.as_ref());
                let (at_most, at_least) = self.how_many(source, bounds, 1)?;
                Some(DnsAnswer::Addresses { at_most, at_least })
            }
            Some(RawAnswer::Cname(targets)) => {
                let mut known: Vec<(RegionIdx, DnsName)> = Vec::with_capacity(targets.len());
                for target in targets {
                    let entry = self.cname_target(source, target, &known);
                    known.extend(entry);
                }
                known.sort();
                Some(DnsAnswer::Cname { targets: known })
            }
        }
    }

    /// The most and the fewest records of an answer.
    fn how_many(
        &mut self,
        source: &Source,
        (at_most, at_least): (Option<&Field<u8>>, Option<&Field<u8>>),
        default: u8,
    ) -> Option<(u8, Option<u8>)> {
        let most = self.bounded(source, at_most, default, (1, ServiceDns::MAX_ADDRESSES))?;
        let least = match at_least {
            Some(_) => Some(self.bounded(source, at_least, most, (1, most))?),
            None => None,
        };
        Some((most, least))
    }

    fn cname_target(
        &mut self,
        source: &Source,
        raw: &RawCnameTarget,
        known: &[(RegionIdx, DnsName)],
    ) -> Option<(RegionIdx, DnsName)> {
        let region = self.region_ref(source, &raw.region);
        let name = self.field(source, &raw.name).cloned();
        let region = region?;
        if known.iter().any(|(other, _)| *other == region) {
            let mistake =
                Mistake::new("this region has a name already").help("keep one of the two");
            self.wrong(source, raw.region.span, Code::DUPLICATE_ID, mistake);
            return None;
        }
        Some((region, name?))
    }

    fn srv(&mut self, source: &Source, raw: &RawSrv) -> Option<SrvName> {
        let name = self.zone_name(source, &raw.name);
        let targets = self.zone_name(source, &raw.targets);
        if let Some(targets) = targets.as_ref().filter(|targets| targets.is_wildcard()) {
            let mistake = Mistake::new(format!("`{targets}` is a wildcard"))
                .help("name the place itself; ids are put before it");
            self.wrong(source, raw.targets.span, Code::INVALID_VALUE, mistake);
        }
        if let Some(targets) = targets
            .as_ref()
            .filter(|t| t.as_str().len() > TARGETS_LEN_MAX)
        {
            let mistake = Mistake::new(format!(
                "`{targets}` has more than {TARGETS_LEN_MAX} characters, and an id comes before it"
            ))
            .help("choose a shorter name");
            self.wrong(source, raw.targets.span, Code::OUT_OF_RANGE, mistake);
        }
        let port = match &raw.port {
            Some(field) => Some(self.port(source, field)?),
            None => None,
        };
        let bounds = (raw.at_most.as_ref(), raw.at_least.as_ref());
        let how_many = self.how_many(source, bounds, ServiceDns::MAX_ADDRESSES);
        // The stand-ins' priority is one more.
        let priorities = (0, u16::MAX - 1);
        let default = SrvName::DEFAULT_PRIORITY;
        let priority = self.bounded(source, raw.priority.as_ref(), default, priorities);
        let per = self.or(source, raw.per.as_ref(), Default::default());
        let (at_most, at_least) = how_many?;
        Some(SrvName {
            name: name?,
            per: per?,
            targets: targets?,
            port,
            priority: priority?,
            at_most,
            at_least,
        })
    }

    fn svcb_name(&mut self, source: &Source, raw: &RawSvcbName, hints: u8) -> Option<SvcbName> {
        let name = self.zone_name(source, &raw.name);
        let record = self.svcb(source, &raw.record, hints);
        Some(SvcbName {
            name: name?,
            record: record?,
        })
    }

    fn svcb(&mut self, source: &Source, raw: &RawSvcb, hints: u8) -> Option<Svcb> {
        // Priority 0 would make it an alias (RFC 9460 section 2.4.2), which has no parameters.
        let priority = self.bounded(source, raw.priority.as_ref(), 1, (1, u16::MAX));
        let target = self.optional(source, raw.target.as_ref());
        let alpn = self.list(source, &raw.alpn);
        if let Some(beyond) = raw.alpn.get(Svcb::MAX_ALPN) {
            let mistake = Mistake::new(format!("at most {} protocols", Svcb::MAX_ALPN));
            self.wrong(source, beyond.span, Code::OUT_OF_RANGE, mistake);
        }
        for field in &raw.alpn {
            let bounds = 1..=Svcb::MAX_ALPN_LEN;
            if field.get().is_some_and(|id| !bounds.contains(&id.len())) {
                let mistake = Mistake::new("a protocol's name has 1 to 255 bytes")
                    .help("a registered name such as `h2`, `h3` or `http/1.1`");
                self.wrong(source, field.span, Code::OUT_OF_RANGE, mistake);
            }
        }
        let port = match &raw.port {
            Some(field) => Some(self.port(source, field)?),
            None => None,
        };
        let most = (0, ServiceDns::MAX_ADDRESSES);
        let hints = self.bounded(source, raw.hints.as_ref(), hints, most);
        let ech = match &raw.ech {
            Some(field) => self.ech(source, field)?,
            None => Vec::new(),
        };
        Some(Svcb {
            priority: priority?,
            target: target?,
            alpn,
            port,
            hints: hints?,
            ech,
        })
    }

    /// An `ECHConfigList`: 16 bits of length, then that many bytes (RFC 9849 section 4).
    fn ech(&mut self, source: &Source, field: &Field<String>) -> Option<Vec<u8>> {
        let text = self.field(source, field)?;
        let mistake = match decode_base64(text) {
            None => Mistake::new("this is not base64")
                .help("letters, digits, `+` and `/`, four for three bytes, `=` at the end"),
            Some(bytes) if bytes.len() > Svcb::MAX_ECH_LEN => Mistake::new(format!(
                "this is {} bytes long, at most {} are allowed",
                bytes.len(),
                Svcb::MAX_ECH_LEN
            )),
            Some(bytes) => {
                let stated = bytes.first_chunk::<2>().map(|two| u16::from_be_bytes(*two));
                if stated.map(|stated| usize::from(stated) + 2) == Some(bytes.len()) {
                    return Some(bytes);
                }
                Mistake::new("this is no list of encrypted client hello configurations")
                    .help("its first two bytes state the length of the rest")
            }
        };
        self.wrong(source, field.span, Code::INVALID_VALUE, mistake);
        None
    }
}

/// Base64 with padding (RFC 4648 section 4); white space is left out.
fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    if symbols.is_empty() || !symbols.len().is_multiple_of(4) {
        return None;
    }
    let padding = symbols.iter().rev().take_while(|b| **b == b'=').count();
    if padding > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3);
    for quad in symbols[..symbols.len() - padding].chunks(4) {
        let mut bits = 0_u32;
        for symbol in quad {
            let value = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        // Three bytes of four symbols, two of three, one of two; spare bits are zero.
        let spare = match quad.len() {
            4 => 0,
            3 => 2,
            2 => 4,
            _ => return None,
        };
        if bits & ((1 << spare) - 1) != 0 {
            return None;
        }
        let whole = bits >> spare;
        let count = quad.len() * 6 / 8;
        bytes.extend_from_slice(&whole.to_be_bytes()[4 - count..]);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
