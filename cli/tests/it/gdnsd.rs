//! A gdnsd and what `meridian import gdnsd` makes of its configuration, side by side: both are asked
//! the same names for the same client subnets, and give the same addresses. Skipped with a line where
//! gdnsd is not installed.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::rdata::opt::{ClientSubnet, EdnsOption};
use hickory_proto::rr::{Name, RecordType};

use crate::run::{command, meridian, word};

/// Far beyond what a start takes.
const PATIENCE: Duration = Duration::from_secs(120);

const CONFIG: &str = r#"
options => {
  listen => LISTEN
  run_dir => RUN
  state_dir => STATE
  experimental_no_chain => false
}
plugins => {
  multifo => {
    pair => [ 192.0.2.11, 192.0.2.12 ]
    dual => { addrs_v4 => [ 192.0.2.13 ], addrs_v6 => [ 2001:db8::13 ] }
  }
  weighted => { heavy => { a => [ 192.0.2.21, 3 ], b => [ 192.0.2.22, 1 ] } }
  simplefo => { two => { primary => 192.0.2.31, secondary => 192.0.2.32 } }
  static => { one => 192.0.2.41, away => host.elsewhere.invalid. }
  metafo => { resources => {
    chain => { datacenters => [ a, b ], dcmap => { a => %multifo!pair, b => 192.0.2.51 } }
    first => { datacenters => [ a, b ], skip_first => true, dcmap => { a => 192.0.2.52, b => 192.0.2.53 } }
  } }
  geoip => {
    maps => {
      world => {
        geoip2_db => geo.mmdb
        datacenters => [ us, eu, ap ]
        map => {
          EU => { default => [ eu, us ], CH => [ us, eu ] }
          AS => [ ap, us ]
          SA => [ us ]
        }
        nets => { 10.0.0.0/8 => [ ap ], 10.1.0.0/16 => eu, 10.1.2.0/24 => [ us, ap ], 2001:db8:77::/48 => [ ap ] }
      }
      plain => {
        datacenters => [ eu, us, ap ]
        nets => { 10.1.0.0/20 => [ us ], 81.0.0.0/8 => [ ap ] }
      }
    }
    resources => {
      www => { map => world, dcmap => { us => { addrs_v4 => [ 198.51.100.1, 198.51.100.2 ], addrs_v6 => [ 2001:db8::1 ] }, eu => { addrs_v4 => [ 198.51.100.3 ], addrs_v6 => [ 2001:db8::3 ] }, ap => { addrs_v4 => [ 198.51.100.4 ], addrs_v6 => [ 2001:db8::4 ] } } }
      plain => { map => plain, dcmap => { us => 198.51.100.11, eu => 198.51.100.12, ap => 198.51.100.13 } }
      second => { map => world, skip_first => true, dcmap => { us => 198.51.100.21, eu => 198.51.100.22, ap => 198.51.100.23 } }
      names => { map => world, dcmap => { us => us.elsewhere.invalid., eu => eu.elsewhere.invalid., ap => ap.elsewhere.invalid. } }
    }
  }
}
"#;

const ZONE: &str = "\
$TTL 600
@ SOA ns1 hostmaster 7 7200 1800 259200 900
@ NS ns1
@ NS ns2.elsewhere.invalid.
@ MX 10 mail
ns1 A 192.0.2.53
mail A 192.0.2.25
mail AAAA 2001:db8::25
alias CNAME mail
note TXT \"some words; and more\"
*.wild A 192.0.2.99
pair 300/300 DYNA multifo!pair
dual 300/300 DYNA multifo!dual
heavy 300/300 DYNA weighted!heavy
two 300/300 DYNA simplefo!two
one 300/300 DYNA static!one
away 300/300 DYNC static!away
chain 300/300 DYNA metafo!chain
chain-b 300/300 DYNA metafo!chain/b
first 300/300 DYNA metafo!first
www 300/300 DYNA geoip!www
www-ap 300/300 DYNA geoip!www/ap
plain 300/300 DYNA geoip!plain
second 300/300 DYNA geoip!second
names 300/300 DYNC geoip!names
";

/// The first octet of IPv4 networks, their continent and country.
const WORLD: [(u8, &str, &str); 8] = [
    (12, "NA", "US"),
    (81, "EU", "DE"),
    (82, "EU", "FR"),
    (83, "EU", "CH"),
    (101, "AS", "JP"),
    (102, "AF", "ZA"),
    (177, "SA", "BR"),
    (203, "OC", "AU"),
];

/// Clients: every country, no country, every network of the maps, just beside them, IPv6.
const CLIENTS: &[&str] = &[
    "12.34.56.0/24",
    "81.2.69.0/24",
    "82.1.1.0/24",
    "83.7.7.0/24",
    "101.2.3.0/24",
    "102.9.9.0/24",
    "177.1.2.0/24",
    "203.0.114.0/24",
    "240.1.1.0/24",
    "10.200.1.0/24",
    "10.1.99.0/24",
    "10.1.2.0/24",
    "10.1.3.0/24",
    "10.1.16.0/24",
    "11.1.1.0/24",
    "2001:db8:77::/48",
    "2001:db8:78::/48",
];

const QUESTIONS: &[(&str, RecordType)] = &[
    ("example.test", RecordType::MX),
    ("example.test", RecordType::NS),
    ("mail.example.test", RecordType::A),
    ("mail.example.test", RecordType::AAAA),
    ("alias.example.test", RecordType::A),
    ("note.example.test", RecordType::TXT),
    ("x.y.wild.example.test", RecordType::A),
    ("nowhere.example.test", RecordType::A),
    ("pair.example.test", RecordType::A),
    ("pair.example.test", RecordType::AAAA),
    ("dual.example.test", RecordType::A),
    ("dual.example.test", RecordType::AAAA),
    ("two.example.test", RecordType::A),
    ("one.example.test", RecordType::A),
    ("away.example.test", RecordType::A),
    ("chain.example.test", RecordType::A),
    ("chain-b.example.test", RecordType::A),
    ("first.example.test", RecordType::A),
    ("www.example.test", RecordType::A),
    ("www.example.test", RecordType::AAAA),
    ("www-ap.example.test", RecordType::A),
    ("plain.example.test", RecordType::A),
    ("second.example.test", RecordType::A),
    ("names.example.test", RecordType::A),
];

#[test]
fn the_converted_deployment_answers_as_gdnsd_does() {
    if Command::new("gdnsd").arg("-h").output().is_err() {
        eprintln!("SKIP: gdnsd is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let theirs = folder.path().join("gdnsd");
    let theirs_at = free_port();
    write_gdnsd(&theirs, theirs_at);
    let ours = folder.path().join("edge");
    let said = meridian(&["import", "gdnsd", word(&theirs), "--out", word(&ours)]).fine();
    assert!(said.out.contains("0 without a counterpart"), "{}", said.out);
    // A second time there is something to lose.
    meridian(&["import", "gdnsd", word(&theirs), "--out", word(&ours)]).ends_with_code(1);
    let ours_at = free_port();
    let node = format!(
        "roles: [dns]\ndns: {{ listen: [\"{ours_at}\"] }}\nadmin: {{ listen: \"127.0.0.1:0\" }}\ngeo: {{ mmdb_city: {} }}\n",
        theirs.join("geoip/geo.mmdb").display()
    );
    std::fs::write(ours.join("meridian.yaml"), node).unwrap();
    meridian(&["check", "--dir", word(&ours)]).fine();

    let log = |name: &str| std::fs::File::create(folder.path().join(name)).unwrap();
    let mut gdnsd = Command::new("gdnsd");
    gdnsd
        .args(["-c", word(&theirs), "start"])
        .stderr(log("gdnsd.log"));
    let _gdnsd = Running::start(
        gdnsd.stdout(Stdio::null()),
        theirs_at,
        &folder.path().join("gdnsd.log"),
    );
    let mut serve = command(&["serve", "--dir", word(&ours)]);
    let _ours = Running::start(
        serve.stderr(log("meridian.log")),
        ours_at,
        &folder.path().join("meridian.log"),
    );

    let mut differences = Vec::new();
    for (name, rtype) in QUESTIONS {
        for client in CLIENTS {
            let (wanted, got) = (
                ask(theirs_at, name, *rtype, client),
                ask(ours_at, name, *rtype, client),
            );
            if wanted != got {
                differences.push(format!(
                    "{name} {rtype} for {client}: gdnsd {wanted:?}, we {got:?}"
                ));
            }
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    // Chance may choose differently; the choices are the same.
    let seen = |at| -> BTreeSet<String> {
        (0..200)
            .flat_map(|_| ask(at, "heavy.example.test", RecordType::A, "12.34.56.0/24").1)
            .collect()
    };
    let both = BTreeSet::from(["192.0.2.21".to_owned(), "192.0.2.22".to_owned()]);
    assert_eq!((seen(theirs_at), seen(ours_at)), (both.clone(), both));
}

/// A process that ends with the test.
struct Running(Child);

impl Running {
    /// Starts it and waits until it answers.
    fn start(command: &mut Command, at: SocketAddr, log: &Path) -> Self {
        let mut running = Self(command.spawn().unwrap());
        let started = Instant::now();
        while try_ask(at, "example.test", RecordType::SOA, "0.0.0.0/0").is_none() {
            let log = || std::fs::read_to_string(log).unwrap_or_default();
            assert!(running.0.try_wait().unwrap().is_none(), "{}", log());
            assert!(started.elapsed() < PATIENCE, "{}", log());
            std::thread::park_timeout(Duration::from_millis(50));
        }
        running
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended_already = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// Below the ports that the system gives to outgoing connections: one of them could take it meanwhile.
fn free_port() -> SocketAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let place = std::process::id().wrapping_mul(61).wrapping_add(step) % 20_000;
        let port = 10_000 + u16::try_from(place).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if UdpSocket::bind(address).is_ok() && TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

/// The response code and the data of the answer section, sorted.
type Answer = (String, Vec<String>);

fn ask(at: SocketAddr, name: &str, rtype: RecordType, subnet: &str) -> Answer {
    let started = Instant::now();
    loop {
        if let Some(answer) = try_ask(at, name, rtype, subnet) {
            return answer;
        }
        assert!(started.elapsed() < PATIENCE, "{at} does not answer {name}");
    }
}

fn try_ask(at: SocketAddr, name: &str, rtype: RecordType, subnet: &str) -> Option<Answer> {
    let (address, prefix) = subnet.split_once('/').unwrap();
    let address: IpAddr = address.parse().unwrap();
    let mut edns = Edns::new();
    edns.set_max_payload(1232);
    let subnet = ClientSubnet::new(address, prefix.parse().unwrap(), 0);
    edns.options_mut().insert(EdnsOption::Subnet(subnet));
    let mut message = Message::query();
    // A new id each time: what is not sticky draws by it.
    message.metadata.id = u16::from_be_bytes(std::array::from_fn(|_| fresh()));
    message
        .add_query(Query::query(Name::from_ascii(name).unwrap(), rtype))
        .set_edns(edns);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    socket.send_to(&message.to_vec().unwrap(), at).ok()?;
    let mut packet = [0; 4096];
    let length = socket.recv(&mut packet).ok()?;
    let answer = Message::from_vec(&packet[..length]).unwrap();
    let mut data: Vec<String> = answer
        .answers
        .iter()
        .map(|record| record.data.to_string())
        .collect();
    data.sort();
    Some((answer.metadata.response_code.to_string(), data))
}

/// A byte that differs from call to call.
fn fresh() -> u8 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0) as u8
}

fn write_gdnsd(folder: &Path, at: SocketAddr) {
    for below in ["zones", "geoip", "run", "state"] {
        std::fs::create_dir_all(folder.join(below)).unwrap();
    }
    let config = CONFIG
        .replace("LISTEN", &at.to_string())
        .replace("RUN", word(&folder.join("run")))
        .replace("STATE", word(&folder.join("state")));
    std::fs::write(folder.join("config"), config).unwrap();
    std::fs::write(folder.join("zones/example.test"), ZONE).unwrap();
    std::fs::write(folder.join("geoip/geo.mmdb"), mmdb()).unwrap();
}

/// A value of an MMDB file's data section.
enum Value {
    Text(&'static str),
    Short(u16),
    Number(u32),
    Long(u64),
    Map(Vec<(&'static str, Value)>),
    /// An array without elements.
    Empty,
}

fn write(value: &Value, out: &mut Vec<u8>) {
    // Type in the upper three bits, size in the lower five (below 29 here).
    let control = |kind: u8, size: usize| kind << 5 | u8::try_from(size).unwrap();
    match value {
        Value::Text(text) => {
            out.push(control(2, text.len()));
            out.extend(text.as_bytes());
        }
        Value::Short(number) => {
            out.push(control(5, 2));
            out.extend(number.to_be_bytes());
        }
        // An extended type: 9 is 7 + 2.
        Value::Long(number) => {
            out.extend([control(0, 8), 2]);
            out.extend(number.to_be_bytes());
        }
        Value::Number(number) => {
            out.push(control(6, 4));
            out.extend(number.to_be_bytes());
        }
        Value::Empty => out.extend([control(0, 0), 4]),
        Value::Map(entries) => {
            out.push(control(7, entries.len()));
            for (key, value) in entries {
                write(&Value::Text(key), out);
                write(value, out);
            }
        }
    }
}

/// [`WORLD`] as a country database (MaxMind DB File Format Specification 2.0): a complete tree of
/// eight levels over IPv4.
fn mmdb() -> Vec<u8> {
    let (mut data, mut offsets) = (Vec::new(), Vec::new());
    for (_, continent, country) in WORLD {
        offsets.push(data.len());
        let code = |key, code| Value::Map(vec![(key, Value::Text(code))]);
        let place = vec![
            ("continent", code("code", continent)),
            ("country", code("iso_code", country)),
        ];
        write(&Value::Map(place), &mut data);
    }
    let nodes = 255_u32;
    let record = |byte: usize| match WORLD.iter().position(|(net, ..)| usize::from(*net) == byte) {
        Some(at) => nodes + 16 + u32::try_from(offsets[at]).unwrap(),
        None => nodes,
    };
    let mut file = Vec::new();
    for node in 0..255_usize {
        for side in 1..=2 {
            let child = 2 * node + side;
            let value = if child < 255 {
                u32::try_from(child).unwrap()
            } else {
                record(child - 255)
            };
            file.extend(&value.to_be_bytes()[1..]);
        }
    }
    file.extend([0; 16]);
    file.extend(data);
    file.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("node_count", Value::Number(nodes)),
        ("record_size", Value::Short(24)),
        ("ip_version", Value::Short(4)),
        ("database_type", Value::Text("GeoLite2-Country")),
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Long(1)),
        ("languages", Value::Empty),
        ("description", Value::Map(Vec::new())),
    ]);
    write(&metadata, &mut file);
    file
}
