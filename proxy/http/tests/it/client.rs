//! A client that sends exactly the bytes it is told to.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// Longer than anything a test waits for: a test that reaches it has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came over the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    /// A field of the head, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection to the proxy.
pub struct Client<S> {
    stream: S,
    early: Vec<u8>,
}

pub async fn connect(to: SocketAddr) -> Client<TcpStream> {
    Client::over(TcpStream::connect(to).await.unwrap())
}

/// Connects from another loopback address than the usual one.
pub async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> Client<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
    Client::over(socket.connect(to).await.unwrap())
}

/// One GET on a connection of its own.
pub async fn get(to: SocketAddr, host: &str, path: &str) -> Answer {
    let mut client = connect(to).await;
    client.get(host, path).await
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub fn over(stream: S) -> Self {
        Self {
            stream,
            early: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    pub async fn get(&mut self, host: &str, path: &str) -> Answer {
        self.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
            .await;
        self.answer().await.expect("an answer")
    }

    /// The next whole answer; `None` when the connection ends before it.
    pub async fn answer(&mut self) -> Option<Answer> {
        let head = self.head().await?;
        let answer = Answer {
            status: head.split(' ').nth(1)?.parse().ok()?,
            head,
            body: Vec::new(),
        };
        if answer.status < 200 || answer.status == 204 || answer.status == 304 {
            return Some(answer);
        }
        let body = match answer.header("content-length") {
            Some(length) => self.take(length.parse().unwrap()).await?,
            None if answer.header("transfer-encoding") == Some("chunked") => self.chunks().await?,
            None => self.rest().await,
        };
        Some(Answer { body, ..answer })
    }

    /// A head without whatever follows it.
    pub async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = find(&self.early, b"\r\n\r\n") {
                let head: Vec<u8> = self.early.drain(..end + 4).collect();
                return Some(String::from_utf8(head).unwrap());
            }
            self.more().await?;
        }
    }

    pub async fn take(&mut self, length: usize) -> Option<Vec<u8>> {
        while self.early.len() < length {
            self.more().await?;
        }
        Some(self.early.drain(..length).collect())
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let end = loop {
                match find(&self.early, b"\r\n") {
                    Some(end) => break end,
                    None => self.more().await?,
                }
            };
            let line: Vec<u8> = self.early.drain(..end + 2).collect();
            let length =
                usize::from_str_radix(std::str::from_utf8(&line[..end]).unwrap(), 16).unwrap();
            if length == 0 {
                self.trailers().await?;
                return Some(body);
            }
            let mut chunk = self.take(length + 2).await?;
            chunk.truncate(length);
            body.extend(chunk);
        }
    }

    /// Lines up to an empty one.
    async fn trailers(&mut self) -> Option<()> {
        loop {
            match find(&self.early, b"\r\n") {
                Some(end) => {
                    self.early.drain(..end + 2);
                    if end == 0 {
                        return Some(());
                    }
                }
                None => self.more().await?,
            }
        }
    }

    /// The connection, to read and write at the same time.
    pub fn into_stream(self) -> S {
        assert!(self.early.is_empty());
        self.stream
    }

    /// Everything until the connection ends.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await.is_some() {}
        std::mem::take(&mut self.early)
    }

    async fn more(&mut self) -> Option<()> {
        let mut buffer = [0; 16 * 1024];
        let read = tokio::time::timeout(PATIENCE, self.stream.read(&mut buffer))
            .await
            .expect("the proxy says something or closes");
        // A reset is an end too.
        let count = read.unwrap_or(0);
        self.early.extend_from_slice(&buffer[..count]);
        (count > 0).then_some(())
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
