//! A network interface: its number, queues and MTU, of the network namespace of the calling thread.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use crate::error::XdpError;
use crate::sys::{checked, socket};

/// Most queues of one interface that are used.
pub const QUEUES_MAX: u32 = 256;

// linux/ethtool.h
const ETHTOOL_GFLAGS: u32 = 0x25;
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETH_FLAG_RXVLAN: u32 = 1 << 8;
/// linux/sockios.h
const SIOCETHTOOL: libc::Ioctl = 0x8946;

/// A network interface.
#[derive(Debug)]
pub struct Interface {
    name: String,
    index: u32,
    /// Any socket: what ioctl(2) asks about interfaces through.
    control: OwnedFd,
}

#[repr(C)]
#[derive(Default)]
struct Channels {
    command: u32,
    rx_max: u32,
    tx_max: u32,
    other_max: u32,
    combined_max: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

impl Interface {
    /// Finds an interface.
    ///
    /// # Errors
    /// [`XdpError::NoInterface`].
    pub fn named(name: &str) -> Result<Self, XdpError> {
        let missing = || XdpError::NoInterface(name.to_owned());
        if name.is_empty() || name.len() >= libc::IFNAMSIZ {
            return Err(missing());
        }
        let text = CString::new(name).map_err(|_| missing())?;
        // SAFETY: reads a terminated text.
        let index = unsafe { libc::if_nametoindex(text.as_ptr()) };
        if index == 0 {
            return Err(missing());
        }
        let control = socket(libc::AF_INET, libc::SOCK_DGRAM)
            .map_err(|error| XdpError::of("opening a socket", error))?;
        Ok(Self {
            name: name.to_owned(),
            index,
            control,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its number.
    #[must_use]
    pub fn index(&self) -> u32 {
        self.index
    }

    /// How many receive queues it has, 1 to [`QUEUES_MAX`]; 1 when the driver does not say.
    #[must_use]
    pub fn queues(&self) -> u32 {
        let mut channels = Channels {
            command: ETHTOOL_GCHANNELS,
            ..Channels::default()
        };
        match self.ethtool(&mut channels) {
            Ok(()) => (channels.rx + channels.combined).clamp(1, QUEUES_MAX),
            Err(_) => 1,
        }
    }

    /// Whether the interface takes VLAN tags off before anybody sees the packet.
    #[must_use]
    pub fn strips_vlan_tags(&self) -> bool {
        let mut value = Value {
            command: ETHTOOL_GFLAGS,
            data: 0,
        };
        self.ethtool(&mut value).is_ok() && value.data & ETH_FLAG_RXVLAN != 0
    }

    /// Whether VLAN interfaces lie on top of it.
    #[must_use]
    pub fn carries_vlans(&self) -> bool {
        // Of the thread, which may be in another network namespace than the process.
        std::fs::read_to_string("/proc/thread-self/net/vlan/config")
            .is_ok_and(|table| lists_parent(&table, &self.name))
    }

    /// The largest IP packet it sends.
    ///
    /// # Errors
    /// When the interface is gone.
    pub fn mtu(&self) -> io::Result<usize> {
        let mut request = self.request();
        // SAFETY: the kernel reads the name and writes the MTU, both inside `request`.
        checked(unsafe {
            libc::ioctl(self.control.as_raw_fd(), libc::SIOCGIFMTU, &raw mut request)
        })?;
        // SAFETY: what SIOCGIFMTU fills in.
        let mtu = unsafe { request.ifr_ifru.ifru_mtu };
        usize::try_from(mtu).map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Asks the driver; `command` is a struct of ethtool(7) with its command set.
    fn ethtool<T>(&self, command: &mut T) -> io::Result<()> {
        let mut request = self.request();
        request.ifr_ifru.ifru_data = std::ptr::from_mut(command).cast();
        // SAFETY: the two commands above read and write exactly the structs they are used with.
        checked(unsafe { libc::ioctl(self.control.as_raw_fd(), SIOCETHTOOL, &raw mut request) })
            .map(drop)
    }

    fn request(&self) -> libc::ifreq {
        // SAFETY: integers, arrays and a pointer: zero is a value of each.
        let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
        for (to, from) in request.ifr_name.iter_mut().zip(self.name.bytes()) {
            *to = libc::c_char::from_ne_bytes([from]);
        }
        request
    }
}

/// Whether the kernel's table of VLANs (`vlan | id | parent`) has a VLAN of `parent`.
fn lists_parent(table: &str, parent: &str) -> bool {
    table
        .lines()
        .any(|line| line.split('|').nth(2).is_some_and(|of| of.trim() == parent))
}

#[cfg(test)]
mod tests {
    use super::{Interface, lists_parent};
    use crate::XdpError;

    const TABLE: &str = "VLAN Dev name    | VLAN ID\n\
        Name-Type: VLAN_NAME_TYPE_RAW_PLUS_VID_NO_PAD\n\
        s0.7           | 7  | s0\n\
        eth10.8        | 8  | eth10\n";

    #[test]
    fn vlans_are_found_by_their_parent() {
        for (parent, found) in [
            ("s0", true),
            ("eth10", true),
            ("eth1", false),
            ("s0.7", false),
        ] {
            assert_eq!(lists_parent(TABLE, parent), found, "{parent}");
        }
    }

    #[test]
    fn loopback_is_an_interface_and_a_long_name_is_none() {
        let loopback = Interface::named("lo").unwrap();
        assert!(loopback.mtu().unwrap() >= 1280);
        assert_eq!(loopback.queues(), 1);
        for name in ["", "no such", "a-name-of-sixteen", "nul\0"] {
            assert!(matches!(
                Interface::named(name),
                Err(XdpError::NoInterface(_))
            ));
        }
    }
}
