//! The etcd engine on real members: the contract, a watch through every kind of loss, TLS and
//! passwords.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use meridian_store::{
    Etcd, EtcdConfig, EtcdTls, Retry, Revision, Store, StoreError, Txn, TxnOutcome, WatchEvent,
};

use crate::{
    contract::{self, Fixture},
    etcd_cluster::{Cluster, etcd_binary, ready},
    follower::{Follower, PATIENCE},
};

struct Remote {
    store: Arc<dyn Store>,
    cluster: Cluster,
}

#[async_trait]
impl Fixture for Remote {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    async fn compact(&self) {
        let now = self.store.status().await.unwrap().revision;
        self.cluster.compact(0, now).await;
    }
}

#[tokio::test]
async fn contract_on_three_members() {
    let Some(binary) = etcd_binary() else { return };
    let cluster = Cluster::start(&binary, 3).await;
    let store = Arc::new(cluster.store().await);
    contract::run(&Remote { store, cluster }).await;
}

/// Counts up at one key by compare-and-set, whatever happens to the cluster.
struct Writer {
    reached: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    task: tokio::task::JoinHandle<Revision>,
}

impl Writer {
    fn start(store: Arc<Etcd>) -> Self {
        let reached = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(count_up(store, Arc::clone(&reached), Arc::clone(&stop)));
        Self {
            reached,
            stop,
            task,
        }
    }

    /// Waits until `more` further writes are in.
    async fn advance(&self, more: u64) {
        let goal = self.reached.load(Ordering::SeqCst) + more;
        let deadline = Instant::now() + PATIENCE;
        while self.reached.load(Ordering::SeqCst) < goal {
            assert!(Instant::now() < deadline, "no writes get through");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn finish(self) -> (u64, Revision) {
        self.stop.store(true, Ordering::SeqCst);
        let last = self.task.await.unwrap();
        (self.reached.load(Ordering::SeqCst), last)
    }
}

async fn count_up(store: Arc<Etcd>, reached: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> Revision {
    let mut last = Revision::ZERO;
    while !stop.load(Ordering::SeqCst) {
        let next = reached.load(Ordering::SeqCst) + 1;
        let txn = match last {
            Revision::ZERO => Txn::new().expect_absent("/n"),
            last => Txn::new().expect_at("/n", last),
        };
        let in_at = match store.commit(txn.put("/n", next.to_string())).await {
            Ok(TxnOutcome::Committed { revision }) => Some(revision),
            Ok(TxnOutcome::Conflict { conflicts, .. }) => panic!("sole writer: {conflicts:?}"),
            Err(error) => match error.retry() {
                Retry::Later => None,
                Retry::CheckFirst => written(&*store, next).await,
                Retry::Never => panic!("{error}"),
            },
        };
        if let Some(revision) = in_at {
            last = revision;
            reached.store(next, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    last
}

/// Whether a write of unknown outcome is in, and where. A lost one may still be on its way, so the
/// answer counts only once it cannot arrive any more: after a write of our own.
async fn written(store: &dyn Store, value: u64) -> Option<Revision> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let fence = store.commit(Txn::new().put("/fence", "")).await;
        if fence.is_ok()
            && let Ok(found) = store.get(b"/n").await
        {
            return found
                .filter(|entry| entry.value == value.to_string().into_bytes())
                .map(|entry| entry.revision);
        }
        assert!(Instant::now() < deadline, "the cluster does not come back");
    }
}

/// How far the follower is.
#[derive(Default)]
struct Seen {
    value: AtomicU64,
    revision: AtomicU64,
}

impl Seen {
    /// Waits until the follower has seen everything written until now.
    async fn catch_up(&self, writer: &Writer) {
        let goal = writer.reached.load(Ordering::SeqCst);
        let deadline = Instant::now() + PATIENCE;
        while self.value.load(Ordering::SeqCst) < goal {
            assert!(Instant::now() < deadline, "the watch does not move on");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Follows the counter and insists on every single number; how long the longest silence was.
async fn follow_all(store: Arc<Etcd>, shown: Arc<Seen>, last: u64) -> Duration {
    let stream = store.watch(b"/n", Revision::ZERO).await.unwrap();
    let mut follower = Follower::from_stream(stream, Revision::ZERO);
    let (mut seen, mut longest) = (0, Duration::ZERO);
    while seen != last {
        let since = Instant::now();
        let batch = follower.batch().await;
        longest = longest.max(since.elapsed());
        shown.revision.store(batch.revision.0, Ordering::SeqCst);
        let value = String::from_utf8(follower.state[&b"/n"[..]].value.clone()).unwrap();
        let value: u64 = value.parse().unwrap();
        assert!(value == seen + 1 || value == last, "{value} after {seen}");
        seen = value;
        shown.value.store(seen, Ordering::SeqCst);
    }
    longest
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_watch_survives_lost_frozen_and_restarted_members() {
    /// Ends the counting; no writer gets this far.
    const END: u64 = u64::MAX;
    let Some(binary) = etcd_binary() else { return };
    let mut cluster = Cluster::start(&binary, 3).await;
    let store = Arc::new(cluster.store().await);
    let seen = Arc::new(Seen::default());
    let following = tokio::spawn(follow_all(Arc::clone(&store), Arc::clone(&seen), END));
    let writer = Writer::start(Arc::clone(&store));

    // Each member dies once, so the watch's member and the leader are among them.
    for member in 0..3 {
        writer.advance(40).await;
        cluster.kill(member);
        writer.advance(40).await;
        // What the watcher has seen it does not need again.
        seen.catch_up(&writer).await;
        let known = Revision(seen.revision.load(Ordering::SeqCst));
        cluster.compact((member + 1) % 3, known).await;
        writer.advance(10).await;
        cluster.restart(member);
        writer.advance(10).await;
    }
    // A frozen member keeps its connections: only pings tell.
    for member in 0..3 {
        cluster.freeze(member);
        writer.advance(40).await;
        seen.catch_up(&writer).await;
        cluster.thaw(member);
        writer.advance(10).await;
    }
    // The whole cluster goes and comes back.
    (0..3).for_each(|member| cluster.kill(member));
    (0..3).for_each(|member| cluster.restart(member));
    writer.advance(40).await;

    let (written, last) = writer.finish().await;
    let end = Txn::new().expect_at("/n", last).put("/n", END.to_string());
    assert!(matches!(
        store.commit(end).await.unwrap(),
        TxnOutcome::Committed { .. }
    ));
    let longest = tokio::time::timeout(PATIENCE, following)
        .await
        .expect("the follower arrives")
        .unwrap();
    println!("{written} writes, all seen once and in order; longest silence {longest:?}");
}

#[tokio::test]
async fn without_a_quorum_calls_fail_in_time_and_say_so() {
    let Some(binary) = etcd_binary() else { return };
    let mut cluster = Cluster::start(&binary, 3).await;
    let store = cluster.store().await;
    cluster.kill(0);
    cluster.kill(1);
    let read = store.get(b"/n").await.unwrap_err();
    assert_eq!(read.retry(), Retry::Later, "{read}");
    let write = store.commit(Txn::new().put("/n", "1")).await.unwrap_err();
    assert_ne!(write.retry(), Retry::Never, "{write}");
    let status = store.status().await;
    if let Ok(status) = status {
        let up = status.members.iter().filter(|m| m.state.is_ok()).count();
        assert!(up <= 1, "{status:?}");
    }
}

#[tokio::test]
async fn tls_and_passwords() {
    let Some(binary) = etcd_binary() else { return };
    let pki = tempfile::tempdir().unwrap();
    let file = |name: &str| pki.path().join(name);
    write_certificates(pki.path());
    std::fs::write(file("password"), "s3cret\n").unwrap();
    std::fs::write(file("wrong"), "guess").unwrap();
    let cluster = Cluster::start_with(&binary, 1, "https", |mut command| {
        command
            .arg("--cert-file")
            .arg(file("server.pem"))
            .arg("--key-file")
            .arg(file("server.key"))
            .arg("--trusted-ca-file")
            .arg(file("ca.pem"))
            .arg("--client-cert-auth");
        command
    })
    .await;
    let config = EtcdConfig {
        tls: Some(EtcdTls {
            ca_file: file("ca.pem"),
            cert_file: Some(file("client.pem")),
            key_file: Some(file("client.key")),
            server_name: None,
        }),
        ..cluster.config()
    };
    let nobody = Etcd::connect(&config).await.unwrap();
    ready(&nobody).await;
    enable_users(&config).await;

    let user = |password: &str| EtcdConfig {
        user: Some("reader".to_owned()),
        password_file: Some(file(password)),
        ..config.clone()
    };
    let reader = Etcd::connect(&user("password")).await.unwrap();
    assert_eq!(reader.snapshot(b"/open/").await.unwrap().entries.len(), 0);
    let guesser = Etcd::connect(&user("wrong")).await.unwrap();
    let mut hidden = reader.watch(b"/hidden/", Revision::ZERO).await.unwrap();
    let denials = [
        nobody.get(b"/open/a").await.unwrap_err(),
        guesser.get(b"/open/a").await.unwrap_err(),
        reader.get(b"/hidden/a").await.unwrap_err(),
        hidden.next().await.unwrap_err(),
        reader
            .commit(Txn::new().put("/open/a", ""))
            .await
            .unwrap_err(),
    ];
    for error in denials {
        assert!(matches!(error, StoreError::Denied { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("s3cret"));
    }
    let mut watch = reader.watch(b"/open/", Revision::ZERO).await.unwrap();
    let mut root = admin(&config, Some(("root", "root"))).await;
    root.put("/open/a", "1", None).await.unwrap();
    let event = tokio::time::timeout(PATIENCE, watch.next()).await.unwrap();
    assert!(matches!(event, Ok(WatchEvent::Batch(_))), "{event:?}");
}

/// Turns on passwords, with a `reader` who may read `/open/` only.
async fn enable_users(config: &EtcdConfig) {
    let mut admin = admin(config, None).await;
    admin.user_add("root", "root", None).await.unwrap();
    admin.role_add("root").await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.user_add("reader", "s3cret", None).await.unwrap();
    admin.role_add("open").await.unwrap();
    let read = etcd_client::Permission::new(etcd_client::PermissionType::Read, "/open/");
    admin
        .role_grant_permission("open", read.with_prefix())
        .await
        .unwrap();
    admin.user_grant_role("reader", "open").await.unwrap();
    admin.auth_enable().await.unwrap();
}

async fn admin(config: &EtcdConfig, user: Option<(&str, &str)>) -> etcd_client::Client {
    let tls = config.tls.as_ref().unwrap();
    let read = |path: &std::path::Path| std::fs::read(path).unwrap();
    let tls = etcd_client::TlsOptions::new()
        .ca_certificate(etcd_client::Certificate::from_pem(read(&tls.ca_file)))
        .identity(etcd_client::Identity::from_pem(
            read(tls.cert_file.as_ref().unwrap()),
            read(tls.key_file.as_ref().unwrap()),
        ));
    let mut options = etcd_client::ConnectOptions::new().with_tls(tls);
    if let Some((name, password)) = user {
        options = options.with_user(name, password);
    }
    etcd_client::Client::connect(&config.endpoints, Some(options))
        .await
        .unwrap()
}

/// An authority, and a server's and a client's certificate signed by it.
fn write_certificates(dir: &std::path::Path) {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    std::fs::write(dir.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, key);
    for (name, subject) in [("server", "127.0.0.1"), ("client", "meridian")] {
        let params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        std::fs::write(dir.join(format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(dir.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}
