//! How far an answer of a service may be shared: merged client classes.
//!
//! Classes that get the same route for a service get the same answer, so a resolver may share it over
//! all of them; the scope of RFC 7871 is then the boundary of the merged classes, not of one, and
//! caches stay small. There are two ways to merge: by the regions that share the clients, which is all
//! an answer depends on while they live, and by the whole route with its stand-ins
//! ([`Picked::by_spread`](crate::plan::Picked) says which holds).
//!
//! Structure: a class table is a list of address ranges for each family. Merging them is a bit for
//! each range, set where a range begins that is answered otherwise than the one before it; the merged
//! range around an address lies between the nearest bits, which levels of summary bits find in a
//! handful of steps ([`Marks`]). Services that divide the classes alike, whatever their routes are
//! called, share one such list; most do, because they follow few policies and share rows of routes. A lookup allocates nothing.
//!
//! Limits: all lists together take at most the memory that the builder grants ([`COVER_BYTES_MAX`] by
//! default). Services behind that are answered with the boundary of the client's own class: finer than
//! need be, never wrong.

use std::collections::HashMap;
use std::net::IpAddr;

use meridian_topology::ServiceIdx;

use crate::class::{ClassMatch, ClassTable, NO_RANGE};
use crate::hash::Fingerprint;
use crate::plan::{MAX_ROUTE, Plan, Route};

/// Memory for all merged covers unless the caller says otherwise: room for about a thousand different
/// divisions of half a million ranges.
pub const COVER_BYTES_MAX: usize = 64 << 20;
/// Stands for "no merged cover".
const NONE: u32 = u32::MAX;
const BITS: usize = u64::BITS as usize;

/// Which classes count as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Those whose clients the same regions share in the same proportion.
    Spread,
    /// Those with the same route, stand-ins and all.
    Route,
}

impl Merge {
    const ALL: [Self; 2] = [Self::Spread, Self::Route];
}

/// The merged covers of every service of a plan; see the module's comment.
#[derive(Debug, Default)]
pub struct Scopes {
    /// By service and [`Merge`], positions in `covers`.
    of_service: Box<[[u32; Merge::ALL.len()]]>,
    covers: Vec<Cover>,
    bytes: usize,
    /// For addresses whose class is known without their range.
    v4: TopIndex,
}

impl Scopes {
    /// Merges the classes of a plan, row by row, within `bytes_max` of memory. `classes` is the table
    /// that the plan was compiled from.
    #[must_use]
    pub fn build(plan: &Plan, classes: &ClassTable, bytes_max: usize) -> Self {
        let mut scopes = Self::default();
        let rows: Vec<Row<'_>> = (0..plan.row_count()).map(|at| Row::new(plan, at)).collect();
        let mut numbering = Numbering::new(plan.routes.len());
        let mut by_division: HashMap<(u64, u64), u32> = HashMap::new();
        let mut by_row: HashMap<(u32, Vec<u32>), [u32; 2]> = HashMap::new();
        let of_service = plan.services.iter().map(|service| {
            let row = &rows[service.row as usize];
            let pools = &plan.service_pools[service.first_pool as usize..][..row.places];
            *by_row
                .entry((service.row, first_positions(pools)))
                .or_insert_with_key(|(_, places)| {
                    Merge::ALL.map(|merge| {
                        let groups = row.groups(places, merge);
                        let group = |class: usize| groups[row.classes[class] as usize];
                        let print = numbering.print((0..row.classes.len()).map(group));
                        *by_division
                            .entry(print)
                            .or_insert_with(|| scopes.add(classes, group, bytes_max))
                    })
                })
        });
        scopes.of_service = of_service.collect::<Vec<_>>().into();
        scopes.v4 = TopIndex::new(classes.v4().starts);
        scopes
    }

    fn add(&mut self, classes: &ClassTable, group: impl Fn(usize) -> u32, bytes_max: usize) -> u32 {
        let (v4, v6) = classes.range_counts();
        let bytes = Marks::bytes_for(v4) + Marks::bytes_for(v6);
        if self.bytes + bytes > bytes_max {
            return NONE;
        }
        self.bytes += bytes;
        let marks = |ranges: &[u16]| {
            Marks::of_changes(ranges.iter().map(|class| group(usize::from(*class))))
        };
        self.covers.push(Cover {
            v4: marks(classes.v4().classes),
            v6: marks(classes.v6().classes),
        });
        self.covers.len() as u32 - 1
    }

    /// Looks at where the covers of a service are, to have that memory fetched; what is returned means
    /// nothing.
    #[inline]
    #[must_use]
    pub fn touch(&self, service: ServiceIdx) -> usize {
        let covers = self.of_service.get(service.index());
        covers.map_or(0, |covers| covers[0] as usize)
    }

    /// The length of the shortest prefix around an address in which every address gets the same answer
    /// of a service. `classes` is the table these scopes were built from, `own` what it says of the
    /// address.
    #[inline]
    #[must_use]
    pub fn prefix_len(
        &self,
        service: ServiceIdx,
        merge: Merge,
        classes: &ClassTable,
        address: IpAddr,
        own: ClassMatch,
    ) -> u8 {
        let cover = self.of_service.get(service.index());
        let cover = cover.and_then(|covers| self.covers.get(covers[merge as usize] as usize));
        let Some(cover) = cover else {
            return own.prefix_len;
        };
        match address.to_canonical() {
            IpAddr::V4(v4) => {
                let (address, starts) = (v4.to_bits(), classes.v4().starts);
                let range = match own.range {
                    NO_RANGE => self.v4.find(starts, address),
                    range => range as usize,
                };
                let (before, behind) = cover.v4.around(starts, range);
                beyond(
                    before.map(|edge| (address ^ (edge - 1)).leading_zeros()),
                    behind.map(|edge| (address ^ edge).leading_zeros()),
                )
            }
            IpAddr::V6(v6) => {
                let (address, starts) = (v6.to_bits(), classes.v6().starts);
                let (before, behind) = cover.v6.around(starts, own.range as usize);
                beyond(
                    before.map(|edge| (address ^ (edge - 1)).leading_zeros()),
                    behind.map(|edge| (address ^ edge).leading_zeros()),
                )
            }
        }
    }

    /// How many different covers there are, and the memory they hold in bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.covers.len(), self.bytes)
    }
}

/// The prefix that leaves out both neighbours, by how many bits the address shares with each: one more.
fn beyond(before: Option<u32>, behind: Option<u32>) -> u8 {
    let bits = |shared: Option<u32>| shared.map_or(0, |shared| shared + 1);
    bits(before).max(bits(behind)) as u8
}

/// For each value of the upper sixteen bits of an IPv4 address, the first range that starts at or after
/// its first address; one more at the end.
#[derive(Debug, Default)]
struct TopIndex(Box<[u32]>);

impl TopIndex {
    fn new(starts: &[u32]) -> Self {
        let mut index = vec![0_u32; (1 << 16) + 1];
        for start in starts {
            index[(start >> 16) as usize + 1] += 1;
        }
        for at in 1..index.len() {
            index[at] += index[at - 1];
        }
        Self(index.into())
    }

    /// The range that holds an address.
    #[inline]
    fn find(&self, starts: &[u32], address: u32) -> usize {
        let top = (address >> 16) as usize;
        let (low, high) = (self.0[top] as usize, self.0[top + 1] as usize);
        let after = low + starts[low..high].partition_point(|start| *start <= address);
        // The first range starts at 0, so at least one start is not above the address.
        after.saturating_sub(1)
    }
}

/// What routes of equal answers have in common: pools with their weights, and how the route is parted.
type AnswerKey = ([(u32, u16); MAX_ROUTE], [u8; 3]);

/// One row of a plan, with its routes numbered from 0.
struct Row<'p> {
    /// The row's routes, in order of appearance.
    routes: Vec<&'p Route>,
    /// For each class, a position in `routes`.
    classes: Vec<u32>,
    /// How many of a service's pools the row's routes reach.
    places: usize,
}

impl<'p> Row<'p> {
    fn new(plan: &'p Plan, at: usize) -> Self {
        let row = &plan.rows[at * plan.classes()..][..plan.classes()];
        let mut numbers: HashMap<u32, u32> = HashMap::new();
        let mut routes = Vec::new();
        let classes = row.iter().map(|route| {
            *numbers.entry(*route).or_insert_with(|| {
                routes.push(&plan.routes[*route as usize]);
                routes.len() as u32 - 1
            })
        });
        let classes = classes.collect();
        let reach = |route: &&Route| {
            let entries = &route.entries[..usize::from(route.len)];
            let places = entries.iter().map(|entry| usize::from(entry.place) + 1);
            route.base as usize + places.max().unwrap_or(0)
        };
        Self {
            places: routes.iter().map(reach).max().unwrap_or(0),
            routes,
            classes,
        }
    }

    /// For each route of the row, a number that routes of equal answers share. `places` says which of
    /// a service's pools are one and the same ([`first_positions`]).
    fn groups(&self, places: &[u32], merge: Merge) -> Vec<u32> {
        let mut known: HashMap<AnswerKey, u32> = HashMap::new();
        let groups = self.routes.iter().map(|route| {
            let (len, head) = match merge {
                Merge::Spread => (route.spread, [route.spread, 0, 0]),
                Merge::Route => (route.len, [route.spread, route.normal, route.len]),
            };
            let mut key = [(u32::MAX, 0); MAX_ROUTE];
            for (slot, entry) in key.iter_mut().zip(&route.entries[..usize::from(len)]) {
                let pool = places[route.base as usize + usize::from(entry.place)];
                *slot = (pool, entry.weight);
            }
            let next = known.len() as u32;
            *known.entry((key, head)).or_insert(next)
        });
        groups.collect()
    }
}

/// For each of a service's pools, the first position at which the same pool stands.
fn first_positions(pools: &[u32]) -> Vec<u32> {
    let mut first: HashMap<u32, u32> = HashMap::new();
    let positions = pools.iter().zip(0_u32..);
    positions
        .map(|(pool, at)| *first.entry(*pool).or_insert(at))
        .collect()
}

/// Tells divisions of the classes apart by the order in which groups appear, not by their names.
struct Numbering {
    /// For each group, in which turn it was seen last and as which number.
    seen: Vec<(u32, u32)>,
    turn: u32,
}

impl Numbering {
    fn new(groups: usize) -> Self {
        Self {
            seen: vec![(0, 0); groups],
            turn: 0,
        }
    }

    /// A fingerprint of 128 bits of the division: equal ones are the same division.
    fn print(&mut self, groups: impl Iterator<Item = u32>) -> (u64, u64) {
        self.turn += 1;
        let (mut one, mut other) = (Fingerprint::new(1), Fingerprint::new(2));
        let mut next = 0;
        for group in groups {
            let (turn, number) = &mut self.seen[group as usize];
            if *turn != self.turn {
                (*turn, *number) = (self.turn, next);
                next += 1;
            }
            one.add(u64::from(*number));
            other.add(u64::from(*number));
        }
        (one.finish(), other.finish())
    }
}

/// Where the merged ranges begin.
#[derive(Debug)]
struct Cover {
    v4: Marks,
    v6: Marks,
}

/// A set of positions with fast neighbours: level 0 has a bit for each position, each further level a
/// bit for each word of the one below that is not empty, up to a level of one word.
#[derive(Debug)]
struct Marks {
    levels: Box<[Box<[u64]>]>,
}

impl Marks {
    /// Memory for this many positions, in bytes.
    fn bytes_for(len: usize) -> usize {
        let mut words = len.div_ceil(BITS).max(1);
        let mut all = words;
        while words > 1 {
            words = words.div_ceil(BITS);
            all += words;
        }
        all * size_of::<u64>()
    }

    /// The positions at which a value differs from the one before; the first always does.
    fn of_changes(values: impl Iterator<Item = u32>) -> Self {
        let mut words = Vec::new();
        let mut before = None;
        for (at, value) in values.enumerate() {
            if at % BITS == 0 {
                words.push(0_u64);
            }
            if before != Some(value) {
                words[at / BITS] |= 1 << (at % BITS);
                before = Some(value);
            }
        }
        if words.is_empty() {
            words.push(0);
        }
        let mut levels = vec![words.into_boxed_slice()];
        while let Some(below) = levels.last().filter(|level| level.len() > 1) {
            let mut words = vec![0_u64; below.len().div_ceil(BITS)];
            for (at, _) in below.iter().enumerate().filter(|(_, word)| **word != 0) {
                words[at / BITS] |= 1 << (at % BITS);
            }
            levels.push(words.into_boxed_slice());
        }
        Self {
            levels: levels.into(),
        }
    }

    /// Where the merged range around a range begins, unless that is 0, and where the next one begins,
    /// unless it is the last.
    #[inline]
    fn around<A: Copy>(&self, starts: &[A], range: usize) -> (Option<A>, Option<A>) {
        let first = self.at_or_before(range).filter(|first| *first > 0);
        let start = |at: usize| starts.get(at).copied();
        (first.and_then(start), self.after(range).and_then(start))
    }

    /// The last position of the set that is not behind `at`.
    #[inline]
    fn at_or_before(&self, at: usize) -> Option<usize> {
        let mut at = at;
        for (level, words) in self.levels.iter().enumerate() {
            let word = words.get(at / BITS)? & (u64::MAX >> (BITS - 1 - at % BITS));
            if word != 0 {
                return Some(self.down(level, at / BITS * BITS + last_bit(word), last_bit));
            }
            // Words before this one, on the level above.
            at = (at / BITS).checked_sub(1)?;
        }
        None
    }

    /// The first position of the set behind `at`.
    #[inline]
    fn after(&self, at: usize) -> Option<usize> {
        let mut at = at + 1;
        for (level, words) in self.levels.iter().enumerate() {
            let word = words.get(at / BITS)? & (u64::MAX << (at % BITS));
            if word != 0 {
                return Some(self.down(level, at / BITS * BITS + first_bit(word), first_bit));
            }
            at = at / BITS + 1;
        }
        None
    }

    /// The position of level 0 that a bit of a level leads to.
    #[inline]
    fn down(&self, level: usize, mut at: usize, bit: impl Fn(u64) -> usize) -> usize {
        for words in self.levels[..level].iter().rev() {
            at = at * BITS + bit(words[at]);
        }
        at
    }
}

fn last_bit(word: u64) -> usize {
    BITS - 1 - word.leading_zeros() as usize
}

fn first_bit(word: u64) -> usize {
    word.trailing_zeros() as usize
}

#[cfg(test)]
mod tests;
