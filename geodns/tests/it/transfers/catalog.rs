//! knotd generates a catalog, and we follow it.

use super::peers::{self, free_port, has, zone_text};
use super::{KEY, addresses, secondary, until, with_key};
use crate::rig::Rig;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_of_a_catalog_come_and_go() {
    if !has("knotd", "knot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let start = || {
        Rig::start(|config| {
            with_key(config, folder.path());
            config.keep_zones_in(folder.path());
            let mut catalog = secondary("catalog.test", port);
            catalog.catalog = true;
            config.secondaries = vec![catalog];
        })
    };
    let rig = start();
    let home = folder.path().join("knot");
    std::fs::create_dir_all(&home).unwrap();
    let at = home.display();
    for (zone, address) in [("one.test", "192.0.2.1"), ("two.test", "192.0.2.2")] {
        let text = zone_text(zone, 1, 3_600, &[("a", address)]);
        std::fs::write(home.join(format!("{zone}.zone")), text).unwrap();
    }
    let sections = |zones: &[&str]| {
        let member = |zone: &&str| {
            format!(
                "  - domain: {zone}\n    storage: {at}\n    acl: transfer\n    notify: us\n    catalog-role: member\n    catalog-zone: catalog.test\n"
            )
        };
        let members: String = zones.iter().map(member).collect();
        format!(
            "remote:\n  - id: us\n    address: 127.0.0.1@{}\n    key: {KEY}\n\
             acl:\n  - id: transfer\n    key: {KEY}\n    action: transfer\n\
             zone:\n  - domain: catalog.test\n    storage: {at}\n    acl: transfer\n    notify: us\n    catalog-role: generate\n{members}",
            rig.address.port()
        )
    };
    let knot = peers::knot(&home, port, &sections(&["one.test", "two.test"]));
    until("both members are served", || {
        !addresses(rig.address, "a.one.test").is_empty()
            && !addresses(rig.address, "a.two.test").is_empty()
    })
    .await;
    let statuses = rig.exchange.statuses().secondaries;
    let of = |zone: &str| statuses.iter().find(|status| status.zone == zone).unwrap();
    assert_eq!(of("one.test").catalog.as_deref(), Some("catalog.test"));
    assert_eq!(of("catalog.test").catalog, None);
    drop(knot);
    let knot = peers::knot(&home, port, &sections(&["two.test"]));
    until("the member that left is gone", || {
        rig.shelf.get(&super::wire("one.test")).is_none()
            && addresses(rig.address, "a.one.test").is_empty()
    })
    .await;
    assert!(!folder.path().join("zones/one.test.zone").exists());
    assert_eq!(addresses(rig.address, "a.two.test"), ["192.0.2.2"]);
    drop(knot);
    // Without the primary, members are there again after a restart.
    rig.stop().await;
    let rig = start();
    assert_eq!(addresses(rig.address, "a.two.test"), ["192.0.2.2"]);
    rig.stop().await;
}
