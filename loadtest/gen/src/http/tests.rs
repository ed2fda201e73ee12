#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use super::*;

#[test]
fn totals_are_found_in_the_output() {
    let output = "Running 1s test\n  1 threads\n\
        TOTALS {\"requests\":10,\"failed\":0,\"duration_us\":1000,\"p50_us\":5.0,\"p99_us\":9.5}\n";
    let totals = wrk::totals(output).unwrap();
    assert_eq!((totals.requests, totals.failed), (10, 0));
    assert!(wrk::totals("unable to connect").is_err());
}

/// The responder on a thread of its own; the thread ends with the test.
fn responder() -> SocketAddr {
    let address = process::free_address().unwrap();
    std::thread::spawn(move || responder::run(address));
    let deadline = std::time::Instant::now() + process::READY_WITHIN;
    while let Err(error) = get(address) {
        assert!(std::time::Instant::now() < deadline, "{error}");
        process::pause(Duration::from_millis(10));
    }
    address
}

#[test]
fn the_responder_keeps_connections_and_pipelines() {
    let mut stream = TcpStream::connect(responder()).unwrap();
    stream.set_read_timeout(Some(ANSWER_WITHIN)).unwrap();
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    // Two at once, the second one split.
    let (head, tail) = request.split_at(9);
    write!(stream, "{request}{head}").unwrap();
    let one = "HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n".len() + responder::BODY.len();
    let mut answer = vec![0; one];
    stream.read_exact(&mut answer).unwrap();
    write!(stream, "{tail}").unwrap();
    stream.read_exact(&mut answer).unwrap();
    assert!(answer.ends_with(&responder::BODY));
    write!(stream, "no sense\r\n\r\n").unwrap();
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
}

/// Every peer that is installed proxies to the responder under wrk's load.
#[test]
fn installed_peers_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = responder();
    let tls = servers::Tls::make(folder.path()).unwrap();
    for suite in [&HTTP, &NEW, &TLS] {
        let load = match wrk::Wrk::new(folder.path(), suite.tls) {
            Ok(load) => load,
            Err(error) => return println!("SKIP: {error}"),
        };
        for name in PEERS {
            match start(name, folder.path(), upstream, suite.tls.then_some(&tls)) {
                Ok(subject) => {
                    for case in suite.cases {
                        let time = Duration::from_secs(1);
                        let totals = load.run(subject.address, case, time).unwrap();
                        assert_eq!(totals.failed, 0, "{name} {case:?}: {totals:?}");
                        assert!(totals.requests > 0, "{name} {case:?}: {totals:?}");
                    }
                }
                Err(GenError::Missing { program, package }) => {
                    println!("SKIP: {program} is not installed (Debian: {package})");
                }
                Err(error) => unreachable!("{name}: {error}"),
            }
        }
    }
}
