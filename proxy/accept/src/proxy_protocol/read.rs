//! A header off a stream, under a deadline.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Expect, Header, HeaderError, Parsed, V2_BYTES_MAX, parse};

/// First read: holds any version 1 line and a version 2 header with the usual
/// TLVs. Longer ones grow to [`V2_BYTES_MAX`].
const FIRST_READ_BYTES: usize = 536;

/// No header was obtained; the connection is to be closed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The sender's bytes are not a header.
    #[error(transparent)]
    Malformed(#[from] HeaderError),
    /// A header is required and the bytes are something else.
    #[error("the connection does not begin with a PROXY header")]
    Missing,
    /// The stream ended inside the header.
    #[error("the connection ended after {read} bytes of a PROXY header")]
    Ended {
        /// Bytes that had arrived.
        read: usize,
    },
    /// The header did not arrive in time.
    #[error("no complete PROXY header within {after:?}")]
    Timeout {
        /// The deadline, from the accept.
        after: Duration,
    },
    /// The socket failed.
    #[error("reading the PROXY header: {0}")]
    Io(#[from] io::Error),
}

/// Reads the header a listener expects. Returns it, if there was one, and the
/// bytes that were read past it: the client's first ones, to be put back with
/// [`crate::Rewound`].
///
/// With [`Expect::Optional`], a peer that stays silent for `timeout` has no
/// header: protocols in which the server speaks first then start that late.
///
/// # Errors
/// The header is malformed, missing where required, late or cut off.
pub async fn read_header<S: AsyncRead + Unpin>(
    stream: &mut S,
    expect: Expect,
    timeout: Duration,
) -> Result<(Option<Header>, Bytes), ReadError> {
    if expect == Expect::Off {
        return Ok((None, Bytes::new()));
    }
    let mut buffer = BytesMut::with_capacity(FIRST_READ_BYTES);
    match tokio::time::timeout(timeout, fill(stream, &mut buffer)).await {
        Ok(Ok(Some((header, consumed)))) => {
            let rest = buffer.split_off(consumed);
            Ok((Some(header), rest.freeze()))
        }
        Ok(Ok(None)) if expect == Expect::Optional => Ok((None, buffer.freeze())),
        Ok(Ok(None)) => Err(ReadError::Missing),
        Ok(Err(error)) => Err(error),
        Err(_) if expect == Expect::Optional && buffer.is_empty() => Ok((None, Bytes::new())),
        Err(_) => Err(ReadError::Timeout { after: timeout }),
    }
}

/// Reads until the bytes are a header (`Some`) or certainly none (`None`).
async fn fill<S: AsyncRead + Unpin>(
    stream: &mut S,
    buffer: &mut BytesMut,
) -> Result<Option<(Header, usize)>, ReadError> {
    loop {
        if buffer.capacity() == buffer.len() {
            buffer.reserve(V2_BYTES_MAX - buffer.len());
        }
        let read = stream.read_buf(buffer).await?;
        match parse(buffer)? {
            Parsed::Complete { header, consumed } => return Ok(Some((header, consumed))),
            Parsed::Absent => return Ok(None),
            // An end before the first byte is a port scan or a client that
            // left, not a broken header.
            Parsed::Partial if read == 0 && buffer.is_empty() => return Ok(None),
            Parsed::Partial if read == 0 => return Err(ReadError::Ended { read: buffer.len() }),
            Parsed::Partial => {}
        }
    }
}
