//! An upstream server that behaves, or misbehaves, as a test says.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};

/// What the server does with a request whose head it has read.
#[derive(Debug, Clone)]
pub enum Manner {
    /// 200 with its name; the request's body is read first.
    Serve,
    /// As `Serve`, but a connection's second request closes it.
    OncePerConnection,
    /// As `Serve`, after a while.
    Slow(Duration),
    /// This status, with its name.
    Status(u16),
    /// Says nothing.
    Hang,
    /// Closes after half a response head.
    CloseInHead,
    /// Closes at once.
    CloseSilently,
    /// Closes after half the body it announced.
    CloseInBody,
    /// Says something that is not HTTP.
    Babble,
    /// Begins a body of 10 bytes and sends one byte each time.
    Trickle(Duration),
    /// 101, then echoes.
    Upgrade,
    /// Exactly these bytes, once the request's body is read.
    Say(&'static str),
    /// The same, and closes.
    SayAndClose(&'static str),
    /// The same without reading the body.
    SayEarly(&'static str),
    /// 200 with the request's body, byte by byte as it comes.
    EchoBody,
    /// 100 before it reads the body.
    Continue,
}

struct Shared {
    name: String,
    manner: Mutex<Manner>,
    heads: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    connections: AtomicUsize,
}

pub struct Upstream {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

impl Upstream {
    pub async fn start(name: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            manner: Mutex::new(Manner::Serve),
            heads: Mutex::default(),
            bodies: Mutex::default(),
            connections: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, Arc::clone(&shared), stop.clone()));
        Self {
            address,
            shared,
            _stop_on_drop: stop.clone().drop_guard(),
            stop,
        }
    }

    pub fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// Refuses connections from now on and cuts those that are open.
    pub async fn die(&self) {
        self.stop.cancel();
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    /// Heads of requests, in the order they came.
    pub fn heads(&self) -> Vec<String> {
        self.shared.heads.lock().unwrap().clone()
    }

    pub fn bodies(&self) -> Vec<Vec<u8>> {
        self.shared.bodies.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.shared.heads.lock().unwrap().len()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let socket = tokio::select! {
            biased;
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted.unwrap().0,
        };
        shared.connections.fetch_add(1, Ordering::SeqCst);
        let (shared, stop) = (Arc::clone(&shared), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = stop.cancelled() => {}
                _ = serve(socket, &shared) => {}
            }
        });
    }
}

async fn serve(mut socket: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut early = Vec::new();
    for earlier in 0_usize.. {
        let Some(head) = read_head(&mut socket, &mut early).await? else {
            return Ok(());
        };
        shared.heads.lock().unwrap().push(head.clone());
        let manner = shared.manner.lock().unwrap().clone();
        match manner {
            Manner::Serve => answer(&mut socket, &mut early, shared, &head, 200).await?,
            Manner::OncePerConnection if earlier > 0 => return Ok(()),
            Manner::OncePerConnection => {
                answer(&mut socket, &mut early, shared, &head, 200).await?;
            }
            Manner::Slow(pause) => {
                tokio::time::sleep(pause).await;
                answer(&mut socket, &mut early, shared, &head, 200).await?;
            }
            Manner::Status(status) => {
                answer(&mut socket, &mut early, shared, &head, status).await?;
            }
            Manner::Hang => std::future::pending().await,
            Manner::CloseSilently => return Ok(()),
            Manner::CloseInHead => return socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Le").await,
            Manner::CloseInBody => {
                let half = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf.";
                return socket.write_all(half).await;
            }
            Manner::Babble => return socket.write_all(b"220 mail.example ESMTP\r\n\r\n").await,
            Manner::Trickle(pause) => {
                socket
                    .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")
                    .await?;
                for _ in 0..10 {
                    tokio::time::sleep(pause).await;
                    socket.write_all(b".").await?;
                }
            }
            Manner::Upgrade => return echo(socket, early).await,
            Manner::Say(text) => {
                let body = read_body(&mut socket, &mut early, &head).await?;
                shared.bodies.lock().unwrap().push(body);
                socket.write_all(text.as_bytes()).await?;
            }
            Manner::SayAndClose(text) => {
                read_body(&mut socket, &mut early, &head).await?;
                return socket.write_all(text.as_bytes()).await;
            }
            Manner::SayEarly(text) => {
                socket.write_all(text.as_bytes()).await?;
                // Closing with unread bytes would reset the connection under the answer.
                return tokio::time::timeout(Duration::from_secs(1), echo_to_nobody(socket))
                    .await
                    .unwrap_or(Ok(()));
            }
            Manner::EchoBody => {
                let length = length_of(&head);
                let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                socket.write_all(response.as_bytes()).await?;
                socket.write_all(&early).await?;
                let mut left = (length - early.len()) as u64;
                early.clear();
                let (mut read, mut write) = socket.split();
                while left > 0 {
                    let piece = tokio::io::AsyncReadExt::take(&mut read, left.min(10_000));
                    let count = tokio::io::copy(&mut { piece }, &mut write).await?;
                    if count == 0 {
                        return Ok(());
                    }
                    left -= count;
                }
            }
            Manner::Continue => {
                socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
                answer(&mut socket, &mut early, shared, &head, 200).await?;
            }
        }
    }
    Ok(())
}

async fn answer(
    socket: &mut TcpStream,
    early: &mut Vec<u8>,
    shared: &Shared,
    head: &str,
    status: u16,
) -> std::io::Result<()> {
    let body = read_body(socket, early, head).await?;
    shared.bodies.lock().unwrap().push(body);
    let name = &shared.name;
    let length = name.len();
    let text = if head.starts_with("HEAD ") { "" } else { name };
    let response = format!(
        "HTTP/1.1 {status} Because\r\nContent-Length: {length}\r\nX-Upstream: {name}\r\n\r\n{text}"
    );
    socket.write_all(response.as_bytes()).await
}

async fn echo_to_nobody(mut socket: TcpStream) -> std::io::Result<()> {
    tokio::io::copy(&mut socket, &mut tokio::io::sink()).await?;
    Ok(())
}

async fn echo(mut socket: TcpStream, early: Vec<u8>) -> std::io::Result<()> {
    socket
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .await?;
    socket.write_all(&early).await?;
    let (mut read, mut write) = socket.split();
    tokio::io::copy(&mut read, &mut write).await?;
    write.shutdown().await
}

async fn read_head(socket: &mut TcpStream, early: &mut Vec<u8>) -> std::io::Result<Option<String>> {
    loop {
        if let Some(end) = early.windows(4).position(|window| window == b"\r\n\r\n") {
            let head: Vec<u8> = early.drain(..end + 4).collect();
            return Ok(Some(String::from_utf8_lossy(&head).into_owned()));
        }
        if socket.read_buf(early).await? == 0 {
            return Ok(None);
        }
    }
}

fn length_of(head: &str) -> usize {
    head.to_ascii_lowercase()
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split("\r\n").next())
        .map_or(0, |length| length.parse().unwrap())
}

async fn read_body(
    socket: &mut TcpStream,
    early: &mut Vec<u8>,
    head: &str,
) -> std::io::Result<Vec<u8>> {
    let lower = head.to_ascii_lowercase();
    if lower.contains("transfer-encoding: chunked") {
        // Trailers of these tests end in a digit.
        while !early.ends_with(b"0\r\n\r\n") && !early.ends_with(b"1\r\n\r\n") {
            if socket.read_buf(early).await? == 0 {
                break;
            }
        }
        return Ok(std::mem::take(early));
    }
    let length = length_of(head);
    while early.len() < length {
        if socket.read_buf(early).await? == 0 {
            break;
        }
    }
    let length = length.min(early.len());
    Ok(early.drain(..length).collect())
}
