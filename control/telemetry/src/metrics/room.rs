//! How one room makes its metrics.
//!
//! Every getter works alike: build the name, describe the shape (kind, labels, buckets) as text,
//! and return what is registered under that name with that shape.

use prometheus::{HistogramOpts, Opts};

use super::name::{self, MetricName, Unit};
use super::{
    Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    MetricError, Metrics, Registered, SparseCounters,
};

/// One room's view of the registry: every metric made here is named after the room.
#[derive(Debug, Clone)]
pub struct Room {
    metrics: Metrics,
    room: &'static str,
}

/// Makes the getter of one metric kind: the shape string and the variant always agree, so the
/// final `match` cannot miss.
macro_rules! kind {
    ($(#[$doc:meta])* $method:ident -> $type:ident, $variant:ident, $kind:ident) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// See [`MetricError`].
        pub fn $method(&self, what: &str, unit: Unit, help: &str) -> Result<$type, MetricError> {
            let name = MetricName::new(self.room, what, unit, name::Kind::$kind)?.into_string();
            let shape = stringify!($method).to_owned();
            let make = || $type::with_opts(Opts::new(name.clone(), help));
            match self.metrics.get_or_register(&name, shape, make, Registered::$variant)? {
                Registered::$variant(metric) => Ok(metric),
                _ => unreachable!("the shape names the variant"),
            }
        }
    };
    ($(#[$doc:meta])* $method:ident -> $type:ident [labels], $variant:ident, $kind:ident) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// See [`MetricError`].
        pub fn $method(
            &self,
            what: &str,
            unit: Unit,
            help: &str,
            labels: &[&str],
        ) -> Result<$type, MetricError> {
            let name = MetricName::new(self.room, what, unit, name::Kind::$kind)?.into_string();
            name::check_labels(&name, labels)?;
            let shape = format!("{}{labels:?}", stringify!($method));
            let make = || $type::new(Opts::new(name.clone(), help), labels);
            match self.metrics.get_or_register(&name, shape, make, Registered::$variant)? {
                Registered::$variant(metric) => Ok(metric),
                _ => unreachable!("the shape names the variant"),
            }
        }
    };
}

impl Room {
    pub(super) const fn new(metrics: Metrics, room: &'static str) -> Self {
        Self { metrics, room }
    }

    kind!(
        /// A counter: `_total` is appended.
        counter -> IntCounter, Counter, Counter
    );
    kind!(
        /// Counters told apart by labels.
        counter_vec -> IntCounterVec [labels], CounterVec, Counter
    );
    /// Counters told apart by two labels, most of which stay zero and are then not rendered.
    ///
    /// # Errors
    /// See [`MetricError`].
    pub fn sparse_counters(
        &self,
        what: &str,
        unit: Unit,
        help: &str,
        labels: [&str; 2],
    ) -> Result<SparseCounters, MetricError> {
        let name = MetricName::new(self.room, what, unit, name::Kind::Counter)?.into_string();
        name::check_labels(&name, &labels)?;
        let shape = format!("sparse_counters{labels:?}");
        let make = || SparseCounters::new(Opts::new(name.clone(), help), labels);
        match self
            .metrics
            .get_or_register(&name, shape, make, Registered::SparseCounters)?
        {
            Registered::SparseCounters(metric) => Ok(metric),
            _ => unreachable!("the shape names the variant"),
        }
    }

    kind!(
        /// A value that goes up and down.
        gauge -> Gauge, Gauge, Gauge
    );
    kind!(
        /// Values told apart by labels.
        gauge_vec -> GaugeVec [labels], GaugeVec, Gauge
    );
    kind!(
        /// A whole number that goes up and down.
        int_gauge -> IntGauge, IntGauge, Gauge
    );
    kind!(
        /// Whole numbers told apart by labels.
        int_gauge_vec -> IntGaugeVec [labels], IntGaugeVec, Gauge
    );

    /// A distribution over the given upper bounds (see [`LATENCY_SECONDS`](super::LATENCY_SECONDS), [`SIZE_BYTES`](super::SIZE_BYTES),
    /// [`RATIO`](super::RATIO)).
    ///
    /// # Errors
    /// See [`MetricError`].
    pub fn histogram(
        &self,
        what: &str,
        unit: Unit,
        help: &str,
        buckets: &[f64],
    ) -> Result<Histogram, MetricError> {
        let name = MetricName::new(self.room, what, unit, name::Kind::Histogram)?.into_string();
        let shape = format!("histogram{buckets:?}");
        let make = || {
            Histogram::with_opts(HistogramOpts::new(name.clone(), help).buckets(buckets.to_vec()))
        };
        match self
            .metrics
            .get_or_register(&name, shape, make, Registered::Histogram)?
        {
            Registered::Histogram(metric) => Ok(metric),
            _ => unreachable!("the shape names the variant"),
        }
    }

    /// Distributions told apart by labels.
    ///
    /// # Errors
    /// See [`MetricError`].
    pub fn histogram_vec(
        &self,
        what: &str,
        unit: Unit,
        help: &str,
        labels: &[&str],
        buckets: &[f64],
    ) -> Result<HistogramVec, MetricError> {
        let name = MetricName::new(self.room, what, unit, name::Kind::Histogram)?.into_string();
        name::check_labels(&name, labels)?;
        let shape = format!("histogram_vec{labels:?}{buckets:?}");
        let make = || {
            HistogramVec::new(
                HistogramOpts::new(name.clone(), help).buckets(buckets.to_vec()),
                labels,
            )
        };
        match self
            .metrics
            .get_or_register(&name, shape, make, Registered::HistogramVec)?
        {
            Registered::HistogramVec(metric) => Ok(metric),
            _ => unreachable!("the shape names the variant"),
        }
    }
}
