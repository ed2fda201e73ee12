#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;

use super::bind;

#[tokio::test]
async fn only_the_owner_may_open_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let socket = bind(&path).await.unwrap();
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(names, 1, "the workshop is gone");
    drop(socket);
    assert!(!path.exists(), "nothing is left of it");
}

#[tokio::test]
async fn a_living_socket_is_respected_and_a_dead_one_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let living = bind(&path).await.unwrap();
    assert_eq!(bind(&path).await.unwrap_err().kind(), ErrorKind::AddrInUse);
    // The listener closes and its file stays: a node that was killed.
    let super::Socket { listener, file } = living;
    drop(listener);
    let successor = bind(&path).await.unwrap();
    drop(file);
    assert!(path.exists(), "the file is the successor's by now");
    drop(successor);
}

#[tokio::test]
async fn a_file_that_is_no_socket_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    std::fs::write(&path, "precious").unwrap();
    assert_eq!(
        bind(&path).await.unwrap_err().kind(),
        ErrorKind::AlreadyExists
    );
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}
