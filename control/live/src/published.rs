//! The plan that is in force, and how readers get at it.
//!
//! One writer replaces the whole [`Published`]; readers load it without a lock and
//! never see half a plan. Health bits live beside the plan, so that a dead endpoint
//! is skipped at once, without a compile.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use meridian_engine::{HealthBits, Plan, World, compile};
use tokio::sync::watch;

use crate::meter::LoadMeter;

/// One compiled plan with all that was true when it was made.
#[derive(Debug)]
pub struct Published {
    /// Counts up with every publication of this process; the plan's own generation names its content.
    pub sequence: u64,
    /// The decisions.
    pub plan: Plan,
    /// The world they were made from. Its `health` is that of the compile: see [`HealthBits`] for now.
    pub world: Arc<World>,
    /// Which endpoints take new clients at this moment.
    pub bits: HealthBits,
    /// Requests sent to each region, counted by the data planes.
    pub meter: Arc<LoadMeter>,
}

impl Published {
    /// Compiles `world` and puts fresh health bits beside it.
    pub fn compile(world: Arc<World>, sequence: u64) -> Self {
        let plan = compile(&world);
        let bits = HealthBits::new(&plan, &world);
        let meter = Arc::new(LoadMeter::new(world.topology.regions.len()));
        Self {
            sequence,
            plan,
            world,
            bits,
            meter,
        }
    }
}

/// A reader's handle on the plan in force. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PlanHandle {
    current: Arc<ArcSwap<Published>>,
    sequence: watch::Sender<u64>,
}

impl PlanHandle {
    /// A handle whose first plan is `published`.
    pub(crate) fn new(published: Published) -> Self {
        let sequence = watch::Sender::new(published.sequence);
        Self {
            current: Arc::new(ArcSwap::from_pointee(published)),
            sequence,
        }
    }

    /// A plan that nobody will replace: for tests and one-shot commands.
    pub fn fixed(world: World) -> Self {
        Self::new(Published::compile(Arc::new(world), 1))
    }

    /// The plan in force. Hold the guard for one decision or one batch, not across waits.
    pub fn load(&self) -> Guard<Arc<Published>> {
        self.current.load()
    }

    /// The plan in force, to be kept for as long as needed.
    pub fn full(&self) -> Arc<Published> {
        self.current.load_full()
    }

    /// Learns of each publication by its sequence number.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.sequence.subscribe()
    }

    /// Compiles `world` and publishes it: what the writer does, for tests of the readers.
    pub fn replace(&self, world: World) {
        let sequence = self.full().sequence + 1;
        self.publish(Arc::new(Published::compile(Arc::new(world), sequence)));
    }

    /// Puts `published` in force and tells the subscribers.
    pub(crate) fn publish(&self, published: Arc<Published>) {
        let sequence = published.sequence;
        self.current.store(published);
        self.sequence.send_replace(sequence);
    }
}
