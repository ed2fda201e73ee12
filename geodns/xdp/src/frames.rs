//! Packet memory: frames that a socket and the kernel share, a packet in the first half of each and its
//! answer in the second.

use std::os::fd::BorrowedFd;

use crate::error::XdpError;
use crate::sys::{Mapping, set_option};

/// Bytes of a frame.
pub const FRAME_BYTES: usize = 4096;
/// Where a frame's answer is written: its second half.
pub(crate) const REPLY_AT: usize = FRAME_BYTES / 2;
/// What the kernel leaves free before a packet (XDP_PACKET_HEADROOM).
const HEADROOM_BYTES: usize = 256;
/// Longest packet whose frame has its second half free; the program leaves longer ones to the kernel.
pub const PACKET_BYTES_MAX: usize = REPLY_AT - HEADROOM_BYTES;
/// Longest answer, headers included.
pub const REPLY_BYTES_MAX: usize = FRAME_BYTES - REPLY_AT;

/// The memory of all frames.
#[derive(Debug)]
pub(crate) struct Frames(Mapping);

impl Frames {
    /// Memory for so many frames, shared with the socket.
    pub(crate) fn register(fd: BorrowedFd<'_>, frames: u32) -> Result<Self, XdpError> {
        let bytes = frames as usize * FRAME_BYTES;
        let memory = Mapping::anonymous(bytes)
            .map_err(|error| XdpError::of("allocating packet memory", error))?;
        let start = memory
            .at::<u8>(0, 1)
            .map_or(0, |start| start.as_ptr() as u64);
        let registration = libc::xdp_umem_reg {
            addr: start,
            len: memory.bytes() as u64,
            chunk_size: FRAME_BYTES as u32,
            headroom: 0,
            flags: 0,
            tx_metadata_len: 0,
        };
        match set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &registration) {
            Ok(()) => Ok(Self(memory)),
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                Err(XdpError::MemoryLock { bytes })
            }
            Err(error) => Err(XdpError::of("registering packet memory", error)),
        }
    }

    /// A packet and the place for its answer; `None` for a descriptor that is not of the first half
    /// of one frame.
    pub(crate) fn split(&mut self, at: u64, bytes: u32) -> Option<(&[u8], &mut [u8])> {
        let at = usize::try_from(at).ok()?;
        let frame = at - at % FRAME_BYTES;
        let end = at.checked_add(bytes as usize)?;
        if end > frame + REPLY_AT {
            return None;
        }
        let packet = self.0.at::<u8>(at as u64, bytes as usize)?;
        let reply = self
            .0
            .at::<u8>((frame + REPLY_AT) as u64, REPLY_BYTES_MAX)?;
        // SAFETY: both lie inside the mapping and do not overlap, as checked. The kernel writes only
        // to frames in the fill ring and reads only from those in the tx ring; a frame is in one
        // ring or with us, and this one was just taken from the rx ring. `self` stays borrowed.
        unsafe {
            Some((
                std::slice::from_raw_parts(packet.as_ptr(), bytes as usize),
                std::slice::from_raw_parts_mut(reply.as_ptr(), REPLY_BYTES_MAX),
            ))
        }
    }

    /// Has the processor fetch the start of a packet, and the lines that a short answer is written to:
    /// frames take turns, so neither is in its caches.
    #[inline]
    pub(crate) fn prefetch(&self, at: u64) {
        #[cfg(target_arch = "x86_64")]
        if let Some(packet) = self.0.at::<u8>(at, 1) {
            use std::arch::x86_64::{_MM_HINT_ET0, _MM_HINT_T0, _mm_prefetch};
            let packet = packet.as_ptr().cast_const().cast::<i8>();
            let into_frame = at as usize % FRAME_BYTES;
            let reply = packet.wrapping_sub(into_frame).wrapping_add(REPLY_AT);
            // SAFETY: a prefetch never faults.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(packet);
                _mm_prefetch::<_MM_HINT_T0>(packet.wrapping_add(64));
                _mm_prefetch::<_MM_HINT_ET0>(reply);
                _mm_prefetch::<_MM_HINT_ET0>(reply.wrapping_add(64));
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = at;
    }
}
