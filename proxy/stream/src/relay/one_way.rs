//! One direction of a connection: copied, and spliced in the kernel once it
//! proves to be bulk.
//!
//! A copy of few bytes is as cheap as splicing them, and a pipe is memory of the
//! kernel: so bytes are copied until [`BULK_READS`] reads in a row fill the
//! buffer. From then on pages go from socket to socket through a pipe, until as
//! many turns in a row bring little. Buffers and pipes are lent only while bytes
//! move ([`super::lent`]).

use std::io;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::tcp::{ReadHalf, WriteHalf};

use super::Way;
use super::lent::{BUFFER_BYTES, Buffer, Pipe};

/// Full reads in a row after which a direction counts as bulk, and small turns
/// after which it does not.
const BULK_READS: u32 = 8;

/// How bytes go now.
enum Manner {
    /// By our memory; so many full reads in a row.
    Copy { full: u32 },
    /// By the kernel's; so many small turns in a row.
    Splice { small: u32 },
}

/// Passes on `head` and then all that comes until the end, and hands the end on.
pub(super) async fn one_way(
    head: Bytes,
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    way: &mut Way<'_>,
) -> io::Result<()> {
    if !head.is_empty() {
        way.count(head.len());
        let written = to.write_all(&head).await;
        written.map_err(|error| way.sink_broke(error))?;
    }
    let mut manner = Manner::Copy { full: 0 };
    loop {
        let ready = from.readable().await;
        ready.map_err(|error| way.source_broke(error))?;
        let moved = match manner {
            Manner::Copy { .. } => copy(&mut from, &mut to, way).await?,
            Manner::Splice { .. } => splice(&from, &to, way).await?,
        };
        if moved == 0 {
            break;
        }
        manner = manner.after(moved);
    }
    // A side that is gone needs not be told.
    let _ = to.shutdown().await;
    Ok(())
}

impl Manner {
    fn after(self, moved: usize) -> Self {
        let is_full = moved >= BUFFER_BYTES;
        match self {
            Self::Copy { full } if is_full && full + 1 >= BULK_READS => Self::Splice { small: 0 },
            Self::Copy { full } if is_full => Self::Copy { full: full + 1 },
            Self::Splice { small } if !is_full && small + 1 >= BULK_READS => Self::Copy { full: 0 },
            Self::Splice { small } if !is_full => Self::Splice { small: small + 1 },
            Self::Copy { .. } => Self::Copy { full: 0 },
            Self::Splice { .. } => Self::Splice { small: 0 },
        }
    }
}

async fn copy(
    from: &mut ReadHalf<'_>,
    to: &mut WriteHalf<'_>,
    way: &mut Way<'_>,
) -> io::Result<usize> {
    let mut buffer = Buffer::lend();
    let read = from.read(buffer.bytes()).await;
    let count = read.map_err(|error| way.source_broke(error))?;
    way.count(count);
    let written = to.write_all(&buffer.bytes()[..count]).await;
    written.map_err(|error| way.sink_broke(error))?;
    Ok(count)
}

async fn splice(from: &ReadHalf<'_>, to: &WriteHalf<'_>, way: &mut Way<'_>) -> io::Result<usize> {
    let mut pipe = Pipe::lend()?;
    let (from, to) = (from.as_ref(), to.as_ref());
    let filled = from.async_io(Interest::READABLE, || pipe.fill(from)).await;
    let count = filled.map_err(|error| way.source_broke(error))?;
    way.count(count);
    while !pipe.is_empty() {
        let drained = to.async_io(Interest::WRITABLE, || pipe.drain(to)).await;
        drained.map_err(|error| way.sink_broke(error))?;
    }
    Ok(count)
}
