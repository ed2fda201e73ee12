//! Compact denial of existence (RFC 9824): one NSEC record at the very name asked for.
//!
//! The record says which types the name has; the next name is the name's first possible successor,
//! so nothing else is denied and the zone cannot be walked. A name that does not exist is said to
//! exist with the type NXNAME alone.

use crate::wire::{NAME_BYTES_MAX, RType};

/// Most bytes of NSEC data made here: the next name and the bitmaps of 256 type numbers each that
/// fit behind it.
pub(crate) const NSEC_BYTES_MAX: usize = 1_024;

/// Bytes of one window's bitmap (RFC 4034 §4.1.2).
const WINDOW_BYTES: usize = 32;
/// A window's number and length, and its bitmap.
const WINDOW_SPACE: usize = 2 + WINDOW_BYTES;

/// The types of a name, below 256: all that this server adds to a name's own records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct LowTypes([u8; WINDOW_BYTES]);

impl LowTypes {
    pub(crate) fn insert(&mut self, rtype: RType) {
        if let Some(byte) = self.0.get_mut(usize::from(rtype.0 / 8)) {
            *byte |= 0x80 >> (rtype.0 % 8);
        }
    }

    pub(crate) fn remove(&mut self, rtype: RType) {
        if let Some(byte) = self.0.get_mut(usize::from(rtype.0 / 8)) {
            *byte &= !(0x80 >> (rtype.0 % 8));
        }
    }
}

/// Writes NSEC data for a lowercased name: `low` types and, in ascending order, those of the name's
/// own types that are 256 and above. Returns the length.
pub(crate) fn write_nsec(
    to: &mut [u8; NSEC_BYTES_MAX],
    name: &[u8],
    low: LowTypes,
    high: impl Iterator<Item = RType>,
) -> usize {
    let mut at = write_successor(to, name);
    at += write_window(&mut to[at..], 0, &low.0);
    let mut window = (0, [0; WINDOW_BYTES]);
    for rtype in high {
        let [number, bit] = rtype.0.to_be_bytes();
        if number != window.0 {
            at += write_window(&mut to[at..], window.0, &window.1);
            window = (number, [0; WINDOW_BYTES]);
        }
        window.1[usize::from(bit / 8)] |= 0x80 >> (bit % 8);
    }
    at + write_window(&mut to[at..], window.0, &window.1)
}

/// Writes one window up to its last byte that is not 0; an empty one, or one that there is no room
/// for, is left out.
fn write_window(to: &mut [u8], number: u8, bits: &[u8; WINDOW_BYTES]) -> usize {
    let length = WINDOW_BYTES - bits.iter().rev().take_while(|byte| **byte == 0).count();
    if length == 0 || to.len() < WINDOW_SPACE {
        return 0;
    }
    to[0] = number;
    // At most 32.
    to[1] = length as u8;
    to[2..2 + length].copy_from_slice(&bits[..length]);
    2 + length
}

/// The name that follows immediately in canonical order: `\000` below the name where it fits, else
/// the name with its first label grown by a zero byte, else with its last byte raised (RFC 4471
/// §3.1.2). Returns the length.
fn write_successor(to: &mut [u8; NSEC_BYTES_MAX], name: &[u8]) -> usize {
    if name.len() + 2 <= NAME_BYTES_MAX {
        to[..2].copy_from_slice(&[1, 0]);
        to[2..2 + name.len()].copy_from_slice(name);
        return 2 + name.len();
    }
    let first = usize::from(name[0]);
    let (label, rest) = name[1..].split_at(first);
    if name.len() < NAME_BYTES_MAX && first < 63 {
        to[0] = name[0] + 1;
        to[1..=first].copy_from_slice(label);
        to[first + 1] = 0;
        to[first + 2..first + 2 + rest.len()].copy_from_slice(rest);
        return name.len() + 1;
    }
    // Bytes of 255 at the end cannot be raised; what is cut off with them sorts before the result.
    let kept = label.len() - label.iter().rev().take_while(|byte| **byte == 0xff).count();
    let Some(last) = kept.checked_sub(1) else {
        // All bytes are 255: the successor of the parent's last child is the apex's, which every
        // validator takes for the end of the chain; there the name itself will do.
        to[..rest.len()].copy_from_slice(rest);
        return rest.len();
    };
    to[0] = kept as u8;
    to[1..=kept].copy_from_slice(&label[..kept]);
    // Upper case would be read as lower case, which sorts elsewhere.
    to[1 + last] = match label[last] {
        b'@' => b'[',
        byte => byte + 1,
    };
    to[1 + kept..1 + kept + rest.len()].copy_from_slice(rest);
    1 + kept + rest.len()
}
