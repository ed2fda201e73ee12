#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::os::unix::fs::PermissionsExt;

use super::Token;

#[test]
fn a_token_is_made_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    let first = Token::load_or_create(&path).unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let second = Token::load_or_create(&path).unwrap();
    assert!(first.matches(second.header().strip_prefix("Bearer ").unwrap()));
    assert!(!first.matches(""));
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        1,
        "nothing is left beside it"
    );
    assert_eq!(format!("{first:?}"), "Token(hidden)");
}

#[test]
fn nodes_that_start_at_once_agree() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    let tokens: Vec<String> = std::thread::scope(|scope| {
        let starts: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| Token::load_or_create(&path).unwrap().header()))
            .collect();
        starts
            .into_iter()
            .map(|start| start.join().unwrap())
            .collect()
    });
    assert!(tokens.iter().all(|token| token == &tokens[0]));
}

#[test]
fn what_is_no_token() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.token");
    let inside = "a".repeat(32) + " " + &"b".repeat(32);
    for (text, said) in [
        ("", "too short"),
        ("short\n", "too short"),
        (&"x".repeat(2_000), "too long"),
        (&inside, "not plain text"),
    ] {
        std::fs::write(&path, text).unwrap();
        let error = Token::load_or_create(&path).unwrap_err();
        assert!(error.to_string().contains(said), "{text:?}: {error}");
    }
}
