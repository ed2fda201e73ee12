//! A client that can also say what no good client would: requests are written by hand.

use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Far beyond what anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts status and, of an error, its code.
    #[track_caller]
    pub fn expect(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        if !code.is_empty() {
            assert_eq!(self.json()["code"], code, "{self:?}");
            assert!(self.json()["message"].as_str().unwrap().len() > 10);
        }
    }
}

/// The text of a request that asks for the connection's end.
pub fn request(method: &str, path: &str, fields: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    for (name, value) in fields {
        text += &format!("{name}: {value}\r\n");
    }
    if !body.is_empty() {
        text += &format!("Content-Length: {}\r\n", body.len());
    }
    text + "\r\n" + body
}

/// Sends `text` and reads everything.
pub async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, text: &str) -> Answer {
    let mut bytes = Vec::new();
    let talk = async {
        // A server that refuses early may close before it has read all.
        let _refused_early = stream.write_all(text.as_bytes()).await;
        let _reset_after_the_answer = stream.read_to_end(&mut bytes).await;
    };
    tokio::time::timeout(PATIENCE, talk).await.unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Answer {
        status: status.unwrap_or_else(|| panic!("no answer but {text:?}")),
        head: head.to_owned(),
        body: body.to_owned(),
    }
}
