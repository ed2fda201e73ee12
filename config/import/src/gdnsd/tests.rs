#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot build its input has failed"
)]

use std::path::Path;

use expect_test::expect;
use meridian_engine::PolicySet;
use meridian_topology::{SourceFile, Topology};
use tempfile::TempDir;

use super::*;
use crate::NoteKind;

const ZONE: &str = "\
$TTL 3600
@ SOA ns1 hostmaster ( 7 2H 30M 3D 900 ) ; comment
  NS ns1
  NS ns2.elsewhere.invalid.
ns1 A 192.0.2.53
www 300/30 DYNA geoip!www
  MX 10 mail
mail A 192.0.2.25
text TXT \"one \\\"two\\\"\"
$ORIGIN sub
alias 60 IN CNAME www.@Z
deep.@F A 192.0.2.9
";

/// A configuration directory of these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn converted(config: &str, zone: &str) -> Converted {
    let folder = folder(&[("config", config), ("zones/example.test", zone)]);
    convert(folder.path()).unwrap_or_else(|error| panic!("{error}"))
}

/// Reads what came out by the parsers of a running node.
fn checked(made: &Converted) -> Topology {
    let source = |(name, text): (&String, &String)| SourceFile {
        name: name.clone(),
        text: text.clone(),
    };
    let topology = made.files.get_key_value("topology.yaml").unwrap();
    let topology = Topology::parse(&[source(topology)])
        .unwrap_or_else(|problems| panic!("{problems}\n{}", made.files["topology.yaml"]));
    let policies = made
        .files
        .iter()
        .filter(|(name, _)| name.starts_with("policies/"));
    let policies: Vec<SourceFile> = policies.map(source).collect();
    PolicySet::parse(&policies, &topology).unwrap_or_else(|problems| panic!("{problems}"));
    topology
}

fn notes(made: &Converted, kind: NoteKind) -> Vec<String> {
    let of_kind = made.notes.iter().filter(|note| note.kind == kind);
    of_kind
        .map(|note| {
            let file = Path::new(&*note.at.file).file_name().unwrap();
            format!("{}:{}: {}", file.to_string_lossy(), note.at.line, note.text)
        })
        .collect()
}

const GEO: &str = r#"
service_types => {
  web => { plugin => http_status, url_path => "/up", vhost => www.example.test, up_thresh => 3, down_thresh => 2, interval => 8, timeout => 3 }
}
plugins => { geoip => {
  maps => { prod => {
    datacenters => [ us, eu, ap ]
    map => {
      EU => { default => [eu, us], CH => [us, eu] }
      AS => [ap]
      NA => { US => { CA => [ap], default => [us] } }
    }
    nets => { 10.0.0.0/8 => [ap, us], 10.1.0.0/16 => [eu], ::c000:200/120 => us }
  } }
  service_types => web
  resources => { www => { map => prod, up_thresh => 0.4, dcmap => {
    us => [ 192.0.2.1, 192.0.2.2 ]
    eu => { addrs_v4 => { lb1 => 198.51.100.1 }, addrs_v6 => [ 2001:db8::1 ] }
    ap => 203.0.113.1
  } } }
} }
"#;

#[test]
fn a_geographic_map() {
    let made = converted(GEO, ZONE);
    let topology = checked(&made);
    assert_eq!(topology.services[0].dns.as_ref().unwrap().ttl.0, 300);
    expect![[r##"
        # Converted from gdnsd by `meridian import gdnsd`; look at what it said to check.
        policy: www
        eligible:
          - regions:
              first: [ap, us]
              only: [ap, us]
              when: { client_in: ["group:nets-1"] }
          - regions:
              first: [eu]
              only: [eu]
              when: { client_in: ["group:nets-2"] }
          - regions:
              first: [us]
              only: [us]
              when: { client_in: ["group:nets-3"] }
          - regions:
              first: [ap]
              only: [ap]
              when: { client_in: ["continent:asia"], client_not_in: ["group:nets-1", "group:nets-2", "group:nets-3", US, CH] }
          - regions:
              first: [eu, us]
              only: [eu, us]
              when: { client_in: ["continent:europe"], client_not_in: ["group:nets-1", "group:nets-2", "group:nets-3", US, CH] }
          - regions:
              first: [us]
              only: [us]
              when: { client_in: [US], client_not_in: ["group:nets-1", "group:nets-2", "group:nets-3", CH] }
          - regions:
              first: [us, eu]
              only: [us, eu]
              when: { client_in: [CH], client_not_in: ["group:nets-1", "group:nets-2", "group:nets-3", US] }
          - regions:
              first: [us, eu, ap]
              only: [us, eu, ap]
              when: { client_not_in: ["group:nets-1", "group:nets-2", "group:nets-3", "continent:europe", CH, "continent:asia", US], unknown: apply }
        score:
          - geographic: { weight: 0.0 }
        spread: { answers: 2, answers_at_least: 1, sticky: none }
        failover: { panic_threshold: 0.4 }
        when_none: { fail: ignore_health }
    "##]]
    .assert_eq(&made.files["policies/www.yaml"]);
    expect![[r##"
        # Converted from gdnsd by `meridian import gdnsd`; look at what it said to check.
        regions:
          - id: ap
            location: { country: AQ, latitude: 0.0000, longitude: 0.0000, provider: own }
            endpoints:
              - id: ap-203-0-113-1
                address: "203.0.113.1"
                port: 80
                services: [www]
                health_checks:
                  - { http: { path: /up, host: www.example.test, expect_status: ["200"] }, interval: "8s", timeout: "3s", rise: 3, fall: 2, port: 80 }
          - id: eu
            location: { country: AQ, latitude: 0.0000, longitude: 0.0000, provider: own }
            endpoints:
              - id: eu-198-51-100-1
                address: "198.51.100.1"
                port: 80
                services: [www]
                health_checks:
                  - { http: { path: /up, host: www.example.test, expect_status: ["200"] }, interval: "8s", timeout: "3s", rise: 3, fall: 2, port: 80 }
              - id: eu-2001-db8--1
                address: "2001:db8::1"
                port: 80
                services: [www]
                health_checks:
                  - { http: { path: /up, host: www.example.test, expect_status: ["200"] }, interval: "8s", timeout: "3s", rise: 3, fall: 2, port: 80 }
          - id: us
            location: { country: AQ, latitude: 0.0000, longitude: 0.0000, provider: own }
            endpoints:
              - id: us-192-0-2-1
                address: "192.0.2.1"
                port: 80
                services: [www]
                health_checks:
                  - { http: { path: /up, host: www.example.test, expect_status: ["200"] }, interval: "8s", timeout: "3s", rise: 3, fall: 2, port: 80 }
              - id: us-192-0-2-2
                address: "192.0.2.2"
                port: 80
                services: [www]
                health_checks:
                  - { http: { path: /up, host: www.example.test, expect_status: ["200"] }, interval: "8s", timeout: "3s", rise: 3, fall: 2, port: 80 }
        services:
          # geoip!www of DIR/zones/example.test:6
          - id: www
            policy: www
            dns:
              names: [www.example.test]
              ttl: 300s
        client_groups:
          - { id: nets-1, cidrs: ["10.0.0.0/8"] }
          - { id: nets-2, cidrs: ["10.1.0.0/16"] }
          - { id: nets-3, cidrs: ["192.0.2.0/24"] }
        dns_zones:
          - origin: example.test
            ttl: 3600s
            soa: { mname: ns1.example.test, rname: hostmaster.example.test, serial: 7, refresh: 7200s, retry: 1800s, expire: 259200s, minimum: 900s }
            ns: [ns1.example.test, ns2.elsewhere.invalid]
            records:
              - { name: ns1, type: A, ttl: 3600s, data: "192.0.2.53" }
              - { name: www, type: MX, ttl: 3600s, data: "10 mail.example.test" }
              - { name: mail, type: A, ttl: 3600s, data: "192.0.2.25" }
              - { name: text, type: TXT, ttl: 3600s, data: "one \"two\"" }
              - { name: alias.sub, type: CNAME, ttl: 60s, data: www.example.test }
              - { name: deep, type: A, ttl: 3600s, data: "192.0.2.9" }
    "##]].assert_eq(
        &made.files["topology.yaml"].replace(
            Path::new(&*made.notes[0].at.file)
                .parent()
                .unwrap()
                .to_str()
                .unwrap(),
            "DIR",
        ),
    );
    let none = notes(&made, NoteKind::NoCounterpart);
    assert_eq!(none.len(), 1, "{none:?}");
    assert!(none[0].starts_with("config:11: US/CA"), "{none:?}");
    let check = notes(&made, NoteKind::Check).join("\n");
    for part in [
        "`web`: `fall` counts failures in a row",
        "example.test:6: www.example.test: TTLs between 30 and 300 s",
        "region `ap`: gdnsd does not say where it is",
        "us, ap without IPv6: its clients get the IPv6 addresses of the next",
    ] {
        assert!(check.contains(part), "{part}: {check}");
    }
}

#[test]
fn plugins_one_by_one() {
    let config = r#"
plugins => {
  multifo => { service_types => up, up_thresh => 0.7, lb => [ 192.0.2.1, 192.0.2.2 ], dual => { addrs_v4 => [192.0.2.1], addrs_v6 => [ 2001:db8::1 ] } }
  weighted => { w => { a => [ 192.0.2.1, 20 ], b => [ 192.0.2.2, 50000 ] }, names => { x => [ a.example.net., 1 ] } }
  simplefo => { s => { primary => 192.0.2.3, secondary => 192.0.2.4 } }
  static => { one => 192.0.2.5, name => host.example.net. }
  metafo => { resources => {
    m => { datacenters => [ a, b, c ], dcmap => { a => %multifo!lb, b => { plugin => simplefo, primary => 192.0.2.8, secondary => 192.0.2.9 }, c => 192.0.2.7 } }
    back => { datacenters => [ a, b ], dcmap => { a => 192.0.2.1, b => fallback.example.net. } }
    loop => { datacenters => [ a ], dcmap => { a => %metafo!loop } }
  } }
}
"#;
    let zone = "\
@ 60 SOA ns1 h 1 1H 10M 1D 60
@ 60 NS ns1
ns1 A 192.0.2.53
lb 60/60 DYNA multifo!lb
dual 60/60 DYNA multifo!dual
w 60/60 DYNA weighted!w
names 60/60 DYNC weighted!names
s 60/60 DYNA simplefo!s
one 60/60 DYNA static!one
name 60/60 DYNC static!name
m 60/60 DYNA metafo!m
mb 60/60 DYNA metafo!m/b
m2 60/60 DYNA metafo!m
m3 30/30 DYNA metafo!m
back 60/60 DYNC metafo!back
loop 60/60 DYNA metafo!loop
me 60/60 DYNA reflect!best
gone 60/60 DYNA multifo!gone
";
    let made = converted(config, zone);
    let topology = checked(&made);
    let of = |name: &str| {
        let service = topology.services.iter().find(|service| {
            let dns = service.dns.as_ref().unwrap();
            dns.names
                .iter()
                .any(|it| it.to_string() == format!("{name}.example.test"))
        });
        service.map(|service| service.id.to_string())
    };
    assert_eq!(of("m"), of("m2"));
    assert_ne!(of("m"), of("m3"));
    for name in ["names", "loop", "me", "gone"] {
        assert_eq!(of(name), None, "{name}");
    }
    let policy = |name: &str| {
        let id = of(name).unwrap();
        let service = topology.services.iter().find(|it| it.id.as_str() == id);
        made.files[&format!("policies/{}.yaml", service.unwrap().policy)].clone()
    };
    assert!(
        policy("m").contains("first: [a, b, b-secondary, c]"),
        "{}",
        policy("m")
    );
    assert!(
        policy("mb").contains("first: [b, b-secondary]"),
        "{}",
        policy("mb")
    );
    assert!(
        policy("s").contains("first: [primary, secondary]"),
        "{}",
        policy("s")
    );
    assert!(
        policy("lb").contains("panic_threshold: 0.7"),
        "{}",
        policy("lb")
    );
    assert!(policy("w").contains("sticky: none"), "{}", policy("w"));
    let weights: Vec<u16> = topology
        .endpoints
        .iter()
        .map(|endpoint| endpoint.weight.0)
        .filter(|weight| *weight != 100)
        .collect();
    assert_eq!(weights, [4, 10_000]);
    // What lost its name is no region of that policy.
    assert!(policy("back").contains("only: [a] }"), "{}", policy("back"));
    let none = notes(&made, NoteKind::NoCounterpart).join("\n");
    for part in [
        "names.example.test weighted!names: ",
        "loop.example.test metafo!loop: more than 16 resources refer to each other",
        "me.example.test reflect!best: `reflect` answers the client's own address",
        "gone.example.test multifo!gone: there is no resource `gone`",
        "b: the name fallback.example.net beside addresses",
    ] {
        assert!(none.contains(part), "{part}: {none}");
    }
    assert!(topology.services.iter().any(|service| matches!(
        &service.dns.as_ref().unwrap().answer,
        meridian_topology::DnsAnswer::Cname { targets } if targets[0].1.to_string() == "host.example.net"
    )));
}

#[test]
fn the_language_and_its_mistakes() {
    let text = |config: &str| {
        let folder = folder(&[
            ("config", config),
            ("more", "x => 1 y = { z => [a b] }"),
            ("list", "[ 1, 2 ]"),
            ("d/one", "p => 1"),
            ("d/two", "q => 2"),
        ]);
        vscf::read_file(&folder.path().join("config"))
            .map(|value| show(&value))
            .map_err(|error| error.to_string().rsplit('/').next().unwrap().to_owned())
    };
    let good = |config: &str, wanted: &str| assert_eq!(text(config).as_deref(), Ok(wanted));
    good("a=>b", "{a: b}");
    good(
        "a = [ 1 2,3 ], b => { c d\\ e => x } # end"
            .replace("c d", "d")
            .as_str(),
        "{a: [1 2 3], b: {d e: x}}",
    );
    good(
        "\"a b\" => \"ex\\097mpl\\e\" ; zone comment\nc=d",
        "{a b: example, c: d}",
    );
    good("braces\\{x => \"\\\\===\"", "{braces{x: \\===}");
    good(
        "a => $include{more}, b => $include{ \"list\" }",
        "{a: {x: 1, y: {z: [a b]}}, b: [1 2]}",
    );
    good(
        "$include{more} $include{d/*} $include{d/t*}"
            .replace(" $include{d/t*}", "")
            .as_str(),
        "{x: 1, y: {z: [a b]}, p: 1, q: 2}",
    );
    good("$include{d}", "{p: 1, q: 2}");
    for (config, wanted) in [
        ("a => {\n b => c", "config:2: a `}` is missing"),
        ("a b", "config:1: `=>` is missing behind `a`"),
        ("\n\na => \"x", "config:3: a `\"` is missing"),
        ("a => 1 a => 2", "config:1: `a` is there twice"),
        ("a => \\999", "config:1: `\\999` is no byte"),
        ("a => ]", "config:1: `]` instead of a word"),
        ("$include{nothing*}", "config:1: nothing matches `nothing*`"),
    ] {
        assert_eq!(text(config), Err(wanted.to_owned()), "{config}");
    }
    let deep = format!("a => {}x{}", "[".repeat(100), "]".repeat(100));
    assert!(text(&deep).unwrap_err().contains("more than 64 levels"));
    assert!(
        text("$include{config}")
            .unwrap_err()
            .contains("more than 64 levels")
    );
}

fn show(value: &Value) -> String {
    match &value.data {
        Data::Text(text) => text.clone(),
        Data::List(values) => {
            let values: Vec<String> = values.iter().map(show).collect();
            format!("[{}]", values.join(" "))
        }
        Data::Hash(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(key, value)| format!("{key}: {}", show(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
    }
}

#[test]
fn zone_files_and_their_mistakes() {
    let read = |zone: &str| {
        let folder = folder(&[
            ("zones/example.test", zone),
            ("zones/inc/part", "a A 192.0.2.1\n"),
        ]);
        let mut notes = Notes::default();
        zonefile::read(
            "example.test",
            &folder.path().join("zones/example.test"),
            86_400,
            &mut notes,
        )
        .map_err(|error| error.to_string().rsplit('/').next().unwrap().to_owned())
    };
    let zone = read(ZONE).unwrap();
    let lines: Vec<String> = zone
        .records
        .iter()
        .map(|record| {
            let data: Vec<&str> = record.data.iter().map(|word| word.text.as_str()).collect();
            format!(
                "{} {} {} {}",
                record.owner,
                record.ttl,
                record.rtype,
                data.join(" ")
            )
        })
        .collect();
    expect![[r#"
        example.test 3600 SOA ns1.example.test. hostmaster.example.test. 7 7200 1800 259200 900
        example.test 3600 NS ns1.example.test.
        example.test 3600 NS ns2.elsewhere.invalid.
        ns1.example.test 3600 A 192.0.2.53
        www.example.test 3600 MX 10 mail.example.test.
        mail.example.test 3600 A 192.0.2.25
        text.example.test 3600 TXT one \"two\"
        alias.sub.example.test 60 CNAME www.example.test.
        deep.example.test 3600 A 192.0.2.9"#]]
    .assert_eq(&lines.join("\n"));
    let dynamic = &zone.dynamic[0];
    assert_eq!((dynamic.ttl_max, dynamic.may_be_name), (300, false));
    let included = read("$INCLUDE inc/part sub\n").unwrap();
    assert_eq!(included.records[0].owner, "a.sub.example.test");
    for (text, wanted) in [
        (
            "  A 192.0.2.1\n",
            "example.test:1: the first record has no owner",
        ),
        (
            "a 60/30 A 192.0.2.1\n",
            "example.test:1: only DYNA and DYNC have two TTLs, not A",
        ),
        ("\na ( A\n 192.0.2.1\n", "example.test:2: a `)` is missing"),
        ("a TXT \"x\n", "example.test:1: a `\"` is missing"),
        (
            "$GENERATE 1-2 a A 192.0.2.1\n",
            "example.test:1: gdnsd has no `$GENERATE`",
        ),
        (
            "other.invalid. A 192.0.2.1\n",
            "example.test:1: `other.invalid` lies outside of example.test",
        ),
        (
            "$INCLUDE example.test\n",
            "example.test:1: more than 16 files inside each other",
        ),
    ] {
        assert_eq!(read(text).map(|_| ()), Err(wanted.to_owned()), "{text}");
    }
}

#[test]
fn options_and_an_empty_directory() {
    let made = converted(
        "options => { listen => { 192.0.2.53 => {}, \"[2001:db8::53]:5353\" => {} }, dns_port => 5300, edns_client_subnet => false, max_edns_response => 1400, nsid_ascii => me }",
        ZONE.replace("www 300/30 DYNA geoip!www\n  MX", "www MX")
            .as_str(),
    );
    checked(&made);
    let node = &made.files["meridian.yaml"];
    for line in [
        "listen: [\"192.0.2.53:5300\", \"[2001:db8::53]:5353\"]",
        "udp_bytes_max: 1400",
        "client_subnet: nobody",
    ] {
        assert!(node.contains(line), "{line}: {node}");
    }
    let none = notes(&made, NoteKind::NoCounterpart);
    assert!(none[0].contains("`nsid_ascii`"), "{none:?}");
    let nothing = tempfile::tempdir().unwrap();
    assert!(matches!(
        convert(nothing.path()),
        Err(ImportError::Nothing(_))
    ));
}

/// Texts with a character changed are read or refused, never a fault of ours.
#[test]
fn mutations_are_read_or_refused() {
    let folder = folder(&[("config", GEO), ("zones/example.test", ZONE)]);
    let mut refused = 0;
    for (name, text) in [("config", GEO), ("zones/example.test", ZONE)] {
        let path = folder.path().join(name);
        for at in (0..text.len()).step_by(9) {
            for other in ["", "}", "\"", "\\", "(", "\n"] {
                let changed = [&text[..at], other, &text[at + 1..]].concat();
                std::fs::write(&path, changed).unwrap();
                refused += usize::from(convert(folder.path()).is_err());
            }
        }
        std::fs::write(&path, text).unwrap();
    }
    assert!(refused > 100, "{refused}");
}
