//! kdig and dig transfer zones, with and without a key.

use std::process::Command;

use meridian_geodns::transfer::PeerConfig;
use meridian_geodns::zone::ZoneSource;

use super::peers::has;
use super::{KEY, OTHER_SECRET, SECRET, addresses, holder_of_key, until, with_key, zone};
use crate::rig::Rig;

/// What a tool prints.
fn run(tool: &str, rig: &Rig, arguments: &str) -> String {
    let (host, port) = (rig.address.ip().to_string(), rig.address.port().to_string());
    let output = Command::new(tool)
        .args([&format!("@{host}"), "-p", &port])
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    let words = String::from_utf8(text).unwrap();
    words.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// How a tool is given a key.
fn keyed(secret: &str) -> String {
    format!("-y hmac-sha256:{KEY}:{secret}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kdig_and_dig_transfer_zones() {
    if !has("kdig", "knot-dnsutils") || !has("dig", "bind9-dnsutils") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rig = Rig::start(|config| {
        with_key(config, folder.path());
        config.transfers.allow = vec![holder_of_key()];
    });
    let first = zone(
        "z.test",
        10,
        &[("a", [192, 0, 2, 1]), ("b", [192, 0, 2, 2])],
    );
    rig.shelf.put(ZoneSource::File, first).unwrap();
    until("the zone is served", || {
        !addresses(rig.address, "a.z.test").is_empty()
    })
    .await;
    let key = keyed(SECRET);
    for tool in ["kdig", "dig"] {
        let whole = |question: &str| run(tool, &rig, &format!("{key} +tcp {question}"));
        until("the zone can be transferred", || {
            whole("z.test AXFR").contains("b.z.test.")
        })
        .await;
        let text = whole("z.test AXFR");
        assert_eq!(text.matches(" SOA ").count(), 2, "{tool}: {text}");
        for record in [
            "a.z.test. 300 IN A 192.0.2.1",
            "z.test. 300 IN NS ns.z.test.",
        ] {
            assert!(text.contains(record), "{tool}: {text}");
        }
        check_signature(tool, &text);
        // Signed questions are answered signed, over UDP, too.
        let soa = run(tool, &rig, &format!("{key} z.test SOA"));
        assert!(
            soa.contains("admin.z.test. 10 1 1 3600 60"),
            "{tool}: {soa}"
        );
        check_signature(tool, &soa);
        let none = run(tool, &rig, &format!("{key} +tcp nothing.z.test A"));
        assert!(none.contains("NXDOMAIN"), "{tool}: {none}");
        check_signature(tool, &none);

        // Without the key, with a wrong secret, with a key we do not have.
        let refused = run(tool, &rig, "+tcp z.test AXFR");
        assert!(!refused.contains("192.0.2.1"), "{tool}: {refused}");
        for wrong in [
            keyed(OTHER_SECRET),
            format!("-y hmac-sha256:other.test:{SECRET}"),
            format!("-y hmac-sha512:{KEY}:{SECRET}"),
        ] {
            let text = run(tool, &rig, &format!("{wrong} +tcp z.test AXFR"));
            assert!(!text.contains("192.0.2.1"), "{tool} {wrong}: {text}");
            let soa = run(tool, &rig, &format!("{wrong} z.test SOA"));
            let refused = ["NOTAUTH", "BADSIG", "BADKEY"];
            let refused = refused.iter().any(|code| soa.contains(code));
            assert!(
                refused && !soa.contains("192.0.2."),
                "{tool} {wrong}: {soa}"
            );
        }
        // A zone that is not ours.
        let other = whole("elsewhere.test AXFR");
        assert!(!other.contains(" SOA "), "{tool}: {other}");
    }

    // Steps from serial to serial.
    for (serial, last) in [(11, 3), (12, 4)] {
        let next = zone(
            "z.test",
            serial,
            &[("a", [192, 0, 2, 1]), ("b", [192, 0, 2, last])],
        );
        rig.shelf.put(ZoneSource::File, next).unwrap();
        until("the change is in force", || {
            let text = run("kdig", &rig, &format!("{key} +tcp z.test AXFR"));
            text.contains(&format!("admin.z.test. {serial} "))
        })
        .await;
    }
    let steps = run("kdig", &rig, &format!("{key} +tcp z.test IXFR=10"));
    assert_eq!(steps.matches(" SOA ").count(), 6, "{steps}");
    assert_eq!(steps.matches("b.z.test.").count(), 4, "{steps}");
    assert!(!steps.contains("a.z.test."), "{steps}");
    let dig = run("dig", &rig, &format!("{key} +tcp z.test IXFR=11"));
    assert_eq!(
        (
            dig.matches(" SOA ").count(),
            dig.matches("b.z.test.").count()
        ),
        (4, 2),
        "{dig}"
    );
    // Over UDP they fit, too; an unknown serial and one that is ours get the SOA alone.
    let udp = run("dig", &rig, &format!("{key} +notcp z.test IXFR=11"));
    assert_eq!(udp.matches("b.z.test.").count(), 2, "{udp}");
    let known = run("kdig", &rig, &format!("{key} +tcp z.test IXFR=12"));
    assert_eq!(
        (
            known.matches(" SOA ").count(),
            known.matches("b.z.test.").count()
        ),
        (1, 0),
        "{known}"
    );
    let whole = run("kdig", &rig, &format!("{key} +tcp z.test IXFR=3"));
    assert_eq!(
        (
            whole.matches(" SOA ").count(),
            whole.matches("a.z.test.").count()
        ),
        (2, 1),
        "{whole}"
    );
    assert!(rig.metric("meridian_dns_transfers_out_total{kind=\"full\"}") >= 2.0);
    assert!(rig.metric("meridian_dns_transfers_out_total{kind=\"incremental\"}") >= 2.0);
    assert!(rig.metric("meridian_dns_transfers_out_refused_total") >= 2.0);
    assert!(rig.metric("meridian_dns_tsig_refused_total") >= 6.0);
    rig.stop().await;
}

/// A tool says when a signature is not there or wrong.
fn check_signature(tool: &str, text: &str) {
    let signed = text.contains("ANY TSIG hmac-sha256.") && text.contains("NOERROR");
    assert!(signed && !text.contains("verif"), "{tool}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_of_a_hundred_thousand_records_is_transferred_whole() {
    if !has("kdig", "knot-dnsutils") {
        return;
    }
    let rig = Rig::start(|config| {
        config.transfers.allow = vec![PeerConfig {
            network: Some("127.0.0.0/8".parse().unwrap()),
            tsig_key: None,
        }];
    });
    let names: Vec<String> = (0..100_000).map(|nth| format!("host-{nth}")).collect();
    let hosts: Vec<(&str, [u8; 4])> = names
        .iter()
        .enumerate()
        .map(|(nth, name)| (name.as_str(), (nth as u32).to_be_bytes()))
        .collect();
    rig.shelf
        .put(ZoneSource::File, zone("large.test", 1, &hosts))
        .unwrap();
    until("the zone is served", || {
        !addresses(rig.address, "host-99999.large.test").is_empty()
    })
    .await;
    let mut text = String::new();
    until("the zone can be transferred", || {
        text = run("kdig", &rig, "+tcp large.test AXFR");
        text.contains("host-1.large.test.")
    })
    .await;
    // Two SOA, NS, the address of ns, and the hosts.
    assert!(
        text.contains("100004 records"),
        "{}",
        &text[text.len() - 300..]
    );
    assert_eq!(text.matches("large.test. 300 IN A ").count(), 100_001);

    // And by us: the same zone from this server into another.
    let state = tempfile::tempdir().unwrap();
    let other = Rig::start(|config| {
        config.keep_zones_in(state.path());
        let mut secondary = super::secondary("large.test", rig.address.port());
        secondary.primaries[0].tsig_key = None;
        config.secondaries = vec![secondary];
    });
    until("the secondary serves the zone", || {
        addresses(other.address, "host-99999.large.test") == ["0.1.134.159"]
    })
    .await;
    let taken = other.shelf.get(&super::wire("large.test")).unwrap().zone;
    let given = rig.shelf.get(&super::wire("large.test")).unwrap().zone;
    assert!(taken.records().eq(given.records()));
    other.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_is_transferred_over_tls() {
    if !has("kdig", "knot-dnsutils") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["ns.test".into()]).unwrap();
    let (certificate, private) = (folder.path().join("c.pem"), folder.path().join("k.pem"));
    std::fs::write(&certificate, made.cert.pem()).unwrap();
    std::fs::write(&private, made.signing_key.serialize_pem()).unwrap();
    let port = super::peers::free_port();
    let rig = Rig::start(|config| {
        with_key(config, folder.path());
        config.transfers.allow = vec![holder_of_key()];
        config.tls = Some(meridian_geodns::config::TlsConfig {
            listen: vec![([127, 0, 0, 1], port).into()],
            certificates: vec![meridian_accept::CertSource {
                certificate,
                key: private,
                names: Vec::new(),
            }],
        });
    });
    let names: Vec<String> = (0..5_000).map(|nth| format!("host-{nth}")).collect();
    let hosts: Vec<(&str, [u8; 4])> = names
        .iter()
        .map(|name| (name.as_str(), [192, 0, 2, 1]))
        .collect();
    rig.shelf
        .put(ZoneSource::File, zone("z.test", 10, &hosts))
        .unwrap();
    let mut text = String::new();
    until("the zone can be transferred", || {
        let output = Command::new("kdig")
            .args(["@127.0.0.1", "-p", &port.to_string(), "+tls", "-y"])
            .args([&format!("hmac-sha256:{KEY}:{SECRET}"), "z.test", "AXFR"])
            .output()
            .unwrap();
        text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        text.contains("host-1.z.test.")
    })
    .await;
    assert!(
        text.contains("5004 records"),
        "{}",
        &text[text.len() - 300..]
    );
    assert!(!text.contains("verif"), "{}", &text[text.len() - 300..]);
    rig.stop().await;
}
