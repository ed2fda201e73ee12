#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;

#[test]
fn the_defaults_are_valid() {
    let settings = StreamConfig::default().validate().unwrap();
    assert_eq!(settings.connections, 16_384);
    assert_eq!(settings.attempts, 3);
    assert_eq!(settings.proxy_header, Duration::from_secs(5));
    assert_eq!(settings.drain, Duration::from_secs(30));
    assert!(settings.trusted.is_empty());
}

#[test]
fn values_out_of_bounds_are_named() {
    let default = StreamConfig::default;
    let cases = [
        (
            StreamConfig {
                connections: 0,
                ..default()
            },
            "stream: `connections` is 0, allowed is 1 to 1048576",
        ),
        (
            StreamConfig {
                attempts: 0,
                ..default()
            },
            "stream: `attempts` is 0, allowed is 1 to 8",
        ),
        (
            StreamConfig {
                attempts: 9,
                ..default()
            },
            "stream: `attempts` is 9, allowed is 1 to 8",
        ),
        (
            StreamConfig {
                proxy_header: Millis(0),
                ..default()
            },
            "stream: `proxy_header` is 0ms, allowed is 1ms to 3600s",
        ),
        (
            StreamConfig {
                drain: Millis(3_600_001),
                ..default()
            },
            "stream: `drain` is 3600001ms, allowed is 0ms to 3600s",
        ),
    ];
    for (config, wanted) in cases {
        assert_eq!(config.validate().unwrap_err().to_string(), wanted);
    }
}

#[test]
fn text_has_units_and_no_unknown_keys() {
    let read = serde_json::from_str::<StreamConfig>;
    let config = read(r#"{"trusted_proxies": ["10.0.0.0/8"], "drain": "2s"}"#).unwrap();
    assert_eq!(config.drain, Millis(2_000));
    assert!(
        config
            .validate()
            .unwrap()
            .trusted
            .contains([10, 1, 2, 3].into())
    );
    for wrong in [
        r#"{"drain": 2}"#,
        r#"{"drains": "2s"}"#,
        r#"{"trusted_proxies": ["10.0.0.0/99"]}"#,
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
