//! NSD and Knot on free ports of loopback, with the zones of a folder.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::message::{Answer, query, read};
use super::questions::Question;
use super::zones::MadeZone;

/// Longest wait for a server to load its zones, or for an answer; only a hang comes near it.
const PATIENCE: Duration = Duration::from_secs(120);
/// A datagram that is lost on loopback is asked for again.
const DATAGRAM_PATIENCE: Duration = Duration::from_secs(5);

/// A server to ask, and its process if it is not ours.
pub struct Server {
    pub name: &'static str,
    address: SocketAddr,
    process: Option<Child>,
    socket: UdpSocket,
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(process) = &mut self.process {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Server {
    pub fn at(name: &'static str, address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(DATAGRAM_PATIENCE)).unwrap();
        Self {
            name,
            address,
            process: None,
            socket,
        }
    }

    fn started(
        name: &'static str,
        address: SocketAddr,
        command: &mut Command,
        zones: &[MadeZone],
    ) -> Self {
        let mut server = Self::at(name, address);
        let process = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        server.process = Some(process.unwrap());
        let begun = Instant::now();
        for zone in zones {
            let soa = Question {
                name: zone.origin.clone(),
                rtype: 6,
                dnssec_ok: false,
            };
            while !server
                .try_udp(&query(&soa))
                .is_some_and(|answer| answer.authoritative && !answer.answer.is_empty())
            {
                let ended = server.process.as_mut().unwrap().try_wait().unwrap();
                assert!(ended.is_none(), "{name} ended by itself: {ended:?}");
                assert!(
                    begun.elapsed() < PATIENCE,
                    "{name} does not serve {}",
                    zone.origin
                );
                std::thread::yield_now();
            }
        }
        server
    }

    /// The answer over UDP, over TCP when it is truncated.
    pub fn ask(&self, question: &Question) -> Answer {
        let packet = query(question);
        let begun = Instant::now();
        loop {
            match self.try_udp(&packet) {
                Some(answer) if answer.truncated => return self.tcp(&packet),
                Some(answer) => return answer,
                None => assert!(
                    begun.elapsed() < PATIENCE,
                    "{} is silent: {question}",
                    self.name
                ),
            }
        }
    }

    fn try_udp(&self, packet: &[u8]) -> Option<Answer> {
        self.socket.send(packet).ok()?;
        let mut buffer = [0; 65_535];
        let length = self.socket.recv(&mut buffer).ok()?;
        read(&buffer[..length])
    }

    fn tcp(&self, packet: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut framed = u16::try_from(packet.len()).unwrap().to_be_bytes().to_vec();
        framed.extend_from_slice(packet);
        stream.write_all(&framed).unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut answer).unwrap();
        read(&answer).unwrap()
    }
}

/// Whether a program is installed.
pub fn installed(program: &str) -> bool {
    ["/usr/sbin", "/usr/bin", "/sbin"]
        .iter()
        .any(|folder| Path::new(folder).join(program).exists())
}

/// NSD, in the foreground.
pub fn nsd(folder: &Path, zones: &[MadeZone]) -> Server {
    let port = crate::ports::free_port();
    let shown = folder.display();
    let mut config = format!(
        "server:\n  ip-address: 127.0.0.1@{port}\n  port: {port}\n  username: \"\"\n  chroot: \"\"\n  \
         zonesdir: \"{shown}\"\n  pidfile: \"{shown}/nsd.pid\"\n  xfrdfile: \"{shown}/nsd.xfrd\"\n  \
         zonelistfile: \"{shown}/nsd.list\"\n  xfrdir: \"{shown}\"\n  logfile: \"{shown}/nsd.log\"\n  \
         server-count: 1\n  refuse-any: no\n  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  \
         ipv4-edns-size: 4096\n  database: \"\"\nremote-control:\n  control-enable: no\n"
    );
    for zone in zones {
        let _ = writeln!(
            config,
            "zone:\n  name: \"{0}\"\n  zonefile: \"{0}zone\"",
            zone.origin
        );
    }
    let file = folder.join("nsd.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("nsd");
    command.arg("-d").arg("-c").arg(file);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Server::started("nsd", address, &mut command, zones)
}

/// Knot, in the foreground.
pub fn knot(folder: &Path, zones: &[MadeZone]) -> Server {
    let port = crate::ports::free_port();
    let shown = folder.display();
    let mut config = format!(
        "server:\n  rundir: \"{shown}\"\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n  tcp-workers: 1\n  \
         background-workers: 1\ndatabase:\n  storage: \"{shown}/knot\"\nlog:\n  - target: \"{shown}/knot.log\"\n    \
         any: info\ntemplate:\n  - id: default\n    storage: \"{shown}\"\n    zonefile-load: whole\n    \
         journal-content: none\nzone:\n"
    );
    for zone in zones {
        let _ = writeln!(
            config,
            "  - domain: \"{0}\"\n    file: \"{0}zone\"",
            zone.origin
        );
    }
    let file = folder.join("knot.conf");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("knotd");
    command.arg("-c").arg(file);
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    Server::started("knot", address, &mut command, zones)
}
