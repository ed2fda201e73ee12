#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use expect_test::{Expect, expect};

use super::*;

fn read(text: &str) -> Result<HttpConfig, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

#[test]
fn nothing_said_is_the_documented_default() {
    let config = read("{}").unwrap();
    assert_eq!(config, HttpConfig::default());
    let settings = config.validate().unwrap();
    assert_eq!(settings.plain, [HTTP_LISTEN_DEFAULT]);
    assert!(settings.tls.is_empty());
    assert!(settings.certificates.is_none());
    assert!(settings.trusted.is_empty());
    assert_eq!(settings.proxy_protocol, Expect_::Off);
    assert!(settings.workers >= 1);
}

use meridian_accept::Expect as Expect_;

#[test]
fn everything_can_be_said() {
    let settings = read(
        r#"
listen: ["127.0.0.1:80", "[::1]:80"]
https:
  certificates:
    - { certificate: a.pem, key: a.key, names: [shop.example.com] }
  unmatched: refuse
trusted_proxies: ["10.0.0.0/8"]
proxy_protocol: optional
decision_headers: on
h2c: off
client_from: forwarded
limits: { connections: 10, head_bytes: 8192, h2_streams: 5, upstream_idle: 7 }
timeouts: { handshake: "1s", header: "2s", keepalive: "3s", body: "4s", tunnel: "5m", upstream_idle: "6s" }
ejection: { connect_failures: 1, timeouts: 2, server_errors: 3 }
drain: "0ms"
worker_threads: 3
"#,
    )
    .unwrap()
    .validate()
    .unwrap();
    assert_eq!(settings.plain.len(), 2);
    assert_eq!(settings.tls, [HTTPS_LISTEN_DEFAULT]);
    let certificates = settings.certificates.unwrap();
    assert_eq!(certificates.unmatched, Unmatched::Refuse);
    assert_eq!(certificates.certificates[0].names, ["shop.example.com"]);
    assert!(settings.trusted.contains("10.1.2.3".parse().unwrap()));
    assert_eq!(settings.proxy_protocol, Expect_::Optional);
    assert_eq!(settings.decision_headers, Toggle::On);
    assert_eq!(settings.h2c, Toggle::Off);
    assert_eq!(settings.client_from, ClientFrom::Forwarded);
    assert_eq!(settings.connections_max, 10);
    assert_eq!(settings.head_bytes_max, 8192);
    assert_eq!(settings.h2_streams_max, 5);
    assert_eq!(settings.upstream_idle_max, 7);
    assert_eq!(settings.handshake_timeout, Duration::from_secs(1));
    assert_eq!(settings.header_timeout, Duration::from_secs(2));
    assert_eq!(settings.keepalive_timeout, Duration::from_secs(3));
    assert_eq!(settings.body_timeout, Duration::from_secs(4));
    assert_eq!(settings.tunnel_timeout, Duration::from_secs(300));
    assert_eq!(settings.upstream_idle_timeout, Duration::from_secs(6));
    assert_eq!(settings.ejection.server_errors, 3);
    assert_eq!(settings.drain, Duration::ZERO);
    assert_eq!(settings.workers, 3);
}

/// The sentences of everything that is wrong with a text.
fn mistakes(text: &str, expected: &Expect) {
    let said = match read(text).map(HttpConfig::validate) {
        Ok(Ok(_)) => panic!("accepted: {text}"),
        Ok(Err(errors)) => errors
            .iter()
            .map(|error| format!("{error}\n"))
            .collect::<String>(),
        // Spans and sources are the parser's; the first line is ours.
        Err(error) => format!("{}\n", error.lines().next().unwrap_or_default()),
    };
    expected.assert_eq(&said);
}

#[test]
fn mistakes_are_named() {
    mistakes(
        "{ listen: [], worker_threads: 5000, drain: 25h, limits: { connections: 0, head_bytes: 10, h2_streams: 0, upstream_idle: 0 } }",
        &expect![[r#"
            http: no address to listen on; leave the section out to switch HTTP off
            http.limits.connections: 0 is not within 1 and more
            http.limits.head_bytes: 10 is not within 1024 to 1048575
            http.limits.h2_streams: 0 is not within 1 and more
            http.limits.upstream_idle: 0 is not within 1 and more
            http.drain: 25h is not within 0ms to 24h
            http.worker_threads: 5000 is not within 1 to 1024
        "#]],
    );
    mistakes(
        "{ https: { certificates: [] }, timeouts: { header: 0ms, tunnel: 2d }, ejection: { timeouts: 0 } }",
        &expect![[r#"
            http.https.certificates: name at least one certificate and its key
            http.timeouts.header: 0ms is not within 1ms to 24h
            http.timeouts.tunnel: 2d is not within 1ms to 24h
            http.ejection.timeouts: 0 is not within 1 and more
        "#]],
    );
    mistakes(
        "{ proxy_protocol: required }",
        &expect![[r#"
        http.proxy_protocol: name the proxies in `trusted_proxies`; a PROXY header is believed from nobody else
    "#]],
    );
    mistakes(
        "{ listn: [] }",
        &expect![[r#"
            error: line 1 column 3: unknown field `listn`, expected one of listen, https, trusted_proxies, proxy_protocol, decision_headers, h2c, lane, limits, timeouts, client_from, ejection, drain, worker_threads
        "#]],
    );
    mistakes(
        "{ drain: 30 }",
        &expect![[r#"
            error: line 1 column 10: `30` has no unit
        "#]],
    );
    mistakes(
        "{ worker_threads: 0 }",
        &expect![[r#"
        error: line 1 column 3: invalid value: integer `0`, expected a nonzero usize
    "#]],
    );
}
