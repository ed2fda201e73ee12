#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::{
    io::{Read, Write},
    net::TcpListener,
};

use super::*;
use crate::http::tests::responder;

/// A few connections to every peer that is installed, and to the responder itself.
#[test]
fn connections_ask_once_and_stay() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = responder();
    let tls = Tls::make(folder.path()).unwrap();
    for case in &CASES {
        let setup = Setup {
            folder: folder.path(),
            upstream,
            protocol: case.protocol,
            tls: &tls,
        };
        let check = |name: &str, address| {
            let mut clients = Clients::new(&setup, address).unwrap();
            clients.open(3).unwrap();
            clients.open(2).unwrap();
            assert_eq!(clients.closed().unwrap(), 0, "{name} {}", case.metric);
        };
        if case.protocol == Protocol::Http {
            check("responder", upstream);
        }
        for name in http::PEERS {
            match http::start(name, &setup) {
                Ok(subject) => check(name, subject.address),
                Err(GenError::Missing { program, package }) => {
                    println!("SKIP: {program} is not installed (Debian: {package})");
                }
                Err(error) => unreachable!("{name}: {error}"),
            }
        }
    }
}

/// A server of one connection that answers and then hangs up, and what its client says.
fn hung_up(answer: &'static [u8]) -> std::io::Result<usize> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let server = std::thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        assert!(socket.read(&mut [0; 1024]).unwrap() > 0);
        socket.write_all(answer).unwrap();
    });
    let folder = tempfile::tempdir().unwrap();
    let tls = Tls::make(folder.path()).unwrap();
    let setup = Setup {
        folder: folder.path(),
        upstream: address,
        protocol: Protocol::Http,
        tls: &tls,
    };
    let mut clients = Clients::new(&setup, address).unwrap();
    let opened = clients.open(1);
    server.join().unwrap();
    opened?;
    clients.closed()
}

#[test]
fn wrong_answers_and_closed_connections_are_seen() {
    let whole = [
        &b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n"[..],
        &http::responder::BODY,
    ]
    .concat();
    assert_eq!(hung_up(whole.leak()).unwrap(), 1);
    let error = hung_up(b"HTTP/1.1 503 Busy\r\n\r\n").unwrap_err();
    assert_eq!(error.to_string(), "HTTP/1.1 503 Busy");
    assert!(hung_up(b"HTTP/1.1 200 OK\r\n\r\nless").is_err());
}

#[test]
fn budgets_are_ours_alone() {
    let row = |subject: &str, metric: &str, median| Row {
        subject: subject.to_owned(),
        metric: metric.to_owned(),
        unit: "B".to_owned(),
        median,
        min: median,
        max: median,
    };
    let [plain, tls] = CASES.map(|case| case.metric);
    let rows = [
        row(OURS, plain, 1_024.0),
        row("nginx", plain, 512.0),
        row(OURS, tls, 40_960.0),
    ];
    let found: Vec<_> = budgets(&rows)
        .iter()
        .map(|ratio| (ratio.metric.clone(), ratio.ours_over_peer, ratio.met()))
        .collect();
    let want = [(plain, 0.5, Some(true)), (tls, 2.0, Some(false))];
    assert_eq!(
        found,
        want.map(|(name, ratio, met)| (name.to_owned(), ratio, met))
    );
}
