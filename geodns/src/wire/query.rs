//! Reading a query: header, the one question, OPT and its options ([`super::options`]). What has to be
//! worked out, the lowercased name and OPT, goes into room that the caller has and stays there: a copy
//! of bytes written just before waits until the processor has stored them.
//!
//! The outcome is a [`Query`] to answer or a [`Rejection`]: either an error to send, with as much
//! of the query as could be read, or silence. Silence is kept for what may not be answered at all
//! (responses, and packets shorter than a header): answering those lets two servers be played
//! against each other.

use super::{
    Class, ClientSubnet, Cookie, HEADER_BYTES, LowerName, Opcode, PLAIN_UDP_BYTES_MAX, RType,
    Rcode, options, u16_at,
};

/// Additional records a query may carry; more is FORMERR, so that a packet cannot buy a long walk.
pub const ADDITIONALS_MAX: u16 = 16;

/// Bytes of an OPT record without options: root name, type, class, TTL, length.
pub const OPT_RECORD_BYTES: usize = 11;

/// The parts of a header that a response repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The client's transaction id.
    pub id: u16,
    /// The operation asked for.
    pub opcode: Opcode,
    /// RD, mirrored into the response as RFC 1035 asks.
    pub recursion_desired: bool,
}

/// The question of a query.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The name, lowercased for lookups.
    pub name: &'a LowerName,
    /// Name, type and class as they arrived: copied into the response, which keeps the client's
    /// upper and lower case (draft-vixie-dnsext-dns0x20).
    pub wire: &'a [u8],
    /// The type asked for.
    pub rtype: RType,
    /// The class asked for.
    pub class: Class,
}

/// Room for the parts of a query that are not read where they stand in the packet.
#[derive(Clone, Debug, Default)]
pub struct QueryRoom {
    name: LowerName,
    edns: Edns,
}

/// The OPT record of a query (RFC 6891).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Edns {
    /// EDNS version; only 0 exists.
    pub version: u8,
    /// The largest UDP response the client takes, at least 512 bytes.
    pub udp_bytes_max: usize,
    /// DO, mirrored into the response (RFC 3225).
    pub dnssec_ok: bool,
    /// CO: the client takes a compact denial with the code NXDOMAIN (RFC 9824 §5.1).
    pub compact_ok: bool,
    /// The client subnet, if it was sent.
    pub subnet: Option<ClientSubnet>,
    /// The cookie, if it was sent.
    pub cookie: Option<Cookie>,
    /// Bytes in the edns-tcp-keepalive option, if it was sent; a query's carries none.
    pub keepalive_bytes: Option<u16>,
    /// Whether the response may be padded (RFC 7830 §4: only when the query was).
    pub padding: bool,
    /// Whether the client asks which server this is.
    pub nsid: bool,
}

/// A query that could be read whole.
#[derive(Clone, Debug)]
pub struct Query<'a> {
    /// What the response repeats of the header.
    pub header: Header,
    /// The one question.
    pub question: Question<'a>,
    /// EDNS, if the client speaks it.
    pub edns: Option<&'a Edns>,
}

/// A packet that is not a query to look up: malformed, of another operation or version, or asking for
/// a cookie alone.
#[derive(Clone, Debug)]
pub enum Rejection<'a> {
    /// Send nothing: not even a header, or a response.
    Silence,
    /// Hand it to the slow path: NOTIFY, UPDATE, or a query with a signature (TSIG).
    Slow,
    /// Send an error; NOERROR when a cookie alone was asked for.
    Error {
        /// The code to send.
        rcode: Rcode,
        /// What the response repeats of the header.
        header: Header,
        /// The question, when it was read before the error.
        question: Option<&'a [u8]>,
        /// OPT, when it was read before the error; without it the error goes out plain.
        edns: Option<&'a Edns>,
    },
}

impl<'a> Query<'a> {
    /// Reads a packet.
    ///
    /// # Errors
    /// [`Rejection`] says what to send instead of an answer.
    #[inline]
    pub fn read(packet: &'a [u8], room: &'a mut QueryRoom) -> Result<Self, Rejection<'a>> {
        let QueryRoom { name, edns } = room;
        let header = read_header(packet)?;
        let fail = |rcode, question, edns| Rejection::Error {
            rcode,
            header,
            question,
            edns,
        };
        if header.opcode.is_slow() {
            return Err(Rejection::Slow);
        }
        if header.opcode != Opcode::QUERY {
            return Err(fail(Rcode::NotImp, None, None));
        }
        let count = |at| u16_at(packet, at).unwrap_or(0);
        let (questions, answers, authorities, additionals) =
            (count(4), count(6), count(8), count(10));
        if questions > 1 || answers != 0 || additionals > ADDITIONALS_MAX {
            return Err(fail(Rcode::FormErr, None, None));
        }
        if questions == 0 {
            let (rcode, edns) = without_question(packet, authorities, additionals, edns);
            return Err(fail(rcode, None, edns));
        }
        let question =
            read_question(packet, name).ok_or_else(|| fail(Rcode::FormErr, None, None))?;
        // An incremental transfer carries the client's SOA; it is refused later, not malformed.
        let authorities_max = u16::from(question.rtype == RType::IXFR);
        if authorities > authorities_max {
            return Err(fail(Rcode::FormErr, Some(question.wire), None));
        }
        let mut records = Records::at(packet, HEADER_BYTES + question.wire.len());
        let read = read_records(&mut records, authorities, additionals, edns);
        let edns = records.opt.then_some(&*edns);
        if read.is_none() {
            return Err(fail(Rcode::FormErr, Some(question.wire), edns));
        }
        if records.signed {
            return Err(Rejection::Slow);
        }
        if let Some(edns) = edns
            && edns.version != 0
        {
            return Err(fail(Rcode::BadVers, Some(question.wire), Some(edns)));
        }
        Ok(Self {
            header,
            question,
            edns,
        })
    }
}

fn read_header(packet: &[u8]) -> Result<Header, Rejection<'_>> {
    let Some(head) = packet.first_chunk::<HEADER_BYTES>() else {
        return Err(Rejection::Silence);
    };
    if head[2] & 0x80 != 0 {
        return Err(Rejection::Silence);
    }
    Ok(Header {
        id: u16::from_be_bytes([head[0], head[1]]),
        opcode: Opcode((head[2] >> 3) & 0x0f),
        recursion_desired: head[2] & 0x01 != 0,
    })
}

#[inline]
fn read_question<'a>(packet: &'a [u8], name: &'a mut LowerName) -> Option<Question<'a>> {
    let end = name.read(packet, HEADER_BYTES).ok()?;
    let rtype = RType(u16_at(packet, end)?);
    let class = Class(u16_at(packet, end + 2)?);
    Some(Question {
        name,
        wire: &packet[HEADER_BYTES..end + 4],
        rtype,
        class,
    })
}

/// A query for nothing but a fresh cookie is answered with one (RFC 7873 §5.4); any other without a
/// question is malformed.
fn without_question<'a>(
    packet: &[u8],
    authorities: u16,
    additionals: u16,
    edns: &'a mut Edns,
) -> (Rcode, Option<&'a Edns>) {
    let mut records = Records::at(packet, HEADER_BYTES);
    if authorities > 0 {
        return (Rcode::FormErr, None);
    }
    let read = read_records(&mut records, 0, additionals, edns);
    match (read, records.opt.then_some(&*edns)) {
        (Some(()), Some(edns)) if edns.version != 0 => (Rcode::BadVers, Some(edns)),
        (Some(()), Some(edns)) if edns.cookie.is_some() => (Rcode::NoError, Some(edns)),
        (_, edns) => (Rcode::FormErr, edns),
    }
}

/// Reads everything behind the question, OPT into `edns`; `None` for a fault. OPT that was understood
/// before it counts ([`Records::opt`]), so that the FORMERR can go out with EDNS.
#[inline]
fn read_records(
    records: &mut Records<'_>,
    authorities: u16,
    additionals: u16,
    edns: &mut Edns,
) -> Option<()> {
    for _ in 0..authorities {
        records.next()?;
    }
    for _ in 0..additionals {
        let record = records.next()?;
        records.signed |= record.rtype == RType::TSIG;
        if record.rtype != RType::OPT {
            continue;
        }
        if records.opt || !record.owner_is_root {
            return None;
        }
        records.opt = true;
        *edns = record.edns();
        // Options of a version we do not know are not ours to judge (RFC 6891 §6.1.3).
        if edns.version == 0 && options::read(edns, record.data).is_err() {
            // It may be the subnet that was malformed, so none is answered.
            edns.subnet = None;
            return None;
        }
    }
    (records.at == records.packet.len()).then_some(())
}

/// A record of a query, as much of it as is looked at.
pub(super) struct RawRecord<'a> {
    owner_is_root: bool,
    rtype: RType,
    class: u16,
    pub(super) ttl: [u8; 4],
    data: &'a [u8],
}

impl RawRecord<'_> {
    /// OPT's fixed part: size in the class field, version and flags in the TTL (RFC 6891 §6.1.3).
    fn edns(&self) -> Edns {
        Edns {
            version: self.ttl[1],
            udp_bytes_max: usize::from(self.class).max(PLAIN_UDP_BYTES_MAX),
            dnssec_ok: self.ttl[2] & 0x80 != 0,
            compact_ok: self.ttl[2] & 0x40 != 0,
            subnet: None,
            cookie: None,
            keepalive_bytes: None,
            padding: false,
            nsid: false,
        }
    }
}

/// A cursor over the records behind the question.
pub(super) struct Records<'a> {
    packet: &'a [u8],
    at: usize,
    /// A TSIG record went by.
    signed: bool,
    /// OPT went by.
    opt: bool,
}

impl<'a> Records<'a> {
    /// The records from an offset on.
    pub(super) fn at(packet: &'a [u8], at: usize) -> Self {
        Self {
            packet,
            at,
            signed: false,
            opt: false,
        }
    }

    /// The next record, or `None` when the packet ends inside it.
    pub(super) fn next(&mut self) -> Option<RawRecord<'a>> {
        let owner_is_root = *self.packet.get(self.at)? == 0;
        let fixed = skip_name(self.packet, self.at)?;
        let ttl = *self.packet.get(fixed + 4..)?.first_chunk::<4>()?;
        let length = usize::from(u16_at(self.packet, fixed + 8)?);
        let data = self.packet.get(fixed + 10..fixed + 10 + length)?;
        let record = RawRecord {
            owner_is_root,
            rtype: RType(u16_at(self.packet, fixed)?),
            class: u16_at(self.packet, fixed + 2)?,
            ttl,
            data,
        };
        self.at = fixed + 10 + length;
        Some(record)
    }
}

/// The offset behind a name that may end in a compression pointer; the pointer is not followed.
fn skip_name(packet: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *packet.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=0x3f => at += 1 + usize::from(length),
            pointer if pointer & 0xc0 == 0xc0 => return Some(at + 2),
            _ => return None,
        }
    }
}
