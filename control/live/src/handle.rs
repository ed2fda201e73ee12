//! What the rest of the process holds of the writer: the plan, and ways to tell it things.

use std::sync::Arc;

use meridian_engine::{Health, World};
use meridian_probe::{ProbeStatus, StatusReader};
use meridian_store::Store;
use meridian_topology::EndpointId;
use prometheus::IntCounter;
use tokio::sync::{Mutex, broadcast, mpsc, watch};

use crate::catalog::{self, Catalog, WriteError};
use crate::drain::{self, Drain, DrainTarget, Safety};
use crate::event::Event;
use crate::published::PlanHandle;
use crate::sources::{NodeIntent, Sources};
use crate::status::Status;

/// Reports that wait for the writer; beyond them they are dropped and counted.
pub const REPORTS_MAX: usize = 1_024;
/// Events a slow subscriber may fall behind before it loses the oldest.
pub const EVENTS_MAX: usize = 1_024;

/// What a data plane saw of an endpoint.
#[derive(Debug, Clone)]
pub struct PassiveReport {
    /// The endpoint.
    pub endpoint: EndpointId,
    /// What was seen, often enough to act on.
    pub kind: PassiveKind,
}

/// The failures that eject an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PassiveKind {
    /// Connections are refused or reset.
    ConnectFailed,
    /// No answer in time.
    Timeout,
    /// Answers of the 5xx class.
    Status5xx,
    /// A larger share of requests fails than at its peers.
    FailureShare,
    /// It answers much later than its peers.
    Latency,
}

impl PassiveKind {
    /// In words, for logs and status.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ConnectFailed => "connections fail",
            Self::Timeout => "requests time out",
            Self::Status5xx => "answers are 5xx",
            Self::FailureShare => "more requests fail than at its peers",
            Self::Latency => "it is slower than its peers",
        }
    }
}

/// Why a change was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// The new texts are wrong; nothing was written.
    #[error("{0}")]
    Invalid(meridian_topology::Problems),
    /// The store did not take it.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// No such region or endpoint.
    #[error(
        "no {0} in the topology; `meridian get regions` and `meridian get endpoints` list them"
    )]
    Unknown(DrainTarget),
    /// It would leave a service with fewer live regions than its policy allows.
    #[error(
        "draining {target} leaves service {service} with {left} live region(s), its policy asks for {asked}; `--force` drains all the same"
    )]
    TooFewLeft {
        /// What was to be drained.
        target: DrainTarget,
        /// The service that would suffer.
        service: String,
        /// Live regions that would remain.
        left: usize,
        /// What the policy asks for.
        asked: usize,
    },
}

/// The process's hold on the writer. Cheap to clone.
#[derive(Clone)]
pub struct LiveHandle {
    pub(crate) plan: PlanHandle,
    pub(crate) reports: mpsc::Sender<PassiveReport>,
    pub(crate) reports_dropped: IntCounter,
    pub(crate) status: watch::Receiver<Arc<Status>>,
    pub(crate) health: watch::Receiver<Arc<Health>>,
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) node: Option<Arc<NodeIntent>>,
    pub(crate) probes: StatusReader,
    /// One change at a time: each is compared with what it found.
    pub(crate) changing: Arc<Mutex<()>>,
}

impl LiveHandle {
    /// The plan in force.
    pub fn plan(&self) -> &PlanHandle {
        &self.plan
    }

    /// Tells the writer that an endpoint fails. Never blocks; drops and counts when the writer is behind.
    pub fn report(&self, report: PassiveReport) {
        if self.reports.try_send(report).is_err() {
            self.reports_dropped.inc();
        }
    }

    /// The node's state.
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// Learns of each change of state.
    pub fn watch_status(&self) -> watch::Receiver<Arc<Status>> {
        self.status.clone()
    }

    /// Everything that happens from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The world as it is now: the plan's, with the health of this moment.
    pub fn world(&self) -> World {
        let mut world = World::clone(&self.plan.load().world);
        world.health = Health::clone(&self.health.borrow());
        world
    }

    /// Validates `sources` and puts them into the store; the plan follows by the watch.
    ///
    /// # Errors
    /// Every problem of the texts, or the store's refusal. Nothing is written unless all is well.
    pub async fn apply(&self, sources: &Sources) -> Result<meridian_store::Revision, ChangeError> {
        sources
            .read(self.node.as_deref())
            .map_err(ChangeError::Invalid)?;
        let _one_at_a_time = self.changing.lock().await;
        let current = Catalog::read(&*self.store)
            .await
            .map_err(WriteError::from)?;
        Ok(catalog::write_sources(&*self.store, &current, sources, None).await?)
    }

    /// The texts in the store.
    pub async fn sources(&self) -> Result<Sources, ChangeError> {
        Ok(Catalog::read(&*self.store)
            .await
            .map_err(WriteError::from)?
            .sources())
    }

    /// Every drain in the store.
    pub async fn drains(&self) -> Result<Vec<Drain>, ChangeError> {
        Ok(Catalog::read(&*self.store)
            .await
            .map_err(WriteError::from)?
            .drains())
    }

    /// Every health check and its last result.
    pub fn probes(&self) -> Vec<ProbeStatus> {
        self.probes.statuses()
    }

    /// Puts a drain into the store.
    ///
    /// # Errors
    /// With [`Safety::On`], [`ChangeError::TooFewLeft`] when a service would keep fewer live
    /// regions than its policy's `min_live_regions`.
    pub async fn drain(&self, drain: &Drain, safety: Safety) -> Result<(), ChangeError> {
        self.known(&drain.target)?;
        let _one_at_a_time = self.changing.lock().await;
        if safety == Safety::On {
            // The plan follows the store with a delay: what the store holds already counts.
            let mut world = self.world();
            world.admin = drain::admin_of(&self.drains().await?, &world.topology);
            drain::check_safe(&world, &drain.target)?;
        }
        catalog::write_drain(&*self.store, drain).await?;
        Ok(())
    }

    /// Ends a drain.
    pub async fn undrain(&self, target: &DrainTarget) -> Result<(), ChangeError> {
        // A drain may outlive its target in the topology, and must still come to an end.
        if !self
            .drains()
            .await?
            .iter()
            .any(|drain| drain.target == *target)
        {
            self.known(target)?;
        }
        catalog::delete_drain(&*self.store, target).await?;
        Ok(())
    }

    fn known(&self, target: &DrainTarget) -> Result<(), ChangeError> {
        let published = self.plan.load();
        let topology = &published.world.topology;
        let known = match target {
            DrainTarget::Region(id) => topology
                .regions
                .iter()
                .any(|region| region.id.as_str() == id),
            DrainTarget::Endpoint(id) => topology
                .endpoints
                .iter()
                .any(|endpoint| endpoint.id.as_str() == id),
        };
        if known {
            Ok(())
        } else {
            Err(ChangeError::Unknown(target.clone()))
        }
    }
}
