#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use super::*;

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

const SHARED: BindOptions = BindOptions {
    sharing: PortSharing::Shared,
    backlog: BACKLOG_DEFAULT,
};

#[tokio::test]
async fn an_exclusive_port_is_taken_once() {
    let exclusive = BindOptions::default();
    let first = bind_tcp(loopback(0), exclusive).unwrap();
    let taken = first.local_addr().unwrap();
    let error = bind_tcp(taken, exclusive).unwrap_err();
    assert_eq!(error.address, taken);
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
    assert!(
        error
            .to_string()
            .starts_with("cannot listen on tcp 127.0.0.1:")
    );

    let first = bind_udp(loopback(0), exclusive).unwrap();
    let error = bind_udp(first.local_addr().unwrap(), exclusive).unwrap_err();
    assert_eq!(error.source.kind(), io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_shared_port_is_taken_twice() {
    let first = bind_tcp(loopback(0), SHARED).unwrap();
    bind_tcp(first.local_addr().unwrap(), SHARED).unwrap();
    let first = bind_udp(loopback(0), SHARED).unwrap();
    bind_udp(first.local_addr().unwrap(), SHARED).unwrap();
}

#[tokio::test]
async fn an_ipv6_wildcard_leaves_the_ipv4_port_alone() {
    let Ok(six) = bind_tcp("[::]:0".parse().unwrap(), BindOptions::default()) else {
        // A machine without IPv6 has nothing to show here.
        return;
    };
    let port = six.local_addr().unwrap().port();
    bind_tcp(loopback(port), BindOptions::default()).unwrap();
}
