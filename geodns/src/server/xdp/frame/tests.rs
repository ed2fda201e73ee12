//! Frames are made and read back by code of the test's own.

use std::net::IpAddr;

use proptest::prelude::*;

use super::{HOPS, Query, Unfit};

const MESSAGE: &[u8] = b"a question of odd length.";

/// A frame whose every field a test may spoil.
#[derive(Clone, Debug)]
struct Frame {
    tags: Vec<[u8; 4]>,
    from: IpAddr,
    to: IpAddr,
    ports: (u16, u16),
    message: Vec<u8>,
}

impl Frame {
    fn between(from: &str, to: &str) -> Self {
        Self {
            tags: Vec::new(),
            from: from.parse().unwrap(),
            to: to.parse().unwrap(),
            ports: (4711, 53),
            message: MESSAGE.to_vec(),
        }
    }

    fn v4() -> Self {
        Self::between("198.51.100.7", "192.0.2.53")
    }

    fn v6() -> Self {
        Self::between("2001:db8:7::7", "2001:db8::53")
    }

    fn tagged(mut self) -> Self {
        self.tags.push([0x81, 0x00, 0x20, 0x07]);
        self
    }

    fn ip_at(&self) -> usize {
        14 + 4 * self.tags.len()
    }

    fn udp_at(&self) -> usize {
        self.ip_at() + if self.from.is_ipv4() { 20 } else { 40 }
    }

    /// With checksums that a slow and simple routine made.
    fn bytes(&self) -> Vec<u8> {
        let mut out = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
        out.extend(self.tags.iter().flatten());
        let udp_bytes = u16::try_from(8 + self.message.len()).unwrap();
        match (self.from, self.to) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                out.extend([0x08, 0x00]);
                let mut ip = vec![0x45, 0];
                ip.extend((20 + udp_bytes).to_be_bytes());
                ip.extend([0x12, 0x34, 0, 0, 57, 17, 0, 0]);
                ip.extend(from.octets());
                ip.extend(to.octets());
                let checksum = checksum(&ip);
                ip[10..12].copy_from_slice(&checksum.to_be_bytes());
                out.extend(ip);
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                out.extend([0x86, 0xdd, 0x60, 1, 2, 3]);
                out.extend(udp_bytes.to_be_bytes());
                out.extend([17, 57]);
                out.extend(from.octets());
                out.extend(to.octets());
            }
            _ => panic!("two families"),
        }
        let mut udp = Vec::new();
        udp.extend(self.ports.0.to_be_bytes());
        udp.extend(self.ports.1.to_be_bytes());
        udp.extend(udp_bytes.to_be_bytes());
        udp.extend([0, 0]);
        udp.extend(&self.message);
        let checksum = self.udp_checksum(&udp);
        udp[6..8].copy_from_slice(&checksum.to_be_bytes());
        out.extend(udp);
        out
    }

    fn pseudo(&self, udp_bytes: usize) -> Vec<u8> {
        let mut out = Vec::new();
        for address in [self.from, self.to] {
            match address {
                IpAddr::V4(address) => out.extend(address.octets()),
                IpAddr::V6(address) => out.extend(address.octets()),
            }
        }
        out.extend([0, 17]);
        out.extend(u16::try_from(udp_bytes).unwrap().to_be_bytes());
        out
    }

    fn udp_checksum(&self, udp: &[u8]) -> u16 {
        match checksum(&[&self.pseudo(udp.len()), udp].concat()) {
            0 => 0xffff,
            checksum => checksum,
        }
    }
}

/// RFC 1071, two bytes at a time.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// The answer's frame.
fn answer(frame: &[u8], message: &[u8]) -> Vec<u8> {
    let query = Query::read(frame).unwrap();
    let mut out = vec![0xee; 2048];
    let at = query.headers_bytes();
    out[at..at + message.len()].copy_from_slice(message);
    let bytes = query.seal(frame, &mut out, message.len()).unwrap();
    out.truncate(bytes);
    out
}

#[test]
fn every_kind_is_read_and_answered_the_way_it_came() {
    for frame in [
        Frame::v4(),
        Frame::v4().tagged(),
        Frame::v4().tagged().tagged(),
        Frame::v6(),
        Frame::v6().tagged(),
        Frame::between("fe80::7", "fe80::53"),
    ] {
        let mut bytes = frame.bytes();
        let query = Query::read(&bytes).unwrap();
        assert_eq!(query.message, MESSAGE);
        assert_eq!((query.source.ip(), query.source.port()), (frame.from, 4711));
        assert_eq!(
            (query.destination.ip(), query.destination.port()),
            (frame.to, 53)
        );
        // What fills up a short frame is no part of it.
        bytes.extend([0; 9]);
        assert_eq!(Query::read(&bytes).unwrap().message, MESSAGE);

        let reply = Frame {
            from: frame.to,
            to: frame.from,
            ports: (53, 4711),
            message: b"an answer".to_vec(),
            ..frame.clone()
        };
        let mut expected = reply.bytes();
        expected[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        let at = frame.ip_at();
        if frame.from.is_ipv4() {
            expected[at + 4..at + 12].copy_from_slice(&[0, 0, 0x40, 0, HOPS, 17, 0, 0]);
            let checksum = checksum(&expected[at..at + 20]);
            expected[at + 10..at + 12].copy_from_slice(&checksum.to_be_bytes());
        } else {
            expected[at..at + 4].copy_from_slice(&[0x60, 0, 0, 0]);
            expected[at + 7] = HOPS;
        }
        assert_eq!(answer(&bytes, b"an answer"), expected, "{frame:?}");
    }
}

#[test]
fn what_is_damaged_or_astray_is_not_answered() {
    type Spoil = fn(&Frame, &mut Vec<u8>);
    let cases: [(&str, Frame, Spoil, Unfit); 14] = [
        (
            "a header's bit",
            Frame::v4(),
            |f, b| b[f.ip_at() + 8] ^= 1,
            Unfit::Checksum,
        ),
        (
            "a message's bit",
            Frame::v4(),
            |_, b| *b.last_mut().unwrap() ^= 1,
            Unfit::Checksum,
        ),
        (
            "an address's bit",
            Frame::v6(),
            |f, b| b[f.ip_at() + 9] ^= 1,
            Unfit::Checksum,
        ),
        (
            "no checksum over IPv6",
            Frame::v6(),
            |f, b| b[f.udp_at() + 6..][..2].fill(0),
            Unfit::Checksum,
        ),
        (
            "longer than its bytes",
            Frame::v4(),
            |_, b| b.truncate(b.len() - 1),
            Unfit::Malformed,
        ),
        (
            "longer, IPv6",
            Frame::v6(),
            |_, b| b.truncate(b.len() - 1),
            Unfit::Malformed,
        ),
        (
            "UDP longer than IP",
            Frame::v4(),
            |f, b| b[f.udp_at() + 5] += 1,
            Unfit::Malformed,
        ),
        (
            "UDP shorter than its header",
            Frame::v6(),
            |f, b| b[f.udp_at() + 5] = 7,
            Unfit::Malformed,
        ),
        (
            "TCP",
            Frame::v6(),
            |f, b| b[f.ip_at() + 6] = 6,
            Unfit::Malformed,
        ),
        (
            "a fragment",
            Frame::v4(),
            |f, b| b[f.ip_at() + 6] = 0x20,
            Unfit::Malformed,
        ),
        ("ARP", Frame::v4(), |_, b| b[13] = 6, Unfit::Malformed),
        (
            "three tags",
            Frame::v4().tagged().tagged().tagged(),
            |_, _| (),
            Unfit::Malformed,
        ),
        (
            "from ourselves",
            Frame::between("192.0.2.53", "192.0.2.53"),
            |_, _| (),
            Unfit::Source,
        ),
        (
            "from ourselves, IPv6",
            Frame::between("2001:db8::53", "2001:db8::53"),
            |_, _| (),
            Unfit::Source,
        ),
    ];
    for (what, frame, spoil, unfit) in cases {
        let mut bytes = frame.bytes();
        spoil(&frame, &mut bytes);
        assert_eq!(Query::read(&bytes), Err(unfit), "{what}");
    }
    for from in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
    ] {
        let bytes = Frame::between(from, "192.0.2.53").bytes();
        assert_eq!(Query::read(&bytes), Err(Unfit::Source), "{from}");
    }
    for from in ["::", "::1", "ff02::1", "::ffff:192.0.2.1"] {
        let bytes = Frame::between(from, "2001:db8::53").bytes();
        assert_eq!(Query::read(&bytes), Err(Unfit::Source), "{from}");
    }
    let mut frame = Frame::v4();
    frame.ports.0 = 0;
    assert_eq!(Query::read(&frame.bytes()), Err(Unfit::Source));
}

#[test]
fn absent_and_unfinished_checksums_are_taken_where_they_may_be() {
    let frame = Frame::v4();
    let mut bytes = frame.bytes();
    bytes[frame.udp_at() + 6..][..2].fill(0);
    assert!(Query::read(&bytes).is_ok());
    // The sum of the pseudo header, not inverted: Linux's CHECKSUM_PARTIAL.
    for frame in [Frame::v4(), Frame::v6()] {
        let mut bytes = frame.bytes();
        let partial = !checksum(&frame.pseudo(8 + MESSAGE.len()));
        bytes[frame.udp_at() + 6..][..2].copy_from_slice(&partial.to_be_bytes());
        assert!(Query::read(&bytes).is_ok());
    }
}

#[test]
fn an_answer_fits_or_is_not_written() {
    let bytes = Frame::v6().bytes();
    let query = Query::read(&bytes).unwrap();
    assert_eq!(query.headers_bytes(), 14 + 40 + 8);
    assert_eq!(query.message_bytes_max(1280), 1232);
    assert_eq!(query.message_bytes_max(20), 0);
    let mut out = [0; 100];
    assert_eq!(query.seal(&bytes, &mut out, 38), Some(100));
    assert_eq!(query.seal(&bytes, &mut out, 39), None);
    assert_eq!(query.seal(&bytes, &mut out, usize::MAX), None);
    // As much as a frame's half holds is still a packet.
    assert!(query.seal(&bytes, &mut [0; 2048], 2048 - 62).is_some());
}

fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let message = prop::collection::vec(any::<u8>(), 0..300);
    (
        any::<[u8; 4]>(),
        any::<[u8; 16]>(),
        any::<(u16, u16)>(),
        message,
        0..3_usize,
        any::<bool>(),
    )
        .prop_map(|(v4, v6, ports, message, tags, is_v4)| {
            let mut frame = if is_v4 { Frame::v4() } else { Frame::v6() };
            frame.from = if is_v4 { v4.into() } else { v6.into() };
            frame.ports = ports;
            frame.message = message;
            (0..tags).fold(frame, |frame, _| frame.tagged()).bytes()
        })
}

proptest! {
    /// Whatever is read lies inside the frame, and whatever is sealed lies inside the buffer.
    #[test]
    fn no_bytes_lead_outside(bytes in prop::collection::vec(any::<u8>(), 0..200), room in 0..200_usize) {
        check_bounds(&bytes, room)?;
    }

    /// The same with frames that were good before a few bytes of them changed.
    #[test]
    fn nor_does_a_spoiled_frame(
        frame in any_frame(),
        spoils in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        cut in any::<prop::sample::Index>(),
        room in 0..400_usize,
    ) {
        let mut bytes = frame;
        for (at, byte) in spoils {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check_bounds(&bytes, room)?;
        let cut = cut.index(bytes.len());
        check_bounds(&bytes[..cut], room)?;
    }

    /// An answer, read as a query, is intact: both directions agree on the format.
    #[test]
    fn an_answer_reads_back(frame in any_frame(), message in prop::collection::vec(any::<u8>(), 0..500)) {
        if let Ok(query) = Query::read(&frame) {
            let reply = answer(&frame, &message);
            if query.destination.port() != 0 {
                let back = Query::read(&reply);
                prop_assert_eq!(back.map(|back| (back.message.to_vec(), back.source, back.destination)),
                    Ok((message, query.destination, query.source)));
            }
        }
    }
}

fn check_bounds(bytes: &[u8], room: usize) -> Result<(), TestCaseError> {
    let Ok(query) = Query::read(bytes) else {
        return Ok(());
    };
    prop_assert!(query.headers_bytes() + query.message.len() <= bytes.len());
    let mut out = vec![0xee; room + 16];
    let message = room.saturating_sub(query.headers_bytes());
    let sealed = query.seal(bytes, &mut out[..room], message);
    prop_assert_eq!(sealed.is_some(), query.headers_bytes() <= room);
    prop_assert!(out[room..].iter().all(|byte| *byte == 0xee));
    Ok(())
}
