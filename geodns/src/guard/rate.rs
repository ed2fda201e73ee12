//! Response rate limiting: a server that answers forged questions is somebody else's flood.
//!
//! What is limited is what goes *out*, per client network and kind of response, so that a network
//! that asks for many different things is served while one that is sent the same thing over and over
//! is not:
//!
//! | kind | one account per client network and |
//! |---|---|
//! | answers, NODATA, referrals | name; all names made from one wildcard or below one cut are one |
//! | NXDOMAIN | zone |
//! | errors | nothing else |
//! | NOTIFY, UPDATE, transfers and signed queries, whatever they are answered | nothing else |
//!
//! An account is a bucket as BIND's: it earns its rate every second and pays one for a response; in
//! debt, the response is withheld, and the debt grows up to `window` seconds' worth. Every `slip`-th
//! withheld response goes out truncated and empty instead: a real client behind the forged address
//! asks again over TCP, and a flood gains nothing, for that is not longer than the question.
//!
//! The table is an array of [`Set`]s of eight accounts, one cache line each and 64 bits per account:
//! tag (22), second of the last payment (14), slips (4), balance (24, signed). An account is found
//! by a keyed hash and changed by one compare-and-swap; a new one takes the place of one in its set
//! that owes nothing and was idle longest, so an account under attack is the last to be forgotten.
//! Two accounts of one set are taken for one with probability 2^-19. No lock, no allocation, no clock.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use ipnet::IpNet;
use siphasher::sip::SipHasher13;

use super::GuardError;
use super::config::RateSettings;
use crate::responder::{Asked, Reply};
use crate::wire::{NAME_BYTES_MAX, Rcode};

/// Accounts in a set: one cache line.
const SET_ACCOUNTS: usize = 8;
/// Attempts to write an account that other threads write too; then the response goes out.
const TRIES_MAX: usize = 8;
/// A clock that lags behind another thread's by up to this is the same second.
const SKEW_SECONDS_MAX: u32 = 8;

/// Bounds of what fits into an account; the configuration keeps within them.
pub(super) const SLIP_MAX: u32 = 15;
const BALANCE_BITS: u32 = 24;
/// Largest rate × window.
pub(super) const DEBT_MAX: u32 = (1 << (BALANCE_BITS - 1)) - 1;
const SLIP_BITS: u32 = 4;
const SECOND_BITS: u32 = 14;
const SECOND_MASK: u32 = (1 << SECOND_BITS) - 1;
const TAG_SHIFT: u32 = BALANCE_BITS + SLIP_BITS + SECOND_BITS;

/// What happens to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ruling {
    /// It goes out.
    Pass,
    /// A truncated, empty one goes out in its place.
    Slip,
    /// Nothing goes out.
    Drop,
}

/// The limiter of a server, shared by its threads.
#[derive(Debug)]
pub struct RateLimiter {
    settings: RateSettings,
    key: [u8; 16],
    sets: Box<[Set]>,
}

/// Accounts that a key may be in.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set([AtomicU64; SET_ACCOUNTS]);

impl RateLimiter {
    pub(super) fn new(settings: &RateSettings) -> Result<Self, GuardError> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)?;
        Ok(Self::with_key(settings.clone(), key))
    }

    fn with_key(settings: RateSettings, key: [u8; 16]) -> Self {
        let sets = (settings.accounts / SET_ACCOUNTS)
            .max(1)
            .next_power_of_two();
        Self {
            settings,
            key,
            sets: (0..sets).map(|_| Set::default()).collect(),
        }
    }

    /// Charges a response to its account.
    pub(super) fn rule(&self, asked: &Asked<'_>, reply: &Reply) -> Ruling {
        let source = asked.source.ip().to_canonical();
        let (kind, rate) = match reply.rcode {
            Rcode::NoError => (0, self.settings.responses_per_second),
            Rcode::NxDomain => (1, self.settings.nxdomains_per_second),
            _ => (2, self.settings.errors_per_second),
        };
        if rate == 0 || is_in(&self.settings.exempt, source) {
            return Ruling::Pass;
        }
        let name = if kind == 2 {
            &[]
        } else {
            reply.subject.of(asked.packet)
        };
        let hash = self.hash(kind, source, name);
        self.charge(hash, rate, asked.now_unix_seconds)
    }

    /// Charges a message to the slow path to its account: whatever it is answered.
    pub(super) fn rule_slow(&self, asked: &Asked<'_>) -> Ruling {
        let source = asked.source.ip().to_canonical();
        let rate = self.settings.responses_per_second;
        if rate == 0 || is_in(&self.settings.exempt, source) {
            return Ruling::Pass;
        }
        self.charge(self.hash(3, source, &[]), rate, asked.now_unix_seconds)
    }

    /// Kind, client network and name, each at its place; the name in lower case.
    fn hash(&self, kind: u8, source: IpAddr, name: &[u8]) -> u64 {
        const HEAD: usize = 1 + 16;
        let mut input = [0; HEAD + NAME_BYTES_MAX];
        input[0] = kind << 1 | u8::from(source.is_ipv6());
        match source {
            IpAddr::V4(_) => match masked(source, self.settings.ipv4_prefix) {
                IpAddr::V4(network) => input[1..5].copy_from_slice(&network.octets()),
                IpAddr::V6(network) => input[1..HEAD].copy_from_slice(&network.octets()),
            },
            IpAddr::V6(_) => {
                if let IpAddr::V6(network) = masked(source, self.settings.ipv6_prefix) {
                    input[1..HEAD].copy_from_slice(&network.octets());
                }
            }
        }
        let end = HEAD + name.len().min(NAME_BYTES_MAX);
        for (to, byte) in input[HEAD..end].iter_mut().zip(name) {
            *to = byte.to_ascii_lowercase();
        }
        SipHasher13::new_with_key(&self.key).hash(&input[..end])
    }

    fn charge(&self, hash: u64, rate: u32, now: u32) -> Ruling {
        // The number of sets is a power of two; the tag takes the high bits.
        let set = &self.sets[hash as usize & (self.sets.len() - 1)];
        let tag = (hash >> TAG_SHIFT).max(1);
        for _ in 0..TRIES_MAX {
            let (slot, seen) = find(set, tag, self.settings.window_seconds, now);
            let account = if seen >> TAG_SHIFT == tag {
                Account::unpack(seen).earned(rate, self.settings.window_seconds, now)
            } else {
                Account::full(rate, now)
            };
            let (account, ruling) = account.charged(rate, &self.settings);
            let paid = slot.compare_exchange_weak(
                seen,
                account.pack(tag),
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            if paid.is_ok() {
                return ruling;
            }
        }
        Ruling::Pass
    }
}

/// The account of a tag, or the place of the one that is missed least.
fn find(set: &Set, tag: u64, window_seconds: u32, now: u32) -> (&AtomicU64, u64) {
    let mut least = (&set.0[0], 0);
    let mut least_missed = None;
    for slot in &set.0 {
        let seen = slot.load(Ordering::Relaxed);
        if seen >> TAG_SHIFT == tag {
            return (slot, seen);
        }
        let missed = Forgettable::of(seen, window_seconds, now);
        if least_missed.is_none_or(|least| missed > least) {
            least = (slot, seen);
            least_missed = Some(missed);
        }
    }
    least
}

/// How little an account is missed, the greatest least: never used, then out of debt and idle
/// longest, then in the smallest debt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Forgettable {
    unused: bool,
    debtless: bool,
    idle_seconds: u32,
    balance: i32,
}

impl Forgettable {
    fn of(word: u64, window_seconds: u32, now: u32) -> Self {
        let account = Account::unpack(word);
        let idle_seconds = account.idle_seconds(now);
        Self {
            unused: word == 0,
            debtless: account.balance >= 0 || idle_seconds > window_seconds,
            idle_seconds,
            balance: account.balance,
        }
    }
}

/// An account unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Account {
    /// The low bits of the second of the last payment.
    second: u32,
    /// Withheld responses since the last slip.
    slips: u32,
    balance: i32,
}

impl Account {
    fn full(rate: u32, now: u32) -> Self {
        Self {
            second: now & SECOND_MASK,
            slips: 0,
            // A rate is at most `DEBT_MAX`.
            balance: rate.cast_signed(),
        }
    }

    fn unpack(word: u64) -> Self {
        // Up and down again: the sign is the highest of the field's bits.
        let shift = 32 - BALANCE_BITS;
        let balance = ((word as u32) << shift).cast_signed() >> shift;
        Self {
            second: (word >> (BALANCE_BITS + SLIP_BITS)) as u32 & SECOND_MASK,
            slips: (word >> BALANCE_BITS) as u32 & SLIP_MAX,
            balance,
        }
    }

    fn pack(self, tag: u64) -> u64 {
        let balance = u64::from(self.balance.cast_unsigned() & ((1 << BALANCE_BITS) - 1));
        tag << TAG_SHIFT
            | u64::from(self.second) << (BALANCE_BITS + SLIP_BITS)
            | u64::from(self.slips) << BALANCE_BITS
            | balance
    }

    /// Seconds since the last payment, modulo 4.5 hours.
    fn idle_seconds(self, now: u32) -> u32 {
        let idle = now.wrapping_sub(self.second) & SECOND_MASK;
        if idle > SECOND_MASK - SKEW_SECONDS_MAX {
            0
        } else {
            idle
        }
    }

    /// What the seconds since the last payment brought in.
    fn earned(self, rate: u32, window_seconds: u32, now: u32) -> Self {
        let idle = self.idle_seconds(now);
        if idle == 0 {
            return self;
        }
        if idle > window_seconds {
            return Self {
                slips: self.slips,
                ..Self::full(rate, now)
            };
        }
        // At most `DEBT_MAX`, as rate × window is.
        let earned = (idle * rate).cast_signed();
        Self {
            second: now & SECOND_MASK,
            balance: (self.balance + earned).min(rate.cast_signed()),
            ..self
        }
    }

    /// Pays for one response.
    fn charged(self, rate: u32, settings: &RateSettings) -> (Self, Ruling) {
        let floor = -(rate * settings.window_seconds).cast_signed();
        let balance = (self.balance - 1).max(floor);
        if balance >= 0 {
            return (Self { balance, ..self }, Ruling::Pass);
        }
        let (slips, ruling) = match self.slips + 1 {
            _ if settings.slip == 0 => (0, Ruling::Drop),
            withheld if withheld >= settings.slip => (0, Ruling::Slip),
            withheld => (withheld, Ruling::Drop),
        };
        let account = Self {
            balance,
            slips,
            ..self
        };
        (account, ruling)
    }
}

fn is_in(networks: &[IpNet], address: IpAddr) -> bool {
    networks.iter().any(|network| network.contains(&address))
}

/// The first `prefix` bits of an address; a prefix beyond the address is all of it.
pub(super) fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    let prefix = u32::from(prefix);
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix));
            Ipv4Addr::from_bits(address.to_bits() & mask.unwrap_or(0)).into()
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix));
            Ipv6Addr::from_bits(address.to_bits() & mask.unwrap_or(0)).into()
        }
    }
}

#[cfg(test)]
mod tests;
