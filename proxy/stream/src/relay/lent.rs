//! Buffers and pipes, kept by the thread that last used them.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// Bytes of a buffer.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;
/// What we ask a pipe to hold; the kernel may give it less.
const PIPE_BYTES: usize = 256 * 1024;
/// Kept by each thread of either kind.
const KEPT_MAX: usize = 64;

thread_local! {
    static BUFFERS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
    static PIPES: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
}

/// Memory for one read.
pub(super) struct Buffer(Vec<u8>);

impl Buffer {
    pub(super) fn lend() -> Self {
        let kept = BUFFERS.with_borrow_mut(Vec::pop);
        Self(kept.unwrap_or_else(|| vec![0; BUFFER_BYTES]))
    }

    pub(super) fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.0);
        // A thread that ends keeps nothing.
        let _ = BUFFERS.try_with(|kept| keep(&mut kept.borrow_mut(), buffer));
    }
}

fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() < KEPT_MAX {
        kept.push(one);
    }
}

struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe, empty when it is lent and when it is kept.
pub(super) struct Pipe {
    ends: Option<Ends>,
    inside: usize,
}

impl Pipe {
    /// # Errors
    /// There are no descriptors left.
    pub(super) fn lend() -> io::Result<Self> {
        let ends = match PIPES.with_borrow_mut(Vec::pop) {
            Some(ends) => ends,
            None => make()?,
        };
        Ok(Self {
            ends: Some(ends),
            inside: 0,
        })
    }

    /// Takes what a socket has, as much as fits; 0 at its end. The pipe must be empty: then only the
    /// socket can make this wait.
    pub(super) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let count = self.splice(|ends| (socket.as_fd(), ends.write.as_fd()), PIPE_BYTES)?;
        self.inside = count;
        Ok(count)
    }

    /// Gives what it holds to a socket, as much as that takes.
    pub(super) fn drain(&mut self, socket: impl AsFd) -> io::Result<()> {
        let count = self.splice(|ends| (ends.read.as_fd(), socket.as_fd()), self.inside)?;
        self.inside -= count.min(self.inside);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.inside == 0
    }

    fn splice<'f>(
        &'f self,
        ends: impl FnOnce(&'f Ends) -> (std::os::fd::BorrowedFd<'f>, std::os::fd::BorrowedFd<'f>),
        bytes: usize,
    ) -> io::Result<usize> {
        let Some(own) = &self.ends else { return Ok(0) };
        let (from, to) = ends(own);
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        Ok(splice(from, None, to, None, bytes, flags)?)
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        // With bytes of a connection that broke inside it is of no use.
        if self.inside == 0
            && let Some(ends) = self.ends.take()
        {
            let _ = PIPES.try_with(|kept| keep(&mut kept.borrow_mut(), ends));
        }
    }
}

fn make() -> io::Result<Ends> {
    let (read, write) = pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)?;
    // Beyond the user's share the kernel refuses; a small pipe works, too.
    let _ = fcntl_setpipe_size(&write, PIPE_BYTES);
    Ok(Ends { read, write })
}
