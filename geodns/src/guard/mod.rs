//! What stands between the world and the answers: who has proven its address, who asks too much,
//! and who may keep a connection open.
//!
//! - [`CookieJar`] makes and checks DNS cookies (RFC 7873, RFC 9018).
//! - [`RateLimiter`] bounds what is sent to sources that have proven nothing.
//! - [`Seats`] bounds connections, in all and per client network.
//!
//! [`Guard`] carries the three with the [`crate::AnswerRules`], so that every way in, UDP sockets
//! and kernel bypass alike, passes the same gates. On the packet path nothing here locks, allocates
//! or reads a clock; connections are admitted under a lock, off that path.

mod config;
mod cookies;
mod rate;
mod seats;
mod secrets;

use std::sync::Arc;

use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::responder::{Asked, Reply, Transport};
use crate::wire::{CLIENT_COOKIE_BYTES, Edns, Rcode, SERVER_COOKIE_BYTES, ServerCookie};

pub use config::{CookieRequire, CookiesConfig, RateLimitConfig};
pub(crate) use config::{CookieSettings, RateSettings};
pub use cookies::CookieJar;
pub use rate::{RateLimiter, Ruling};
pub(crate) use seats::{NoSeat, Seat, Seats};
pub use secrets::SecretError;

/// The gates of one server; the default has none. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    cookies: Option<Arc<CookieJar>>,
    rate: Option<Arc<RateLimiter>>,
    seats: Option<Seats>,
}

/// Two guards are equal when they are the same gates.
impl PartialEq for Guard {
    fn eq(&self, other: &Self) -> bool {
        let same = |ours: Option<*const ()>, theirs: Option<*const ()>| ours == theirs;
        let cookies = |guard: &Self| guard.cookies.as_ref().map(|jar| Arc::as_ptr(jar).cast());
        let rate = |guard: &Self| guard.rate.as_ref().map(|rate| Arc::as_ptr(rate).cast());
        let seats = |guard: &Self| guard.seats.as_ref().map(Seats::id);
        same(cookies(self), cookies(other))
            && same(rate(self), rate(other))
            && same(seats(self), seats(other))
    }
}

impl Eq for Guard {}

/// A guard that cannot be set up.
#[derive(Debug, Error)]
pub enum GuardError {
    /// The cookie secrets cannot be read.
    #[error("dns: cookies: {0}")]
    Secrets(#[from] SecretError),
    /// The system gives no random numbers.
    #[error("dns: no random numbers: {0}")]
    Random(#[from] getrandom::Error),
}

/// What a query's cookie said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CookieSeen {
    /// Nothing: no option was sent, or cookies are off.
    #[default]
    Absent,
    /// The client speaks cookies and has none of ours yet.
    ClientOnly,
    /// Ours, and fresh: the client receives what we send to its address.
    Valid,
    /// Not ours, or too old.
    Invalid,
}

impl CookieSeen {
    /// Those that are counted, in the order of their numbers behind [`CookieSeen::Absent`].
    pub(crate) const COUNTED: [(Self, &'static str); 3] = [
        (Self::ClientOnly, "client_only"),
        (Self::Valid, "valid"),
        (Self::Invalid, "invalid"),
    ];
}

/// What the gates say about a query before it is answered.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Visitor {
    pub(crate) cookie: CookieSeen,
    /// The cookie to send back.
    pub(crate) fresh_cookie: Option<[u8; CLIENT_COOKIE_BYTES + SERVER_COOKIE_BYTES]>,
    /// The idle time to announce.
    pub(crate) keepalive_tenths: Option<u16>,
    /// The code to send instead of an answer.
    pub(crate) refused: Option<Rcode>,
}

impl Guard {
    /// Sets the gates up; reads the secrets' file.
    ///
    /// # Errors
    /// [`GuardError`].
    pub(crate) fn open(
        cookies: Option<&CookieSettings>,
        rate: Option<&RateSettings>,
        seats: Seats,
    ) -> Result<Self, GuardError> {
        let cookies = cookies.map(CookieJar::open).transpose()?;
        let rate = rate.map(RateLimiter::new).transpose()?;
        Ok(Self {
            cookies: cookies.map(Arc::new),
            rate: rate.map(Arc::new),
            seats: Some(seats),
        })
    }

    /// A guard of these gates alone, for embedding the answer without a server.
    #[must_use]
    pub fn of(cookies: Option<CookieJar>, rate: Option<RateLimiter>) -> Self {
        Self {
            cookies: cookies.map(Arc::new),
            rate: rate.map(Arc::new),
            seats: None,
        }
    }

    /// Changes the secrets in time, until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        if let Some(jar) = self.cookies {
            jar.keep(shutdown).await;
        }
    }

    /// Looks at who asks, before the answer.
    pub(crate) fn see(&self, asked: &Asked<'_>, edns: Option<&Edns>) -> Visitor {
        let mut visitor = Visitor::default();
        let Some(edns) = edns else { return visitor };
        if let (Some(jar), Some(cookie)) = (&self.cookies, edns.cookie) {
            let (valid, fresh) = jar.judge(cookie, asked.source.ip(), asked.now_unix_seconds);
            visitor.cookie = match cookie.server {
                _ if valid => CookieSeen::Valid,
                ServerCookie::None => CookieSeen::ClientOnly,
                ServerCookie::Candidate(_) | ServerCookie::Foreign => CookieSeen::Invalid,
            };
            visitor.fresh_cookie = Some(fresh);
            if !valid && jar.requires() && asked.transport.is_spoofable() {
                visitor.refused = Some(Rcode::BadCookie);
            }
        }
        // Ignored over UDP (RFC 7828 §3.2.1), and no business of HTTP and QUIC, which have idle
        // times of their own (RFC 9250 §5.5.2).
        if matches!(asked.transport, Transport::Tcp | Transport::Tls) {
            match edns.keepalive_bytes {
                Some(0) => visitor.keepalive_tenths = self.seats.as_ref().map(Seats::idle_tenths),
                Some(_) => visitor.refused = Some(Rcode::FormErr),
                None => {}
            }
        }
        visitor
    }

    /// Whether a response may go out. Everybody who has proven the address may have all of them.
    /// Whether a message may go on to the slow path, whose answers are made out of sight of
    /// [`Self::rule`].
    pub(crate) fn rule_slow(&self, asked: &Asked<'_>) -> Ruling {
        match &self.rate {
            Some(rate) if asked.transport.is_spoofable() => rate.rule_slow(asked),
            _ => Ruling::Pass,
        }
    }

    pub(crate) fn rule(&self, asked: &Asked<'_>, reply: &Reply) -> Ruling {
        match &self.rate {
            Some(rate) if asked.transport.is_spoofable() && reply.cookie != CookieSeen::Valid => {
                rate.rule(asked, reply)
            }
            _ => Ruling::Pass,
        }
    }
}

#[cfg(test)]
mod tests;
