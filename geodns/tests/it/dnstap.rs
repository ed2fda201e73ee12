//! dnstap as readers we did not write see it: `fstrm_capture` behind a socket, `dnstap-read` on files.
//! Skipped with a line where they are not installed.

use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use hickory_proto::rr::RecordType;
use meridian_geodns::dnstap::config::{DnstapConfig, DnstapTarget};

use crate::rig::{DEADLINE, Rig, ask_udp, query, receive_tcp, send_tcp};

/// The configuration as an operator writes it.
fn config(yaml: &str) -> DnstapConfig {
    let parsed = meridian_topology::door::parse::<DnstapConfig>("meridian.yaml", yaml);
    parsed.unwrap_or_else(|problems| panic!("{problems}")).value
}

fn installed(tool: &str) -> bool {
    let there = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(tool).exists()));
    if !there {
        eprintln!("SKIP: {tool} is not installed (bind9-dnsutils, fstrm-bin)");
    }
    there
}

/// What dnstap-read says of a file, one message a document.
fn read(file: &Path) -> String {
    let output = Command::new("dnstap-read")
        .arg("-y")
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Two questions by UDP, one by TCP.
fn ask(rig: &Rig) {
    let udp = rig.udp();
    ask_udp(
        &udp,
        &query(1, "shop.example.test", RecordType::A, Some("10.2.0.0/24")),
    );
    ask_udp(
        &udp,
        &query(2, "nowhere.example.test", RecordType::AAAA, None),
    );
    let mut tcp = rig.tcp();
    send_tcp(&mut tcp, &query(3, "www.example.test", RecordType::A, None));
    receive_tcp(&mut tcp).unwrap();
}

fn check(text: &str) {
    for (part, times) in [
        ("type: AUTH_QUERY", 3),
        ("type: AUTH_RESPONSE", 3),
        ("identity: ns1\n", 6),
        ("socket_protocol: UDP", 4),
        ("socket_protocol: TCP", 2),
        ("query_address: \"127.0.0.1\"", 6),
        ("    status: NXDOMAIN\n", 1),
        ("shop.example.test. 30 IN A 198.51.100.1", 1),
    ] {
        assert_eq!(text.matches(part).count(), times, "{part}:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dnstap_read_reads_our_files() {
    if !installed("dnstap-read") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log/dns.tap");
    let yaml = format!(
        "{{ to: {{ file: {{ path: {} }} }}, identity: ns1 }}",
        file.display()
    );
    let rig = Rig::start(|dns| dns.dnstap = Some(config(&yaml)));
    ask(&rig);
    rig.stop().await;
    check(&read(&file));
}

/// Listens on a socket and writes what comes into a file.
fn capture(socket: &Path, file: &Path) -> Child {
    Command::new("fstrm_capture")
        .args(["-t", "protobuf:dnstap.Dnstap", "-u"])
        .arg(socket)
        .arg("-w")
        .arg(file)
        .spawn()
        .unwrap()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < DEADLINE, "never: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fstrm_capture_takes_our_frames_also_when_it_comes_late_and_comes_back() {
    if !installed("fstrm_capture") || !installed("dnstap-read") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("tap.sock");
    let yaml = format!("{{ to: {{ unix: {} }}, identity: ns1 }}", socket.display());
    let rig = Rig::start(|dns| dns.dnstap = Some(config(&yaml)));
    // Nobody listens yet: what is asked now waits.
    ask(&rig);
    for name in ["first", "second"] {
        let file = folder.path().join(name);
        let mut reader = capture(&socket, &file);
        until("the reader is found", || {
            rig.metric("meridian_dns_dnstap_connected") >= 1.0
        })
        .await;
        if name == "second" {
            ask(&rig);
        }
        let wanted = if name == "first" { 6.0 } else { 12.0 };
        until("all frames are written", || {
            rig.metric("meridian_dns_dnstap_frames_total") >= wanted
        })
        .await;
        if name == "second" {
            break_off(&rig, reader, folder.path(), name).await;
            return;
        }
        terminate(&mut reader);
        check(&read(&file));
        // A reader that is gone is noticed by the next frame.
        let udp = rig.udp();
        ask_udp(&udp, &query(9, "www.example.test", RecordType::A, None));
        until("the break is noticed", || {
            rig.metric("meridian_dns_dnstap_connected") < 1.0
        })
        .await;
        assert!(rig.metric("meridian_dns_dnstap_failures_total") >= 1.0);
    }
}

/// The second reader hears our farewell and has the whole of what was asked meanwhile.
async fn break_off(rig: &Rig, mut reader: Child, folder: &Path, name: &str) {
    assert!(rig.metric("meridian_dns_dnstap_dropped_total") <= 2.0);
    terminate(&mut reader);
    check(&read(&folder.join(name)));
}

/// fstrm_capture writes what it has on SIGTERM.
fn terminate(reader: &mut Child) {
    let killed = Command::new("kill").arg(reader.id().to_string()).status();
    assert!(killed.unwrap().success());
    reader.wait().unwrap();
}

#[test]
fn bad_settings_name_the_field() {
    for (yaml, says) in [
        ("{ to: { unix: a }, sample_rate: 2.0 }", "sample_rate"),
        ("{ to: { unix: a }, color: red }", "color"),
        ("{ to: { tcp: here } }", "tcp"),
        ("{ identity: ns1 }", "to"),
    ] {
        let said = meridian_topology::door::parse::<DnstapConfig>("meridian.yaml", yaml)
            .err()
            .unwrap_or_else(|| panic!("{yaml} was taken"))
            .to_string();
        assert!(said.contains(says), "{yaml}: {said}");
    }
    let mut dns = meridian_geodns::DnsConfig {
        dnstap: Some(config("{ to: { unix: a }, queue: 1 }")),
        ..meridian_geodns::DnsConfig::default()
    };
    let refused = dns.validate(std::num::NonZeroUsize::MIN).unwrap_err();
    assert!(refused.to_string().contains("dnstap.queue"), "{refused}");
    let tap = config("{ to: { file: { path: a, max_files: 0 } } }");
    assert!(matches!(tap.to, DnstapTarget::File(_)));
    dns.dnstap = Some(tap);
    let refused = dns.validate(std::num::NonZeroUsize::MIN).unwrap_err();
    assert!(refused.to_string().contains("max_files"), "{refused}");
}
