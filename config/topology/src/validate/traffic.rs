//! How the HTTP proxy treats a service's requests.

use super::Checker;
use crate::door::{Code, Field, Mistake, Source, Span, Spanned};
use crate::model::{
    Affinity, ClientRules, Compression, Condition, Fault, HeaderName, HeaderRules, HeaderValue,
    RateKey, RateLimit, Redirect, RetryBudget, Rewrite, Traffic, TrafficSplit, UpstreamTls,
};
use crate::raw::{
    RateEach, RawAffinity, RawClients, RawCompression, RawFault, RawHeader, RawHeaderRules,
    RawMatch, RawRateLimit, RawRedirect, RawRetryBudget, RawRewrite, RawTraffic, RawTrafficSplit,
    RawUpstreamTls,
};
use crate::units::{Millis, Ratio};

/// The most requests that a bound can name: beyond it there is none.
const MAX_IN_FLIGHT: u32 = 10_000_000;
/// Limits of the time that a rate is counted over.
const RATE_PER: (Millis, Millis) = (Millis(10), Millis(86_400_000));

impl Checker {
    pub(super) fn traffic(&mut self, source: &Source, raw: Option<&RawTraffic>) -> Option<Traffic> {
        let default = Traffic::default();
        let Some(raw) = raw else {
            return Some(default);
        };
        let balance = self.or(source, raw.balance.as_ref(), default.balance);
        let whole = self.in_flight(source, raw.max_in_flight.as_ref());
        let each = self.in_flight(source, raw.max_in_flight_per_endpoint.as_ref());
        let retry_budget = match &raw.retry_budget {
            Some(budget) => self.retry_budget(source, budget),
            None => Some(default.retry_budget),
        };
        let tls = match &raw.tls {
            Some(tls) => self.upstream_tls(source, tls).map(Some),
            None => Some(None),
        };
        Some(Traffic {
            balance: balance?,
            max_in_flight: whole?,
            max_in_flight_per_endpoint: each?,
            retry_budget: retry_budget?,
            tls: tls?,
        })
    }

    fn upstream_tls(&mut self, source: &Source, raw: &RawUpstreamTls) -> Option<UpstreamTls> {
        let server_name = self.field(source, &raw.server_name).cloned();
        let authorities = self.optional(source, raw.ca.as_ref());
        let certificate = self.optional(source, raw.certificate.as_ref())?;
        let key = self.optional(source, raw.key.as_ref())?;
        let identity = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => {
                let mistake = Mistake::new("`certificate` and `key` belong together")
                    .help("name both, or neither");
                self.wrong(source, raw.server_name.span, Code::CONFLICT, mistake);
                return None;
            }
        };
        Some(UpstreamTls {
            server_name: server_name?,
            authorities: authorities?,
            identity,
        })
    }

    fn in_flight(&mut self, source: &Source, field: Option<&Field<u32>>) -> Option<Option<u32>> {
        let Some(field) = field else {
            return Some(None);
        };
        let value = *self.field(source, field)?;
        self.within(source, field.span, value, (1, MAX_IN_FLIGHT))
            .map(Some)
    }

    fn retry_budget(&mut self, source: &Source, raw: &RawRetryBudget) -> Option<RetryBudget> {
        let default = RetryBudget::default();
        let share = self.or(source, raw.share.as_ref(), default.share);
        let bounds = (0, RetryBudget::MAX_AT_LEAST);
        let at_least = self.bounded(source, raw.at_least.as_ref(), default.at_least, bounds);
        Some(RetryBudget {
            share: share?,
            at_least: at_least?,
        })
    }

    pub(super) fn conditions(&mut self, source: &Source, raw: Option<&RawMatch>) -> Vec<Condition> {
        let Some(raw) = raw else {
            return Vec::new();
        };
        let mut conditions = Vec::new();
        for header in &raw.headers {
            let named = self.named(source, &header.name, header.value.as_ref());
            conditions.extend(named.map(|(name, value)| Condition::Header(name, value)));
        }
        for cookie in &raw.cookies {
            let named = self.named(source, &cookie.name, cookie.value.as_ref());
            conditions.extend(named.map(|(name, value)| Condition::Cookie(name, value)));
        }
        for parameter in &raw.query {
            let named = self.named(source, &parameter.name, parameter.value.as_ref());
            conditions.extend(named.map(|(name, value)| Condition::Query(name, value)));
        }
        conditions
    }

    fn named<N: Clone>(
        &mut self,
        source: &Source,
        name: &Field<N>,
        value: Option<&Field<String>>,
    ) -> Option<(N, Option<String>)> {
        let name = self.field(source, name).cloned();
        let value = self.optional(source, value);
        Some((name?, value?))
    }

    pub(super) fn client_rules(
        &mut self,
        source: &Source,
        raw: Option<&RawClients>,
    ) -> ClientRules {
        let Some(raw) = raw else {
            return ClientRules::default();
        };
        for (word, list) in [("allow", &raw.allow), ("deny", &raw.deny)] {
            if let (Some(last), true) = (list.last(), list.len() > ClientRules::MAX) {
                let (count, most) = (list.len(), ClientRules::MAX);
                let mistake =
                    Mistake::new(format!("`{word}` has {count} networks; {most} is most"))
                        .help("name them as a client group, and forbid it in the policy");
                self.wrong(source, last.span, Code::OUT_OF_RANGE, mistake);
            }
        }
        ClientRules {
            allow: self.set(source, &raw.allow),
            deny: self.set(source, &raw.deny),
        }
    }

    pub(super) fn compression(
        &mut self,
        source: &Source,
        raw: Option<&RawCompression>,
    ) -> Option<Option<Compression>> {
        let Some(raw) = raw else {
            return Some(None);
        };
        let default = Compression::default();
        let codings = match &raw.codings {
            Some(codings) => self.list(source, codings),
            None => default.codings,
        };
        let types = match &raw.types {
            Some(types) => self.list(source, types),
            None => default.types,
        };
        let min = self.or(source, raw.min.as_ref(), default.min);
        Some(Some(Compression {
            codings,
            types,
            min: min?,
        }))
    }

    pub(super) fn header_rules(
        &mut self,
        source: &Source,
        raw: Option<&Spanned<RawHeaderRules>>,
    ) -> Option<HeaderRules> {
        let Some(Spanned { value: raw, span }) = raw else {
            return Some(HeaderRules::default());
        };
        let rules = HeaderRules {
            remove: self.list(source, &raw.remove),
            set: self.headers(source, &raw.set),
            add: self.headers(source, &raw.add),
        };
        for (word, count) in [
            ("remove", raw.remove.len()),
            ("set", raw.set.len()),
            ("add", raw.add.len()),
        ] {
            if count > HeaderRules::MAX {
                let most = HeaderRules::MAX;
                let mistake = Mistake::new(format!("`{word}` has {count} rules; {most} is most"));
                self.wrong(source, *span, Code::OUT_OF_RANGE, mistake);
            }
        }
        Some(rules)
    }

    fn headers(&mut self, source: &Source, raw: &[RawHeader]) -> Vec<(HeaderName, HeaderValue)> {
        raw.iter()
            .filter_map(|header| {
                let name = self.field(source, &header.name).cloned();
                let value = self.field(source, &header.value).cloned();
                Some((name?, value?))
            })
            .collect()
    }

    pub(super) fn affinity(
        &mut self,
        source: &Source,
        raw: Option<&Spanned<RawAffinity>>,
    ) -> Option<Option<Affinity>> {
        let Some(Spanned { value: raw, span }) = raw else {
            return Some(None);
        };
        match (&raw.header, &raw.cookie) {
            (Some(header), None) => {
                let header = self.field(source, header)?.clone();
                Some(Some(Affinity::Header(header)))
            }
            (None, Some(cookie)) => {
                let cookie = self.field(source, cookie)?.clone();
                Some(Some(Affinity::Cookie(cookie)))
            }
            _ => {
                let mistake = Mistake::new("`affinity` needs one of `header` and `cookie`");
                self.wrong(source, *span, Code::CONFLICT, mistake);
                None
            }
        }
    }

    pub(super) fn redirect(
        &mut self,
        source: &Source,
        raw: Option<&Spanned<RawRedirect>>,
    ) -> Option<Option<Redirect>> {
        let Some(Spanned { value: raw, span }) = raw else {
            return Some(None);
        };
        let status = self.or(source, raw.status.as_ref(), 308);
        if let (Some(status), Some(field)) = (status, &raw.status)
            && !Redirect::STATUSES.contains(&status)
        {
            let mistake = Mistake::new(format!("{status} does not send a client elsewhere"))
                .help("use 301, 302, 303, 307 or 308");
            self.wrong(source, field.span, Code::OUT_OF_RANGE, mistake);
        }
        let scheme = self.optional(source, raw.scheme.as_ref());
        let host = self.optional(source, raw.host.as_ref());
        let port = match &raw.port {
            Some(field) => self.port(source, field).map(Some),
            None => Some(None),
        };
        let path_prefix = self.prefix(source, raw.path_prefix.as_ref());
        let redirect = Redirect {
            status: status?,
            scheme: scheme?,
            host: host?,
            port: port?,
            path_prefix: path_prefix?,
        };
        let nowhere = redirect.scheme.is_none()
            && redirect.host.is_none()
            && redirect.port.is_none()
            && redirect.path_prefix.is_none();
        if nowhere {
            let mistake = Mistake::new("this redirect sends the client where it came from")
                .help("name a `scheme`, `host`, `port` or `path_prefix`");
            self.wrong(source, *span, Code::MISSING_FIELD, mistake);
        }
        Some(Some(redirect))
    }

    pub(super) fn rewrite(&mut self, source: &Source, raw: Option<&RawRewrite>) -> Option<Rewrite> {
        let Some(raw) = raw else {
            return Some(Rewrite::default());
        };
        let host = self.optional(source, raw.host.as_ref());
        let path_prefix = self.prefix(source, raw.path_prefix.as_ref());
        Some(Rewrite {
            host: host?,
            path_prefix: path_prefix?,
        })
    }

    /// What stands in the place of a route's prefix.
    fn prefix(&mut self, source: &Source, field: Option<&Field<String>>) -> Option<Option<String>> {
        match field {
            Some(_) => self.path(source, field).map(Some),
            None => Some(None),
        }
    }

    pub(super) fn split(
        &mut self,
        source: &Source,
        raw: &[RawTrafficSplit],
    ) -> Option<Vec<TrafficSplit>> {
        let mut split = Vec::with_capacity(raw.len());
        let mut sum = 0.0;
        for part in raw {
            let service = self.service_ref(source, &part.service)?;
            let share = *self.field(source, &part.share)?;
            sum += f64::from(share);
            split.push(TrafficSplit { service, share });
        }
        // A millionth is a rounding error of the text, not an intention.
        if let (Some(last), true) = (raw.last(), sum > 1.000_001) {
            let sum = sum * 100.0;
            let mistake = Mistake::new(format!("the shares add up to {sum:.1}%"))
                .help("what they leave of 100% is this service's own");
            self.wrong(source, last.share.span, Code::OUT_OF_RANGE, mistake);
            return None;
        }
        Some(split)
    }

    pub(super) fn rate_limit(
        &mut self,
        source: &Source,
        raw: Option<&Spanned<RawRateLimit>>,
    ) -> Option<Option<RateLimit>> {
        let Some(Spanned { value: raw, span }) = raw else {
            return Some(None);
        };
        let bounds = (1, RateLimit::MAX_REQUESTS);
        let requests = self.bounded(source, Some(&raw.requests), 1, bounds);
        let per = self.bounded(source, raw.per.as_ref(), Millis(1_000), RATE_PER);
        let usual = requests.unwrap_or(1);
        let burst = self.bounded(source, raw.burst.as_ref(), usual, bounds);
        let each = self.or(source, raw.each.as_ref(), RateEach::default());
        let header = self.optional(source, raw.header.as_ref())?;
        let key = match (each?, header) {
            (RateEach::Route, None) => RateKey::Route,
            (RateEach::Client, None) => RateKey::Client,
            (RateEach::Header, Some(header)) => RateKey::Header(header),
            (RateEach::Header, None) => {
                let mistake = Mistake::new("`each: header` needs a `header`");
                self.wrong(source, *span, Code::MISSING_FIELD, mistake);
                return None;
            }
            (_, Some(_)) => {
                let mistake = Mistake::new("`header` means something only with `each: header`");
                self.wrong(source, *span, Code::CONFLICT, mistake);
                return None;
            }
        };
        Some(Some(RateLimit {
            requests: requests?,
            per: per?,
            burst: burst?,
            key,
        }))
    }

    pub(super) fn fault(&mut self, source: &Source, raw: Option<&RawFault>) -> Option<Fault> {
        let Some(raw) = raw else {
            return Some(Fault::default());
        };
        let delay = match &raw.delay {
            Some(delay) => {
                let time = self.patience(source, Some(&delay.time), Millis(1));
                let share = self.or(source, delay.share.as_ref(), Ratio::ONE);
                Some((time?, share?))
            }
            None => None,
        };
        let abort = match &raw.abort {
            Some(abort) => {
                let status = self.bounded(source, abort.status.as_ref(), 503, (400, 599));
                let share = self.or(source, abort.share.as_ref(), Ratio::ONE);
                Some((status?, share?))
            }
            None => None,
        };
        Some(Fault { delay, abort })
    }

    /// A route that answers by itself has nothing to say to an upstream.
    pub(super) fn redirects_alone(&mut self, source: &Source, span: Span, others: &[(&str, bool)]) {
        for (word, is_given) in others {
            if *is_given {
                let mistake = Mistake::new(format!("a route that redirects has no `{word}`"))
                    .help("its requests reach no upstream: remove one of the two");
                self.wrong(source, span, Code::CONFLICT, mistake);
            }
        }
    }
}
