//! Compression of answers: whether, in which coding, and the encoders.
//!
//! An answer is compressed when its route wants that, its client takes one of the route's codings (RFC 9110,
//! section 12.5.3), its content is of a kind that gains by it and not compressed yet, it is not known to be
//! small, and nobody forbids a transformation. Each piece is passed on as it comes: an encoder is flushed
//! after every read, so that a stream of events stays one.
//!
//! What an answer on its way takes is bounded by the encoders' windows ([`encoder::WINDOW_BITS`]) and how many a
//! worker has at once ([`encoder::ENCODERS_MAX`]).

mod encoder;

use httparse::Header;
use meridian_topology::{Coding, Compression};

pub(crate) use encoder::{Encoder, Seats};

use crate::fields::Fields;

/// Which codings a client takes, each from 0 (not) to 1,000.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Accepts {
    by_coding: [u16; Coding::ALL.len()],
}

impl Accepts {
    /// What `Accept-Encoding` says; without it no coding is taken.
    pub(crate) fn of<F: Fields + ?Sized>(fields: &F) -> Self {
        let mut named = [None; Coding::ALL.len()];
        let mut others = 0;
        for item in fields
            .values("accept-encoding")
            .flat_map(|value| value.split(|byte| *byte == b','))
        {
            let mut parts = item.split(|byte| *byte == b';');
            let name = parts.next().unwrap_or_default().trim_ascii();
            let quality = parts.find_map(quality).unwrap_or(1_000);
            if name == b"*" {
                others = quality;
            }
            let is = |coding: &&Coding| name.eq_ignore_ascii_case(coding.word().as_bytes());
            if let Some(coding) = Coding::ALL.iter().find(is) {
                named[*coding as usize] = Some(quality);
            }
        }
        Self {
            by_coding: named.map(|quality| quality.unwrap_or(others)),
        }
    }

    /// The coding that the client likes best of those offered; of two the one that is offered first.
    fn best(self, offered: &[Coding]) -> Option<Coding> {
        let liked = |coding: &&Coding| self.by_coding[**coding as usize];
        let best = offered.iter().rev().max_by_key(liked)?;
        (liked(&best) > 0).then_some(*best)
    }
}

/// `q=0.5`, in thousandths.
fn quality(parameter: &[u8]) -> Option<u16> {
    let (name, value) = str::from_utf8(parameter).ok()?.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("q") {
        return None;
    }
    let value: f32 = value.trim().parse().ok()?;
    // Between 0 and 1,000 then.
    Some((value.clamp(0.0, 1.0) * 1e3) as u16)
}

/// A route's rules and what the client takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer<'r> {
    pub(crate) rules: &'r Compression,
    pub(crate) accepts: Accepts,
}

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is not of a kind that is ever compressed.
    Never,
    /// Another client would get it compressed: caches must know.
    NotForThisClient,
    /// It tells of one that would be (304): it must look the same.
    Told,
    /// It is compressed.
    Now(Coding),
}

impl Offer<'_> {
    /// Judges an answer by its head.
    pub(crate) fn judge(&self, fields: &[Header<'_>], status: u16, length: Option<u64>) -> Verdict {
        if status == 304 {
            // It has no content type to judge by; a weak tag and a `Vary` too many harm nobody.
            return Verdict::Told;
        }
        let of = |name| fields.values(name).next();
        let is_kind = of("content-type").is_some_and(|kind| self.is_kind(kind));
        // A part (206) has the places of the whole.
        let has_body = status >= 200 && !matches!(status, 204..=206);
        let is_coded = of("content-encoding").is_some_and(|coding| coding != b"identity");
        let is_small = length.is_some_and(|length| length < self.rules.min.0);
        let is_fixed = fields
            .values("cache-control")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"));
        if !is_kind || !has_body || is_coded || is_small || is_fixed {
            return Verdict::Never;
        }
        let best = self.accepts.best(&self.rules.codings);
        best.map_or(Verdict::NotForThisClient, Verdict::Now)
    }

    /// Whether a media type is among the rule's: `text/html`, `text/*`, `*/*+json`.
    fn is_kind(&self, kind: &[u8]) -> bool {
        let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        let Ok(essence) = str::from_utf8(essence.trim_ascii()) else {
            return false;
        };
        self.rules.types.iter().any(|pattern| {
            match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
                (Some(end), _) => ends_with(essence, end),
                (None, Some(start)) => starts_with(essence, start),
                (None, None) => essence.eq_ignore_ascii_case(pattern),
            }
        })
    }
}

fn starts_with(text: &str, start: &str) -> bool {
    text.get(..start.len())
        .is_some_and(|found| found.eq_ignore_ascii_case(start))
}

fn ends_with(text: &str, end: &str) -> bool {
    let from = text.len().checked_sub(end.len());
    from.and_then(|from| text.get(from..))
        .is_some_and(|found| found.eq_ignore_ascii_case(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use meridian_topology::ByteCount;

    fn accepts(value: &str) -> Accepts {
        let field = Header {
            name: "Accept-Encoding",
            value: value.as_bytes(),
        };
        Accepts::of(&[field][..])
    }

    #[test]
    fn the_client_s_best_is_taken_and_ours_of_equals() {
        use Coding::{Brotli, Gzip, Zstd};
        let offered = [Zstd, Brotli, Gzip];
        for (value, expected) in [
            ("gzip, deflate, br, zstd", Some(Zstd)),
            ("gzip, deflate, br", Some(Brotli)),
            ("gzip;q=1.0, br;q=0.5, *;q=0.1", Some(Gzip)),
            ("*", Some(Zstd)),
            ("*;q=0, GZIP ; Q=0.2", Some(Gzip)),
            ("gzip;q=0", None),
            ("identity", None),
            ("", None),
            ("gzip;q=abc", Some(Gzip)),
        ] {
            assert_eq!(accepts(value).best(&offered), expected, "{value}");
        }
        let none: &[Header<'_>] = &[];
        assert_eq!(Accepts::of(none).best(&offered), None);
    }

    #[test]
    fn only_what_gains_is_compressed() {
        let rules = Compression {
            min: ByteCount(100),
            ..Compression::default()
        };
        let offer = Offer {
            rules: &rules,
            accepts: accepts("gzip"),
        };
        let judge = |text: &str, status, length| {
            let fields: Vec<Header<'_>> = text
                .split('|')
                .filter_map(|field| field.split_once(": "))
                .map(|(name, value)| Header {
                    name,
                    value: value.as_bytes(),
                })
                .collect();
            offer.judge(&fields, status, length)
        };
        let now = Verdict::Now(Coding::Gzip);
        for (text, status, length, expected) in [
            ("Content-Type: text/html; charset=utf-8", 200, None, now),
            ("Content-Type: TEXT/CSS", 404, Some(100), now),
            ("Content-Type: application/ld+json", 200, None, now),
            ("Content-Type: text/html", 200, Some(99), Verdict::Never),
            ("Content-Type: text/html", 206, None, Verdict::Never),
            ("ETag: \"a\"", 304, None, Verdict::Told),
            ("Content-Type: image/png", 200, None, Verdict::Never),
            ("Server: x", 200, None, Verdict::Never),
            (
                "Content-Type: text/html|Content-Encoding: br",
                200,
                None,
                Verdict::Never,
            ),
            (
                "Content-Type: text/html|Cache-Control: public, No-Transform",
                200,
                None,
                Verdict::Never,
            ),
        ] {
            assert_eq!(
                judge(text, status, length),
                expected,
                "{text} {status} {length:?}"
            );
        }
        let stranger = Offer {
            accepts: accepts("deflate"),
            ..offer
        };
        let html = [Header {
            name: "content-type",
            value: b"text/html",
        }];
        assert_eq!(stranger.judge(&html, 200, None), Verdict::NotForThisClient);
    }
}
