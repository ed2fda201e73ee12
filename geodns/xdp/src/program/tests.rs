//! The program in the kernel's own test harness, over packets of every kind.

use std::net::{IpAddr, SocketAddr};

use super::Action;
use crate::bpf::{Map, Program};
use crate::error::XdpError;
use crate::frames::PACKET_BYTES_MAX;
use crate::redirect::load;

const TARGETS: [&str; 4] = [
    "192.0.2.53:53",
    "192.0.2.54:5353",
    "[2001:db8::53]:53",
    "[2001:db8:0:1::53]:5353",
];

/// A packet to be varied.
#[derive(Clone)]
struct Packet {
    ethernet: Vec<u8>,
    ip: Vec<u8>,
    udp: Vec<u8>,
}

impl Packet {
    fn to(target: &str) -> Self {
        let target: SocketAddr = target.parse().unwrap();
        let mut ethernet = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        let ip = match target.ip() {
            IpAddr::V4(to) => {
                ethernet.extend([0x08, 0x00]);
                let mut ip = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 17, 0, 0, 198, 51, 100, 1];
                ip.extend(to.octets());
                ip
            }
            IpAddr::V6(to) => {
                ethernet.extend([0x86, 0xdd]);
                let mut ip = vec![0x60, 0, 0, 0, 0, 20, 17, 64];
                ip.extend([0x20, 1, 0xd, 0xb8, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
                ip.extend(to.octets());
                ip
            }
        };
        let mut udp = vec![0x30, 0x39];
        udp.extend(target.port().to_be_bytes());
        udp.extend([0, 20, 0, 0]);
        udp.extend([0; 12]);
        Self { ethernet, ip, udp }
    }

    /// Puts a tag of this type before what follows.
    fn tagged(mut self, kind: u16) -> Self {
        let [high, low] = kind.to_be_bytes();
        let tail = self.ethernet.split_off(12);
        self.ethernet.extend([high, low, 0, 7]);
        self.ethernet.extend(tail);
        self
    }

    fn ip(mut self, at: usize, byte: u8) -> Self {
        self.ip[at] = byte;
        self
    }

    fn bytes(&self) -> Vec<u8> {
        [&self.ethernet[..], &self.ip[..], &self.udp[..]].concat()
    }
}

/// Loads a program that drops what it would take; `None` where BPF is not permitted.
fn loaded(targets: &[SocketAddr]) -> Option<(Program, Map, Map)> {
    match load(targets, Action::Drop) {
        Ok(loaded) => Some(loaded),
        Err(XdpError::Forbidden { .. } | XdpError::Unsupported { .. }) => {
            eprintln!("SKIP: loading an XDP program is not permitted here");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

fn program() -> Option<impl Fn(&[u8]) -> u32> {
    let targets = TARGETS.map(|target| target.parse().unwrap());
    let (program, sockets, counters) = loaded(&targets)?;
    Some(move |packet: &[u8]| {
        let _alive = (&sockets, &counters);
        program.test_run(packet).unwrap()
    })
}

#[test]
fn only_whole_udp_to_a_target_is_taken() {
    let Some(verdict) = program() else { return };
    let v4 = || Packet::to("192.0.2.53:53");
    let v6 = || Packet::to("[2001:db8::53]:53");
    let mut long = v4();
    long.udp.resize(PACKET_BYTES_MAX - 34, 0);
    let mut too_long = long.clone();
    too_long.udp.push(0);
    let mut group = v4();
    group.ethernet[0] |= 1;
    let mut everybody = v4();
    everybody.ethernet[..6].fill(0xff);
    let mut options = v4().ip(0, 0x46);
    options.ip.extend([1, 1, 1, 0]);
    let mut arp = v4();
    arp.ethernet[12..].copy_from_slice(&[0x08, 0x06]);
    let mut extension = v6().ip(6, 60);
    extension.ip.extend([17, 0, 1, 4, 0, 0, 0, 0]);
    let taken = [
        ("IPv4", v4()),
        ("the second target", Packet::to("192.0.2.54:5353")),
        ("IPv6", v6()),
        (
            "the second IPv6 target",
            Packet::to("[2001:db8:0:1::53]:5353"),
        ),
        ("IPv4, do not fragment", v4().ip(6, 0x40)),
        ("IPv4 with a tag", v4().tagged(0x8100)),
        ("IPv6 with a tag", v6().tagged(0x8100)),
        ("IPv4 with two tags", v4().tagged(0x8100).tagged(0x88a8)),
        ("IPv6 with two tags", v6().tagged(0x8100).tagged(0x88a8)),
        ("two customer tags", v4().tagged(0x8100).tagged(0x8100)),
        ("the longest packet", long),
    ];
    let passed = [
        ("another address", Packet::to("192.0.2.55:53")),
        ("another port", Packet::to("192.0.2.53:54")),
        ("the other target's port", Packet::to("192.0.2.53:5353")),
        ("another IPv6 address", Packet::to("[2001:db8::54]:53")),
        (
            "another IPv6 network",
            Packet::to("[2001:db8:0:2::53]:5353"),
        ),
        ("another IPv6 port", Packet::to("[2001:db8::53]:5353")),
        ("TCP", v4().ip(9, 6)),
        ("ICMP", v4().ip(9, 1)),
        ("TCP over IPv6", v6().ip(6, 6)),
        ("ICMPv6", v6().ip(6, 58)),
        ("a first fragment", v4().ip(6, 0x20)),
        ("a later fragment", v4().ip(7, 0x10)),
        ("IPv4 options", options),
        ("an IPv6 extension header", extension),
        ("an IPv6 fragment", v6().ip(6, 44)),
        ("no IPv4", v4().ip(0, 0x55)),
        (
            "three tags",
            v4().tagged(0x8100).tagged(0x8100).tagged(0x88a8),
        ),
        ("ARP", arp),
        ("a group's address", group),
        ("everybody's address", everybody),
        ("a packet too long for half a frame", too_long),
    ];
    for (what, packet) in taken {
        assert_eq!(verdict(&packet.bytes()), Action::Drop as u32, "{what}");
    }
    for (what, packet) in passed {
        assert_eq!(verdict(&packet.bytes()), Action::Pass as u32, "{what}");
    }
}

#[test]
fn a_packet_cut_anywhere_is_the_kernels() {
    let Some(verdict) = program() else { return };
    let packets = [
        (Packet::to("192.0.2.53:53").tagged(0x8100), 4 + 14 + 28),
        (Packet::to("[2001:db8::53]:53"), 14 + 48),
    ];
    for (packet, headers) in packets {
        let bytes = packet.bytes();
        // The harness itself wants an Ethernet header.
        for cut in 14..bytes.len() {
            let wanted = if cut < headers {
                Action::Pass
            } else {
                Action::Drop
            };
            assert_eq!(verdict(&bytes[..cut]), wanted as u32, "{cut} bytes");
        }
    }
}

#[test]
fn one_family_is_enough() {
    for (target, other) in [
        ("192.0.2.53:53", "[2001:db8::53]:53"),
        ("[2001:db8::53]:53", "192.0.2.53:53"),
    ] {
        let Some((program, _sockets, _counters)) = loaded(&[target.parse().unwrap()]) else {
            return;
        };
        let verdict = |to| program.test_run(&Packet::to(to).bytes()).unwrap();
        assert_eq!(verdict(target), Action::Drop as u32);
        assert_eq!(verdict(other), Action::Pass as u32);
    }
}

#[test]
fn first_fragments_are_counted() {
    let targets = TARGETS.map(|target| target.parse().unwrap());
    let Some((program, _sockets, counters)) = loaded(&targets) else {
        return;
    };
    let whole = Packet::to("192.0.2.53:53");
    let fragment = whole.clone().ip(6, 0x20);
    for packet in [&whole, &fragment, &fragment] {
        program.test_run(&packet.bytes()).unwrap();
    }
    assert_eq!(counters.sum(super::FRAGMENTS_KEY).unwrap(), 2);
}

#[test]
fn as_many_targets_as_promised_fit() {
    let targets: Vec<SocketAddr> = (0..super::TARGETS_MAX)
        .map(|at| format!("[2001:db8::{at:x}]:53").parse().unwrap())
        .collect();
    let Some((program, _sockets, _counters)) = loaded(&targets) else {
        return;
    };
    let last = Packet::to(&targets[super::TARGETS_MAX - 1].to_string());
    let verdict = program.test_run(&last.bytes()).unwrap();
    assert_eq!(verdict, Action::Drop as u32);
    let too_many = [targets, vec!["[::1]:53".parse().unwrap()]].concat();
    let error = load(&too_many, Action::Drop).unwrap_err();
    assert!(matches!(error, XdpError::Targets { given: 65, max: 64 }));
    let error = load(&[], Action::Drop).unwrap_err();
    assert!(matches!(error, XdpError::Targets { given: 0, .. }));
}
