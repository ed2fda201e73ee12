//! The index over IPv4: two loads for nearly every address, no search.
//!
//! Structure: one entry for each value of an address's top sixteen bits. A /16 that ranges cut a few
//! times leads to its first range: the few starts behind it are side by side in memory and compared one
//! and all. One that is cut more often leads to a block of 256 entries, one for each /24. An entry is the
//! whole answer, class and scope, wherever the ranges leave the /16 or /24 whole: every address in it then
//! has the same shortest prefix. A /24 that ranges cut is searched from its first range on, in steps that
//! double: it has at most 256 and mostly two or three.
//! (The scheme is Gupta, Lin and McKeown's DIR-24-8, with the first step split so that /16s of few ranges
//! cost four bytes. A block has a kilobyte and is seldom in a cache; the starts of few ranges are.)
//!
//! Memory: 256 KiB and 1 KiB for each /16 that is cut more than [`FEW_MAX`] times, so 64 MiB at the very
//! most.

use std::ops::Range;

use super::ranges::Cover;
use super::table::NO_RANGE;
use super::{ClassId, ClassMatch};

/// The upper two bits of an entry say what the rest is.
const KIND: u32 = 0b11 << 30;
/// The rest is a class (bits 0–15) and a prefix length (bits 16–21).
const ANSWER: u32 = 0b00 << 30;
/// The rest is the number of a block.
const BLOCK: u32 = 0b01 << 30;
/// The rest is the number of the range that holds the first address of the /24.
const SEARCH: u32 = 0b10 << 30;
/// The rest is the number of the range that holds the first address of the /16, and below it, in
/// [`FEW_BITS`], how many more begin in it.
const FEW: u32 = 0b11 << 30;
const FEW_BITS: u32 = 4;
/// Most cuts of a /16 that are compared one and all.
const FEW_MAX: usize = (1 << FEW_BITS) - 1;
/// The first range whose number has no room beside [`FEW_BITS`].
const FEW_RANGES: usize = 1 << (30 - FEW_BITS);

/// Values of sixteen bits.
const TOPS: usize = 1 << 16;

/// The index; see the module's comment.
#[derive(Clone)]
pub(super) struct Direct {
    top: Box<[u32; TOPS]>,
    blocks: Vec<[u32; 256]>,
}

impl Direct {
    /// The index over a cover's ranges.
    pub fn new(cover: &Cover<u32>) -> Self {
        let mut top = Vec::with_capacity(TOPS);
        let mut blocks = Vec::new();
        // The range that holds the first address of what is looked at.
        let mut range = 0;
        for high in 0..TOPS as u32 {
            let first = high << 16;
            range = skip(cover, range, first);
            if is_whole(cover, range, first | 0xffff) {
                top.push(answer(cover, range, first));
                continue;
            }
            let cuts = skip(cover, range, first | 0xffff) - range;
            if cuts <= FEW_MAX && range < FEW_RANGES {
                top.push(FEW | (range as u32) << FEW_BITS | cuts as u32);
                continue;
            }
            let mut block = [0; 256];
            for (middle, entry) in block.iter_mut().enumerate() {
                let first = first | (middle as u32) << 8;
                range = skip(cover, range, first);
                *entry = if is_whole(cover, range, first | 0xff) {
                    answer(cover, range, first)
                } else {
                    // Covers have at most 2^28 ranges.
                    SEARCH | range as u32
                };
            }
            top.push(BLOCK | blocks.len() as u32);
            blocks.push(block);
        }
        blocks.shrink_to_fit();
        let top = top.into_boxed_slice().try_into();
        Self {
            top: top.unwrap_or_else(|_| unreachable!("an entry was pushed for each of {TOPS}")),
            blocks,
        }
    }

    /// The class of an address and its scope, in the cover that the index was made for.
    #[inline]
    pub fn lookup(&self, cover: &Cover<u32>, address: u32) -> ClassMatch {
        let mut entry = self.top[(address >> 16) as usize];
        if entry & KIND == FEW {
            let rest = entry & !KIND;
            let (range, cuts) = ((rest >> FEW_BITS) as usize, rest as usize & FEW_MAX);
            let starts = cover.starts()[range + 1..].iter().take(cuts);
            let before = starts.filter(|start| **start <= address).count();
            return cover.matched(range + before, address);
        }
        if entry & KIND == BLOCK {
            let block = (entry & !KIND) as usize;
            entry = self.blocks[block][(address >> 8 & 0xff) as usize];
        }
        if entry & KIND == SEARCH {
            return cover.find(gallop(cover, (entry & !KIND) as usize, address), address);
        }
        ClassMatch {
            class: ClassId(entry & 0xffff),
            prefix_len: (entry >> 16) as u8,
            range: NO_RANGE,
        }
    }

    /// Bytes that the index holds.
    pub fn memory_bytes(&self) -> usize {
        size_of_val(&*self.top) + self.blocks.capacity() * size_of::<[u32; 256]>()
    }
}

/// Ranges among which that of an address is; `range` is the first of its /24, which begins at or before
/// the address.
#[inline]
fn gallop(cover: &Cover<u32>, range: usize, address: u32) -> Range<usize> {
    let starts = cover.starts();
    let (mut low, mut step) = (range, 1);
    while starts
        .get(low + step)
        .is_some_and(|start| *start <= address)
    {
        low += step;
        step *= 2;
    }
    low..starts.len().min(low + step)
}

impl std::fmt::Debug for Direct {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Direct")
            .field("blocks", &self.blocks.len())
            .finish_non_exhaustive()
    }
}

/// The range that holds `address`, not before `range`.
fn skip(cover: &Cover<u32>, mut range: usize, address: u32) -> usize {
    let starts = cover.starts();
    while starts.get(range + 1).is_some_and(|next| *next <= address) {
        range += 1;
    }
    range
}

/// Whether a range goes on to `last`.
fn is_whole(cover: &Cover<u32>, range: usize, last: u32) -> bool {
    cover
        .starts()
        .get(range + 1)
        .is_none_or(|next| *next > last)
}

fn answer(cover: &Cover<u32>, range: usize, address: u32) -> u32 {
    let prefix_len = u32::from(cover.prefix_len(range, address));
    ANSWER | prefix_len << 16 | u32::from(cover.classes()[range])
}
