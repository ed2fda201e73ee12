use std::net::SocketAddr;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::RateLimitConfig;
use super::*;
use crate::responder::tests::{asked, rules, zones_of};
use crate::responder::{Outcome, Transport, answer};

fn limiter(config: &RateLimitConfig) -> RateLimiter {
    RateLimiter::with_key(config.validate().unwrap(), [7; 16])
}

/// The small table every test but one of the table's size uses.
fn config() -> RateLimitConfig {
    RateLimitConfig {
        responses_per_second: 10,
        nxdomains_per_second: 5,
        errors_per_second: 3,
        accounts: 1024,
        ..RateLimitConfig::default()
    }
}

/// What `count` responses to one question of one source meet, as counts of pass, slip and drop.
fn rulings(limiter: &RateLimiter, packet: &[u8], source: &str, now: u32, count: u32) -> [u32; 3] {
    let zones = zones_of(crate::fixture::world());
    let mut seen = [0; 3];
    let source = source.parse().unwrap();
    let asked = Asked {
        now_unix_seconds: now,
        ..asked(packet, &source, Transport::Udp)
    };
    let mut out = [0; 4096];
    let Outcome::Reply(reply) = answer(&zones, &rules(), &asked, &mut out) else {
        panic!("no reply")
    };
    for _ in 0..count {
        seen[limiter.rule(&asked, &reply) as usize] += 1;
    }
    seen
}

fn query(name: &str) -> Vec<u8> {
    crate::responder::tests::Ask::new(name, hickory_proto::rr::RecordType::A).bytes()
}

const NOW: u32 = 1_700_000_000;
const CLIENT: &str = "192.0.2.1:5300";

#[test]
fn each_kind_has_its_rate_and_its_accounts() {
    let limiter = limiter(&config());
    let check = |name: &str, source: &str, expected: [u32; 3]| {
        let seen = rulings(&limiter, &query(name), source, NOW, 30);
        assert_eq!(seen, expected, "{name} for {source}");
    };
    check("www.example.test.", CLIENT, [10, 10, 10]);
    // In another spelling, of a neighbour: the same account, and its money is spent.
    check("WWW.example.test.", "192.0.2.254:9", [0, 15, 15]);
    // Another name, another network, the same address written in IPv6.
    check("shop.example.test.", CLIENT, [10, 10, 10]);
    check("www.example.test.", "192.0.3.1:5300", [10, 10, 10]);
    check("www.example.test.", "[::ffff:192.0.2.77]:5300", [0, 15, 15]);
    // Made-up names: one account for the zone.
    check("nowhere.example.test.", CLIENT, [5, 12, 13]);
    check("elsewhere.example.test.", CLIENT, [0, 15, 15]);
    // A referral's account is the cut's.
    check("a.cut.example.test.", CLIENT, [10, 10, 10]);
    check("b.cut.example.test.", CLIENT, [0, 15, 15]);
    // Errors: one account.
    check("www.example.net.", CLIENT, [3, 13, 14]);
    check("www.example.org.", CLIENT, [0, 15, 15]);
}

#[test]
fn wildcards_have_one_account() {
    let world = crate::fixture::world();
    let zones = zones_of(world);
    let limiter = limiter(&config());
    let mut passed = 0;
    for n in 0..50 {
        let packet = query(&format!("n{n}.wild.example.test."));
        let source = CLIENT.parse().unwrap();
        let asked = asked(&packet, &source, Transport::Udp);
        let mut out = [0; 4096];
        let Outcome::Reply(reply) = answer(&zones, &rules(), &asked, &mut out) else {
            panic!("no reply")
        };
        assert_eq!(reply.rcode, Rcode::NoError);
        passed += u32::from(limiter.rule(&asked, &reply) == Ruling::Pass);
    }
    assert_eq!(passed, 10);
}

#[test]
fn debt_is_worked_off_at_the_rate() {
    let limiter = limiter(&RateLimitConfig {
        window: meridian_topology::Millis(3000),
        slip: 0,
        ..config()
    });
    let packet = query("www.example.test.");
    let passed = |now, count| rulings(&limiter, &packet, CLIENT, now, count)[0];
    assert_eq!(passed(NOW, 1000), 10);
    // 30 in debt, 10 earned a second: the debt is gone in the third.
    assert_eq!(passed(NOW + 1, 1), 0);
    assert_eq!(passed(NOW + 3, 1), 0);
    assert_eq!(passed(NOW + 4, 30), 8);
    // A clock that lags pays nothing out, one that jumps does not lock anybody out.
    assert_eq!(passed(NOW + 3, 1), 0);
    assert_eq!(passed(NOW + 8, 5), 5);
    assert_eq!(passed(NOW - 5000, 3), 3);
}

#[test]
fn slip_says_how_many_go_out_truncated() {
    for (slip, expected) in [
        (0, [10, 0, 90]),
        (1, [10, 90, 0]),
        (2, [10, 45, 45]),
        (3, [10, 30, 60]),
        (15, [10, 6, 84]),
    ] {
        let limiter = limiter(&RateLimitConfig { slip, ..config() });
        let seen = rulings(&limiter, &query("www.example.test."), CLIENT, NOW, 100);
        assert_eq!(seen, expected, "slip {slip}");
    }
}

#[test]
fn the_exempt_and_the_unlimited_pass() {
    let limiter = limiter(&RateLimitConfig {
        exempt: vec!["192.0.2.0/25".parse().unwrap()],
        errors_per_second: 0,
        ..config()
    });
    let www = query("www.example.test.");
    assert_eq!(rulings(&limiter, &www, CLIENT, NOW, 100), [100, 0, 0]);
    let other = "192.0.2.200:1";
    assert_eq!(rulings(&limiter, &www, other, NOW, 100), [10, 45, 45]);
    let foreign = query("www.example.net.");
    assert_eq!(rulings(&limiter, &foreign, other, NOW, 100), [100, 0, 0]);
}

#[test]
fn a_flood_of_networks_does_not_free_the_one_that_is_limited() {
    // 1,024 accounts and fifty times as many networks, between each of which the victim is hit.
    let limiter = limiter(&config());
    let packet = query("www.example.test.");
    let zones = zones_of(crate::fixture::world());
    let mut out = [0; 4096];
    let source = CLIENT.parse().unwrap();
    let base = asked(&packet, &source, Transport::Udp);
    let Outcome::Reply(reply) = answer(&zones, &rules(), &base, &mut out) else {
        panic!("no reply")
    };
    let mut passed = 0;
    for n in 0..50_000_u32 {
        let asked = Asked {
            // Time goes on, and within a second every account of a set is as young.
            now_unix_seconds: NOW + n / 5000,
            ..base
        };
        passed += u32::from(limiter.rule(&asked, &reply) == Ruling::Pass);
        let network = Ipv4Addr::from_bits(0x0a00_0000 | n << 8);
        let neighbour = SocketAddr::from((network, 53));
        let spread = Asked {
            source: &neighbour,
            ..asked
        };
        assert_eq!(limiter.rule(&spread, &reply), Ruling::Pass);
    }
    assert!(passed <= 20, "{passed} of 50,000 went to the victim");
}

#[test]
fn threads_share_the_accounts() {
    let limiter = Arc::new(limiter(&config()));
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let limiter = Arc::clone(&limiter);
            std::thread::spawn(move || {
                (0..1000)
                    .filter(|_| limiter.charge(12345, 100, NOW) == Ruling::Pass)
                    .count()
            })
        })
        .collect();
    let passed: usize = threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    // A lost race lets one through; there are few.
    assert!((100..400).contains(&passed), "{passed}");
}

#[test]
fn masks() {
    let check = |address: &str, prefix, expected: &str| {
        assert_eq!(
            masked(address.parse().unwrap(), prefix),
            expected.parse::<IpAddr>().unwrap()
        );
    };
    check("192.0.2.255", 24, "192.0.2.0");
    check("192.0.2.255", 32, "192.0.2.255");
    check("192.0.2.255", 0, "0.0.0.0");
    check("2001:db8:1:2ff::9", 56, "2001:db8:1:200::");
    check("2001:db8::9", 128, "2001:db8::9");
    check("2001:db8::9", 0, "::");
}

proptest! {
    #[test]
    fn accounts_survive_packing(second in 0..=SECOND_MASK, slips in 0..=SLIP_MAX,
        balance in -DEBT_MAX.cast_signed()..=DEBT_MAX.cast_signed(), tag in 1_u64..1 << 22) {
        let account = Account { second, slips, balance };
        let word = account.pack(tag);
        prop_assert_eq!(Account::unpack(word), account);
        prop_assert_eq!(word >> TAG_SHIFT, tag);
    }

    /// Over any stretch of time nobody gets more than a burst of one second and the rate.
    #[test]
    fn nobody_gets_more_than_the_rate(steps in prop::collection::vec((0_u32..4, 0_u32..40), 1..60)) {
        let limiter = limiter(&config());
        let (mut now, mut passed) = (NOW, 0);
        for (wait, count) in steps {
            now += wait;
            for _ in 0..count {
                passed += u32::from(limiter.charge(99, 10, now) == Ruling::Pass);
            }
            prop_assert!(passed <= 10 * (now - NOW + 1));
        }
    }
}
