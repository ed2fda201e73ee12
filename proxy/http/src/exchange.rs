//! One request on its way: which route, which client, which endpoint, and what
//! happens after a failure.
//!
//! An [`Exchange`] is pingora's per-request context. [`admit`] fills in
//! [`Routed`] once; [`Routed::after`] is the only place that decides about
//! another attempt. Bounds: the route's attempts (at most
//! [`ATTEMPTS_MAX`]), one extra attempt when a pooled connection turned out to
//! be dead, the service's retry budget, and the route's total timeout.
//!
//! A [`Routed`] is counted among the requests in flight of its service and of its
//! endpoint, from its choice to its end.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::Method;
use meridian_accept::{CertStore, TrustedSources, client_address, forwarded, x_forwarded_for};
use meridian_engine::policy::Sticky;
use meridian_engine::{ClassId, ClientKey, Pick};
use meridian_telemetry::DecisionId;
use meridian_topology::{EndpointIdx, ServiceIdx, model::Endpoint};

use crate::affinity::identity;
use crate::attempt::{ATTEMPTS_MAX, Failure, Sent, Stage, may_retry};
use crate::choose::{Choice, Question};
use crate::compress::{Accepts, Offer};
use crate::condition::{meets, serves};
use crate::config::ClientFrom;
use crate::fields::Fields;
use crate::info::{ConnectionInfo, Scheme};
use crate::metrics::{MirrorMetrics, RefusedFor, ServiceMetrics, Unrouted};
use crate::route::Lookup;
use crate::table::{Route, Service, Table};
use crate::traffic::{self, Here, location};
use crate::upstream_tls::Ready;

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
    /// The route's own, or one that takes a share of its clients.
    service: ServiceIdx,
    /// Why it goes to no upstream.
    pub(crate) refusal: Option<Refusal>,
    /// What its client is given to be known by.
    pub(crate) cookie: Option<String>,
    /// Which codings its client takes, where the route offers some.
    accepts: Accepts,
    /// How long it is to wait before its first attempt.
    pub(crate) delay: Option<Duration>,
    /// Who asks: the socket's peer, or whom trusted proxies name.
    pub(crate) client: IpAddr,
    /// The client's class in the plan.
    pub(crate) class: ClassId,
    question: Question,
    /// The request's number, from which chance comes.
    number: u64,
    /// The endpoint of this attempt, or of the last one.
    pub(crate) pick: Option<Pick>,
    /// It is counted among its service's requests.
    is_counted: bool,
    /// It is counted among this endpoint's requests.
    held: Option<EndpointIdx>,
    /// When this attempt began.
    attempt_from: Instant,
    tried: [EndpointIdx; ATTEMPTS_MAX + 1],
    failures: usize,
    /// Attempts begun.
    pub(crate) attempts: u8,
    dead_connection_forgiven: bool,
    /// Why the last attempt failed.
    pub(crate) last_failure: Option<Failure>,
    deadline: Instant,
}

/// Why a request that has a route goes to no upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// The policy leaves nobody.
    Nobody,
    /// Every endpoint has as many requests as it may have.
    EndpointsFull,
    /// The route does not serve this client.
    Forbidden,
    /// The body is longer than the route takes.
    BodyTooLarge,
    /// The service has as many requests as it may have, for the route's priority.
    ServiceFull,
    /// Too many came in too short a time.
    RateLimited(traffic::Refused),
    /// The route answers with this status on purpose.
    Fault(u16),
    /// The route sends its clients there.
    Redirect { status: u16, location: String },
}

/// Where a copy of a request goes.
pub(crate) struct Mirrored<'r> {
    pub(crate) address: SocketAddr,
    /// As [`Routed::tls`].
    pub(crate) tls: Result<Option<Arc<Ready>>, Failure>,
    pub(crate) metrics: &'r MirrorMetrics,
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
    /// The scheme, where the target of an HTTP/1 request names one.
    pub(crate) scheme: Option<&'a str>,
    /// The host without port, as written; empty where there is none.
    pub(crate) host: &'a str,
    /// The port beside it.
    pub(crate) port: Option<u16>,
    /// The path, without query.
    pub(crate) path: &'a [u8],
    /// The path and query.
    pub(crate) target: &'a str,
    pub(crate) method: &'a Method,
    pub(crate) fields: &'a F,
}

/// Finds route, client and first endpoint of a request. A request that goes to no
/// upstream is admitted too, with the reason.
///
/// # Errors
/// No route takes the request.
pub(crate) fn admit<F: Fields + ?Sized>(
    table: Arc<Table>,
    admission: &Admission<'_>,
    asked: &Asked<'_, F>,
) -> Result<Routed, Unrouted> {
    let peer = admission.connection.peer.ip();
    let is_foreign = |scheme: &str| {
        // A trusted proxy may have ended TLS before us (RFC 9110, section 7.4).
        !scheme.eq_ignore_ascii_case(admission.connection.scheme.as_str())
            && !admission.trusted.contains(peer)
    };
    if asked.scheme.is_some_and(is_foreign)
        || misdirected(admission.connection, admission.certificates, asked.host)
    {
        return Err(Unrouted::Misdirected);
    }
    let route = match table
        .lookup
        .find(asked.host.as_bytes(), asked.path, asked.method, |route| {
            let conditions = &table.routes[route].conditions;
            meets(conditions, asked.fields, asked.target)
        }) {
        Lookup::Found(route) => route,
        Lookup::UnknownHost => return Err(Unrouted::UnknownHost),
        Lookup::UnknownPath => return Err(Unrouted::UnknownPath),
        Lookup::MethodNotAllowed => return Err(Unrouted::Method),
    };
    let client = client(asked.fields, peer, admission.trusted, admission.client_from);
    let published = &table.published;
    let settings = &table.routes[route];
    let affinity = settings.affinity.as_ref();
    let is_secure = admission.connection.scheme != Scheme::Http;
    let known = affinity
        .and_then(|affinity| identity(affinity, asked.fields, is_secure, admission.decision));
    let lasting = || {
        let address = || ClientKey::from_ip(client, u8::MAX);
        known.as_ref().map_or_else(address, |known| known.key)
    };
    let service = settings.service_of(lasting);
    let class = published.world.classes.lookup(client).class;
    let (key, balanced) = match &known {
        Some(known) => (known.key, None),
        None => {
            let key = published.plan.client_key(service, client);
            let number = admission.decision.0;
            let key = match published.plan.sticky(service) {
                Sticky::None => key.with_nonce(number),
                _ => key,
            };
            (key, Some(number))
        }
    };
    let deadline = admission.now + settings.total_timeout;
    let mut routed = Routed {
        route,
        service,
        refusal: None,
        cookie: known.and_then(|known| known.cookie),
        accepts: match settings.compression {
            Some(_) => Accepts::of(asked.fields),
            None => Accepts::default(),
        },
        delay: None,
        client,
        class,
        question: Question {
            service,
            class,
            key,
            balanced,
        },
        number: admission.decision.0,
        pick: None,
        is_counted: false,
        held: None,
        attempt_from: admission.now,
        table,
        tried: [EndpointIdx(0); ATTEMPTS_MAX + 1],
        failures: 0,
        attempts: 0,
        dead_connection_forgiven: false,
        last_failure: None,
        deadline,
    };
    routed.refusal = routed.refuse_or_pick(asked, admission);
    if let Some(refusal) = &routed.refusal {
        routed.metrics().refused(refusal.counted());
    }
    Ok(routed)
}

impl Refusal {
    /// How it is counted; `None` for what is no refusal.
    fn counted(&self) -> Option<RefusedFor> {
        match self {
            Self::Nobody => Some(RefusedFor::Nobody),
            Self::EndpointsFull => Some(RefusedFor::EndpointsFull),
            Self::ServiceFull => Some(RefusedFor::ServiceFull),
            Self::RateLimited(_) => Some(RefusedFor::RateLimit),
            Self::Forbidden => Some(RefusedFor::Client),
            Self::BodyTooLarge => Some(RefusedFor::BodyTooLarge),
            Self::Fault(_) => Some(RefusedFor::Fault),
            Self::Redirect { .. } => None,
        }
    }
}

impl Routed {
    /// Its route.
    pub(crate) fn route(&self) -> &Route {
        &self.table.routes[self.route]
    }

    /// Where a copy of it goes, if one is wanted and somebody may take it.
    pub(crate) fn mirrored(&self) -> Option<Mirrored<'_>> {
        let service = self.route().mirror_of(self.number)?;
        let published = &self.table.published;
        let key = self.question.key;
        let pick = published
            .plan
            .pick(service, self.class, key, &published.bits)?;
        let service = self.table.service(service);
        Some(Mirrored {
            address: self.table.endpoint(pick.endpoint).socket_addr(),
            tls: tls_of(service),
            metrics: &service.metrics.mirrored,
        })
    }

    /// In which codings its answer may go out.
    pub(crate) fn offer(&self) -> Option<Offer<'_>> {
        let rules = self.route().compression.as_ref()?;
        Some(Offer {
            rules,
            accepts: self.accepts,
        })
    }

    /// What every request of its service needs.
    fn service(&self) -> &Service {
        self.table.service(self.service)
    }

    /// How its endpoint is to be spoken to.
    ///
    /// # Errors
    /// TLS, and its files could never be read.
    pub(crate) fn tls(&self) -> Result<Option<Arc<Ready>>, Failure> {
        tls_of(self.service())
    }

    /// Its service's metrics.
    pub(crate) fn metrics(&self) -> &ServiceMetrics {
        &self.service().metrics
    }

    /// Its service.
    pub(crate) fn service_index(&self) -> ServiceIdx {
        self.service
    }

    /// Its service's name.
    pub(crate) fn service_id(&self) -> &meridian_topology::ServiceId {
        &self.table.topology().services[self.service.index()].id
    }

    /// Everything that may come before a pick, the cheapest first; and the pick.
    fn refuse_or_pick<F: Fields + ?Sized>(
        &mut self,
        asked: &Asked<'_, F>,
        admission: &Admission<'_>,
    ) -> Option<Refusal> {
        let (now, number) = (admission.now, admission.decision.0);
        let table = &*self.table;
        let route = &table.routes[self.route];
        let redirect = route.redirect.as_ref().and_then(|redirect| {
            let here = Here {
                scheme: scheme(admission, asked.fields),
                host: asked.host,
                port: asked.port,
                target: asked.target,
            };
            let location = location(&route.path_prefix, redirect, here)?;
            Some(Refusal::Redirect {
                status: redirect.status,
                location,
            })
        });
        if redirect.is_some() {
            return redirect;
        }
        if !serves(&route.clients, self.client) {
            return Some(Refusal::Forbidden);
        }
        if route.body_max < u64::MAX {
            let length = asked.fields.values("content-length").next();
            let length = length.and_then(|length| str::from_utf8(length).ok()?.parse::<u64>().ok());
            if length.is_some_and(|length| length > route.body_max) {
                return Some(Refusal::BodyTooLarge);
            }
        }
        let at = table.clock.at(now);
        if let Some(rate) = &route.rate
            && let Err(refused) = rate.take(self.client, asked.fields, at)
        {
            return Some(Refusal::RateLimited(refused));
        }
        let service = table.service(self.service);
        if !service.stats.begin(route.most_in_flight(&service.traffic)) {
            return Some(Refusal::ServiceFull);
        }
        self.is_counted = true;
        service.stats.retries.requested(at);
        let (delay, abort) = route.fault_of(number);
        self.delay = delay;
        if let Some(status) = abort {
            return Some(Refusal::Fault(status));
        }
        match self.question.choose(table, &[]) {
            Choice::Endpoint(pick) => {
                self.hold(pick);
                None
            }
            Choice::Full => Some(Refusal::EndpointsFull),
            Choice::Nobody => Some(Refusal::Nobody),
        }
    }

    /// Makes an endpoint, which counts the request already, the current one.
    fn hold(&mut self, pick: Pick) {
        self.release();
        self.held = Some(pick.endpoint);
        self.pick = Some(pick);
    }

    fn release(&mut self) {
        if let Some(endpoint) = self.held.take() {
            self.table.stats(endpoint).end();
        }
    }

    /// Waits as long as a fault wants it to.
    pub(crate) async fn wait(&mut self) {
        let Some(delay) = self.delay.take() else {
            return;
        };
        tokio::time::sleep(delay.min(self.time_left(Instant::now()))).await;
        self.attempt_from = Instant::now();
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

    /// The endpoint began an answer with a status below 500.
    pub(crate) fn succeeded(&self, now: Instant) {
        if let Some(pick) = self.pick {
            let after = now.saturating_duration_since(self.attempt_from);
            let stats = self.table.stats(pick.endpoint);
            stats.answered(after, self.table.clock.ms(now));
            self.table.runs.succeeded(pick.endpoint);
        }
    }

    /// The endpoint answered 5xx and the answer goes to the client.
    pub(crate) fn answered_badly(&self, failure: Failure, now: Instant) {
        self.metrics().failed(failure.reason());
        self.tell(failure, Stage::Answering, now);
    }

    /// Whether an answer with this status is to be thrown away for another
    /// attempt: asked before anything of it reached the client.
    pub(crate) fn wants_another(&self, failure: Failure, sent: Sent, now: Instant) -> bool {
        let allowed = self.allowed(failure, sent, now);
        let another = allowed.then(|| self.another(self.pick));
        let Some(Choice::Endpoint(pick)) = another else {
            return false;
        };
        // It was only a question.
        self.table.stats(pick.endpoint).end();
        true
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
            self.tell(failure, stage, now);
        }
        let next = if dead_connection && self.forgive(sent, now) {
            failed
        } else {
            let allowed = self.allowed(failure, sent, now);
            let next = if allowed {
                self.another(failed).pick()
            } else {
                None
            };
            if let Some(failed) = failed
                && let Some(slot) = self.tried.get_mut(self.failures)
            {
                *slot = failed.endpoint;
                self.failures += 1;
            }
            next
        };
        let Some(next) = next else {
            return false;
        };
        if dead_connection && self.held == Some(next.endpoint) {
            self.pick = Some(next);
        } else {
            if sent != Sent::Nothing {
                let at = self.table.clock.at(now);
                self.service().stats.retries.retried(at);
            }
            self.hold(next);
        }
        self.attempt_from = now;
        self.metrics().retried(failure.reason());
        true
    }

    fn allowed(&self, failure: Failure, sent: Sent, now: Instant) -> bool {
        let route = self.route();
        let attempts_max = route.attempts_max + usize::from(self.dead_connection_forgiven);
        let may = usize::from(self.attempts) < attempts_max
            && now < self.deadline
            && may_retry(failure, sent, &route.retry_on);
        // What never reached an endpoint is no load there, wherever it goes next.
        may && (sent == Sent::Nothing || self.budget_allows(now))
    }

    fn budget_allows(&self, now: Instant) -> bool {
        let service = self.service();
        let (budget, at) = (service.traffic.retry_budget, self.table.clock.at(now));
        let has_room = service.stats.retries.has_room(budget, at);
        if !has_room {
            service.metrics.budget_empty.inc();
        }
        has_room
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
    fn another(&self, failed: Option<Pick>) -> Choice {
        let mut excluded = self.tried;
        let mut count = self.failures;
        if let Some(failed) = failed
            && let Some(slot) = excluded.get_mut(count)
        {
            *slot = failed.endpoint;
            count += 1;
        }
        self.question.choose(&self.table, &excluded[..count])
    }

    fn tell(&self, failure: Failure, stage: Stage, now: Instant) {
        if let (Some(kind), Some(pick)) = (failure.passive(stage), self.pick) {
            self.table
                .stats(pick.endpoint)
                .failed(self.table.clock.ms(now));
            let id = &self.table.endpoint(pick.endpoint).id;
            self.table.runs.failed(pick.endpoint, id, kind);
        }
    }
}

fn tls_of(service: &Service) -> Result<Option<Arc<Ready>>, Failure> {
    match &service.tls {
        None => Ok(None),
        Some(tls) => tls.ready().map(Some).ok_or(Failure::Local),
    }
}

impl Drop for Routed {
    fn drop(&mut self) {
        self.release();
        if self.is_counted {
            self.service().stats.end();
        }
    }
}

/// How the client came: to us, or to a trusted proxy in front of us that says so.
fn scheme<F: Fields + ?Sized>(admission: &Admission<'_>, fields: &F) -> &'static str {
    let own = admission.connection.scheme.as_str();
    if !admission.trusted.contains(admission.connection.peer.ip()) {
        return own;
    }
    match fields.values("x-forwarded-proto").next() {
        Some(b"https") => "https",
        Some(b"http") => "http",
        _ => own,
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
