#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use std::fs;
use std::path::Path;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use meridian_topology::RecordType;

use super::*;
use crate::testing::{
    Authority, DEADLINE, HttpServer, closed_port, closing_server, dns_server, exec, http,
    mumbling_server, target,
};

fn checker() -> Checker {
    Checker::new(TlsTrust::load(None).unwrap(), ExecChecks::Run)
}

async fn probe(address: SocketAddr, kind: CheckKind) -> Result<(), Failure> {
    checker().probe(&target("fra-1", address, kind), 7).await
}

/// A probe whose timeout is meant to pass.
async fn probe_briefly(address: SocketAddr, kind: CheckKind) -> Result<(), Failure> {
    let mut target = target("fra-1", address, kind);
    target.check.timeout = Millis(30);
    checker().probe(&target, 7).await
}

fn said(result: Result<(), Failure>) -> String {
    result.map_or_else(
        |failure| format!("{}: {failure}", failure.word()),
        |()| "ok".into(),
    )
}

#[tokio::test]
async fn tcp_says_who_listens() {
    let open = mumbling_server(b"").await;
    assert_eq!(said(probe(open, CheckKind::Tcp).await), "ok");
    let closed = closed_port().await;
    assert_eq!(
        said(probe(closed, CheckKind::Tcp).await),
        "refused: connect refused"
    );
}

#[tokio::test]
async fn the_check_may_name_another_port() {
    let open = mumbling_server(b"").await;
    let mut target = target("fra-1", closed_port().await, CheckKind::Tcp);
    target.check.port = Some(open.port());
    assert_eq!(checker().probe(&target, 7).await, Ok(()));
}

#[tokio::test]
async fn http_judges_the_status() {
    let server = HttpServer::start(None, None).await;
    let cases = [
        (200, "ok"),
        (302, "ok"),
        (404, "status: status 404, expected 200-399"),
        (503, "status: status 503, expected 200-399"),
    ];
    for (status, expected) in cases {
        server.answer_with(status);
        assert_eq!(
            said(probe(server.address, http(Scheme::Http, None)).await),
            expected
        );
    }
    assert_eq!(server.requests.load(Ordering::Relaxed), cases.len());
}

#[tokio::test]
async fn http_names_what_went_wrong() {
    let plain = || http(Scheme::Http, Some("shop.example"));
    let cases = [
        (closed_port().await, "refused: connect refused"),
        (
            closing_server().await,
            "broken: connection broke while waiting for the answer: ",
        ),
        (
            mumbling_server(b"SSH-2.0-OpenSSH_9.2\r\n").await,
            "protocol: not an answer: invalid HTTP version parsed",
        ),
    ];
    for (address, expected) in cases {
        let said = said(probe(address, plain()).await);
        assert!(said.starts_with(expected), "{said}");
    }
    let silent = mumbling_server(b"").await;
    let expected = "timeout: timeout after 30ms while waiting for the answer";
    assert_eq!(said(probe_briefly(silent, plain()).await), expected);
}

/// An HTTP head without end must not be collected.
#[tokio::test]
async fn a_head_without_end_is_refused() {
    static HEAD: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| {
        let mut head = b"HTTP/1.1 200 OK\r\nx: ".to_vec();
        head.extend(std::iter::repeat_n(b'x', 64 << 10));
        head
    });
    let endless = mumbling_server(&HEAD).await;
    let said = said(probe(endless, http(Scheme::Http, None)).await);
    assert!(said.starts_with("protocol: "), "{said}");
}

/// A checker that trusts exactly one authority.
fn trusting(authority: &Authority) -> Checker {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    fs::write(&path, &authority.pem).unwrap();
    Checker::new(TlsTrust::load(Some(&path)).unwrap(), ExecChecks::Refuse)
}

#[tokio::test]
async fn https_believes_only_what_convinces() {
    let (ours, theirs) = (Authority::new("ours"), Authority::new("theirs"));
    let checker = trusting(&ours);
    let cases = [
        // (issuer, certificate for, host of the check, expected)
        (&ours, "shop.example", Some("shop.example"), "ok"),
        (&ours, "127.0.0.1", None, "ok"),
        (
            &ours,
            "shop.example",
            Some("bank.example"),
            "tls: tls: invalid peer certificate: certificate not valid for name",
        ),
        (
            &ours,
            "shop.example",
            None,
            "tls: tls: invalid peer certificate: certificate not valid for name",
        ),
        (
            &theirs,
            "shop.example",
            Some("shop.example"),
            "tls: tls: invalid peer certificate: UnknownIssuer",
        ),
    ];
    for (issuer, subject, host, expected) in cases {
        let server = HttpServer::start(None, Some(issuer.server(subject))).await;
        let target = target("fra-1", server.address, http(Scheme::Https, host));
        let said = said(checker.probe(&target, 7).await);
        assert!(said.starts_with(expected), "{subject} as {host:?}: {said}");
        let answered = server.requests.load(Ordering::Relaxed);
        assert_eq!(
            answered,
            usize::from(expected == "ok"),
            "nothing is asked of a stranger"
        );
    }
}

#[tokio::test]
async fn https_names_the_phase() {
    let https = || http(Scheme::Https, Some("shop.example"));
    let silent = mumbling_server(b"").await;
    let expected = "timeout: timeout after 30ms in the TLS handshake";
    assert_eq!(said(probe_briefly(silent, https()).await), expected);
    let plain = HttpServer::start(None, None).await;
    let said = said(probe(plain.address, https()).await);
    assert!(
        said.starts_with("tls: tls: received corrupt message"),
        "{said}"
    );
}

#[test]
fn authorities_must_be_there() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    assert!(matches!(
        TlsTrust::load(Some(&path)),
        Err(TrustError::Read { .. })
    ));
    fs::write(&path, "no certificate here\n").unwrap();
    assert!(matches!(
        TlsTrust::load(Some(&path)),
        Err(TrustError::Empty { .. })
    ));
}

#[tokio::test]
async fn dns_judges_the_code() {
    let ask = || CheckKind::Dns {
        name: "shop.example".parse().unwrap(),
        rtype: RecordType::A,
    };
    let cases = [
        (ResponseCode::NoError, "ok"),
        (
            ResponseCode::ServFail,
            "dns_code: dns answered Server Failure",
        ),
        (
            ResponseCode::NXDomain,
            "dns_code: dns answered Non-Existent Domain",
        ),
        (
            ResponseCode::Refused,
            "dns_code: dns answered Query Refused",
        ),
    ];
    for (code, expected) in cases {
        assert_eq!(said(probe(dns_server(code).await, ask()).await), expected);
    }
    let closed = closed_port().await;
    assert_eq!(said(probe(closed, ask()).await), "refused: connect refused");
    let silent = tokio::net::UdpSocket::bind(crate::testing::any_port())
        .await
        .unwrap();
    let expected = "timeout: timeout after 30ms while waiting for the answer";
    let address = silent.local_addr().unwrap();
    assert_eq!(said(probe_briefly(address, ask()).await), expected);
}

#[tokio::test]
async fn exec_judges_the_exit_code() {
    let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let shell = |script: &str| exec("/bin/sh", &["-c", script]);
    let cases = [
        (shell("exit 0"), "ok"),
        (shell("exit 3"), "exit: exit code 3"),
        (shell("kill -9 $$"), "exit: killed by signal 9"),
        (
            exec("/nowhere/check", &[]),
            "spawn: cannot run the program: entity not found",
        ),
        (shell("test \"$ADDRESS:$PORT\" = 127.0.0.1:8080"), "ok"),
        // Nothing of our environment leaks: cargo sets this one for tests.
        (shell("test -z \"$CARGO_MANIFEST_DIR\""), "ok"),
        // There is no shell between: a metacharacter is an argument like any other.
        (exec("/bin/test", &["a;b", "=", "a;b"]), "ok"),
    ];
    for (kind, expected) in cases {
        assert_eq!(said(probe(address, kind).await), expected);
    }
}

/// A program that was killed but not yet waited for by its new parent counts as ended.
fn has_ended(pid: &str) -> bool {
    match fs::read_to_string(Path::new("/proc").join(pid).join("stat")) {
        Err(_) => true,
        Ok(stat) => stat
            .rsplit(')')
            .next()
            .unwrap()
            .trim_start()
            .starts_with(['Z', 'X']),
    }
}

/// Waits for a condition outside of this process.
async fn until(mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < DEADLINE, "it never came true");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_slow_program_runs_into_the_timeout() {
    let address: SocketAddr = "127.0.0.1:8080".parse().unwrap();
    let said = said(probe_briefly(address, exec("/bin/sleep", &["1000"])).await);
    assert_eq!(said, "timeout: timeout after 30ms while the program ran");
}

/// What a timeout, a removed check and a shutdown have in common: the probe is dropped.
#[tokio::test]
async fn a_dropped_program_is_killed_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let pids = directory.path().join("pids");
    let script = format!(
        "sleep 1000 & echo $$ $! > {0}.new; mv {0}.new {0}; wait",
        pids.display()
    );
    let kind = exec("/bin/sh", &["-c", &script]);
    tokio::select! {
        result = probe("127.0.0.1:8080".parse().unwrap(), kind) => unreachable!("{result:?}"),
        () = until(|| pids.exists()) => {}
    }
    let pids = fs::read_to_string(&pids).unwrap();
    assert_eq!(pids.split_whitespace().count(), 2);
    for pid in pids.split_whitespace() {
        until(|| has_ended(pid)).await;
    }
}

#[test]
fn programs_run_only_where_allowed() {
    let refusing = Checker::new(TlsTrust::load(None).unwrap(), ExecChecks::Refuse);
    assert!(!refusing.may_run(&exec("/bin/true", &[])));
    assert!(refusing.may_run(&CheckKind::Tcp));
    assert!(checker().may_run(&exec("/bin/true", &[])));
}
