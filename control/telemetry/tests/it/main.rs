//! What the data path pays for a decision that is logged, counted with an allocator that counts.
//! A binary of its own, because the counting allocator belongs to the whole process.

#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use meridian_telemetry::decision::{DecisionIds, Offered, SampleRate};
use meridian_telemetry::{Decision, DecisionLog, DecisionLogConfig, Metrics, Surface};

fn log(directory: &std::path::Path, queue: usize) -> DecisionLog {
    let config = DecisionLogConfig {
        directory: Some(directory.to_path_buf()),
        sample_rate: 1.0,
        queue,
        ..DecisionLogConfig::default()
    };
    DecisionLog::start(&config, &Metrics::new()).unwrap()
}

/// The ids of a plan are shared texts, so a record costs reference counts and a move.
#[test]
fn offering_a_decision_allocates_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let log = log(directory.path(), 4_096);
    let ids = DecisionIds::new(1);
    let service = "shop".parse().unwrap();
    let endpoint = "fra-1".parse().unwrap();
    let region = "eu-central-1".parse().unwrap();
    let one = || -> Offered {
        let decision_id = ids.next_id();
        let sample_rate: SampleRate = log.sample(decision_id).unwrap();
        log.offer(Decision {
            at_unix_us: 1,
            decision_id,
            surface: Surface::Http,
            service: Clone::clone(&service),
            class: 1,
            plan_generation: 1,
            endpoint: Some(Clone::clone(&endpoint)),
            region: Some(Clone::clone(&region)),
            propensity: 1.0,
            latency_us: None,
            status: None,
            sample_rate,
        })
    };
    // The first send of a thread may set up its waker.
    assert_eq!(one(), Offered::Queued);
    let counted = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            assert_eq!(one(), Offered::Queued);
        }
    });
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
