//! Class tables and their sources, replaced under a running node.

use std::path::Path;
use std::sync::Arc;

use meridian_geo::{GRID_DEGREES, build_table};
use meridian_live::{GeoSources, LiveError};
use meridian_store::Embedded;
use meridian_topology::{SourceFile, Topology};
use tempfile::TempDir;

use crate::rig::{Endpoints, NEAREST, Rig, topology, write};

/// A client of no group: a documentation prefix that no registry delegated.
const CLIENT: &str = "198.51.100.7";

/// Where each region is, as an override.
const NEAR: &str = "198.51.100.0/24,50.1,8.7\n";
const FAR: &str = "198.51.100.0/24,38.9,-77.4\n";

fn deployment() -> (TempDir, Endpoints) {
    let (folder, endpoints) = (TempDir::new().unwrap(), Endpoints::open());
    let (near, far) = endpoints.addresses();
    write(folder.path(), "topology.yaml", &topology(near, far, ""));
    write(folder.path(), "policies/nearest.yaml", NEAREST);
    (folder, endpoints)
}

/// Builds a table in which the client has a place, and puts it where the node reads it.
fn build(folder: &Path, place: &str, at_unix_seconds: u64) {
    write(folder, "measured.csv", place);
    let (near, far) = Endpoints::open().addresses();
    let text = topology(near, far, "");
    let topology = Topology::parse(&[SourceFile::new("topology.yaml", text)]).unwrap();
    let sources = GeoSources {
        overrides: vec![folder.join("measured.csv")],
        ..GeoSources::default()
    };
    let table = build_table(&topology, &sources, GRID_DEGREES[0], at_unix_seconds).unwrap();
    table.save(&folder.join("clients.geo")).unwrap();
}

async fn start(folder: TempDir, endpoints: Endpoints, geo: GeoSources) -> Result<Rig, LiveError> {
    let store = Arc::new(Embedded::in_memory().await.unwrap());
    Rig::with_geo(folder, endpoints, store, geo).await
}

fn table_of(folder: &Path) -> GeoSources {
    GeoSources {
        table: Some(folder.join("clients.geo")),
        ..GeoSources::default()
    }
}

async fn until_picked(rig: &Rig, endpoint: &str) {
    rig.until(endpoint, || {
        rig.pick_for(CLIENT)
            .is_some_and(|id| id.as_str() == endpoint)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_swapped_and_a_damaged_one_refused() {
    let (folder, endpoints) = deployment();
    build(folder.path(), FAR, 1);
    let geo = table_of(folder.path());
    let rig = start(folder, endpoints, geo).await.unwrap();
    until_picked(&rig, "far-1").await;
    // The topology's groups lie over the table.
    rig.until_picked("near-1").await;
    let status = rig.live.status().geo.clone();
    assert_eq!((status.built_unix_seconds, &status.problem), (1, &None));
    assert!(status.id.is_some() && status.bytes > 0 && status.classes > 100);

    build(rig.folder.path(), NEAR, 2);
    until_picked(&rig, "near-1").await;
    rig.until("the new table shows", || {
        rig.live.status().geo.built_unix_seconds == 2
    })
    .await;
    assert_ne!(rig.live.status().geo.id, status.id);

    rig.edit("clients.geo", "not a table");
    rig.until("the refusal shows", || {
        let problem = rig.live.status().geo.problem.clone();
        problem.is_some_and(|problem| problem.contains("meridian geo build"))
    })
    .await;
    assert_eq!(rig.pick_for(CLIENT).unwrap().as_str(), "near-1");
    assert_eq!(rig.live.status().geo.built_unix_seconds, 2);
    let text = rig.metrics.render().unwrap();
    assert!(
        text.contains("meridian_live_geo_table_rejected 1"),
        "{text}"
    );

    // A node that starts now has the copy of the last good table; without it, it says why it cannot.
    let (folder, endpoints, _) = rig.stop().await;
    let geo = table_of(folder.path());
    let rig = start(folder, endpoints, geo.clone()).await.unwrap();
    assert_eq!(rig.pick_for(CLIENT).unwrap().as_str(), "near-1");
    assert!(rig.live.status().geo.problem.is_some());
    build(rig.folder.path(), FAR, 3);
    until_picked(&rig, "far-1").await;
    rig.until("all is well", || rig.live.status().geo.problem.is_none())
        .await;
    let (folder, endpoints, _) = rig.stop().await;
    std::fs::remove_file(folder.path().join("last-good.geo")).unwrap();
    std::fs::remove_file(folder.path().join("clients.geo")).unwrap();
    let refused = start(folder, endpoints, geo).await.err().unwrap();
    assert!(refused.to_string().contains("clients.geo"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_change_make_a_new_table() {
    let (folder, endpoints) = deployment();
    write(folder.path(), "measured.csv", FAR);
    let geo = GeoSources {
        overrides: vec![folder.path().join("measured.csv")],
        ..GeoSources::default()
    };
    let rig = start(folder, endpoints, geo).await.unwrap();
    until_picked(&rig, "far-1").await;
    rig.edit("measured.csv", NEAR);
    until_picked(&rig, "near-1").await;
    rig.edit("measured.csv", "198.51.100.0/24,north,9\n");
    rig.until("the refusal shows", || {
        let problem = rig.live.status().geo.problem.clone();
        problem.is_some_and(|problem| problem.contains("line 1: `north`"))
    })
    .await;
    assert_eq!(rig.pick_for(CLIENT).unwrap().as_str(), "near-1");
    // Texts go on being taken in meanwhile, over the last good table.
    rig.edit("policies/nearest.yaml", crate::rig::FAR_FIRST);
    rig.until_picked("far-1").await;
    rig.edit("measured.csv", FAR);
    rig.until("all is well", || rig.live.status().geo.problem.is_none())
        .await;
}
