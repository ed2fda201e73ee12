//! Connections that ask once and stay.
//!
//! TLS sessions are not resumed: every connection is that of a new client. Once it has its answer, only
//! the socket of a connection is kept, as nothing more is said on it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore,
    client::Resumption,
    pki_types::{CertificateDer, ServerName},
};

use crate::http::{ANSWER_WITHIN, HOST, Protocol, Setup, responder};

/// Longest answer: the body and the head before it.
const ANSWER_BYTES_MAX: usize = responder::BODY.len() + 4_096;

/// The clients of one proxy.
pub(super) struct Clients {
    target: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
    open: Vec<TcpStream>,
}

impl Clients {
    pub(super) fn new(setup: &Setup<'_>, target: SocketAddr) -> io::Result<Self> {
        let tls = match setup.protocol {
            Protocol::Http => None,
            Protocol::Https | Protocol::H2 => Some(trusting(&setup.tls.root)?),
        };
        Ok(Self {
            target,
            tls,
            open: Vec::new(),
        })
    }

    /// Opens so many more, one after the other.
    pub(super) fn open(&mut self, count: usize) -> io::Result<()> {
        self.open.reserve(count);
        for _ in 0..count {
            let socket = self.connect()?;
            self.open.push(socket);
        }
        Ok(())
    }

    /// How many of them the proxy has closed.
    pub(super) fn closed(&self) -> io::Result<usize> {
        let mut closed = 0;
        for socket in &self.open {
            socket.set_nonblocking(true)?;
            closed += usize::from(!is_open(socket));
        }
        Ok(closed)
    }

    fn connect(&self) -> io::Result<TcpStream> {
        let mut socket = TcpStream::connect_timeout(&self.target, ANSWER_WITHIN)?;
        socket.set_read_timeout(Some(ANSWER_WITHIN))?;
        socket.set_nodelay(true)?;
        match &self.tls {
            None => ask(&mut socket)?,
            Some(config) => {
                let name = ServerName::try_from(HOST).map_err(io::Error::other)?;
                let mut tls =
                    ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                ask(&mut rustls::Stream::new(&mut tls, &mut socket))?;
            }
        }
        Ok(socket)
    }
}

/// TLS 1.3 for clients that trust one certificate.
fn trusting(root: &CertificateDer<'static>) -> io::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).map_err(io::Error::other)?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

/// One request; the answer must be the responder's.
fn ask(stream: &mut (impl Read + Write)) -> io::Result<()> {
    let request = format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = [0; ANSWER_BYTES_MAX];
    let mut filled = 0;
    while !is_whole(&answer[..filled]) {
        let count = stream.read(&mut answer[filled..])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        filled += count;
    }
    if answer.starts_with(b"HTTP/1.1 200") {
        return Ok(());
    }
    let line = answer.split(|byte| *byte == b'\r').next();
    let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
    Err(io::Error::other(line))
}

/// Whether an answer is the responder's to its end, or another one's whole head.
fn is_whole(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    end.is_some_and(|end| {
        !answer.starts_with(b"HTTP/1.1 200") || answer[end + 4..] == responder::BODY
    })
}

/// Whether nothing but silence comes, once what was left is read.
fn is_open(mut socket: &TcpStream) -> bool {
    let mut left = [0; 256];
    loop {
        match socket.read(&mut left) {
            Ok(0) => return false,
            Ok(_) => {}
            Err(error) => return error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}
