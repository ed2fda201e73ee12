//! Dynamic updates (RFC 2136): what a key may change, done and kept.
//!
//! ```text
//! UPDATE ─> signed by a key of this zone? ─> prerequisites ─> changes on a copy of the layer
//!        ─> journal on disk (synced) ─> layer in force ─> zones rebuilt ─> NOERROR
//! ```
//!
//! Updates make a layer of their own over a zone of the topology or of a zone file ([`Layer`]): they
//! add names and sets beside its data, and change only what updates added. Updates of one zone take
//! turns; one message is done whole or not at all. A client that is told NOERROR finds its change on
//! disk, and in this server's answers unless rebuilding takes longer than [`VISIBLE_WAIT`].

mod change;
mod journal;
mod layer;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;

use self::change::{Change, Policy, Refused};
use self::journal::Journal;
pub(crate) use self::layer::{Layer, Layers};
use super::config::{UpdateSettings, shown};
use super::disk::ZoneFolder;
use super::message::Message;
use super::metrics::TransferMetrics;
use super::record::{WireName, is_newer, next_serial};
use super::reply::{EDE_NOT_AUTHORITATIVE, EDE_NOT_READY, EDE_OTHER, EDE_PROHIBITED, Reply};
use crate::responder::Responder;
use crate::wire::{Class, RType, Rcode};
use crate::zone::{Case, Denial, StaticZone, ZoneShelf};
use crate::zones::Zones;

/// How long an answer waits for the zones to be rebuilt.
pub(crate) const VISIBLE_WAIT: Duration = Duration::from_secs(3);
const VISIBLE_POLL: Duration = Duration::from_millis(5);

/// The zones that updates may change.
#[derive(Debug)]
pub(crate) struct Updates {
    zones: BTreeMap<WireName, Arc<UpdatedZone>>,
    layers: Layers,
    shelf: ZoneShelf,
    metrics: TransferMetrics,
}

#[derive(Debug)]
struct UpdatedZone {
    origin: WireName,
    rules: Vec<UpdateSettings>,
    /// Held while an update is worked in.
    kept: Mutex<Kept>,
}

#[derive(Debug)]
struct Kept {
    layer: Arc<Layer>,
    /// Absent while it is being written on another thread; a writer that panicked took it along.
    journal: Option<Journal>,
}

/// A zone as the operator sees it.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct UpdatedStatus {
    /// The origin.
    pub zone: String,
    /// Serial of the last update; none before the first.
    pub serial: Option<u32>,
    /// Records that updates have added.
    pub records: usize,
}

impl Updates {
    /// Reads every journal and puts the layers in force.
    ///
    /// # Errors
    /// A journal that cannot be read: serving without it would take back what was acknowledged.
    pub(crate) fn load(
        settings: &[UpdateSettings],
        folder: Option<&ZoneFolder>,
        layers: Layers,
        shelf: ZoneShelf,
        metrics: TransferMetrics,
    ) -> io::Result<Self> {
        let mut rules: BTreeMap<WireName, Vec<UpdateSettings>> = BTreeMap::new();
        for rule in settings {
            rules
                .entry(rule.zone.clone())
                .or_default()
                .push(rule.clone());
        }
        let mut zones = BTreeMap::new();
        for (origin, rules) in rules {
            let Some(folder) = folder else {
                continue;
            };
            let path = folder.path(&origin, "updates");
            let opened = Journal::open(&path, &origin)?;
            if opened.cut > 0 {
                tracing::warn!(zone = %shown(&origin), bytes = opened.cut, "an update was cut short by a crash and is dropped; it was not acknowledged");
            }
            let layer = Arc::new(opened.layer);
            layers.set(&origin, Arc::clone(&layer));
            let zone = UpdatedZone {
                origin: origin.clone(),
                rules,
                kept: Mutex::new(Kept {
                    layer,
                    journal: Some(opened.journal),
                }),
            };
            zones.insert(origin, Arc::new(zone));
        }
        Ok(Self {
            zones,
            layers,
            shelf,
            metrics,
        })
    }

    /// Answers an update.
    pub(crate) async fn serve(&self, message: &Message, reply: Reply<'_>, responder: &Responder) {
        let source = reply.source;
        let refused = match self.update(message, reply.key(), responder).await {
            Ok(Some((zone, serial))) => {
                tracing::info!(zone = %shown(&zone), %source, serial, "zone updated");
                None
            }
            Ok(None) => None,
            Err(refused) => {
                let why = refused.why.map_or("", |(_, text)| text);
                tracing::info!(%source, rcode = refused.rcode.as_str(), why, "an update was not done");
                Some(refused)
            }
        };
        let (rcode, why) = refused.map_or((Rcode::NoError, None), |no| (no.rcode, no.why));
        self.metrics.updated(rcode);
        reply.end(rcode, why).await;
    }

    /// Does an update; the zone and its new serial if something changed.
    async fn update(
        &self,
        message: &Message,
        key: Option<&[u8]>,
        responder: &Responder,
    ) -> Result<Option<(WireName, u32)>, Refused> {
        let question = message.question.as_ref();
        let question = question.ok_or(Refused::plain(Rcode::FormErr))?;
        if question.rtype != RType::SOA {
            return Err(Refused::plain(Rcode::FormErr));
        }
        let zones = responder.zones();
        let refuse = |rcode, code, text| {
            Err(Refused {
                rcode,
                why: Some((code, text)),
            })
        };
        if question.class != Class::IN || zones.set().zone(&question.name).is_none() {
            let why = "this server has no zone of that name";
            return refuse(Rcode::NotAuth, EDE_NOT_AUTHORITATIVE, why);
        }
        let Some(zone) = self.zones.get(&question.name) else {
            return refuse(
                Rcode::Refused,
                EDE_PROHIBITED,
                "no updates are taken for this zone",
            );
        };
        let Some(key) = key else {
            return refuse(
                Rcode::Refused,
                EDE_PROHIBITED,
                "updates must be signed (TSIG)",
            );
        };
        let rules: Vec<&UpdateSettings> =
            zone.rules.iter().filter(|rule| *rule.key == *key).collect();
        if rules.is_empty() {
            return refuse(
                Rcode::Refused,
                EDE_PROHIBITED,
                "this key may not update this zone",
            );
        }
        let Some(base) = ready(&zones, &zone.origin) else {
            return refuse(Rcode::ServFail, EDE_NOT_READY, "the zone is not loaded");
        };
        if !matches!(base.denial(), Denial::None) {
            let why = "the zone's data came signed, and this server has no key to sign changes";
            return refuse(Rcode::Refused, EDE_PROHIBITED, why);
        }
        let mut kept = zone.kept.lock().await;
        let policy = Rules {
            rules,
            zones: &zones,
        };
        let (mut layer, changed) = Change::run(base, &kept.layer, &policy, message)?;
        if changed.is_empty() {
            return Ok(None);
        }
        layer.serial = serial_after(base, kept.layer.serial);
        let serial = layer.serial;
        self.keep(&zone.origin, &mut kept, layer, changed).await?;
        drop(kept);
        wait_until_visible(responder, &zone.origin, serial).await;
        Ok(Some((zone.origin.clone(), serial)))
    }

    /// On disk first, then in force.
    async fn keep(
        &self,
        origin: &WireName,
        kept: &mut Kept,
        layer: Layer,
        changed: Vec<layer::SetKey>,
    ) -> Result<(), Refused> {
        let failed = Refused {
            rcode: Rcode::ServFail,
            why: Some((EDE_OTHER, "the update could not be written to disk")),
        };
        let Some(mut journal) = kept.journal.take() else {
            return Err(failed);
        };
        let write = move || {
            let written = journal.append(&layer, &changed);
            (journal, layer, written)
        };
        let Ok((journal, layer, written)) = tokio::task::spawn_blocking(write).await else {
            return Err(failed);
        };
        kept.journal = Some(journal);
        if let Err(error) = written {
            tracing::error!(zone = %shown(origin), %error, "an update could not be written to disk");
            return Err(failed);
        }
        kept.layer = Arc::new(layer);
        self.layers.set(origin, Arc::clone(&kept.layer));
        self.shelf.touch();
        Ok(())
    }

    /// Gives a zone a new serial because its own data changed under the layer without one.
    pub(crate) async fn bump(&self, origin: &[u8], zones: &Zones) {
        let (Some(zone), Some(base)) = (self.zones.get(origin), ready(zones, origin)) else {
            return;
        };
        let mut kept = zone.kept.lock().await;
        let mut layer = Layer::clone(&kept.layer);
        layer.serial = serial_after(base, layer.serial);
        // Refused by the disk: secondaries learn of it with the next change.
        let _ = self.keep(&zone.origin, &mut kept, layer, Vec::new()).await;
    }

    /// Whether updates may change a zone.
    pub(crate) fn has(&self, origin: &[u8]) -> bool {
        self.zones.contains_key(origin)
    }

    /// How the zones are, by origin.
    pub(crate) fn statuses(&self) -> Vec<UpdatedStatus> {
        let status = |origin: &WireName| {
            let layer = self.layers.get(origin);
            UpdatedStatus {
                zone: shown(origin),
                serial: Some(layer.serial).filter(|serial| *serial != 0),
                records: layer.records(),
            }
        };
        self.zones.keys().map(status).collect()
    }
}

/// A zone's own data, if there is any to speak of.
fn ready<'z>(zones: &'z Zones, origin: &[u8]) -> Option<&'z StaticZone> {
    zones.set().zone(origin).filter(|zone| !zone.is_unready())?;
    zones.base(origin).map(|base| &**base)
}

/// The serial after the one in force.
fn serial_after(base: &StaticZone, of_layer: u32) -> u32 {
    let in_force = if of_layer == 0 || is_newer(base.serial(), of_layer) {
        base.serial()
    } else {
        of_layer
    };
    next_serial(in_force)
}

async fn wait_until_visible(responder: &Responder, origin: &[u8], serial: u32) {
    let visible = async {
        loop {
            let zones = responder.zones();
            let there = zones.set().zone(origin).map(|zone| zone.data().serial());
            if there.is_none_or(|there| there == serial || is_newer(there, serial)) {
                return;
            }
            tokio::time::sleep(VISIBLE_POLL).await;
        }
    };
    // Answered late rather than not at all: the change is on disk.
    let _ = tokio::time::timeout(VISIBLE_WAIT, visible).await;
}

/// What one key may do in one zone.
struct Rules<'a> {
    rules: Vec<&'a UpdateSettings>,
    zones: &'a Zones,
}

impl Policy for Rules<'_> {
    fn may_change(&self, name: &[u8], rtype: RType) -> bool {
        self.rules.iter().any(|rule| {
            rule.types.contains(&rtype) && rule.names.iter().any(|pattern| pattern.fits(name))
        })
    }

    fn is_steered(&self, name: &[u8]) -> bool {
        let found = self.zones.set().find_own(name, RType::A);
        found.is_some_and(|found| match found.case {
            Case::Exact => found.encloser.steered().is_some(),
            Case::Wildcard(wildcard) => wildcard.steered().is_some(),
            _ => false,
        })
    }
}
