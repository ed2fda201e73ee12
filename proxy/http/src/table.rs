//! Everything a request needs of a plan, made once per plan.
//!
//! [`Table`] holds the plan it was derived from, so that a request that began
//! under one plan ends under it: routes, indices and health bits always belong
//! together.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use meridian_live::Published;
use meridian_topology::{EndpointIdx, Forwarded, HttpRoute, RetryOn, ServiceIdx, Topology, model};

use crate::attempt::ATTEMPTS_MAX;
use crate::metrics::{HttpMetrics, ServiceMetrics};
use crate::passive::{FailureRuns, PassiveSink, Thresholds};
use crate::route::{Pattern, RouteTable};

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
    services: Vec<ServiceMetrics>,
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
}

impl Table {
    /// Derives the table of a plan.
    pub(crate) fn derive(
        published: Arc<Published>,
        metrics: &HttpMetrics,
        thresholds: Thresholds,
        sink: Arc<dyn PassiveSink>,
    ) -> Self {
        let topology = &published.world.topology;
        let (lookup, routes) = routes(topology);
        let services = topology
            .services
            .iter()
            .map(|service| metrics.service(service.id.as_str()))
            .collect();
        Self {
            runs: FailureRuns::new(topology.endpoints.len(), thresholds, sink),
            lookup,
            routes,
            services,
            published,
        }
    }

    /// What exists.
    pub(crate) fn topology(&self) -> &Topology {
        &self.published.world.topology
    }

    /// The metrics of a service of this plan.
    pub(crate) fn metrics(&self, service: ServiceIdx) -> &ServiceMetrics {
        &self.services[service.index()]
    }

    /// An endpoint of this plan.
    pub(crate) fn endpoint(&self, endpoint: EndpointIdx) -> &model::Endpoint {
        &self.topology().endpoints[endpoint.index()]
    }
}

fn routes(topology: &Topology) -> (RouteTable, Vec<Route>) {
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
            routes.push(ready(service_index, route));
        }
    }
    (RouteTable::build(patterns), routes)
}

fn pattern(route: &HttpRoute, host: &model::HostPattern) -> Pattern {
    Pattern {
        host: host.to_string(),
        path_prefix: route.path_prefix.clone(),
        methods: route
            .methods
            .iter()
            .map(|method| self::method(*method))
            .collect(),
    }
}

fn ready(service: ServiceIdx, route: &HttpRoute) -> Route {
    Route {
        service,
        connect_timeout: route.timeouts.connect.as_duration(),
        first_byte_timeout: route.timeouts.first_byte.as_duration(),
        total_timeout: route.timeouts.total.as_duration(),
        attempts_max: (usize::from(route.retries.attempts) + 1).min(ATTEMPTS_MAX),
        retry_on: route.retries.on.clone(),
        forwarded: route.forwarded,
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
