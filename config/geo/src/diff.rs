//! What changes between two class tables: which addresses, and how many of them.
//!
//! Classes are compared by what they say, not by their numbers. The walk passes over both tables'
//! ranges once; what is kept is bounded ([`MAX_PAIRS`], and the caller's number of ranges).

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use meridian_engine::class::{ClassTable, ClientClass, Ranges};
use serde::Serialize;

/// Most pairs of classes that are told apart in a summary; the rest is summed up as one.
pub const MAX_PAIRS: usize = 10_000;

/// An amount of address space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Space {
    /// IPv4 addresses.
    pub v4_addresses: u64,
    /// IPv6 prefixes of /48, rounded up for each range.
    pub v6_48s: u64,
    /// Ranges.
    pub ranges: u64,
}

impl Space {
    fn add(&mut self, other: Self) {
        self.v4_addresses += other.v4_addresses;
        self.v6_48s += other.v6_48s;
        self.ranges += other.ranges;
    }

    /// Large first, by the share of each family's space.
    fn weight(self) -> f64 {
        self.v4_addresses as f64 / 4_294_967_296.0 + self.v6_48s as f64 / 281_474_976_710_656.0
    }
}

/// Space that went from one thing to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Move {
    /// Before.
    pub from: String,
    /// After.
    pub to: String,
    /// How much.
    #[serde(flatten)]
    pub space: Space,
}

/// A range whose class differs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Changed {
    /// First address.
    pub first: IpAddr,
    /// Last address.
    pub last: IpAddr,
    /// The class before.
    pub from: ClientClass,
    /// The class after.
    pub to: ClientClass,
}

/// Everything that differs.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Diff {
    /// All of it.
    pub changed: Space,
    /// By which fields of the class differ; a range with several counts under each.
    pub by_field: Vec<(&'static str, Space)>,
    /// By country, for ranges whose country changed; largest first.
    pub by_country: Vec<Move>,
    /// By class, largest first, as many as were asked for.
    pub by_class: Vec<Move>,
    /// The first ranges, as many as were asked for.
    pub ranges: Vec<Changed>,
}

impl Diff {
    /// Whether the tables say the same of every address.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changed == Space::default()
    }
}

/// Compares two tables; lists at most `limit` classes and ranges.
#[must_use]
pub fn diff(before: &ClassTable, after: &ClassTable, limit: usize) -> Diff {
    let mut tally = Tally {
        before: before.classes(),
        after: after.classes(),
        limit,
        differs: HashMap::new(),
        fields: [Space::default(); FIELDS.len()],
        countries: HashMap::new(),
        classes: HashMap::new(),
        found: Diff::default(),
    };
    walk(before.v4(), after.v4(), u32::MAX, |first, last, pair| {
        let space = Space {
            v4_addresses: u64::from(last - first) + 1,
            v6_48s: 0,
            ranges: 1,
        };
        tally.add(
            IpAddr::from(first.to_be_bytes()),
            IpAddr::from(last.to_be_bytes()),
            pair,
            space,
        );
    });
    walk(before.v6(), after.v6(), u128::MAX, |first, last, pair| {
        let space = Space {
            v4_addresses: 0,
            // At most 2^48.
            v6_48s: ((last >> 80) - (first >> 80) + 1) as u64,
            ranges: 1,
        };
        tally.add(
            IpAddr::from(first.to_be_bytes()),
            IpAddr::from(last.to_be_bytes()),
            pair,
            space,
        );
    });
    tally.finish()
}

/// Visits the largest ranges over which both tables have one class each: first and last address, and
/// the two classes.
fn walk<A>(
    before: Ranges<'_, A>,
    after: Ranges<'_, A>,
    end: A,
    mut visit: impl FnMut(A, A, (u16, u16)),
) where
    A: Copy + Ord + std::ops::Sub<Output = A> + From<u8>,
{
    let (mut old, mut new) = (0, 0);
    let mut first = before.starts[0];
    loop {
        let next = [before.starts.get(old + 1), after.starts.get(new + 1)];
        let next = next.into_iter().flatten().min().copied();
        let last = next.map_or(end, |next| next - A::from(1));
        visit(first, last, (before.classes[old], after.classes[new]));
        let Some(next) = next else { return };
        old += usize::from(before.starts.get(old + 1) == Some(&next));
        new += usize::from(after.starts.get(new + 1) == Some(&next));
        first = next;
    }
}

type Field = (&'static str, fn(&ClientClass, &ClientClass) -> bool);

/// The fields of a class, and how to see that they differ.
const FIELDS: [Field; 6] = [
    ("country", |a, b| a.country != b.country),
    ("location", |a, b| a.location != b.location),
    ("asn", |a, b| a.asn != b.asn),
    ("provider", |a, b| a.provider != b.provider),
    ("region", |a, b| a.region != b.region),
    ("group", |a, b| a.group != b.group),
];

struct Tally<'t> {
    before: &'t [ClientClass],
    after: &'t [ClientClass],
    limit: usize,
    /// Whether two classes differ: millions of ranges have thousands of pairs.
    differs: HashMap<(u16, u16), bool>,
    fields: [Space; FIELDS.len()],
    countries: HashMap<(String, String), Space>,
    classes: HashMap<(u16, u16), Space>,
    found: Diff,
}

/// The pair under which space is summed up beyond [`MAX_PAIRS`]: no table has this class.
const OTHERS: (u16, u16) = (u16::MAX, u16::MAX);

impl Tally<'_> {
    fn add(&mut self, first: IpAddr, last: IpAddr, pair: (u16, u16), space: Space) {
        let (from, to) = (
            &self.before[usize::from(pair.0)],
            &self.after[usize::from(pair.1)],
        );
        if !*self.differs.entry(pair).or_insert_with(|| from != to) {
            return;
        }
        self.found.changed.add(space);
        for (sum, (_, differ)) in self.fields.iter_mut().zip(FIELDS) {
            if differ(from, to) {
                sum.add(space);
            }
        }
        if from.country != to.country {
            let key = (country(from), country(to));
            self.countries.entry(key).or_default().add(space);
        }
        let full = self.classes.len() >= MAX_PAIRS && !self.classes.contains_key(&pair);
        let pair = if full { OTHERS } else { pair };
        self.classes.entry(pair).or_default().add(space);
        if self.found.ranges.len() < self.limit {
            self.found.ranges.push(Changed {
                first,
                last,
                from: from.clone(),
                to: to.clone(),
            });
        }
    }

    fn finish(mut self) -> Diff {
        let fields = FIELDS.iter().zip(self.fields);
        self.found.by_field = fields
            .map(|((name, _), space)| (*name, space))
            .filter(|(_, space)| *space != Space::default())
            .collect();
        self.found.by_country = largest(
            self.countries
                .into_iter()
                .map(|((from, to), space)| Move { from, to, space }),
            MAX_PAIRS,
        );
        let label = |classes: &[ClientClass], at: u16| {
            let class = classes.get(usize::from(at));
            class.map_or_else(|| "others".to_owned(), |class| Label(class).to_string())
        };
        let moves = self.classes.into_iter().map(|(pair, space)| Move {
            from: label(self.before, pair.0),
            to: label(self.after, pair.1),
            space,
        });
        self.found.by_class = largest(moves, self.limit);
        self.found
    }
}

fn largest(moves: impl Iterator<Item = Move>, limit: usize) -> Vec<Move> {
    let mut moves: Vec<Move> = moves.collect();
    moves.sort_by(|a, b| {
        let by_size = b.space.weight().total_cmp(&a.space.weight());
        by_size.then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to)))
    });
    moves.truncate(limit);
    moves
}

fn country(class: &ClientClass) -> String {
    class
        .country
        .map_or_else(|| "unknown".to_owned(), |code| code.to_string())
}

/// A class in one line: `DE 52.75,13.25 AS64500 aws eu-central-1 group office`.
pub struct Label<'c>(pub &'c ClientClass);

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let class = self.0;
        f.write_str(&country(class))?;
        if let Some(at) = class.location {
            write!(f, " {},{}", at.latitude(), at.longitude())?;
        }
        if let Some(asn) = class.asn {
            write!(f, " AS{asn}")?;
        }
        for id in [
            class.provider.as_ref().map(|id| id.as_str()),
            class.region.as_ref().map(|id| id.as_str()),
        ]
        .into_iter()
        .flatten()
        {
            write!(f, " {id}")?;
        }
        if let Some(group) = &class.group {
            write!(f, " group {}", group.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
