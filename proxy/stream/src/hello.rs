//! The name that a TLS client asks for, read without ending TLS (RFC 6066, section 3).
//!
//! What was read goes on to the endpoint as it came. rustls reads the message; nothing is answered. With
//! Encrypted ClientHello this is the public name, as its inventors intended.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use rustls::server::Acceptor;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Most bytes in which a ClientHello must be whole; a large one with post-quantum keys has about 2,000.
const HELLO_BYTES_MAX: usize = 32 * 1024;
/// Bytes asked of the socket at once.
const READ_BYTES: usize = 4 * 1024;
/// First byte of a TLS record with a handshake message (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// What a connection begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hello {
    /// TLS, for a name in lower case.
    Named(String),
    /// Anything else: TLS without a name, another protocol.
    Nameless,
}

/// Why it cannot be known.
#[derive(Debug)]
pub(crate) enum HelloError {
    /// It did not come in time.
    Late,
    /// The connection ended before.
    Ended,
    /// It cannot be read.
    Broken,
}

/// Reads until the name is known; what was read, `head` first.
///
/// # Errors
/// See [`HelloError`].
pub(crate) async fn read_hello(
    stream: &mut TcpStream,
    head: Bytes,
    patience: Duration,
) -> Result<(Hello, Bytes), HelloError> {
    let reading = async {
        let mut reader = Reader::default();
        let mut read = BytesMut::from(&head[..]);
        let mut seen = 0;
        loop {
            if let Some(hello) = reader.feed(&read[seen..]) {
                return Ok((hello, read.freeze()));
            }
            seen = read.len();
            if seen >= HELLO_BYTES_MAX {
                return Ok((Hello::Nameless, read.freeze()));
            }
            read.reserve(READ_BYTES);
            match stream.read_buf(&mut read).await {
                Ok(0) => return Err(HelloError::Ended),
                Ok(_) => {}
                Err(_) => return Err(HelloError::Broken),
            }
        }
    };
    match tokio::time::timeout(patience, reading).await {
        Ok(result) => result,
        Err(_) => Err(HelloError::Late),
    }
}

/// Takes a ClientHello in pieces.
#[derive(Default)]
struct Reader {
    acceptor: Acceptor,
    is_tls: bool,
}

impl Reader {
    /// What the bytes are; `None` while that is open.
    fn feed(&mut self, mut bytes: &[u8]) -> Option<Hello> {
        let first = *bytes.first()?;
        if !self.is_tls && first != HANDSHAKE {
            return Some(Hello::Nameless);
        }
        self.is_tls = true;
        while !bytes.is_empty() {
            // rustls takes what it has room for.
            if !matches!(self.acceptor.read_tls(&mut bytes), Ok(taken) if taken > 0) {
                return Some(Hello::Nameless);
            }
            match self.acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let name = hello.server_name();
                    return Some(name.map_or(Hello::Nameless, |name| {
                        Hello::Named(name.to_ascii_lowercase())
                    }));
                }
                Err(_) => return Some(Hello::Nameless),
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::{ClientConfig, ClientConnection, RootCertStore};

    use super::*;

    fn hello(name: &str) -> Vec<u8> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(RootCertStore::empty())
            .with_no_client_auth();
        let name = name.to_owned().try_into().unwrap();
        let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
        let mut bytes = Vec::new();
        client.write_tls(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn the_name_is_found_wherever_the_pieces_are_cut() {
        let bytes = hello("Shop.Example.com");
        for step in [1, 7, 100, bytes.len()] {
            let mut reader = Reader::default();
            let found = bytes.chunks(step).find_map(|piece| reader.feed(piece));
            let expected = Hello::Named("shop.example.com".to_owned());
            assert_eq!(found, Some(expected), "in steps of {step}");
        }
    }

    #[test]
    fn what_names_nobody_is_nameless() {
        let nameless = hello("192.0.2.1");
        for bytes in [
            &nameless[..],
            b"GET / HTTP/1.1\r\n",
            b"SSH-2.0-x\r\n",
            b"\x16\x03\x01\x00\x05hello",
            b"\x16\xff\xff\xff\xff",
        ] {
            assert_eq!(Reader::default().feed(bytes), Some(Hello::Nameless));
        }
        assert_eq!(Reader::default().feed(&nameless[..20]), None);
        assert_eq!(Reader::default().feed(b""), None);
    }
}
