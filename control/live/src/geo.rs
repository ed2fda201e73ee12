//! Who asks, on a running node: the base class table in force, and how the next one comes in.
//!
//! The base is everything but the topology's client groups: a file that `meridian geo build` made, or
//! what the node makes of the sources itself. [`GeoFeed`] looks at the files' stamps; when they have
//! changed and rested for a moment it verifies the table, or rebuilds it from its sources, on a blocking
//! thread and hands it to the writer, which lays the groups over it and compiles. What cannot be used
//! changes nothing: the last good base stays, and the status says why. A copy of a good table is kept in
//! the state folder, for a node that starts while the file is damaged.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use meridian_engine::{PolicySet, World};
use meridian_geo::{GRID_DEGREES, GeoError, Stamp, Table, build_table, stamps};
use meridian_topology::model::Location;
use meridian_topology::{RegionId, Topology};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::build::GeoSources;
use crate::published::PlanHandle;
use crate::status::GeoStatus;

/// How often the files' stamps are looked at; a change must rest for as long.
const GEO_PERIOD: Duration = Duration::from_millis(500);
/// The copy of the last good table in the state folder.
const LAST_GOOD: &str = "last-good.geo";

/// What never changes while the process runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct GeoSetup {
    pub sources: GeoSources,
    /// The state folder.
    pub state: Option<PathBuf>,
}

impl GeoSetup {
    fn last_good(&self) -> Option<PathBuf> {
        Some(self.state.as_ref()?.join(LAST_GOOD))
    }
}

/// A base class table and what it was made for.
#[derive(Debug)]
pub(crate) struct GeoBase {
    pub table: Table,
    /// How long building or loading it took.
    pub took: Duration,
    /// What is wrong with the file that it should have come from.
    pub problem: Option<String>,
    needs: Needs,
}

/// What of policies and topology the base depends on.
#[derive(Debug, Clone, Default, PartialEq)]
struct Needs {
    asns: BTreeSet<u32>,
    /// Regions, where sources name some.
    regions: Vec<(RegionId, Location)>,
}

impl Needs {
    fn of(sources: &GeoSources, topology: &Topology, policies: &PolicySet) -> Self {
        if sources.table.is_some() {
            return Self::default();
        }
        let names_regions = !sources.providers.is_empty() || !sources.overrides.is_empty();
        let regions = topology.regions.iter().filter(|_| names_regions);
        Self {
            asns: policies.asns(),
            regions: regions
                .map(|region| (region.id.clone(), region.location.clone()))
                .collect(),
        }
    }
}

impl GeoBase {
    /// Loads the table, or makes it of its sources. Reads files: call it from where blocking is fine.
    pub fn make(
        setup: &GeoSetup,
        topology: &Topology,
        policies: &PolicySet,
    ) -> Result<Self, GeoError> {
        let started = Instant::now();
        let needs = Needs::of(&setup.sources, topology, policies);
        let table = match &setup.sources.table {
            Some(path) => {
                let table = Table::open(path)?;
                keep_copy(setup, &table);
                table
            }
            None => {
                let sources = GeoSources {
                    asns: needs.asns.clone(),
                    ..setup.sources.clone()
                };
                let now = SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .unwrap_or_default();
                build_table(topology, &sources, GRID_DEGREES[0], now.as_secs())?
            }
        };
        Ok(Self {
            table,
            took: started.elapsed(),
            problem: None,
            needs,
        })
    }

    /// The same at start, when there is no last good base in memory: the copy in the state folder
    /// stands in for a table that cannot be used.
    pub fn first(
        setup: &GeoSetup,
        topology: &Topology,
        policies: &PolicySet,
    ) -> Result<Self, GeoError> {
        let started = Instant::now();
        Self::make(setup, topology, policies).or_else(|error| {
            let copy = setup.sources.table.as_ref().and_then(|_| setup.last_good());
            let Some(Ok(table)) = copy.map(|path| Table::open(&path)) else {
                return Err(error);
            };
            let problem = words(&error);
            tracing::error!(%problem, "starting with the last good class table");
            Ok(Self {
                table,
                took: started.elapsed(),
                problem: Some(problem),
                needs: Needs::default(),
            })
        })
    }

    /// Whether it tells apart what these texts need, its files aside.
    pub fn fits(&self, setup: &GeoSetup, topology: &Topology, policies: &PolicySet) -> bool {
        self.needs == Needs::of(&setup.sources, topology, policies)
    }

    /// For the status.
    pub fn status(&self, world: &World, problem: Option<&str>) -> GeoStatus {
        let (about, classes) = (&self.table.about, &world.classes);
        let (ranges_v4, ranges_v6) = classes.range_counts();
        let named = world.policies.asns().into_iter();
        GeoStatus {
            id: self.table.id.clone(),
            built_unix_seconds: about.built_unix_seconds,
            took_ms: self.took.as_secs_f64() * 1e3,
            bytes: self.table.bytes,
            memory_bytes: classes.memory_bytes(),
            classes: classes.classes().len(),
            ranges_v4,
            ranges_v6,
            grid_degrees: about.grid_degrees,
            sources: about.sources.clone(),
            missing_asns: named.filter(|asn| !about.asns.contains(asn)).collect(),
            problem: problem.or(self.problem.as_deref()).map(str::to_owned),
        }
    }
}

/// Keeps a copy of a table that turned out good; a failure is logged, serving goes on without it.
fn keep_copy(setup: &GeoSetup, table: &Table) {
    let Some(copy) = setup.last_good() else {
        return;
    };
    if let Err(error) = table.save(&copy) {
        tracing::warn!(%error, "the last good class table could not be kept");
    }
}

/// An error and its causes in one line.
pub(crate) fn words(error: &GeoError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// What the feed has to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct GeoNews {
    /// The newest good base since the start; `None` while nothing has changed.
    pub base: Option<Arc<GeoBase>>,
    /// Why the newest files cannot be used.
    pub problem: Option<String>,
}

/// Follows the files; see the module's comment.
pub(crate) struct GeoFeed {
    setup: Arc<GeoSetup>,
    /// The stamps of what was read last, good or not.
    read: Vec<Stamp>,
    news: watch::Sender<GeoNews>,
}

impl GeoFeed {
    /// Notes the files as they are; call it before they are first read.
    pub fn new(setup: Arc<GeoSetup>) -> Self {
        Self {
            read: stamps(&setup.sources),
            setup,
            news: watch::Sender::new(GeoNews::default()),
        }
    }

    /// Learns of each new base and each refusal.
    pub fn subscribe(&self) -> watch::Receiver<GeoNews> {
        self.news.subscribe()
    }

    /// Works until `shutdown`.
    pub async fn run(mut self, plan: PlanHandle, shutdown: CancellationToken) {
        let mut period = tokio::time::interval(GEO_PERIOD);
        let mut seen = self.read.clone();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = period.tick() => {}
            }
            let now = stamps(&self.setup.sources);
            let rested = now == seen;
            if !rested {
                seen = now;
            } else if now != self.read {
                self.read = now;
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    () = self.take_in(&plan) => {}
                }
            }
        }
    }

    async fn take_in(&self, plan: &PlanHandle) {
        let (setup, world) = (Arc::clone(&self.setup), Arc::clone(&plan.load().world));
        let made = tokio::task::spawn_blocking(move || {
            GeoBase::make(&setup, &world.topology, &world.policies).map_err(|error| words(&error))
        });
        match made.await.unwrap_or_else(|error| Err(error.to_string())) {
            Ok(base) => {
                let (id, took) = (base.table.id.as_deref().unwrap_or("-"), base.took);
                tracing::info!(id, ?took, "new class table");
                self.news.send_replace(GeoNews {
                    base: Some(Arc::new(base)),
                    problem: None,
                });
            }
            Err(problem) => {
                tracing::error!(%problem, "the class table is refused; the last good one stays");
                self.news.send_modify(|news| news.problem = Some(problem));
            }
        }
    }
}
