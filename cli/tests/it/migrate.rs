//! The deployments that the pages on moving from HAProxy and nginx show, as commands see them.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::run::{meridian, repository, word};
use crate::serve::Node;

const PAGES: [&str; 2] = ["migrate-haproxy.md", "migrate-nginx.md"];

fn page(name: &str) -> String {
    std::fs::read_to_string(repository("docs").join(name)).unwrap()
}

/// A page's files, each shown below a comment with its path, in a folder.
fn written(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = page(name);
    for part in text.split("<!-- file: ").skip(1) {
        let (path, rest) = part.split_once(" -->\n```yaml\n").unwrap();
        let (block, _) = rest.split_once("```").unwrap();
        let path = folder.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, block).unwrap();
    }
    folder
}

/// What `check` warns of in a directory that is fine.
fn warnings(dir: &Path) -> Value {
    let checked = meridian(&["check", "--dir", word(dir), "-o", "json"]).fine();
    let found = checked.json();
    assert_eq!(found["fine"], true, "{}: {found}", dir.display());
    found["warnings"].clone()
}

fn change(file: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{}: no {from}", file.display());
    std::fs::write(file, text.replace(from, to)).unwrap();
}

#[test]
fn every_deployment_is_fine() {
    for name in PAGES {
        let folder = written(name);
        let edge = warnings(&folder.path().join("edge"));
        assert_eq!(edge, json!([]), "{name}");
        let port80 = warnings(&folder.path().join("port80"));
        assert_eq!(port80[0]["code"], "no-endpoint", "{name}: {port80}");
        assert_eq!(port80.as_array().unwrap().len(), 1, "{name}: {port80}");
    }
}

/// What the pages' `sed` changes is there, and the copy is fine.
#[test]
fn a_copy_runs_beside_the_old_server() {
    for name in PAGES {
        let folder = written(name);
        let edge = folder.path().join("edge");
        for (file, from, to) in [
            ("meridian.yaml", "0.0.0.0:443", "127.0.0.1:8443"),
            (
                "meridian.yaml",
                "proxy_protocol: required",
                "proxy_protocol: off",
            ),
            ("topology.yaml", "0.0.0.0:993", "127.0.0.1:8993"),
        ] {
            let told = format!("s/{from}/{to}/");
            assert!(page(name).contains(&told), "{name}: no {told}");
            change(&edge.join(file), from, to);
        }
        warnings(&edge);
    }
}

/// A `backup` server is a region that stands in, and weights are shares.
#[test]
fn a_spare_stands_behind() {
    for name in PAGES {
        let folder = written(name);
        let edge = folder.path().join("edge");
        let explain = [
            "explain",
            "--offline",
            "--service",
            "shop",
            "--client",
            "203.0.113.9",
            "--at",
            "http",
        ];
        let said = meridian(&[&explain[..], &["--dir", word(&edge)]].concat()).fine();
        for part in [
            "spread: main\n",
            "spare: stand-in number 1",
            "web-1     main    40.0 %",
            "web-3     main    20.0 %",
        ] {
            assert!(said.out.contains(part), "{name}: {}", said.out);
        }
    }
}

/// The node of port 80 has no endpoint and sends everybody to port 443.
#[tokio::test]
async fn port_80_sends_clients_to_https() {
    for name in PAGES {
        let folder = written(name);
        let edge = folder.path().join("edge");
        std::fs::remove_dir_all(&edge).unwrap();
        std::fs::rename(folder.path().join("port80"), &edge).unwrap();
        let file = edge.join("meridian.yaml");
        for (from, to) in [
            ("0.0.0.0:80", "127.0.0.1:0"),
            ("127.0.0.1:9444", "127.0.0.1:0"),
            ("proxy_protocol: required", "proxy_protocol: off"),
        ] {
            change(&file, from, to);
        }
        let node = Node::serve(folder).await;
        // The admin API answers a moment before the log says where everything listens.
        node.until(&["get", "status"], |_| node.log().contains("listening"))
            .await;
        let answer = get(&node.listens("http"), "/a?b");
        assert!(answer.starts_with("HTTP/1.1 301 "), "{name}: {answer}");
        let location = "\r\nlocation: https://shop.example.com/a?b\r\n";
        assert!(answer.contains(location), "{name}: {answer}");
        node.stop().await;
    }
}

/// What `address` answers to a GET, head and body.
fn get(address: &str, target: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let head =
        format!("GET {target} HTTP/1.1\r\nHost: shop.example.com\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
