#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::fs;
use std::path::Path;

use expect_test::expect;

use super::*;
use crate::DecisionId;

fn http_record() -> AccessRecord {
    AccessRecord {
        at_unix_us: 1_700_000_000_123_456,
        service: Some("shop".parse().unwrap()),
        client: "203.0.113.9:50123".parse().unwrap(),
        peer: Some("10.0.0.7:40000".parse().unwrap()),
        class: Some(12),
        decision_id: Some(DecisionId(42)),
        plan_generation: Some(7),
        endpoint: Some("fra-1".parse().unwrap()),
        region: Some("eu-central-1".parse().unwrap()),
        outcome: Outcome::Served,
        attempts: 2,
        duration_us: 12_345,
        first_byte_us: Some(11_000),
        bytes_in: 120,
        bytes_out: 4_096,
        http: Some(HttpDetails {
            method: "GET".into(),
            host: "shop.example".into(),
            path: "/cart\"\n".into(),
            version: "HTTP/1.1",
            status: 200,
            user_agent: None,
        }),
        stream: None,
    }
}

fn stream_record() -> AccessRecord {
    AccessRecord {
        service: None,
        peer: None,
        class: None,
        decision_id: None,
        plan_generation: None,
        endpoint: None,
        region: None,
        outcome: Outcome::NoEndpoint,
        attempts: 0,
        first_byte_us: None,
        http: None,
        stream: Some(StreamDetails {
            listener: "127.0.0.1:6000".parse().unwrap(),
            transport: StreamTransport::TlsPassthrough,
            server_name: Some("db.example".into()),
        }),
        ..http_record()
    }
}

fn line(record: &AccessRecord) -> String {
    let mut line = Vec::new();
    record.append_line(&mut line);
    String::from_utf8(line).unwrap()
}

/// A log of one file, with a queue that no test fills.
fn start(path: &Path, max_bytes: u64, max_files: usize) -> (AccessLog, Metrics) {
    let metrics = Metrics::new();
    let to = AccessTarget::File(path.to_path_buf());
    let config = AccessLogConfig {
        to,
        max_bytes,
        max_files,
        ..AccessLogConfig::default()
    };
    (AccessLog::start(&config, &metrics).unwrap(), metrics)
}

fn counted(metrics: &Metrics, what: &str) -> u64 {
    metrics
        .room("telemetry")
        .unwrap()
        .counter(what, Unit::Count, "h")
        .unwrap()
        .get()
}

#[test]
fn one_schema_for_requests_and_streams() {
    expect![[r#"
        {"time":"2023-11-14T22:13:20.123456Z","service":"shop","client":"203.0.113.9:50123","peer":"10.0.0.7:40000","class":12,"decision_id":"000000000000002a","plan_generation":7,"endpoint":"fra-1","region":"eu-central-1","outcome":"served","attempts":2,"duration_us":12345,"first_byte_us":11000,"bytes_in":120,"bytes_out":4096,"http":{"method":"GET","host":"shop.example","path":"/cart\"\n","version":"HTTP/1.1","status":200}}
        {"time":"2023-11-14T22:13:20.123456Z","client":"203.0.113.9:50123","outcome":"no_endpoint","attempts":0,"duration_us":12345,"bytes_in":120,"bytes_out":4096,"stream":{"listener":"127.0.0.1:6000","transport":"tls_passthrough","server_name":"db.example"}}
    "#]].assert_eq(&(line(&http_record()) + &line(&stream_record())));
}

#[test]
fn long_texts_are_cut_at_a_character() {
    let mut record = http_record();
    let http = record.http.as_mut().unwrap();
    http.path = format!("/{}", "ü".repeat(FIELD_BYTES_MAX));
    http.user_agent = Some("x".repeat(FIELD_BYTES_MAX + 1));
    let line: serde_json::Value = serde_json::from_str(&line(&record)).unwrap();
    assert_eq!(
        line["http"]["path"].as_str().unwrap().len(),
        FIELD_BYTES_MAX - 1
    );
    assert_eq!(
        line["http"]["user_agent"].as_str().unwrap().len(),
        FIELD_BYTES_MAX
    );
}

#[test]
fn records_arrive_in_order_and_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("logs/access.log");
    let (log, metrics) = start(&path, 1 << 30, 2);
    for n in 0..1_000 {
        log.record(AccessRecord {
            duration_us: n,
            ..http_record()
        });
    }
    log.flush();
    let seen: Vec<u64> = fs::read_to_string(&path)
        .unwrap()
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["duration_us"]
                .as_u64()
                .unwrap()
        })
        .collect();
    assert_eq!(seen, (0..1_000).collect::<Vec<u64>>());
    assert_eq!(counted(&metrics, "access_records_written"), 1_000);
    assert_eq!(counted(&metrics, "access_records_dropped"), 0);
}

#[test]
fn shutdown_writes_what_is_queued() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let (log, metrics) = start(&path, 1 << 30, 2);
    for _ in 0..100 {
        log.record(http_record());
    }
    log.shutdown();
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 100);
    log.record(http_record());
    log.shutdown();
    assert_eq!(counted(&metrics, "access_records_dropped"), 1);
}

#[test]
fn files_are_bounded_in_size_and_number() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let (log, _) = start(&path, 4_096, 3);
    let mut last = String::new();
    for n in 0..200 {
        let record = AccessRecord {
            duration_us: n,
            ..http_record()
        };
        last = line(&record);
        log.record(record);
        log.flush();
    }
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert!(entry.metadata().unwrap().len() <= 4_096);
        names.push(entry.file_name().into_string().unwrap());
        let text = fs::read_to_string(entry.path()).unwrap();
        assert!(text.ends_with('\n'), "no line is split between files");
    }
    names.sort();
    assert_eq!(names, ["access.log", "access.log.1", "access.log.2"]);
    assert!(
        fs::read_to_string(&path).unwrap().ends_with(&last),
        "the current file is the youngest"
    );
}

#[test]
fn a_single_file_starts_over() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let mut file = RotatingFile::open(path.clone(), 10, 1).unwrap();
    file.write_lines(b"12345678\n").unwrap();
    file.write_lines(b"abc\n").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"abc\n");
}

#[test]
fn reopen_follows_the_name() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let moved = directory.path().join("moved");
    let (log, _) = start(&path, 1 << 30, 2);
    log.record(http_record());
    log.flush();
    fs::rename(&path, &moved).unwrap();
    log.record(http_record());
    log.reopen();
    log.record(http_record());
    log.flush();
    assert_eq!(fs::read_to_string(&moved).unwrap().lines().count(), 2);
    assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
}

#[test]
fn a_full_channel_drops_and_counts() {
    let metrics = Metrics::new();
    let dropped = metrics
        .room("telemetry")
        .unwrap()
        .counter("dropped", Unit::Count, "h")
        .unwrap();
    let (commands, inbox) = sync_channel(2);
    let running = Running {
        commands,
        dropped: dropped.clone(),
        writer: Mutex::new(None),
    };
    let log = AccessLog {
        running: Some(Arc::new(running)),
    };
    for _ in 0..5 {
        log.record(http_record());
    }
    assert_eq!(dropped.get(), 3);
    assert_eq!(inbox.try_iter().count(), 2);
}

#[test]
fn failures_of_the_disk_are_counted_and_survived() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("access.log");
    let (log, metrics) = start(&path, 4_096, 2);
    // Rotation renames onto a directory that is not empty, which fails.
    fs::create_dir_all(directory.path().join("access.log.1/occupied")).unwrap();
    for _ in 0..30 {
        log.record(http_record());
        log.flush();
    }
    assert!(counted(&metrics, "access_write_errors") > 0);
    fs::remove_dir_all(directory.path().join("access.log.1")).unwrap();
    let before = counted(&metrics, "access_records_written");
    log.record(http_record());
    log.flush();
    assert_eq!(counted(&metrics, "access_records_written"), before + 1);
}

#[test]
fn limits_are_checked() {
    let check = |config: AccessLogConfig| {
        AccessLog::start(&config, &Metrics::new())
            .map_or_else(|e| e.to_string(), |log| format!("{log:?}"))
    };
    let config = AccessLogConfig::default();
    let seen = [
        check(config.clone()),
        check(AccessLogConfig {
            max_bytes: 1,
            ..config.clone()
        }),
        check(AccessLogConfig {
            max_files: 0,
            ..config.clone()
        }),
        check(AccessLogConfig {
            queue: 0,
            ..config.clone()
        }),
        check(AccessLogConfig {
            to: AccessTarget::File("/proc/none/access.log".into()),
            ..config
        }),
    ];
    expect![[r#"
        AccessLog { on: false }
        access log: `max_bytes` is 1, allowed is 4096 or more
        access log: `max_files` is 0, allowed is 1 to 100
        access log: `queue` is 0, allowed is 1 to 1048576
        access log: cannot open /proc/none/access.log"#]]
    .assert_eq(&seen.join("\n"));
}

#[test]
fn the_configuration_reads_as_documented() {
    let config: AccessLogConfig =
        serde_json::from_str(r#"{"to": {"file": "/var/log/meridian/access.log"}, "max_files": 3}"#)
            .unwrap();
    assert_eq!(
        config.to,
        AccessTarget::File("/var/log/meridian/access.log".into())
    );
    assert_eq!(config.max_files, 3);
    let config: AccessLogConfig = serde_json::from_str(r#"{"to": "stdout"}"#).unwrap();
    assert_eq!(config.to, AccessTarget::Stdout);
    assert!(serde_json::from_str::<AccessLogConfig>(r#"{"file": "x"}"#).is_err());
}
