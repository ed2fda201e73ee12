//! What goes into the writer and what comes out of it.

use std::sync::Arc;
use std::time::Duration;

use meridian_engine::Health;
use meridian_probe::{Target, Transition};
use meridian_score::Artifact;
use meridian_store::WatchEvent;
use meridian_topology::Topology;
use tokio::sync::{broadcast, mpsc, watch};

use crate::build::Reusable;
use crate::event::Event;
use crate::geo::{GeoNews, GeoSetup};
use crate::handle::PassiveReport;
use crate::lastgood::LastGood;
use crate::metrics::LiveMetrics;
use crate::published::PlanHandle;
use crate::sources::NodeIntent;
use crate::status::{SourcesStatus, Status, StoreHealth};

/// What reaches the writer.
pub(crate) struct Inputs {
    pub store: mpsc::Receiver<StoreInput>,
    pub directory: mpsc::Receiver<DirectoryInput>,
    pub transitions: mpsc::Receiver<Transition>,
    pub reports: mpsc::Receiver<PassiveReport>,
    pub models: watch::Receiver<Option<Arc<Artifact>>>,
    pub geo: watch::Receiver<GeoNews>,
}

/// What the task that follows the store says.
#[derive(Debug)]
pub(crate) enum StoreInput {
    /// Something changed.
    Event(WatchEvent),
    /// The store cannot be followed at present.
    Lost(String),
    /// It can again.
    Following,
}

/// What the task that follows the deployment directory says.
#[derive(Debug)]
pub(crate) enum DirectoryInput {
    /// Its content is sound and in the store.
    Sound,
    /// It is not; every problem in words.
    Rejected(String),
}

/// Where the writer's words go.
pub(crate) struct Outputs {
    pub plan: PlanHandle,
    pub status: watch::Sender<Arc<Status>>,
    pub health: watch::Sender<Arc<Health>>,
    pub events: broadcast::Sender<Event>,
    pub targets: watch::Sender<Arc<Vec<Target>>>,
    pub metrics: LiveMetrics,
    pub last_good: LastGood,
}

/// What never changes while the process runs.
pub(crate) struct Constants {
    pub node: Option<Arc<NodeIntent>>,
    pub geo: Arc<GeoSetup>,
}

/// What the compile at start leaves to the writer.
pub(crate) struct FirstPlan {
    pub model: Option<Arc<Artifact>>,
    pub reusable: Reusable,
    pub sources_status: SourcesStatus,
    pub store_health: StoreHealth,
    pub took: Duration,
}

/// Every check of every endpoint.
pub(crate) fn targets(topology: &Topology) -> Vec<Target> {
    let of = |endpoint| {
        topology
            .checks(endpoint)
            .map(move |(service, check)| (endpoint, service, check))
    };
    topology
        .endpoints
        .iter()
        .flat_map(of)
        .map(|(endpoint, service, check)| Target {
            endpoint: endpoint.id.clone(),
            region: topology.regions[endpoint.region.index()].id.clone(),
            address: endpoint.socket_addr(),
            check: check.clone(),
            service: service.map(|service| topology.services[service.index()].id.clone()),
        })
        .collect()
}
