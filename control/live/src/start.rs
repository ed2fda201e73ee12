//! Brings the writer to life: the first plan, then the tasks that feed it.
//!
//! A node starts with the best it can get: the deployment directory or the store, else
//! the last good sources on its disk. Only when none of them makes a plan does it refuse.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use meridian_engine::{AdminState, Health, Load};
use meridian_probe::{ProbeConfig, ProbeError, Prober};
use meridian_store::Store;
use meridian_telemetry::{MetricError, Metrics};
use meridian_train::RegistryError;
use tokio::sync::{Mutex, broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::build::{BuildError, GeoSources, Job, Reusable};
use crate::catalog::{Catalog, WriteError};
use crate::directory::DirectoryError;
use crate::follow::{self, ModelFeed, TakeOver};
use crate::geo::{GeoFeed, GeoSetup};
use crate::handle::{EVENTS_MAX, LiveHandle, REPORTS_MAX};
use crate::lastgood::LastGood;
use crate::metrics::LiveMetrics;
use crate::ports::{Constants, FirstPlan, Inputs, Outputs};
use crate::published::PlanHandle;
use crate::sources::{NodeIntent, Sources};
use crate::state::State;
use crate::status::SourcesStatus;
use crate::status::StoreHealth;
use crate::summary::{self, Facts, geo_status};
use crate::writer::{Writer, minute_of_day};

/// Transitions, store events and rejections that may wait for the writer.
const QUEUE_MAX: usize = 256;
/// How long a node waits for its store at start before it serves what it has.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// What `control/live` needs of the node's configuration.
#[derive(Debug, Clone, Default)]
pub struct LiveConfig {
    /// The deployment directory, taken over into the store whenever it changes.
    pub directory: Option<PathBuf>,
    /// The model registry's folder.
    pub models: Option<PathBuf>,
    /// What `meridian.yaml` says of all regions.
    pub node: Option<Arc<NodeIntent>>,
    /// Where the last good sources are kept.
    pub state: Option<PathBuf>,
    /// Files that tell more about addresses.
    pub geo: GeoSources,
    /// Health checks.
    pub probe: ProbeConfig,
}

/// Why the node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The deployment directory cannot be read or watched.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
    /// The first plan cannot be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The store refused the directory's content.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// Neither directory, store nor last good copy has a topology.
    #[error(
        "nothing to serve: {cause}; give a deployment directory or `meridian apply` one to the store"
    )]
    NothingToServe {
        /// What the store said.
        cause: String,
    },
    /// A metric name is taken.
    #[error(transparent)]
    Metric(#[from] MetricError),
    /// The prober cannot start.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The model registry cannot be opened.
    #[error(transparent)]
    Models(#[from] RegistryError),
    /// The runtime is shutting down.
    #[error("the runtime stopped while starting")]
    Stopped,
}

/// Starts everything that keeps a plan current; the tasks run on `tasks` until `shutdown`.
///
/// # Errors
/// When no first plan can be made: see [`LiveError`].
pub async fn start(
    config: LiveConfig,
    store: Arc<dyn Store>,
    metrics: &Metrics,
    tasks: &TaskTracker,
    shutdown: CancellationToken,
) -> Result<LiveHandle, LiveError> {
    let live_metrics = LiveMetrics::new(metrics)?;
    let last_good = LastGood::in_folder(config.state.as_deref());
    let first = first_sources(&config, &store, &last_good).await?;
    let models = ModelFeed::open(config.models.as_deref())?;
    let geo = Arc::new(GeoSetup {
        sources: config.geo.clone(),
        state: config.state.clone(),
    });
    // Before the files are read, so that what changes meanwhile is seen.
    let geo_feed = GeoFeed::new(Arc::clone(&geo));
    let (sources, job) = first_job(&config, &first, &geo, &models);
    let built = tokio::task::spawn_blocking(move || job.run())
        .await
        .map_err(|_| LiveError::Stopped)??;

    let plan = PlanHandle::new(built.published);
    live_metrics.published(built.took, &plan.load());
    let geo_status = geo_status(&plan, built.reusable.base(), None);
    live_metrics.geo(&geo_status);
    let facts = Facts {
        geo: geo_status,
        revision: first.catalog.revision.0,
        compile_ms: built.took.as_secs_f64() * 1e3,
        sources: first.status.clone(),
        store: StoreHealth::Following,
    };
    let status = watch::Sender::new(Arc::new(summary::status(
        &plan.load(),
        &State::default(),
        facts,
    )));
    let health = watch::Sender::new(Arc::new(Health::default()));
    let events = broadcast::Sender::new(EVENTS_MAX);
    let targets = watch::Sender::new(Arc::default());
    let (to_store, from_store) = mpsc::channel(QUEUE_MAX);
    let (directory_says, from_directory) = mpsc::channel(QUEUE_MAX);
    let (reports, reports_in) = mpsc::channel(REPORTS_MAX);
    let (transitions, transitions_in) = mpsc::channel(QUEUE_MAX);

    let prober = Prober::start(
        &config.probe,
        targets.subscribe(),
        transitions,
        metrics,
        shutdown.clone(),
    )?;
    let known = first.lost.is_none().then_some(first.catalog.revision);
    let take_over = if first.lost.is_some() {
        TakeOver::Due
    } else {
        TakeOver::Done
    };
    tasks.spawn(follow::store(
        Arc::clone(&store),
        known,
        to_store.clone(),
        shutdown.clone(),
    ));
    tasks.spawn(follow::store_health(
        Arc::clone(&store),
        first.lost.clone(),
        to_store,
        shutdown.clone(),
    ));
    if let Some(directory) = config.directory.clone() {
        let task = follow::Directory::watch(
            directory,
            config.node.clone(),
            Arc::clone(&store),
            directory_says,
        )?;
        tasks.spawn(task.run(take_over, shutdown.clone()));
    }
    let model_changes = models.subscribe();
    let geo_changes = geo_feed.subscribe();
    tasks.spawn(geo_feed.run(plan.clone(), shutdown.clone()));
    tasks.spawn(models.run(shutdown.clone()));

    let handle = LiveHandle {
        plan: plan.clone(),
        reports,
        reports_dropped: live_metrics.reports_dropped.clone(),
        status: status.subscribe(),
        health: health.subscribe(),
        events: events.clone(),
        store,
        node: config.node.clone(),
        probes: prober.status_reader(),
        changing: Arc::new(Mutex::new(())),
    };
    let out = Outputs {
        plan,
        status,
        health,
        events,
        targets,
        metrics: live_metrics,
        last_good,
    };
    let inputs = Inputs {
        store: from_store,
        directory: from_directory,
        transitions: transitions_in,
        reports: reports_in,
        models: model_changes,
        geo: geo_changes,
    };
    let inherited = Constants {
        node: config.node,
        geo,
    };
    let first_plan = FirstPlan {
        model: inputs.models.borrow().clone(),
        reusable: built.reusable,
        sources_status: first.status,
        store_health: first
            .lost
            .map_or(StoreHealth::Following, |cause| StoreHealth::Lost { cause }),
        took: built.took,
    };
    tasks.spawn(
        Writer::new(first.catalog, sources, inherited, first_plan, out).run(inputs, shutdown),
    );
    Ok(handle)
}

/// What the node starts from.
struct First {
    catalog: Catalog,
    sources: Sources,
    status: SourcesStatus,
    /// Why the store could not be read, if it could not.
    lost: Option<String>,
}

async fn first_sources(
    config: &LiveConfig,
    store: &Arc<dyn Store>,
    last_good: &LastGood,
) -> Result<First, LiveError> {
    let directory = match &config.directory {
        Some(folder) => Some(crate::directory::read(folder)?),
        None => None,
    };
    let read = tokio::time::timeout(STORE_PATIENCE, Catalog::read(&**store)).await;
    let catalog = match read {
        Ok(Ok(catalog)) => catalog,
        Ok(Err(error)) => return without_store(config, directory, last_good, error.to_string()),
        Err(_) => {
            return without_store(
                config,
                directory,
                last_good,
                format!("no answer within {STORE_PATIENCE:?}"),
            );
        }
    };
    let Some(directory) = directory else {
        let sources = catalog.sources();
        if sources.topology.is_empty() {
            return Err(LiveError::NothingToServe {
                cause: "the store holds no topology".into(),
            });
        }
        return Ok(First {
            catalog,
            sources,
            status: SourcesStatus::InForce,
            lost: None,
        });
    };
    match directory.read(config.node.as_deref()) {
        Ok(_) => {
            follow::take_over(&**store, &directory).await?;
            let catalog = Catalog::read(&**store).await.map_err(WriteError::from)?;
            let sources = catalog.sources();
            Ok(First {
                catalog,
                sources,
                status: SourcesStatus::InForce,
                lost: None,
            })
        }
        Err(problems) if catalog.sources().topology.is_empty() => {
            Err(BuildError::Sources(problems).into())
        }
        Err(problems) => {
            let status = SourcesStatus::Rejected {
                origin: "directory",
                problems: problems.to_string(),
            };
            let sources = catalog.sources();
            Ok(First {
                catalog,
                sources,
                status,
                lost: None,
            })
        }
    }
}

/// Static stability: the store is away, the node serves all the same.
fn without_store(
    config: &LiveConfig,
    directory: Option<Sources>,
    last_good: &LastGood,
    cause: String,
) -> Result<First, LiveError> {
    let sound = directory.filter(|sources| sources.read(config.node.as_deref()).is_ok());
    let Some(sources) = sound.or_else(|| last_good.load()) else {
        return Err(LiveError::NothingToServe { cause });
    };
    tracing::warn!(%cause, "starting without the store");
    Ok(First {
        catalog: Catalog::default(),
        sources,
        status: SourcesStatus::InForce,
        lost: Some(cause),
    })
}

fn first_job(
    config: &LiveConfig,
    first: &First,
    geo: &Arc<GeoSetup>,
    models: &ModelFeed,
) -> (Arc<Sources>, Job) {
    let sources = Arc::new(first.sources.clone());
    let job = Job {
        sources: Arc::clone(&sources),
        node: config.node.clone(),
        geo: Arc::clone(geo),
        base: None,
        model: models.current(),
        health: Health::default(),
        load: Load::default(),
        admin: AdminState::default(),
        time: minute_of_day(),
        sequence: 1,
        reusable: Reusable::default(),
    };
    (sources, job)
}
