//! Record sets whose owner no name in the message spells out: the owners of NSEC and NSEC3.

use super::{Full, Owner, RECORD_HEAD_BYTES, ResponseWriter, Section, TargetAt};

/// Precompiled records, and how many.
pub(crate) type Records<'r> = (&'r [u8], u16);

impl ResponseWriter<'_> {
    /// Adds precompiled records of one owner: the labels `prefix` before the name at `above`. The
    /// first record spells it out, the others point at that.
    ///
    /// # Errors
    /// [`Full`] when not all fit; nothing is written then.
    pub(crate) fn spelled(
        &mut self,
        section: Section,
        prefix: &[u8],
        above: Owner,
        sets: [Records<'_>; 2],
    ) -> Result<(), Full> {
        // Far into a long message a pointer does not reach, and each record spells the name out.
        let first = TargetAt(self.len).name(0).filter(|_| !prefix.is_empty());
        let count: u16 = sets.iter().map(|(_, count)| count).sum();
        let spelled = if first.is_some() { 1 } else { count };
        let records: usize = sets.iter().map(|(records, _)| records.len()).sum();
        let mut at = self.claim(records + usize::from(spelled) * prefix.len())?;
        let (mut prefix, mut owner) = (prefix, above);
        for (mut records, _) in sets {
            while let Some((record, rest)) = split_record(records) {
                let (name, to) = self.out[at..].split_at_mut(prefix.len());
                name.copy_from_slice(prefix);
                to[..record.len()].copy_from_slice(record);
                to[..2].copy_from_slice(&owner.pointer());
                at += prefix.len() + record.len();
                records = rest;
                if let Some(first) = first {
                    (prefix, owner) = (&[], first);
                }
            }
        }
        self.counts[section as usize] += count;
        Ok(())
    }
}

/// The first precompiled record, and those behind it.
fn split_record(records: &[u8]) -> Option<(&[u8], &[u8])> {
    let head = records.first_chunk::<RECORD_HEAD_BYTES>()?;
    let data_bytes = usize::from(u16::from_be_bytes([head[10], head[11]]));
    records.split_at_checked(RECORD_HEAD_BYTES + data_bytes)
}
