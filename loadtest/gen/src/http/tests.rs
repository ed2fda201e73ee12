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

/// What h2load 1.52 printed of a proxy that answered ten requests with 404.
const H2LOAD: &str = "\
Stopped all clients for thread #0

finished in 5.00s, 16.00 req/s, 7.61KB/s
requests: 90 total, 97 started, 90 done, 80 succeeded, 10 failed, 0 errored, 0 timeout
status codes: 80 2xx, 0 3xx, 10 4xx, 0 5xx
traffic: 7.61KB (7796) total, 3.83KB (3920) headers (space savings 50.51%), 2.19KB (2240) data
                     min         max         mean         sd        +/- sd
time for request:       70us      4.09ms       312us       569us    95.00%
time for connect:     4.50ms      8.60ms      7.32ms      1.90ms    75.00%
time to 1st byte:     8.66ms     10.89ms     10.29ms      1.09ms    75.00%
req/s           :      19.97       19.97       19.97        0.00    75.00%
";

#[test]
fn counts_are_found_in_what_h2load_prints() {
    let (good, failed) = (80, 10);
    assert_eq!(
        h2load::counts(H2LOAD),
        Some(h2load::Counts { good, failed })
    );
    for (from, to, failed) in [
        ("0 errored", "2 errored", 12),
        ("0 timeout", "3 timeout", 13),
        ("0 3xx", "4 3xx", 14),
    ] {
        let counts = h2load::counts(&H2LOAD.replace(from, to));
        assert_eq!(counts, Some(h2load::Counts { good, failed }));
    }
    assert_eq!(h2load::counts("finished in 0us"), None);
    assert_eq!(h2load::counts(&H2LOAD.replace("status", "state")), None);
}

#[test]
fn percentiles_are_of_good_answers() {
    let mut log = String::from("1795643123709111\t404\t9000000\n1795643123709111\t-1\t9000000\n");
    for us in 1..=100 {
        log.push_str(&format!("1795643122755863\t200\t{us}\n"));
    }
    // The end of a log that was cut.
    log.push_str("1795643122755863\t200");
    let times = h2load::times(log.as_bytes()).unwrap();
    let found = [0.50, 0.99, 1.0].map(|part| times.value_at_quantile(part));
    assert_eq!((times.len(), found), (100, [50, 99, 100]));
}

#[test]
fn growth_is_told_of_ourselves() {
    let row = |subject: &str, metric: &str, median| Row {
        subject: subject.to_owned(),
        metric: metric.to_owned(),
        unit: String::new(),
        median,
        min: median,
        max: median,
    };
    let rows: Vec<Row> = [("1", 10.0), ("100", 100.0), ("1000", 1e3), ("9000", 9e3)]
        .into_iter()
        .flat_map(|(case, value)| {
            let name = format!("p99_ms_{case}");
            [row("haproxy", &name, 1.0), row(OURS, &name, value)]
        })
        .collect();
    let growth = growth(&GROWTH, &rows);
    let p99 = growth.iter().find(|of| of.metric == "p99_ms").unwrap();
    let points = [(1.0, 10.0), (100.0, 100.0), (1e3, 1e3), (9e3, 9e3)];
    assert_eq!(p99.points, points);
    assert!(super::growth(&HTTP, &rows).is_empty());
}

/// The responder on a thread of its own; the thread ends with the test.
pub(crate) fn responder() -> SocketAddr {
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

/// Every peer that is installed proxies to the responder under load.
#[test]
fn installed_peers_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let upstream = responder();
    let tls = servers::Tls::make(folder.path()).unwrap();
    for suite in [&HTTP, &NEW, &TLS, &H2] {
        let load = match Load::new(suite.protocol, folder.path()) {
            Ok(load) => load,
            Err(error) => {
                println!("SKIP: {error}");
                continue;
            }
        };
        let setup = Setup {
            folder: folder.path(),
            upstream,
            protocol: suite.protocol,
            tls: &tls,
        };
        for name in suite.peers {
            match start(name, &setup) {
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
