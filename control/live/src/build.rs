//! One compile as a job of its own: texts to meaning, meaning to world, world to plan.
//!
//! Runs on a blocking thread. It reads only what it was given, so the writer goes on
//! flipping health bits meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use meridian_engine::{AdminState, ClassTable, Health, Load, MinuteOfDay, ScoreTable, World};
use meridian_geo::{GeoError, with_groups};
use meridian_score::{Artifact, score_table};
use meridian_topology::{ClientGroup, Problems, Topology};

use crate::geo::{self, GeoBase, GeoSetup};
use crate::published::Published;
use crate::sources::{Meaning, NodeIntent, Sources};

/// Files that tell more about addresses than the embedded registry data.
pub use meridian_geo::Sources as GeoSources;

/// What can be used again while its inputs stay the same: each is dear to make.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reusable {
    meaning: Option<(Arc<Sources>, Meaning)>,
    base: Option<Arc<GeoBase>>,
    classes: Option<(ClassKey, Arc<ClassTable>)>,
    scores: Option<(ScoreKey, Arc<ScoreTable>)>,
}

impl Reusable {
    /// The texts of the last compile that succeeded.
    pub fn sources(&self) -> Option<&Arc<Sources>> {
        self.meaning.as_ref().map(|(sources, _)| sources)
    }

    /// The base class table of the last compile that succeeded.
    pub fn base(&self) -> Option<&Arc<GeoBase>> {
        self.base.as_ref()
    }
}

/// What a class table depends on.
#[derive(Debug, Clone)]
struct ClassKey {
    base: Arc<GeoBase>,
    groups: Vec<ClientGroup>,
}

impl ClassKey {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.base, &other.base) && self.groups == other.groups
    }
}

/// What a score table depends on.
#[derive(Debug, Clone)]
struct ScoreKey {
    model: Arc<Artifact>,
    classes: Arc<ClassTable>,
    topology: Arc<Topology>,
}

impl ScoreKey {
    fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.model, &other.model)
            && Arc::ptr_eq(&self.classes, &other.classes)
            && Arc::ptr_eq(&self.topology, &other.topology)
    }
}

/// The inputs of one compile.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub sources: Arc<Sources>,
    pub node: Option<Arc<NodeIntent>>,
    pub geo: Arc<GeoSetup>,
    /// The base class table to use if it fits the texts.
    pub base: Option<Arc<GeoBase>>,
    pub model: Option<Arc<Artifact>>,
    pub health: Health,
    pub load: Load,
    pub admin: AdminState,
    pub time: MinuteOfDay,
    pub sequence: u64,
    pub reusable: Reusable,
}

/// What a compile makes.
#[derive(Debug)]
pub(crate) struct Built {
    pub published: Published,
    pub reusable: Reusable,
    pub took: Duration,
}

/// Why a compile made nothing. The last good plan keeps serving.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The texts are wrong.
    #[error("{0}")]
    Sources(Problems),
    /// The class table could not be made.
    #[error(transparent)]
    Geo(#[from] GeoError),
    /// The compile itself failed: a fault of Meridian's.
    #[error("the compile panicked: {0}; please report this with the sources")]
    Panicked(String),
}

impl Job {
    /// Does the work.
    pub fn run(mut self) -> Result<Built, BuildError> {
        let started = Instant::now();
        let meaning = self.meaning()?;
        let classes = self.classes(&meaning)?;
        let scores = self.scores(&meaning.topology, &classes);
        let mut world = World::new(meaning.topology, meaning.policies, classes);
        world.health = self.health;
        world.load = self.load;
        world.admin = self.admin;
        world.scores = scores;
        world.time = self.time;
        world.tick = self.sequence;
        let published = Published::compile(Arc::new(world), self.sequence);
        Ok(Built {
            published,
            reusable: self.reusable,
            took: started.elapsed(),
        })
    }

    fn meaning(&mut self) -> Result<Meaning, BuildError> {
        if let Some((sources, meaning)) = &self.reusable.meaning
            && *sources == self.sources
        {
            return Ok(meaning.clone());
        }
        let meaning = self
            .sources
            .read(self.node.as_deref())
            .map_err(BuildError::Sources)?;
        self.reusable.meaning = Some((Arc::clone(&self.sources), meaning.clone()));
        Ok(meaning)
    }

    /// The base class table: the one at hand, or, when texts name other autonomous systems or regions
    /// than it was made for, a new one. Files that cannot be used leave the one at hand in force.
    fn base(&mut self, meaning: &Meaning) -> Result<Arc<GeoBase>, BuildError> {
        let (topology, policies) = (&meaning.topology, &meaning.policies);
        let Some(base) = self.base.take() else {
            return Ok(Arc::new(GeoBase::first(&self.geo, topology, policies)?));
        };
        if base.fits(&self.geo, topology, policies) {
            return Ok(base);
        }
        match GeoBase::make(&self.geo, topology, policies) {
            Ok(fresh) => Ok(Arc::new(fresh)),
            Err(error) => {
                let problem = geo::words(&error);
                tracing::error!(%problem, "the class table is not made anew; the last good one stays");
                Ok(base)
            }
        }
    }

    /// The class table; autonomous systems get classes of their own when a policy names them.
    fn classes(&mut self, meaning: &Meaning) -> Result<Arc<ClassTable>, BuildError> {
        let key = ClassKey {
            base: self.base(meaning)?,
            groups: meaning.topology.client_groups.clone(),
        };
        self.reusable.base = Some(Arc::clone(&key.base));
        if let Some((known, classes)) = &self.reusable.classes
            && known.is(&key)
        {
            return Ok(Arc::clone(classes));
        }
        let classes = with_groups(&key.base.table.classes, &meaning.topology);
        let classes = match classes {
            // What the node makes of sources itself may be made on a coarser grid.
            Err(GeoError::TooManyGroups { .. }) if self.geo.sources.table.is_none() => {
                let sources = GeoSources {
                    asns: meaning.policies.asns(),
                    ..self.geo.sources.clone()
                };
                meridian_geo::build(&meaning.topology, &sources)?
            }
            other => other?,
        };
        self.reusable.classes = Some((key, Arc::clone(&classes)));
        Ok(classes)
    }

    /// Scores of the promoted model; a model that does not fit is left out, loudly (invariant 6).
    fn scores(
        &mut self,
        topology: &Arc<Topology>,
        classes: &Arc<ClassTable>,
    ) -> Option<Arc<ScoreTable>> {
        let model = self.model.clone()?;
        let key = ScoreKey {
            model,
            classes: Arc::clone(classes),
            topology: Arc::clone(topology),
        };
        if let Some((known, scores)) = &self.reusable.scores
            && known.is(&key)
        {
            return Some(Arc::clone(scores));
        }
        match score_table(&key.model, classes, topology) {
            Ok(scores) => {
                let scores = Arc::new(scores);
                self.reusable.scores = Some((key, Arc::clone(&scores)));
                Some(scores)
            }
            Err(error) => {
                tracing::error!(%error, "the model cannot score this topology; deciding by distance");
                None
            }
        }
    }
}
