//! Everything a request needs of a plan, made once per plan.
//!
//! [`Table`] holds the plan it was derived from, so that a request that began
//! under one plan ends under it: routes, indices and health bits always belong
//! together.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::Method;
use meridian_engine::ClientKey;
use meridian_live::Published;
use meridian_topology::{
    Affinity, ClientRules, Compression, Condition, EndpointId, EndpointIdx, Fault, Forwarded,
    HttpRoute, PathMatch, Priority, Ratio, Redirect, RetryOn, ServiceId, ServiceIdx, Topology,
    Traffic, TrafficSplit, model,
};

use crate::attempt::ATTEMPTS_MAX;
use crate::metrics::{HttpMetrics, ServiceMetrics};
use crate::passive::{FailureRuns, PassiveSink, Thresholds};
use crate::route::{Pattern, RouteTable};
use crate::traffic::{Clock, EndpointStats, Headers, RateLimiter, ServiceStats, Target};
use crate::upstream_tls::UpstreamTls;

/// What no exchange outlives.
const ENDLESS: Duration = Duration::from_hours(24 * 365 * 10);
/// Keep the draws of splits and faults apart from those of the engine.
const SPLIT_STREAM: u64 = 0x7370_6c69_7400_0000;
const DELAY_STREAM: u64 = 0x6465_6c61_7900_0000;
const ABORT_STREAM: u64 = 0x6162_6f72_7400_0000;
const MIRROR_STREAM: u64 = 0x6d69_7272_6f72_0000;

/// The routes and handles of one plan.
pub(crate) struct Table {
    /// The plan, its world and its health bits.
    pub(crate) published: Arc<Published>,
    /// Host, path and method to a position in `routes`.
    pub(crate) lookup: RouteTable,
    /// All routes of all services.
    pub(crate) routes: Vec<Route>,
    /// Runs of failures, by endpoint.
    pub(crate) runs: FailureRuns,
    /// What counts are dated by; the same for all plans of a process.
    pub(crate) clock: Clock,
    services: Vec<Service>,
    endpoints: Box<[Arc<EndpointStats>]>,
}

/// What a request needs of its service.
pub(crate) struct Service {
    pub(crate) metrics: ServiceMetrics,
    pub(crate) stats: Arc<ServiceStats>,
    pub(crate) traffic: Traffic,
    /// How its endpoints are spoken to; `None` is clear text.
    pub(crate) tls: Option<Arc<UpstreamTls>>,
}

/// One route, ready for use.
#[derive(Debug, Clone)]
pub(crate) struct Route {
    /// Whose it is.
    pub(crate) service: ServiceIdx,
    /// Until an upstream connection stands.
    pub(crate) connect_timeout: Duration,
    /// Until the first byte of the answer, and between two pieces of it.
    pub(crate) first_byte_timeout: Duration,
    /// Until the exchange is over, retries included.
    pub(crate) total_timeout: Duration,
    /// Upstreams tried, the first included.
    pub(crate) attempts_max: usize,
    /// What is tried again.
    pub(crate) retry_on: Vec<RetryOn>,
    /// What the upstream is told of the client.
    pub(crate) forwarded: Forwarded,
    /// Its paths begin with this.
    pub(crate) path_prefix: String,
    pub(crate) affinity: Option<Affinity>,
    pub(crate) redirect: Option<Redirect>,
    /// What the upstream is asked for instead.
    pub(crate) target: Target,
    pub(crate) request: Headers,
    pub(crate) response: Headers,
    pub(crate) rate: Option<Arc<RateLimiter>>,
    fault: Fault,
    /// What it asks of a request beside host, path and method.
    pub(crate) conditions: Vec<Condition>,
    pub(crate) clients: ClientRules,
    pub(crate) compression: Option<Compression>,
    /// The most bytes of a request's body.
    pub(crate) body_max: u64,
    priority: Priority,
    split: Vec<TrafficSplit>,
    mirror: Option<TrafficSplit>,
    /// What it is called from plan to plan.
    name: String,
}

impl Route {
    /// The service that a client of the route gets, by a key that stays the same.
    pub(crate) fn service_of(&self, key: impl FnOnce() -> ClientKey) -> ServiceIdx {
        if self.split.is_empty() {
            return self.service;
        }
        let (draw, mut below) = (draw(key(), SPLIT_STREAM), 0.0);
        let taken = self.split.iter().find(|part| {
            below += f64::from(part.share);
            draw < below
        });
        taken.map_or(self.service, |part| part.service)
    }

    /// The harm to be done to a request: how long it waits, and what it is answered.
    pub(crate) fn fault_of(&self, number: u64) -> (Option<Duration>, Option<u16>) {
        let happens = |stream, share: Ratio| draw(ClientKey(number), stream) < f64::from(share);
        let delay = self
            .fault
            .delay
            .filter(|(_, share)| happens(DELAY_STREAM, *share));
        let abort = self
            .fault
            .abort
            .filter(|(_, share)| happens(ABORT_STREAM, *share));
        (
            delay.map(|(time, _)| time.as_duration()),
            abort.map(|(status, _)| status),
        )
    }

    /// The service that gets a copy of a request.
    pub(crate) fn mirror_of(&self, number: u64) -> Option<ServiceIdx> {
        let mirror = self.mirror?;
        let drawn = draw(ClientKey(number), MIRROR_STREAM);
        (drawn < f64::from(mirror.share)).then_some(mirror.service)
    }

    /// How many requests of its service may be in flight for one more of this route's to be taken.
    pub(crate) fn most_in_flight(&self, traffic: &Traffic) -> u32 {
        let Some(most) = traffic.max_in_flight else {
            return u32::MAX;
        };
        let tenths = match self.priority {
            Priority::Critical => 10,
            Priority::Default => 9,
            Priority::Sheddable => 7,
        };
        // At least one: a share of a small bound is no ban.
        u32::try_from(u64::from(most) * tenths / 10).map_or(most, |share| share.max(1))
    }
}

/// A number from 0 to below 1 that the same key always gets.
fn draw(key: ClientKey, stream: u64) -> f64 {
    // 53 bits: as many as a double tells apart there.
    (key.with_nonce(stream).0 >> 11) as f64 / (1_u64 << 53) as f64
}

impl Table {
    /// Derives the table of a plan. What `before` counted goes on under the same names.
    pub(crate) fn derive(
        published: Arc<Published>,
        before: Option<&Self>,
        metrics: &HttpMetrics,
        thresholds: Thresholds,
        sink: Arc<dyn PassiveSink>,
    ) -> Self {
        let topology = &published.world.topology;
        let known = Known::of(before);
        let (lookup, routes) = routes(topology, &known);
        let services = topology.services.iter();
        let services = services
            .map(|service| Service {
                tls: service
                    .traffic
                    .tls
                    .as_ref()
                    .map(|settings| known.tls(service, settings)),
                metrics: metrics.service(service.id.as_str()),
                stats: known
                    .services
                    .get(&service.id)
                    .cloned()
                    .cloned()
                    .unwrap_or_default(),
                traffic: service.traffic.clone(),
            })
            .collect();
        let endpoints = topology.endpoints.iter();
        let endpoints = endpoints
            .map(|endpoint| {
                known
                    .endpoints
                    .get(&endpoint.id)
                    .cloned()
                    .cloned()
                    .unwrap_or_default()
            })
            .collect();
        Self {
            runs: FailureRuns::new(topology.endpoints.len(), thresholds, sink),
            clock: before.map_or_else(Clock::start, |before| before.clock),
            lookup,
            routes,
            services,
            endpoints,
            published,
        }
    }

    /// What exists.
    pub(crate) fn topology(&self) -> &Topology {
        &self.published.world.topology
    }

    /// A service of this plan.
    pub(crate) fn service(&self, service: ServiceIdx) -> &Service {
        &self.services[service.index()]
    }

    /// All of them, in the topology's order.
    pub(crate) fn services(&self) -> &[Service] {
        &self.services
    }

    /// What is known of an endpoint of this plan.
    pub(crate) fn stats(&self, endpoint: EndpointIdx) -> &EndpointStats {
        &self.endpoints[endpoint.index()]
    }

    /// An endpoint of this plan.
    pub(crate) fn endpoint(&self, endpoint: EndpointIdx) -> &model::Endpoint {
        &self.topology().endpoints[endpoint.index()]
    }
}

/// What the table before knew, by name.
#[derive(Default)]
struct Known<'b> {
    services: HashMap<&'b ServiceId, &'b Arc<ServiceStats>>,
    endpoints: HashMap<&'b EndpointId, &'b Arc<EndpointStats>>,
    rates: HashMap<&'b str, &'b Arc<RateLimiter>>,
    tls: HashMap<&'b ServiceId, &'b Arc<UpstreamTls>>,
}

impl<'b> Known<'b> {
    fn of(before: Option<&'b Table>) -> Self {
        let Some(before) = before else {
            return Self::default();
        };
        let (services, endpoints) = (&before.topology().services, &before.topology().endpoints);
        let rates = before.routes.iter();
        let tls = services.iter().zip(&before.services);
        Self {
            tls: tls
                .filter_map(|(service, known)| Some((&service.id, known.tls.as_ref()?)))
                .collect(),
            services: services
                .iter()
                .map(|service| &service.id)
                .zip(before.services.iter().map(|service| &service.stats))
                .collect(),
            endpoints: endpoints
                .iter()
                .map(|endpoint| &endpoint.id)
                .zip(&before.endpoints)
                .collect(),
            rates: rates
                .filter_map(|route| Some((&*route.name, route.rate.as_ref()?)))
                .collect(),
        }
    }
}

impl Known<'_> {
    /// What was read already, or else what the files say.
    fn tls(&self, service: &model::Service, settings: &model::UpstreamTls) -> Arc<UpstreamTls> {
        let same = self.tls.get(&service.id);
        match same.filter(|known| known.settings() == settings) {
            Some(same) => Arc::clone(same),
            None => Arc::new(UpstreamTls::new(settings.clone())),
        }
    }
}

fn routes(topology: &Topology, known: &Known<'_>) -> (RouteTable, Vec<Route>) {
    let mut routes = Vec::new();
    let mut patterns = Vec::new();
    for (position, service) in topology.services.iter().enumerate() {
        // More services than an index can name do not pass the topology's door.
        let Some(service_index) = ServiceIdx::from_index(position) else {
            break;
        };
        for route in &service.http {
            let number = routes.len();
            patterns.extend(
                route
                    .hosts
                    .iter()
                    .map(|host| (pattern(route, host), number)),
            );
            let name = name(service, route);
            routes.push(ready(service_index, route, name, known));
        }
    }
    (RouteTable::build(patterns), routes)
}

fn pattern(route: &HttpRoute, host: &model::HostPattern) -> Pattern {
    Pattern {
        host: host.to_string(),
        path_prefix: route.path_prefix.clone(),
        is_exact: route.path_match == PathMatch::Exact,
        conditions: route.conditions.len(),
        methods: route
            .methods
            .iter()
            .map(|method| self::method(*method))
            .collect(),
    }
}

/// Service, hosts, path and methods: what makes it the same route in another plan.
fn name(service: &model::Service, route: &HttpRoute) -> String {
    let (hosts, methods) = (&route.hosts, &route.methods);
    let (path, kind, conditions) = (&route.path_prefix, route.path_match, &route.conditions);
    format!(
        "{} {hosts:?} {kind} {path} {methods:?} {conditions:?}",
        service.id
    )
}

fn ready(service: ServiceIdx, route: &HttpRoute, name: String, known: &Known<'_>) -> Route {
    let rate = route.rate_limit.as_ref().map(|limit| {
        let same = known
            .rates
            .get(&*name)
            .filter(|known| known.limit() == limit);
        same.map_or_else(
            || Arc::new(RateLimiter::new(limit.clone())),
            |same| Arc::clone(same),
        )
    });
    Route {
        service,
        connect_timeout: route.timeouts.connect.as_duration(),
        first_byte_timeout: route.timeouts.first_byte.as_duration(),
        total_timeout: match route.timeouts.total.as_duration() {
            Duration::ZERO => ENDLESS,
            total => total,
        },
        attempts_max: (usize::from(route.retries.attempts) + 1).min(ATTEMPTS_MAX),
        retry_on: route.retries.on.clone(),
        forwarded: route.forwarded,
        target: Target::new(&route.path_prefix, &route.rewrite),
        path_prefix: route.path_prefix.clone(),
        affinity: route.affinity.clone(),
        redirect: route.redirect.clone(),
        request: Headers::new(&route.request_headers),
        response: Headers::new(&route.response_headers),
        rate,
        fault: route.fault,
        conditions: route.conditions.clone(),
        clients: route.clients.clone(),
        compression: route.compression.clone(),
        body_max: route.max_body.map_or(u64::MAX, |most| most.0),
        priority: route.priority,
        split: route.split.clone(),
        mirror: route.mirror,
        name,
    }
}

fn method(method: model::Method) -> Method {
    match method {
        model::Method::Get => Method::GET,
        model::Method::Head => Method::HEAD,
        model::Method::Post => Method::POST,
        model::Method::Put => Method::PUT,
        model::Method::Delete => Method::DELETE,
        model::Method::Patch => Method::PATCH,
        model::Method::Options => Method::OPTIONS,
    }
}
