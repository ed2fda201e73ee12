//! Frames with VLAN tags, made here and sent by an AF_XDP socket: kernels without VLANs take part.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use hickory_proto::op::Message;
use hickory_proto::rr::RecordType;
use meridian_xdp::{AttachMode, Interface, Redirect, SocketOptions, XdpSocket, ZeroCopy};

use super::lab::{Lab, Link};
use super::on_xdp;
use crate::rig::{DEADLINE, answers, query};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 7];
const PORT: u16 = 4053;

/// A question's frame from the client to the server.
struct Frame {
    to_mac: [u8; 6],
    tags: Vec<u8>,
    is_ipv4: bool,
}

impl Frame {
    fn ip_at(&self) -> usize {
        14 + self.tags.len()
    }

    fn message_at(&self) -> usize {
        self.ip_at() + if self.is_ipv4 { 28 } else { 48 }
    }

    fn bytes(&self, message: &[u8]) -> Vec<u8> {
        let udp_bytes = u16::try_from(8 + message.len()).unwrap();
        let mut out = [&self.to_mac[..], &MAC, &self.tags].concat();
        let [from, to] = if self.is_ipv4 {
            ["10.53.0.2", "10.53.0.1"]
        } else {
            ["fd53::2", "fd53::1"]
        };
        let addresses = [octets(from), octets(to)].concat();
        if self.is_ipv4 {
            let [high, low] = (20 + udp_bytes).to_be_bytes();
            let mut ip = vec![0x45, 0, high, low, 0, 0, 0, 0, 64, 17, 0, 0];
            ip.extend(&addresses);
            let checksum = checksum(&ip).to_be_bytes();
            ip[10..12].copy_from_slice(&checksum);
            out.extend([0x08, 0x00]);
            out.extend(ip);
        } else {
            let [high, low] = udp_bytes.to_be_bytes();
            out.extend([0x86, 0xdd, 0x60, 0, 0, 0, high, low, 17, 64]);
            out.extend(&addresses);
        }
        let mut udp = [PORT, 53, udp_bytes, 0].map(u16::to_be_bytes).concat();
        udp.extend(message);
        let pseudo = [&addresses[..], &[0, 17], &udp_bytes.to_be_bytes()].concat();
        let checksum = checksum(&[&pseudo[..], &udp].concat()).to_be_bytes();
        udp[6..8].copy_from_slice(&checksum);
        out.extend(udp);
        out
    }
}

fn octets(address: &str) -> Vec<u8> {
    match address.parse().unwrap() {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum = 0_u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sends one frame and gives the first that comes back to our port.
fn exchange(frame: Vec<u8>) -> Vec<u8> {
    let interface = Interface::named("g0").unwrap();
    let ours = ["10.53.0.2:4053", "[fd53::2]:4053"].map(|text| text.parse().unwrap());
    let redirect = Redirect::attach(&interface, &ours, AttachMode::Auto).unwrap();
    let options = SocketOptions {
        frames: 256,
        zero_copy: ZeroCopy::Auto,
        busy_poll: None,
    };
    let mut socket = XdpSocket::bind(&interface, 0, &options).unwrap();
    redirect.feed(&socket).unwrap();
    let mut frame = Some(frame);
    let made = socket.originate(1, |out| {
        let frame = frame.take()?;
        out[..frame.len()].copy_from_slice(&frame);
        Some(frame.len())
    });
    assert_eq!(made, 1);
    socket.send().unwrap();
    let deadline = Instant::now() + DEADLINE;
    let mut answer = None;
    while answer.is_none() {
        assert!(Instant::now() < deadline, "no answer");
        socket.wait(Duration::from_millis(100)).unwrap();
        socket.turn(|packet, _| {
            answer = Some(packet.to_vec());
            None
        });
    }
    answer.unwrap()
}

#[test]
fn tags_stay_on_answers() {
    let Some(lab) = Lab::new(Link::Plain) else {
        return;
    };
    let server = lab.serve(on_xdp);
    let one_tag = vec![0x81, 0x00, 0x60, 0x07];
    let two_tags = vec![0x88, 0xa8, 0x00, 0x64, 0x81, 0x00, 0x20, 0x07];
    for tags in [Vec::new(), one_tag, two_tags] {
        for is_ipv4 in [true, false] {
            let frame = Frame {
                to_mac: lab.server_mac(),
                tags: tags.clone(),
                is_ipv4,
            };
            let message = query(7, "shop.example.test.", RecordType::A, Some("10.2.0.0/24"));
            let asked = frame.bytes(&message);
            let answer = lab.on_client(move || exchange(asked));
            assert_eq!(answer[..6], MAC);
            assert_eq!(answer[6..12], frame.to_mac);
            assert_eq!(answer[12..12 + tags.len()], tags);
            let message = Message::from_vec(&answer[frame.message_at()..]).unwrap();
            assert_eq!(message.metadata.id, 7);
            assert_eq!(answers(&message), ["198.51.100.1"]);
        }
    }
    assert_eq!(server.value("meridian_dns_xdp_sent_total"), 6.0);
    server.stop();
}
