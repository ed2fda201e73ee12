//! The texts that admins write, and what they mean together.

use std::sync::Arc;

use meridian_engine::PolicySet;
use meridian_topology::door::Source;
use meridian_topology::raw::RawMultiRegion;
use meridian_topology::{NodeBlock, Problems, SourceFile, Topology};
use serde::{Deserialize, Serialize};

/// Every YAML text of a deployment, ordered by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
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

/// The `multi_region_config` block of this node's `meridian.yaml`: it bears on the topology, but
/// belongs to the node and never enters the store.
#[derive(Debug, Clone)]
pub struct NodeIntent {
    /// `meridian.yaml`.
    pub source: Source,
    /// The block.
    pub block: RawMultiRegion,
}

impl Sources {
    /// Parses and validates everything, together with what `meridian.yaml` says of all regions.
    ///
    /// # Errors
    /// All problems found in the topology, or, when it is sound, in the policies.
    pub fn read(&self, node: Option<&NodeIntent>) -> Result<Meaning, Problems> {
        let node = node.map(|node| NodeBlock {
            source: &node.source,
            block: &node.block,
        });
        let topology = Topology::parse_with(&self.topology, node)?;
        let policies = PolicySet::parse(&self.policies, &topology)?;
        Ok(Meaning {
            topology: Arc::new(topology),
            policies: Arc::new(policies),
        })
    }

    /// A digest of names and texts: equal for equal content.
    pub fn digest(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for file in self.files() {
            for part in [&file.name, &file.text] {
                // The length keeps two adjacent parts from being read as others.
                hasher.update(&part.len().to_le_bytes());
                hasher.update(part.as_bytes());
            }
        }
        hasher.finalize()
    }

    /// Topology and policy files together.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.topology.iter().chain(&self.policies)
    }
}
