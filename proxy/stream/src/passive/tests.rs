#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;

fn passive() -> (Passive, Arc<Mutex<Vec<String>>>) {
    let reports: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = Arc::clone(&reports);
    let report = Arc::new(move |report: PassiveReport| {
        let text = format!("{} {:?}", report.endpoint, report.kind);
        sink.lock().unwrap().push(text);
    });
    (Passive::new(report), reports)
}

#[test]
fn only_failures_in_a_row_are_reported() {
    let (passive, reports) = passive();
    let (a, b): (EndpointId, EndpointId) = ("a".parse().unwrap(), "b".parse().unwrap());
    let fail = |endpoint: &EndpointId| passive.failed(endpoint, PassiveKind::ConnectFailed);

    fail(&a);
    fail(&a);
    passive.succeeded(&a);
    fail(&a);
    fail(&b);
    fail(&a);
    assert!(reports.lock().unwrap().is_empty());
    passive.failed(&a, PassiveKind::Timeout);
    assert_eq!(*reports.lock().unwrap(), ["a Timeout"]);

    // A report starts the count over, so a dead endpoint is reported again.
    fail(&a);
    fail(&a);
    assert_eq!(reports.lock().unwrap().len(), 1);
    fail(&a);
    assert_eq!(reports.lock().unwrap().len(), 2);
}

#[test]
fn the_table_is_bounded() {
    let (passive, reports) = passive();
    for n in 0..2 * FAILING_MAX {
        passive.failed(
            &format!("e{n}").parse().unwrap(),
            PassiveKind::ConnectFailed,
        );
        assert!(passive.count.load(Ordering::Relaxed) <= FAILING_MAX);
    }
    assert!(reports.lock().unwrap().is_empty());
}
