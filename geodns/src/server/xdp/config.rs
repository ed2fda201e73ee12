//! `dns.xdp` in `meridian.yaml`: as written ([`XdpConfig`]) and as used ([`XdpSettings`]).

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use meridian_xdp::{AttachMode, BusyPoll, FRAMES_RANGE, QUEUES_MAX, TARGETS_MAX, ZeroCopy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Most interfaces.
pub(crate) const INTERFACES_MAX: usize = 16;
/// Bounds on how long one system call may look for packets.
const BUSY_POLL_MICROS_RANGE: RangeInclusive<u32> = 1..=1000;
/// Bounds on the packets one call takes off the card: the kernel's own are 1 to 64 by default.
const BUSY_POLL_BUDGET_RANGE: RangeInclusive<u32> = 8..=1024;
/// Longest name of an interface (IFNAMSIZ without its zero).
const NAME_BYTES_MAX: usize = 15;

/// UDP queries taken from a network card's queues before the kernel's stack.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct XdpConfig {
    /// Network interfaces by name, at most 16. Default none: AF_XDP is off.
    pub interfaces: Vec<String>,
    /// Addresses whose queries are taken; each must be listened on. Default: every address of
    /// `dns.listen` but loopback. To be named when `dns.listen` has `0.0.0.0` or `[::]`.
    pub addresses: Vec<IpAddr>,
    /// Where the XDP program runs: `auto` (default: the driver if it can, else generic), `native`
    /// or `generic`.
    pub mode: XdpMode,
    /// Whether the driver reads and writes our memory itself: `auto` (default: where it can),
    /// `required` or `never`.
    pub zero_copy: XdpZeroCopy,
    /// Receive queues that are answered, each by a thread of its own. Default all.
    pub queues: Option<Vec<u32>>,
    /// Frames of 4 KiB for each queue: a power of two, 256 to 65536. Default 2048.
    pub frames: u32,
    /// Receive work is done by the worker itself instead of the kernel's softirq. Default off; the
    /// interface needs `napi_defer_hard_irqs` and `gro_flush_timeout`.
    pub busy_poll: Option<BusyPollConfig>,
}

/// See [`XdpConfig::mode`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XdpMode {
    /// The driver's, else generic.
    #[default]
    Auto,
    /// The driver's only.
    Native,
    /// The kernel's, for any driver.
    Generic,
}

/// See [`XdpConfig::zero_copy`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum XdpZeroCopy {
    /// Where the driver can.
    #[default]
    Auto,
    /// Or sockets.
    Required,
    /// Packets are copied.
    Never,
}

/// See [`XdpConfig::busy_poll`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct BusyPollConfig {
    /// How long a system call may look for packets, in microseconds. Default 20.
    pub micros: u32,
    /// Packets it takes off the card at most. Default 64.
    pub budget: u32,
}

impl Default for XdpConfig {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            addresses: Vec::new(),
            mode: XdpMode::Auto,
            zero_copy: XdpZeroCopy::Auto,
            queues: None,
            frames: 2048,
            busy_poll: None,
        }
    }
}

impl Default for BusyPollConfig {
    fn default() -> Self {
        Self {
            micros: 20,
            budget: 64,
        }
    }
}

/// A `dns.xdp` section that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum XdpConfigError {
    /// A name no interface can have.
    #[error("dns: `xdp.interfaces` has `{0}`; a name has 1 to 15 bytes and no `/`")]
    InterfaceName(String),
    /// Too many of something.
    #[error("dns: `{field}` has {given} entries, at most {max} are taken")]
    TooMany {
        /// The configuration key.
        field: &'static str,
        /// How many were given.
        given: usize,
        /// How many are taken.
        max: usize,
    },
    /// Something named twice.
    #[error("dns: `{field}` names {value} twice")]
    Twice {
        /// The configuration key.
        field: &'static str,
        /// What is named.
        value: String,
    },
    /// An address nobody listens on: fragments and TCP would be lost.
    #[error(
        "dns: `xdp.addresses` has {0}, which `listen` has not; TCP and fragments to it need a socket"
    )]
    NotListened(IpAddr),
    /// Listening on every address does not say which queries are ours.
    #[error("dns: `listen` has {0}: name the addresses to answer for in `xdp.addresses`")]
    Everything(IpAddr),
    /// Only loopback is listened on.
    #[error("dns: `xdp.interfaces` is set, but `listen` names no address besides loopback")]
    NoAddress,
    /// A number outside its bounds.
    #[error("dns: `{field}` is {value}, allowed is {allowed}")]
    OutOfRange {
        /// The configuration key.
        field: &'static str,
        /// What was given.
        value: u32,
        /// What is allowed.
        allowed: &'static str,
    },
}

/// A checked configuration with at least one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct XdpSettings {
    pub(super) interfaces: Vec<String>,
    addresses: Vec<IpAddr>,
    pub(super) mode: AttachMode,
    pub(super) zero_copy: ZeroCopy,
    pub(super) queues: Option<Vec<u32>>,
    pub(super) frames: u32,
    pub(super) busy_poll: Option<BusyPoll>,
}

impl XdpConfig {
    /// Checks every bound, and the addresses against those listened on; `None` when it is off.
    pub(crate) fn validate(
        &self,
        listen: &[SocketAddr],
    ) -> Result<Option<XdpSettings>, XdpConfigError> {
        if self.interfaces.is_empty() {
            return Ok(None);
        }
        at_most("xdp.interfaces", &self.interfaces, INTERFACES_MAX)?;
        for name in &self.interfaces {
            if name.is_empty() || name.len() > NAME_BYTES_MAX || name.contains(['/', '\0']) {
                return Err(XdpConfigError::InterfaceName(name.clone()));
            }
        }
        if let Some(queues) = &self.queues {
            at_most("xdp.queues", queues, QUEUES_MAX as usize)?;
            if let Some(&queue) = queues.iter().find(|queue| **queue >= QUEUES_MAX) {
                return Err(XdpConfigError::OutOfRange {
                    field: "xdp.queues",
                    value: queue,
                    allowed: "0 to 255",
                });
            }
        }
        self.check_numbers()?;
        let settings = XdpSettings {
            interfaces: self.interfaces.clone(),
            addresses: self.addresses(listen)?,
            mode: match self.mode {
                XdpMode::Auto => AttachMode::Auto,
                XdpMode::Native => AttachMode::Native,
                XdpMode::Generic => AttachMode::Generic,
            },
            zero_copy: match self.zero_copy {
                XdpZeroCopy::Auto => ZeroCopy::Auto,
                XdpZeroCopy::Required => ZeroCopy::On,
                XdpZeroCopy::Never => ZeroCopy::Off,
            },
            queues: self.queues.clone(),
            frames: self.frames,
            busy_poll: self.busy_poll.map(|busy_poll| BusyPoll {
                micros: busy_poll.micros,
                budget: busy_poll.budget,
            }),
        };
        let targets = settings.targets(listen);
        at_most("xdp.addresses", &targets, TARGETS_MAX)?;
        Ok(Some(settings))
    }

    fn check_numbers(&self) -> Result<(), XdpConfigError> {
        let outside = |field, value, allowed| {
            Err(XdpConfigError::OutOfRange {
                field,
                value,
                allowed,
            })
        };
        if !self.frames.is_power_of_two() || !FRAMES_RANGE.contains(&self.frames) {
            let allowed = "a power of two, 256 to 65536";
            return outside("xdp.frames", self.frames, allowed);
        }
        let Some(busy_poll) = self.busy_poll else {
            return Ok(());
        };
        if !BUSY_POLL_MICROS_RANGE.contains(&busy_poll.micros) {
            return outside("xdp.busy_poll.micros", busy_poll.micros, "1 to 1000");
        }
        if !BUSY_POLL_BUDGET_RANGE.contains(&busy_poll.budget) {
            return outside("xdp.busy_poll.budget", busy_poll.budget, "8 to 1024");
        }
        Ok(())
    }

    /// The addresses queries are taken for, each listened on.
    fn addresses(&self, listen: &[SocketAddr]) -> Result<Vec<IpAddr>, XdpConfigError> {
        if !self.addresses.is_empty() {
            at_most("xdp.addresses", &self.addresses, TARGETS_MAX)?;
            for address in &self.addresses {
                let is_listened = listen.iter().any(|listen| covers(listen.ip(), *address));
                if !is_listened || address.is_unspecified() {
                    return Err(XdpConfigError::NotListened(*address));
                }
            }
            return Ok(self.addresses.clone());
        }
        let mut addresses: Vec<IpAddr> = listen.iter().map(SocketAddr::ip).collect();
        if let Some(every) = addresses.iter().find(|address| address.is_unspecified()) {
            return Err(XdpConfigError::Everything(*every));
        }
        addresses.retain(|address| !address.is_loopback());
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() {
            return Err(XdpConfigError::NoAddress);
        }
        Ok(addresses)
    }
}

impl XdpSettings {
    /// The sockets whose queries are taken, by the addresses that are listened on.
    pub(super) fn targets(&self, listening: &[SocketAddr]) -> Vec<SocketAddr> {
        let mut targets: Vec<SocketAddr> = self
            .addresses
            .iter()
            .flat_map(|address| {
                listening
                    .iter()
                    .filter(|listen| covers(listen.ip(), *address))
                    .map(|listen| SocketAddr::new(*address, listen.port()))
            })
            .collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}

/// Whether a socket bound to `listen` gets what is sent to `address`.
pub(super) fn covers(listen: IpAddr, address: IpAddr) -> bool {
    listen == address || (listen.is_unspecified() && listen.is_ipv4() == address.is_ipv4())
}

/// Bounds a list and wants each entry once.
fn at_most<T: Ord + ToString>(
    field: &'static str,
    list: &[T],
    max: usize,
) -> Result<(), XdpConfigError> {
    let given = list.len();
    if given > max {
        return Err(XdpConfigError::TooMany { field, given, max });
    }
    let mut sorted: Vec<&T> = list.iter().collect();
    sorted.sort_unstable();
    match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        None => Ok(()),
        Some(pair) => Err(XdpConfigError::Twice {
            field,
            value: pair[0].to_string(),
        }),
    }
}

#[cfg(test)]
mod tests;
