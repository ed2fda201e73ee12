//! How many requests a route takes from whom.
//!
//! A token bucket for each key in the form of the generic cell rate algorithm (ITU-T I.371; as
//! `governor` has it): one number for each key, the time at which its bucket would be full again.
//! Buckets that are full are forgotten first, so that memory has a bound that only an attack with more
//! than [`KEYS_MAX`] busy keys can reach; then the key that was quiet for longest begins anew.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lru::LruCache;
use meridian_topology::{RateKey, RateLimit};

use crate::fields::Fields;

/// Keys that are known at once, for each route with a limit.
const KEYS_MAX: usize = 65_536;
/// Locks among which the keys are spread: threads seldom meet at one.
const SHARDS: usize = 16;
/// IPv6 clients are told apart by so many bits: a household's or host's own prefix.
const CLIENT_BITS_V6: u32 = 64;

/// A request came too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refused {
    /// After so long it may come.
    pub(crate) wait: Duration,
}

/// The limit of one route.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    limit: RateLimit,
    /// Time that one request takes out of the bucket, in ns.
    interval_ns: u64,
    /// How far ahead of the clock a bucket may be, in ns: the burst.
    ahead_ns: u64,
    hasher: RandomState,
    shards: Box<[Shard]>,
}

/// Keys and when each one's bucket is full again, in ns of the node's clock.
type Shard = Mutex<LruCache<u64, u64>>;

impl RateLimiter {
    /// A limiter whose buckets are full.
    pub(crate) fn new(limit: RateLimit) -> Self {
        let interval_ns = limit.per.0 * 1_000_000 / u64::from(limit.requests.max(1));
        let shard_keys = NonZeroUsize::new(KEYS_MAX / SHARDS).unwrap_or(NonZeroUsize::MIN);
        let shards = match limit.key {
            RateKey::Route => 1,
            RateKey::Client | RateKey::Header(_) => SHARDS,
        };
        Self {
            interval_ns: interval_ns.max(1),
            ahead_ns: interval_ns.saturating_mul(u64::from(limit.burst.saturating_sub(1))),
            limit,
            hasher: RandomState::new(),
            // Grown as keys come: most routes see few.
            shards: (0..shards)
                .map(|_| {
                    let mut keys = LruCache::unbounded();
                    keys.resize(shard_keys);
                    Mutex::new(keys)
                })
                .collect(),
        }
    }

    /// What it was made from.
    pub(crate) fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Takes a request, or says when it may come again.
    ///
    /// # Errors
    /// The bucket of its key is empty.
    pub(crate) fn take<F: Fields + ?Sized>(
        &self,
        client: IpAddr,
        fields: &F,
        now: Duration,
    ) -> Result<(), Refused> {
        let key = match &self.limit.key {
            RateKey::Route => 0,
            RateKey::Client => self.hasher.hash_one(prefix(client)),
            RateKey::Header(name) => match fields.values(name.as_str()).next() {
                Some(value) => self.hasher.hash_one(value),
                None => self.hasher.hash_one(prefix(client)),
            },
        };
        self.take_key(key, u64::try_from(now.as_nanos()).unwrap_or(u64::MAX))
    }

    fn take_key(&self, key: u64, now_ns: u64) -> Result<(), Refused> {
        let shard = &self.shards[key as usize % self.shards.len()];
        // What a panicking thread left is a number like any other.
        let mut keys = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = keys.get_or_insert_mut(key, || now_ns);
        let from = (*full_at).max(now_ns);
        let ahead = from - now_ns;
        if ahead > self.ahead_ns {
            return Err(Refused {
                wait: Duration::from_nanos(ahead - self.ahead_ns),
            });
        }
        *full_at = from.saturating_add(self.interval_ns);
        Ok(())
    }
}

/// What stands for a client.
fn prefix(client: IpAddr) -> u128 {
    match client.to_canonical() {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits() >> (128 - CLIENT_BITS_V6) << 32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_topology::Millis;

    fn limiter(requests: u32, per_ms: u64, burst: u32, key: RateKey) -> RateLimiter {
        RateLimiter::new(RateLimit {
            requests,
            per: Millis(per_ms),
            burst,
            key,
        })
    }

    fn take(limiter: &RateLimiter, client: &str, at_ms: u64) -> Result<(), Refused> {
        let none: &[httparse::Header<'_>] = &[];
        limiter.take(client.parse().unwrap(), none, Duration::from_millis(at_ms))
    }

    #[test]
    fn a_burst_then_the_rate() {
        let limiter = limiter(10, 1_000, 3, RateKey::Client);
        let at = |ms| take(&limiter, "192.0.2.1", ms).is_ok();
        assert!(at(0) && at(0) && at(0));
        assert_eq!(
            take(&limiter, "192.0.2.1", 0),
            Err(Refused {
                wait: Duration::from_millis(100)
            })
        );
        assert!(!at(99) && at(100) && !at(100) && at(200));
        // A pause fills the bucket, and no more than that.
        assert!(at(10_000) && at(10_000) && at(10_000) && !at(10_000));
    }

    #[test]
    fn clients_do_not_share_and_an_ipv6_prefix_does() {
        let limiter = limiter(1, 1_000, 1, RateKey::Client);
        assert!(take(&limiter, "192.0.2.1", 0).is_ok());
        assert!(take(&limiter, "192.0.2.2", 0).is_ok());
        assert!(take(&limiter, "192.0.2.1", 0).is_err());
        assert!(take(&limiter, "::ffff:192.0.2.1", 0).is_err());
        assert!(take(&limiter, "2001:db8::1", 0).is_ok());
        assert!(take(&limiter, "2001:db8::2", 0).is_err());
        assert!(take(&limiter, "2001:db8:0:1::1", 0).is_ok());
    }

    #[test]
    fn a_route_is_one_bucket() {
        let limiter = limiter(2, 1_000, 2, RateKey::Route);
        assert!(take(&limiter, "192.0.2.1", 0).is_ok());
        assert!(take(&limiter, "192.0.2.2", 0).is_ok());
        assert!(take(&limiter, "192.0.2.3", 0).is_err());
    }

    #[test]
    fn a_field_names_the_bucket() {
        let limiter = limiter(1, 1_000, 1, RateKey::Header("x-key".parse().unwrap()));
        let ask = |value: &'static [u8]| {
            let field = httparse::Header {
                name: "X-Key",
                value,
            };
            let client = "192.0.2.1".parse().unwrap();
            limiter.take(client, &[field][..], Duration::ZERO)
        };
        assert!(ask(b"a").is_ok() && ask(b"b").is_ok() && ask(b"a").is_err());
    }

    #[test]
    fn memory_has_a_bound() {
        let limiter = limiter(1, 1_000, 1, RateKey::Client);
        for client in 0..2 * KEYS_MAX as u32 {
            let address = IpAddr::from(client.to_be_bytes());
            let none: &[httparse::Header<'_>] = &[];
            limiter.take(address, none, Duration::ZERO).unwrap();
        }
        let keys: usize = limiter
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert!(keys <= KEYS_MAX, "{keys}");
    }
}
