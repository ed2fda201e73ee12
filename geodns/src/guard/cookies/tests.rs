//! RFC 9018, appendix A, and what may not pass.

use super::*;

fn secret(text: &str) -> Secret {
    let mut bytes = [0; 16];
    hex::decode_to_slice(text, &mut bytes).unwrap();
    Secret::new(bytes)
}

fn jar(secrets: &[&str]) -> CookieJar {
    let text = secrets.join("\n");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    CookieJar::open(&CookieSettings {
        secret_file: Some(file.path().to_owned()),
        rotate: std::time::Duration::from_secs(3600),
        require: CookieRequire::Never,
    })
    .unwrap()
}

const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
const OLD_SECRET: &str = "dd3bdf9344b678b185a6f5cb60fca715";
const NEW_SECRET: &str = "445536bcd2513298075a5d379663c962";

/// `valid answer`, for one cookie of a query.
fn judged(secrets: &[&str], cookie: &str, client: &str, now: u32) -> String {
    let cookie = Cookie::read(&hex::decode(cookie).unwrap()).unwrap();
    let (valid, full) = jar(secrets).judge(cookie, client.parse().unwrap(), now);
    format!("{valid} {}", hex::encode(full))
}

#[test]
fn appendix_a_of_rfc_9018() {
    let check = |secrets: &[&str], cookie, client, now, expected: &str| {
        assert_eq!(judged(secrets, cookie, client, now), expected);
    };
    // A.1: a new client.
    check(
        &[SECRET],
        "2464c4abcf10c957",
        "198.51.100.100",
        1_559_731_985,
        "false 2464c4abcf10c957010000005cf79f111f8130c3eee29480",
    );
    // A.2: the same 40 minutes later: valid, and renewed.
    check(
        &[SECRET],
        "2464c4abcf10c957010000005cf79f111f8130c3eee29480",
        "198.51.100.100",
        1_559_734_385,
        "true 2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
    );
    // A.3: reserved bytes are hashed as they came, and answered as zero. In the RFC's story the cookie
    // is nearly two hours old, beyond its own §4.3: it is taken while it is fresh, and not then.
    check(
        &[SECRET],
        "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
        "203.0.113.203",
        1_559_734_700,
        "false fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
    );
    let fresh = judged(
        &[SECRET],
        "fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5",
        "203.0.113.203",
        1_559_727_985,
    );
    assert!(
        fresh.starts_with("true fc93fc62807ddb86010000005cf78f71"),
        "{fresh}"
    );
    // A.4: IPv6, and a secret rolled over in between.
    check(
        &[NEW_SECRET, OLD_SECRET],
        "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
        "2001:db8:220:1:59de:d0f4:8769:82b8",
        1_559_741_961,
        "true 22681ab97d52c298010000005cf7c609a6bb79d16625507a",
    );
}

#[test]
fn what_is_not_ours_fresh_and_the_clients_is_not_valid() {
    let good = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";
    let (client, made) = ("198.51.100.100", 1_559_731_985);
    let check = |cookie: &str, client, now, valid: bool| {
        let judged = judged(&[SECRET], cookie, client, now);
        assert_eq!(judged.starts_with("true"), valid, "{cookie} {client} {now}");
        judged
    };
    // Younger than half an hour: it is sent back as it came.
    assert_eq!(
        check(good, client, made + 1799, true),
        format!("true {good}")
    );
    assert_ne!(
        check(good, client, made + 1800, true),
        format!("true {good}")
    );
    check(good, client, made + 3600, true);
    check(good, client, made + 3601, false);
    check(good, client, made - 300, true);
    check(good, client, made - 301, false);
    check(good, "198.51.100.101", made, false);
    check(good, "::ffff:198.51.100.100", made, true);
    for at in 0..good.len() / 2 {
        let mut bytes = hex::decode(good).unwrap();
        bytes[at] ^= 1;
        check(&hex::encode(bytes), client, made, false);
    }
    // Lawful lengths that are not ours.
    check(&good[..48 - 2], client, made, false);
    check(&format!("{good}00"), client, made, false);
}

#[test]
fn a_wrap_of_the_clock_is_not_an_end() {
    let cookie = Cookie::read(&[7; 8]).unwrap();
    let jar = CookieJar::fixed([9; 16]);
    let client = "192.0.2.1".parse().unwrap();
    let (_, full) = jar.judge(cookie, client, u32::MAX - 10);
    let cookie = Cookie::read(&full).unwrap();
    assert!(jar.judge(cookie, client, 20).0);
}

#[test]
fn lengths_are_those_of_rfc_7873() {
    for bytes in 0..64 {
        let cookie = Cookie::read(&vec![0; bytes]);
        assert_eq!(
            cookie.is_some(),
            bytes == 8 || (16..=40).contains(&bytes),
            "{bytes}"
        );
    }
}

#[test]
fn a_hash_of_another_secret_is_another() {
    let server = [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
    let of = |text| {
        hash(
            &secret(text),
            &[1; 8],
            &server,
            "192.0.2.1".parse().unwrap(),
        )
    };
    assert_ne!(of(SECRET), of(NEW_SECRET));
}
