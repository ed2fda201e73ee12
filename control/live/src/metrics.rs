//! Metrics of the writer, registered once.

use std::time::Duration;

use meridian_telemetry::{MetricError, Metrics, Unit};
use meridian_topology::{Endpoint, EndpointId, Topology};
use prometheus::{Gauge, Histogram, IntCounter, IntCounterVec, IntGauge};

use crate::published::Published;
use crate::status::GeoStatus;

/// Upper bounds of the compile histogram, in seconds.
const COMPILE_SECONDS: &[f64] = &[0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];

/// Everything the writer counts.
#[derive(Debug, Clone)]
pub(crate) struct LiveMetrics {
    compile: Histogram,
    plans: IntCounter,
    sequence: IntGauge,
    plan_bytes: IntGauge,
    rejected: IntGauge,
    flips: IntCounterVec,
    endpoint_transitions: IntCounterVec,
    region_transitions: IntCounterVec,
    service_transitions: IntCounterVec,
    flapping: IntGauge,
    geo_build: Gauge,
    geo_built: IntGauge,
    geo_bytes: IntGauge,
    geo_classes: IntGauge,
    geo_rejected: IntGauge,
    /// Reports that the writer was too busy to take.
    pub reports_dropped: IntCounter,
}

impl LiveMetrics {
    /// Registers the room's metrics.
    pub fn new(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("live")?;
        Ok(Self {
            compile: room.histogram(
                "compile",
                Unit::Seconds,
                "Time to compile a plan",
                COMPILE_SECONDS,
            )?,
            plans: room.counter("plans", Unit::Count, "Plans published")?,
            sequence: room.int_gauge(
                "plan_sequence",
                Unit::Count,
                "Publication number of the plan in force",
            )?,
            plan_bytes: room.int_gauge("plan", Unit::Bytes, "Memory of the plan in force")?,
            rejected: room.int_gauge(
                "sources_rejected",
                Unit::Count,
                "1 while the newest sources are refused",
            )?,
            flips: room.counter_vec(
                "endpoint_flips",
                Unit::Count,
                "Effective health changes",
                &["to"],
            )?,
            endpoint_transitions: room.counter_vec(
                "endpoint_transitions",
                Unit::Count,
                "Changes of each endpoint that ever changed; a series begins with the first",
                &["endpoint", "region", "to"],
            )?,
            region_transitions: room.counter_vec(
                "region_transitions",
                Unit::Count,
                "Times that a region lost its last serving endpoint or got its first one back",
                &["region", "to"],
            )?,
            service_transitions: room.counter_vec(
                "service_transitions",
                Unit::Count,
                "Times that a service lost its last serving endpoint of a region or got one back",
                &["service", "region", "to"],
            )?,
            flapping: room.int_gauge(
                "endpoints_flapping",
                Unit::Count,
                "Endpoints with four or more transitions in ten minutes",
            )?,
            geo_build: room.gauge(
                "geo_table_build",
                Unit::Seconds,
                "Time that building or loading the class table in force took",
            )?,
            geo_built: room.int_gauge(
                "geo_table_built_timestamp",
                Unit::Seconds,
                "When the class table in force was built, in seconds since 1970",
            )?,
            geo_bytes: room.int_gauge(
                "geo_table",
                Unit::Bytes,
                "Memory of the class table in force",
            )?,
            geo_classes: room.int_gauge(
                "geo_table_classes",
                Unit::Count,
                "Client classes of the class table in force",
            )?,
            geo_rejected: room.int_gauge(
                "geo_table_rejected",
                Unit::Count,
                "1 while the newest class table or its sources cannot be used",
            )?,
            reports_dropped: room.counter(
                "reports_dropped",
                Unit::Count,
                "Passive reports lost to a full queue",
            )?,
        })
    }

    /// A plan went into force after a compile of `took`.
    pub fn published(&self, took: Duration, published: &Published) {
        self.compile.observe(took.as_secs_f64());
        self.plans.inc();
        self.sequence
            .set(i64::try_from(published.sequence).unwrap_or(i64::MAX));
        self.plan_bytes
            .set(i64::try_from(published.plan.memory_bytes()).unwrap_or(i64::MAX));
    }

    /// A class table is in force, or the newest is refused.
    pub fn geo(&self, status: &GeoStatus) {
        let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.geo_build.set(status.took_ms / 1e3);
        self.geo_built.set(whole(status.built_unix_seconds));
        self.geo_bytes.set(whole(status.memory_bytes as u64));
        self.geo_classes.set(whole(status.classes as u64));
        self.geo_rejected.set(i64::from(status.problem.is_some()));
    }

    /// The newest sources are, or are no longer, refused.
    pub fn sources_rejected(&self, rejected: bool) {
        self.rejected.set(i64::from(rejected));
    }

    /// An endpoint changed its effective state; `serves_now` tells whether an endpoint serves after it.
    ///
    /// Labels are the operator's own ids. A series begins with its first transition, so that their
    /// number is that of what ever failed, not services times regions.
    pub fn flipped(
        &self,
        topology: &Topology,
        endpoint: &Endpoint,
        serves: bool,
        serves_now: impl Fn(&EndpointId) -> bool,
    ) {
        let to = if serves { "serving" } else { "down" };
        self.flips.with_label_values(&[to]).inc();
        let region = topology.regions[endpoint.region.index()].id.as_str();
        self.endpoint_transitions
            .with_label_values(&[endpoint.id.as_str(), region, to])
            .inc();
        // Whatever serves beside this endpoint was there before and stays: no transition of the whole.
        let alone = |mut others: Box<dyn Iterator<Item = &Endpoint> + '_>| {
            !others.any(|other| other.id != endpoint.id && serves_now(&other.id))
        };
        let neighbours = topology.endpoints_in(endpoint.region);
        if alone(Box::new(neighbours.map(|(_, other)| other))) {
            self.region_transitions
                .with_label_values(&[region, to])
                .inc();
        }
        for service in &endpoint.services {
            let members = topology
                .endpoints_in(endpoint.region)
                .map(|(_, other)| other)
                .filter(|other| other.services.contains(service));
            if alone(Box::new(members)) {
                let service = topology.services[service.index()].id.as_str();
                self.service_transitions
                    .with_label_values(&[service, region, to])
                    .inc();
            }
        }
    }

    /// Endpoints that go back and forth at present.
    pub fn set_flapping(&self, count: usize) {
        self.flapping.set(i64::try_from(count).unwrap_or(i64::MAX));
    }
}
