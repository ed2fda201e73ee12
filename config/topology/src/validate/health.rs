//! Health checks: one kind each, and times that fit together.

use super::Checker;
use crate::door::{Code, Field, Mistake, Source, Span, Spanned};
use crate::model::{CheckKind, HealthCheck, HttpCheck, RecordType, Scheme, StatusRange};
use crate::raw::{RawCheck, RawDnsCheck, RawExecCheck, RawHttpCheck};
use crate::units::{Millis, Ratio};

/// The longest interval: an hour without a look is not a health check.
const MAX_INTERVAL: Millis = Millis(3_600_000);
/// The longest command line, in arguments.
const MAX_ARGS: usize = 64;

impl Checker {
    pub(super) fn health_checks(
        &mut self,
        source: &Source,
        raw: &[Spanned<RawCheck>],
    ) -> Vec<HealthCheck> {
        raw.iter()
            .filter_map(|check| self.health_check(source, check))
            .collect()
    }

    fn health_check(
        &mut self,
        source: &Source,
        Spanned { value: raw, span }: &Spanned<RawCheck>,
    ) -> Option<HealthCheck> {
        let kind = self.kind(source, raw, *span);
        let default_interval = self.interval();
        let interval = self.bounded(
            source,
            raw.interval.as_ref(),
            default_interval,
            (HealthCheck::MIN_INTERVAL, MAX_INTERVAL),
        );
        let timeout = self.timeout(source, raw, interval);
        let jitter = self.jitter(source, raw.jitter.as_ref());
        let thresholds = (1, HealthCheck::MAX_THRESHOLD);
        let default = HealthCheck::DEFAULT_THRESHOLD;
        let rise = self.bounded(source, raw.rise.as_ref(), default, thresholds);
        let fall = self.bounded(source, raw.fall.as_ref(), default, thresholds);
        let port = match &raw.port {
            Some(field) => self.port(source, field).map(Some),
            None => Some(None),
        };
        Some(HealthCheck {
            kind: kind?,
            interval: interval?,
            timeout: timeout?,
            jitter: jitter?,
            rise: rise?,
            fall: fall?,
            port: port?,
        })
    }

    /// A timeout that ends before the next probe begins, so that one endpoint never has two
    /// probes of one check under way.
    fn timeout(
        &mut self,
        source: &Source,
        raw: &RawCheck,
        interval: Option<Millis>,
    ) -> Option<Millis> {
        let Some(field) = &raw.timeout else {
            let half = Millis(interval?.0 / 2);
            return Some(half.min(HealthCheck::DEFAULT_TIMEOUT));
        };
        let timeout = *self.field(source, field)?;
        if timeout == Millis(0) {
            let mistake = Mistake::new("a timeout of 0ms fails every probe");
            self.wrong(source, field.span, Code::OUT_OF_RANGE, mistake);
            return None;
        }
        let interval = interval?;
        if timeout >= interval {
            let mistake = Mistake::new(format!(
                "the timeout {timeout} is not shorter than the interval {interval}"
            ))
            .help(format!(
                "choose a timeout below {interval}, for example {}",
                Millis((interval.0 / 2).max(1))
            ));
            self.wrong(source, field.span, Code::OUT_OF_RANGE, mistake);
            return None;
        }
        Some(timeout)
    }

    /// At most half the interval, so that probes keep their order.
    fn jitter(&mut self, source: &Source, field: Option<&Field<Ratio>>) -> Option<Ratio> {
        let default = Ratio::new(f64::from(HealthCheck::DEFAULT_JITTER_PERCENT) / 100.0).ok()?;
        let half = Ratio::new(0.5).ok()?;
        self.bounded(source, field, default, (Ratio::ZERO, half))
    }

    fn kind(&mut self, source: &Source, raw: &RawCheck, span: Span) -> Option<CheckKind> {
        let spans = [
            ("http", raw.http.as_ref().map(|check| check.span)),
            ("tcp", raw.tcp.as_ref().map(|check| check.span)),
            ("dns", raw.dns.as_ref().map(|check| check.span)),
            ("exec", raw.exec.as_ref().map(|check| check.span)),
        ];
        let mut given = spans
            .iter()
            .filter_map(|(word, span)| Some((*word, (*span)?)));
        let Some((first, _)) = given.next() else {
            let mistake = Mistake::new("this health check does not say what to ask")
                .help("add one of `http: {}`, `tcp: {}`, `dns: {...}`, `exec: {...}`");
            self.wrong(source, span, Code::MISSING_FIELD, mistake);
            return None;
        };
        if let Some((second, span)) = given.next() {
            let mistake = Mistake::new(format!(
                "one health check is either `{first}` or `{second}`, not both"
            ))
            .help("write two list items");
            self.wrong(source, span, Code::CONFLICT, mistake);
            return None;
        }
        match (&raw.http, &raw.dns, &raw.exec) {
            (Some(http), ..) => self.http_check(source, &http.value).map(CheckKind::Http),
            (_, Some(dns), _) => self.dns_check(source, &dns.value),
            (_, _, Some(exec)) => self.exec_check(source, &exec.value),
            _ => Some(CheckKind::Tcp),
        }
    }

    fn http_check(&mut self, source: &Source, raw: &RawHttpCheck) -> Option<HttpCheck> {
        let path = self.path(source, raw.path.as_ref());
        let host = self.optional(source, raw.host.as_ref());
        let mut expect_status = self.list(source, &raw.expect_status);
        if raw.expect_status.is_empty() {
            expect_status.push(StatusRange {
                first: 200,
                last: 299,
            });
        }
        let scheme = self.or(source, raw.scheme.as_ref(), Scheme::Http);
        Some(HttpCheck {
            path: path?,
            host: host?,
            expect_status,
            scheme: scheme?,
        })
    }

    fn dns_check(&mut self, source: &Source, raw: &RawDnsCheck) -> Option<CheckKind> {
        let name = self.field(source, &raw.name).cloned();
        let rtype = self.or(source, raw.rtype.as_ref(), RecordType::A);
        Some(CheckKind::Dns {
            name: name?,
            rtype: rtype?,
        })
    }

    fn exec_check(&mut self, source: &Source, raw: &RawExecCheck) -> Option<CheckKind> {
        let command = self.field(source, &raw.command)?.clone();
        if !command.starts_with('/') {
            let mistake = Mistake::new(format!("`{command}` is not an absolute path"))
                .help("no shell and no search path are involved: begin with `/`");
            self.wrong(source, raw.command.span, Code::INVALID_VALUE, mistake);
            return None;
        }
        if raw.args.len() > MAX_ARGS {
            let mistake = Mistake::new(format!("more than {MAX_ARGS} arguments"));
            self.wrong(source, raw.command.span, Code::OUT_OF_RANGE, mistake);
        }
        let args = self.list(source, &raw.args);
        Some(CheckKind::Exec { command, args })
    }

    /// A path of a URL; `/` when absent.
    pub(super) fn path(
        &mut self,
        source: &Source,
        field: Option<&Field<String>>,
    ) -> Option<String> {
        let Some(field) = field else {
            return Some("/".to_owned());
        };
        let path = self.field(source, field)?.clone();
        if !path.starts_with('/') {
            let mistake = Mistake::new(format!("the path `{path}` does not begin with `/`"));
            let host_too = path.split_once("://").map(|(_, rest)| {
                rest.find('/')
                    .map_or("/", |at| rest.get(at..).unwrap_or("/"))
            });
            let mistake = match host_too {
                Some(rest) => mistake.help(format!("write the path alone: `{rest}`")),
                None => mistake.help(format!("did you mean `/{path}`?")),
            };
            self.wrong(source, field.span, Code::INVALID_VALUE, mistake);
            return None;
        }
        if let Some(found) = path.chars().find(|c| !c.is_ascii_graphic()) {
            let mistake = Mistake::new(format!("{found:?} may not stand in a path"))
                .help("write it percent-encoded");
            self.wrong(source, field.span, Code::INVALID_VALUE, mistake);
            return None;
        }
        Some(path)
    }
}
