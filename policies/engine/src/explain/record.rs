//! The recorder behind explanations: regions by name, reasons as sentences.

use meridian_topology::{RegionIdx, Topology};

use super::{Dropped, ExplainedStage, Scored};
use crate::recorder::{Drop, Recorder, Stage};

/// Collects what the stages say.
pub(super) struct Recording<'t> {
    topology: &'t Topology,
    stages: Vec<ExplainedStage>,
}

impl<'t> Recording<'t> {
    pub fn new(topology: &'t Topology) -> Self {
        Self {
            topology,
            stages: Vec::new(),
        }
    }

    pub fn finish(self) -> Vec<ExplainedStage> {
        self.stages
    }

    fn id(&self, region: RegionIdx) -> meridian_topology::RegionId {
        self.topology.regions[region.index()].id.clone()
    }

    fn current(&mut self) -> &mut ExplainedStage {
        if self.stages.is_empty() {
            self.stages.push(ExplainedStage::default());
        }
        let last = self.stages.len() - 1;
        &mut self.stages[last]
    }
}

impl Recorder for Recording<'_> {
    fn stage(&mut self, stage: Stage) {
        let name = match stage {
            Stage::Eligible => "eligible",
            Stage::Healthy => "healthy",
            Stage::Room => "room",
            Stage::Score => "score",
            Stage::Spread => "spread",
        };
        self.stages.push(ExplainedStage {
            name: name.to_owned(),
            ..ExplainedStage::default()
        });
    }

    fn keep(&mut self, region: RegionIdx) {
        let id = self.id(region);
        self.current().kept.push(id);
    }

    fn drop(&mut self, region: RegionIdx, reason: Drop<'_>) {
        let dropped = Dropped {
            id: self.id(region),
            reason: sentence(&reason),
        };
        self.current().dropped.push(dropped);
    }

    fn score(
        &mut self,
        region: RegionIdx,
        selector: &'static str,
        value: f64,
        weight: f64,
        contribution: f64,
    ) {
        let scored = Scored {
            id: self.id(region),
            selector: selector.to_owned(),
            value,
            weight,
            contribution,
            bias: None,
        };
        self.current().scores.push(scored);
    }

    fn biased(&mut self, bias: i8) {
        if let Some(last) = self.current().scores.last_mut() {
            last.bias = Some(bias);
        }
    }
}

fn sentence(reason: &Drop<'_>) -> String {
    match reason {
        Drop::NotServed => "no endpoint here serves this service".to_owned(),
        Drop::Outside => "outside the places that compliance allows".to_owned(),
        Drop::Forbidden => "its provider is forbidden".to_owned(),
        Drop::Labels(labels) => format!("no endpoint here has {}", labels.join(" and ")),
        Drop::NotAmong => "not among the regions that are named for this client".to_owned(),
        Drop::Never => "never for this client".to_owned(),
        Drop::Dead { live: 0, of, .. } => format!("none of {of} endpoints is available"),
        Drop::Dead { live, of, min } if live < min => {
            format!("only {live} of {of} endpoints are available, fewer than {min}")
        }
        Drop::Dead { live, of, .. } => {
            format!("only {live} of {of} endpoints are available, below the panic threshold")
        }
        Drop::Drained => "drained".to_owned(),
        Drop::Full { utilization, max } => {
            format!(
                "{:.0}% of capacity used, the maximum is {:.0}%",
                utilization * 100.0,
                max * 100.0
            )
        }
        Drop::StandsIn(place) => format!("stand-in number {place}"),
        Drop::LastResort => "only as a last resort: beyond its capacity".to_owned(),
        Drop::BeyondRoute => "behind the last place of the route".to_owned(),
    }
}
