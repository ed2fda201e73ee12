//! `tests/broken/NAME.yaml` → `tests/broken/NAME.txt`: file, line, column, what, remedy.
//! A file named `NAME+2.yaml` is read together with `NAME.yaml`.

use std::fmt::Write;
use std::path::Path;

use expect_test::expect_file;
use meridian_topology::{SourceFile, Topology};

use super::{read, yaml_files};

/// The issue asks for 40.
const CASES_MIN: usize = 40;

fn report(files: &[SourceFile]) -> String {
    match Topology::parse(files) {
        Ok(_) => "accepted\n".to_owned(),
        Err(problems) => {
            let mut text = String::new();
            for problem in problems.list() {
                writeln!(text, "{problem}").unwrap();
            }
            write!(text, "\n{problems}").unwrap();
            text
        }
    }
}

#[test]
fn broken_files_are_answered_with_place_and_remedy() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let mut cases = 0;
    for path in yaml_files(&folder) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        if stem.ends_with("+2") {
            continue;
        }
        let mut files = vec![read(&path)];
        let second = folder.join(format!("{stem}+2.yaml"));
        if second.exists() {
            files.push(read(&second));
        }
        let got = report(&files);
        assert_ne!(got, "accepted\n", "{stem} is not broken");
        expect_file![path.with_extension("txt")].assert_eq(&got);
        cases += 1;
    }
    assert!(cases >= CASES_MIN, "{cases} cases");
}
