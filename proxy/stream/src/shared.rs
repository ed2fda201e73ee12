//! What every listener, connection and session of the room has at hand.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use meridian_accept::ConnectionLimit;
use meridian_engine::policy::Sticky;
use meridian_engine::{ClassId, ClientKey, Pick};
use meridian_live::{PlanHandle, Published};
use meridian_telemetry::decision::DecisionIds;
use meridian_telemetry::{AccessLog, Decision, DecisionId, DecisionLog, Surface};
use meridian_topology::{Endpoint, EndpointIdx, ServiceId, ServiceIdx};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::StreamSettings;
use crate::metrics::StreamMetrics;
use crate::passive::Passive;

#[derive(Debug)]
pub(crate) struct Shared {
    pub settings: StreamSettings,
    pub plan: PlanHandle,
    pub passive: Passive,
    pub metrics: StreamMetrics,
    pub access: AccessLog,
    pub decisions: DecisionLog,
    pub ids: DecisionIds,
    pub limit: ConnectionLimit,
    /// Every task of the room; shutdown waits for them.
    pub tasks: TaskTracker,
    /// Cancelled when the drain deadline has passed.
    pub cut: CancellationToken,
}

/// A generator of decision ids that will not meet another process's.
pub(crate) fn decision_ids() -> DecisionIds {
    DecisionIds::new(RandomState::new().build_hasher().finish())
}

/// Microseconds since 1970.
pub(crate) fn unix_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    // Before 1970 there is no time worth logging.
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

/// One client's question to one plan. All picks for a connection ask the same
/// plan, so that endpoints that failed are excluded by their index in it.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub published: Arc<Published>,
    pub service: ServiceIdx,
    pub class: ClassId,
    key: ClientKey,
}

/// An answer: the pick and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Chosen {
    pub pick: Pick,
    pub endpoint: Endpoint,
}

impl Question {
    /// `None` when the service is not in the plan any more.
    pub(crate) fn new(
        published: Arc<Published>,
        service: &ServiceId,
        client: IpAddr,
        nonce: DecisionId,
    ) -> Option<Self> {
        let plan = &published.plan;
        let service = plan.service(service)?;
        let class = published.world.classes.lookup(client).class;
        let key = match plan.sticky(service) {
            Sticky::None => plan.client_key(service, client).with_nonce(nonce.0),
            Sticky::ClientPrefix | Sticky::ClientAddress => plan.client_key(service, client),
        };
        Some(Self {
            service,
            class,
            key,
            published,
        })
    }

    /// The plan's answer for a client that has failed with `excluded`.
    pub(crate) fn ask(&self, excluded: &[EndpointIdx]) -> Option<Chosen> {
        let Published { plan, bits, .. } = &*self.published;
        let pick = plan.pick_excluding(self.service, self.class, self.key, bits, excluded)?;
        let topology = &self.published.world.topology;
        let endpoint = topology.endpoints.get(pick.endpoint.index())?.clone();
        Some(Chosen { pick, endpoint })
    }
}

/// How an attempt to reach an endpoint turned out, in the decision log's terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It answered after so many microseconds.
    Answered(u32),
    /// It could not be reached.
    Failed,
    /// Nothing was heard of it (UDP obliges nobody to answer).
    Silent,
}

impl Shared {
    /// Offers one decision to the decision log, if it is in the sample.
    pub(crate) fn log_decision(
        &self,
        id: DecisionId,
        service: &ServiceId,
        question: &Question,
        chosen: Option<&Chosen>,
        attempt: Attempt,
    ) {
        let Some(sample_rate) = self.decisions.sample(id) else {
            return;
        };
        let topology = &question.published.world.topology;
        let region = |chosen: &Chosen| topology.regions.get(chosen.pick.region.index());
        let (latency_us, status) = match attempt {
            Attempt::Answered(us) => (Some(us), Some(0)),
            Attempt::Failed => (None, Some(1)),
            Attempt::Silent => (None, None),
        };
        // A full queue is counted by the log itself.
        let _ = self.decisions.offer(Decision {
            at_unix_us: unix_us(),
            decision_id: id,
            surface: Surface::Stream,
            service: service.clone(),
            class: question.class.0,
            plan_generation: question.published.plan.generation(),
            endpoint: chosen.map(|chosen| chosen.endpoint.id.clone()),
            region: chosen.and_then(region).map(|region| region.id.clone()),
            propensity: chosen.map_or(0.0, |chosen| chosen.pick.propensity),
            latency_us,
            status,
            sample_rate,
        });
    }
}
