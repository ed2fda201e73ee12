//! Questions as bytes, answers as comparable facts.
//!
//! Names are compared in lower case (RFC 4343), sections as sets (RFC 2181 §5: a set has no order).

use std::collections::BTreeSet;
use std::fmt;

use meridian_topology::rdata::{
    RTypeName, display_name, name_offsets, read_name, uncompress, write,
};

use super::questions::Question;

/// One record, names in lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fact {
    pub owner: Vec<u8>,
    pub rtype: u16,
    pub ttl: u32,
    pub data: Vec<u8>,
}

impl fmt::Debug for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (owner, rtype) = (display_name(&self.owner), RTypeName(self.rtype));
        write!(
            f,
            "{owner} {} {rtype} {}",
            self.ttl,
            write(self.rtype, &self.data)
        )
    }
}

pub type Section = BTreeSet<Fact>;

/// A response as far as it is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    pub rcode: u16,
    pub authoritative: bool,
    pub truncated: bool,
    pub answer: Section,
    pub authority: Section,
    pub additional: Section,
}

/// A query with EDNS; the id is always the same, as one socket asks one question at a time.
pub fn query(question: &Question) -> Vec<u8> {
    let name = read_name(question.name.as_bytes(), &[0]).unwrap();
    let mut packet = vec![0x4d, 0x52, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1];
    packet.extend(name);
    packet.extend(question.rtype.to_be_bytes());
    packet.extend([0, 1]);
    // OPT: root, type, size 4096, extended code, version, flags, no options.
    let dnssec_ok = if question.dnssec_ok { 0x80 } else { 0 };
    packet.extend([0, 0, 41, 0x10, 0, 0, 0, dnssec_ok, 0, 0, 0]);
    packet
}

/// Reads a response.
pub fn read(packet: &[u8]) -> Option<Answer> {
    let count = |at: usize| usize::from(u16::from_be_bytes([packet[at], packet[at + 1]]));
    let mut at = 12;
    for _ in 0..count(4) {
        at = name_end(packet, at)? + 4;
    }
    let mut answer = Answer {
        rcode: u16::from(packet[3] & 0x0f),
        authoritative: packet[2] & 4 != 0,
        truncated: packet[2] & 2 != 0,
        answer: Section::new(),
        authority: Section::new(),
        additional: Section::new(),
    };
    for (section, records) in [count(6), count(8), count(10)].into_iter().enumerate() {
        for _ in 0..records {
            let fixed = name_end(packet, at)?;
            let rtype = u16::from_be_bytes(*packet.get(fixed..)?.first_chunk()?);
            let ttl = u32::from_be_bytes(*packet.get(fixed + 4..)?.first_chunk()?);
            let length = usize::from(u16::from_be_bytes(*packet.get(fixed + 8..)?.first_chunk()?));
            if rtype == 41 {
                answer.rcode |= (ttl >> 24) as u16 * 16;
                at = fixed + 10 + length;
                continue;
            }
            let owner = uncompress(5, packet, at, fixed - at)?.to_ascii_lowercase();
            let mut data = uncompress(rtype, packet, fixed + 10, length)?;
            for name in name_offsets(rtype, &data) {
                let end = name + label_bytes(&data[name..]);
                data[name..end].make_ascii_lowercase();
            }
            let fact = Fact {
                owner,
                rtype,
                ttl,
                data,
            };
            let to = [
                &mut answer.answer,
                &mut answer.authority,
                &mut answer.additional,
            ];
            if let Some(to) = to.into_iter().nth(section) {
                to.insert(fact);
            }
            at = fixed + 10 + length;
        }
    }
    Some(answer)
}

fn name_end(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            _ => return Some(at + 2),
        }
    }
}

fn label_bytes(name: &[u8]) -> usize {
    let mut at = 0;
    while name[at] != 0 {
        at += 1 + usize::from(name[at]);
    }
    at + 1
}

/// Whether `name` is `above` or below it.
pub fn is_within(name: &[u8], above: &[u8]) -> bool {
    let mut at = name;
    loop {
        if at == above {
            return true;
        }
        match at.first() {
            None | Some(0) => return false,
            Some(length) => at = &at[usize::from(*length) + 1..],
        }
    }
}
