//! Writing a response into the caller's buffer, one whole record set at a time.
//!
//! Record sets arrive precompiled (see [`crate::zone::RrSet`]): each record starts with a two-byte
//! compression pointer to the question, so the common answer is one copy. A set for another owner
//! (the target of a CNAME, the zone's apex) is copied record by record with that pointer replaced;
//! every such owner was written before as a suffix of some name, so a pointer always exists.
//!
//! Limits: a set that does not fit is left out whole and the response is marked truncated
//! (RFC 2181 §9). Room for OPT is set aside first, because a truncated response needs it most.

mod service;
mod spelled;

use std::net::IpAddr;

use super::{HEADER_BYTES, Header, NAME_BYTES_MAX, OptReply, RType, Rcode};

/// A compression pointer has 14 bits.
const POINTER_LIMIT: usize = 0x4000;

/// Bytes of a record before its data when the owner is a pointer.
pub const RECORD_HEAD_BYTES: usize = 12;

/// An owner name by the place in this message where it is spelled out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner(u16);

impl Owner {
    /// The name in the question.
    pub const QUESTION: Self = Self(HEADER_BYTES as u16);

    /// The ancestor of this name that starts `bytes` further on.
    #[must_use]
    pub fn ancestor(self, bytes: usize) -> Self {
        // A name has at most 255 bytes, and zone building keeps every spelled-out name below the
        // 14 bits of a pointer (`zone::NS_SET_BYTES_MAX`).
        Self(self.0 + bytes as u16)
    }

    pub(crate) fn pointer(self) -> [u8; 2] {
        (0xc000 | self.0).to_be_bytes()
    }
}

/// Where in the message a record set landed, to point at names inside its data.
#[derive(Clone, Copy, Debug)]
pub struct TargetAt(usize);

impl TargetAt {
    /// The name spelled out `offset` bytes into the set's precompiled form; `None` where a
    /// compression pointer does not reach (RFC 1035 §4.1.4).
    #[must_use]
    pub fn name(self, offset: usize) -> Option<Owner> {
        let at = self.0 + offset;
        // The last byte of the longest name must be reached, too, for its ancestors.
        (at + NAME_BYTES_MAX < POINTER_LIMIT).then_some(Owner(at as u16))
    }
}

/// How far a response was written.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    len: usize,
    counts: [u16; 3],
}

/// A section that records are added to; they must be filled in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Section {
    /// What was asked for.
    Answer,
    /// The SOA of a negative answer, the NS of a referral.
    Authority,
    /// Glue.
    Additional,
}

/// A record set did not fit; the response is marked truncated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

/// An extended DNS error (RFC 8914).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExtendedError {
    /// The INFO-CODE.
    pub code: u16,
    /// EXTRA-TEXT for whoever reads the packet; short, because it is sent to unverified sources.
    pub text: &'static str,
}

/// What goes into the header when the response is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// AA: the answer is from our zone.
    Ours,
    /// A referral or an error: AA stays clear.
    None,
}

/// A response being written.
pub struct ResponseWriter<'b> {
    out: &'b mut [u8],
    len: usize,
    /// Records end here; OPT may go on to `limit + reserved`.
    limit: usize,
    counts: [u16; 3],
    header: Header,
    truncated: bool,
    /// CO in the response's OPT.
    compact_ok: bool,
    opt: Option<OptReply<'b>>,
}

impl<'b> ResponseWriter<'b> {
    /// Starts a response of at most `limit` bytes with the question copied as it came; `None` when
    /// `out` cannot even hold that much.
    pub fn start(
        out: &'b mut [u8],
        limit: usize,
        header: Header,
        question: Option<&[u8]>,
        opt: Option<OptReply<'b>>,
    ) -> Option<Self> {
        let reserved = opt.map_or(0, |opt| opt.reserved_bytes());
        let limit = limit.min(out.len()).checked_sub(reserved)?;
        let question_bytes = question.map_or(0, <[u8]>::len);
        let len = HEADER_BYTES + question_bytes;
        if len > limit {
            return None;
        }
        if let Some(question) = question {
            out[HEADER_BYTES..len].copy_from_slice(question);
        }
        out[4..6].copy_from_slice(&u16::from(question.is_some()).to_be_bytes());
        Some(Self {
            out,
            len,
            limit,
            counts: [0; 3],
            header,
            truncated: false,
            compact_ok: false,
            opt,
        })
    }

    /// Adds a precompiled record set of `count` records.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; nothing is written then.
    pub fn rrset(
        &mut self,
        section: Section,
        owner: Owner,
        records: &[u8],
        count: u16,
    ) -> Result<TargetAt, Full> {
        let at = self.claim(records.len())?;
        let to = &mut self.out[at..at + records.len()];
        to.copy_from_slice(records);
        if owner != Owner::QUESTION {
            set_owners(to, owner);
        }
        self.counts[section as usize] += count;
        Ok(TargetAt(at))
    }

    /// Adds one record set of addresses to the answer section; all of one family.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; nothing is written then.
    pub fn addresses(
        &mut self,
        owner: Owner,
        ttl_seconds: u32,
        addresses: impl Iterator<Item = IpAddr> + Clone,
    ) -> Result<(), Full> {
        let bytes = addresses
            .clone()
            .map(|address| RECORD_HEAD_BYTES + address_bytes(address))
            .sum();
        let mut at = self.claim(bytes)?;
        for address in addresses {
            let (rtype, octets) = match address {
                IpAddr::V4(_) => (RType::A, 4),
                IpAddr::V6(_) => (RType::AAAA, 16),
            };
            let data = write_record_head(&mut self.out[at..], owner, rtype, ttl_seconds, octets);
            match address {
                IpAddr::V4(address) => data.copy_from_slice(&address.octets()),
                IpAddr::V6(address) => data.copy_from_slice(&address.octets()),
            }
            at += RECORD_HEAD_BYTES + octets;
            self.counts[Section::Answer as usize] += 1;
        }
        Ok(())
    }

    /// Adds a CNAME; returns where its target is spelled out, if a pointer reaches so far.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; nothing is written then.
    pub fn cname(
        &mut self,
        owner: Owner,
        ttl_seconds: u32,
        target: &[u8],
    ) -> Result<Option<Owner>, Full> {
        let at = self.claim(RECORD_HEAD_BYTES + target.len())?;
        write_record_head(
            &mut self.out[at..],
            owner,
            RType::CNAME,
            ttl_seconds,
            target.len(),
        )
        .copy_from_slice(target);
        self.counts[Section::Answer as usize] += 1;
        Ok(TargetAt(at).name(RECORD_HEAD_BYTES))
    }

    /// Adds a precompiled record set to the additional section if it fits; says whether it did. What
    /// is left out is no loss that a client must hear of (RFC 2181 §9).
    pub fn extra(&mut self, owner: Owner, records: &[u8], count: u16) -> bool {
        if records.len() > self.limit - self.len {
            return false;
        }
        self.rrset(Section::Additional, owner, records, count)
            .is_ok()
    }

    /// Adds one record whose data comes in parts.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; nothing is written then.
    pub fn record(
        &mut self,
        section: Section,
        owner: Owner,
        rtype: RType,
        ttl_seconds: u32,
        data: &[&[u8]],
    ) -> Result<(), Full> {
        let bytes = data.iter().map(|part| part.len()).sum();
        let at = self.claim(RECORD_HEAD_BYTES + bytes)?;
        let mut to = write_record_head(&mut self.out[at..], owner, rtype, ttl_seconds, bytes);
        for part in data {
            let (here, rest) = to.split_at_mut(part.len());
            here.copy_from_slice(part);
            to = rest;
        }
        self.counts[section as usize] += 1;
        Ok(())
    }

    /// The place reached, to read what comes after it or to go back to it.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark {
            len: self.len,
            counts: self.counts,
        }
    }

    /// The records written since.
    #[must_use]
    pub fn since(&self, mark: Mark) -> &[u8] {
        &self.out[mark.len..self.len]
    }

    /// Takes back what was written since, as what does not fit, and marks the response truncated.
    pub fn take_back(&mut self, mark: Mark) {
        (self.len, self.counts) = (mark.len, mark.counts);
        self.truncated = true;
    }

    /// Takes every record back and clears the truncation mark.
    pub fn clear(&mut self, start: Mark) {
        self.take_back(start);
        self.truncated = false;
    }

    /// Room for `bytes` more, or the truncation mark.
    fn claim(&mut self, bytes: usize) -> Result<usize, Full> {
        let at = self.len;
        if bytes > self.limit - at {
            self.truncated = true;
            return Err(Full);
        }
        self.len += bytes;
        Ok(at)
    }

    /// Whether a record set was left out.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Marks the response truncated although everything fitted: the client is to ask over TCP.
    pub fn truncate(&mut self) {
        self.truncated = true;
    }

    /// Narrows the scope of the answer, when a client subnet is answered, to `scope` bits: an answer
    /// along a chain of aliases holds for no more clients than its narrowest link.
    pub fn narrow_scope(&mut self, scope: u8) {
        if let Some(OptReply {
            subnet: Some((_, to)),
            ..
        }) = &mut self.opt
        {
            *to = (*to).max(scope);
        }
    }

    /// Sets CO, when the client speaks EDNS: the answer follows the rules of RFC 9824 §5.1.
    pub fn set_compact_ok(&mut self) {
        self.compact_ok = true;
    }

    /// The reason to send beside an error code, when the client speaks EDNS.
    pub fn set_error(&mut self, error: ExtendedError) {
        if let Some(opt) = &mut self.opt {
            opt.error = Some(error);
        }
    }

    /// Writes OPT and the header; returns the length of the message.
    #[must_use]
    pub fn finish(mut self, rcode: Rcode, authority: Authority) -> usize {
        if let Some(opt) = self.opt {
            let at = self.len;
            self.len += opt.write(&mut self.out[at..], at, rcode);
            // The second bit of the flags, beside DO.
            self.out[at + 7] |= u8::from(self.compact_ok) << 6;
        }
        let head = &mut self.out[..HEADER_BYTES];
        head[0..2].copy_from_slice(&self.header.id.to_be_bytes());
        // QR, opcode, AA, TC, RD; RA, Z, AD and CD stay clear (RFC 4035 §3.1.6 for the last two).
        head[2] = 0x80
            | (self.header.opcode.0 << 3)
            | (u8::from(authority == Authority::Ours) << 2)
            | (u8::from(self.truncated) << 1)
            | u8::from(self.header.recursion_desired);
        head[3] = rcode.low_bits();
        let additionals = self.counts[2] + u16::from(self.opt.is_some());
        head[6..8].copy_from_slice(&self.counts[0].to_be_bytes());
        head[8..10].copy_from_slice(&self.counts[1].to_be_bytes());
        head[10..12].copy_from_slice(&additionals.to_be_bytes());
        self.len
    }
}

fn address_bytes(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 4,
        IpAddr::V6(_) => 16,
    }
}

/// Writes pointer, type, class IN, TTL and length; returns the place of the data.
fn write_record_head(
    to: &mut [u8],
    owner: Owner,
    rtype: RType,
    ttl_seconds: u32,
    data_bytes: usize,
) -> &mut [u8] {
    to[0..2].copy_from_slice(&owner.pointer());
    to[2..4].copy_from_slice(&rtype.0.to_be_bytes());
    to[4..6].copy_from_slice(&[0, 1]);
    to[6..10].copy_from_slice(&ttl_seconds.to_be_bytes());
    // An address or a name: at most 255.
    to[10..12].copy_from_slice(&(data_bytes as u16).to_be_bytes());
    &mut to[RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + data_bytes]
}

/// Points every record of a copied set at another owner.
fn set_owners(mut records: &mut [u8], owner: Owner) {
    while let Some(head) = records.first_chunk_mut::<RECORD_HEAD_BYTES>() {
        head[..2].copy_from_slice(&owner.pointer());
        let data_bytes = usize::from(u16::from_be_bytes([head[10], head[11]]));
        records = &mut records[RECORD_HEAD_BYTES + data_bytes..];
    }
}
