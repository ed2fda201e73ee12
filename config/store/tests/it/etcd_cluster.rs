//! Real etcd members from Debian's `etcd-server`, on loopback, to be killed, frozen and restarted.

use std::{
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use meridian_store::{Etcd, EtcdConfig, Revision, Store, Txn};
use tempfile::TempDir;

use crate::follower::PATIENCE;

/// Where etcd is, or `None` after saying so; in CI its absence is a failure.
pub fn etcd_binary() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .map(|dir| dir.join("etcd"))
        .find(|file| file.is_file());
    if found.is_none() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "etcd is not installed (Debian: etcd-server)");
        eprintln!("SKIP: etcd is not installed (Debian: etcd-server)");
    }
    found
}

/// A cluster; its processes end with it.
pub struct Cluster {
    members: Vec<Member>,
    _dir: TempDir,
}

struct Member {
    command: Command,
    process: Option<Child>,
    client_url: String,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Member {
    fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have died by itself; either way it is reaped.
            let _ = process.kill();
            let _ = process.wait();
        }
    }

    fn start(&mut self) {
        self.process = Some(self.command.spawn().unwrap());
    }
}

impl Cluster {
    /// Starts `size` members and waits until they take writes. A port taken by someone else in
    /// between means a new attempt with new ports.
    pub async fn start(binary: &Path, size: usize) -> Self {
        Self::start_with(binary, size, "http", |command| command).await
    }

    /// The same, with more arguments from `extend`, which is given each member's command.
    pub async fn start_with(
        binary: &Path,
        size: usize,
        scheme: &str,
        extend: impl Fn(Command) -> Command,
    ) -> Self {
        for _ in 0..5 {
            // Memory when there is some to be had: other tests keep the disk busy.
            let dir = tempfile::tempdir_in("/dev/shm")
                .or_else(|_| tempfile::tempdir())
                .unwrap();
            let ports = free_ports(size * 2);
            let (client_ports, peer_ports) = ports.split_at(size);
            let everyone: Vec<String> = peer_ports
                .iter()
                .enumerate()
                .map(|(n, port)| format!("m{n}=http://127.0.0.1:{port}"))
                .collect();
            let members = (0..size).map(|n| {
                let client_url = format!("{scheme}://127.0.0.1:{}", client_ports[n]);
                let peer_url = format!("http://127.0.0.1:{}", peer_ports[n]);
                let mut command = Command::new(binary);
                command
                    .args(["--name", &format!("m{n}")])
                    .arg("--data-dir")
                    .arg(dir.path().join(format!("m{n}")))
                    .args(["--listen-client-urls", &client_url])
                    .args(["--advertise-client-urls", &client_url])
                    .args(["--listen-peer-urls", &peer_url])
                    .args(["--initial-advertise-peer-urls", &peer_url])
                    .args(["--initial-cluster", &everyone.join(",")])
                    .args(["--log-level", "error"])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null());
                let mut member = Member {
                    command: extend(command),
                    process: None,
                    client_url,
                };
                member.start();
                member
            });
            let mut cluster = Self {
                members: members.collect(),
                _dir: dir,
            };
            // etcd opens its ports before anything else, so a taken one shows at once.
            tokio::time::sleep(Duration::from_millis(500)).await;
            if cluster.all_run() {
                return cluster;
            }
        }
        panic!("etcd does not start");
    }

    fn all_run(&mut self) -> bool {
        self.members.iter_mut().all(|member| {
            let process = member.process.as_mut().unwrap();
            process.try_wait().unwrap().is_none()
        })
    }

    pub fn config(&self) -> EtcdConfig {
        EtcdConfig {
            endpoints: self.members.iter().map(|m| m.client_url.clone()).collect(),
            ..EtcdConfig::default()
        }
    }

    /// A store on the cluster, once that takes writes.
    pub async fn store(&self) -> Etcd {
        let store = Etcd::connect(&self.config()).await.unwrap();
        ready(&store).await;
        store
    }

    pub fn kill(&mut self, member: usize) {
        self.members[member].kill();
    }

    pub fn restart(&mut self, member: usize) {
        self.members[member].kill();
        self.members[member].start();
    }

    /// Stops a member where it is: its connections stay open and silent.
    pub fn freeze(&self, member: usize) {
        self.signal(member, "-STOP");
    }

    pub fn thaw(&self, member: usize) {
        self.signal(member, "-CONT");
    }

    fn signal(&self, member: usize, signal: &str) {
        let pid = self.members[member].process.as_ref().unwrap().id();
        let done = Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .unwrap();
        assert!(done.success());
    }

    /// Forgets all history up to `revision`, by way of one member. What the store itself never
    /// does, hence the plain client.
    pub async fn compact(&self, member: usize, revision: Revision) {
        let url = &self.members[member].client_url;
        let mut client = etcd_client::Client::connect([url], None).await.unwrap();
        let revision = i64::try_from(revision.0).unwrap();
        client.compact(revision, None).await.unwrap();
    }
}

/// Waits until the store takes writes.
pub async fn ready(store: &dyn Store) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while let Err(error) = store.commit(Txn::new().put("/ready", "")).await {
        assert!(tokio::time::Instant::now() < deadline, "{error}");
    }
}

/// Ports nobody listens on at this moment.
fn free_ports(count: usize) -> Vec<u16> {
    let listeners: Vec<TcpListener> = (0..count)
        .map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap())
        .collect();
    listeners
        .iter()
        .map(|listener| listener.local_addr().unwrap().port())
        .collect()
}
