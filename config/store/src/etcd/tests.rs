use super::*;

#[test]
fn prefixes_become_ranges() {
    let cases: [(&[u8], &[u8], &[u8]); 5] = [
        (b"/a/", b"/a/", b"/a0"),
        (b"", b"\0", b"\0"),
        (b"a\xff", b"a\xff", b"b"),
        (b"\xff\xff", b"\xff\xff", b"\0"),
        (b"a", b"a", b"b"),
    ];
    for (prefix, start, end) in cases {
        let got = key_range(prefix);
        assert_eq!(got, (start.to_vec(), end.to_vec()), "{prefix:?}");
    }
}

#[test]
fn waits_grow_to_their_bound_and_keep_half() {
    for chance in [0, 1, u64::MAX] {
        let mut backoff = backoff::Backoff::default();
        let mut last = Duration::ZERO;
        for _ in 0..8 {
            last = backoff.step(chance);
            assert!(last <= Duration::from_secs(2), "{last:?}");
        }
        assert!(last >= Duration::from_secs(1), "{last:?}");
    }
}

#[test]
fn failures_are_sorted() {
    use tonic::Status;
    // (what etcd says, whether a read and a write may go elsewhere, what the writer is told)
    let cases = [
        (
            Status::unavailable("etcdserver: no leader"),
            true,
            true,
            "no store member",
        ),
        (
            Status::unavailable("etcdserver: leader changed"),
            true,
            false,
            "unknown",
        ),
        (
            Status::unavailable("etcdserver: request timed out"),
            true,
            false,
            "unknown",
        ),
        (Status::unknown("transport error"), true, false, "unknown"),
        (
            Status::resource_exhausted("etcdserver: too many requests"),
            true,
            true,
            "no store member",
        ),
        (
            Status::resource_exhausted("etcdserver: mvcc: database space exceeded"),
            false,
            false,
            "space exceeded",
        ),
        (
            Status::permission_denied("etcdserver: permission denied"),
            false,
            false,
            "refuses",
        ),
        (
            Status::invalid_argument("etcdserver: user name is empty"),
            false,
            false,
            "refuses",
        ),
        (
            Status::invalid_argument("etcdserver: too many operations in txn request"),
            false,
            false,
            "rejected",
        ),
        (
            Status::out_of_range("etcdserver: mvcc: required revision has been compacted"),
            false,
            false,
            "compacted",
        ),
        (
            Status::not_found("etcdserver: requested lease not found"),
            false,
            false,
            "lease",
        ),
    ];
    for (status, read, write, told) in cases {
        let name = status.message().to_owned();
        let fault = Fault::from(client::Error::GRpcStatus(status));
        assert_eq!(fault.try_elsewhere(Effect::Read), read, "{name}");
        assert_eq!(fault.try_elsewhere(Effect::Write), write, "{name}");
        let error = fault.into_error(Effect::Write).to_string();
        assert!(error.contains(told), "{name}: {error}");
    }
}

#[tokio::test]
async fn contradictory_configurations_are_refused() {
    let good = || EtcdConfig {
        endpoints: vec!["http://127.0.0.1:2379".to_owned()],
        ..EtcdConfig::default()
    };
    let cases = [
        (EtcdConfig::default(), "at least one endpoint"),
        (
            EtcdConfig {
                endpoints: vec!["https://127.0.0.1:2379".to_owned()],
                ..EtcdConfig::default()
            },
            "must begin with http:// without `tls`",
        ),
        (
            EtcdConfig {
                tls: Some(crate::EtcdTls::default()),
                ..good()
            },
            "must begin with https:// with `tls`",
        ),
        (
            EtcdConfig {
                user: Some("root".to_owned()),
                ..good()
            },
            "both `user` and `password_file`",
        ),
        (
            EtcdConfig {
                user: Some("root".to_owned()),
                password_file: Some("/nonexistent/password".into()),
                ..good()
            },
            "/nonexistent/password",
        ),
    ];
    for (config, want) in cases {
        let error = Etcd::connect(&config).await.err();
        let text = error.map_or_else(|| "accepted".to_owned(), |error| error.to_string());
        assert!(text.contains(want), "{text}");
    }
}
