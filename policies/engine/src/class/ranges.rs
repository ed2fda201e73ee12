//! A cover of the whole address space by ranges, each with one value.
//!
//! Structure: the sorted starts of the ranges and the class of each as a `u16` (there are at most
//! [`MAX_CLASSES`](super::MAX_CLASSES)); the first range starts at 0 and every range ends where the
//! next begins, so there is no gap to handle. Covers are built by
//! merging, never edited: laying a list of nets over a cover costs one pass over both.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use super::{ClassId, ClassMatch};

/// An address as an unsigned integer: `u32` for IPv4, `u128` for IPv6.
pub(super) trait Address: Copy + Ord + std::fmt::Debug {
    /// The all-zero address.
    const ZERO: Self;
    /// The address after this one; `None` after the last.
    fn next(self) -> Option<Self>;
    /// How many leading bits two addresses share.
    fn shared_bits(self, other: Self) -> u8;
    /// The address before this one; `None` before the first.
    fn previous(self) -> Option<Self>;
    /// The top sixteen bits: the index of a lookup's first step.
    fn top16(self) -> usize;
}

macro_rules! address {
    ($int:ty) => {
        impl Address for $int {
            const ZERO: Self = 0;
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
            fn shared_bits(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }
            fn previous(self) -> Option<Self> {
                self.checked_sub(1)
            }
            fn top16(self) -> usize {
                (self >> (<$int>::BITS - 16)) as usize
            }
        }
    };
}
address!(u32);
address!(u128);

/// A closed range of addresses with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span<A, V> {
    pub first: A,
    pub last: A,
    pub value: V,
}

/// Why serialized ranges are no cover.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "address ranges must begin at zero, rise, name existing classes and be at most {MAX_RANGES}"
)]
pub struct CoverError;

/// Most ranges of one family: every /28 of IPv4, and more than any routing table has.
pub const MAX_RANGES: usize = 1 << 28;

/// The whole address space in ranges; see the module's comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Cover<A> {
    starts: Vec<A>,
    classes: Vec<u16>,
}

impl<A: Address> Cover<A> {
    /// Everything is the unknown class.
    pub fn unknown() -> Self {
        Self {
            starts: vec![A::ZERO],
            classes: vec![0],
        }
    }

    /// Ranges from elsewhere; [`Cover::check`] says whether they are a cover.
    pub fn unchecked(starts: Vec<A>, classes: Vec<u16>) -> Self {
        Self { starts, classes }
    }

    /// Refuses what did not come from here.
    pub fn check(&self, classes: usize) -> Result<(), CoverError> {
        let sound = self.starts.first() == Some(&A::ZERO)
            && self.starts.len() == self.classes.len()
            && self.starts.windows(2).all(|pair| pair[0] < pair[1])
            && self.starts.len() <= MAX_RANGES
            && self
                .classes
                .iter()
                .all(|class| usize::from(*class) < classes);
        if sound { Ok(()) } else { Err(CoverError) }
    }

    /// The sorted first addresses of the ranges.
    pub fn starts(&self) -> &[A] {
        &self.starts
    }

    /// The class of each range.
    pub fn classes(&self) -> &[u16] {
        &self.classes
    }

    /// The class of `address` and the prefix around it that has no other, where the range of the
    /// address is one of `candidates` or the one before them.
    #[inline]
    pub fn find(&self, candidates: Range<usize>, address: A) -> ClassMatch {
        let low = candidates.start;
        let after = low + self.starts[candidates].partition_point(|start| *start <= address);
        // The first range starts at 0, so at least one start is not above the address.
        self.matched(after.saturating_sub(1), address)
    }

    /// What a lookup says of an address of a range.
    #[inline]
    pub fn matched(&self, range: usize, address: A) -> ClassMatch {
        ClassMatch {
            class: ClassId(u32::from(self.classes[range])),
            prefix_len: self.prefix_len(range, address),
            // At most MAX_RANGES.
            range: range as u32,
        }
    }

    /// Length of the shortest prefix around an address of a range that stays inside it.
    #[inline]
    pub fn prefix_len(&self, range: usize, address: A) -> u8 {
        let beyond = |edge: Option<A>| edge.map_or(0, |edge| address.shared_bits(edge) + 1);
        let before = self.starts[range].previous();
        beyond(before).max(beyond(self.starts.get(range + 1).copied()))
    }

    /// Bytes that the cover holds.
    pub fn memory_bytes(&self) -> usize {
        self.starts.capacity() * size_of::<A>() + self.classes.capacity() * size_of::<u16>()
    }

    /// Gives back what growing took too much.
    pub fn shrink(&mut self) {
        self.starts.shrink_to_fit();
        self.classes.shrink_to_fit();
    }

    /// Adds a boundary; equal neighbours melt into one range.
    fn push(&mut self, start: A, class: ClassId) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.classes.pop();
        }
        // Builders make no more than MAX_CLASSES, which a u16 counts.
        let class = class.0 as u16;
        if self.classes.last() != Some(&class) {
            self.starts.push(start);
            self.classes.push(class);
        }
    }

    /// Lays sorted, disjoint spans over this cover; `merge` decides each overlap from the class
    /// below and the span's value.
    pub fn overlay<V: Copy>(
        &self,
        spans: &[Span<A, V>],
        mut merge: impl FnMut(ClassId, V) -> ClassId,
    ) -> Self {
        let mut merged = Self {
            starts: Vec::new(),
            classes: Vec::new(),
        };
        let mut spans = spans.iter().peekable();
        for (range, (&start, &below)) in self.starts.iter().zip(&self.classes).enumerate() {
            let below = ClassId(u32::from(below));
            let end = self.starts.get(range + 1).and_then(|next| next.previous());
            let mut at = Some(start);
            while let Some(position) = at {
                let Some(span) = spans
                    .peek()
                    .filter(|s| end.is_none_or(|end| s.first <= end))
                else {
                    merged.push(position, below);
                    break;
                };
                if span.first > position {
                    merged.push(position, below);
                }
                merged.push(span.first.max(position), merge(below, span.value));
                if end.is_some_and(|end| span.last > end) {
                    break;
                }
                at = span
                    .last
                    .next()
                    .filter(|next| end.is_none_or(|end| *next <= end));
                spans.next();
            }
        }
        merged
    }
}

/// Nets as `(first, last, prefix length, value)` into sorted, disjoint spans: inside a net, a longer
/// prefix wins; of two equal nets, the one given later.
pub(super) fn flatten<A: Address, V: Copy>(mut nets: Vec<(A, A, u8, V)>) -> Vec<Span<A, V>> {
    // Stable, so that equal nets stay in the order given and the later one covers the earlier.
    nets.sort_by_key(|(first, _, prefix_len, _)| (*first, *prefix_len));
    let mut spans: Vec<Span<A, V>> = Vec::with_capacity(nets.len());
    // The nets around the current one, outermost first; `next` of each is what it still has to cover.
    let mut open: Vec<(A, Option<A>, V)> = Vec::new();
    for (first, last, _, value) in nets {
        close(&mut open, Some(first), &mut spans);
        if let Some((_, next, outer)) = open.last_mut() {
            if let Some(from) = next.filter(|from| *from < first) {
                let before = first
                    .previous()
                    .expect("first is greater than another address");
                spans.push(Span {
                    first: from,
                    last: before,
                    value: *outer,
                });
            }
            *next = last.next();
        }
        open.push((last, Some(first), value));
    }
    close(&mut open, None, &mut spans);
    spans
}

/// Ends the open nets that lie wholly before `until` (all of them when it is `None`).
fn close<A: Address, V: Copy>(
    open: &mut Vec<(A, Option<A>, V)>,
    until: Option<A>,
    spans: &mut Vec<Span<A, V>>,
) {
    while let Some((last, next, value)) = open.last().copied() {
        if until.is_some_and(|until| last >= until) {
            break;
        }
        if let Some(first) = next.filter(|next| *next <= last) {
            spans.push(Span { first, last, value });
        }
        open.pop();
    }
}
