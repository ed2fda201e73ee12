#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "tests stop at the first surprise"
)]

use std::sync::Mutex;

use super::*;

#[derive(Default)]
struct Kept(Mutex<Vec<(String, PassiveKind)>>);

impl PassiveSink for Kept {
    fn report(&self, report: PassiveReport) {
        let entry = (report.endpoint.to_string(), report.kind);
        self.0.lock().unwrap().push(entry);
    }
}

/// What happens to endpoint 0 of two, one letter a request.
fn reports(story: &str) -> Vec<(String, PassiveKind)> {
    let kept = Arc::new(Kept::default());
    let thresholds = Thresholds {
        connect_failures: 3,
        timeouts: 2,
        server_errors: 4,
    };
    let runs = FailureRuns::new(2, thresholds, Arc::clone(&kept) as Arc<dyn PassiveSink>);
    let (endpoint, id) = (EndpointIdx(0), "a-1".parse::<EndpointId>().unwrap());
    for step in story.chars() {
        match step {
            'c' => runs.failed(endpoint, &id, PassiveKind::ConnectFailed),
            't' => runs.failed(endpoint, &id, PassiveKind::Timeout),
            '5' => runs.failed(endpoint, &id, PassiveKind::Status5xx),
            '.' => runs.succeeded(endpoint),
            'o' => runs.failed(EndpointIdx(1), &id, PassiveKind::ConnectFailed),
            _ => runs.failed(EndpointIdx(9), &id, PassiveKind::ConnectFailed),
        }
    }
    let reports = kept.0.lock().unwrap();
    reports.clone()
}

#[test]
fn a_run_is_reported_when_it_is_long_enough() {
    use PassiveKind::{ConnectFailed, Status5xx, Timeout};
    let cases: &[(&str, &[PassiveKind])] = &[
        ("", &[]),
        ("cc", &[]),
        ("ccc", &[ConnectFailed]),
        ("cc.cc", &[]),
        ("ccc.ccc", &[ConnectFailed, ConnectFailed]),
        ("cccccc", &[ConnectFailed, ConnectFailed]),
        ("ct5ct", &[Timeout]),
        ("555.5555", &[Status5xx]),
        ("cco", &[]),
        ("cc9999", &[]),
    ];
    for (story, expected) in cases {
        let expected: Vec<_> = expected
            .iter()
            .map(|kind| ("a-1".to_owned(), *kind))
            .collect();
        assert_eq!(reports(story), expected, "{story:?}");
    }
}
