//! What signs the zones of this node: keys, caches and budget, and their renewal.
//!
//! Keys are read when the node starts, where a mistake stops it, and again whenever their facts
//! change, where a mistake is logged and the last good keys stay. Whoever builds zones asks for a
//! [`ZoneSigner`] each; when keys change or signatures are due, [`Signing::follow`] has the zones
//! built anew. That depends on the clock and on nothing else: not on the store, not
//! on a publication.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use meridian_telemetry::metrics::{IntCounter, IntGauge};
use meridian_telemetry::{MetricError, Metrics, Unit};
use tokio_util::sync::CancellationToken;

use super::arrived::{ArrivesSigned, refuse_signed};
use super::budget::Budget;
use super::cache::SignatureCache;
use super::canonical::Set;
use super::config::DnssecSettings;
use super::keyring::{Keyring, KeyringError};
use super::signer::ZoneSigner;
use crate::zone::{ShelfSnapshot, StaticZone, ZoneShelf};

/// How often key files and due signatures are looked at.
const POLL: Duration = Duration::from_secs(2);

/// The counters of signing.
#[derive(Clone, Debug)]
pub(crate) struct DnssecMetrics {
    /// Every signature.
    pub(crate) made: IntCounter,
    /// Those that a question waited for.
    pub(crate) inline: IntCounter,
    /// Questions that found the budget used up.
    pub(crate) over_budget: IntCounter,
    key_problems: IntGauge,
}

impl DnssecMetrics {
    /// Registers `meridian_dns_signatures…`.
    ///
    /// # Errors
    /// [`MetricError`] when a name is taken by a metric of another shape.
    pub(crate) fn register(metrics: &Metrics) -> Result<Self, MetricError> {
        let room = metrics.room("dns")?;
        Ok(Self {
            made: room.counter("signatures", Unit::Count, "DNSSEC signatures made")?,
            inline: room.counter(
                "signatures_inline",
                Unit::Count,
                "DNSSEC signatures that a question waited for",
            )?,
            over_budget: room.counter(
                "signatures_over_budget",
                Unit::Count,
                "Questions that found the budget for DNSSEC signatures used up",
            )?,
            key_problems: room.int_gauge(
                "dnssec_key_problems",
                Unit::Count,
                "Zones whose key files are wrong and whose last good keys are used; the log names them",
            )?,
        })
    }
}

/// What the signers of all zones share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) cache: SignatureCache,
    pub(crate) budget: Budget,
    pub(crate) metrics: DnssecMetrics,
}

/// Keys, caches and budget of this node.
#[derive(Debug)]
pub struct Signing {
    settings: DnssecSettings,
    shared: Arc<Shared>,
    keyring: ArcSwap<Keyring>,
    /// The newest signer of each zone: what it signed is taken over by the next.
    signers: Mutex<HashMap<Box<[u8]>, Arc<ZoneSigner>>>,
    files: Mutex<Vec<Option<FileState>>>,
}

/// What changes when a file is written anew.
type FileState = (u64, u64, i64, i64);

impl Signing {
    /// Reads the keys.
    ///
    /// # Errors
    /// The first zone that cannot be signed.
    pub fn load(settings: DnssecSettings, metrics: &Metrics) -> Result<Arc<Self>, SigningError> {
        let metrics = DnssecMetrics::register(metrics)?;
        let files = file_states(&settings);
        let (keyring, problems) = Keyring::read(&settings, &Keyring::default());
        if let Some(problem) = problems.into_iter().next() {
            return Err(SigningError::Keys(problem));
        }
        // A node that signs nothing pays for nothing.
        let kept = |signatures| {
            if settings.zones.is_empty() {
                0
            } else {
                signatures
            }
        };
        let shared = Shared {
            cache: SignatureCache::new(
                kept(settings.cached_answers),
                kept(settings.cached_denials),
            ),
            budget: Budget::new(settings.signatures_per_second),
            metrics,
        };
        Ok(Arc::new(Self {
            settings,
            shared: Arc::new(shared),
            keyring: ArcSwap::from_pointee(keyring),
            signers: Mutex::default(),
            files: Mutex::new(files),
        }))
    }

    /// Whether a zone is to be signed.
    pub(crate) fn signs(&self, apex: &[u8]) -> bool {
        self.keyring.load().zone(apex).is_some()
    }

    /// Refuses zones of master files that are signed already.
    ///
    /// # Errors
    /// [`SigningError::Arrived`].
    pub(crate) fn check_arrivals(&self, shelf: &ShelfSnapshot) -> Result<(), SigningError> {
        Ok(refuse_signed(shelf, |apex| self.signs(apex))?)
    }

    /// The lowercased wire names of the zones to sign.
    pub(crate) fn apexes(&self) -> Vec<Box<[u8]>> {
        let ring = self.keyring.load();
        ring.zones().map(|keys| keys.signing.apex.clone()).collect()
    }

    /// Most answers of one zone that are signed ahead: half of what is kept.
    pub(crate) fn prepared_max(&self) -> usize {
        self.settings.cached_answers / 2
    }

    /// A signer for a zone; `None` for one that is not to be signed. Give it back by
    /// [`Signing::keep`] when its likely answers are prepared.
    pub(crate) fn signer(&self, zone: &Arc<StaticZone>, now: u32) -> Option<ZoneSigner> {
        let ring = self.keyring.load();
        let keys = ring.zone(zone.origin())?;
        let previous = self.signers().get(zone.origin()).cloned();
        let sets = zone.authoritative().map(|(node, set)| Set {
            owner: node.name(),
            rtype: set.rtype(),
            original_ttl_seconds: set.ttl_seconds(),
            records: set.records(),
        });
        let source = Some(zone);
        let built = ZoneSigner::build(keys, &self.shared, previous.as_deref(), source, sets, now);
        match built {
            Ok(signer) => Some(signer),
            Err(error) => {
                // A key that was read once encodes; should it not, unsigned is worse than stale.
                tracing::error!(zone = keys.signing.zone, %error, "cannot sign");
                None
            }
        }
    }

    /// Keeps a finished signer, so that the next build takes over its signatures.
    pub(crate) fn keep(&self, signer: ZoneSigner) -> Arc<ZoneSigner> {
        let signer = Arc::new(signer);
        let kept = Arc::clone(&signer);
        self.signers().insert(signer.apex().into(), kept);
        signer
    }

    /// Forgets the signers of zones that are not signed any more: nothing of theirs becomes due.
    pub(crate) fn forget_all_but(&self, is_signed: impl Fn(&[u8]) -> bool) {
        self.signers().retain(|apex, _| is_signed(apex));
    }

    fn signers(&self) -> std::sync::MutexGuard<'_, HashMap<Box<[u8]>, Arc<ZoneSigner>>> {
        // What a panic left is whole: it is only inserted into.
        self.signers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches key files and the clock until `shutdown`, and wakes whoever serves the shelf when the
    /// zones should be built anew.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken, shelf: ZoneShelf) {
        if self.settings.zones.is_empty() {
            return;
        }
        let mut tick = tokio::time::interval(POLL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = tick.tick() => {}
            }
            let this = Arc::clone(&self);
            let looked = tokio::task::spawn_blocking(move || this.look(unix_seconds())).await;
            // A panic in there ends that look, not the watch.
            if let Ok(Look::Due) = looked {
                shelf.touch();
            }
        }
    }

    /// Reads keys whose files changed, and says whether keys or signatures are due.
    pub(crate) fn look(&self, now: u32) -> Look {
        let reloaded = self.reload();
        let due = self
            .signers()
            .values()
            .any(|signer| signer.refresh_at() <= now);
        if reloaded || due {
            Look::Due
        } else {
            Look::Fine
        }
    }

    fn reload(&self) -> bool {
        let states = file_states(&self.settings);
        let mut known = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if *known == states {
            return false;
        }
        *known = states;
        let (ring, problems) = Keyring::read(&self.settings, &self.keyring.load());
        for problem in &problems {
            tracing::error!(%problem, "the zone's last good keys stay in use");
        }
        let count = i64::try_from(problems.len()).unwrap_or(i64::MAX);
        self.shared.metrics.key_problems.set(count);
        self.signers().retain(|apex, _| ring.zone(apex).is_some());
        self.keyring.store(Arc::new(ring));
        tracing::info!("dnssec keys were read anew");
        true
    }
}

/// Whether the zones are to be built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They are as they should be.
    Fine,
    /// Keys changed, or signatures are due.
    Due,
}

/// Seconds since 1970; 32 bits last until 2106.
fn unix_seconds() -> u32 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs() as u32
}

/// Signing cannot start.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// Keys are missing or wrong.
    #[error(transparent)]
    Keys(#[from] KeyringError),
    /// A zone that is to be signed is signed already.
    #[error(transparent)]
    Arrived(#[from] ArrivesSigned),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// The state of every zone's facts; a reader of private keys follows them.
fn file_states(settings: &DnssecSettings) -> Vec<Option<FileState>> {
    settings
        .zones
        .iter()
        .map(|zone| file_state(&settings.folder.facts_file(&zone.zone)))
        .collect()
}

fn file_state(path: &Path) -> Option<FileState> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.ino(), meta.len(), meta.mtime(), meta.mtime_nsec()))
}
