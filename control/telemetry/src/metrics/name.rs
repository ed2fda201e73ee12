//! How a metric is named: `meridian_<room>_<what>_<unit>[_total]`.
//!
//! The unit is a type, not text. Things that are counted one by one (`requests`, `endpoints`)
//! are their own unit and add no suffix.

use super::MetricError;

/// Longest `room` or `what`, in bytes.
pub const NAME_PART_BYTES_MAX: usize = 48;

/// Labels that only a client could fill. A label made of them would let a client create series
/// without end.
pub const CLIENT_CHOSEN_LABELS: &[&str] = &[
    "client",
    "client_ip",
    "cookie",
    "header",
    "host",
    "path",
    "qname",
    "query",
    "referer",
    "sni",
    "url",
    "user",
    "user_agent",
];

/// Suffixes that are appended from the [`Unit`] and the kind, never typed by hand.
const SUFFIXES: &[&str] = &[
    "total",
    "seconds",
    "bytes",
    "ratio",
    "info",
    "milliseconds",
    "ms",
    "us",
];

/// What a metric's number measures. Base units only: Prometheus' own convention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Things counted one by one; `what` names the thing and no suffix is added.
    Count,
    /// Seconds: `_seconds`.
    Seconds,
    /// Bytes: `_bytes`.
    Bytes,
    /// Between 0 and 1: `_ratio`.
    Ratio,
    /// Always 1, the facts are in the labels: `_info`.
    Info,
}

impl Unit {
    const fn suffix(self) -> &'static str {
        match self {
            Self::Count => "",
            Self::Seconds => "_seconds",
            Self::Bytes => "_bytes",
            Self::Ratio => "_ratio",
            Self::Info => "_info",
        }
    }
}

/// What the metric is, as far as its name is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A checked full name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricName(String);

impl MetricName {
    pub(super) fn new(room: &str, what: &str, unit: Unit, kind: Kind) -> Result<Self, MetricError> {
        check_part(room)?;
        check_part(what)?;
        let last = what.rsplit('_').next().unwrap_or(what);
        if let Some(suffix) = SUFFIXES.iter().find(|suffix| **suffix == last) {
            return Err(MetricError::SuffixGiven {
                what: what.into(),
                suffix,
            });
        }
        let total = if kind == Kind::Counter { "_total" } else { "" };
        Ok(Self(format!(
            "meridian_{room}_{what}{}{total}",
            unit.suffix()
        )))
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

/// Accepts lower-case words joined by single underscores.
pub(super) fn check_part(part: &str) -> Result<(), MetricError> {
    let word = |word: &str| {
        !word.is_empty()
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    };
    let fine = part.len() <= NAME_PART_BYTES_MAX
        && part.starts_with(|c: char| c.is_ascii_lowercase())
        && part.split('_').all(word);
    if fine {
        Ok(())
    } else {
        Err(MetricError::BadName { part: part.into() })
    }
}

/// Refuses labels that clients would fill.
pub(super) fn check_labels(name: &str, labels: &[&str]) -> Result<(), MetricError> {
    match labels
        .iter()
        .find(|label| CLIENT_CHOSEN_LABELS.contains(label))
    {
        Some(label) => Err(MetricError::ClientChosenLabel {
            name: name.into(),
            label: (*label).into(),
        }),
        None => Ok(()),
    }
}
