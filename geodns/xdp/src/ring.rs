//! The rings an AF_XDP socket shares with the kernel: one side only writes `producer`, the other
//! only `consumer` (Documentation/networking/af_xdp.rst). Positions count on and wrap around;
//! entries are found by the lower bits.
//!
//! The kernel's side is published by its own barriers; ours with release after the entries are
//! written or read, and acquire before.

use std::io;
use std::os::fd::BorrowedFd;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::{Mapping, Plain};

/// A ring's memory, either side: [`Producer::of`] or [`Consumer::of`] says which is ours.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    producer: NonNull<u32>,
    consumer: NonNull<u32>,
    flags: NonNull<u32>,
    entries: NonNull<T>,
    mask: u32,
    /// Keeps the pointers valid.
    _memory: Mapping,
}

// SAFETY: the pointers go into the mapping it owns; each side's position is touched by this
// value's only owner, the other side's and the flags atomically.
unsafe impl<T: Plain> Send for Ring<T> {}

impl<T: Plain> Ring<T> {
    pub(crate) fn map(
        fd: BorrowedFd<'_>,
        page: libc::off_t,
        at: &libc::xdp_ring_offset,
        size: u32,
    ) -> io::Result<Self> {
        let count = size as usize;
        let bytes = usize::try_from(at.desc).unwrap_or(usize::MAX);
        let bytes = bytes.saturating_add(count * size_of::<T>());
        let memory = Mapping::shared(bytes, fd, page)?;
        let bad = || io::Error::from(io::ErrorKind::InvalidData);
        if !size.is_power_of_two() {
            return Err(bad());
        }
        Ok(Self {
            producer: memory.at(at.producer, 1).ok_or_else(bad)?,
            consumer: memory.at(at.consumer, 1).ok_or_else(bad)?,
            flags: memory.at(at.flags, 1).ok_or_else(bad)?,
            entries: memory.at(at.desc, count).ok_or_else(bad)?,
            mask: size - 1,
            _memory: memory,
        })
    }

    fn producer(&self) -> &AtomicU32 {
        // SAFETY: aligned, inside the mapping that lives as long as `self`; the kernel and we touch
        // it atomically only.
        unsafe { AtomicU32::from_ptr(self.producer.as_ptr()) }
    }

    fn consumer(&self) -> &AtomicU32 {
        // SAFETY: as above.
        unsafe { AtomicU32::from_ptr(self.consumer.as_ptr()) }
    }

    /// Whether the kernel waits for a system call.
    fn needs_wakeup(&self) -> bool {
        // SAFETY: as above.
        let flags = unsafe { AtomicU32::from_ptr(self.flags.as_ptr()) };
        flags.load(Ordering::Relaxed) & libc::XDP_RING_NEED_WAKEUP != 0
    }

    fn entry(&self, position: u32) -> NonNull<T> {
        // SAFETY: masked, so below the number of entries the mapping was checked to hold.
        unsafe { self.entries.add((position & self.mask) as usize) }
    }
}

/// A ring we fill and the kernel empties.
#[derive(Debug)]
pub(crate) struct Producer<T> {
    ring: Ring<T>,
    /// Where the next entry goes; beyond the published position until [`Self::publish`].
    next: u32,
    /// The kernel's position as last seen.
    seen: u32,
}

impl<T: Plain> Producer<T> {
    pub(crate) fn of(ring: Ring<T>) -> Self {
        Self {
            next: ring.producer().load(Ordering::Relaxed),
            seen: ring.consumer().load(Ordering::Acquire),
            ring,
        }
    }

    /// How many entries fit; looks at the kernel's position only if fewer than `wanted` are known to.
    pub(crate) fn room(&mut self, wanted: u32) -> u32 {
        let size = self.ring.mask + 1;
        let known = size - self.next.wrapping_sub(self.seen);
        if known >= wanted {
            return known;
        }
        self.seen = self.ring.consumer().load(Ordering::Acquire);
        size - self.next.wrapping_sub(self.seen)
    }

    /// Writes an entry; the kernel sees it after [`Self::publish`]. Without room, nothing happens.
    pub(crate) fn push(&mut self, entry: T) -> bool {
        if self.room(1) == 0 {
            return false;
        }
        // SAFETY: there is room, so the kernel does not read this entry before it is published.
        unsafe { self.ring.entry(self.next).write(entry) };
        self.next = self.next.wrapping_add(1);
        true
    }

    /// Hands all written entries to the kernel.
    pub(crate) fn publish(&mut self) {
        self.ring.producer().store(self.next, Ordering::Release);
    }

    /// How many entries the kernel has not taken yet.
    pub(crate) fn pending(&mut self) -> u32 {
        self.seen = self.ring.consumer().load(Ordering::Acquire);
        self.next.wrapping_sub(self.seen)
    }

    pub(crate) fn needs_wakeup(&self) -> bool {
        self.ring.needs_wakeup()
    }
}

/// A ring the kernel fills and we empty.
#[derive(Debug)]
pub(crate) struct Consumer<T> {
    ring: Ring<T>,
    /// The next entry; beyond the published position until [`Self::release`].
    next: u32,
    /// The kernel's position as last seen.
    seen: u32,
}

impl<T: Plain> Consumer<T> {
    pub(crate) fn of(ring: Ring<T>) -> Self {
        Self {
            next: ring.consumer().load(Ordering::Relaxed),
            seen: ring.producer().load(Ordering::Acquire),
            ring,
        }
    }

    /// How many entries wait; looks at the kernel's position only if fewer than `wanted` are known to.
    pub(crate) fn waiting(&mut self, wanted: u32) -> u32 {
        let known = self.seen.wrapping_sub(self.next);
        if known >= wanted {
            return known;
        }
        self.seen = self.ring.producer().load(Ordering::Acquire);
        self.seen.wrapping_sub(self.next)
    }

    /// Takes the next entry.
    pub(crate) fn pop(&mut self) -> Option<T> {
        if self.waiting(1) == 0 {
            return None;
        }
        // SAFETY: the kernel wrote it before it moved its position, and waits for `release`.
        let entry = unsafe { self.ring.entry(self.next).read() };
        self.next = self.next.wrapping_add(1);
        Some(entry)
    }

    /// The entry `ahead` of the next, if it waits too.
    pub(crate) fn peek(&self, ahead: u32) -> Option<T> {
        if self.seen.wrapping_sub(self.next) <= ahead {
            return None;
        }
        // SAFETY: as in `pop`.
        Some(unsafe { self.ring.entry(self.next.wrapping_add(ahead)).read() })
    }

    /// Gives the taken entries' places back to the kernel.
    pub(crate) fn release(&mut self) {
        self.ring.consumer().store(self.next, Ordering::Release);
    }
}
