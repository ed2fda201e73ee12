//! SRV, SVCB and HTTPS records, written from picks.

use std::net::IpAddr;

use super::{
    Full, Owner, RECORD_HEAD_BYTES, ResponseWriter, Section, TargetAt, address_bytes,
    write_record_head,
};
use crate::steered::{KEY_IPV4HINT, KEY_IPV6HINT, SrvRecord, Svcb};
use crate::wire::RType;

/// Bytes of an SRV record's data before its target.
const SRV_FIXED_BYTES: usize = 6;
/// Bytes of a parameter before its value.
const PARAMETER_HEAD_BYTES: usize = 4;

impl ResponseWriter<'_> {
    /// Adds one set of SRV records to the answer section; returns where, for
    /// [`ResponseWriter::srv_addresses`].
    ///
    /// # Errors
    /// [`Full`] when the set does not fit; nothing is written then.
    pub(crate) fn srv<'z>(
        &mut self,
        owner: Owner,
        ttl_seconds: u32,
        records: impl Iterator<Item = SrvRecord<'z>> + Clone,
    ) -> Result<TargetAt, Full> {
        let bytes_of = |record: &SrvRecord<'_>| SRV_FIXED_BYTES + record.target.len();
        let bytes = records
            .clone()
            .map(|record| RECORD_HEAD_BYTES + bytes_of(&record))
            .sum();
        let first = self.claim(bytes)?;
        let mut at = first;
        for record in records {
            let data = write_record_head(
                &mut self.out[at..],
                owner,
                RType::SRV,
                ttl_seconds,
                bytes_of(&record),
            );
            data[0..2].copy_from_slice(&record.priority.to_be_bytes());
            data[2..4].copy_from_slice(&record.weight.to_be_bytes());
            data[4..6].copy_from_slice(&record.port.to_be_bytes());
            data[SRV_FIXED_BYTES..].copy_from_slice(record.target);
            at += RECORD_HEAD_BYTES + bytes_of(&record);
            self.counts[Section::Answer as usize] += 1;
        }
        Ok(TargetAt(first))
    }

    /// Adds the addresses of the targets of the SRV records at `first`, as far as there is room, to
    /// the additional section (RFC 2782, "Usage rules").
    pub(crate) fn srv_addresses<'z>(
        &mut self,
        first: TargetAt,
        ttl_seconds: u32,
        records: impl Iterator<Item = SrvRecord<'z>>,
    ) {
        let mut at = 0;
        for record in records {
            let target = first.name(at + RECORD_HEAD_BYTES + SRV_FIXED_BYTES);
            at += RECORD_HEAD_BYTES + SRV_FIXED_BYTES + record.target.len();
            if let (Some(target), Some(address)) = (target, record.address) {
                self.extra_address(target, ttl_seconds, address);
            }
        }
    }

    /// Adds an address that was not asked for, if there is room: its absence is no truncation.
    fn extra_address(&mut self, owner: Owner, ttl_seconds: u32, address: IpAddr) {
        let bytes = RECORD_HEAD_BYTES + address_bytes(address);
        if bytes > self.limit - self.len {
            return;
        }
        let to = &mut self.out[self.len..];
        match address {
            IpAddr::V4(v4) => {
                let data = write_record_head(to, owner, RType::A, ttl_seconds, 4);
                data.copy_from_slice(&v4.octets());
            }
            IpAddr::V6(v6) => {
                let data = write_record_head(to, owner, RType::AAAA, ttl_seconds, 16);
                data.copy_from_slice(&v6.octets());
            }
        }
        self.len += bytes;
        self.counts[Section::Additional as usize] += 1;
    }

    /// Adds one SVCB or HTTPS record to the answer section, with hints.
    ///
    /// # Errors
    /// [`Full`] when it does not fit; nothing is written then.
    pub(crate) fn svcb(
        &mut self,
        owner: Owner,
        rtype: RType,
        ttl_seconds: u32,
        record: &Svcb,
        v4: impl ExactSizeIterator<Item = IpAddr>,
        v6: impl ExactSizeIterator<Item = IpAddr>,
    ) -> Result<(), Full> {
        let hint_bytes = |count: usize, each: usize| match count {
            0 => 0,
            count => PARAMETER_HEAD_BYTES + count * each,
        };
        let data_bytes = record.head.len()
            + record.ech.len()
            + hint_bytes(v4.len(), 4)
            + hint_bytes(v6.len(), 16);
        let at = self.claim(RECORD_HEAD_BYTES + data_bytes)?;
        let data = write_record_head(&mut self.out[at..], owner, rtype, ttl_seconds, data_bytes);
        let mut to = Cursor { to: data, at: 0 };
        to.put(&record.head);
        to.hints(KEY_IPV4HINT, 4, v4);
        to.put(&record.ech);
        to.hints(KEY_IPV6HINT, 16, v6);
        self.counts[Section::Answer as usize] += 1;
        Ok(())
    }
}

/// A place to write to that moves on.
struct Cursor<'b> {
    to: &'b mut [u8],
    at: usize,
}

impl Cursor<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.to[self.at..self.at + bytes.len()].copy_from_slice(bytes);
        self.at += bytes.len();
    }

    fn hints(&mut self, key: u16, each: usize, addresses: impl ExactSizeIterator<Item = IpAddr>) {
        if addresses.len() == 0 {
            return;
        }
        self.put(&key.to_be_bytes());
        // At most eight addresses.
        self.put(&((addresses.len() * each) as u16).to_be_bytes());
        for address in addresses {
            match address {
                IpAddr::V4(v4) => self.put(&v4.octets()),
                IpAddr::V6(v6) => self.put(&v6.octets()),
            }
        }
    }
}
