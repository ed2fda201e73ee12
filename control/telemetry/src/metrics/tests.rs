#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use expect_test::expect;
use proptest::prelude::*;

use super::*;

fn room(metrics: &Metrics) -> Room {
    metrics.room("dns").unwrap()
}

#[test]
fn names_follow_the_contract() {
    type Make = fn(&Room) -> Result<(), MetricError>;
    let cases: [(&str, Make); 8] = [
        ("meridian_dns_queries_total", |r| {
            r.counter("queries", Unit::Count, "h").map(drop)
        }),
        ("meridian_dns_sent_bytes_total", |r| {
            r.counter("sent", Unit::Bytes, "h").map(drop)
        }),
        ("meridian_dns_zones", |r| {
            r.int_gauge("zones", Unit::Count, "h").map(drop)
        }),
        ("meridian_dns_cache_hit_ratio", |r| {
            r.gauge("cache_hit", Unit::Ratio, "h").map(drop)
        }),
        ("meridian_dns_build_info", |r| {
            r.int_gauge_vec("build", Unit::Info, "h", &["version"])
                .map(drop)
        }),
        ("meridian_dns_answer_seconds", |r| {
            r.histogram("answer", Unit::Seconds, "h", LATENCY_SECONDS)
                .map(drop)
        }),
        ("meridian_dns_message_bytes", |r| {
            r.histogram_vec("message", Unit::Bytes, "h", &["transport"], SIZE_BYTES)
                .map(drop)
        }),
        ("meridian_dns_answers_total", |r| {
            r.counter_vec("answers", Unit::Count, "h", &["rcode"])
                .map(drop)
        }),
    ];
    for (name, make) in cases {
        let metrics = Metrics::new();
        make(&room(&metrics)).unwrap();
        assert_eq!(metrics.names(), [name]);
    }
}

#[test]
fn bad_registrations_say_what_is_wrong() {
    let metrics = Metrics::new();
    let room = room(&metrics);
    room.counter("queries", Unit::Count, "h").unwrap();
    room.counter_vec("answers", Unit::Count, "h", &["rcode"])
        .unwrap();
    room.histogram("answer", Unit::Seconds, "h", &[0.1, 1.0])
        .unwrap();
    let cases = [
        metrics.room("Dns").map(drop),
        metrics.room("").map(drop),
        room.counter("a__b", Unit::Count, "h").map(drop),
        room.counter("2xx", Unit::Count, "h").map(drop),
        room.counter(&"x".repeat(NAME_PART_BYTES_MAX + 1), Unit::Count, "h")
            .map(drop),
        room.counter("queries_total", Unit::Count, "h").map(drop),
        room.gauge("wait_ms", Unit::Seconds, "h").map(drop),
        room.counter_vec("asked", Unit::Count, "h", &["rcode", "qname"])
            .map(drop),
        room.counter_vec("queries", Unit::Count, "h", &["rcode"])
            .map(drop),
        room.counter_vec("answers", Unit::Count, "h", &["type"])
            .map(drop),
        room.histogram("answer", Unit::Seconds, "h", &[0.2, 1.0])
            .map(drop),
        room.counter_vec("odd", Unit::Count, "h", &["not a label"])
            .map(drop),
        room.histogram("unsorted", Unit::Seconds, "h", &[1.0, 0.2])
            .map(drop),
        room.counter("helpless", Unit::Count, "").map(drop),
    ];
    let seen: Vec<String> = cases
        .into_iter()
        .map(|case| case.map_or_else(|e| e.to_string(), |()| "fine".into()))
        .collect();
    expect![[r#"
        `Dns` cannot be part of a metric name: use lower-case letters, digits and single underscores, at most 48 bytes, starting with a letter
        `` cannot be part of a metric name: use lower-case letters, digits and single underscores, at most 48 bytes, starting with a letter
        `a__b` cannot be part of a metric name: use lower-case letters, digits and single underscores, at most 48 bytes, starting with a letter
        `2xx` cannot be part of a metric name: use lower-case letters, digits and single underscores, at most 48 bytes, starting with a letter
        `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` cannot be part of a metric name: use lower-case letters, digits and single underscores, at most 48 bytes, starting with a letter
        `queries_total` ends in `total`: give the unit as a `Unit`, the suffix is appended
        `wait_ms` ends in `ms`: give the unit as a `Unit`, the suffix is appended
        label `qname` of `meridian_dns_asked_total` would hold values that clients choose
        `meridian_dns_queries_total` is already registered as counter, not as counter_vec["rcode"]
        `meridian_dns_answers_total` is already registered as counter_vec["rcode"], not as counter_vec["type"]
        `meridian_dns_answer_seconds` is already registered as histogram[0.1, 1.0], not as histogram[0.2, 1.0]
        `meridian_dns_odd_total` was refused: Error: 'not a label' is not a valid label name
        `meridian_dns_unsorted_seconds` was refused: Error: histogram buckets must be in increasing order: 1 >= 0.2
        `meridian_dns_helpless_total` was refused: Error: empty help string"#]].assert_eq(&seen.join("\n"));
}

#[test]
fn asking_twice_gives_the_same_metric() {
    let metrics = Metrics::new();
    room(&metrics)
        .counter("queries", Unit::Count, "h")
        .unwrap()
        .inc();
    let again = room(&metrics).counter("queries", Unit::Count, "h").unwrap();
    again.inc();
    assert_eq!(again.get(), 2);
    let labelled = || {
        room(&metrics)
            .counter_vec("answers", Unit::Count, "h", &["rcode"])
            .unwrap()
    };
    labelled().with_label_values(&["noerror"]).inc();
    assert_eq!(labelled().with_label_values(&["noerror"]).get(), 1);
}

#[test]
fn the_number_of_names_is_bounded() {
    let metrics = Metrics::new();
    let room = room(&metrics);
    for n in 0..METRICS_MAX {
        room.counter(&format!("c{n}"), Unit::Count, "h").unwrap();
    }
    let error = room.counter("one_more", Unit::Count, "h").unwrap_err();
    assert_eq!(
        error,
        MetricError::TooMany {
            name: "meridian_dns_one_more_total".into()
        }
    );
    // What exists stays reachable.
    room.counter("c0", Unit::Count, "h").unwrap();
}

#[test]
fn the_text_format_is_rendered() {
    let build = BuildInfo {
        version: "1.2.3",
        commit: "abc",
    };
    let metrics = Metrics::with_build_info(build, 1_700_000_000.5).unwrap();
    let room = room(&metrics);
    room.counter_vec("answers", Unit::Count, "Answers by code", &["rcode"])
        .unwrap()
        .with_label_values(&["noerror"])
        .inc_by(3);
    let histogram = room
        .histogram("answer", Unit::Seconds, "Time to answer", &[0.1, 1.0])
        .unwrap();
    histogram.observe(0.05);
    histogram.observe(0.5);
    expect![[r##"
        # HELP meridian_dns_answer_seconds Time to answer
        # TYPE meridian_dns_answer_seconds histogram
        meridian_dns_answer_seconds_bucket{le="0.1"} 1
        meridian_dns_answer_seconds_bucket{le="1"} 2
        meridian_dns_answer_seconds_bucket{le="+Inf"} 2
        meridian_dns_answer_seconds_sum 0.55
        meridian_dns_answer_seconds_count 2
        # HELP meridian_dns_answers_total Answers by code
        # TYPE meridian_dns_answers_total counter
        meridian_dns_answers_total{rcode="noerror"} 3
        # HELP meridian_telemetry_build_info What runs, as labels; always 1
        # TYPE meridian_telemetry_build_info gauge
        meridian_telemetry_build_info{commit="abc",version="1.2.3"} 1
        # HELP meridian_telemetry_start_time_seconds When this process started, in seconds since 1970
        # TYPE meridian_telemetry_start_time_seconds gauge
        meridian_telemetry_start_time_seconds 1700000000.5
    "##]].assert_eq(&metrics.render().unwrap());
}

proptest! {
    /// Whatever is accepted is a legal Prometheus name of the contract's form.
    #[test]
    fn accepted_names_are_legal(what in "[a-zA-Z0-9_ ]{0,12}") {
        let metrics = Metrics::new();
        if room(&metrics).counter(&what, Unit::Seconds, "h").is_ok() {
            let name = metrics.names().remove(0);
            prop_assert_eq!(name, format!("meridian_dns_{}_seconds_total", what));
            prop_assert!(what.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'));
            prop_assert!(metrics.render().is_ok());
        }
    }
}

#[test]
fn sparse_counters_render_what_was_counted_and_lose_nothing() {
    let metrics = Metrics::new();
    let room = metrics.room("dns").unwrap();
    let counters = || {
        room.sparse_counters("steered", Unit::Count, "Help", ["service", "region"])
            .unwrap()
    };
    let columns =
        |names: &[&str]| -> Arc<[String]> { names.iter().map(|name| (*name).to_owned()).collect() };
    let old = counters().row("shop", &columns(&["eu", "us"]));
    old.inc(0);
    old.inc(7);
    let silent = counters().row("silent", &columns(&["eu", "us"]));
    // Asked again, it is the same row; with other columns it is another one.
    counters().row("shop", &columns(&["eu", "us"])).inc(0);
    let new = counters().row("shop", &columns(&["ap", "eu"]));
    new.inc(1);
    old.inc(1);
    drop(silent);
    let text = metrics.render().unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(
        lines,
        [
            "meridian_dns_steered_total{region=\"eu\",service=\"shop\"} 3",
            "meridian_dns_steered_total{region=\"us\",service=\"shop\"} 1",
        ]
    );
    assert!(
        room.counter_vec("steered", Unit::Count, "Help", &["service", "region"])
            .is_err()
    );
}
