//! DNS cookies that every server of an anycast set understands (RFC 9018, version 1).
//!
//! ```text
//! server cookie = version (1) | reserved (3) | timestamp (4) | hash (8)
//! hash = SipHash-2-4(secret, client cookie | version | reserved | timestamp | client address)
//! ```
//!
//! Nothing is remembered of clients. A cookie is good for an hour (RFC 9018 §4.3), for five minutes
//! into the future of a clock that runs behind, and is renewed from half an hour on. The first
//! secret signs; every secret verifies, which is what lets a set of servers roll over one after the
//! other (RFC 9018 §5). Limits: [`super::secrets::SECRETS_MAX`] secrets, so as many hashes for a
//! cookie that is not ours.

use std::net::IpAddr;

use arc_swap::ArcSwap;
use siphasher::sip::SipHasher24;
use tokio_util::sync::CancellationToken;

use super::GuardError;
use super::config::{CookieRequire, CookieSettings};
use super::secrets::{Keeper, Secret, Secrets};
use crate::wire::{CLIENT_COOKIE_BYTES, Cookie, SERVER_COOKIE_BYTES, ServerCookie};

const VERSION: u8 = 1;
/// How long a cookie is good.
const AGE_SECONDS_MAX: u32 = 3600;
/// How far in the future its timestamp may lie.
const AHEAD_SECONDS_MAX: u32 = 300;
/// From this age on the client gets a new one.
const RENEW_SECONDS: u32 = 1800;

type FullCookie = [u8; CLIENT_COOKIE_BYTES + SERVER_COOKIE_BYTES];

/// The secrets, and what is done with them.
#[derive(Debug)]
pub struct CookieJar {
    secrets: ArcSwap<Secrets>,
    keeper: Keeper,
    require: CookieRequire,
}

impl CookieJar {
    /// Reads the secrets, or makes one.
    pub(super) fn open(settings: &CookieSettings) -> Result<Self, GuardError> {
        let keeper = Keeper::new(settings);
        Ok(Self {
            secrets: ArcSwap::from_pointee(keeper.first()?),
            keeper,
            require: settings.require,
        })
    }

    /// A jar of one given secret that never changes: for tools and fuzzing.
    #[must_use]
    pub fn fixed(secret: [u8; 16]) -> Self {
        Self {
            secrets: ArcSwap::from_pointee(Secrets::one(Secret::new(secret))),
            keeper: Keeper::Never,
            require: CookieRequire::Never,
        }
    }

    pub(super) fn requires(&self) -> bool {
        self.require == CookieRequire::OverUdp
    }

    /// Swaps new secrets in as the keeper says.
    pub(super) async fn keep(&self, shutdown: CancellationToken) {
        self.keeper.keep(&self.secrets, shutdown).await;
    }

    /// Whether a query's cookie is ours and fresh, and the one to send back.
    pub(super) fn judge(&self, cookie: Cookie, client: IpAddr, now: u32) -> (bool, FullCookie) {
        let secrets = self.secrets.load();
        let client = client.to_canonical();
        let presented = match cookie.server {
            ServerCookie::Candidate(server) => Some(server),
            ServerCookie::None | ServerCookie::Foreign => None,
        };
        let age = presented.and_then(|server| age(&server, now));
        let signer = presented.filter(|_| age.is_some()).and_then(|server| {
            let sealed = |secret: &Secret| hash(secret, &cookie.client, &server, client);
            secrets
                .iter()
                .position(|secret| sealed(secret) == server[8..])
        });
        let server = match (presented, signer, age) {
            // Its reserved bytes are set by a later version's server: ours are zero (RFC 9018 §4.2).
            (Some(server), Some(0), Some(age)) if age < RENEW_SECONDS && server[1..4] == [0; 3] => {
                server
            }
            _ => make(secrets.signing(), &cookie.client, client, now),
        };
        let mut full = [0; CLIENT_COOKIE_BYTES + SERVER_COOKIE_BYTES];
        full[..CLIENT_COOKIE_BYTES].copy_from_slice(&cookie.client);
        full[CLIENT_COOKIE_BYTES..].copy_from_slice(&server);
        (signer.is_some(), full)
    }
}

/// A cookie's age when it has our version and lies within the bounds; one from the near future has
/// the age 0. Serial arithmetic as RFC 9018 §4.3 asks: 2106 is a wrap, not an end.
fn age(server: &[u8; SERVER_COOKIE_BYTES], now: u32) -> Option<u32> {
    let made = u32::from_be_bytes([server[4], server[5], server[6], server[7]]);
    let age = now.wrapping_sub(made);
    let ahead = made.wrapping_sub(now);
    match () {
        () if server[0] != VERSION => None,
        () if age <= AGE_SECONDS_MAX => Some(age),
        () if ahead <= AHEAD_SECONDS_MAX => Some(0),
        () => None,
    }
}

fn make(
    secret: &Secret,
    client_cookie: &[u8; CLIENT_COOKIE_BYTES],
    client: IpAddr,
    now: u32,
) -> [u8; SERVER_COOKIE_BYTES] {
    let mut server = [0; SERVER_COOKIE_BYTES];
    server[0] = VERSION;
    server[4..8].copy_from_slice(&now.to_be_bytes());
    let sealed = hash(secret, client_cookie, &server, client);
    server[8..].copy_from_slice(&sealed);
    server
}

/// The hash over a server cookie's first eight bytes as they are.
fn hash(
    secret: &Secret,
    client_cookie: &[u8; CLIENT_COOKIE_BYTES],
    server: &[u8; SERVER_COOKIE_BYTES],
    client: IpAddr,
) -> [u8; 8] {
    let mut input = [0; CLIENT_COOKIE_BYTES + 8 + 16];
    input[..8].copy_from_slice(client_cookie);
    input[8..16].copy_from_slice(&server[..8]);
    let bytes = match client {
        IpAddr::V4(address) => {
            input[16..20].copy_from_slice(&address.octets());
            20
        }
        IpAddr::V6(address) => {
            input[16..32].copy_from_slice(&address.octets());
            32
        }
    };
    // The reference code of SipHash writes its result in little-endian order.
    SipHasher24::new_with_key(secret.bytes())
        .hash(&input[..bytes])
        .to_le_bytes()
}

#[cfg(test)]
mod tests;
