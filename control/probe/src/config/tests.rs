#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use super::*;

#[test]
fn the_configuration_reads_as_documented() {
    let text = r#"{"max_concurrent": 8, "exec_checks": "run", "start_spread": "250ms"}"#;
    let config: ProbeConfig = serde_json::from_str(text).unwrap();
    let expected = ProbeConfig {
        max_concurrent: 8,
        exec_checks: ExecChecks::Run,
        start_spread: Millis(250),
        ..ProbeConfig::default()
    };
    assert_eq!(config, expected);
    let again = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<ProbeConfig>(&again).unwrap(), config);
}

#[test]
fn strange_settings_are_refused() {
    for text in [
        r#"{"start_spread": 250}"#,
        r#"{"start_spread": "250"}"#,
        r#"{"insecure_skip_verify": true}"#,
        r#"{"exec_checks": true}"#,
    ] {
        assert!(serde_json::from_str::<ProbeConfig>(text).is_err(), "{text}");
    }
}
