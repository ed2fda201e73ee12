//! Counters of transfers, secondaries and updates. Zones are the operator's, so they may be labels.

use meridian_telemetry::metrics::{IntCounter, IntCounterVec, IntGaugeVec};
use meridian_telemetry::{MetricError, Metrics, Unit};

use super::export::Kind;

/// The counters. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct TransferMetrics {
    out: [IntCounter; Kind::ALL.len()],
    out_bytes: IntCounter,
    /// Refused by `dns.transfers`.
    pub(crate) out_refused: IntCounter,
    /// Turned away by `max_concurrent`.
    pub(crate) out_busy: IntCounter,
    /// Ended before the last record.
    pub(crate) out_failed: IntCounter,
    /// Transfers in, by how they were answered.
    inward: [IntCounter; Kind::ALL.len()],
    in_bytes: IntCounter,
    /// Refreshes that failed at every primary.
    pub(crate) in_failed: IntCounter,
    /// Datagrams that found no place in the slow path's queue.
    pub(crate) slow_dropped: IntCounter,
    /// Messages whose signature was refused.
    pub(crate) tsig_refused: IntCounter,
    /// Notifications: received, refused, acknowledged by a secondary, given up.
    pub(crate) notify_received: IntCounter,
    pub(crate) notify_refused: IntCounter,
    pub(crate) notify_sent: IntCounter,
    pub(crate) notify_failed: IntCounter,
    updates: IntCounterVec,
    serial: IntGaugeVec,
    refreshed_at: IntGaugeVec,
    expires_at: IntGaugeVec,
}

impl TransferMetrics {
    /// Registers them as `meridian_dns_…`.
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("dns")?;
        let out = room.counter_vec(
            "transfers_out",
            Unit::Count,
            "Zone transfers to others, by kind",
            &["kind"],
        )?;
        let inward = room.counter_vec(
            "transfers_in",
            Unit::Count,
            "Refreshes of secondary zones that succeeded, by kind",
            &["kind"],
        )?;
        let count = |name: &str, help: &str| room.counter(name, Unit::Count, help);
        Ok(Self {
            out: Kind::ALL.map(|kind| out.with_label_values(&[kind.as_str()])),
            out_bytes: room.counter("transfers_out", Unit::Bytes, "Bytes of transfers out")?,
            out_refused: count("transfers_out_refused", "Transfers that were not allowed")?,
            out_busy: count(
                "transfers_out_busy",
                "Transfers turned away because too many ran",
            )?,
            out_failed: count("transfers_out_failed", "Transfers out that did not end")?,
            inward: Kind::ALL.map(|kind| inward.with_label_values(&[kind.as_str()])),
            in_bytes: room.counter("transfers_in", Unit::Bytes, "Bytes of transfers in")?,
            in_failed: count(
                "transfers_in_failed",
                "Refreshes that failed at every primary",
            )?,
            slow_dropped: count(
                "slow_dropped",
                "Datagrams dropped because the slow path's queue was full",
            )?,
            tsig_refused: count("tsig_refused", "Messages whose signature was refused")?,
            notify_received: count("notify_received", "Notifications taken from primaries")?,
            notify_refused: count("notify_refused", "Notifications of zones or from servers we do not take them of")?,
            notify_sent: count("notify_sent", "Notifications that secondaries acknowledged")?,
            notify_failed: count("notify_failed", "Notifications given up")?,
            updates: room.counter_vec(
                "updates",
                Unit::Count,
                "Dynamic updates by response code",
                &["rcode"],
            )?,
            serial: room.int_gauge_vec(
                "secondary_serial",
                Unit::Count,
                "Serial of a secondary zone",
                &["zone"],
            )?,
            refreshed_at: room.int_gauge_vec(
                "secondary_refreshed_at",
                Unit::Seconds,
                "When a primary last confirmed a secondary zone, in seconds since 1970",
                &["zone"],
            )?,
            expires_at: room.int_gauge_vec(
                "secondary_expires_at",
                Unit::Seconds,
                "When a secondary zone is not answered any more unless a primary confirms it, in seconds since 1970",
                &["zone"],
            )?,
        })
    }

    pub(crate) fn sent(&self, kind: Kind, bytes: u64) {
        self.out[kind as usize].inc();
        self.out_bytes.inc_by(bytes);
    }

    pub(crate) fn received(&self, kind: Kind, bytes: u64) {
        self.inward[kind as usize].inc();
        self.in_bytes.inc_by(bytes);
    }

    pub(crate) fn updated(&self, rcode: crate::wire::Rcode) {
        self.updates.with_label_values(&[rcode.as_str()]).inc();
    }

    pub(crate) fn secondary(&self, zone: &str, serial: u32, refreshed_at: u64, expires_at: u64) {
        let seconds = |time: u64| i64::try_from(time).unwrap_or(i64::MAX);
        self.serial
            .with_label_values(&[zone])
            .set(i64::from(serial));
        self.refreshed_at
            .with_label_values(&[zone])
            .set(seconds(refreshed_at));
        self.expires_at
            .with_label_values(&[zone])
            .set(seconds(expires_at));
    }

    pub(crate) fn forget(&self, zone: &str) {
        for gauge in [&self.serial, &self.refreshed_at, &self.expires_at] {
            // A zone that was never there has no gauge to remove.
            let _ = gauge.remove_label_values(&[zone]);
        }
    }
}
