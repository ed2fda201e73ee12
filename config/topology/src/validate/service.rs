//! Services: routes and what each route promises.

use super::Checker;
use crate::door::{Code, Field, Mistake, Source, Spanned};
use crate::model::{Forwarded, HttpRoute, PathMatch, Priority, Retries, Service, Timeouts};
use crate::raw::{RawRetries, RawRoute, RawService, RawTimeouts};
use crate::units::Millis;

/// The longest patience of a proxy: what takes longer is not a request.
const MAX_TIMEOUT: Millis = Millis(3_600_000);

impl Checker {
    pub(super) fn service(&mut self, source: &Source, raw: &RawService) -> Option<Service> {
        let id = self.field(source, &raw.id).cloned();
        let policy = self.field(source, &raw.policy).cloned();
        let dns = match &raw.dns {
            Some(dns) => self.service_dns(source, dns, raw.id.span).map(Some),
            None => Some(None),
        };
        let traffic = self.traffic(source, raw.traffic.as_ref());
        let http = raw
            .http
            .iter()
            .filter_map(|route| self.route(source, route))
            .collect();
        let tcp = raw
            .tcp
            .iter()
            .filter_map(|listener| self.tcp_listener(source, listener))
            .collect();
        let udp = raw
            .udp
            .iter()
            .filter_map(|listener| self.udp_listener(source, listener))
            .collect();
        let vips = raw
            .vips
            .iter()
            .filter_map(|vip| self.vip(source, vip))
            .collect();
        let health_checks = self.health_checks(source, &raw.health_checks);
        Some(Service {
            id: id?,
            policy: policy?,
            dns: dns?,
            traffic: traffic?,
            http,
            tcp,
            udp,
            vips,
            health_checks,
        })
    }

    fn route(&mut self, source: &Source, spanned: &Spanned<RawRoute>) -> Option<HttpRoute> {
        let raw = &spanned.value;
        let hosts = self.list(source, &raw.hosts);
        if raw.hosts.is_empty() {
            let mistake = Mistake::new("this route has no host").help("list one, or `*` for all");
            self.wrong(source, spanned.span, Code::MISSING_FIELD, mistake);
        }
        let path_prefix = self.path(source, raw.path_prefix.as_ref());
        let path_match = self.or(source, raw.path_match.as_ref(), PathMatch::default());
        let methods = self.set(source, &raw.methods);
        let conditions = self.conditions(source, raw.conditions.as_ref());
        let clients = self.client_rules(source, raw.clients.as_ref());
        let compression = self.compression(source, raw.compression.as_ref());
        let max_body = self.optional(source, raw.max_body.as_ref());
        let timeouts = match &raw.timeouts {
            Some(timeouts) => self.timeouts(source, timeouts),
            None => Some(Timeouts::default()),
        };
        let retries = match &raw.retries {
            Some(retries) => self.retries(source, retries),
            None => Some(Retries::default()),
        };
        let forwarded = self.or(source, raw.forwarded.as_ref(), Forwarded::default());
        let priority = self.or(source, raw.priority.as_ref(), Priority::default());
        let affinity = self.affinity(source, raw.affinity.as_ref());
        let redirect = self.redirect(source, raw.redirect.as_ref());
        let rewrite = self.rewrite(source, raw.rewrite.as_ref());
        let request_headers = self.header_rules(source, raw.request_headers.as_ref());
        let response_headers = self.header_rules(source, raw.response_headers.as_ref());
        let split = self.split(source, &raw.split);
        let mirror = match &raw.mirror {
            Some(mirror) => self.split(source, std::slice::from_ref(mirror)),
            None => Some(Vec::new()),
        };
        let rate_limit = self.rate_limit(source, raw.rate_limit.as_ref());
        let fault = self.fault(source, raw.fault.as_ref());
        // One that names a scheme may leave others to be served.
        if let Some(redirect) = &raw.redirect
            && redirect.value.scheme.is_none()
        {
            let others = [
                ("affinity", raw.affinity.is_some()),
                ("rewrite", raw.rewrite.is_some()),
                ("request_headers", raw.request_headers.is_some()),
                ("split", !raw.split.is_empty()),
            ];
            self.redirects_alone(source, redirect.span, &others);
        }
        Some(HttpRoute {
            hosts,
            path_prefix: path_prefix?,
            path_match: path_match?,
            methods,
            conditions,
            clients,
            compression: compression?,
            max_body: max_body?,
            timeouts: timeouts?,
            retries: retries?,
            forwarded: forwarded?,
            priority: priority?,
            affinity: affinity?,
            redirect: redirect?,
            rewrite: rewrite?,
            request_headers: request_headers?,
            response_headers: response_headers?,
            split: split?,
            mirror: mirror?.into_iter().next(),
            rate_limit: rate_limit?,
            fault: fault?,
        })
    }

    fn timeouts(&mut self, source: &Source, raw: &RawTimeouts) -> Option<Timeouts> {
        let default = Timeouts::default();
        let bounds = (Millis(0), MAX_TIMEOUT);
        let total = self.bounded(source, raw.total.as_ref(), default.total, bounds);
        // A short `total` alone shortens the parts that nobody named; 0 is without end.
        let most = total.unwrap_or(default.total);
        let most = if most == Millis(0) { MAX_TIMEOUT } else { most };
        let connect = self.patience(source, raw.connect.as_ref(), default.connect.min(most));
        let first_byte = self.patience(
            source,
            raw.first_byte.as_ref(),
            default.first_byte.min(most),
        );
        let timeouts = Timeouts {
            connect: connect?,
            first_byte: first_byte?,
            total: total?,
        };
        for (word, part, field) in [
            ("connect", timeouts.connect, &raw.connect),
            ("first_byte", timeouts.first_byte, &raw.first_byte),
        ] {
            let Some(field) = field else { continue };
            if part > timeouts.total && timeouts.total > Millis(0) {
                let mistake = Mistake::new(format!(
                    "`{word}` ({part}) is longer than `total` ({})",
                    timeouts.total
                ))
                .help("a part cannot outlast the whole");
                self.wrong(source, field.span, Code::CONFLICT, mistake);
            }
        }
        Some(timeouts)
    }

    /// A timeout of a data path.
    pub(super) fn patience(
        &mut self,
        source: &Source,
        field: Option<&Field<Millis>>,
        default: Millis,
    ) -> Option<Millis> {
        self.bounded(source, field, default, (Millis(1), MAX_TIMEOUT))
    }

    fn retries(&mut self, source: &Source, raw: &RawRetries) -> Option<Retries> {
        let default = Retries::default();
        let bounds = (0, Retries::MAX_ATTEMPTS);
        let attempts = self.bounded(source, raw.attempts.as_ref(), default.attempts, bounds);
        let on = match &raw.on {
            Some(reasons) => self.set(source, reasons),
            None => default.on,
        };
        Some(Retries {
            attempts: attempts?,
            on,
        })
    }
}
