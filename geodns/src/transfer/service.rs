//! Puts the parts together and runs them.
//!
//! [`Prepared`] is what must be there before zones are first built: kept secondaries on the shelf,
//! layers of updates in force. [`Transfers::start`] begins to follow: primaries, and the zones in
//! force. [`ZoneExchange`] is the handle for the admin API.

use std::io;
use std::sync::Arc;

use meridian_telemetry::{MetricError, Metrics};
use serde::Serialize;
use thiserror::Error;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use super::archive::{Archive, Change};
use super::config::{TransferConfigError, TransferSettings};
use super::desk::Desk;
use super::disk::{DiskError, ZoneFolder};
use super::export::Exporter;
use super::metrics::TransferMetrics;
use super::notify::Notifier;
use super::record::Record;
use super::secondaries::Secondaries;
use super::secondary::{AT_ONCE_MAX, SecondaryStatus, Shared};
use super::slow::SlowPath;
use super::tsig::KeyRing;
use super::update::{UpdatedStatus, Updates};
use crate::responder::Responder;
use crate::zone::ZoneShelf;

/// Transfers could not start.
#[derive(Debug, Error)]
pub enum TransferError {
    /// A secret cannot be used.
    #[error(transparent)]
    Config(#[from] TransferConfigError),
    /// The folder of zones cannot be used.
    #[error("{0}")]
    Disk(String),
    /// Acknowledged updates cannot be read.
    #[error("dns: updates cannot be read: {0}")]
    Journal(#[from] io::Error),
    /// A metric could not be registered.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

impl From<DiskError> for TransferError {
    fn from(error: DiskError) -> Self {
        Self::Disk(error.to_string())
    }
}

/// Everything loaded, nothing running.
#[derive(Debug)]
pub(crate) struct Prepared {
    settings: Arc<TransferSettings>,
    keys: KeyRing,
    metrics: TransferMetrics,
    secondaries: Option<Secondaries>,
    updates: Updates,
}

impl Prepared {
    /// Reads secrets, kept zones and updates; fills the shelf and the layers.
    ///
    /// # Errors
    /// [`TransferError`].
    pub(crate) fn load(
        settings: &TransferSettings,
        shelf: &ZoneShelf,
        metrics: &Metrics,
        shutdown: &CancellationToken,
    ) -> Result<Self, TransferError> {
        let keys = settings.read_keys()?;
        let metrics = TransferMetrics::register(metrics)?;
        let needs_folder = !(settings.secondaries.is_empty() && settings.updates.is_empty());
        let state = settings.state.as_deref().filter(|_| needs_folder);
        let folder = state.map(ZoneFolder::open).transpose()?;
        let secondaries = folder.as_ref().map(|folder| {
            let shared = Shared {
                shelf: shelf.clone(),
                folder: folder.clone(),
                keys: keys.clone(),
                metrics: metrics.clone(),
                at_once: Semaphore::new(AT_ONCE_MAX),
            };
            Secondaries::load(
                &settings.secondaries,
                Arc::new(shared),
                shutdown.child_token(),
            )
        });
        let updates = Updates::load(
            &settings.updates,
            folder.as_ref(),
            shelf.layers(),
            shelf.clone(),
            metrics.clone(),
        )?;
        Ok(Self {
            settings: Arc::new(settings.clone()),
            keys,
            metrics,
            secondaries,
            updates,
        })
    }
}

/// Transfers at work.
#[derive(Debug)]
pub(crate) struct Transfers {
    pub(crate) slow: SlowPath,
    exchange: ZoneExchange,
}

impl Transfers {
    /// Starts to follow zones and primaries until `shutdown`. Call it inside a runtime.
    pub(crate) fn start(
        prepared: Prepared,
        responder: &Arc<Responder>,
        shutdown: CancellationToken,
    ) -> Self {
        let built = responder.zones_changed();
        let archive = Arc::new(Archive::new(Arc::clone(&prepared.settings)));
        let notifier = Notifier::new(
            Arc::clone(&prepared.settings),
            prepared.keys.clone(),
            prepared.metrics.clone(),
        );
        let desk = Arc::new(Desk {
            responder: Arc::clone(responder),
            keys: prepared.keys,
            exporter: Exporter::new(
                prepared.settings,
                Arc::clone(&archive),
                prepared.metrics.clone(),
            ),
            secondaries: prepared.secondaries.clone(),
            updates: prepared.updates,
            metrics: prepared.metrics,
        });
        if let Some(secondaries) = &prepared.secondaries {
            secondaries.start();
        }
        let follower = Follower {
            archive,
            notifier,
            desk: Arc::clone(&desk),
        };
        tokio::spawn(follower.run(built, shutdown.clone()));
        Self {
            slow: SlowPath::start(Arc::clone(&desk), shutdown),
            exchange: ZoneExchange { desk },
        }
    }

    /// The handle for status pages.
    pub(crate) fn exchange(&self) -> ZoneExchange {
        self.exchange.clone()
    }
}

/// Keeps the archive up to date and tells secondaries.
struct Follower {
    archive: Arc<Archive>,
    notifier: Notifier,
    desk: Arc<Desk>,
}

impl Follower {
    async fn run(mut self, mut built: watch::Receiver<u64>, shutdown: CancellationToken) {
        loop {
            built.mark_unchanged();
            self.take_over().await;
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = built.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn take_over(&mut self) {
        let zones = self.desk.responder.zones();
        let (archive, compared) = (Arc::clone(&self.archive), Arc::clone(&zones));
        let compare = move || archive.follow(&compared);
        // A comparison that panicked leaves the archive as it was.
        let changes = tokio::task::spawn_blocking(compare)
            .await
            .unwrap_or_default();
        for change in changes {
            match change {
                Change::Newer(zone) => {
                    let archived = self.archive.get(&zone);
                    let soa = archived.as_ref().and_then(|zone| zone.snapshot.soa());
                    if let Some(soa) = soa {
                        self.notifier.tell(&zone, &Record::from(soa));
                    }
                }
                Change::SerialStayed(zone) if self.desk.updates.has(&zone) => {
                    self.desk.updates.bump(&zone, &zones).await;
                }
                Change::SerialStayed(zone) => {
                    tracing::warn!(
                        zone = %super::config::shown(&zone),
                        "a zone changed and its serial is not newer: secondaries will not fetch it"
                    );
                }
            }
        }
    }
}

/// How the zones are that come from elsewhere or are changed by others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ZoneStatuses {
    /// Secondary zones.
    pub secondaries: Vec<SecondaryStatus>,
    /// Zones that take updates.
    pub updated: Vec<UpdatedStatus>,
}

/// A handle for status pages and commands. Cheap to clone.
#[derive(Clone, Debug)]
pub struct ZoneExchange {
    desk: Arc<Desk>,
}

impl ZoneExchange {
    /// How the zones are.
    #[must_use]
    pub fn statuses(&self) -> ZoneStatuses {
        let secondaries = self.desk.secondaries.as_ref();
        ZoneStatuses {
            secondaries: secondaries.map_or_else(Vec::new, Secondaries::statuses),
            updated: self.desk.updates.statuses(),
        }
    }

    /// Asks for a refresh of a secondary zone now, or of all of them.
    ///
    /// # Errors
    /// A sentence, when there is no such zone.
    pub fn refresh(&self, zone: Option<&str>) -> Result<usize, String> {
        let origin = zone.map(super::config::parse_name).transpose()?;
        let secondaries = self.desk.secondaries.as_ref();
        let asked = secondaries.map_or(0, |zones| zones.refresh(origin.as_deref()));
        match (zone, asked) {
            (Some(zone), 0) => Err(format!("`{zone}` is no secondary zone of this node")),
            (_, asked) => Ok(asked),
        }
    }
}
