//! Whole messages: read into records, and written record by record with names compressed.
//!
//! The packet path reads queries in place ([`crate::wire`]); here are the messages with records in
//! every section: transfers, updates, notifications. Every compression pointer must lead back
//! (RFC 1035 §4.1.4), so reading ends; a message has at most 65,535 bytes, and that bounds the rest.

use std::collections::HashMap;

use thiserror::Error;

use super::record::{Field, Record, WireName, compresses, layout, name_bytes};
use super::tsig::TsigRecord;
use crate::wire::{
    Class, HEADER_BYTES, NAME_BYTES_MAX, Opcode, RType, Rcode, TCP_BYTES_MAX, parent_of,
};
use crate::zone::RecordRef;

/// Records of a message: the counts in the header have 16 bits.
const RECORDS_MAX: usize = 65_535;
/// Class ANY.
const ANY: Class = Class(255);
/// Offsets from here on do not fit into a compression pointer.
const POINTER_MAX: usize = 0x3fff;

/// Why a message cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(crate) enum MessageError {
    #[error("the message ends early")]
    Cut,
    #[error("a name in the message is malformed")]
    Name,
    #[error("the data of a {} record is malformed", crate::zone::DisplayType(*.0))]
    Data(RType),
    #[error("bytes follow behind the last record")]
    Trailing,
    #[error("OPT or TSIG stands where it may not")]
    Misplaced,
    #[error("the message has {0} questions instead of one")]
    Questions(u16),
}

/// A record of any section and class; updates use classes to say what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RawRecord {
    pub(crate) record: Record,
    pub(crate) class: Class,
}

/// A message whose every record was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) opcode: Opcode,
    pub(crate) is_response: bool,
    pub(crate) authoritative: bool,
    pub(crate) recursion_desired: bool,
    /// The four bits of the header.
    pub(crate) rcode: u8,
    /// Answers to pipelined transfers may leave the question out (RFC 5936 §2.2.1).
    pub(crate) question: Option<Question>,
    pub(crate) answers: Vec<RawRecord>,
    pub(crate) authorities: Vec<RawRecord>,
    pub(crate) edns: Option<Edns>,
    pub(crate) tsig: Option<TsigRecord>,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    /// Lowercased.
    pub(crate) name: WireName,
    pub(crate) rtype: RType,
    pub(crate) class: Class,
    /// As it came.
    pub(crate) wire: Box<[u8]>,
}

/// What is looked at of an OPT record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Edns {
    pub(crate) version: u8,
    pub(crate) udp_bytes_max: u16,
    pub(crate) dnssec_ok: bool,
}

impl Message {
    /// Reads a message to its last byte.
    pub(crate) fn read(packet: &[u8]) -> Result<Self, MessageError> {
        let head = packet
            .first_chunk::<HEADER_BYTES>()
            .ok_or(MessageError::Cut)?;
        let count = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
        let mut reader = Reader {
            packet,
            at: HEADER_BYTES,
        };
        let question = match count(4) {
            0 => None,
            1 => Some(reader.question()?),
            questions => return Err(MessageError::Questions(questions)),
        };
        let mut message = Self {
            id: count(0),
            opcode: Opcode((head[2] >> 3) & 0x0f),
            is_response: head[2] & 0x80 != 0,
            authoritative: head[2] & 0x04 != 0,
            recursion_desired: head[2] & 0x01 != 0,
            rcode: head[3] & 0x0f,
            question,
            answers: reader.records(count(6))?,
            authorities: reader.records(count(8))?,
            edns: None,
            tsig: None,
        };
        let additionals = count(10);
        for nth in 1..=additionals {
            message.read_additional(&mut reader, nth == additionals)?;
        }
        if reader.at == packet.len() {
            Ok(message)
        } else {
            Err(MessageError::Trailing)
        }
    }

    fn read_additional(
        &mut self,
        reader: &mut Reader<'_>,
        is_last: bool,
    ) -> Result<(), MessageError> {
        let at = reader.at;
        let RawRecord { record, class } = reader.record()?;
        match record.rtype {
            RType::OPT if self.edns.is_none() && *record.owner == [0] => {
                let [_, version, flags, _] = record.ttl.to_be_bytes();
                self.edns = Some(Edns {
                    version,
                    udp_bytes_max: class.0,
                    dnssec_ok: flags & 0x80 != 0,
                });
            }
            // Neither is hashed as it came, so neither may differ (RFC 8945 §4.2).
            RType::TSIG if is_last && class == ANY && record.ttl == 0 => {
                let tsig = TsigRecord::read(at, record.owner, &record.data);
                self.tsig = Some(tsig.ok_or(MessageError::Data(RType::TSIG))?);
            }
            RType::OPT | RType::TSIG => return Err(MessageError::Misplaced),
            _ => {}
        }
        Ok(())
    }
}

struct Reader<'a> {
    packet: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn question(&mut self) -> Result<Question, MessageError> {
        let start = self.at;
        let name = self.name()?;
        let rtype = RType(self.u16()?);
        let class = Class(self.u16()?);
        Ok(Question {
            name: name.to_ascii_lowercase().into(),
            rtype,
            class,
            wire: self.packet[start..self.at].into(),
        })
    }

    fn records(&mut self, count: u16) -> Result<Vec<RawRecord>, MessageError> {
        let mut records = Vec::new();
        for _ in 0..count {
            let record = self.record()?;
            if matches!(record.record.rtype, RType::OPT | RType::TSIG) {
                return Err(MessageError::Misplaced);
            }
            records.push(record);
        }
        Ok(records)
    }

    fn record(&mut self) -> Result<RawRecord, MessageError> {
        let owner = self.name()?;
        let rtype = RType(self.u16()?);
        let class = Class(self.u16()?);
        let ttl = u32::from(self.u16()?) << 16 | u32::from(self.u16()?);
        let length = usize::from(self.u16()?);
        let end = self.at + length;
        if end > self.packet.len() {
            return Err(MessageError::Cut);
        }
        let data = self.data(rtype, end)?;
        Ok(RawRecord {
            record: Record {
                owner: owner.to_ascii_lowercase().into(),
                rtype,
                ttl,
                data,
            },
            class,
        })
    }

    /// Record data up to `end`, its names spelled out. Data of no bytes is none: updates have it.
    fn data(&mut self, rtype: RType, end: usize) -> Result<Box<[u8]>, MessageError> {
        let mut data = Vec::with_capacity(end - self.at);
        if self.at < end {
            for field in layout(rtype) {
                self.field(*field, &mut data)
                    .map_err(|_| MessageError::Data(rtype))?;
            }
        }
        let rest = self.packet.get(self.at..end);
        data.extend_from_slice(rest.ok_or(MessageError::Data(rtype))?);
        self.at = end;
        if data.len() > TCP_BYTES_MAX {
            return Err(MessageError::Data(rtype));
        }
        Ok(data.into())
    }

    fn field(&mut self, field: Field, data: &mut Vec<u8>) -> Result<(), MessageError> {
        let bytes = match field {
            Field::Name => {
                let name = self.name()?;
                data.extend_from_slice(&name);
                return Ok(());
            }
            Field::Bytes(bytes) => bytes,
            Field::Text => 1 + usize::from(*self.packet.get(self.at).ok_or(MessageError::Cut)?),
        };
        let from = self.packet.get(self.at..self.at + bytes);
        data.extend_from_slice(from.ok_or(MessageError::Cut)?);
        self.at += bytes;
        Ok(())
    }

    /// A name, spelled out; its case is kept.
    fn name(&mut self) -> Result<Vec<u8>, MessageError> {
        let mut name = Vec::with_capacity(32);
        let (mut at, mut behind) = (self.at, None);
        // Everything pointed at lies before what pointed there.
        let mut bound = self.packet.len();
        loop {
            match *self.packet.get(at).ok_or(MessageError::Cut)? {
                0 => {
                    name.push(0);
                    self.at = behind.unwrap_or(at + 1);
                    return Ok(name);
                }
                length @ 1..=63 => {
                    let end = at + 1 + usize::from(length);
                    let label = self.packet.get(at..end).ok_or(MessageError::Cut)?;
                    if name.len() + label.len() >= NAME_BYTES_MAX {
                        return Err(MessageError::Name);
                    }
                    name.extend_from_slice(label);
                    at = end;
                }
                high @ 0xc0.. => {
                    let low = *self.packet.get(at + 1).ok_or(MessageError::Cut)?;
                    let target = usize::from(u16::from_be_bytes([high & 0x3f, low]));
                    behind = behind.or(Some(at + 2));
                    bound = bound.min(at);
                    if target >= bound {
                        return Err(MessageError::Name);
                    }
                    (at, bound) = (target, target);
                }
                _ => return Err(MessageError::Name),
            }
        }
    }

    fn u16(&mut self) -> Result<u16, MessageError> {
        let pair = self.packet.get(self.at..self.at + 2);
        let pair = pair.ok_or(MessageError::Cut)?;
        self.at += 2;
        Ok(u16::from_be_bytes([pair[0], pair[1]]))
    }
}

/// What a message's header says; everything else in it is counted while it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head {
    pub(crate) id: u16,
    pub(crate) opcode: Opcode,
    pub(crate) is_response: bool,
    pub(crate) authoritative: bool,
    pub(crate) recursion_desired: bool,
}

/// A section of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Section {
    Answer = 6,
    Authority = 8,
}

/// The record does not fit into this message any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

/// A message being written.
#[derive(Debug)]
pub(crate) struct Builder {
    out: Vec<u8>,
    limit: usize,
    records: usize,
    /// Where the name that ends at the end of another name is spelled out, by its bytes.
    names: HashMap<Box<[u8]>, u16>,
}

impl Builder {
    /// Starts a message of at most `limit` bytes, TSIG not counted.
    pub(crate) fn new(head: Head, question: Option<&[u8]>, limit: usize) -> Self {
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(&head.id.to_be_bytes());
        out.push(
            u8::from(head.is_response) << 7
                | head.opcode.0 << 3
                | u8::from(head.authoritative) << 2
                | u8::from(head.recursion_desired),
        );
        out.extend_from_slice(&[0; 9]);
        let mut names = HashMap::new();
        if let Some(question) = question {
            out[5] = 1;
            out.extend_from_slice(question);
            if let Some(bytes) = name_bytes(question) {
                let name = question[..bytes].to_ascii_lowercase();
                remember(&mut names, &name, HEADER_BYTES);
            }
        }
        Self {
            out,
            limit,
            records: 0,
            names,
        }
    }

    /// Adds a record of class IN.
    ///
    /// # Errors
    /// [`Full`] when it might not fit; nothing is written then.
    pub(crate) fn record(&mut self, section: Section, record: RecordRef<'_>) -> Result<(), Full> {
        self.raw(section, record, Class::IN)
    }

    /// Adds a record of any class.
    ///
    /// # Errors
    /// As for [`Builder::record`].
    pub(crate) fn raw(
        &mut self,
        section: Section,
        record: RecordRef<'_>,
        class: Class,
    ) -> Result<(), Full> {
        let bytes_max = record.owner.len() + 10 + record.data.len();
        if self.out.len() + bytes_max > self.limit || self.records == RECORDS_MAX {
            return Err(Full);
        }
        self.name(record.owner, record.owner);
        self.out.extend_from_slice(&record.rtype.0.to_be_bytes());
        self.out.extend_from_slice(&class.0.to_be_bytes());
        self.out
            .extend_from_slice(&record.ttl_seconds.to_be_bytes());
        let length_at = self.out.len();
        self.out.extend_from_slice(&[0, 0]);
        self.data(&record);
        // Not longer than the data as it is in the record, which came with 16 bits of length.
        let length = (self.out.len() - length_at - 2) as u16;
        self.out[length_at..length_at + 2].copy_from_slice(&length.to_be_bytes());
        let at = section as usize;
        let count = u16::from_be_bytes([self.out[at], self.out[at + 1]]).saturating_add(1);
        self.out[at..at + 2].copy_from_slice(&count.to_be_bytes());
        self.records += 1;
        Ok(())
    }

    fn data(&mut self, record: &RecordRef<'_>) {
        let mut at = 0;
        if compresses(record.rtype) {
            for field in layout(record.rtype) {
                let rest = &record.data[at.min(record.data.len())..];
                match (field, name_bytes(rest)) {
                    (Field::Name, Some(bytes)) => {
                        let lowered = rest[..bytes].to_ascii_lowercase();
                        self.name(&rest[..bytes], &lowered);
                        at += bytes;
                    }
                    (Field::Bytes(bytes), _) if *bytes <= rest.len() => {
                        self.out.extend_from_slice(&rest[..*bytes]);
                        at += bytes;
                    }
                    _ => break,
                }
            }
        }
        self.out.extend_from_slice(&record.data[at..]);
    }

    /// Writes a name, as far as it was not written before.
    fn name(&mut self, name: &[u8], lowered: &[u8]) {
        let mut at = 0;
        while let Some(parent) = parent_of(&lowered[at..]) {
            if let Some(known) = self.names.get(&lowered[at..]) {
                let pointer = 0xc000 | known;
                self.out.extend_from_slice(&pointer.to_be_bytes());
                return;
            }
            let place = self.out.len();
            if place <= POINTER_MAX {
                // Within 14 bits by the line before.
                self.names.insert(lowered[at..].into(), place as u16);
            }
            let end = lowered.len() - parent.len();
            self.out.extend_from_slice(&name[at..end]);
            at = end;
        }
        self.out.push(0);
    }

    /// Completes the message; with `edns`, the largest UDP message we receive, it ends with OPT.
    pub(crate) fn finish(mut self, rcode: Rcode, edns: Option<u16>) -> Vec<u8> {
        self.out[3] = rcode.low_bits();
        if let Some(udp_bytes_max) = edns {
            self.out.push(0);
            self.out.extend_from_slice(&RType::OPT.0.to_be_bytes());
            self.out.extend_from_slice(&udp_bytes_max.to_be_bytes());
            self.out
                .extend_from_slice(&[rcode.high_bits(), 0, 0, 0, 0, 0]);
            self.out[11] += 1;
        }
        self.out
    }
}

fn remember(names: &mut HashMap<Box<[u8]>, u16>, name: &[u8], at: usize) {
    let mut rest = name;
    while let Some(parent) = parent_of(rest) {
        let place = at + name.len() - rest.len();
        if place <= POINTER_MAX {
            // Within 14 bits by the line before.
            names.insert(rest.into(), place as u16);
        }
        rest = parent;
    }
}

#[cfg(test)]
mod tests;
