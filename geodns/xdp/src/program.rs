//! The XDP program: which packets we take, everything else is the kernel's.
//!
//! Taken is UDP to a target's address and port, over IPv4 without options and not in fragments, or
//! over IPv6 without extension headers, to one host (no Ethernet multicast), with at most
//! [`VLAN_TAGS_MAX`] VLAN tags and [`PACKET_BYTES_MAX`] bytes. Lengths and checksums are left to whoever reads the packet; this
//! only decides whose it is.
//!
//! Targets are compared one after the other ([`TARGETS_MAX`] at most): for the handful of
//! addresses a name server has, that is cheaper than a map.

use std::net::{IpAddr, SocketAddr};

use crate::asm::{Assembler, If, Instruction, Label, Reg, Width};
use crate::frames::PACKET_BYTES_MAX;

/// Most targets of one program.
pub const TARGETS_MAX: usize = 64;
/// VLAN tags looked through: one, or two (802.1ad, "QinQ").
pub(crate) const VLAN_TAGS_MAX: usize = 2;

/// What a program says about a packet (enum xdp_action).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Action {
    /// Thrown away; what tests make of packets that would be taken.
    #[cfg(test)]
    Drop = 1,
    /// The kernel's.
    Pass = 2,
}

/// Where the program counts first fragments to a target: they are left to the kernel.
pub(crate) const FRAGMENTS_KEY: u32 = 0;
/// How many counters it has.
pub(crate) const COUNTERS: u32 = 1;

// Offsets of `struct xdp_md`.
const MD_DATA: i16 = 0;
const MD_DATA_END: i16 = 4;
const MD_QUEUE: i16 = 16;
// Helpers (enum bpf_func_id).
const MAP_LOOKUP_ELEM: i32 = 1;
const REDIRECT_MAP: i32 = 51;
// Headers.
const ETHERNET_BYTES: i32 = 14;
const VLAN_BYTES: i32 = 4;
const IPV4_UDP_BYTES: i32 = 20 + 8;
const IPV6_UDP_BYTES: i32 = 40 + 8;
/// [`PACKET_BYTES_MAX`] as instructions hold it.
const LONGEST: i32 = 1792;
const _: () = assert!(LONGEST as usize == PACKET_BYTES_MAX);
const UDP: u32 = 17;
/// Version 4, five words of header.
const IPV4_PLAIN: u32 = 0x45;
/// More fragments, and the offset: everything but "do not fragment".
const FRAGMENT_BITS: u16 = 0x3fff;

// The registers' roles. R4 and R5 hold what was loaded last.
const CONTEXT: Reg = Reg::R6;
/// Start of the header looked at.
const AT: Reg = Reg::R2;
const END: Reg = Reg::R3;
const SCRATCH: Reg = Reg::R4;
const FIELD: Reg = Reg::R5;

/// A program's labels.
struct Ways {
    pass: Label,
    take: Label,
}

/// The program for `targets`. `sockets` and `counters` are descriptors of maps; `unclaimed` is for
/// packets of queues without a socket.
pub(crate) fn assemble(
    targets: &[SocketAddr],
    sockets: i32,
    counters: i32,
    unclaimed: Action,
) -> Option<Vec<Instruction>> {
    let mut asm = Assembler::default();
    let ways = Ways {
        pass: asm.label(),
        take: asm.label(),
    };
    let (ipv4, ipv6) = (asm.label(), asm.label());
    asm.copy(CONTEXT, Reg::R1);
    asm.load(Width::Word, AT, CONTEXT, MD_DATA);
    asm.load(Width::Word, END, CONTEXT, MD_DATA_END);
    ethernet(&mut asm, &ways, ipv4, ipv6);

    let (mut to_ipv4, mut to_ipv6) = (Vec::new(), Vec::new());
    for target in targets {
        let port = net_u16(target.port());
        match target.ip() {
            IpAddr::V4(address) => to_ipv4.push((net_u32(address.octets()), port)),
            IpAddr::V6(address) => to_ipv6.push((address.octets(), port)),
        }
    }
    asm.bind(ipv4);
    ipv4_packet(&mut asm, &ways, &to_ipv4, counters);
    asm.bind(ipv6);
    ipv6_packet(&mut asm, &ways, &to_ipv6);

    // return bpf_redirect_map(sockets, queue, unclaimed)
    asm.bind(ways.take);
    asm.load(Width::Word, Reg::R2, CONTEXT, MD_QUEUE);
    asm.set_map(Reg::R1, sockets);
    asm.set(Reg::R3, (unclaimed as u32).cast_signed());
    asm.call(REDIRECT_MAP);
    asm.exit();

    asm.bind(ways.pass);
    asm.set(Reg::R0, (Action::Pass as u32).cast_signed());
    asm.exit();
    asm.finish()
}

/// Ethernet and VLAN tags; then goes on at one of the IPs with `AT` at its header.
fn ethernet(asm: &mut Assembler, ways: &Ways, ipv4: Label, ipv6: Label) {
    require(asm, ways, ETHERNET_BYTES);
    // Longer than a frame's first half.
    asm.copy(SCRATCH, AT);
    asm.add(SCRATCH, LONGEST);
    asm.jump_if_register(END, If::Greater, SCRATCH, ways.pass);
    // The first bit sent of a group's address.
    asm.load(Width::Byte, FIELD, AT, 0);
    asm.and(FIELD, 1);
    asm.jump_if(FIELD, If::NotEqual, 0, ways.pass);
    asm.load(Width::Half, FIELD, AT, 12);
    asm.add(AT, ETHERNET_BYTES);
    let untagged = asm.label();
    for _ in 0..VLAN_TAGS_MAX {
        let tagged = asm.label();
        asm.jump_if(FIELD, If::Equal, net_u16(0x8100), tagged);
        asm.jump_if(FIELD, If::NotEqual, net_u16(0x88a8), untagged);
        asm.bind(tagged);
        require(asm, ways, VLAN_BYTES);
        // A tag is two bytes of VLAN and the type of what follows.
        asm.load(Width::Half, FIELD, AT, 2);
        asm.add(AT, VLAN_BYTES);
    }
    asm.bind(untagged);
    asm.jump_if(FIELD, If::Equal, net_u16(0x0800), ipv4);
    asm.jump_if(FIELD, If::Equal, net_u16(0x86dd), ipv6);
    asm.jump(ways.pass);
}

/// IPv4: plain header, UDP, one of the targets, whole.
fn ipv4_packet(asm: &mut Assembler, ways: &Ways, targets: &[(u32, u32)], counters: i32) {
    if targets.is_empty() {
        // The verifier takes no instruction that nothing leads to.
        asm.jump(ways.pass);
        return;
    }
    let ours = asm.label();
    require(asm, ways, IPV4_UDP_BYTES);
    asm.load(Width::Byte, FIELD, AT, 0);
    asm.jump_if(FIELD, If::NotEqual, IPV4_PLAIN, ways.pass);
    asm.load(Width::Byte, FIELD, AT, 9);
    asm.jump_if(FIELD, If::NotEqual, UDP, ways.pass);
    asm.load(Width::Word, FIELD, AT, 16);
    asm.load(Width::Half, SCRATCH, AT, 22);
    for &(address, port) in targets {
        let next = asm.label();
        asm.jump_if(FIELD, If::NotEqual, address, next);
        asm.jump_if(SCRATCH, If::Equal, port, ours);
        asm.bind(next);
    }
    asm.jump(ways.pass);

    asm.bind(ours);
    asm.load(Width::Half, FIELD, AT, 6);
    asm.and(FIELD, net_u16(FRAGMENT_BITS).cast_signed());
    asm.jump_if(FIELD, If::Equal, 0, ways.take);
    // A first fragment; the others do not even show their port.
    asm.store_number(Width::Word, Reg::R10, -4, FRAGMENTS_KEY.cast_signed());
    asm.set_map(Reg::R1, counters);
    asm.copy(Reg::R2, Reg::R10);
    asm.add(Reg::R2, -4);
    asm.call(MAP_LOOKUP_ELEM);
    asm.jump_if_null(Reg::R0, ways.pass);
    asm.load(Width::Double, Reg::R1, Reg::R0, 0);
    asm.add(Reg::R1, 1);
    asm.store(Width::Double, Reg::R0, 0, Reg::R1);
    asm.jump(ways.pass);
}

/// IPv6: UDP right behind the header, one of the targets.
fn ipv6_packet(asm: &mut Assembler, ways: &Ways, targets: &[([u8; 16], u32)]) {
    require(asm, ways, IPV6_UDP_BYTES);
    asm.load(Width::Byte, FIELD, AT, 6);
    asm.jump_if(FIELD, If::NotEqual, UDP, ways.pass);
    asm.load(Width::Half, SCRATCH, AT, 42);
    // The destination's four words.
    let words = [FIELD, Reg::R7, Reg::R8, Reg::R9];
    for (word, offset) in words.into_iter().zip([24, 28, 32, 36]) {
        asm.load(Width::Word, word, AT, offset);
    }
    for &(address, port) in targets {
        let next = asm.label();
        let (chunks, _) = address.as_chunks::<4>();
        // Hosts of one network differ at the end.
        for (word, chunk) in words.into_iter().zip(chunks).rev() {
            asm.jump_if(word, If::NotEqual, net_u32(*chunk), next);
        }
        asm.jump_if(SCRATCH, If::Equal, port, ways.take);
        asm.bind(next);
    }
    asm.jump(ways.pass);
}

/// Passes packets with fewer than `bytes` bytes from `AT` on; the verifier insists.
fn require(asm: &mut Assembler, ways: &Ways, bytes: i32) {
    asm.copy(SCRATCH, AT);
    asm.add(SCRATCH, bytes);
    asm.jump_if_register(SCRATCH, If::Greater, END, ways.pass);
}

/// A number in network order as a load of two bytes sees it.
fn net_u16(number: u16) -> u32 {
    u32::from(u16::from_ne_bytes(number.to_be_bytes()))
}

/// Four bytes as a load sees them.
fn net_u32(bytes: [u8; 4]) -> u32 {
    u32::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests;
