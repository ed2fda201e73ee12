//! `dns keys`: the steps, what they say, and what they refuse.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::run::{Said, copy_example, meridian, word};

fn keys(folder: &Path, words: &[&str]) -> Said {
    let mut all = vec!["dns", "keys"];
    all.extend_from_slice(words);
    all.extend_from_slice(&["--dir", word(folder)]);
    meridian(&all)
}

fn listed(folder: &Path) -> Vec<Value> {
    let said = keys(folder, &["list", "-o", "json"]).fine().json();
    said[0]["keys"].as_array().unwrap().clone()
}

#[test]
fn a_key_lives_and_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    copy_example("single-node", folder);
    let refused = keys(folder, &["generate", "shop.test"]).ends_with_code(1);
    assert!(refused.err.contains("dns.dnssec.zones"), "{}", refused.err);

    let config = "dns:\n  dnssec:\n    zones:\n      shop.test: { algorithm: ed25519 }\n";
    std::fs::write(folder.join("meridian.yaml"), config).unwrap();
    let unready = meridian(&["check", "--dir", word(folder)]).ends_with_code(1);
    assert!(
        unready.err.contains("keys generate shop.test"),
        "{}",
        unready.err
    );

    let made = keys(folder, &["generate", "shop.test"]).fine();
    assert!(made.out.contains("it signs at once"), "{}", made.out);
    assert!(made.out.contains("ds-seen"), "{}", made.out);
    meridian(&["check", "--dir", word(folder)]).fine();
    let old = listed(folder)[0]["tag"].to_string();
    let ds = keys(folder, &["show-ds", "shop.test"]).fine().out;
    assert!(
        ds.contains(&format!("shop.test. 3600 IN DS {old} 15 2 ")),
        "{ds}"
    );
    assert!(ds.contains("IN DNSKEY 257 3 15 "), "{ds}");

    keys(folder, &["roll", "shop.test"]).fine();
    let new = listed(folder)[1]["tag"].to_string();
    let early = keys(folder, &["activate", "shop.test", &new]).ends_with_code(1);
    assert!(early.err.contains("not before 20"), "{}", early.err);
    let active = keys(folder, &["activate", "shop.test", &new, "--now"]).fine();
    assert!(
        active.out.contains(&format!("key {old} is retired")),
        "{}",
        active.out
    );
    let waiting = keys(folder, &["remove", "shop.test", &old]).ends_with_code(1);
    assert!(
        waiting.err.contains("ds-seen shop.test. "),
        "{}",
        waiting.err
    );
    keys(folder, &["ds-seen", "shop.test", &new]).fine();
    keys(folder, &["remove", "shop.test", &old, "--now"]).fine();
    let left = listed(folder);
    assert_eq!(left.len(), 1);
    let file = folder
        .join("dnssec/shop.test")
        .join(left[0]["file"].as_str().unwrap());

    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let readable = meridian(&["check", "--dir", word(folder)]).ends_with_code(1);
    assert!(readable.err.contains("chmod 600"), "{}", readable.err);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();

    keys(folder, &["unsign", "shop.test"]).fine();
    keys(folder, &["unsign", "shop.test", "--ds-gone"]).fine();
    let early = keys(folder, &["unsign", "shop.test", "--finish"]).ends_with_code(1);
    assert!(early.err.contains("not before 20"), "{}", early.err);
    keys(folder, &["unsign", "shop.test", "--finish", "--now"]).fine();
    assert!(!file.exists());
    let said = keys(folder, &["list"]).fine().out;
    assert!(said.contains("served unsigned"), "{said}");
    meridian(&["check", "--dir", word(folder)]).fine();
}
