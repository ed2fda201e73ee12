//! An attached program and the sockets it feeds.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use crate::bpf::{Map, MapKind, Program};
use crate::error::XdpError;
use crate::interface::{Interface, QUEUES_MAX};
use crate::program::{self, Action, COUNTERS, FRAGMENTS_KEY, TARGETS_MAX};
use crate::socket::XdpSocket;

/// How long another program on the interface is taken for one that is just going.
const DETACH_WAIT: Duration = Duration::from_secs(1);
/// Between two tries.
const DETACH_TRY_EVERY: Duration = Duration::from_millis(10);
// linux/if_link.h
const XDP_FLAGS_SKB_MODE: u32 = 1 << 1;
const XDP_FLAGS_DRV_MODE: u32 = 1 << 2;

/// Which ways of attaching are allowed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AttachMode {
    /// The driver's own, else the kernel's.
    #[default]
    Auto,
    /// The driver's own only.
    Native,
    /// The kernel's only: any driver, slower, after a packet's buffer was made.
    Generic,
}

/// How a program is attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attached {
    /// In the driver.
    Native,
    /// In the kernel's common path.
    Generic,
}

impl Attached {
    const fn flags(self) -> u32 {
        match self {
            Self::Native => XDP_FLAGS_DRV_MODE,
            Self::Generic => XDP_FLAGS_SKB_MODE,
        }
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Generic => "generic",
        }
    }
}

impl fmt::Display for Attached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Our program on an interface. Detached when dropped, and by the kernel when the process ends.
#[derive(Debug)]
pub struct Redirect {
    /// Closing it detaches.
    _link: OwnedFd,
    sockets: Map,
    counters: Map,
    attached: Attached,
}

impl Redirect {
    /// Attaches a program that takes UDP to `targets`. Until sockets are added, all packets pass.
    ///
    /// # Errors
    /// [`XdpError`].
    pub fn attach(
        interface: &Interface,
        targets: &[SocketAddr],
        mode: AttachMode,
    ) -> Result<Self, XdpError> {
        let (program, sockets, counters) = load(targets, Action::Pass)?;
        let order: &[Attached] = match mode {
            AttachMode::Auto => &[Attached::Native, Attached::Generic],
            AttachMode::Native => &[Attached::Native],
            AttachMode::Generic => &[Attached::Generic],
        };
        let mut refusal = None;
        for &attached in order {
            match attach_soon(&program, interface, attached) {
                Ok(link) => {
                    return Ok(Self {
                        _link: link,
                        sockets,
                        counters,
                        attached,
                    });
                }
                Err(error) => refusal = Some(refused(interface, attached, error)),
            }
            // What is taken in one mode is taken in all.
            if matches!(refusal, Some(XdpError::Taken { .. })) {
                break;
            }
        }
        Err(refusal.unwrap_or(XdpError::Unsupported { what: "XDP" }))
    }

    /// Feeds the packets of the socket's queue to it.
    ///
    /// # Errors
    /// [`XdpError`].
    pub fn feed(&self, socket: &XdpSocket) -> Result<(), XdpError> {
        self.sockets
            .set(socket.queue(), socket.descriptor())
            .map_err(|error| XdpError::of("entering an AF_XDP socket into its map", error))
    }

    /// How it is attached.
    #[must_use]
    pub fn attached(&self) -> Attached {
        self.attached
    }

    /// First fragments of packets to a target, left to the kernel.
    ///
    /// # Errors
    /// What the system says.
    pub fn fragments(&self) -> io::Result<u64> {
        self.counters.sum(FRAGMENTS_KEY)
    }
}

/// Attaches, and waits a moment for a program that is just going: a server may be restarted so fast
/// that the kernel has not detached its last one.
fn attach_soon(
    program: &Program,
    interface: &Interface,
    attached: Attached,
) -> io::Result<OwnedFd> {
    let deadline = Instant::now() + DETACH_WAIT;
    loop {
        match program.attach(interface.index(), attached.flags()) {
            Err(error) if is_taken(&error) && Instant::now() < deadline => {
                // Nobody unparks it: this sleeps.
                std::thread::park_timeout(DETACH_TRY_EVERY);
            }
            result => return result,
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EBUSY | libc::EEXIST))
}

/// A loaded program with its maps of sockets and counters.
pub(crate) fn load(
    targets: &[SocketAddr],
    unclaimed: Action,
) -> Result<(Program, Map, Map), XdpError> {
    let given = targets.len();
    let bounds = XdpError::Targets {
        given,
        max: TARGETS_MAX,
    };
    if !(1..=TARGETS_MAX).contains(&given) {
        return Err(bounds);
    }
    let sockets = Map::create("meridian_xsk", MapKind::Sockets, 4, QUEUES_MAX)?;
    let counters = Map::create("meridian_count", MapKind::PerCpuArray, 8, COUNTERS)?;
    let maps = (sockets.descriptor(), counters.descriptor());
    let code = program::assemble(targets, maps.0, maps.1, unclaimed).ok_or(bounds)?;
    let program = Program::load("meridian_dns", &code)?;
    Ok((program, sockets, counters))
}

fn refused(interface: &Interface, attached: Attached, source: io::Error) -> XdpError {
    let name = interface.name().to_owned();
    match source.raw_os_error() {
        _ if is_taken(&source) => XdpError::Taken { interface: name },
        Some(libc::EPERM | libc::EACCES) => XdpError::Forbidden {
            what: "attaching an XDP program",
        },
        _ => XdpError::Attach {
            interface: name,
            mode: attached.as_str(),
            source,
        },
    }
}
