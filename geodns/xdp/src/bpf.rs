//! bpf(2): maps, programs and links. The attribute structs follow `union bpf_attr` of linux/bpf.h,
//! each as long as the kernel versions we ask for need it; the kernel takes the rest as zero.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::asm::Instruction;
use crate::error::XdpError;
use crate::sys::checked;

// enum bpf_cmd
const MAP_CREATE: libc::c_long = 0;
const MAP_LOOKUP: libc::c_long = 1;
const MAP_UPDATE: libc::c_long = 2;
const PROG_LOAD: libc::c_long = 5;
const LINK_CREATE: libc::c_long = 28;
// enum bpf_prog_type, enum bpf_attach_type
const PROG_TYPE_XDP: u32 = 6;
const ATTACH_XDP: u32 = 37;
/// What the verifier may say about a program it refuses.
const LOG_BYTES: usize = 64 * 1024;
/// How much of its end is shown.
const LOG_TAIL_BYTES: usize = 400;
/// Helpers we call are open to any licence.
const LICENSE: &[u8] = b"Apache-2.0\0";

/// Kinds of maps we use (enum bpf_map_type).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum MapKind {
    /// A value a core, by number.
    PerCpuArray = 6,
    /// AF_XDP sockets by number.
    Sockets = 17,
}

/// A map with keys of four bytes.
#[derive(Debug)]
pub(crate) struct Map {
    fd: OwnedFd,
    value_bytes: usize,
    /// How many values a lookup gives: one a possible core for per-core maps.
    copies: usize,
}

#[repr(C)]
struct MapCreate {
    kind: u32,
    key_bytes: u32,
    value_bytes: u32,
    entries: u32,
    flags: u32,
    inner: u32,
    numa_node: u32,
    name: [u8; 16],
}

#[repr(C)]
struct MapElement {
    map: u32,
    padding: u32,
    key: u64,
    value: u64,
    flags: u64,
}

impl Map {
    /// A map of `entries` keys.
    pub(crate) fn create(
        name: &str,
        kind: MapKind,
        value_bytes: u32,
        entries: u32,
    ) -> Result<Self, XdpError> {
        let copies = match kind {
            MapKind::PerCpuArray => possible_cores()?,
            MapKind::Sockets => 1,
        };
        let mut attributes = MapCreate {
            kind: kind as u32,
            key_bytes: 4,
            value_bytes,
            entries,
            flags: 0,
            inner: 0,
            numa_node: 0,
            name: object_name(name),
        };
        // SAFETY: holds no pointers.
        let fd = unsafe { bpf_fd(MAP_CREATE, &mut attributes) }
            .map_err(|error| XdpError::of("making a BPF map", error))?;
        Ok(Self {
            fd,
            value_bytes: value_bytes as usize,
            copies,
        })
    }

    /// Sets the value of `key`, one of four bytes.
    pub(crate) fn set(&self, key: u32, value: u32) -> io::Result<()> {
        if self.value_bytes != 4 || self.copies != 1 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut attributes = MapElement {
            map: self.raw(),
            padding: 0,
            key: address_of(&key),
            value: address_of(&value),
            flags: 0,
        };
        // SAFETY: the kernel reads four bytes each from two live values, the map's sizes.
        unsafe { bpf(MAP_UPDATE, &mut attributes) }.map(drop)
    }

    /// The sum over all cores of a counter of eight bytes.
    pub(crate) fn sum(&self, key: u32) -> io::Result<u64> {
        if self.value_bytes != 8 {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let mut values = vec![0_u64; self.copies];
        let mut attributes = MapElement {
            map: self.raw(),
            padding: 0,
            key: address_of(&key),
            value: values.as_mut_ptr() as u64,
            flags: 0,
        };
        // SAFETY: the kernel reads four bytes and writes eight for every possible core: `copies`.
        unsafe { bpf(MAP_LOOKUP, &mut attributes) }?;
        Ok(values.iter().sum())
    }

    /// The descriptor as instructions name it.
    pub(crate) fn descriptor(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    fn raw(&self) -> u32 {
        self.fd.as_raw_fd().cast_unsigned()
    }
}

/// A loaded XDP program.
#[derive(Debug)]
pub(crate) struct Program(OwnedFd);

#[repr(C)]
struct ProgLoad {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_bytes: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach: u32,
}

#[repr(C)]
struct LinkCreate {
    program: u32,
    interface: u32,
    attach: u32,
    flags: u32,
}

impl Program {
    /// Loads a program; a refusal carries the end of the verifier's log.
    pub(crate) fn load(name: &str, code: &[Instruction]) -> Result<Self, XdpError> {
        match Self::load_once(name, code, &mut []) {
            Ok(program) => Ok(program),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINVAL | libc::EACCES)) => {
                Self::load_for_log(name, code)
            }
            Err(error) => Err(XdpError::of("loading an XDP program", error)),
        }
    }

    /// Once more, for the reason. Without a log the refusal was not the verifier's.
    fn load_for_log(name: &str, code: &[Instruction]) -> Result<Self, XdpError> {
        let mut log = vec![0; LOG_BYTES];
        let source = match Self::load_once(name, code, &mut log) {
            Ok(program) => return Ok(program),
            Err(source) => source,
        };
        let text = log.split(|byte| *byte == 0).next().unwrap_or_default();
        if text.is_empty() {
            return Err(XdpError::of("loading an XDP program", source));
        }
        let tail = &text[text.len().saturating_sub(LOG_TAIL_BYTES)..];
        let log = String::from_utf8_lossy(tail).trim().to_owned();
        Err(XdpError::Verifier { source, log })
    }

    fn load_once(name: &str, code: &[Instruction], log: &mut [u8]) -> io::Result<Self> {
        let has_log = !log.is_empty();
        let mut attributes = ProgLoad {
            kind: PROG_TYPE_XDP,
            count: u32::try_from(code.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            instructions: code.as_ptr() as u64,
            license: LICENSE.as_ptr() as u64,
            log_level: u32::from(has_log),
            log_bytes: u32::try_from(log.len()).unwrap_or(0),
            log: if has_log { log.as_mut_ptr() as u64 } else { 0 },
            kernel_version: 0,
            flags: 0,
            name: object_name(name),
            interface: 0,
            attach: ATTACH_XDP,
        };
        // SAFETY: the kernel reads `count` instructions and a terminated text, and writes at most
        // `log_bytes` into `log`; all outlive the call.
        unsafe { bpf_fd(PROG_LOAD, &mut attributes) }.map(Self)
    }

    /// Attaches it to an interface by a link; closing the link detaches it.
    pub(crate) fn attach(&self, interface: u32, flags: u32) -> io::Result<OwnedFd> {
        let mut attributes = LinkCreate {
            program: self.0.as_raw_fd().cast_unsigned(),
            interface,
            attach: ATTACH_XDP,
            flags,
        };
        // SAFETY: holds no pointers.
        unsafe { bpf_fd(LINK_CREATE, &mut attributes) }
    }

    /// Runs it over one packet and gives its verdict (BPF_PROG_TEST_RUN).
    #[cfg(test)]
    pub(crate) fn test_run(&self, packet: &[u8]) -> io::Result<u32> {
        const PROG_TEST_RUN: libc::c_long = 10;
        #[repr(C)]
        struct TestRun {
            program: u32,
            verdict: u32,
            bytes_in: u32,
            bytes_out: u32,
            data_in: u64,
            data_out: u64,
            repeat: u32,
            duration: u32,
        }
        let mut attributes = TestRun {
            program: self.0.as_raw_fd().cast_unsigned(),
            verdict: 0,
            bytes_in: u32::try_from(packet.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
            bytes_out: 0,
            data_in: packet.as_ptr() as u64,
            data_out: 0,
            repeat: 1,
            duration: 0,
        };
        // SAFETY: the kernel reads `bytes_in` bytes of `packet` and is given no place to write to.
        unsafe { bpf(PROG_TEST_RUN, &mut attributes) }?;
        Ok(attributes.verdict)
    }
}

/// Calls bpf(2).
///
/// # Safety
/// Pointers in `attributes` are what `command` needs, for as long as the call takes.
unsafe fn bpf<T>(command: libc::c_long, attributes: &mut T) -> io::Result<libc::c_int> {
    // SAFETY: `attributes` is a live value of the size given; the rest is the caller's promise.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    // Descriptors and zero fit.
    checked(result as libc::c_int)
}

/// Calls bpf(2) for a new descriptor.
///
/// # Safety
/// As [`bpf`], and `command` gives a descriptor.
unsafe fn bpf_fd<T>(command: libc::c_long, attributes: &mut T) -> io::Result<OwnedFd> {
    // SAFETY: the caller's promise.
    let fd = unsafe { bpf(command, attributes) }?;
    // SAFETY: the kernel just made it (close-on-exec is always set), nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn address_of<T>(value: &T) -> u64 {
    std::ptr::from_ref(value) as u64
}

/// A name as the kernel keeps it: at most 15 bytes and a zero.
fn object_name(name: &str) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().take(15).zip(name.bytes()) {
        *to = from;
    }
    out
}

/// How many cores the kernel could ever have: the number of values of a per-core map.
fn possible_cores() -> Result<usize, XdpError> {
    const PATH: &str = "/sys/devices/system/cpu/possible";
    let what = "reading /sys/devices/system/cpu/possible";
    let text = std::fs::read_to_string(PATH).map_err(|error| XdpError::of(what, error))?;
    last_core(&text)
        .map(|last| last + 1)
        .ok_or(XdpError::System {
            what,
            source: io::ErrorKind::InvalidData.into(),
        })
}

/// The highest number of a list such as `0-3,8-11`.
fn last_core(list: &str) -> Option<usize> {
    let last = list.trim().rsplit([',', '-']).next()?;
    last.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{last_core, object_name};

    #[test]
    fn the_last_core_of_a_list() {
        for (list, last) in [("0\n", Some(0)), ("0-3\n", Some(3)), ("0-3,8-11", Some(11))] {
            assert_eq!(last_core(list), last);
        }
        assert_eq!(last_core("none"), None);
    }

    #[test]
    fn long_names_are_cut() {
        assert_eq!(&object_name("meridian_dns_counters"), b"meridian_dns_co\0");
    }
}
