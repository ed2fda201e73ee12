//! Three real etcd nodes on loopback, for `meridian demo --store etcd`.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use meridian_store::{EtcdConfig, StoreConfig};
use tokio::process::{Child, Command};

use crate::failure::Failure;

const MEMBERS: usize = 3;
/// A cluster that has not elected a leader by then never will.
const START_PATIENCE: Duration = Duration::from_secs(20);

/// The running members. Dropping it kills them.
#[derive(Debug)]
pub struct EtcdCluster {
    members: Vec<Child>,
    endpoints: Vec<String>,
}

struct Member {
    name: String,
    client: String,
    peer: String,
    data: PathBuf,
}

impl EtcdCluster {
    /// Starts the members with their data under `folder` and waits until the cluster answers.
    pub async fn start(folder: &Path) -> Result<Self, Failure> {
        let plan = plan(folder)?;
        let cluster: Vec<String> = plan
            .iter()
            .map(|member| format!("{}={}", member.name, member.peer))
            .collect();
        let mut members = Vec::new();
        for member in &plan {
            members.push(spawn(member, &cluster.join(","))?);
        }
        let cluster = Self {
            members,
            endpoints: plan.into_iter().map(|member| member.client).collect(),
        };
        cluster.wait_until_ready().await?;
        Ok(cluster)
    }

    /// How the node reaches it.
    pub fn store_config(&self) -> StoreConfig {
        StoreConfig::Etcd(EtcdConfig {
            endpoints: self.endpoints.clone(),
            ..EtcdConfig::default()
        })
    }

    /// Stops every member.
    pub async fn stop(mut self) {
        for member in &mut self.members {
            // A member that is gone already needs no killing.
            let _gone = member.kill().await;
        }
    }

    async fn wait_until_ready(&self) -> Result<(), Failure> {
        let deadline = tokio::time::Instant::now() + START_PATIENCE;
        loop {
            let failure = match self.store_config().open().await {
                Ok(store) => match store.snapshot(b"/meridian/").await {
                    Ok(_) => return Ok(()),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            if tokio::time::Instant::now() > deadline {
                return Err(Failure::other(format!(
                    "etcd did not become ready: {failure}"
                )));
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

fn plan(folder: &Path) -> Result<Vec<Member>, Failure> {
    (1..=MEMBERS)
        .map(|number| {
            let name = format!("etcd-{number}");
            Ok(Member {
                client: free_url()?,
                peer: free_url()?,
                data: folder.join(&name),
                name,
            })
        })
        .collect()
}

/// A free loopback port, as etcd writes addresses.
fn free_url() -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(Failure::other)?;
    Ok(format!(
        "http://{}",
        listener.local_addr().map_err(Failure::other)?
    ))
}

fn spawn(member: &Member, cluster: &str) -> Result<Child, Failure> {
    Command::new("etcd")
        .args(["--name", &member.name, "--data-dir"])
        .arg(&member.data)
        .args([
            "--listen-client-urls",
            &member.client,
            "--advertise-client-urls",
            &member.client,
        ])
        .args([
            "--listen-peer-urls",
            &member.peer,
            "--initial-advertise-peer-urls",
            &member.peer,
        ])
        .args([
            "--initial-cluster",
            cluster,
            "--initial-cluster-state",
            "new",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| Failure::other(format!("etcd: {error}; `cargo xtask setup` installs it")))
}
