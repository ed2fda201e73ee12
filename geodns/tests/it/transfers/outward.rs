//! We are the primary of knotd and nsd.

use meridian_geodns::zone::ZoneSource;

use super::peers::{self, free_port, has};
use super::{addresses, holder_of_key, notify, serial, until, with_key, zone};
use crate::rig::Rig;

/// Three states of a zone.
fn state(serial: u32) -> std::sync::Arc<meridian_geodns::zone::StaticZone> {
    let last = u8::try_from(serial).unwrap();
    zone(
        "z.test",
        serial,
        &[("stays", [192, 0, 2, 1]), ("changes", [192, 0, 2, last])],
    )
}

async fn follows(start: impl FnOnce(u16, &std::path::Path, u16) -> peers::Peer) {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let rig = Rig::start(|config| {
        with_key(config, folder.path());
        config.transfers.allow = vec![holder_of_key()];
        config.transfers.notify = vec![notify(port)];
    });
    rig.shelf.put(ZoneSource::File, state(10)).unwrap();
    let peer = start(port, &folder.path().join("peer"), rig.address.port());
    until("the secondary has the zone", || {
        serial(peer.address(), "z.test") == Some(10)
    })
    .await;
    assert_eq!(addresses(peer.address(), "changes.z.test"), ["192.0.2.10"]);
    let full = rig.metric("meridian_dns_transfers_out_total{kind=\"full\"}");
    assert!(full >= 1.0, "{full}");
    let told = rig.metric("meridian_dns_notify_sent_total");
    for newer in [11, 12] {
        rig.shelf.put(ZoneSource::File, state(newer)).unwrap();
        until("the secondary has the change", || {
            serial(peer.address(), "z.test") == Some(newer)
        })
        .await;
        let wanted = format!("192.0.2.{newer}");
        assert_eq!(addresses(peer.address(), "changes.z.test"), [wanted]);
        assert_eq!(addresses(peer.address(), "stays.z.test"), ["192.0.2.1"]);
    }
    let steps = rig.metric("meridian_dns_transfers_out_total{kind=\"incremental\"}");
    assert!(steps >= 2.0, "{steps}: {}", peer.log());
    assert_eq!(
        full,
        rig.metric("meridian_dns_transfers_out_total{kind=\"full\"}"),
        "{}",
        peer.log()
    );
    until("the secondary acknowledged both notifications", || {
        rig.metric("meridian_dns_notify_sent_total") >= told + 2.0
    })
    .await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knot_follows_us() {
    if has("knotd", "knot") {
        follows(|port, folder, primary| {
            peers::knot(
                folder,
                port,
                &peers::knot_secondary("z.test", primary, folder),
            )
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nsd_follows_us() {
    if has("nsd", "nsd") {
        follows(|port, folder, primary| peers::nsd_secondary(folder, port, "z.test", primary))
            .await;
    }
}
