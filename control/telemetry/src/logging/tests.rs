#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use super::*;

/// Keeps what is logged.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn logged(config: &LogConfig, log: impl FnOnce()) -> String {
    let kept = Kept::default();
    let writer = kept.clone();
    let subscriber = subscriber(config, false, move || writer.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, log);
    let bytes = kept.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

fn transition() {
    tracing::info!(endpoint = "fra-1", "endpoint is down");
    tracing::debug!("not at this level");
}

#[test]
fn json_lines_carry_fields() {
    let config = LogConfig {
        format: LogFormat::Json,
        ..LogConfig::default()
    };
    let text = logged(&config, transition);
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(line["message"], "endpoint is down");
    assert_eq!(line["endpoint"], "fra-1");
    assert_eq!(line["level"], "INFO");
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn text_lines_carry_fields() {
    let text = logged(&LogConfig::default(), transition);
    assert!(text.contains("INFO"), "{text}");
    assert!(
        text.contains("endpoint is down endpoint=\"fra-1\""),
        "{text}"
    );
    assert_eq!(text.lines().count(), 1);
}

#[test]
fn the_filter_chooses() {
    let config = LogConfig {
        filter: "off,meridian_telemetry=debug".into(),
        ..LogConfig::default()
    };
    assert!(logged(&config, transition).contains("not at this level"));
    let config = LogConfig {
        filter: "error".into(),
        ..LogConfig::default()
    };
    assert_eq!(logged(&config, transition), "");
}

#[test]
fn a_bad_filter_is_told() {
    let config = LogConfig {
        filter: "info,meridian_dns=loud".into(),
        ..LogConfig::default()
    };
    let message = filter(&config).unwrap_err().to_string();
    assert!(message.contains("info,meridian_dns=loud"), "{message}");
}

#[test]
fn unknown_keys_are_refused() {
    let error = serde_json::from_str::<LogConfig>(r#"{"level": "info"}"#).unwrap_err();
    assert!(
        error.to_string().contains("unknown field `level`"),
        "{error}"
    );
    let config: LogConfig = serde_json::from_str(r#"{"format": "json"}"#).unwrap();
    assert_eq!(
        config,
        LogConfig {
            format: LogFormat::Json,
            filter: "info".into()
        }
    );
}
