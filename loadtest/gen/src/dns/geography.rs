//! The map every subject is given: which networks are nearest to which place.

use std::{collections::BTreeSet, fmt, net::Ipv4Addr};

/// How many networks there are.
pub const NETWORKS: usize = 10_000;

/// A place with its address and coordinates, as a cloud region has them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Place {
    /// Its name, a valid id everywhere.
    pub name: &'static str,
    /// Its country.
    pub country: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

/// Where the answers point to.
pub const PLACES: [Place; 10] = [
    place("us-east", "US", 38.9, -77.4),
    place("us-west", "US", 45.8, -119.7),
    place("br-south", "BR", -23.5, -46.6),
    place("eu-west", "IE", 53.3, -6.3),
    place("eu-central", "DE", 50.1, 8.7),
    place("af-south", "ZA", -33.9, 18.4),
    place("in-west", "IN", 19.1, 72.9),
    place("sg-central", "SG", 1.3, 103.8),
    place("jp-east", "JP", 35.7, 139.7),
    place("au-east", "AU", -33.9, 151.2),
];

const fn place(name: &'static str, country: &'static str, latitude: f64, longitude: f64) -> Place {
    Place {
        name,
        country,
        latitude,
        longitude,
    }
}

impl Place {
    /// The address that stands for it: of a documentation network (RFC 5737).
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        let at = PLACES.iter().position(|place| place.name == self.name);
        let host = at.and_then(|at| u8::try_from(at + 1).ok()).unwrap_or(0);
        Ipv4Addr::new(192, 0, 2, host)
    }
}

/// A /24 and the place its clients belong to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// The first three bytes of its addresses.
    pub prefix: [u8; 3],
    /// Where its clients go.
    pub place: &'static Place,
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.prefix;
        write!(f, "{a}.{b}.{c}.0/24")
    }
}

/// All networks, sorted.
#[derive(Clone, Debug)]
pub struct Geography {
    networks: Vec<Network>,
}

impl Geography {
    /// Distinct networks scattered over unicast space, each of a random place.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let mut prefixes = BTreeSet::new();
        while prefixes.len() < NETWORKS {
            let [_, first, second, third, ..] = random.next().to_be_bytes();
            // Unicast, neither private, loopback nor link-local: some servers know those.
            let first = 11 + first % 89;
            prefixes.insert([first, second, third]);
        }
        let networks = prefixes.into_iter().map(|prefix| Network {
            prefix,
            place: &PLACES[random.below(PLACES.len())],
        });
        Self {
            networks: networks.collect(),
        }
    }

    /// The same with the /24s of a /16 behind them, dealt to the places in turn.
    #[must_use]
    pub fn with_clients(mut self, [first, second]: [u8; 2]) -> Self {
        self.networks.extend((0..=u8::MAX).map(|third| Network {
            prefix: [first, second, third],
            place: &PLACES[usize::from(third) % PLACES.len()],
        }));
        self
    }

    /// How many networks there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.networks.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// The network at a position.
    #[must_use]
    pub fn network(&self, at: usize) -> Network {
        self.networks[at % self.networks.len()]
    }

    /// All of them.
    pub fn networks(&self) -> impl Iterator<Item = &Network> {
        self.networks.iter()
    }
}

/// A small reproducible generator: SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is far below 2^32: the bias is not worth removing.
    pub const fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 32) as usize % bound
    }
}
