//! Static stability: a node starts and serves while its store is away.

use std::sync::Arc;

use meridian_live::{LiveError, StoreHealth};
use meridian_store::{Etcd, EtcdConfig, Store};

use crate::rig::{Endpoints, Rig};

/// A store at an address where nobody listens.
async fn dead_store() -> Arc<dyn Store> {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let endpoints = vec![format!("http://127.0.0.1:{port}")];
    Arc::new(
        Etcd::connect(&EtcdConfig {
            endpoints,
            ..EtcdConfig::default()
        })
        .await
        .unwrap(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_starts_from_its_last_good_sources() {
    let rig = Rig::start().await;
    rig.edit("policies/nearest.yaml", crate::rig::FAR_FIRST);
    rig.until_picked("far-1").await;
    let (folder, endpoints, _) = rig.stop().await;
    std::fs::remove_file(folder.path().join("topology.yaml")).unwrap();

    let rig = Rig::over(folder, endpoints, dead_store().await)
        .await
        .unwrap();
    assert_eq!(rig.pick().unwrap().as_str(), "far-1");
    rig.until("the loss shows", || {
        matches!(rig.live.status().store, StoreHealth::Lost { .. })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_with_nothing_to_serve_says_so() {
    let folder = tempfile::TempDir::new().unwrap();
    let refused = Rig::over(folder, Endpoints::open(), dead_store().await)
        .await
        .err()
        .unwrap();
    assert!(
        matches!(refused, LiveError::NothingToServe { .. }),
        "{refused}"
    );
}
