//! The zones that do not come from the topology: master files, secondaries, dynamic updates.
//!
//! Each source puts whole zones here and takes them away; whoever serves zones reads a snapshot and
//! is woken by every change. Readers never wait, writers take turns. One origin has one source: the
//! first that claims it keeps it until it removes it, so that a secondary cannot replace a file by
//! accident.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use thiserror::Error;
use tokio::sync::watch;

use super::DisplayName;
use super::static_zone::StaticZone;
use crate::transfer::Layers;

/// Where a zone on the shelf comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZoneSource {
    /// A master file of this node.
    File,
    /// A transfer from a primary.
    Secondary,
    /// Kept by this node and changed by dynamic updates.
    Update,
}

impl ZoneSource {
    /// The word for people and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Secondary => "secondary",
            Self::Update => "update",
        }
    }
}

/// A zone on the shelf.
#[derive(Clone, Debug)]
pub struct Shelved {
    /// Its data.
    pub zone: Arc<StaticZone>,
    /// Where it comes from.
    pub source: ZoneSource,
}

/// What is on the shelf at one moment.
#[derive(Clone, Debug, Default)]
pub struct ShelfSnapshot {
    /// By origin, a lowercased wire name.
    zones: BTreeMap<Box<[u8]>, Shelved>,
    /// Zones that are ours and cannot be answered now, by origin.
    unready: BTreeMap<Box<[u8]>, ZoneSource>,
    /// What dynamic updates lay over zones of any source.
    layers: Layers,
}

impl ShelfSnapshot {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many zones are on it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.zones.len()
    }

    /// Whether there is no zone on it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.zones.is_empty()
    }

    /// The zone of an origin.
    #[must_use]
    pub fn get(&self, origin: &[u8]) -> Option<&Shelved> {
        self.zones.get(origin)
    }

    /// Every zone, by origin.
    pub fn values(&self) -> impl Iterator<Item = &Shelved> {
        self.zones.values()
    }

    /// Origins of zones that are ours and cannot be answered now: to be answered SERVFAIL.
    pub fn unready(&self) -> impl Iterator<Item = &[u8]> {
        self.unready.keys().map(|origin| &**origin)
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.layers
    }

    fn source_of(&self, origin: &[u8]) -> Option<ZoneSource> {
        let live = self.zones.get(origin).map(|shelved| shelved.source);
        live.or_else(|| self.unready.get(origin).copied())
    }

    /// Whether `source` may have this origin.
    fn check(&self, source: ZoneSource, origin: &[u8]) -> Result<(), Claimed> {
        match self.source_of(origin) {
            Some(by) if by != source => Err(Claimed {
                origin: DisplayName(origin.into()),
                by,
            }),
            _ => Ok(()),
        }
    }
}

/// An origin that another source has claimed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("the zone `{origin}` comes from another source already: {}", .by.as_str())]
pub struct Claimed {
    /// The origin.
    pub origin: DisplayName,
    /// Who has it.
    pub by: ZoneSource,
}

/// Zones by origin. Cheap to clone; every clone is the same shelf.
#[derive(Clone, Debug)]
pub struct ZoneShelf {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    zones: ArcSwap<ShelfSnapshot>,
    /// Held while a snapshot is replaced.
    writing: Mutex<()>,
    /// Counts changes.
    changes: watch::Sender<u64>,
}

impl Default for ZoneShelf {
    fn default() -> Self {
        Self::new()
    }
}

impl ZoneShelf {
    /// An empty shelf.
    #[must_use]
    pub fn new() -> Self {
        Self {
            inner: Arc::new(Inner {
                zones: ArcSwap::default(),
                writing: Mutex::new(()),
                changes: watch::Sender::new(0),
            }),
        }
    }

    /// What is on the shelf.
    #[must_use]
    pub fn snapshot(&self) -> Arc<ShelfSnapshot> {
        self.inner.zones.load_full()
    }

    /// The zone of an origin.
    #[must_use]
    pub fn get(&self, origin: &[u8]) -> Option<Shelved> {
        self.inner.zones.load().get(origin).cloned()
    }

    /// Puts a zone on the shelf, in place of the one the same source had there.
    ///
    /// # Errors
    /// [`Claimed`] when the origin is another source's.
    pub fn put(&self, source: ZoneSource, zone: Arc<StaticZone>) -> Result<(), Claimed> {
        self.change(|shelf| {
            shelf.check(source, zone.origin())?;
            shelf.unready.remove(zone.origin());
            let origin = zone.origin().into();
            shelf.zones.insert(origin, Shelved { zone, source });
            Ok(())
        })
    }

    /// Says that a zone is this node's and cannot be answered now: it was never loaded, or has
    /// expired.
    ///
    /// # Errors
    /// [`Claimed`] when the origin is another source's.
    pub fn put_unready(&self, source: ZoneSource, origin: &[u8]) -> Result<(), Claimed> {
        self.change(|shelf| {
            shelf.check(source, origin)?;
            shelf.zones.remove(origin);
            shelf.unready.insert(origin.into(), source);
            Ok(())
        })
    }

    /// Takes a source's zone off the shelf; another source's stays.
    pub fn remove(&self, source: ZoneSource, origin: &[u8]) {
        // Nothing can be refused here.
        let _: Result<(), Claimed> = self.change(|shelf| {
            if shelf.source_of(origin) == Some(source) {
                shelf.zones.remove(origin);
                shelf.unready.remove(origin);
            }
            Ok(())
        });
    }

    /// What dynamic updates lay over zones; a change of it is made known by [`ZoneShelf::touch`].
    pub(crate) fn layers(&self) -> Layers {
        self.inner.zones.load().layers.clone()
    }

    /// Wakes whoever serves the shelf.
    pub(crate) fn touch(&self) {
        self.inner.changes.send_modify(|changes| *changes += 1);
    }

    /// Learns of every change, by a number that grows.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    fn change<E>(&self, edit: impl FnOnce(&mut ShelfSnapshot) -> Result<(), E>) -> Result<(), E> {
        // A writer that panicked had not stored its copy.
        let _turn = (self.inner.writing.lock()).unwrap_or_else(PoisonError::into_inner);
        let mut zones = ShelfSnapshot::clone(&self.inner.zones.load());
        edit(&mut zones)?;
        self.inner.zones.store(Arc::new(zones));
        self.touch();
        Ok(())
    }
}
