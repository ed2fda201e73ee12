//! Secondary zones: each follows its primaries by the timers of its SOA (RFC 1034 §4.3.5) and by
//! notifications, and is answered until it expires.
//!
//! ```text
//!            start ── kept on disk? ──> shelf, if it has not expired
//!              │
//!   ┌──> refresh (or wake) ─ up to date ─> confirm ──┐
//!   │          ├──────────── newer ─────> disk, shelf ┤ wait REFRESH
//!   │          └──────────── failed ────────────────── ┤ wait RETRY
//!   │                                                   │
//!   └───────────────────────────────────────────────────┘   EXPIRE after the last success: SERVFAIL
//! ```
//!
//! Limits: waits lie between `refresh_min` and `refresh_max`, each up to a tenth shorter by chance so
//! that many zones do not ask at once; [`AT_ONCE_MAX`] refreshes run at a time; notifications during a
//! refresh lead to one more, not before [`WAKE_PAUSE`] has passed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use super::client::{Fetched, Primary, random};
use super::config::{SecondarySettings, shown};
use super::disk::{DiskError, ZoneFolder};
use super::export::Kind;
use super::metrics::TransferMetrics;
use super::record::{SoaTimes, is_newer};
use super::reply::unix_seconds;
use super::tsig::KeyRing;
use crate::wire::RType;
use crate::zone::{StaticZone, ZoneShelf, ZoneSource};

/// Refreshes at once, over all zones.
pub(crate) const AT_ONCE_MAX: usize = 8;
/// Shortest time between two refreshes that notifications ask for.
const WAKE_PAUSE: Duration = Duration::from_secs(1);
/// First wait after a failure while there is nothing to answer; doubled up to [`FIRST_RETRY_MAX`].
const FIRST_RETRY: Duration = Duration::from_secs(2);
/// Longest wait while there is nothing to answer.
const FIRST_RETRY_MAX: Duration = Duration::from_secs(60);
/// Longest sleep: a clock that was set is noticed after that.
const SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// What all secondary zones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) shelf: ZoneShelf,
    pub(crate) folder: ZoneFolder,
    pub(crate) keys: KeyRing,
    pub(crate) metrics: TransferMetrics,
    pub(crate) at_once: Semaphore,
}

/// How a secondary zone is, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecondaryStatus {
    /// The origin.
    pub zone: String,
    /// `waiting` for its first transfer, `serving`, or `expired`.
    pub state: SecondaryState,
    /// Serial of what is answered.
    pub serial: Option<u32>,
    /// When a primary last confirmed it, in seconds since 1970.
    pub refreshed_at: Option<u64>,
    /// When it will not be answered any more unless a primary confirms it.
    pub expires_at: Option<u64>,
    /// When the next refresh is due.
    pub next_refresh_at: Option<u64>,
    /// Why the last refresh failed, if it did.
    pub last_error: Option<String>,
    /// The catalog it is a member of.
    pub catalog: Option<String>,
}

/// See [`SecondaryStatus::state`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SecondaryState {
    /// Nothing was transferred yet; answers are SERVFAIL.
    #[default]
    Waiting,
    /// It is answered.
    Serving,
    /// No primary confirmed it for too long; answers are SERVFAIL.
    Expired,
}

/// One secondary zone.
#[derive(Debug)]
pub(crate) struct Secondary {
    pub(crate) settings: SecondarySettings,
    /// The origin of the catalog that brought it.
    pub(crate) catalog: Option<Box<[u8]>>,
    shared: Arc<Shared>,
    wake: Notify,
    held: Mutex<Held>,
    /// Ends its following.
    pub(crate) stop: CancellationToken,
}

#[derive(Clone, Debug, Default)]
struct Held {
    zone: Option<Arc<StaticZone>>,
    /// 0 before the first success.
    refreshed_at: u64,
    next_refresh_at: u64,
    expired: bool,
    last_error: Option<String>,
    failures: u32,
}

impl Secondary {
    /// A secondary with what was kept of it on disk; answered from here on.
    pub(crate) fn load(
        settings: SecondarySettings,
        catalog: Option<Box<[u8]>>,
        shared: Arc<Shared>,
        stop: CancellationToken,
    ) -> Self {
        let mut held = Held::default();
        let mut refused = None;
        match shared.folder.load(&settings.zone) {
            Ok(Some(kept)) => {
                held.refreshed_at = kept.confirmed_at;
                held.zone = Some(Arc::new(kept.zone));
            }
            Ok(None) => {}
            Err(error) => refused = Some(error.to_string()),
        }
        if let Some(error) = &refused {
            tracing::error!(zone = %shown(&settings.zone), error, "a secondary zone was not kept");
        }
        held.last_error = refused;
        let secondary = Self {
            settings,
            catalog,
            shared,
            wake: Notify::new(),
            held: Mutex::new(held),
            stop,
        };
        secondary.put_on_shelf();
        secondary
    }

    /// Asks for a refresh now; `serial` is what a notification says the zone has.
    pub(crate) fn wake(&self, serial: Option<u32>) {
        let known = self.lock().zone.as_ref().map(|zone| zone.serial());
        if let (Some(serial), Some(known)) = (serial, known)
            && !is_newer(serial, known)
        {
            return;
        }
        self.wake.notify_one();
    }

    /// What it holds.
    pub(crate) fn zone(&self) -> Option<Arc<StaticZone>> {
        self.lock().zone.clone()
    }

    pub(crate) fn status(&self) -> SecondaryStatus {
        let held = self.lock().clone();
        let times = held.zone.as_deref().and_then(times);
        let known = |time: u64| (time > 0).then_some(time);
        SecondaryStatus {
            zone: shown(&self.settings.zone),
            state: match (&held.zone, held.expired) {
                (None, _) => SecondaryState::Waiting,
                (Some(_), true) => SecondaryState::Expired,
                (Some(_), false) => SecondaryState::Serving,
            },
            serial: held.zone.as_ref().map(|zone| zone.serial()),
            refreshed_at: known(held.refreshed_at),
            expires_at: times.map(|times| expires_at(&held, times)),
            next_refresh_at: known(held.next_refresh_at),
            last_error: held.last_error,
            catalog: self.catalog.as_deref().map(shown),
        }
    }

    /// Follows the primaries until stopped. `changed` is called whenever the zone is a new one.
    pub(crate) async fn follow(self: Arc<Self>, changed: impl Fn() + Send) {
        loop {
            let refreshed = tokio::select! {
                () = self.stop.cancelled() => return,
                refreshed = self.refresh() => refreshed,
            };
            if refreshed.is_some() {
                changed();
            }
            let refreshed = tokio::time::Instant::now();
            loop {
                self.expire_if_due();
                let wait = self.until_next();
                tokio::select! {
                    () = self.stop.cancelled() => return,
                    () = self.wake.notified() => {
                        tokio::time::sleep_until(refreshed + WAKE_PAUSE).await;
                        break;
                    }
                    () = tokio::time::sleep(wait.min(SLEEP_MAX)) => {}
                }
                if self.is_due() {
                    break;
                }
            }
        }
    }

    /// Asks the primaries, one after another, until one answers; returns a newer zone.
    async fn refresh(&self) -> Option<Arc<StaticZone>> {
        // Never closed: both live in `Shared`.
        let _permit = self.shared.at_once.acquire().await.ok()?;
        let current = self.zone();
        let mut errors = Vec::new();
        for peer in &self.settings.primaries {
            let key = peer.key.as_deref();
            let primary = Primary {
                peer: peer.clone(),
                key: key.and_then(|key| self.shared.keys.get(key)).cloned(),
                zone: Arc::from(&*self.settings.zone),
                bytes_max: self.settings.bytes_max,
            };
            match primary.refresh(current.as_ref()).await {
                Ok(Fetched::UpToDate(serial)) => {
                    self.note_older(serial, current.as_deref(), &primary);
                    self.shared.metrics.received(Kind::UpToDate, 0);
                    self.confirmed(None).await;
                    return None;
                }
                Ok(Fetched::Newer(kind, zone, bytes)) => {
                    self.shared.metrics.received(kind, bytes);
                    tracing::info!(
                        zone = %shown(&self.settings.zone),
                        primary = %peer.address,
                        serial = zone.serial(),
                        kind = kind.as_str(),
                        bytes,
                        "secondary zone transferred in"
                    );
                    self.confirmed(Some(Arc::clone(&zone))).await;
                    return Some(zone);
                }
                Err(error) => errors.push(format!("{}: {error}", peer.address)),
            }
        }
        self.failed(errors.join("; "));
        None
    }

    fn note_older(&self, serial: u32, current: Option<&StaticZone>, primary: &Primary) {
        if let Some(current) = current
            && is_newer(current.serial(), serial)
        {
            tracing::warn!(
                zone = %shown(&self.settings.zone),
                primary = %primary.peer.address,
                ours = current.serial(),
                theirs = serial,
                "the primary has an older serial; ours stays in force"
            );
        }
    }

    /// A primary has confirmed the zone or sent a newer one: on disk first, then answered.
    async fn confirmed(&self, newer: Option<Arc<StaticZone>>) {
        let now = unix_seconds();
        let kept = self.keep(newer.clone(), now).await;
        if let Err(error) = &kept {
            // Answered all the same: the disk matters at the next start.
            tracing::error!(zone = %shown(&self.settings.zone), %error, "a secondary zone could not be kept on disk");
        }
        {
            let mut held = self.lock();
            if newer.is_some() {
                held.zone = newer;
            }
            held.refreshed_at = now;
            held.failures = 0;
            held.last_error = kept.err().map(|error| error.to_string());
            let refresh = held
                .zone
                .as_deref()
                .and_then(times)
                .map_or(0, |times| times.refresh);
            held.next_refresh_at = now + self.between(u64::from(refresh)).as_secs().max(1);
        }
        self.put_on_shelf();
    }

    async fn keep(&self, newer: Option<Arc<StaticZone>>, now: u64) -> Result<(), DiskError> {
        let folder = self.shared.folder.clone();
        let origin = self.settings.zone.clone();
        let write = move || match newer {
            Some(zone) => folder.save(&zone),
            None => folder.confirm(&origin, now),
        };
        // A task that panicked has not written; the next refresh tries again.
        tokio::task::spawn_blocking(write).await.unwrap_or(Ok(()))
    }

    fn failed(&self, error: String) {
        self.shared.metrics.in_failed.inc();
        tracing::warn!(zone = %shown(&self.settings.zone), error, "a secondary zone could not be refreshed");
        let mut held = self.lock();
        held.failures = held.failures.saturating_add(1);
        held.last_error = Some(error);
        let wait = match held.zone.as_deref().and_then(times) {
            Some(times) => self.between(u64::from(times.retry)),
            None => jittered(
                (FIRST_RETRY * 2_u32.saturating_pow(held.failures - 1).min(1 << 10))
                    .min(FIRST_RETRY_MAX),
            ),
        };
        held.next_refresh_at = unix_seconds() + wait.as_secs().max(1);
    }

    /// A wait of so many seconds within the bounds, a little shorter by chance.
    fn between(&self, seconds: u64) -> Duration {
        let wait = Duration::from_secs(seconds);
        jittered(wait.clamp(self.settings.refresh_min, self.settings.refresh_max))
    }

    fn is_due(&self) -> bool {
        unix_seconds() >= self.lock().next_refresh_at
    }

    /// How long until the next refresh or expiry.
    fn until_next(&self) -> Duration {
        let held = self.lock();
        let mut next = held.next_refresh_at;
        if let Some(times) = held.zone.as_deref().and_then(times)
            && !held.expired
        {
            next = next.min(expires_at(&held, times));
        }
        Duration::from_secs(next.saturating_sub(unix_seconds())).max(Duration::from_millis(100))
    }

    fn expire_if_due(&self) {
        let expires = {
            let held = self.lock();
            let times = held.zone.as_deref().and_then(times);
            !held.expired && times.is_some_and(|times| unix_seconds() >= expires_at(&held, times))
        };
        if expires {
            self.put_on_shelf();
        }
    }

    /// Serves what is held, or says that the zone is ours and cannot be answered.
    fn put_on_shelf(&self) {
        let mut held = self.lock();
        let origin = &*self.settings.zone;
        // Forgotten meanwhile: it must not come back.
        if self.stop.is_cancelled() {
            return;
        }
        let live = held.zone.clone().filter(|zone| {
            times(zone).is_none_or(|times| unix_seconds() < expires_at(&held, times))
        });
        let expires_now = live.is_none() && held.zone.is_some() && !held.expired;
        held.expired = live.is_none() && held.zone.is_some();
        if expires_now {
            tracing::error!(zone = %shown(origin), "a secondary zone has expired: no primary confirmed it for too long; it is answered SERVFAIL");
        }
        if let Some(zone) = &held.zone
            && let Some(times) = times(zone)
        {
            let expires_at = expires_at(&held, times);
            self.shared.metrics.secondary(
                &shown(origin),
                zone.serial(),
                held.refreshed_at,
                expires_at,
            );
        }
        let shelf = &self.shared.shelf;
        let put = match live {
            Some(zone) => shelf.put(ZoneSource::Secondary, zone),
            None => shelf.put_unready(ZoneSource::Secondary, origin),
        };
        if let Err(claimed) = put {
            tracing::error!(%claimed, "a secondary zone is not served");
            held.last_error = Some(claimed.to_string());
        }
    }

    /// Takes it off the shelf and forgets what was kept.
    pub(crate) fn forget(&self) {
        self.stop.cancel();
        self.shared
            .shelf
            .remove(ZoneSource::Secondary, &self.settings.zone);
        self.shared.metrics.forget(&shown(&self.settings.zone));
        if let Err(error) = self.shared.folder.remove(&self.settings.zone) {
            tracing::warn!(%error, "the file of a zone that is gone could not be removed");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        // Fields are set one by one and each is right by itself.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn times(zone: &StaticZone) -> Option<SoaTimes> {
    let soa = zone.records().next()?;
    (soa.rtype == RType::SOA)
        .then(|| SoaTimes::read(soa.data))
        .flatten()
}

fn expires_at(held: &Held, times: SoaTimes) -> u64 {
    held.refreshed_at + u64::from(times.expire)
}

/// Up to a tenth shorter.
fn jittered(wait: Duration) -> Duration {
    let share = (random() % 1000) as f64 / 10_000.0;
    wait.mul_f64(1.0 - share)
}
