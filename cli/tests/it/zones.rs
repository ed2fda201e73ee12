//! `dns serve`: a folder of master files, without a deployment.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{command, word};

const DEADLINE: Duration = Duration::from_secs(30);

/// A running `dns serve`.
struct Server {
    process: Child,
    port: String,
    /// What it said when it had begun.
    said: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(folder: &Path) -> Server {
    let words = ["dns", "serve", "--listen", "127.0.0.1:0", "--zones"];
    let mut process = command(&[&words[..], &[word(folder)]].concat())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(process.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    let port = said.split(' ').nth(2).unwrap().rsplit(':').next().unwrap();
    Server {
        port: port.to_owned(),
        process,
        said,
    }
}

/// What kdig reads for a name, once it is what is expected or time is over.
fn wait_for(server: &Server, words: &str, expected: &str) {
    let started = Instant::now();
    loop {
        let output = Command::new("kdig")
            .args(["@127.0.0.1", "-p", &server.port, "+short"])
            .args(words.split(' '))
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        if said.trim() == expected {
            return;
        }
        assert!(started.elapsed() < DEADLINE, "{words}: {said}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

#[test]
fn a_folder_is_served_and_followed() {
    if Command::new("kdig").arg("--version").output().is_err() {
        eprintln!("SKIP: kdig is not installed (knot-dnsutils)");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("example.test.zone");
    let zone = |address: &str| {
        format!("$TTL 60\n@ SOA ns admin 1 1 1 1 60\n@ NS ns\n@ ALIAS www\nwww A {address}\n")
    };
    std::fs::write(&file, zone("192.0.2.1")).unwrap();
    std::fs::write(folder.path().join("broken.test.zone"), "@ SOA ns\n").unwrap();

    let mut server = serve(folder.path());
    assert!(
        server.said.contains("1 zones, 1 files refused"),
        "{}",
        server.said
    );
    wait_for(&server, "www.example.test A", "192.0.2.1");
    wait_for(&server, "+tcp example.test A", "192.0.2.1");
    // A change is read, a mistake leaves what was good, and the way out of it is read, too.
    std::fs::write(&file, zone("192.0.2.2")).unwrap();
    wait_for(&server, "www.example.test A", "192.0.2.2");
    std::fs::write(&file, zone("192.0.2.300")).unwrap();
    std::fs::write(
        folder.path().join("other.test.zone"),
        zone("192.0.2.9").replace("$TTL 60", "$TTL 61"),
    )
    .unwrap();
    wait_for(&server, "www.other.test A", "192.0.2.9");
    wait_for(&server, "www.example.test A", "192.0.2.2");
    std::fs::write(&file, zone("192.0.2.3")).unwrap();
    wait_for(&server, "example.test A", "192.0.2.3");

    let pid = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(server.process.wait().unwrap().success());
}
