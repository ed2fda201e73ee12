#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use std::num::NonZeroUsize;

use meridian_topology::SourceFile;
use meridian_topology::door;

use super::{ClientSubnetConfig, ConfigError, DnsConfig, LISTEN_DEFAULT, TcpConfig};
use crate::dnssec::ZoneSigningConfig;
use crate::responder::EcsTrust;

fn load(yaml: &str) -> Result<DnsConfig, String> {
    let file = SourceFile {
        name: "meridian.yaml".into(),
        text: yaml.into(),
    };
    door::parse::<DnsConfig>(&file.name, &file.text)
        .map(|parsed| parsed.value)
        .map_err(|problems| problems.to_string())
}

const CORES: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

#[test]
fn nothing_said_is_the_contract() {
    let settings = load("{}").unwrap().validate(CORES).unwrap();
    assert_eq!(settings.listen, [LISTEN_DEFAULT]);
    assert_eq!((settings.workers, settings.rules.udp_bytes_max), (4, 1232));
    assert_eq!(settings.rules.ecs, EcsTrust::Everybody);
}

#[test]
fn everything_said_is_kept_and_written_back() {
    let yaml = r#"
listen: ["127.0.0.2:53", "[::1]:53"]
workers: 2
udp_bytes_max: 1400
client_subnet:
  from: ["192.0.2.0/24", "2001:db8::/32"]
failover_ttl: "2s"
tcp: { connections: 10, connections_per_client: 3, queries_per_connection: 5, idle_timeout: "1.5s" }
cookies: { secret_file: secrets, rotate: "12h", require: over_udp }
rate_limit: { responses_per_second: 20, exempt: ["192.0.2.0/24"] }
tls: { listen: ["127.0.0.1:853"], certificates: [{ certificate: a.pem, key: a.key }] }
https: { listen: ["127.0.0.1:443"], certificates: [{ certificate: a.pem, key: a.key }], path: /q }
quic: { listen: ["127.0.0.1:853"], certificates: [{ certificate: a.pem, key: a.key }] }
"#;
    let config = load(yaml).unwrap();
    let settings = config.validate(CORES).unwrap();
    assert_eq!((settings.listen.len(), settings.workers), (2, 2));
    assert_eq!(settings.rules.failover_ttl_seconds, 2);
    assert_eq!(settings.tcp.idle_timeout.as_millis(), 1500);
    let EcsTrust::From(networks) = &settings.rules.ecs else {
        panic!("{settings:?}")
    };
    assert_eq!(networks.len(), 2);
}

#[test]
fn bounds_are_bounds() {
    let check = |change: fn(&mut DnsConfig), field: &str| {
        let mut config = DnsConfig::default();
        change(&mut config);
        match config.validate(CORES) {
            Err(ConfigError::OutOfRange { field: found, .. }) => assert_eq!(found, field),
            Err(ConfigError::NoListener) => assert_eq!(field, "none"),
            Err(ConfigError::Path { .. }) => assert_eq!(field, "https.path"),
            Err(ConfigError::Transfers(error)) => panic!("{error}"),
            Err(error @ ConfigError::Xdp(_)) => panic!("{field}: {error}"),
            Err(ConfigError::Dnssec(error)) => {
                assert!(error.to_string().contains(field), "{error}");
            }
            Ok(_) => panic!("{field} was accepted"),
        }
    };
    check(|config| config.listen.clear(), "none");
    check(|config| config.listen = vec![LISTEN_DEFAULT; 65], "listen");
    check(|config| config.workers = NonZeroUsize::new(1000), "workers");
    check(|config| config.udp_bytes_max = 511, "udp_bytes_max");
    check(|config| config.udp_bytes_max = 4097, "udp_bytes_max");
    check(
        |config| config.client_subnet = ClientSubnetConfig::From(Vec::new()),
        "client_subnet.from",
    );
    check(|config| config.tcp.connections = 0, "tcp.connections");
    check(|config| config.dnssec.cached_answers = 1, "cached_answers");
    check(
        |config| {
            let zones = &mut config.dnssec.zones;
            zones.insert("../elsewhere".into(), ZoneSigningConfig::default());
        },
        "../elsewhere",
    );
    check(
        |config| {
            let zone = ZoneSigningConfig {
                validity: "2h".parse().unwrap(),
                ..ZoneSigningConfig::default()
            };
            config.dnssec.zones.insert("a.test".into(), zone);
        },
        "zones.a.test.refresh_before",
    );
    check(
        |config| {
            config.tcp = TcpConfig {
                idle_timeout: "1h".parse().unwrap(),
                ..TcpConfig::default()
            }
        },
        "tcp.idle_timeout (ms)",
    );
}

#[test]
fn bounds_of_the_guard_and_of_encryption_are_bounds() {
    let check = |yaml: &str, field: &str| {
        let found = match load(yaml).unwrap().validate(CORES) {
            Err(ConfigError::OutOfRange { field, .. }) => field,
            Err(ConfigError::Path { .. }) => "https.path",
            other => panic!("{yaml}: {other:?}"),
        };
        assert_eq!(found, field);
    };
    let files = "certificates: [{ certificate: a.pem, key: a.key }]";
    let listen = r#"listen: ["127.0.0.1:0"]"#;
    for (yaml, field) in [
        (
            "tcp: { connections_per_client: 0 }".into(),
            "tcp.connections_per_client",
        ),
        (r#"cookies: { rotate: "1s" }"#.into(), "cookies.rotate (ms)"),
        ("rate_limit: { slip: 16 }".into(), "rate_limit.slip"),
        (
            "rate_limit: { responses_per_second: 100001 }".into(),
            "rate_limit.responses_per_second",
        ),
        (
            r#"rate_limit: { window: "2m" }"#.into(),
            "rate_limit.window (ms)",
        ),
        (
            "rate_limit: { ipv4_prefix: 33 }".into(),
            "rate_limit.ipv4_prefix",
        ),
        (
            "rate_limit: { ipv6_prefix: 0 }".into(),
            "rate_limit.ipv6_prefix",
        ),
        ("rate_limit: { accounts: 10 }".into(), "rate_limit.accounts"),
        (format!("tls: {{ listen: [], {files} }}"), "tls.listen"),
        (
            format!("tls: {{ {listen}, certificates: [] }}"),
            "tls.certificates",
        ),
        (
            format!("https: {{ {listen}, {files}, path: dns }}"),
            "https.path",
        ),
        (
            format!("https: {{ {listen}, {files}, path: /a?b }}"),
            "https.path",
        ),
        (
            format!("https: {{ {listen}, {files}, streams: 0 }}"),
            "https.streams",
        ),
        (
            format!("quic: {{ {listen}, {files}, streams: 1001 }}"),
            "quic.streams",
        ),
    ] as [(String, &str); 14]
    {
        check(&yaml, field);
    }
    let settings = load("rate_limit: {}").unwrap().validate(CORES).unwrap();
    assert_eq!(settings.rate.unwrap().responses_per_second, 200);
    let settings = load("cookies: { enabled: false }").unwrap();
    assert_eq!(settings.validate(CORES).unwrap().cookies, None);
}

#[test]
fn every_path_of_the_guard_of_encryption_and_of_keys_is_named() {
    let mut config = load(
        r#"
cookies: { secret_file: secrets }
tls: { listen: [], certificates: [{ certificate: a.pem, key: a.key }, { certificate: b.pem, key: b.key }] }
https: { listen: [], certificates: [{ certificate: c.pem, key: c.key }] }
quic: { listen: [], certificates: [{ certificate: d.pem, key: d.key }] }
"#,
    )
    .unwrap();
    let paths: Vec<_> = config
        .paths_mut()
        .map(|path| path.display().to_string())
        .collect();
    assert_eq!(
        paths[..10],
        [
            "secrets", "a.pem", "a.key", "b.pem", "b.key", "c.pem", "c.key", "d.pem", "d.key",
            "dnssec"
        ]
    );
}

#[test]
fn unknown_keys_are_errors() {
    let problem = load("lisen: []").unwrap_err();
    assert!(
        problem.contains("lisen") && problem.contains("listen"),
        "{problem}"
    );
}
