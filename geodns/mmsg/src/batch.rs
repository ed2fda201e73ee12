//! The batch and its two system calls.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

use crate::address::{RAW_BYTES, RawAddress};

/// Most datagrams of one batch. Beyond some dozens a call costs no less a datagram, and from 64 on it
/// costs more: Linux hands each received buffer back to the core that allocated it, and wakes that core
/// by an interrupt each time half of `net.core.skb_defer_max` (64) wait for it.
pub const BATCH_MAX: usize = 32;
/// Longest query received whole.
pub const QUERY_BYTES_MAX: usize = 4096;
/// Longest reply.
pub const REPLY_BYTES_MAX: usize = 4096;
/// Room for one control message with the larger of `in_pktinfo` and `in6_pktinfo`.
const CONTROL_BYTES: usize = 64;

const _: () = {
    // SAFETY: `CMSG_SPACE` only computes.
    let needed = unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32) } as usize;
    assert!(needed <= CONTROL_BYTES);
};

/// Which of the host's addresses a datagram was sent to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The one the socket is bound to.
    Bound,
    /// Any: the kernel is asked for it with each datagram (`IP_PKTINFO`), and the reply leaves from
    /// it. Without this a wildcard socket answers from the address that the route chooses.
    Any,
}

/// What became of the replies of one batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Taken by the kernel.
    pub sent: usize,
    /// Refused by the kernel, each for a reason of its own.
    pub failed: usize,
}

/// One datagram's buffers. Its size is no multiple of 4 KiB, so that the first lines of the slots do
/// not all fall into the same few sets of the first-level cache.
#[repr(C, align(64))]
struct Slot {
    query: [u8; QUERY_BYTES_MAX],
    reply: [u8; REPLY_BYTES_MAX],
    source: RawAddress,
    control: Control,
}

#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Everything the kernel is shown, in one block that never moves.
#[repr(C)]
struct Block {
    slots: [Slot; BATCH_MAX],
    received: [libc::mmsghdr; BATCH_MAX],
    received_at: [libc::iovec; BATCH_MAX],
    replies: [libc::mmsghdr; BATCH_MAX],
    replies_at: [libc::iovec; BATCH_MAX],
}

/// Slots for the datagrams of one socket; see the crate's comment.
pub struct Batch {
    block: NonNull<Block>,
    /// Slots the last receive filled.
    received: usize,
    /// Replies waiting to be sent.
    replies: usize,
    control_bytes: usize,
}

// SAFETY: the block is reached through this value alone, and holds no thread's property.
unsafe impl Send for Batch {}

impl std::fmt::Debug for Batch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Batch")
            .field("received", &self.received)
            .field("replies", &self.replies)
            .finish_non_exhaustive()
    }
}

impl Batch {
    /// Makes the slots for one socket, and asks the socket for destinations where they are needed.
    ///
    /// # Errors
    /// The socket refuses `IP_PKTINFO` or its IPv6 sibling.
    pub fn new(socket: &UdpSocket, destination: Destination) -> io::Result<Self> {
        if destination == Destination::Any {
            ask_for_destinations(socket)?;
        }
        let layout = Layout::new::<Block>();
        // SAFETY: the layout's size is not zero.
        let block = unsafe { alloc_zeroed(layout) }.cast::<Block>();
        let Some(block) = NonNull::new(block) else {
            handle_alloc_error(layout);
        };
        let mut batch = Self {
            block,
            received: 0,
            replies: 0,
            control_bytes: match destination {
                Destination::Bound => 0,
                Destination::Any => CONTROL_BYTES,
            },
        };
        batch.link();
        Ok(batch)
    }

    /// Points headers at slots; what never changes afterwards.
    fn link(&mut self) {
        let block = self.block.as_ptr();
        for at in 0..BATCH_MAX {
            // SAFETY: `at` is within every array of the zeroed block, and zeros are valid for all of
            // its types; only raw pointers into it are made, no references.
            unsafe {
                let slot = &raw mut (*block).slots[at];
                let received_at = &raw mut (*block).received_at[at];
                *received_at = libc::iovec {
                    iov_base: (&raw mut (*slot).query).cast(),
                    iov_len: QUERY_BYTES_MAX,
                };
                let header = &raw mut (*block).received[at].msg_hdr;
                (*header).msg_name = (&raw mut (*slot).source).cast();
                (*header).msg_iov = received_at;
                (*header).msg_iovlen = 1;
                if self.control_bytes > 0 {
                    (*header).msg_control = (&raw mut (*slot).control).cast();
                }
            }
        }
        self.reset(BATCH_MAX);
    }

    /// Restores what the kernel overwrote in the first `count` headers.
    fn reset(&mut self, count: usize) {
        let block = self.block.as_ptr();
        for at in 0..count {
            // SAFETY: `count` is at most `BATCH_MAX`; see `link`.
            unsafe {
                let header = &raw mut (*block).received[at].msg_hdr;
                (*header).msg_namelen = RAW_BYTES;
                (*header).msg_controllen = self.control_bytes as _;
            }
        }
    }

    /// Waits for a datagram as long as the socket's mode and read timeout say, and takes as many
    /// more as are there. Replies not sent yet are forgotten.
    ///
    /// # Errors
    /// What the kernel said; `WouldBlock` when nothing came in time.
    pub fn receive(&mut self, socket: &UdpSocket) -> io::Result<usize> {
        self.reset(self.received);
        self.received = 0;
        self.replies = 0;
        // SAFETY: headers, vectors and buffers lie in the block, which lives as long as `self`, and
        // nothing else looks at it during the call.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_raw_fd(),
                (&raw mut (*self.block.as_ptr()).received).cast(),
                BATCH_MAX as libc::c_uint,
                libc::MSG_WAITFORONE,
                std::ptr::null_mut(),
            )
        };
        self.received = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
        Ok(self.received)
    }

    /// The datagrams received, each as far as it is whole.
    pub fn queries(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        let block = self.block.as_ptr().cast_const();
        (0..self.received).map(move |at| {
            // SAFETY: `received` is at most `BATCH_MAX`, and nothing writes to the block while `self` is
            // borrowed.
            unsafe {
                let bytes = (*block).received[at].msg_len as usize;
                &(&(*block).slots[at].query)[..bytes.min(QUERY_BYTES_MAX)]
            }
        })
    }

    /// Shows each received datagram to `answer` with room for a reply; what it returns is how many
    /// bytes of that room to send back, `None` for no reply.
    pub fn answer_each(
        &mut self,
        mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>,
    ) {
        let block = self.block.as_ptr();
        self.replies = 0;
        for at in 0..self.received {
            // SAFETY: `received` is at most `BATCH_MAX`. The query is borrowed shared and the reply
            // exclusively, they are different fields, and both borrows end with the call.
            let reply_bytes = unsafe {
                let slot = &raw mut (*block).slots[at];
                let bytes = (*block).received[at].msg_len as usize;
                let query = &(&(*slot).query)[..bytes.min(QUERY_BYTES_MAX)];
                let reply = &mut (*slot).reply;
                let Some(source) = (*slot).source.get() else {
                    continue;
                };
                answer(query, source, reply)
            };
            if let Some(bytes) = reply_bytes {
                self.queue(at, bytes.min(REPLY_BYTES_MAX));
            }
        }
    }

    /// Lets slot `at`'s reply be the next to send.
    fn queue(&mut self, at: usize, bytes: usize) {
        let block = self.block.as_ptr();
        let reply = self.replies;
        self.replies += 1;
        // SAFETY: both indices are below `BATCH_MAX`: at most one reply a received slot.
        unsafe {
            let slot = &raw mut (*block).slots[at];
            let received = &raw const (*block).received[at].msg_hdr;
            let vector = &raw mut (*block).replies_at[reply];
            *vector = libc::iovec {
                iov_base: (&raw mut (*slot).reply).cast(),
                iov_len: bytes,
            };
            let header = &raw mut (*block).replies[reply].msg_hdr;
            (*header).msg_name = (&raw mut (*slot).source).cast();
            (*header).msg_namelen = (*received).msg_namelen;
            (*header).msg_iov = vector;
            (*header).msg_iovlen = 1;
            // The destination as it came is the source to send from: the structures are the same.
            (*header).msg_control = (*received).msg_control;
            (*header).msg_controllen = (*received).msg_controllen;
        }
    }

    /// Sends the replies. One that the kernel refuses does not hold up the rest.
    pub fn send(&mut self, socket: &UdpSocket) -> Sent {
        let mut done = Sent::default();
        while done.sent + done.failed < self.replies {
            let first = done.sent + done.failed;
            // SAFETY: as in `receive`; `first` is below `replies`, which is at most `BATCH_MAX`.
            let count = unsafe {
                libc::sendmmsg(
                    socket.as_raw_fd(),
                    &raw mut (*self.block.as_ptr()).replies[first],
                    (self.replies - first) as libc::c_uint,
                    0,
                )
            };
            match usize::try_from(count) {
                Ok(count) if count > 0 => done.sent += count,
                _ if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
                _ => done.failed += 1,
            }
        }
        self.replies = 0;
        done
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout and freed once; nothing in it needs dropping.
        unsafe { dealloc(self.block.as_ptr().cast(), Layout::new::<Block>()) }
    }
}

/// Has the kernel tell with each datagram which address it was sent to.
fn ask_for_destinations(socket: &UdpSocket) -> io::Result<()> {
    let (level, option) = if socket.local_addr()?.is_ipv6() {
        (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
    } else {
        (libc::IPPROTO_IP, libc::IP_PKTINFO)
    };
    let on: libc::c_int = 1;
    // SAFETY: the value is an integer of the size given and lives through the call.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
