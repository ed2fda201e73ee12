//! Memory for bytes on their way, lent by the worker only while they move.

use std::sync::Mutex;

/// Bytes of a fresh buffer.
pub(super) const BUFFER_BYTES: usize = 16 * 1024;
/// Buffers that a worker keeps for later; more are given back to the system.
const KEPT_MAX: usize = 256;

/// A worker's buffers that nobody uses. The lock is only ever taken by the worker's own thread.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// An empty buffer.
    pub(super) fn lend(&self) -> Buffer<'_> {
        let kept = self.0.lock().ok().and_then(|mut kept| kept.pop());
        Buffer {
            bytes: kept.unwrap_or_else(|| vec![0; BUFFER_BYTES]),
            from: 0,
            to: 0,
            home: self,
        }
    }
}

/// Bytes that were read and are not passed on yet.
#[derive(Debug)]
pub(super) struct Buffer<'b> {
    bytes: Vec<u8>,
    from: usize,
    to: usize,
    home: &'b Buffers,
}

impl Buffer<'_> {
    /// The bytes to pass on.
    pub(super) fn filled(&self) -> &[u8] {
        &self.bytes[self.from..self.to]
    }

    /// Where more can be read to; empty when the buffer is full.
    pub(super) fn space(&mut self) -> &mut [u8] {
        if self.from == self.to {
            (self.from, self.to) = (0, 0);
        } else if self.to == self.bytes.len() {
            self.bytes.copy_within(self.from..self.to, 0);
            (self.from, self.to) = (0, self.to - self.from);
        }
        &mut self.bytes[self.to..]
    }

    /// So many bytes were read into the space.
    pub(super) fn add(&mut self, count: usize) {
        self.to += count;
    }

    /// So many bytes were passed on.
    pub(super) fn take(&mut self, count: usize) {
        self.from += count;
    }

    /// Makes room for a head that is longer than a fresh buffer.
    pub(super) fn grow(&mut self, bytes_max: usize) {
        self.bytes.resize(bytes_max.max(self.bytes.len()), 0);
    }

    /// Puts `new` in the place of the first `old` bytes; what comes after them is not moved where `new` is
    /// not longer.
    pub(super) fn replace_front(&mut self, old: usize, new: &[u8]) {
        let behind = self.from + old.min(self.to - self.from);
        if let Some(start) = behind.checked_sub(new.len()) {
            self.bytes[start..behind].copy_from_slice(new);
            self.from = start;
            return;
        }
        let end = new.len() + self.to - behind;
        self.bytes.resize(end.max(self.bytes.len()), 0);
        self.bytes.copy_within(behind..self.to, new.len());
        self.bytes[..new.len()].copy_from_slice(new);
        (self.from, self.to) = (0, end);
    }
}

impl Drop for Buffer<'_> {
    fn drop(&mut self) {
        if self.bytes.len() == BUFFER_BYTES
            && let Ok(mut kept) = self.home.0.lock()
            && kept.len() < KEPT_MAX
        {
            kept.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_as_they_went_in() {
        let buffers = Buffers::default();
        let mut buffer = buffers.lend();
        let (mut wrote, mut read) = (0_usize, 0_usize);
        while read < 100_000 {
            let space = buffer.space();
            let count = space.len().min(7_001);
            for byte in &mut space[..count] {
                *byte = wrote as u8;
                wrote += 1;
            }
            buffer.add(count);
            let taken = buffer.filled().len().min(5_003);
            for byte in &buffer.filled()[..taken] {
                assert_eq!(*byte, read as u8);
                read += 1;
            }
            buffer.take(taken);
        }
        assert_eq!(buffer.filled().len(), wrote - read);
    }

    #[test]
    fn the_front_is_replaced_by_more_or_less() {
        let buffers = Buffers::default();
        for new in [&b""[..], b"HTTP", b"HTTP/1.1 200 OK, and what we add to it"] {
            let mut buffer = buffers.lend();
            buffer.replace_front(0, b"xxold head.body");
            buffer.take(2);
            buffer.replace_front(9, new);
            assert_eq!(buffer.filled(), [new, b"body"].concat());
        }
        let mut buffer = buffers.lend();
        let count = buffer.space().len();
        buffer.add(count);
        buffer.replace_front(10, &[7; 100]);
        assert_eq!(buffer.filled().len(), BUFFER_BYTES + 90);
    }

    #[test]
    fn a_buffer_is_lent_again_unless_it_grew() {
        let buffers = Buffers::default();
        let mut buffer = buffers.lend();
        buffer.replace_front(0, b"old");
        drop(buffer);
        assert_eq!(buffers.0.lock().map(|kept| kept.len()).ok(), Some(1));
        let mut buffer = buffers.lend();
        assert_eq!(buffer.filled(), b"");
        buffer.grow(2 * BUFFER_BYTES);
        drop(buffer);
        assert_eq!(buffers.0.lock().map(|kept| kept.len()).ok(), Some(0));
    }
}
