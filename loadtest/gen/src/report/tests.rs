use expect_test::expect;

use super::*;

fn sample() -> Report {
    let mut samples = Samples::default();
    for (subject, values) in [
        ("meridian", [90.0, 110.0, 100.0]),
        ("slow", [50.0, 40.0, 60.0]),
        ("fast", [120.0, 130.0, 125.0]),
    ] {
        for value in values {
            samples.add(subject, "qps", value);
        }
    }
    let metric = Metric {
        name: "qps".to_owned(),
        unit: "1/s",
        better: Better::Higher,
        goals: vec![("slow", 1.5), ("fast", 1.0)],
    };
    let subjects = ["meridian", "slow", "fast"].map(str::to_owned);
    let (rows, ratios) = samples.summarise(&[metric], &subjects);
    Report {
        bench: "dns".to_owned(),
        machine: Machine {
            cpu: "a cpu".to_owned(),
            cores: 2,
            memory_bytes: 8 << 30,
            kernel: "6.1".to_owned(),
            date: "2026-01-02".to_owned(),
        },
        rounds: 3,
        rows,
        ratios,
        growth: vec![Growth {
            metric: "plan_ms".to_owned(),
            over: "regions".to_owned(),
            points: vec![(1.0, 2.0), (10.0, 20.0)],
            slope: log_log_slope(&[(1.0, 2.0), (10.0, 20.0)]),
        }],
    }
}

#[test]
fn tables_say_which_goals_are_met() {
    expect![[r"
        dns on a cpu, 2 cores, 8 GiB, Linux 6.1, 2026-01-02 (3 rounds)
          qps                          meridian              100 1/s    (90.00 .. 110)
          qps                          slow                50.00 1/s    (40.00 .. 60.00)
          qps                          fast                  125 1/s    (120 .. 130)
          qps                          2.000 × slow       ≥ 1.5 met
          qps                          0.800 × fast       ≥ 1 MISSED
          plan_ms over regions: slope 1.00
                1.00           2.00
               10.00          20.00
    "]]
    .assert_eq(&sample().table());
}

#[test]
fn json_keeps_the_contracts_names() {
    let json = serde_json::to_value(sample()).expect("a report is plain data");
    for key in ["bench", "machine", "rounds", "rows", "ratios"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    for key in ["subject", "metric", "unit", "median", "min", "max"] {
        assert!(json["rows"][0].get(key).is_some(), "{key}");
    }
    for key in ["metric", "peer", "ours_over_peer", "goal", "better"] {
        assert!(json["ratios"][0].get(key).is_some(), "{key}");
    }
    assert_eq!(json["ratios"][0]["better"], "higher");
}

#[test]
fn medians_and_slopes() {
    for (values, want) in [
        (&[][..], None),
        (&[3.0], Some(3.0)),
        (&[1.0, 2.0], Some(1.5)),
        (&[1.0, 2.0, 9.0], Some(2.0)),
    ] {
        assert_eq!(median(values), want);
    }
    let quadratic: Vec<(f64, f64)> = [1.0, 3.0, 10.0].map(|x: f64| (x, 5.0 * x * x)).to_vec();
    assert!((log_log_slope(&quadratic) - 2.0).abs() < 1e-9);
}
