//! The demo's world: a deployment directory made from the example, a model trained on the spot,
//! origins on loopback, and the node that serves it all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use meridian_live::read_directory;

use crate::config::Deployment;
use crate::demo::etcd::EtcdCluster;
use crate::demo::origins::Origins;
use crate::failure::Failure;
use crate::serve::Node;

/// The example that the demo runs, as it stands in `config/examples/demo`.
const FILES: &[(&str, &str)] = &[
    (
        "topology.yaml",
        include_str!("../../../config/examples/demo/topology.yaml"),
    ),
    (
        "meridian.yaml",
        include_str!("../../../config/examples/demo/meridian.yaml"),
    ),
    (
        "policies/shop.yaml",
        include_str!("../../../config/examples/demo/policies/shop.yaml"),
    ),
    (
        "policies/eu-only.yaml",
        include_str!("../../../config/examples/demo/policies/eu-only.yaml"),
    ),
    (
        "policies/cheapest-within-slo.yaml",
        include_str!("../../../config/examples/demo/policies/cheapest-within-slo.yaml"),
    ),
    (
        "policies/latency-first.yaml",
        include_str!("../../../config/examples/demo/policies/latency-first.yaml"),
    ),
];

/// Which store keeps the demo's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum StoreKind {
    /// One file in the demo's folder.
    Embedded,
    /// Three local etcd nodes, started for the demo.
    Etcd,
}

/// Where the demo listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ports {
    /// The default ports of the product, for people.
    Default,
    /// Any free ports, for checks beside whatever else runs here.
    Free,
}

/// Everything that runs.
pub struct DemoWorld {
    /// The deployment directory.
    pub folder: PathBuf,
    /// The servers that stand for backends.
    pub origins: Origins,
    /// Meridian.
    pub node: Node,
    /// What the model's training said, one line.
    pub model: String,
    etcd: Option<EtcdCluster>,
}

impl DemoWorld {
    /// Writes the deployment into `folder`, trains, and starts everything.
    pub async fn start(folder: &Path, store: StoreKind, ports: Ports) -> Result<Self, Failure> {
        write_files(folder)?;
        let etcd = match store {
            StoreKind::Embedded => None,
            StoreKind::Etcd => Some(EtcdCluster::start(&folder.join("etcd")).await?),
        };
        let mut deployment = Deployment::read(folder)?;
        if ports == Ports::Free {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            deployment.node.dns.listen = vec![any];
            deployment.node.http.listen = vec![any];
            deployment.node.admin.listen = any;
        }
        if let Some(etcd) = &etcd {
            deployment.node.store = etcd.store_config();
        }
        let model = crate::commands::models::train_for(&deployment.node.models)?;
        let sources = read_directory(folder)?;
        let meaning = sources
            .read(deployment.intent.as_deref())
            .map_err(Failure::other)?;
        let origins = Origins::start(&meaning.topology)
            .await
            .map_err(Failure::other)?;
        let node = Node::start(&deployment).await?;
        Ok(Self {
            folder: folder.to_path_buf(),
            origins,
            node,
            model,
            etcd,
        })
    }

    /// The first address that `room` listens on.
    pub fn address(&self, room: &str) -> Result<SocketAddr, Failure> {
        let found = self.node.listeners.iter().filter(|(name, _)| *name == room);
        found
            .filter_map(|(_, address)| address.parse().ok())
            .next()
            .ok_or_else(|| Failure::other(format!("{room} does not listen")))
    }

    /// Replaces a policy file, as an editor would.
    pub fn edit(&self, file: &str, text: &str) -> Result<(), Failure> {
        let path = self.folder.join(file);
        std::fs::write(&path, text).map_err(Failure::at(&path))
    }

    /// Stops the node, then the origins, then the store.
    pub async fn stop(mut self) {
        self.node.stop().await;
        self.origins.stop().await;
        if let Some(etcd) = self.etcd {
            etcd.stop().await;
        }
    }
}

fn write_files(folder: &Path) -> Result<(), Failure> {
    for (name, text) in FILES {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).map_err(Failure::at(parent))?;
        std::fs::write(&path, text).map_err(Failure::at(&path))?;
    }
    Ok(())
}
