//! knotd is our primary.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use meridian_geodns::transfer::SecondaryState;

use super::peers::{self, free_port, has, zone_text};
use super::{addresses, ask, secondary, serial, until, with_key};
use crate::rig::Rig;

/// A server that follows the primary at `port`, its state in `folder`.
fn follower(folder: &Path, port: u16) -> Rig {
    Rig::start(|config| {
        with_key(config, folder);
        config.keep_zones_in(folder);
        config.secondaries = vec![secondary("z.test", port)];
    })
}

fn rcode(address: SocketAddr, name: &str) -> Option<ResponseCode> {
    Some(ask(address, name, RecordType::A)?.metadata.response_code)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn we_follow_knot_through_changes_and_restarts() {
    if !has("knotd", "knot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let rig = follower(folder.path(), port);
    // Ours, and nothing to answer with.
    until("the server answers", || {
        rcode(rig.address, "a.z.test") == Some(ResponseCode::ServFail)
    })
    .await;
    let home = folder.path().join("knot");
    let text = zone_text(
        "z.test",
        5,
        3_600,
        &[("a", "192.0.2.1"), ("b", "192.0.2.2")],
    );
    let sections = peers::knot_primary("z.test", rig.address.port(), &home, &text);
    let knot = peers::knot(&home, port, &sections);
    until("the zone is here", || {
        serial(rig.address, "z.test") == Some(5)
    })
    .await;
    assert_eq!(addresses(rig.address, "b.z.test"), ["192.0.2.2"]);

    knot.change(
        "z.test",
        &[
            ("zone-unset", "b A"),
            ("zone-set", "c 300 A 192.0.2.3"),
            ("zone-set", "d 300 TXT text"),
        ],
    );
    until("the change is here", || {
        serial(rig.address, "z.test") == Some(6)
    })
    .await;
    assert_eq!(rcode(rig.address, "b.z.test"), Some(ResponseCode::NXDomain));
    assert_eq!(addresses(rig.address, "c.z.test"), ["192.0.2.3"]);
    let steps = rig.metric("meridian_dns_transfers_in_total{kind=\"incremental\"}");
    assert_eq!(steps, 1.0, "{}", knot.log());
    assert!(rig.metric("meridian_dns_notify_received_total") >= 1.0);
    let statuses = rig.exchange.statuses().secondaries;
    assert_eq!(statuses.len(), 1);
    assert_eq!(
        (statuses[0].state, statuses[0].serial),
        (SecondaryState::Serving, Some(6))
    );
    assert_eq!(statuses[0].last_error, None);

    // Restarted without a primary, it answers at once.
    rig.stop().await;
    drop(knot);
    let rig = follower(folder.path(), port);
    assert_eq!(addresses(rig.address, "c.z.test"), ["192.0.2.3"]);
    until("the refresh failed", || {
        rig.metric("meridian_dns_transfers_in_failed_total") >= 1.0
    })
    .await;
    assert_eq!(serial(rig.address, "z.test"), Some(6));
    let status = rig.exchange.statuses().secondaries.remove(0);
    assert!(status.last_error.unwrap().contains("cannot connect"));

    // The primary comes back with something newer; a person asks for it now.
    let text = zone_text("z.test", 20, 3_600, &[("e", "192.0.2.5")]);
    let sections = peers::knot_primary("z.test", 1, &home.with_extension("new"), &text);
    let knot = peers::knot(&home.with_extension("new"), port, &sections);
    until("the zone is here", || {
        assert_eq!(rig.exchange.refresh(Some("Z.test.")), Ok(1));
        serial(rig.address, "z.test") == Some(20)
    })
    .await;
    assert!(rig.exchange.refresh(Some("other.test")).is_err());
    assert_eq!(addresses(rig.address, "e.z.test"), ["192.0.2.5"]);
    rig.stop().await;
    drop(knot);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_nobody_confirms_expires_and_comes_back() {
    if !has("knotd", "knot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let rig = follower(folder.path(), port);
    let home = folder.path().join("knot");
    let text = zone_text("z.test", 5, 3, &[("a", "192.0.2.1")]);
    let sections = peers::knot_primary("z.test", rig.address.port(), &home, &text);
    let knot = peers::knot(&home, port, &sections);
    until("the zone is here", || {
        !addresses(rig.address, "a.z.test").is_empty()
    })
    .await;
    drop(knot);
    until("the zone has expired", || {
        rcode(rig.address, "a.z.test") == Some(ResponseCode::ServFail)
    })
    .await;
    let status = rig.exchange.statuses().secondaries.remove(0);
    assert_eq!(status.state, SecondaryState::Expired);
    let knot = peers::knot(&home, port, &sections);
    until("the zone is back", || {
        !addresses(rig.address, "a.z.test").is_empty()
    })
    .await;
    rig.stop().await;
    drop(knot);
}

/// What kdig prints of a zone or an answer, a record a line, in an order of its own.
fn kdig(port: u16, arguments: &str) -> Vec<String> {
    let output = Command::new("kdig")
        .args(["@127.0.0.1", "-p", &port.to_string()])
        .args([
            "-y",
            &format!("hmac-sha256:{}:{}", super::KEY, super::SECRET),
        ])
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let records = text
        .lines()
        .filter(|line| !line.starts_with(';') && !line.contains("TSIG"));
    let mut lines: Vec<String> = records
        .map(|line| {
            line.split_whitespace()
                .collect::<Vec<_>>()
                .join(" ")
                .to_lowercase()
        })
        .filter(|line| !line.is_empty())
        .collect();
    lines.sort();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signed_zone_stays_signed_through_increments() {
    if !has("knotd", "knot") || !has("kdig", "knot-dnsutils") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let rig = Rig::start(|config| {
        with_key(config, folder.path());
        config.keep_zones_in(folder.path());
        config.secondaries = vec![secondary("z.test", port)];
        config.transfers.allow = vec![super::holder_of_key()];
    });
    let home = folder.path().join("knot");
    let text = zone_text(
        "z.test",
        5,
        3_600,
        &[("a", "192.0.2.1"), ("b", "192.0.2.2")],
    );
    let sections = peers::knot_primary("z.test", rig.address.port(), &home, &text);
    let signing = "    dnssec-signing: on\n    dnssec-policy: nsec3\n";
    let policy = "policy:\n  - id: nsec3\n    nsec3: on\n    nsec3-iterations: 0\n";
    let knot = peers::knot(&home, port, &format!("{policy}{sections}{signing}"));
    until("the zone is here", || {
        !addresses(rig.address, "b.z.test").is_empty()
    })
    .await;
    for last in 3..6 {
        let record = format!("c{last} 300 A 192.0.2.{last}");
        let changes = [("zone-set", record.as_str()), ("zone-unset", "b A")];
        knot.change("z.test", if last == 5 { &changes } else { &changes[..1] });
        let name = format!("c{last}.z.test");
        until("the change is here", || {
            !addresses(rig.address, &name).is_empty()
        })
        .await;
    }
    until("both have one serial", || {
        serial(rig.address, "z.test") == serial(knot.address(), "z.test")
    })
    .await;
    assert!(
        rig.metric("meridian_dns_transfers_in_total{kind=\"incremental\"}") >= 1.0,
        "{}",
        knot.log()
    );
    let ours = rig.address.port();
    let records = kdig(port, "+tcp z.test AXFR");
    assert!(
        records.iter().any(|line| line.contains(" nsec3 ")),
        "{records:?}"
    );
    until("what we hand on is what we got", || {
        kdig(ours, "+tcp z.test AXFR") == records
    })
    .await;
    // Answers carry the primary's signatures.
    for question in ["c4.z.test A", "z.test NS", "z.test SOA", "z.test DNSKEY"] {
        let asked = format!("+dnssec +norec {question}");
        let wanted = kdig(port, &asked);
        assert!(
            wanted.iter().any(|line| line.contains(" rrsig ")),
            "{wanted:?}"
        );
        assert_eq!(kdig(ours, &asked), wanted, "{question}");
    }
    rig.stop().await;
}

/// Passes connections on to a primary and cuts each after so many bytes of its answer.
fn cutting_proxy(to: u16, bytes: Arc<AtomicUsize>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for client in listener.incoming() {
            let (Ok(mut client), Ok(mut server)) = (client, TcpStream::connect(("127.0.0.1", to)))
            else {
                continue;
            };
            let left = bytes.load(Ordering::Relaxed);
            let mut asks = client.try_clone().unwrap();
            let mut asked = server.try_clone().unwrap();
            std::thread::spawn(move || std::io::copy(&mut asks, &mut asked));
            std::thread::spawn(move || {
                let mut buffer = vec![0; 4096];
                let mut left = left;
                while left > 0
                    && let Ok(read) = server.read(&mut buffer)
                    && read > 0
                {
                    let pass = read.min(left);
                    left -= pass;
                    if client.write_all(&buffer[..pass]).is_err() {
                        break;
                    }
                }
                let _ = client.shutdown(std::net::Shutdown::Both);
                let _ = server.shutdown(std::net::Shutdown::Both);
            });
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_cut_short_changes_nothing() {
    if !has("knotd", "knot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("knot");
    let names: Vec<String> = (0..2_000).map(|nth| format!("host-{nth}")).collect();
    let hosts: Vec<(&str, &str)> = names
        .iter()
        .map(|name| (name.as_str(), "192.0.2.1"))
        .collect();
    let port = free_port();
    let sections = peers::knot_primary("z.test", 1, &home, &zone_text("z.test", 5, 3_600, &hosts));
    let knot = peers::knot(&home, port, &sections);
    let bytes = Arc::new(AtomicUsize::new(usize::MAX));
    let proxy = cutting_proxy(port, Arc::clone(&bytes));
    let rig = follower(folder.path(), proxy);
    until("the zone is here", || {
        serial(rig.address, "z.test") == Some(5)
    })
    .await;
    // From here on only the answer to the SOA question gets through whole.
    bytes.store(400, Ordering::Relaxed);
    let failed = rig.metric("meridian_dns_transfers_in_failed_total");
    let changes: Vec<String> = (0..200)
        .map(|nth| format!("new-{nth} 300 A 192.0.2.9"))
        .collect();
    let changes: Vec<(&str, &str)> = changes
        .iter()
        .map(|text| ("zone-set", text.as_str()))
        .collect();
    knot.change("z.test", &changes);
    until("transfers failed", || {
        rig.metric("meridian_dns_transfers_in_failed_total") >= failed + 2.0
    })
    .await;
    assert_eq!(serial(rig.address, "z.test"), Some(5));
    assert_eq!(addresses(rig.address, "host-1999.z.test"), ["192.0.2.1"]);
    bytes.store(usize::MAX, Ordering::Relaxed);
    until("the change is here", || {
        serial(rig.address, "z.test") == Some(6)
    })
    .await;
    assert_eq!(addresses(rig.address, "new-199.z.test"), ["192.0.2.9"]);
    rig.stop().await;
}
