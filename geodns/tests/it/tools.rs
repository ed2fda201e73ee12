//! kdig and dig as clients; skipped with a line where they are not installed.

use std::process::Command;

use crate::rig::Rig;

/// The words of a tool's output, or `None` when the tool is missing.
fn run(tool: &str, rig: &Rig, arguments: &str) -> Option<String> {
    let (host, port) = (rig.address.ip().to_string(), rig.address.port().to_string());
    let output = Command::new(tool)
        .args([&format!("@{host}"), "-p", &port])
        .args(arguments.split(' '))
        .output();
    let output = match output {
        Ok(output) => output,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIP: {tool} is not installed (knot-dnsutils, bind9-dnsutils)");
            return None;
        }
        Err(error) => panic!("{tool}: {error}"),
    };
    assert!(output.status.success(), "{tool} {arguments}: {output:?}");
    Some(
        String::from_utf8(output.stdout)
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" "),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kdig_and_dig_agree_with_us() {
    let rig = Rig::start(|_| ());
    let check = |tool: &str, arguments: &str, parts: &[&str]| {
        let Some(output) = run(tool, &rig, arguments) else {
            return;
        };
        for part in parts {
            assert!(
                output.contains(part),
                "{tool} {arguments}: no `{part}` in {output}"
            );
        }
        assert!(
            !output.contains("WARNING") && !output.contains("malformed"),
            "{tool} {arguments}: {output}"
        );
    };
    check(
        "kdig",
        "+norec +subnet=10.2.0.0/24 shop.example.test A",
        &[
            "status: NOERROR",
            "Flags: qr aa; QUERY: 1; ANSWER: 1; AUTHORITY: 0; ADDITIONAL: 1",
            "CLIENT-SUBNET: 10.2.0.0/24/16",
            "shop.example.test. 30 IN A 198.51.100.1",
        ],
    );
    check(
        "kdig",
        "+norec +tcp +subnet=2001:db8:d::/48 shop.example.test A",
        &["CLIENT-SUBNET: 2001:db8:d::/48/48", "198.51.100.1", "(TCP)"],
    );
    check(
        "kdig",
        "+norec example.test MX",
        &["example.test. 300 IN MX 10 mail.example.test."],
    );
    check(
        "kdig",
        "+norec +edns=1 www.example.test A",
        &["status: BADVERS", "Version: 0"],
    );
    check(
        "kdig",
        "+norec cut.example.test A",
        &["AUTHORITY: 2", "ns.cut.example.test. 300 IN A 192.0.2.60"],
    );
    check(
        "dig",
        "+norec +subnet=10.3.0.0/16 shop.example.test A",
        &[
            "status: NOERROR",
            "CLIENT-SUBNET: 10.3.0.0/16/16",
            "203.0.113.1",
        ],
    );
    check(
        "dig",
        "+norec +tcp nowhere.example.test A",
        &["status: NXDOMAIN", "example.test. 60 IN SOA"],
    );
    check(
        "dig",
        "+norec +subnet=0 www.example.test AAAA",
        &["status: NOERROR", "2001:db8::80"],
    );
    check(
        "dig",
        "+norec -c CH -t TXT version.bind",
        &["status: REFUSED"],
    );
    rig.stop().await;
}
