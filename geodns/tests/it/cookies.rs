//! Cookies with programs we did not write: kdig obeys BADCOOKIE, and Knot takes our cookies as its own
//! (RFC 9018: one secret, one anycast address, servers of several makers).

use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
use meridian_geodns::guard::CookieRequire;

use crate::rig::{DEADLINE, Rig, query};

/// RFC 9018, appendix A.
const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";

/// A Knot without zones that demands cookies; ends with the test.
struct Knot {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Knot {
    /// `None` when it is not installed.
    fn start() -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().display();
        let port = crate::ports::free_port();
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let config = format!(
            r#"
server:
    rundir: "{path}"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: "{path}"
mod-cookies:
  - id: shared
    secret: 0x{SECRET}
    badcookie-slip: 1
template:
  - id: default
    global-module: mod-cookies/shared
"#
        );
        let file = directory.path().join("knot.conf");
        std::fs::write(&file, config).unwrap();
        let started = Command::new("knotd")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        match started {
            Ok(process) => Some(Self {
                process,
                address,
                _directory: directory,
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("SKIP: knotd is not installed (knot)");
                None
            }
            Err(error) => panic!("knotd: {error}"),
        }
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The code and the cookie that a server answers; asks until it does.
fn ask(server: SocketAddr, cookie: &[u8]) -> (ResponseCode, Vec<u8>) {
    let packet = query(5, "www.example.test.", RecordType::A, None);
    let mut message = Message::from_vec(&packet).unwrap();
    let option = EdnsOption::Unknown(EdnsCode::Cookie.into(), cookie.to_vec());
    message
        .edns
        .insert(Edns::new())
        .options_mut()
        .insert(option);
    let packet = message.to_vec().unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(server).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_millis(500)))
        .unwrap();
    let start = Instant::now();
    let mut answer = [0; 4096];
    let bytes = loop {
        assert!(start.elapsed() < DEADLINE, "{server} is silent");
        if socket.send(&packet).is_ok()
            && let Ok(bytes) = socket.recv(&mut answer)
        {
            break bytes;
        }
        std::thread::yield_now();
    };
    let message = Message::from_vec(&answer[..bytes]).unwrap();
    let code = message.metadata.response_code;
    match message.edns.unwrap().option(EdnsCode::Cookie) {
        Some(EdnsOption::Unknown(_, cookie)) => (code, cookie.clone()),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn knot_and_we_take_each_others_cookies() {
    let Some(knot) = Knot::start() else { return };
    let secrets = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secrets.path(), SECRET).unwrap();
    let rig = Rig::start(|config| {
        config.cookies.secret_file = Some(secrets.path().to_owned());
        config.cookies.require = CookieRequire::OverUdp;
    });
    let client = [1, 2, 3, 4, 5, 6, 7, 8];
    let (code, from_knot) = ask(knot.address, &client);
    assert_eq!((code, from_knot.len()), (ResponseCode::BADCOOKIE, 24));
    let (code, from_us) = ask(rig.address, &client);
    assert_eq!((code, from_us.len()), (ResponseCode::BADCOOKIE, 24));
    // Knot has no zone: who is refused has passed the cookie.
    assert_eq!(ask(knot.address, &from_us).0, ResponseCode::Refused);
    assert_eq!(ask(rig.address, &from_knot).0, ResponseCode::NoError);
    let mut forged = from_knot;
    forged[23] ^= 1;
    assert_eq!(ask(rig.address, &forged).0, ResponseCode::BADCOOKIE);
    for (verdict, count) in [("client_only", 1.0), ("valid", 1.0), ("invalid", 1.0)] {
        let name = format!("meridian_dns_cookies_total{{verdict=\"{verdict}\"}}");
        assert!(rig.metric(&name) >= count, "{name}");
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kdig_fetches_a_cookie_when_told_to() {
    let rig = Rig::start(|config| config.cookies.require = CookieRequire::OverUdp);
    let port = rig.address.port().to_string();
    let output = Command::new("kdig")
        .args([
            "@127.0.0.1",
            "-p",
            &port,
            "+norec",
            "+cookie=0102030405060708",
        ])
        .args(["www.example.test", "A"])
        .output();
    let output = match output {
        Ok(output) => String::from_utf8(output.stdout).unwrap(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("SKIP: kdig is not installed (knot-dnsutils)");
            return;
        }
        Err(error) => panic!("kdig: {error}"),
    };
    let codes: Vec<_> = output
        .lines()
        .filter_map(|line| line.split("status: ").nth(1)?.split(';').next())
        .collect();
    assert_eq!(codes, ["BADCOOKIE", "NOERROR"], "{output}");
    assert!(output.contains("192.0.2.80"), "{output}");
    rig.stop().await;
}
