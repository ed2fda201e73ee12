//! The one writer: takes in what witnesses say, flips bits at once, compiles when the
//! plan itself must change, and publishes.
//!
//! One task owns [`State`]. A compile runs on a blocking thread meanwhile; when it ends,
//! the bits of the new plan are brought up to date before anyone sees it. Changes that
//! arrive during a compile make one more compile, not a queue of them.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meridian_engine::{EndpointState, MinuteOfDay};
use meridian_probe::Transition;
use meridian_score::Artifact;
use meridian_topology::{Drain, EndpointId, EndpointIdx, RegionIdx, Topology};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::build::{BuildError, Built, Job, Reusable};
use crate::catalog::Catalog;
use crate::event::Event;
use crate::geo::{self, GeoBase, GeoNews};
use crate::handle::PassiveReport;
use crate::health::Flip;
use crate::ports::{Constants, DirectoryInput, FirstPlan, Inputs, Outputs, StoreInput, targets};
use crate::published::Published;
use crate::sources::Sources;
use crate::state::State;
use crate::status::{SourcesStatus, StoreHealth};
use crate::summary::{self, Facts, geo_status};

/// How often ejections, ramps and the time of day are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How often load is taken from the meters.
const LOAD_PERIOD: Duration = Duration::from_secs(1);
/// A plan is compiled anew at least this often, for policies that follow the time of day.
const RECOMPILE_PERIOD: Duration = Duration::from_secs(300);

pub(crate) struct Writer {
    state: State,
    catalog: Catalog,
    sources: Arc<Sources>,
    /// What the running compile was given.
    tried: Arc<Sources>,
    /// Texts of the store that do not compile: not tried again until they change.
    refused: Option<Arc<Sources>>,
    /// What the last good copy on disk holds.
    saved: Option<Arc<Sources>>,
    constants: Constants,
    reusable: Reusable,
    /// The base class table of the next compile.
    base: Option<Arc<GeoBase>>,
    /// That of the running one.
    tried_base: Option<Arc<GeoBase>>,
    /// Why the newest class table or its sources cannot be used.
    geo_problem: Option<String>,
    out: Outputs,
    /// Plans that readers may still hold: their bits are flipped too.
    recent: Vec<Weak<Published>>,
    compiling: Option<JoinHandle<Result<Built, BuildError>>>,
    /// Why the next compile is due, if it is.
    due: Option<String>,
    /// Why the running compile was started.
    running: String,
    sources_status: SourcesStatus,
    store_health: StoreHealth,
    compile_ms: f64,
    compiled_at: Instant,
    load_taken: Instant,
    ramps_due: bool,
    /// Something visible changed since the status was last published.
    stale: bool,
}

impl Writer {
    /// A writer that goes on from `first`, the plan compiled at start.
    pub fn new(
        catalog: Catalog,
        sources: Arc<Sources>,
        constants: Constants,
        first: FirstPlan,
        out: Outputs,
    ) -> Self {
        let now = Instant::now();
        let mut writer = Self {
            state: State::with_model(first.model),
            catalog,
            tried: Arc::clone(&sources),
            refused: None,
            saved: None,
            sources,
            constants,
            base: first.reusable.base().cloned(),
            tried_base: None,
            geo_problem: None,
            reusable: first.reusable,
            recent: vec![Arc::downgrade(&out.plan.full())],
            out,
            compiling: None,
            due: None,
            running: String::new(),
            sources_status: first.sources_status,
            store_health: first.store_health,
            compile_ms: first.took.as_secs_f64() * 1e3,
            compiled_at: now,
            load_taken: now,
            ramps_due: true,
            stale: true,
        };
        let topology = Arc::clone(&writer.out.plan.load().world.topology);
        if writer.state.take_drains(&writer.catalog, &topology) {
            writer.sync_bits(&writer.out.plan.full());
            writer.due = Some("drains of the store".into());
        }
        writer
            .out
            .targets
            .send_replace(Arc::new(targets(&topology)));
        writer
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, mut inputs: Inputs, shutdown: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        self.publish_status();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(transition) = inputs.transitions.recv() => self.on_transition(&transition),
                Some(report) = inputs.reports.recv() => self.on_report(&report),
                Some(input) = inputs.store.recv() => self.on_store(input),
                Some(input) = inputs.directory.recv() => self.on_directory(input),
                Ok(()) = inputs.models.changed() => self.on_model(inputs.models.borrow_and_update().clone()),
                Ok(()) = inputs.geo.changed() => self.on_geo(inputs.geo.borrow_and_update().clone()),
                built = finished(&mut self.compiling) => self.on_built(built),
                _ = tick.tick() => self.on_tick(),
            }
            self.start_compile();
            if self.stale {
                self.publish_status();
            }
        }
    }

    fn on_transition(&mut self, transition: &Transition) {
        let topology = Arc::clone(&self.out.plan.load().world.topology);
        let flip = self.state.probed(transition, &topology, Instant::now());
        self.stale = true;
        self.flip(flip);
    }

    fn on_report(&mut self, report: &PassiveReport) {
        let topology = Arc::clone(&self.out.plan.load().world.topology);
        let flip = self.state.reported(report, &topology, Instant::now());
        self.flip(flip);
    }

    fn on_store(&mut self, input: StoreInput) {
        self.stale = true;
        match input {
            StoreInput::Lost(cause) => {
                tracing::warn!(%cause, "the store is lost; the last good plan keeps serving");
                self.store_health = StoreHealth::Lost { cause };
            }
            StoreInput::Following => self.store_health = StoreHealth::Following,
            StoreInput::Event(event) => {
                self.catalog.apply(event);
                let topology = Arc::clone(&self.out.plan.load().world.topology);
                let sources = self.catalog.sources();
                // A store without a topology is one that nobody filled yet: what serves stays.
                if !sources.topology.is_empty() && self.refused.as_deref() != Some(&sources) {
                    let was_refused = self.refused.take().is_some();
                    if was_refused || *self.sources != sources {
                        self.sources = Arc::new(sources);
                        self.due = Some("sources changed".into());
                    }
                }
                if self.state.take_drains(&self.catalog, &topology) {
                    self.sync_bits(&self.out.plan.full());
                    self.announce_drains();
                    self.due.get_or_insert_with(|| "drains changed".into());
                }
            }
        }
    }

    fn on_directory(&mut self, input: DirectoryInput) {
        match input {
            DirectoryInput::Rejected(problems) => self.reject("directory", problems),
            DirectoryInput::Sound if self.refused.is_none() => self.accept(),
            DirectoryInput::Sound => {}
        }
    }

    fn on_model(&mut self, model: Option<Arc<Artifact>>) {
        let version = model
            .as_ref()
            .map_or_else(|| "none".into(), |model| model.id());
        tracing::info!(%version, "model changed");
        self.emit(Event::ModelChanged { version });
        self.state.model = model;
        self.due = Some("model changed".into());
    }

    fn on_geo(&mut self, news: GeoNews) {
        self.stale = true;
        self.geo_problem = news.problem;
        let Some(base) = news.base else { return };
        if self
            .base
            .as_ref()
            .is_none_or(|known| !Arc::ptr_eq(known, &base))
        {
            self.base = Some(base);
            self.due = Some("class table changed".into());
        }
    }

    fn on_tick(&mut self) {
        let now = Instant::now();
        for flip in self.state.ledger.expire(now) {
            self.flip(Some(flip));
        }
        self.stale |= self.state.ledger.settle(now);
        let published = self.out.plan.full();
        if self.ramps_due || self.state.is_ramping() {
            self.ramps_due = false;
            self.move_ramps(&published, now);
        }
        let elapsed = now.duration_since(self.load_taken);
        if elapsed >= LOAD_PERIOD {
            self.load_taken = now;
            if self.state.take_load(&published, elapsed.as_secs_f64()) {
                self.due.get_or_insert_with(|| "load moved".into());
            }
        }
        if now.duration_since(self.compiled_at) >= RECOMPILE_PERIOD {
            self.due.get_or_insert_with(|| "time passed".into());
        }
    }

    fn move_ramps(&mut self, published: &Published, now: Instant) {
        for (region, share) in self.state.move_ramps(published, now) {
            self.stale = true;
            published.bits.set_region_ramp(region, share);
        }
    }

    /// Carries an effective change out: bits first, words afterwards.
    fn flip(&mut self, flip: Option<Flip>) {
        let Some(flip) = flip else { return };
        let state = if flip.serves {
            EndpointState::Up
        } else {
            EndpointState::Down
        };
        let at = unix_seconds();
        self.state.changed.insert(flip.endpoint.clone(), at);
        self.recent.retain(|plan| plan.strong_count() > 0);
        for published in self.recent.iter().filter_map(Weak::upgrade) {
            set_endpoint(&published, &flip.endpoint, state, at);
        }
        let published = self.out.plan.full();
        self.move_ramps(&published, Instant::now());
        self.stale = true;
        let region = region_of(&published.world.topology, &flip.endpoint);
        let Flip {
            endpoint,
            serves,
            cause,
        } = flip;
        tracing::warn!(%endpoint, %region, serves, %cause, "endpoint changed state");
        let topology = &published.world.topology;
        if let Some(index) = topology.endpoint(&endpoint) {
            let known = &topology.endpoints[index.index()];
            let ledger = &self.state.ledger;
            self.out
                .metrics
                .flipped(topology, known, serves, |id| ledger.serves(id));
        }
        self.out
            .health
            .send_replace(Arc::new(self.state.health(&published.world.topology)));
        self.emit(Event::EndpointFlipped {
            endpoint: endpoint.to_string(),
            region,
            serves,
            cause,
        });
    }

    /// Brings every bit of `published` to what is known now.
    fn sync_bits(&self, published: &Published) {
        let topology = &published.world.topology;
        for (at, endpoint) in topology.endpoints.iter().enumerate() {
            let Some(index) = EndpointIdx::from_index(at) else {
                return;
            };
            let drained = endpoint.drain.is_draining()
                || self.state.admin.drained_endpoints.contains(&endpoint.id);
            let state = if self.state.ledger.serves(&endpoint.id) {
                EndpointState::Up
            } else {
                EndpointState::Down
            };
            published.bits.set_endpoint(&published.plan, index, state);
            if let Some(changed) = self.state.changed.get(&endpoint.id) {
                published.bits.note_change(&published.plan, index, *changed);
            }
            published
                .bits
                .set_endpoint_drain(&published.plan, index, drain(drained));
        }
        for (at, region) in topology.regions.iter().enumerate() {
            let Some(index) = RegionIdx::from_index(at) else {
                return;
            };
            let drained =
                region.drain.is_draining() || self.state.admin.drained_regions.contains(&region.id);
            published
                .bits
                .set_region_drain(&published.plan, index, drain(drained));
            published
                .bits
                .set_region_ramp(index, self.state.share(&region.id));
        }
    }

    fn start_compile(&mut self) {
        if self.compiling.is_some() {
            return;
        }
        let Some(why) = self.due.take() else { return };
        self.running = why;
        self.tried = Arc::clone(&self.sources);
        self.tried_base = self.base.clone();
        let published = self.out.plan.full();
        let job = Job {
            sources: Arc::clone(&self.sources),
            node: self.constants.node.clone(),
            geo: Arc::clone(&self.constants.geo),
            base: self.base.clone(),
            model: self.state.model.clone(),
            health: self.state.health(&published.world.topology),
            load: self.state.load(),
            admin: self.state.admin.clone(),
            time: minute_of_day(),
            sequence: published.sequence + 1,
            reusable: self.reusable.clone(),
        };
        self.compiling = Some(tokio::task::spawn_blocking(move || job.run()));
    }

    fn on_built(&mut self, built: Result<Built, BuildError>) {
        match built {
            Ok(built) => self.publish(built),
            Err(error) => self.refuse(&error),
        }
    }

    /// Goes back to the texts that compiled last, so that drains, models and load still reach the plan.
    fn refuse(&mut self, error: &BuildError) {
        self.compiled_at = Instant::now();
        let good_base = self.reusable.base();
        if let BuildError::Geo(problem) = error
            && !is_same(self.tried_base.as_ref(), good_base)
        {
            // Not the texts are wrong but the table that came in: back to the one before.
            self.geo_problem = Some(geo::words(problem));
            self.base = good_base.cloned();
            self.stale = true;
            let why = self.running.clone();
            self.due.get_or_insert(why);
            return;
        }
        if let Some(good) = self.reusable.sources().cloned()
            && good != self.tried
            && Arc::ptr_eq(&self.sources, &self.tried)
        {
            self.refused = Some(std::mem::replace(&mut self.sources, good));
            // The compile may also have carried a drain or a model.
            let why = self.running.clone();
            self.due.get_or_insert(why);
        }
        self.reject("store", error.to_string());
    }

    fn publish(&mut self, built: Built) {
        let mut published = built.published;
        let old = self.out.plan.full();
        if Arc::ptr_eq(&old.world.topology, &published.world.topology) {
            // Nothing counted since the last look is lost, nor what views of the old plan still count.
            published.meter = Arc::clone(&old.meter);
        }
        let published = Arc::new(published);
        let topology = Arc::clone(&published.world.topology);
        self.state.retain(&topology);
        if self.state.take_drains(&self.catalog, &topology) {
            self.due.get_or_insert_with(|| "drains changed".into());
        }
        self.sync_bits(&published);
        self.recent.push(Arc::downgrade(&published));
        self.out.plan.publish(Arc::clone(&published));
        self.out.targets.send_if_modified(|known| {
            let wanted = targets(&topology);
            let changed = **known != wanted;
            if changed {
                *known = Arc::new(wanted);
            }
            changed
        });
        let used = built.reusable.base().cloned();
        // A compile may have made a base for other texts; one that came in meanwhile is newer still.
        if is_same(self.base.as_ref(), self.tried_base.as_ref()) {
            self.base = used;
        }
        self.reusable = built.reusable;
        self.compile_ms = built.took.as_secs_f64() * 1e3;
        self.compiled_at = Instant::now();
        self.out.metrics.published(built.took, &published);
        // A rejected edit of the directory is still there; only a sound one ends its rejection.
        let in_directory = matches!(
            self.sources_status,
            SourcesStatus::Rejected {
                origin: "directory",
                ..
            }
        );
        if !in_directory && self.refused.is_none() {
            self.accept();
        }
        self.save_good();
        let (sequence, generation, why) = (
            published.sequence,
            published.plan.generation(),
            self.running.clone(),
        );
        tracing::info!(sequence, generation, compile_ms = self.compile_ms, %why, "plan published");
        self.ramps_due = true;
        self.stale = true;
        self.emit(Event::PlanPublished {
            sequence,
            generation,
            why,
            compile_ms: self.compile_ms,
        });
    }

    fn accept(&mut self) {
        self.sources_status = SourcesStatus::InForce;
        self.out.metrics.sources_rejected(false);
        self.stale = true;
    }

    /// Keeps the texts of the plan in force on disk, when they changed.
    fn save_good(&mut self) {
        let good = self.reusable.sources().cloned();
        if let Some(good) = good.filter(|good| self.saved.as_ref() != Some(good)) {
            self.out.last_good.save(&good);
            self.saved = Some(good);
        }
    }

    fn reject(&mut self, origin: &'static str, problems: String) {
        tracing::error!(
            origin,
            "sources rejected; the last good plan keeps serving\n{problems}"
        );
        self.out.metrics.sources_rejected(true);
        self.sources_status = SourcesStatus::Rejected {
            origin,
            problems: problems.clone(),
        };
        self.stale = true;
        self.emit(Event::SourcesRejected { origin, problems });
    }

    fn announce_drains(&self) {
        let drains = self.catalog.drains();
        tracing::info!(active = drains.len(), "drains changed");
        self.emit(Event::DrainsChanged {
            active: drains
                .iter()
                .map(|drain| drain.target.to_string())
                .collect(),
        });
    }

    /// An event without a listener is not an error.
    fn emit(&self, event: Event) {
        let _listeners = self.out.events.send(event);
    }

    fn publish_status(&mut self) {
        self.stale = false;
        let published = self.out.plan.full();
        let facts = Facts {
            revision: self.catalog.revision.0,
            compile_ms: self.compile_ms,
            sources: self.sources_status.clone(),
            store: self.store_health.clone(),
            geo: geo_status(
                &self.out.plan,
                self.reusable.base(),
                self.geo_problem.as_deref(),
            ),
        };
        self.out.metrics.geo(&facts.geo);
        self.out
            .health
            .send_replace(Arc::new(self.state.health(&published.world.topology)));
        let status = summary::status(&published, &self.state, facts);
        let flapping = status.endpoints.iter().filter(|it| it.flapping).count();
        self.out.metrics.set_flapping(flapping);
        self.out.status.send_replace(Arc::new(status));
    }
}

/// Resolves when the running compile ends; never without one.
async fn finished(
    compiling: &mut Option<JoinHandle<Result<Built, BuildError>>>,
) -> Result<Built, BuildError> {
    let Some(handle) = compiling else {
        return std::future::pending().await;
    };
    let result = handle.await;
    *compiling = None;
    result.unwrap_or_else(|error| Err(BuildError::Panicked(error.to_string())))
}

fn is_same(a: Option<&Arc<GeoBase>>, b: Option<&Arc<GeoBase>>) -> bool {
    a.map(Arc::as_ptr) == b.map(Arc::as_ptr)
}

fn drain(drained: bool) -> Drain {
    if drained {
        Drain::Draining
    } else {
        Drain::Serving
    }
}

fn set_endpoint(published: &Published, endpoint: &EndpointId, state: EndpointState, at: u32) {
    if let Some(index) = published.world.topology.endpoint(endpoint) {
        // The time first: nobody keeps the answer of a moment ago for long because it came between.
        published.bits.note_change(&published.plan, index, at);
        published.bits.set_endpoint(&published.plan, index, state);
    }
}

/// Seconds since 1970; 32 bits last until 2106.
fn unix_seconds() -> u32 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs() as u32
}

fn region_of(topology: &Topology, endpoint: &EndpointId) -> String {
    let found = topology
        .endpoints
        .iter()
        .find(|known| known.id == *endpoint);
    found.map_or_else(String::new, |endpoint| {
        topology.regions[endpoint.region.index()].id.to_string()
    })
}

pub(crate) fn minute_of_day() -> MinuteOfDay {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    MinuteOfDay::from_unix_seconds(since.as_secs())
}
