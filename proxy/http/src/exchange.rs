//! One request on its way: which route, which client, which endpoint, and what
//! happens after a failure.
//!
//! An [`Exchange`] is pingora's per-request context. [`admit`] fills in
//! [`Routed`] once; [`Routed::after`] is the only place that decides about
//! another attempt. Bounds: the route's attempts (at most
//! [`ATTEMPTS_MAX`]), one extra attempt when a pooled connection turned out to
//! be dead, and the route's total timeout.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use meridian_accept::{CertStore, TrustedSources, client_address, forwarded, x_forwarded_for};
use meridian_engine::policy::Sticky;
use meridian_engine::{ClassId, ClientKey, Pick};
use meridian_telemetry::DecisionId;
use meridian_topology::{EndpointIdx, model::Endpoint};

use crate::attempt::{ATTEMPTS_MAX, Failure, Sent, Stage, may_retry};
use crate::config::ClientFrom;
use crate::fields::Fields;
use crate::info::{ConnectionInfo, Scheme};
use crate::metrics::{ServiceMetrics, Unrouted};
use crate::route::Lookup;
use crate::table::{Route, Table};

/// The state of one request.
pub(crate) struct Exchange {
    /// When its head was complete.
    pub(crate) started: Instant,
    /// Its name in logs.
    pub(crate) decision: DecisionId,
    /// Its route and choices; `None` when it was answered without.
    pub(crate) routed: Option<Routed>,
    /// When the answer of the current attempt's upstream began.
    pub(crate) first_byte: Option<Instant>,
}

/// A request that some route takes.
pub(crate) struct Routed {
    /// The plan and routes it is served by, from beginning to end.
    pub(crate) table: Arc<Table>,
    route: usize,
    /// Who asks: the socket's peer, or whom trusted proxies name.
    pub(crate) client: IpAddr,
    /// The client's class in the plan.
    pub(crate) class: ClassId,
    key: ClientKey,
    /// The endpoint of this attempt, or of the last one.
    pub(crate) pick: Option<Pick>,
    tried: [EndpointIdx; ATTEMPTS_MAX + 1],
    failures: usize,
    /// Attempts begun.
    pub(crate) attempts: u8,
    dead_connection_forgiven: bool,
    /// Why the last attempt failed.
    pub(crate) last_failure: Option<Failure>,
    deadline: Instant,
}

/// Where a request's connection to the upstream came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Opened for it.
    Fresh,
    /// Taken from the pool, where it may have died unnoticed.
    Pooled,
}

/// What [`admit`] needs beside the request.
pub(crate) struct Admission<'a> {
    /// Routes and plan.
    pub(crate) table: Arc<Table>,
    /// The connection.
    pub(crate) connection: &'a ConnectionInfo,
    /// Whom forwarded headers are believed from.
    pub(crate) trusted: &'a TrustedSources,
    /// Which forwarded header is read.
    pub(crate) client_from: ClientFrom,
    /// The certificates of the TLS listeners.
    pub(crate) certificates: Option<&'a CertStore>,
    /// The request's name.
    pub(crate) decision: DecisionId,
    /// Now.
    pub(crate) now: Instant,
}

/// What is asked for, as either lane read it.
pub(crate) struct Asked<'a, F: ?Sized> {
    /// The host without port, as written; empty where there is none.
    pub(crate) host: &'a str,
    /// The path, without query.
    pub(crate) path: &'a [u8],
    pub(crate) method: &'a Method,
    pub(crate) fields: &'a F,
}

/// Finds route, client and first endpoint of a request. A request whose policy
/// leaves nobody is admitted too, with no pick.
///
/// # Errors
/// No route takes the request.
pub(crate) fn admit<F: Fields + ?Sized>(
    admission: Admission<'_>,
    asked: &Asked<'_, F>,
) -> Result<Routed, Unrouted> {
    let table = admission.table;
    if misdirected(admission.connection, admission.certificates, asked.host) {
        return Err(Unrouted::Misdirected);
    }
    let route = match table
        .lookup
        .find(asked.host.as_bytes(), asked.path, asked.method)
    {
        Lookup::Found(route) => route,
        Lookup::UnknownHost => return Err(Unrouted::UnknownHost),
        Lookup::UnknownPath => return Err(Unrouted::UnknownPath),
        Lookup::MethodNotAllowed => return Err(Unrouted::Method),
    };
    let client = client(
        asked.fields,
        admission.connection.peer.ip(),
        admission.trusted,
        admission.client_from,
    );
    let published = &table.published;
    let service = table.routes[route].service;
    let class = published.world.classes.lookup(client).class;
    let mut key = published.plan.client_key(service, client);
    if published.plan.sticky(service) == Sticky::None {
        key = key.with_nonce(admission.decision.0);
    }
    let pick = published.plan.pick(service, class, key, &published.bits);
    let deadline = admission.now + table.routes[route].total_timeout;
    Ok(Routed {
        table,
        route,
        client,
        class,
        key,
        pick,
        tried: [EndpointIdx(0); ATTEMPTS_MAX + 1],
        failures: 0,
        attempts: 0,
        dead_connection_forgiven: false,
        last_failure: None,
        deadline,
    })
}

impl Routed {
    /// Its route.
    pub(crate) fn route(&self) -> &Route {
        &self.table.routes[self.route]
    }

    /// Its service's metrics.
    pub(crate) fn metrics(&self) -> &ServiceMetrics {
        self.table.metrics(self.route().service)
    }

    /// Its service's name.
    pub(crate) fn service_id(&self) -> &meridian_topology::ServiceId {
        &self.table.topology().services[self.route().service.index()].id
    }

    /// The endpoint of this attempt, or of the last one.
    pub(crate) fn endpoint(&self) -> Option<&Endpoint> {
        self.pick.map(|pick| self.table.endpoint(pick.endpoint))
    }

    /// An attempt begins.
    pub(crate) fn begin_attempt(&mut self) -> Option<&Endpoint> {
        let pick = self.pick?;
        self.attempts = self.attempts.saturating_add(1);
        self.metrics().attempts.inc();
        self.table.published.meter.record(pick.region);
        self.endpoint()
    }

    /// When the route's total is over.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Time left of the route's total.
    pub(crate) fn time_left(&self, now: Instant) -> Duration {
        self.deadline.saturating_duration_since(now)
    }

    /// The endpoint answered with a status below 500.
    pub(crate) fn succeeded(&self) {
        if let Some(pick) = self.pick {
            self.table.runs.succeeded(pick.endpoint);
        }
    }

    /// The endpoint answered 5xx and the answer goes to the client.
    pub(crate) fn answered_badly(&self, failure: Failure) {
        self.metrics().failed(failure.reason());
        self.tell(failure, Stage::Answering);
    }

    /// Whether an answer with this status is to be thrown away for another
    /// attempt: asked before anything of it reached the client.
    pub(crate) fn wants_another(&self, failure: Failure, sent: Sent, now: Instant) -> bool {
        self.allowed(failure, sent, now) && self.another(self.pick).is_some()
    }

    /// The attempt failed. Whether there is another one; its endpoint is then
    /// the current one.
    ///
    /// A dead pooled connection is forgiven once: the request goes to the same
    /// endpoint again, and the attempt counts neither against the endpoint nor
    /// against the route's attempts.
    pub(crate) fn after(
        &mut self,
        failure: Failure,
        sent: Sent,
        origin: Origin,
        stage: Stage,
        now: Instant,
    ) -> bool {
        let failed = self.pick;
        self.last_failure = Some(failure);
        self.metrics().failed(failure.reason());
        let dead_connection = origin == Origin::Pooled && failure == Failure::Closed;
        if !dead_connection {
            self.tell(failure, stage);
        }
        let next = if dead_connection && self.forgive(sent, now) {
            failed
        } else {
            let allowed = self.allowed(failure, sent, now);
            let next = if allowed { self.another(failed) } else { None };
            if let Some(failed) = failed
                && let Some(slot) = self.tried.get_mut(self.failures)
            {
                *slot = failed.endpoint;
                self.failures += 1;
            }
            next
        };
        if next.is_some() {
            self.pick = next;
            self.metrics().retried(failure.reason());
        }
        next.is_some()
    }

    fn allowed(&self, failure: Failure, sent: Sent, now: Instant) -> bool {
        let route = self.route();
        let attempts_max = route.attempts_max + usize::from(self.dead_connection_forgiven);
        usize::from(self.attempts) < attempts_max
            && now < self.deadline
            && may_retry(failure, sent, &route.retry_on)
    }

    /// A pooled connection that the upstream had closed says nothing of the
    /// upstream: once, a repeatable request may go there again, whatever the
    /// route says of retries (RFC 9112, section 9.3.1).
    fn forgive(&mut self, sent: Sent, now: Instant) -> bool {
        let repeatable = sent == Sent::Perhaps { repeatable: true };
        if self.dead_connection_forgiven || !repeatable || now >= self.deadline {
            return false;
        }
        self.dead_connection_forgiven = true;
        true
    }

    /// An endpoint that was not tried yet, beside `failed`.
    fn another(&self, failed: Option<Pick>) -> Option<Pick> {
        let mut excluded = self.tried;
        let mut count = self.failures;
        if let Some(failed) = failed
            && let Some(slot) = excluded.get_mut(count)
        {
            *slot = failed.endpoint;
            count += 1;
        }
        let published = &self.table.published;
        published.plan.pick_excluding(
            self.route().service,
            self.class,
            self.key,
            &published.bits,
            &excluded[..count],
        )
    }

    fn tell(&self, failure: Failure, stage: Stage) {
        if let (Some(kind), Some(pick)) = (failure.passive(stage), self.pick) {
            let id = &self.table.endpoint(pick.endpoint).id;
            self.table.runs.failed(pick.endpoint, id, kind);
        }
    }
}

/// RFC 9110, section 15.5.20: over TLS a client may reuse a connection for
/// another host only where the certificate it saw is that host's too.
fn misdirected(connection: &ConnectionInfo, store: Option<&CertStore>, host: &str) -> bool {
    let Scheme::Https {
        server_name: Some(shown),
    } = &connection.scheme
    else {
        return false;
    };
    if shown.eq_ignore_ascii_case(host) {
        return false;
    }
    let Some(store) = store else { return false };
    let lower = host.to_ascii_lowercase();
    match (store.find(Some(shown)), store.find(Some(&lower))) {
        (Some(shown), Some(wanted)) => !Arc::ptr_eq(&shown, &wanted),
        _ => true,
    }
}

fn client<F: Fields + ?Sized>(
    fields: &F,
    peer: IpAddr,
    trusted: &TrustedSources,
    from: ClientFrom,
) -> IpAddr {
    if trusted.is_empty() {
        return peer.to_canonical();
    }
    let values = |name| fields.values(name).collect::<Vec<_>>().into_iter();
    match from {
        ClientFrom::XForwardedFor => {
            let hops = x_forwarded_for(values("x-forwarded-for"));
            client_address(peer, None, hops, trusted)
        }
        ClientFrom::Forwarded => {
            let hops = forwarded(values("forwarded"));
            client_address(peer, None, hops, trusted)
        }
    }
}

/// Notes a failed attempt; whether there is another one.
pub(crate) fn note(
    routed: &mut Routed,
    failure: Failure,
    sent: Sent,
    origin: Origin,
    stage: Stage,
) -> bool {
    let endpoint = routed.endpoint().map(|endpoint| endpoint.id.clone());
    let again = routed.after(failure, sent, origin, stage, Instant::now());
    tracing::debug!(
        service = %routed.service_id(),
        endpoint = endpoint.as_ref().map(tracing::field::display),
        ?failure,
        ?origin,
        ?stage,
        again,
        "attempt failed"
    );
    again
}
