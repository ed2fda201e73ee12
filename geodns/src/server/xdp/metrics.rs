//! Counters of AF_XDP, beside those of the answers themselves, which are the responder's on every
//! path.

use meridian_telemetry::metrics::{IntCounter, IntGauge};
use meridian_telemetry::{MetricError, Metrics, Unit};
use meridian_xdp::{KernelDrops, Turn};

use super::frame::Unfit;

/// The counters. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct XdpMetrics {
    received: IntCounter,
    sent: IntCounter,
    unfit: [IntCounter; Unfit::ALL.len()],
    passed: IntCounter,
    rx_full: IntCounter,
    fill_empty: IntCounter,
    tx_full: IntCounter,
    kernel_dropped: IntCounter,
    /// Queues that are answered.
    pub(super) queues: IntGauge,
}

impl XdpMetrics {
    /// Registers them as `meridian_dns_xdp_…`.
    ///
    /// # Errors
    /// [`MetricError`] when a name is taken by a metric of another shape.
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("dns")?;
        let dropped = room.counter_vec(
            "xdp_dropped",
            Unit::Count,
            "Packets from AF_XDP that were no fit query",
            &["reason"],
        )?;
        let full = room.counter_vec(
            "xdp_ring_full",
            Unit::Count,
            "Packets (rx, fill) and batches (tx) that found an AF_XDP ring full or empty",
            &["ring"],
        )?;
        Ok(Self {
            received: room.counter(
                "xdp_received",
                Unit::Count,
                "Packets received through AF_XDP",
            )?,
            sent: room.counter("xdp_sent", Unit::Count, "Answers sent through AF_XDP")?,
            unfit: Unfit::ALL.map(|unfit| dropped.with_label_values(&[unfit.as_str()])),
            passed: room.counter(
                "xdp_passed",
                Unit::Count,
                "First fragments of queries left to the kernel",
            )?,
            rx_full: full.with_label_values(&["rx"]),
            fill_empty: full.with_label_values(&["fill"]),
            tx_full: full.with_label_values(&["tx"]),
            kernel_dropped: room.counter(
                "xdp_kernel_dropped",
                Unit::Count,
                "Packets the kernel could not hand to AF_XDP",
            )?,
            queues: room.int_gauge("xdp_queues", Unit::Count, "Queues answered by AF_XDP")?,
        })
    }

    /// Counts a packet that is no fit query.
    pub(super) fn count_unfit(&self, unfit: Unfit) {
        self.unfit[unfit as usize].inc();
    }

    /// Counts a batch.
    pub(super) fn count_turn(&self, turn: Turn) {
        self.received.inc_by(u64::from(turn.received));
        self.sent.inc_by(u64::from(turn.sent));
        if turn.is_full {
            self.tx_full.inc();
        }
    }

    /// Adds what the kernel dropped since the last look.
    pub(super) fn count_kernel(&self, last: KernelDrops, now: KernelDrops) {
        let added = |last: u64, now: u64| now.saturating_sub(last);
        self.kernel_dropped.inc_by(added(last.dropped, now.dropped));
        self.rx_full
            .inc_by(added(last.rx_ring_full, now.rx_ring_full));
        self.fill_empty
            .inc_by(added(last.fill_ring_empty, now.fill_ring_empty));
    }

    /// Adds first fragments that passed since the last look.
    pub(super) fn count_passed(&self, last: u64, now: u64) {
        self.passed.inc_by(now.saturating_sub(last));
    }
}
