//! What the sections accept, and what they say about what they do not.

use std::path::Path;

use super::checked::KeySettings;
use super::names::pattern;
use super::*;

fn check(yaml: &str) -> Result<TransferSettings, String> {
    let config: crate::DnsConfig = meridian_topology::door::parse("meridian.yaml", yaml)
        .map_or_else(|problems| panic!("{problems}"), |parsed| parsed.value);
    let sections = Sections {
        tsig_keys: &config.tsig_keys,
        transfers: &config.transfers,
        secondaries: &config.secondaries,
        updates: &config.updates,
        state: Some(Path::new("/nowhere")),
    };
    sections.check().map_err(|error| error.to_string())
}

const KEY: &str = "tsig_keys: [{ name: Xfr.test, secret_file: xfr.key }]\n";

#[test]
fn what_is_wrong_is_named_with_its_field() {
    let cases = [
        (
            "tsig_keys: [{ name: \"a..b\", secret_file: x }]",
            "tsig_keys `a..b`",
        ),
        (
            "tsig_keys: [{ name: a, secret_file: x }, { name: A., secret_file: y }]",
            "named twice",
        ),
        (
            "transfers: { allow: [{ }] }",
            "`transfers.allow`: an entry needs",
        ),
        ("transfers: { allow: [{ tsig_key: none }] }", "lists none"),
        ("transfers: { max_concurrent: 0 }", "allowed is 1 to 1024"),
        (
            "transfers: { zones: [{ zone: a }, { zone: A }] }",
            "named twice",
        ),
        (
            "secondaries: [{ zone: a, primaries: [] }]",
            "names no primary",
        ),
        (
            "secondaries: [{ zone: a, primaries: [{ address: \"192.0.2.1:53\", source: \"::1\" }] }]",
            "one address family",
        ),
        (
            "secondaries: [{ zone: a, primaries: [{ address: \"192.0.2.1:53\" }], refresh_min: \"2d\" }]",
            "not above `refresh_max`",
        ),
        (
            "secondaries: [{ zone: a, primaries: [{ address: \"192.0.2.1:53\" }], bytes_max: 5 }]",
            "`bytes_max`",
        ),
    ];
    for (yaml, wanted) in cases {
        let error = check(yaml).unwrap_err();
        assert!(error.contains(wanted), "{yaml}: {error}");
    }
    let with_key = [
        (
            "transfers: { allow: [{ tsig_key: other }] }",
            "`dns.tsig_keys` has xfr.test",
        ),
        (
            "updates: [{ zone: z.test, tsig_key: xfr.test, names: [\"a.y.test\"], types: [A] }]",
            "not inside the zone",
        ),
        (
            "updates: [{ zone: z.test, tsig_key: xfr.test, names: [\"a.z.test\"], types: [SOA] }]",
            "cannot be changed",
        ),
        (
            "updates: [{ zone: z.test, tsig_key: xfr.test, names: [\"a.z.test\"], types: [NONSENSE] }]",
            "not a record type",
        ),
        (
            "updates: [{ zone: z.test, tsig_key: xfr.test, names: [], types: [A] }]",
            "needs `names` and `types`",
        ),
        (
            "secondaries: [{ zone: z.test, primaries: [{ address: \"192.0.2.1:53\" }] }]\nupdates: [{ zone: z.test, tsig_key: xfr.test, names: [\"a.z.test\"], types: [A] }]",
            "secondary here",
        ),
    ];
    for (yaml, wanted) in with_key {
        let error = check(&format!("{KEY}{yaml}")).unwrap_err();
        assert!(error.contains(wanted), "{yaml}: {error}");
    }
}

#[test]
fn lists_decide_by_network_and_key() {
    let yaml = format!(
        "{KEY}transfers:\n  allow: [{{ network: 192.0.2.0/24 }}, {{ tsig_key: xfr.test, network: \"2001:db8::/32\" }}]\n  zones: [{{ zone: Own.test, allow: [{{ tsig_key: xfr.test }}] }}]\n"
    );
    let settings = check(&yaml).unwrap();
    let key = parse_name("xfr.test").unwrap();
    let check = |zone: &str, source: &str, signed: bool| {
        let peers = settings.peers_of(&parse_name(zone).unwrap());
        peers
            .allow
            .allows(source.parse().unwrap(), signed.then_some(&*key))
    };
    assert!(check("any.test", "192.0.2.9", false));
    assert!(check("any.test", "::ffff:192.0.2.9", false));
    assert!(!check("any.test", "198.51.100.1", true));
    assert!(check("any.test", "2001:db8::1", true));
    assert!(!check("any.test", "2001:db8::1", false));
    assert!(check("own.test", "198.51.100.1", true));
    assert!(!check("own.test", "192.0.2.9", false));
    assert!(
        !TransferSettings::default()
            .peers_of(b"\0")
            .allow
            .allows("127.0.0.1".parse().unwrap(), None)
    );
}

#[test]
fn patterns_fit_whole_names() {
    let zone = parse_name("example.com").unwrap();
    let check = |text: &str, name: &str| {
        pattern("names", text, &zone)
            .unwrap()
            .fits(&parse_name(name).unwrap())
    };
    assert!(check("*.dyn.example.com", "a.dyn.example.com"));
    assert!(check("*.dyn.example.com", "a.b.dyn.example.com"));
    assert!(!check("*.dyn.example.com", "dyn.example.com"));
    assert!(!check("*.dyn.example.com", "a.example.com"));
    assert!(check(
        "_acme-challenge.*.example.com",
        "_ACME-challenge.www.example.com"
    ));
    assert!(!check(
        "_acme-challenge.*.example.com",
        "_acme-challenge.a.www.example.com"
    ));
    assert!(!check(
        "_acme-challenge.*.example.com",
        "_acme-challenge.example.com"
    ));
    assert!(check("host.example.com", "host.example.com"));
    assert!(!check("host.example.com", "a.host.example.com"));
    assert!(!check("*.example.com", "b.other.test"));
}

#[test]
fn secrets_come_from_files_and_are_never_quoted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("k");
    let key = KeySettings {
        name: parse_name("k.test").unwrap(),
        algorithm: TsigAlgorithm::default(),
        secret_file: file.clone(),
    };
    assert!(
        key.read()
            .unwrap_err()
            .to_string()
            .contains("tsig_keys `k.test`.secret_file")
    );
    std::fs::write(&file, "not base64: topsecret!").unwrap();
    let error = key.read().unwrap_err().to_string();
    assert!(
        error.contains("base64") && !error.contains("topsecret"),
        "{error}"
    );
    std::fs::write(&file, "c2hvcnQ=").unwrap();
    assert!(key.read().unwrap_err().to_string().contains("16 to 512"));
    std::fs::write(&file, "c29tZXRoaW5nIHNlY3JldCBhbmQgbG9uZw==\n").unwrap();
    assert!(key.read().is_ok());
}
