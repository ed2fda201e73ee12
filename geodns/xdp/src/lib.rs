//! AF_XDP: packets of chosen UDP addresses, taken off a network card's queue before the kernel's
//! stack and answered from the same memory.
//!
//! ```text
//!            ┌ not ours, fragment, options ──> kernel's stack (sockets, TCP, ARP, NDP, ICMP)
//! queue ─> XDP program ([`Redirect`])
//!            └ UDP to a target ──> rx ring ──> XdpSocket::turn ──> tx ring ──> queue
//!                                     ^                               │
//!                                     └── fill ring <── completion <──┘
//! ```
//!
//! A frame is [`FRAME_BYTES`] of memory shared with the kernel. A packet lands in its first half;
//! its answer is written into the second half of the *same* frame and sent from there, so a frame
//! goes fill → rx → tx → completion → fill and nothing is copied or allocated on the way.
//!
//! The program is made of instructions assembled here ([`Redirect::attach`]), so no compiler is
//! needed where it runs. It is attached by a link that the kernel removes with its last descriptor:
//! also when the process is killed.
//!
//! This is a fenced room: `unsafe` is allowed, and wraps system calls and shared memory only. What
//! leaves it is safe: slices that nobody else holds, and owned descriptors.
//!
//! Limits, all named: [`TARGETS_MAX`] addresses, [`QUEUES_MAX`] queues, [`BATCH_MAX`] packets a
//! turn, [`FRAMES_RANGE`] frames a socket.
#![allow(
    unsafe_code,
    reason = "kernel interfaces without a safe wrapper; see invariant 8 of ARCHITECTURE.md"
)]

mod asm;
mod bpf;
mod error;
mod frames;
mod interface;
mod program;
mod redirect;
mod ring;
mod socket;
mod sys;

pub use error::XdpError;
pub use frames::{FRAME_BYTES, PACKET_BYTES_MAX, REPLY_BYTES_MAX};
pub use interface::{Interface, QUEUES_MAX};
pub use program::TARGETS_MAX;
pub use redirect::{AttachMode, Attached, Redirect};
pub use socket::{
    BATCH_MAX, BusyPoll, FRAMES_RANGE, KernelDrops, SocketOptions, Turn, Wake, XdpSocket, ZeroCopy,
};
