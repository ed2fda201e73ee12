//! All secondary zones of this node: those configured, and the members of catalogs (RFC 9432).
//!
//! A member of a catalog is a secondary like any other, with the catalog's primaries and bounds; it
//! goes, with what was kept of it, when the catalog no longer lists it. A zone that is configured
//! itself is never a catalog's, and a member belongs to the catalog that listed it first.
//!
//! Limits: [`MEMBERS_MAX`] members of a catalog; more are reported and left out.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

use super::catalog;
use super::config::{SecondarySettings, shown};
use super::record::WireName;
use super::secondary::{Secondary, SecondaryStatus, Shared};
use crate::zone::StaticZone;

/// Most members of one catalog.
pub(crate) const MEMBERS_MAX: usize = 10_000;

/// The secondary zones by origin. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Secondaries(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    zones: Mutex<BTreeMap<WireName, Arc<Secondary>>>,
    /// Held while a catalog is worked in, so that an older state of it never comes last.
    catalogs: tokio::sync::Mutex<()>,
    shutdown: CancellationToken,
}

/// What a notification leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Notified {
    /// The zone is refreshed.
    Taken,
    /// It is not from a primary.
    Refused,
    /// The zone is no secondary here.
    NotOurs,
}

impl Secondaries {
    /// Loads what is kept on disk, and starts nothing yet.
    pub(crate) fn load(
        settings: &[SecondarySettings],
        shared: Arc<Shared>,
        shutdown: CancellationToken,
    ) -> Self {
        let this = Self(Arc::new(Inner {
            shared,
            zones: Mutex::new(BTreeMap::new()),
            catalogs: tokio::sync::Mutex::new(()),
            shutdown,
        }));
        for settings in settings {
            this.add(settings.clone(), None);
        }
        let catalogs: Vec<_> = this.lock().values().cloned().collect();
        for catalog in catalogs {
            if let Some(zone) = catalog.zone().filter(|_| catalog.settings.catalog) {
                this.follow_catalog(&catalog.settings, &zone);
            }
        }
        this
    }

    /// Starts to follow the primaries. Call it inside a runtime.
    pub(crate) fn start(&self) {
        let zones: Vec<_> = self.lock().values().cloned().collect();
        for zone in zones {
            self.start_one(zone);
        }
    }

    fn start_one(&self, zone: Arc<Secondary>) {
        let (this, catalog) = (self.clone(), Arc::clone(&zone));
        tokio::spawn(zone.follow(move || {
            if catalog.settings.catalog {
                tokio::spawn(this.clone().catalog_changed(Arc::clone(&catalog)));
            }
        }));
    }

    /// Works in what a catalog says now; reads members' files off the threads that serve.
    async fn catalog_changed(self, catalog: Arc<Secondary>) {
        let _turn = self.0.catalogs.lock().await;
        let this = self.clone();
        let work = move || {
            let zone = catalog.zone();
            zone.map_or_else(Vec::new, |zone| {
                this.follow_catalog(&catalog.settings, &zone)
            })
        };
        // A panic leaves the members as they were.
        for added in tokio::task::spawn_blocking(work).await.unwrap_or_default() {
            self.start_one(added);
        }
    }

    fn add(&self, settings: SecondarySettings, catalog: Option<WireName>) -> Arc<Secondary> {
        let origin = settings.zone.clone();
        let secondary = Arc::new(Secondary::load(
            settings,
            catalog,
            Arc::clone(&self.0.shared),
            self.0.shutdown.child_token(),
        ));
        self.lock().insert(origin, Arc::clone(&secondary));
        secondary
    }

    /// Makes the members of a catalog secondaries, and those that left it none; returns the new ones.
    fn follow_catalog(&self, of: &SecondarySettings, zone: &StaticZone) -> Vec<Arc<Secondary>> {
        let listed = match catalog::members(zone) {
            Ok(members) => members,
            Err(error) => {
                // RFC 9432 §5: a broken catalog changes nothing.
                tracing::error!(catalog = %shown(&of.zone), %error, "a catalog zone is not used");
                return Vec::new();
            }
        };
        if listed.len() > MEMBERS_MAX {
            tracing::error!(catalog = %shown(&of.zone), members = listed.len(), "a catalog zone has more than {MEMBERS_MAX} members; the rest is left out");
        }
        let listed: BTreeSet<WireName> = listed.into_iter().take(MEMBERS_MAX).collect();
        let gone: Vec<Arc<Secondary>> = {
            let mut zones = self.lock();
            let gone: Vec<WireName> = zones
                .iter()
                .filter(|(origin, member)| {
                    member.catalog.as_deref() == Some(&*of.zone) && !listed.contains(*origin)
                })
                .map(|(origin, _)| origin.clone())
                .collect();
            gone.iter()
                .filter_map(|origin| zones.remove(origin))
                .collect()
        };
        for member in gone {
            tracing::info!(zone = %shown(&member.settings.zone), catalog = %shown(&of.zone), "a zone left its catalog");
            member.forget();
        }
        let mut added = Vec::new();
        for origin in listed {
            if self.lock().contains_key(&origin) {
                continue;
            }
            tracing::info!(zone = %shown(&origin), catalog = %shown(&of.zone), "a catalog brings a zone");
            let settings = SecondarySettings {
                zone: origin,
                catalog: false,
                ..of.clone()
            };
            added.push(self.add(settings, Some(of.zone.clone())));
        }
        added
    }

    /// Takes a notification.
    pub(crate) fn notified(
        &self,
        zone: &[u8],
        serial: Option<u32>,
        source: IpAddr,
        key: Option<&[u8]>,
    ) -> Notified {
        let Some(secondary) = self.lock().get(zone).cloned() else {
            return Notified::NotOurs;
        };
        let settings = &secondary.settings;
        let from_primary = settings
            .primaries
            .iter()
            .any(|primary| primary.address.ip().to_canonical() == source.to_canonical());
        if !from_primary && !settings.allow_notify.allows(source, key) {
            return Notified::Refused;
        }
        secondary.wake(serial);
        Notified::Taken
    }

    /// Asks for a refresh of one zone, or of all; says how many there were.
    pub(crate) fn refresh(&self, zone: Option<&[u8]>) -> usize {
        let zones = self.lock();
        let asked = zones
            .iter()
            .filter(|(origin, _)| zone.is_none_or(|zone| ***origin == *zone));
        asked.map(|(_, secondary)| secondary.wake(None)).count()
    }

    /// How they are, by origin.
    pub(crate) fn statuses(&self) -> Vec<SecondaryStatus> {
        self.lock().values().map(|zone| zone.status()).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<WireName, Arc<Secondary>>> {
        // Changed by single insertions and removals.
        self.0.zones.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
