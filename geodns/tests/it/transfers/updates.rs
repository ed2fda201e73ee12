//! nsupdate changes names, and may not.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use hickory_proto::rr::RecordType;
use meridian_geodns::transfer::{TsigAlgorithm, TsigKeyConfig, UpdateConfig};

use super::peers::{self, free_port, has};
use super::{
    KEY, OTHER_SECRET, SECRET, addresses, ask, holder_of_key, line, notify, serial, until, with_key,
};
use crate::rig::Rig;

/// The fixture's zone with two keys that may change some of it.
fn start(folder: &Path, notified: Option<u16>) -> Rig {
    Rig::start(|config| {
        with_key(config, folder);
        let secret_file = folder.join("acme.key");
        std::fs::write(&secret_file, OTHER_SECRET).unwrap();
        config.tsig_keys.push(TsigKeyConfig {
            name: "acme.test".into(),
            algorithm: TsigAlgorithm::HmacSha512,
            secret_file,
        });
        config.keep_zones_in(folder);
        config.transfers.allow = vec![holder_of_key()];
        config.transfers.notify = notified.map(notify).into_iter().collect();
        let rule = |key: &str, names: &[&str], types: &[&str]| UpdateConfig {
            zone: "example.test".into(),
            tsig_key: key.into(),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            types: types.iter().map(|name| (*name).to_owned()).collect(),
        };
        config.updates = vec![
            rule(
                KEY,
                &[
                    "*.dyn.example.test",
                    "www.example.test",
                    "*.shops.example.test",
                    "shop.example.test",
                ],
                &["A", "AAAA", "TXT"],
            ),
            rule(
                "acme.test",
                &[
                    "_acme-challenge.*.example.test",
                    "_acme-challenge.example.test",
                ],
                &["TXT"],
            ),
        ];
    })
}

/// What nsupdate says to a script; empty when all went well.
fn nsupdate(rig: &Rig, key: &str, script: &str) -> String {
    let head = format!(
        "server 127.0.0.1 {}\nzone example.test\nttl 60\n",
        rig.address.port()
    );
    let mut child = Command::new("nsupdate")
        .args(["-v", "-t", "30"])
        .args(
            (!key.is_empty())
                .then_some(["-y", key])
                .into_iter()
                .flatten(),
        )
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.as_mut().unwrap();
    stdin
        .write_all(format!("{head}{script}\nsend\n").as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!(output.status.success(), text.is_empty(), "{script}: {text}");
    text.trim().to_owned()
}

fn xfr() -> String {
    format!("hmac-sha256:{KEY}:{SECRET}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nsupdate_changes_what_it_may() {
    if !has("nsupdate", "bind9-dnsutils") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let rig = start(folder.path(), None);
    let before = serial(rig.address, "example.test").unwrap();
    let texts = |rig: &Rig, name: &str| {
        let answer = ask(rig.address, name, RecordType::TXT).unwrap();
        let mut texts: Vec<_> = answer
            .answers
            .iter()
            .map(|record| record.data.to_string())
            .collect();
        texts.sort();
        texts
    };
    // Acknowledged is answered.
    assert_eq!(
        nsupdate(
            &rig,
            &xfr(),
            "update add h1.dyn.example.test. 60 A 192.0.2.77"
        ),
        ""
    );
    assert_eq!(
        addresses(rig.address, "h1.dyn.example.test"),
        ["192.0.2.77"]
    );
    assert_eq!(serial(rig.address, "example.test"), Some(before + 1));
    // Several changes at once are one step; a prerequisite guards them.
    let script = "prereq yxrrset h1.dyn.example.test. A\nupdate delete h1.dyn.example.test. A\nupdate add h1.dyn.example.test. 60 A 192.0.2.78\nupdate add h1.dyn.example.test. 60 TXT \"owner\"";
    assert_eq!(nsupdate(&rig, &xfr(), script), "");
    assert_eq!(
        addresses(rig.address, "h1.dyn.example.test"),
        ["192.0.2.78"]
    );
    assert_eq!(serial(rig.address, "example.test"), Some(before + 2));
    // Nothing changed, no new serial.
    assert_eq!(
        nsupdate(
            &rig,
            &xfr(),
            "update add h1.dyn.example.test. 60 A 192.0.2.78"
        ),
        ""
    );
    assert_eq!(serial(rig.address, "example.test"), Some(before + 2));

    // A certificate's challenge beside a steered name.
    let acme = format!("hmac-sha512:acme.test:{OTHER_SECRET}");
    let challenge = "update add _acme-challenge.shop.example.test. 60 TXT \"token one\"\nupdate add _acme-challenge.shop.example.test. 60 TXT \"token two\"";
    assert_eq!(nsupdate(&rig, &acme, challenge), "");
    assert_eq!(
        texts(&rig, "_acme-challenge.shop.example.test"),
        ["token one", "token two"]
    );

    // What may not be.
    let script = |text: &str| text.to_owned();
    for (key, text, wanted) in [
        (
            xfr(),
            script("update add other.example.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        (
            xfr(),
            script("update add a.dyn.example.test. 60 MX 10 mail.example.test."),
            "REFUSED",
        ),
        (
            acme.clone(),
            script("update add h2.dyn.example.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        // The zone's own data, and steered names, although the rule lists them.
        (
            xfr(),
            script("update add www.example.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        (
            xfr(),
            script("update delete www.example.test. A"),
            "REFUSED",
        ),
        (
            xfr(),
            script("update add shop.example.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        (
            xfr(),
            script("update add berlin.shops.example.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        (
            xfr(),
            script(
                "prereq nxdomain h1.dyn.example.test.\nupdate add h1.dyn.example.test. 60 A 192.0.2.1",
            ),
            "YXDOMAIN",
        ),
        (
            xfr(),
            script(
                "prereq yxrrset h9.dyn.example.test. A\nupdate add h9.dyn.example.test. 60 A 192.0.2.1",
            ),
            "NXRRSET",
        ),
        (
            xfr(),
            script("zone other.test\nupdate add a.other.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        (
            xfr(),
            script("zone elsewhere.invalid\nupdate add a.elsewhere.invalid. 60 A 192.0.2.1"),
            "NOTAUTH",
        ),
        (
            String::new(),
            script("update add h3.dyn.example.test. 60 A 192.0.2.1"),
            "REFUSED",
        ),
        (
            format!("hmac-sha256:{KEY}:{OTHER_SECRET}"),
            script("update add h3.dyn.example.test. 60 A 192.0.2.1"),
            "BADSIG",
        ),
        (
            format!("hmac-sha256:unknown.test:{SECRET}"),
            script("update add h3.dyn.example.test. 60 A 192.0.2.1"),
            "BADKEY",
        ),
    ] {
        let said = nsupdate(&rig, &key, &text);
        assert!(said.contains(wanted), "{text}: {said}");
    }
    assert_eq!(serial(rig.address, "example.test"), Some(before + 3));
    assert_eq!(
        addresses(rig.address, "www.example.test"),
        ["192.0.2.80", "192.0.2.81"]
    );
    assert_eq!(
        line(&rig, "other.example.test", RecordType::A)
            .split(' ')
            .next(),
        Some("NXDOMAIN")
    );

    // A restart loses nothing.
    rig.stop().await;
    let rig = start(folder.path(), None);
    assert_eq!(
        addresses(rig.address, "h1.dyn.example.test"),
        ["192.0.2.78"]
    );
    assert_eq!(texts(&rig, "h1.dyn.example.test"), ["owner"]);
    assert_eq!(serial(rig.address, "example.test"), Some(before + 3));
    let status = rig.exchange.statuses().updated.remove(0);
    assert_eq!((status.zone.as_str(), status.records), ("example.test", 4));
    let gone =
        "update delete h1.dyn.example.test.\nupdate delete _acme-challenge.shop.example.test. TXT";
    assert!(nsupdate(&rig, &xfr(), gone).contains("REFUSED"));
    assert_eq!(
        nsupdate(&rig, &xfr(), "update delete h1.dyn.example.test."),
        ""
    );
    assert_eq!(
        line(&rig, "h1.dyn.example.test", RecordType::A)
            .split(' ')
            .next(),
        Some("NXDOMAIN")
    );
    assert!(rig.metric("meridian_dns_updates_total{rcode=\"NOERROR\"}") >= 1.0);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secondaries_see_updates_and_the_fixed_answers_of_steered_names() {
    if !has("nsupdate", "bind9-dnsutils") || !has("knotd", "knot") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let rig = start(folder.path(), Some(port));
    let home = folder.path().join("knot");
    let sections = peers::knot_secondary("example.test", rig.address.port(), &home);
    let knot = peers::knot(&home, port, &sections);
    let before = serial(rig.address, "example.test");
    until("the secondary has the zone", || {
        serial(knot.address(), "example.test") == before
    })
    .await;
    // Steered: the policy's fixed addresses, or nothing.
    assert_eq!(
        addresses(knot.address(), "static.example.test"),
        ["192.0.2.200", "192.0.2.201"]
    );
    assert!(addresses(knot.address(), "shop.example.test").is_empty());
    assert_eq!(
        addresses(knot.address(), "www.example.test"),
        ["192.0.2.80", "192.0.2.81"]
    );
    for last in 1..=3 {
        let name = format!("h{last}.dyn.example.test");
        let script = format!("update add {name}. 60 A 192.0.2.{last}");
        assert_eq!(nsupdate(&rig, &xfr(), &script), "");
        until("the secondary has the update", || {
            addresses(knot.address(), &name) == [format!("192.0.2.{last}")]
        })
        .await;
    }
    assert!(rig.metric("meridian_dns_transfers_out_total{kind=\"incremental\"}") >= 1.0);
    rig.stop().await;
}
