//! `geo build`, `geo lookup` and `geo diff`.

use std::path::Path;

use crate::run::{Said, meridian, word};

/// Builds a table of the registries and of what was measured.
fn build(folder: &Path, out: &Path, measured: &str) -> Said {
    let overrides = folder.join("measured.csv");
    std::fs::write(
        &overrides,
        format!("cidr,latitude,longitude,country\n{measured}"),
    )
    .unwrap();
    meridian(&[
        "geo",
        "build",
        "--dir",
        word(folder),
        "--out",
        word(out),
        "--overrides",
        word(&overrides),
        "-o",
        "json",
    ])
}

#[test]
fn tables_are_built_asked_and_compared() {
    let folder = tempfile::tempdir().unwrap();
    let edge = folder.path().join("edge");
    meridian(&["init", word(&edge)]).fine();
    let (before, after) = (folder.path().join("1.geo"), folder.path().join("2.geo"));

    let built = build(&edge, &before, "198.51.100.0/24,52.5,13.4,DE\n").fine();
    let bytes = std::fs::metadata(&before).unwrap().len();
    assert_eq!(built.json()["bytes"], bytes);
    let built = build(&edge, &after, "198.51.100.0/24,-33.9,151.2,AU\n").fine();
    assert!(built.json()["ranges_v4"].as_u64().unwrap() > 1000);

    let asked = ["geo", "lookup", "198.51.100.9", "2001:db8::1", "--table"];
    let country = |table: &Path, at: usize| {
        let words = [&asked[..], &[word(table), "-o", "json"]].concat();
        meridian(&words).fine().json()[at]["country"].clone()
    };
    assert_eq!(country(&before, 0), "DE");
    assert_eq!(country(&after, 0), "AU");
    assert_eq!(country(&before, 1), country(&after, 1));

    let diff = ["geo", "diff", word(&before), word(&after)];
    let shown = meridian(&diff).fine();
    assert!(shown.out.contains("198.51.100.0"), "{}", shown.out);
    meridian(&[&diff[..], &["--exit-code"]].concat()).ends_with_code(1);
    let same = ["geo", "diff", word(&before), word(&before), "--exit-code"];
    assert!(meridian(&same).fine().out.contains("no address changes"));
}

#[test]
fn mistakes_name_file_and_line_and_leave_the_table_alone() {
    let folder = tempfile::tempdir().unwrap();
    let edge = folder.path().join("edge");
    meridian(&["init", word(&edge)]).fine();
    let out = folder.path().join("clients.geo");
    build(&edge, &out, "198.51.100.0/24,52.5,13.4\n").fine();
    let before = std::fs::read(&out).unwrap();

    let refused = build(&edge, &out, "198.51.100.0/24,95,13.4\n");
    assert_ne!(refused.code, 0, "{refused:?}");
    let said = &refused.err;
    assert!(said.contains("measured.csv`: line 2: latitude"), "{said}");
    assert_eq!(std::fs::read(&out).unwrap(), before);

    let damaged = folder.path().join("damaged.geo");
    let mut bytes = before;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&damaged, bytes).unwrap();
    let refused = meridian(&["geo", "lookup", "192.0.2.1", "--table", word(&damaged)]);
    assert_ne!(refused.code, 0, "{refused:?}");
    assert!(refused.err.contains("damaged.geo"), "{}", refused.err);
}
