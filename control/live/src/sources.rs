//! The texts that admins write, and what they mean together.

use std::sync::Arc;

use meridian_engine::PolicySet;
use meridian_topology::{Problems, SourceFile, Topology};

/// Every YAML text of a deployment, ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// `topology.yaml` or the files of `topology/`.
    pub topology: Vec<SourceFile>,
    /// The files of `policies/`.
    pub policies: Vec<SourceFile>,
}

/// What the texts mean: validated, and consistent with each other.
#[derive(Debug, Clone)]
pub struct Meaning {
    /// What exists.
    pub topology: Arc<Topology>,
    /// How choices are made.
    pub policies: Arc<PolicySet>,
}

impl Sources {
    /// Parses and validates everything.
    ///
    /// # Errors
    /// All problems found in the topology, or, when it is sound, in the policies.
    pub fn read(&self) -> Result<Meaning, Problems> {
        let topology = Topology::parse(&self.topology)?;
        let policies = PolicySet::parse(&self.policies, &topology)?;
        Ok(Meaning { topology: Arc::new(topology), policies: Arc::new(policies) })
    }

    /// Topology and policy files together.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.topology.iter().chain(&self.policies)
    }
}
