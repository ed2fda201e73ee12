//! Key tags, digests and signatures against the examples of RFC 6605 §6.1 and RFC 8080 §6.1; files.

use std::os::unix::fs::PermissionsExt;

use data_encoding::{BASE64, HEXLOWER};
use hickory_proto::rr::Name;

use super::super::canonical::{Head, Set, to_be_signed};
use super::super::key::{Algorithm, KeyRole, SigningKey};
use super::super::lifecycle::ZoneFacts;
use super::super::store::{KeyFolder, StoreError};
use super::{records, wire};
use crate::wire::RType;

/// PKCS#8 around a 32-byte Ed25519 seed (RFC 8410 §7).
fn ed25519_pkcs8(seed: &[u8]) -> Vec<u8> {
    let mut pkcs8 = HEXLOWER
        .decode(b"302e020100300506032b657004220420")
        .unwrap();
    pkcs8.extend_from_slice(seed);
    pkcs8
}

/// PKCS#8 around a P-256 scalar and its point (RFC 5915).
fn p256_pkcs8(scalar: &[u8], point: &[u8]) -> Vec<u8> {
    let head = b"308187020100301306072a8648ce3d020106082a8648ce3d030107046d306b0201010420";
    let mut pkcs8 = HEXLOWER.decode(head).unwrap();
    pkcs8.extend_from_slice(scalar);
    pkcs8.extend_from_slice(&HEXLOWER.decode(b"a14403420004").unwrap());
    pkcs8.extend_from_slice(point);
    pkcs8
}

#[test]
fn ed25519_is_that_of_rfc_8080() {
    let seed = BASE64
        .decode(b"ODIyNjAzODQ2MjgwODAxMjI2NDUxOTAyMDQxNDIyNjI=")
        .unwrap();
    let key =
        SigningKey::from_pkcs8(&ed25519_pkcs8(&seed), Algorithm::Ed25519, KeyRole::Csk).unwrap();
    assert_eq!(key.tag, 3613);
    let zone = Name::from_ascii("example.com.").unwrap();
    assert_eq!(
        HEXLOWER.encode(&key.ds_data(&zone).unwrap()[4..]),
        "3aa5ab37efce57f737fc1627013fee07bdf241bd10f3b1964ab55c78e79a304b"
    );
    let mut mx = vec![0, 10];
    mx.extend_from_slice(&wire("MAIL.example.com."));
    let set = Set {
        owner: &wire("example.com."),
        rtype: RType::MX,
        original_ttl_seconds: 3600,
        // A smaller TTL and upper case in the data change nothing.
        records: &records(RType::MX, 60, &[mx.clone(), mx]),
    };
    let head = Head {
        covered: RType::MX,
        algorithm: 15,
        labels: set.labels(),
        original_ttl_seconds: 3600,
        expiration: 1_440_021_600,
        inception: 1_438_207_200,
        key_tag: key.tag,
    };
    let message = to_be_signed(&set, head, &wire("example.com."));
    assert_eq!(
        BASE64.encode(&key.sign(&message).unwrap()),
        "oL9krJun7xfBOIWcGHi7mag5/hdZrKWw15jPGrHpjQeRAvTdszaPD+QLs3fx8A4M3e23mRZ9VrbpMngwcrqNAg=="
    );
}

#[test]
fn p256_is_that_of_rfc_6605() {
    let scalar = BASE64
        .decode(b"GU6SnQ/Ou+xC5RumuIUIuJZteXT2z0O/ok1s38Et6mQ=")
        .unwrap();
    let point = BASE64
        .decode(b"GojIhhXUN/u4v54ZQqGSnyhWJwaubCvTmeexv7bR6edbkrSqQpF64cYbcB7wNcP+e+MAnLr+Wi9xMWyQLc8NAA==")
        .unwrap();
    let pkcs8 = p256_pkcs8(&scalar, &point);
    let key = SigningKey::from_pkcs8(&pkcs8, Algorithm::EcdsaP256, KeyRole::Ksk).unwrap();
    assert_eq!(key.tag, 55648);
    let zone = Name::from_ascii("example.net.").unwrap();
    assert_eq!(
        HEXLOWER.encode(&key.ds_data(&zone).unwrap()[4..]),
        "b4c8c1fe2e7477127b27115656ad6256f424625bf5c1e2770ce6d6e37df61d17"
    );
}

#[test]
fn a_key_survives_its_file_and_others_may_not_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = KeyFolder::new(dir.path());
    for algorithm in [Algorithm::EcdsaP256, Algorithm::Ed25519] {
        let zone = format!("{algorithm}.test.").replace('_', "-");
        let mut facts = ZoneFacts::new(&zone);
        assert_eq!(folder.facts(&zone).unwrap(), None);
        let new = folder.generate(&facts, algorithm, KeyRole::Csk).unwrap();
        let path = folder.zone_folder(&zone).join(&new.file);
        let timing = super::signing(&zone, algorithm).timing;
        facts.generated(new, timing, 1).unwrap();
        folder.save(&facts).unwrap();
        let read = folder.facts(&zone).unwrap().unwrap();
        assert_eq!(read, facts);
        let key = folder.key(&zone, &read.keys[0]).unwrap();
        assert_eq!((key.tag, key.algorithm), (facts.keys[0].tag, algorithm));
        let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
        let refused = folder.key(&zone, &read.keys[0]).unwrap_err();
        assert!(matches!(refused, StoreError::Mode { mode: 0o640, .. }));
        assert!(refused.to_string().contains("chmod 600"), "{refused}");

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        let pem = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, pem.replace('A', "B")).unwrap();
        let broken = folder.key(&zone, &read.keys[0]).unwrap_err().to_string();
        assert!(broken.contains(path.to_str().unwrap()), "{broken}");
        let secret = pem.lines().nth(1).unwrap();
        assert!(!broken.contains(&secret[..16]), "{broken}");
    }
}

#[test]
fn facts_that_are_wrong_name_their_file() {
    let dir = tempfile::tempdir().unwrap();
    let folder = KeyFolder::new(dir.path());
    let path = folder.facts_file("a.test.");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let key = r#"{"tag":1,"algorithm":"ed25519","role":"csk","state":"active","file":"FILE","published_at":0,"cds_from":0}"#;
    for (text, says) in [
        ("{".to_owned(), "EOF"),
        (
            r#"{"version":2,"zone":"a.test.","keys":[]}"#.to_owned(),
            "`version` is 2",
        ),
        (
            r#"{"version":1,"zone":"b.test.","keys":[]}"#.to_owned(),
            "`zone` is b.test.",
        ),
        (
            format!(
                r#"{{"version":1,"zone":"a.test.","keys":[{}]}}"#,
                key.replace("FILE", "../x")
            ),
            "no plain file name",
        ),
        (
            format!(r#"{{"version":1,"zone":"a.test.","keys":[{key},{key}]}}"#),
            "more than one active key",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let said = folder.facts("a.test.").unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
        assert!(said.contains("keys.json"), "{said}");
    }
}
