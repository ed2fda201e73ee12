//! Why packets cannot be taken from an interface, in sentences an operator can act on.

use std::io;

/// Failures of this room.
#[derive(Debug, thiserror::Error)]
pub enum XdpError {
    /// There is no such interface in this network namespace.
    #[error("there is no interface `{0}`")]
    NoInterface(String),
    /// More or fewer targets than a program takes.
    #[error("{given} addresses to answer for, a program takes 1 to {max}")]
    Targets {
        /// How many were given.
        given: usize,
        /// How many are taken.
        max: usize,
    },
    /// A capability is missing.
    #[error(
        "{what} is not permitted: the process needs CAP_NET_ADMIN, CAP_NET_RAW and CAP_BPF (or root)"
    )]
    Forbidden {
        /// What was refused.
        what: &'static str,
    },
    /// The kernel lacks something.
    #[error("this kernel has no {what}; AF_XDP as used here needs Linux 5.11 or newer")]
    Unsupported {
        /// What is missing.
        what: &'static str,
    },
    /// The kernel's verifier does not accept our program.
    #[error("the kernel refuses the XDP program ({source}): {log}")]
    Verifier {
        /// Its code.
        source: io::Error,
        /// The end of what it wrote.
        log: String,
    },
    /// Another program has the interface.
    #[error("{interface} already has an XDP program; detach it: `ip link set {interface} xdp off`")]
    Taken {
        /// Which interface.
        interface: String,
    },
    /// The interface's driver refuses the program in every mode that was allowed.
    #[error("{interface} takes no XDP program in {mode} mode: {source}")]
    Attach {
        /// Which interface.
        interface: String,
        /// The mode tried last.
        mode: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// VLAN tags are taken off before the program sees a packet: answers would leave untagged.
    #[error(
        "{0} carries VLANs and takes their tags off early, so answers would leave untagged: \
         `ethtool -K {0} rxvlan off`"
    )]
    StripsVlanTags(String),
    /// Another socket has the queue.
    #[error("queue {queue} of {interface} is already used by another AF_XDP socket")]
    QueueTaken {
        /// Which interface.
        interface: String,
        /// Which queue.
        queue: u32,
    },
    /// The driver has no zero-copy, and nothing else was allowed.
    #[error(
        "{interface} has no zero-copy for queue {queue} ({source}); set `zero_copy: auto` to copy instead"
    )]
    NoZeroCopy {
        /// Which interface.
        interface: String,
        /// Which queue.
        queue: u32,
        /// What the system said.
        source: io::Error,
    },
    /// Frames may not be locked into memory.
    #[error(
        "{bytes} bytes of packet memory may not be locked: raise `LimitMEMLOCK` or give CAP_IPC_LOCK"
    )]
    MemoryLock {
        /// How many bytes were wanted.
        bytes: usize,
    },
    /// Any other refusal.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl XdpError {
    /// Sorts a system's refusal of `what`.
    pub(crate) fn of(what: &'static str, source: io::Error) -> Self {
        match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => Self::Forbidden { what },
            Some(libc::ENOSYS | libc::EAFNOSUPPORT | libc::ENOPROTOOPT) => {
                Self::Unsupported { what }
            }
            _ => Self::System { what, source },
        }
    }
}
