//! Record data from the tokens of its text.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::layout::{Field, layout_of, rtype_from_text};
use super::text::{read_character_string, read_name, unescape_all};
use super::wire::is_well_formed;
use super::{DATA_BYTES_MAX, RTypeName, RdataError, Token, base, loc, svcb, time};

/// DNSSEC algorithms by mnemonic (IANA's registry).
const ALGORITHMS: [(&str, u8); 15] = [
    ("RSAMD5", 1),
    ("DH", 2),
    ("DSA", 3),
    ("RSASHA1", 5),
    ("DSA-NSEC3-SHA1", 6),
    ("RSASHA1-NSEC3-SHA1", 7),
    ("RSASHA256", 8),
    ("RSASHA512", 10),
    ("ECC-GOST", 12),
    ("ECDSAP256SHA256", 13),
    ("ECDSAP384SHA384", 14),
    ("ED25519", 15),
    ("ED448", 16),
    ("PRIVATEDNS", 253),
    ("PRIVATEOID", 254),
];

/// Certificate types by mnemonic (RFC 4398 section 2.1).
const CERT_TYPES: [(&str, u16); 10] = [
    ("PKIX", 1),
    ("SPKI", 2),
    ("PGP", 3),
    ("IPKIX", 4),
    ("ISPKI", 5),
    ("IPGP", 6),
    ("ACPKIX", 7),
    ("IACPKIX", 8),
    ("URI", 253),
    ("OID", 254),
];

/// Reads the data of a type in wire form. Relative names in it are relative to `origin`, a wire
/// name. `\# LENGTH HEX` (RFC 3597 section 5) is read for every type.
///
/// # Errors
/// [`RdataError`] says which token is wrong.
pub fn read(rtype: u16, tokens: &[Token<'_>], origin: &[u8]) -> Result<Vec<u8>, RdataError> {
    if tokens
        .first()
        .is_some_and(|first| !first.quoted && first.text == b"\\#")
    {
        return read_generic(rtype, tokens);
    }
    let Some(layout) = layout_of(rtype) else {
        return Err(RdataError {
            token: 0,
            field: "data",
            reason: format!(
                "the data of {} is written as `\\# LENGTH HEX` (RFC 3597)",
                RTypeName(rtype)
            ),
        });
    };
    let mut reader = Reader {
        tokens,
        at: 0,
        field: "",
        origin,
        data: Vec::new(),
    };
    for (name, field) in layout {
        reader.field = name;
        reader.read(*field)?;
    }
    if reader.at < tokens.len() {
        return Err(reader.error("nothing may follow here; a text with blanks stands in quotes"));
    }
    if reader.data.len() > DATA_BYTES_MAX {
        return Err(reader.error("the record is longer than 65535 bytes"));
    }
    Ok(reader.data)
}

fn read_generic(rtype: u16, tokens: &[Token<'_>]) -> Result<Vec<u8>, RdataError> {
    let error = |token: usize, field, reason: &str| RdataError {
        token,
        field,
        reason: reason.to_owned(),
    };
    let length = tokens.get(1).and_then(|token| number::<usize>(token.text));
    let length =
        length.ok_or_else(|| error(1, "length", "a number of bytes stands after `\\#`"))?;
    let hex: Vec<u8> = tokens[2..]
        .iter()
        .flat_map(|token| token.text)
        .copied()
        .collect();
    let data = base::read_hex(&hex).map_err(|reason| error(2, "data", &reason))?;
    if data.len() != length {
        let reason = format!("{length} bytes are announced and {} are given", data.len());
        return Err(error(1, "length", &reason));
    }
    if !is_well_formed(rtype, &data) {
        let reason = format!(
            "these bytes are not the data of a {} record",
            RTypeName(rtype)
        );
        return Err(error(2, "data", &reason));
    }
    Ok(data)
}

/// Data of all the tokens there are; the error is a token's number and what is wrong.
type Whole = Result<Vec<u8>, (usize, String)>;

struct Reader<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
    field: &'static str,
    origin: &'t [u8],
    data: Vec<u8>,
}

impl<'t> Reader<'t> {
    fn error(&self, reason: impl Into<String>) -> RdataError {
        RdataError {
            token: self.at,
            field: self.field,
            reason: reason.into(),
        }
    }

    /// The next token, read by `read`; the error is in words.
    fn next<T>(
        &mut self,
        read: impl FnOnce(&'t [u8]) -> Result<T, String>,
    ) -> Result<T, RdataError> {
        let Some(token) = self.tokens.get(self.at) else {
            return Err(self.error("it is missing"));
        };
        let value = read(token.text).map_err(|reason| self.error(reason))?;
        self.at += 1;
        Ok(value)
    }

    /// All tokens that are left, together.
    fn rest(&mut self) -> Vec<u8> {
        let rest = &self.tokens[self.at..];
        self.at = self.tokens.len();
        rest.iter().flat_map(|token| token.text).copied().collect()
    }

    fn read(&mut self, field: Field) -> Result<(), RdataError> {
        let bytes: Vec<u8> = match field {
            Field::Name => {
                let origin = self.origin;
                self.next(|text| read_name(text, origin))?
            }
            Field::U8 => self.number::<u8>()?.to_be_bytes().into(),
            Field::U16 => self.number::<u16>()?.to_be_bytes().into(),
            Field::U32 => self.number::<u32>()?.to_be_bytes().into(),
            Field::Period => self
                .next(|text| {
                    time::read_period(text).ok_or_else(|| {
                        format!("`{}` is not a time such as `3600` or `1h`", shown(text))
                    })
                })?
                .to_be_bytes()
                .into(),
            Field::Type => self.next(read_type)?.to_be_bytes().into(),
            Field::Algorithm => vec![self.mnemonic(&ALGORITHMS, "a DNSSEC algorithm")?],
            Field::CertType => {
                let number = self.mnemonic(&CERT_TYPES, "a certificate type")?;
                number.to_be_bytes().into()
            }
            Field::Time => self
                .next(|text| {
                    time::read_time(text).ok_or_else(|| {
                        format!("`{}` is not a time such as `20260131235959`", shown(text))
                    })
                })?
                .to_be_bytes()
                .into(),
            Field::Ipv4 => self
                .parsed::<Ipv4Addr>("an IPv4 address such as 192.0.2.1")?
                .octets()
                .into(),
            Field::Ipv6 => self
                .parsed::<Ipv6Addr>("an IPv6 address such as 2001:db8::1")?
                .octets()
                .into(),
            Field::Text => counted(&self.next(read_character_string)?),
            Field::OptionalText if self.at == self.tokens.len() => Vec::new(),
            Field::OptionalText => counted(&self.next(read_character_string)?),
            Field::Texts => {
                let mut all = counted(&self.next(read_character_string)?);
                while self.at < self.tokens.len() {
                    all.extend(counted(&self.next(read_character_string)?));
                }
                all
            }
            Field::RawText => self.next(unescape_all)?,
            Field::CountedHex => {
                let salt = self.next(|text| match text {
                    b"-" => Ok(Vec::new()),
                    hex => base::read_hex(hex),
                })?;
                self.short(&salt)?
            }
            Field::CountedBase32 => {
                let hash = self.next(base::read_base32hex)?;
                self.short(&hash)?
            }
            Field::Pairs(count) => self.next(|text| pairs(text, count))?,
            Field::Quads => self.next(quads)?,
            Field::Gateway => self.gateway()?,
            Field::Base64 | Field::OptionalBase64 | Field::Hex => self.encoded(field)?,
            Field::Types => self.types()?,
            Field::Params => self.all(svcb::read)?,
            Field::Location => self.all(loc::read)?,
            Field::Prefixes => self.prefixes()?,
        };
        self.data.extend(bytes);
        Ok(())
    }

    fn number<N: FromStr + std::fmt::Display + Bounded>(&mut self) -> Result<N, RdataError> {
        self.next(|text| {
            number(text)
                .ok_or_else(|| format!("`{}` is not a number from 0 to {}", shown(text), N::MAX))
        })
    }

    fn parsed<A: FromStr>(&mut self, what: &str) -> Result<A, RdataError> {
        self.next(|text| {
            let parsed = std::str::from_utf8(text)
                .ok()
                .and_then(|text| text.parse().ok());
            parsed.ok_or_else(|| format!("`{}` is not {what}", shown(text)))
        })
    }

    fn mnemonic<N: FromStr + Copy>(
        &mut self,
        known: &[(&str, N)],
        what: &str,
    ) -> Result<N, RdataError> {
        self.next(|text| {
            let named = known
                .iter()
                .find(|(name, _)| text.eq_ignore_ascii_case(name.as_bytes()));
            let found = named.map(|(_, value)| *value).or_else(|| number(text));
            found.ok_or_else(|| format!("`{}` is not {what}", shown(text)))
        })
    }

    /// Bytes with their length before them.
    fn short(&self, bytes: &[u8]) -> Result<Vec<u8>, RdataError> {
        if bytes.len() > usize::from(u8::MAX) {
            return Err(self.error("it is longer than 255 bytes"));
        }
        Ok(counted(bytes))
    }

    /// Base64 or hexadecimal to the end, with blanks anywhere.
    fn encoded(&mut self, field: Field) -> Result<Vec<u8>, RdataError> {
        if self.at == self.tokens.len() {
            return match field {
                Field::OptionalBase64 => Ok(Vec::new()),
                _ => Err(self.error("it is missing")),
            };
        }
        let first = self.at;
        let rest = self.rest();
        if rest.is_empty() && field != Field::OptionalBase64 {
            // Quoted nothing is a token too.
            self.at = first;
            return Err(self.error("it is missing"));
        }
        let decoded = match field {
            Field::Hex => base::read_hex(&rest),
            // RFC 4025 and RFC 3445 leave the key out or write a zero.
            Field::OptionalBase64 if rest == b"0" => Ok(Vec::new()),
            _ => base::read_base64(&rest),
        };
        decoded.map_err(|reason| {
            self.at = first;
            self.error(reason)
        })
    }

    fn types(&mut self) -> Result<Vec<u8>, RdataError> {
        let mut types = Vec::with_capacity(self.tokens.len() - self.at);
        while self.at < self.tokens.len() {
            types.push(self.next(read_type)?);
        }
        types.sort_unstable();
        types.dedup();
        let mut data = Vec::new();
        for window in types.chunk_by(|one, other| one >> 8 == other >> 8) {
            let mut bitmap = [0_u8; 32];
            let mut length = 0;
            for rtype in window {
                let low = usize::from(rtype & 0xff);
                bitmap[low / 8] |= 0x80 >> (low % 8);
                length = low / 8 + 1;
            }
            data.extend([(window[0] >> 8) as u8, length as u8]);
            data.extend_from_slice(&bitmap[..length]);
        }
        Ok(data)
    }

    fn all(&mut self, read: fn(&[Token<'_>]) -> Whole) -> Result<Vec<u8>, RdataError> {
        let data = read(&self.tokens[self.at..]).map_err(|(at, reason)| {
            self.at += at;
            self.error(reason)
        })?;
        self.at = self.tokens.len();
        Ok(data)
    }

    fn gateway(&mut self) -> Result<Vec<u8>, RdataError> {
        let origin = self.origin;
        match self.data.get(1) {
            Some(0) => self.next(|text| match text {
                b"." => Ok(Vec::new()),
                _ => Err("gateway type 0 is written as `.`".into()),
            }),
            Some(1) => Ok(self.parsed::<Ipv4Addr>("an IPv4 address")?.octets().into()),
            Some(2) => Ok(self.parsed::<Ipv6Addr>("an IPv6 address")?.octets().into()),
            Some(3) => self.next(|text| read_name(text, origin)),
            _ => Err(self.error("the gateway type is 0 to 3")),
        }
    }

    fn prefixes(&mut self) -> Result<Vec<u8>, RdataError> {
        let mut all = Vec::new();
        while self.at < self.tokens.len() {
            all.extend(self.next(|text| {
                prefix(text).ok_or_else(|| {
                    format!("`{}` is not a prefix such as `1:192.0.2.0/24`", shown(text))
                })
            })?);
        }
        Ok(all)
    }
}

/// Types that say what their greatest value is.
trait Bounded {
    const MAX: Self;
}

impl Bounded for u8 {
    const MAX: Self = Self::MAX;
}

impl Bounded for u16 {
    const MAX: Self = Self::MAX;
}

impl Bounded for u32 {
    const MAX: Self = Self::MAX;
}

/// Digits alone: no sign, no blank.
fn number<N: FromStr>(text: &[u8]) -> Option<N> {
    let digits = std::str::from_utf8(text).ok()?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| plain)
}

fn read_type(text: &[u8]) -> Result<u16, String> {
    rtype_from_text(&shown(text)).ok_or_else(|| {
        format!(
            "`{}` is not a record type; unknown ones are written `TYPE65280`",
            shown(text)
        )
    })
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// A string of at most 255 bytes with its length.
fn counted(string: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(string.len() + 1);
    bytes.push(string.len() as u8);
    bytes.extend_from_slice(string);
    bytes
}

fn pairs(text: &[u8], count: usize) -> Result<Vec<u8>, String> {
    let groups: Vec<&[u8]> = text.split(|byte| *byte == b'-').collect();
    let hex: Option<Vec<u8>> = groups
        .iter()
        .map(|group| base::read_hex(group).ok().filter(|bytes| bytes.len() == 1))
        .map(|byte| byte.and_then(|byte| byte.first().copied()))
        .collect();
    hex.filter(|bytes| bytes.len() == count).ok_or_else(|| {
        format!(
            "`{}` is not {count} pairs of digits with hyphens",
            shown(text)
        )
    })
}

fn quads(text: &[u8]) -> Result<Vec<u8>, String> {
    let shown = shown(text);
    let groups: Option<Vec<u16>> = shown
        .split(':')
        .map(|group| {
            u16::from_str_radix(group, 16)
                .ok()
                .filter(|_| (1..=4).contains(&group.len()))
        })
        .collect();
    let groups = groups.filter(|groups| groups.len() == 4);
    let groups = groups
        .ok_or_else(|| format!("`{shown}` is not four groups such as `0014:4fff:ff20:ee64`"))?;
    Ok(groups
        .iter()
        .flat_map(|group| group.to_be_bytes())
        .collect())
}

fn prefix(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let (negated, text) = match text.strip_prefix('!') {
        Some(rest) => (0x80, rest),
        None => (0, text),
    };
    let (family, network) = text.split_once(':')?;
    let (address, bits) = network.split_once('/')?;
    let bits: u8 = number(bits.as_bytes())?;
    let mut octets: Vec<u8> = match family {
        "1" if bits <= 32 => address.parse::<Ipv4Addr>().ok()?.octets().into(),
        "2" if bits <= 128 => address.parse::<Ipv6Addr>().ok()?.octets().into(),
        _ => return None,
    };
    while octets.last() == Some(&0) {
        octets.pop();
    }
    let mut bytes = vec![
        0,
        number(family.as_bytes())?,
        bits,
        negated | octets.len() as u8,
    ];
    bytes.extend(octets);
    Some(bytes)
}
