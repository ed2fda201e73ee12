//! An AF_XDP socket on one queue, with its frames and four rings.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::XdpError;
use crate::frames::{FRAME_BYTES, Frames, REPLY_AT, REPLY_BYTES_MAX};
use crate::interface::Interface;
use crate::ring::{Consumer, Producer, Ring};
use crate::sys::{checked, get_option, set_option, socket};

/// Most packets handled in one turn.
pub const BATCH_MAX: u32 = 64;
/// Bounds on a socket's frames, a power of two.
pub const FRAMES_RANGE: std::ops::RangeInclusive<u32> = 256..=65_536;
/// System calls for one batch of answers at most: the kernel may send them in parts.
const SEND_CALLS_MAX: u32 = 8;
/// The kernel lets a queue go a moment after its socket was closed, and a server may be restarted in
/// that moment.
const QUEUE_WAIT: Duration = Duration::from_secs(1);
/// Between two tries.
const QUEUE_TRY_EVERY: Duration = Duration::from_millis(10);
/// linux/if_xdp.h since Linux 6.18: how many packets one call sends.
const XDP_MAX_TX_SKB_BUDGET: libc::c_int = 9;
/// asm/socket.h
const SO_PREFER_BUSY_POLL: libc::c_int = 69;
const SO_BUSY_POLL_BUDGET: libc::c_int = 70;

/// Whether a driver's zero-copy is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ZeroCopy {
    /// Where the driver has it.
    #[default]
    Auto,
    /// Or not at all.
    On,
    /// Never.
    Off,
}

/// The socket's system calls also run the queue's receive work, on the caller's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// `SO_BUSY_POLL`.
    pub micros: u32,
    /// `SO_BUSY_POLL_BUDGET`: packets one call takes off the queue.
    pub budget: u32,
}

/// How a socket is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// Frames of [`FRAME_BYTES`]: a power of two within [`FRAMES_RANGE`].
    pub frames: u32,
    /// Whether packets are copied.
    pub zero_copy: ZeroCopy,
    /// Whether receive work is done by the caller.
    pub busy_poll: Option<BusyPoll>,
}

/// What a turn did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Packets taken.
    pub received: u32,
    /// Answers handed to the kernel.
    pub sent: u32,
    /// Whether packets wait because no more answers fit.
    pub is_full: bool,
}

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wake {
    /// Packets may have come.
    Packets,
    /// The time is over, or a signal came.
    Nothing,
}

/// Packets the kernel did not get to us or from us since the socket was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelDrops {
    /// No frame to put a packet into, or it did not fit.
    pub dropped: u64,
    /// We did not take packets fast enough.
    pub rx_ring_full: u64,
    /// The kernel looked for a frame and found none.
    pub fill_ring_empty: u64,
    /// Descriptors the kernel refused: a fault of ours.
    pub invalid: u64,
}

/// An AF_XDP socket.
#[derive(Debug)]
pub struct XdpSocket {
    fd: OwnedFd,
    queue: u32,
    is_zero_copy: bool,
    polls_busily: bool,
    rx: Consumer<libc::xdp_desc>,
    tx: Producer<libc::xdp_desc>,
    fill: Producer<u64>,
    completed: Consumer<u64>,
    /// Frames that are in no ring, by their offset. Never grows beyond its first capacity.
    free: Vec<u64>,
    /// How many of the fill ring's places are used: fewer frames in turn stay in the cache.
    fill_target: u32,
    frames: Frames,
}

impl XdpSocket {
    /// Makes a socket with its frames and binds it to a queue. Packets come once a
    /// [`crate::Redirect`] feeds it.
    ///
    /// # Errors
    /// [`XdpError`].
    pub fn bind(
        interface: &Interface,
        queue: u32,
        options: &SocketOptions,
    ) -> Result<Self, XdpError> {
        let frames = options.frames;
        if !frames.is_power_of_two() || !FRAMES_RANGE.contains(&frames) {
            let source = io::ErrorKind::InvalidInput.into();
            return Err(XdpError::of(
                "a number of frames that is no power of two",
                source,
            ));
        }
        let fd = socket(libc::AF_XDP, libc::SOCK_RAW)
            .map_err(|error| XdpError::of("opening an AF_XDP socket", error))?;
        let memory = Frames::register(fd.as_fd(), frames)?;
        let half = frames / 2;
        let sizes = [
            (libc::XDP_UMEM_FILL_RING, half),
            (libc::XDP_UMEM_COMPLETION_RING, half),
            (libc::XDP_RX_RING, half),
            (libc::XDP_TX_RING, half),
        ];
        for (name, size) in sizes {
            set_option(fd.as_fd(), libc::SOL_XDP, name, &size)
                .map_err(|error| XdpError::of("sizing an AF_XDP ring", error))?;
        }
        let rings =
            map_rings(&fd, half).map_err(|error| XdpError::of("mapping an AF_XDP ring", error))?;
        // Best effort: older kernels send a batch in parts.
        let _ = set_option(fd.as_fd(), libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &half);
        if let Some(busy_poll) = options.busy_poll {
            poll_busily(&fd, busy_poll)
                .map_err(|error| XdpError::of("busy polling (CAP_NET_ADMIN)", error))?;
        }
        attach_to_queue(&fd, interface, queue, options.zero_copy)?;
        let none = libc::xdp_options { flags: 0 };
        let found = get_option(fd.as_fd(), libc::SOL_XDP, libc::XDP_OPTIONS, none)
            .map_err(|error| XdpError::of("reading an AF_XDP socket's options", error))?;
        let (rx, tx, fill, completed) = rings;
        let mut socket = Self {
            fd,
            queue,
            is_zero_copy: found.flags & libc::XDP_OPTIONS_ZEROCOPY != 0,
            polls_busily: options.busy_poll.is_some(),
            rx,
            tx,
            fill,
            completed,
            free: (0..u64::from(frames))
                .rev()
                .map(|frame| frame * FRAME_BYTES as u64)
                .collect(),
            fill_target: half,
            frames: memory,
        };
        socket.refill();
        Ok(socket)
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// Whether the driver reads and writes the frames itself.
    #[must_use]
    pub fn is_zero_copy(&self) -> bool {
        self.is_zero_copy
    }

    pub(crate) fn descriptor(&self) -> u32 {
        self.fd.as_raw_fd().cast_unsigned()
    }

    /// How many packets wait, as far as one turn cares.
    #[inline]
    pub fn waiting(&mut self) -> u32 {
        self.rx.waiting(1).min(BATCH_MAX)
    }

    /// Takes up to [`BATCH_MAX`] packets and has each answered: `handle` is given the packet and the
    /// memory for its answer, and says how many bytes of it to send, or `None`.
    /// Answers leave with the next [`XdpSocket::send`].
    pub fn turn(&mut self, mut handle: impl FnMut(&[u8], &mut [u8]) -> Option<usize>) -> Turn {
        self.reclaim();
        let waiting = self.rx.waiting(BATCH_MAX).min(BATCH_MAX);
        let taken = waiting.min(self.tx.room(waiting));
        let mut turn = Turn {
            is_full: taken < waiting,
            ..Turn::default()
        };
        for _ in 0..taken {
            let Some(packet) = self.rx.pop() else { break };
            if let Some(next) = self.rx.peek(1) {
                self.frames.prefetch(next.addr);
            }
            turn.received += 1;
            let frame = packet.addr - packet.addr % FRAME_BYTES as u64;
            let reply = self
                .frames
                .split(packet.addr, packet.len)
                .and_then(|(packet, reply)| handle(packet, reply))
                .filter(|bytes| (1..=REPLY_BYTES_MAX).contains(bytes));
            let sent = reply.is_some_and(|bytes| {
                self.tx.push(libc::xdp_desc {
                    addr: frame + REPLY_AT as u64,
                    len: bytes as u32,
                    options: 0,
                })
            });
            if sent {
                turn.sent += 1;
            } else {
                self.free.push(frame);
            }
        }
        self.rx.release();
        self.tx.publish();
        self.refill();
        turn
    }

    /// Puts up to `packets` packets of the caller's making into free frames: `write` is given the
    /// memory and says how many bytes of it to send, or `None` to stop. How many were made; they leave
    /// with the next [`XdpSocket::send`]. This is for load generators: a server only answers.
    pub fn originate(
        &mut self,
        packets: u32,
        mut write: impl FnMut(&mut [u8]) -> Option<usize>,
    ) -> u32 {
        self.reclaim();
        let mut made = 0;
        while made < packets.min(BATCH_MAX)
            && self.tx.room(1) > 0
            && let Some(frame) = self.free.pop()
        {
            let bytes = match self.frames.split(frame, 0) {
                Some((_, out)) => write(out).filter(|bytes| (1..=out.len()).contains(bytes)),
                None => None,
            };
            let Some(bytes) = bytes else {
                self.free.push(frame);
                break;
            };
            self.tx.push(libc::xdp_desc {
                addr: frame + REPLY_AT as u64,
                len: bytes as u32,
                options: 0,
            });
            made += 1;
        }
        self.tx.publish();
        made
    }

    /// Has the kernel send what turns have answered, and with busy polling receive: one system
    /// call, and more only if the kernel sends in parts.
    ///
    /// # Errors
    /// When the interface is down ([`io::ErrorKind::NetworkDown`]) or gone.
    pub fn send(&mut self) -> io::Result<()> {
        for _ in 0..SEND_CALLS_MAX {
            if self.tx.pending() == 0 || !self.tx.needs_wakeup() {
                break;
            }
            // SAFETY: sends no memory but the ring's.
            let sent = unsafe {
                libc::sendto(
                    self.fd.as_raw_fd(),
                    std::ptr::null(),
                    0,
                    libc::MSG_DONTWAIT,
                    std::ptr::null(),
                    0,
                )
            };
            match checked(sent as libc::c_int) {
                Ok(_) => break,
                Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => self.reclaim(),
                // The card is busy with the last ones; these go with the next call.
                Err(error) if is_passing(&error) => break,
                Err(error) => return Err(error),
            }
        }
        if self.fill.needs_wakeup() {
            self.receive()?;
        }
        Ok(())
    }

    /// Has the kernel look for packets: with busy polling it does the queue's receive work now.
    ///
    /// # Errors
    /// As [`XdpSocket::send`].
    pub fn receive(&mut self) -> io::Result<()> {
        // SAFETY: receives into no memory but the frames.
        let received = unsafe {
            libc::recvfrom(
                self.fd.as_raw_fd(),
                std::ptr::null_mut(),
                0,
                libc::MSG_DONTWAIT,
                std::ptr::null_mut(),
                std::ptr::null_mut(),
            )
        };
        match checked(received as libc::c_int) {
            Ok(_) => Ok(()),
            Err(error) if is_passing(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether receive work waits for [`XdpSocket::receive`].
    #[must_use]
    pub fn polls_busily(&self) -> bool {
        self.polls_busily
    }

    /// Sleeps until packets come.
    ///
    /// # Errors
    /// As [`XdpSocket::send`].
    pub fn wait(&mut self, at_most: Duration) -> io::Result<Wake> {
        self.reclaim();
        self.refill();
        let mut poll = libc::pollfd {
            fd: self.fd.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        let millis = libc::c_int::try_from(at_most.as_millis()).unwrap_or(libc::c_int::MAX);
        // SAFETY: one live entry.
        match checked(unsafe { libc::poll(&raw mut poll, 1, millis) }) {
            Ok(0) => Ok(Wake::Nothing),
            Ok(_) if poll.revents & libc::POLLIN != 0 => Ok(Wake::Packets),
            // The socket's own error: the next call says which.
            Ok(_) => self.receive().map(|()| Wake::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Wake::Nothing),
            Err(error) => Err(error),
        }
    }

    /// What the kernel dropped so far.
    ///
    /// # Errors
    /// What the system says.
    pub fn drops(&self) -> io::Result<KernelDrops> {
        let zero = libc::xdp_statistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: 0,
            rx_fill_ring_empty_descs: 0,
            tx_ring_empty_descs: 0,
        };
        let found = get_option(self.fd.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS, zero)?;
        Ok(KernelDrops {
            dropped: found.rx_dropped,
            rx_ring_full: found.rx_ring_full,
            fill_ring_empty: found.rx_fill_ring_empty_descs,
            invalid: found.rx_invalid_descs + found.tx_invalid_descs,
        })
    }

    /// Takes back the frames of answers that were sent.
    fn reclaim(&mut self) {
        while let Some(sent) = self.completed.pop() {
            self.free.push(sent - sent % FRAME_BYTES as u64);
        }
        self.completed.release();
    }

    /// Gives the kernel frames to receive into.
    fn refill(&mut self) {
        let mut room = self.fill.room(self.fill_target);
        while room > 0
            && let Some(frame) = self.free.pop()
        {
            if !self.fill.push(frame) {
                self.free.push(frame);
                break;
            }
            room -= 1;
        }
        self.fill.publish();
    }
}

/// Whether the same call can succeed a moment later.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::EINTR)
    )
}

type Rings = (
    Consumer<libc::xdp_desc>,
    Producer<libc::xdp_desc>,
    Producer<u64>,
    Consumer<u64>,
);

fn map_rings(fd: &OwnedFd, size: u32) -> io::Result<Rings> {
    let none = || libc::xdp_ring_offset {
        producer: 0,
        consumer: 0,
        desc: 0,
        flags: 0,
    };
    let zero = libc::xdp_mmap_offsets {
        rx: none(),
        tx: none(),
        fr: none(),
        cr: none(),
    };
    let fd = fd.as_fd();
    let at = get_option(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, zero)?;
    let fill = libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed();
    let completion = libc::XDP_UMEM_PGOFF_COMPLETION_RING.cast_signed();
    Ok((
        Consumer::of(Ring::map(fd, libc::XDP_PGOFF_RX_RING, &at.rx, size)?),
        Producer::of(Ring::map(fd, libc::XDP_PGOFF_TX_RING, &at.tx, size)?),
        Producer::of(Ring::map(fd, fill, &at.fr, size)?),
        Consumer::of(Ring::map(fd, completion, &at.cr, size)?),
    ))
}

fn poll_busily(fd: &OwnedFd, busy_poll: BusyPoll) -> io::Result<()> {
    let options = [
        (SO_PREFER_BUSY_POLL, 1),
        (libc::SO_BUSY_POLL, busy_poll.micros),
        (SO_BUSY_POLL_BUDGET, busy_poll.budget),
    ];
    for (name, value) in options {
        set_option(fd.as_fd(), libc::SOL_SOCKET, name, &value)?;
    }
    Ok(())
}

fn attach_to_queue(
    fd: &OwnedFd,
    interface: &Interface,
    queue: u32,
    zero_copy: ZeroCopy,
) -> Result<(), XdpError> {
    let copying = match zero_copy {
        // Neither: the kernel takes what the driver has.
        ZeroCopy::Auto => 0,
        ZeroCopy::On => libc::XDP_ZEROCOPY,
        ZeroCopy::Off => libc::XDP_COPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: libc::AF_XDP as u16,
        sxdp_flags: libc::XDP_USE_NEED_WAKEUP | copying,
        sxdp_ifindex: interface.index(),
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let try_once = || {
        // SAFETY: the kernel reads one live address of the size given.
        checked(unsafe {
            libc::bind(
                fd.as_raw_fd(),
                std::ptr::from_ref(&address).cast(),
                size_of::<libc::sockaddr_xdp>() as libc::socklen_t,
            )
        })
    };
    let deadline = Instant::now() + QUEUE_WAIT;
    let source = loop {
        match try_once() {
            Ok(_) => return Ok(()),
            Err(error)
                if error.raw_os_error() == Some(libc::EBUSY) && Instant::now() < deadline =>
            {
                // Nobody unparks it: this sleeps.
                std::thread::park_timeout(QUEUE_TRY_EVERY);
            }
            Err(error) => break error,
        }
    };
    let name = interface.name().to_owned();
    Err(match source.raw_os_error() {
        Some(libc::EBUSY) => XdpError::QueueTaken {
            interface: name,
            queue,
        },
        _ if zero_copy == ZeroCopy::On => XdpError::NoZeroCopy {
            interface: name,
            queue,
            source,
        },
        _ => XdpError::of("binding an AF_XDP socket to its queue", source),
    })
}
