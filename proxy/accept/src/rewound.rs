//! A stream whose first bytes were already read.
//!
//! Reading a PROXY header or a TLS ClientHello may take more bytes off the
//! socket than belong to it. [`Rewound`] hands those back first, then the
//! stream's own; writing goes straight through.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// `stream` with `head` put back in front of it.
#[derive(Debug)]
pub struct Rewound<S> {
    head: Bytes,
    stream: S,
}

impl<S> Rewound<S> {
    /// Puts `head` in front of what `stream` will yield.
    pub fn new(head: impl Into<Bytes>, stream: S) -> Self {
        Self {
            head: head.into(),
            stream,
        }
    }

    /// The stream itself. Bytes still in the head are not seen through it.
    pub fn get_ref(&self) -> &S {
        &self.stream
    }

    /// Whether all bytes of the head were read back.
    pub fn is_drained(&self) -> bool {
        self.head.is_empty()
    }

    /// The bytes not yet read back, and the stream.
    pub fn into_parts(self) -> (Bytes, S) {
        (self.head, self.stream)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Rewound<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.head.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let take = self.head.len().min(buffer.remaining());
        buffer.put_slice(&self.head[..take]);
        self.head.advance(take);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Rewound<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests;
