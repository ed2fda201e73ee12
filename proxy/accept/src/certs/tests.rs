#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a failed step fails the test"
)]

use std::path::Path;
use std::time::Duration;

use rustls_pki_types::{CertificateDer, ServerName};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::*;

/// Far beyond what any of these tests takes.
const AMPLE: Duration = Duration::from_secs(30);

/// Writes a fresh self-signed pair `NAME.pem`, `NAME.key` for `names`.
fn write_pair(
    directory: &Path,
    name: &str,
    names: &[&str],
) -> (CertSource, CertificateDer<'static>) {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let source = CertSource {
        certificate: directory.join(format!("{name}.pem")),
        key: directory.join(format!("{name}.key")),
        names: Vec::new(),
    };
    std::fs::write(&source.certificate, made.cert.pem()).unwrap();
    std::fs::write(&source.key, made.signing_key.serialize_pem()).unwrap();
    (source, made.cert.der().clone())
}

fn config(certificates: Vec<CertSource>, unmatched: Unmatched) -> CertConfig {
    CertConfig {
        certificates,
        unmatched,
    }
}

fn served(store: &CertStore, name: &str) -> Option<CertificateDer<'static>> {
    store.find(Some(name)).map(|key| key.cert[0].clone())
}

#[test]
fn names_find_their_certificate() {
    let directory = TempDir::new().unwrap();
    let (shop, shop_der) = write_pair(
        directory.path(),
        "shop",
        &["shop.example", "www.shop.example"],
    );
    let (wild, wild_der) = write_pair(directory.path(), "wild", &["*.api.example", "shop.example"]);
    let (mut named, named_der) = write_pair(directory.path(), "named", &["internal"]);
    named.names = vec!["Other.Example".to_owned(), "*.other.example".to_owned()];

    let sources = vec![shop, wild, named];
    let store = CertStore::load(config(sources.clone(), Unmatched::First)).unwrap();
    let strict = CertStore::load(config(sources, Unmatched::Refuse)).unwrap();
    let cases = [
        ("shop.example", Some(&shop_der)),
        ("SHOP.example", Some(&shop_der)),
        ("shop.example.", Some(&shop_der)),
        ("www.shop.example", Some(&shop_der)),
        ("a.api.example", Some(&wild_der)),
        ("A.API.EXAMPLE", Some(&wild_der)),
        ("other.example", Some(&named_der)),
        ("x.other.example", Some(&named_der)),
        // A wildcard is one label: neither none nor two.
        ("api.example", None),
        ("b.a.api.example", None),
        // Configured names replace those in the certificate.
        ("internal", None),
        ("nowhere.example", None),
        ("", None),
    ];
    for (name, wanted) in cases {
        assert_eq!(served(&strict, name).as_ref(), wanted, "{name}");
        assert_eq!(
            served(&store, name).as_ref(),
            Some(wanted.unwrap_or(&shop_der)),
            "{name}"
        );
    }
    assert!(strict.find(None).is_none());
    assert_eq!(store.find(None).unwrap().cert[0], shop_der);
}

#[test]
fn a_bad_set_is_refused_with_its_file() {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (good, _) = write_pair(directory.path(), "good", &["good.example"]);
    let (other, _) = write_pair(directory.path(), "other", &["other.example"]);
    let (nameless, _) = write_pair(directory.path(), "nameless", &["192.0.2.1"]);
    std::fs::write(path("empty"), "").unwrap();
    std::fs::write(path("cut"), "-----BEGIN CERTIFICATE-----\nAAAA").unwrap();
    std::fs::write(path("large"), vec![b'x'; 1024 * 1024 + 1]).unwrap();

    let with = |certificate: &str, key: &str, names: &[&str]| CertSource {
        certificate: path(certificate),
        key: path(key),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    let cases = [
        (vec![], "no certificate is configured"),
        (
            vec![with("gone", "good.key", &[])],
            "DIR/gone: No such file or directory (os error 2)",
        ),
        (
            vec![with("empty", "good.key", &[])],
            "DIR/empty: no certificate in this PEM file: no items found",
        ),
        (
            vec![with("cut", "good.key", &[])],
            "DIR/cut: no certificate in this PEM file: missing section end marker",
        ),
        (
            vec![with("large", "good.key", &[])],
            "DIR/large: 1048577 bytes, more than 1048576",
        ),
        (
            vec![with("good.pem", "good.pem", &[])],
            "DIR/good.pem: no private key in this PEM file: no items found",
        ),
        (
            vec![good.clone(), with("good.pem", "other.key", &[])],
            "DIR/good.pem and DIR/other.key: keys may not be consistent",
        ),
        (
            vec![nameless],
            "DIR/nameless.pem: the certificate has no DNS name and none is configured",
        ),
        (
            vec![with("good.pem", "good.key", &["a b"])],
            "DIR/good.pem: \"a b\" is not a DNS name",
        ),
        (
            vec![with("good.pem", "good.key", &["a.*.example"])],
            "DIR/good.pem: \"a.*.example\" is not a DNS name",
        ),
        (
            vec![good; CERTIFICATES_MAX + 1],
            "10001 certificates are configured",
        ),
    ];
    for (sources, wanted) in cases {
        let error = CertStore::load(config(sources, Unmatched::First))
            .unwrap_err()
            .to_string();
        let error = error.replace(&directory.path().display().to_string(), "DIR");
        assert!(
            error.starts_with(wanted) || error.contains(wanted),
            "{error}\nwanted {wanted}"
        );
    }
    drop(other);
}

#[test]
fn a_reload_changes_all_or_nothing() {
    let directory = TempDir::new().unwrap();
    let (one, one_old) = write_pair(directory.path(), "one", &["one.example"]);
    let (two, two_old) = write_pair(directory.path(), "two", &["two.example"]);
    let store = CertStore::load(config(vec![one, two.clone()], Unmatched::Refuse)).unwrap();
    assert_eq!(store.reload().unwrap(), Reload::Unchanged);

    // The first pair is renewed, the second broken: neither is taken.
    let (_, one_new) = write_pair(directory.path(), "one", &["one.example"]);
    std::fs::write(&two.key, "not a key").unwrap();
    store.reload().unwrap_err();
    assert_eq!(served(&store, "one.example"), Some(one_old));
    assert_eq!(served(&store, "two.example"), Some(two_old));
    assert_eq!((store.reloads(), store.failures()), (0, 1));

    let (_, two_new) = write_pair(directory.path(), "two", &["two.example"]);
    assert_eq!(store.reload().unwrap(), Reload::Changed);
    assert_eq!(served(&store, "one.example"), Some(one_new));
    assert_eq!(served(&store, "two.example"), Some(two_new));
    assert_eq!((store.reloads(), store.failures()), (1, 1));
}

/// What a client that trusts `root` gets for `name`: the negotiated protocol.
async fn handshake(
    store: &Arc<CertStore>,
    root: &CertificateDer<'static>,
    name: &str,
) -> Result<Option<Vec<u8>>, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let server = Arc::new(store.server_config(&[b"http/1.1"], None).unwrap());

    let (near, far) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = tokio_rustls::TlsConnector::from(Arc::new(client));
    let acceptor = tokio_rustls::TlsAcceptor::from(server);
    let (client, _server) = tokio::join!(connector.connect(name, near), acceptor.accept(far));
    Ok(client?.get_ref().1.alpn_protocol().map(<[u8]>::to_vec))
}

#[tokio::test]
async fn handshakes_get_the_named_certificate_also_after_a_reload() {
    let directory = TempDir::new().unwrap();
    let (one, one_der) = write_pair(directory.path(), "one", &["one.example"]);
    let (two, two_der) = write_pair(directory.path(), "two", &["*.two.example"]);
    let store = CertStore::load(config(vec![one, two], Unmatched::Refuse)).unwrap();

    let http = Some(b"http/1.1".to_vec());
    assert_eq!(
        handshake(&store, &one_der, "one.example").await.unwrap(),
        http
    );
    assert_eq!(
        handshake(&store, &two_der, "a.two.example").await.unwrap(),
        http
    );
    handshake(&store, &one_der, "three.example")
        .await
        .unwrap_err();

    let (_, renewed) = write_pair(directory.path(), "one", &["one.example"]);
    store.reload().unwrap();
    handshake(&store, &one_der, "one.example")
        .await
        .unwrap_err();
    assert_eq!(
        handshake(&store, &renewed, "one.example").await.unwrap(),
        http
    );
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(AMPLE, wait).await.is_ok(),
        "never: {what}"
    );
}

#[tokio::test]
async fn changed_files_are_served_without_a_word() {
    let directory = TempDir::new().unwrap();
    let (source, old) = write_pair(directory.path(), "site", &["site.example"]);
    let store = CertStore::load(config(vec![source.clone()], Unmatched::Refuse)).unwrap();
    let shutdown = CancellationToken::new();
    let watcher = CertWatcher::new(Arc::clone(&store)).unwrap();
    let running = tokio::spawn(watcher.run(shutdown.clone()));

    // A broken write first: noticed, counted, not served.
    std::fs::write(&source.key, "half").unwrap();
    until("the failure", || store.failures() > 0).await;
    assert_eq!(served(&store, "site.example"), Some(old.clone()));

    // Renewal by rename, as certbot and Kubernetes do.
    let staging = TempDir::new_in(directory.path()).unwrap();
    let (fresh, new) = write_pair(staging.path(), "site", &["site.example"]);
    std::fs::rename(&fresh.certificate, &source.certificate).unwrap();
    std::fs::rename(&fresh.key, &source.key).unwrap();
    until("the reload", || store.reloads() > 0).await;
    assert_eq!(served(&store, "site.example"), Some(new));

    shutdown.cancel();
    tokio::time::timeout(AMPLE, running).await.unwrap().unwrap();
}

#[cfg(unix)]
#[tokio::test]
async fn a_swapped_symlink_is_noticed() {
    let root = TempDir::new().unwrap();
    let (a, b) = (root.path().join("a"), root.path().join("b"));
    std::fs::create_dir(&a).unwrap();
    std::fs::create_dir(&b).unwrap();
    let (_, _) = write_pair(&a, "tls", &["site.example"]);
    let (_, new) = write_pair(&b, "tls", &["site.example"]);
    let link = root.path().join("data");
    std::os::unix::fs::symlink(&a, &link).unwrap();
    for file in ["tls.pem", "tls.key"] {
        std::os::unix::fs::symlink(link.join(file), root.path().join(file)).unwrap();
    }
    let source = CertSource {
        certificate: root.path().join("tls.pem"),
        key: root.path().join("tls.key"),
        names: Vec::new(),
    };
    let store = CertStore::load(config(vec![source], Unmatched::Refuse)).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(
        CertWatcher::new(Arc::clone(&store))
            .unwrap()
            .run(shutdown.clone()),
    );

    let next = root.path().join("next");
    std::os::unix::fs::symlink(&b, &next).unwrap();
    std::fs::rename(&next, &link).unwrap();
    until("the reload", || store.reloads() > 0).await;
    assert_eq!(served(&store, "site.example"), Some(new));
    shutdown.cancel();
    tokio::time::timeout(AMPLE, running).await.unwrap().unwrap();
}
