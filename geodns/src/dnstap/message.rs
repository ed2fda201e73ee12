//! One dnstap message in protobuf's wire format (dnstap.proto of dnstap.info).
//!
//! Written by hand: ten fields, of which most have a fixed size, need no schema compiler. Tags are
//! `field << 3 | wire type`; wire type 0 is a varint, 2 bytes with their length, 5 four bytes in
//! little endian.

use std::net::{IpAddr, SocketAddr};

use crate::responder::Transport;

/// `Message.Type` of dnstap.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A query as an authoritative server received it.
    AuthQuery = 1,
    /// The response it sent.
    AuthResponse = 2,
}

/// A time since 1970.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    pub(super) seconds: u64,
    pub(super) nanos: u32,
}

/// What every message of this node has in common.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    /// `Dnstap.identity` and `Dnstap.version`, encoded.
    head: Vec<u8>,
}

const VARINT: u32 = 0;
const BYTES: u32 = 2;
const FIXED32: u32 = 5;

/// Fields of `Dnstap`.
mod outer {
    pub(super) const IDENTITY: u32 = 1;
    pub(super) const VERSION: u32 = 2;
    pub(super) const MESSAGE: u32 = 14;
    pub(super) const TYPE: u32 = 15;
    /// `Dnstap.Type.MESSAGE`.
    pub(super) const TYPE_MESSAGE: u64 = 1;
}

/// Fields of `Message`.
mod inner {
    pub(super) const TYPE: u32 = 1;
    pub(super) const SOCKET_FAMILY: u32 = 2;
    pub(super) const SOCKET_PROTOCOL: u32 = 3;
    pub(super) const QUERY_ADDRESS: u32 = 4;
    pub(super) const QUERY_PORT: u32 = 6;
    pub(super) const QUERY_TIME_SEC: u32 = 8;
    pub(super) const QUERY_TIME_NSEC: u32 = 9;
    pub(super) const QUERY_MESSAGE: u32 = 10;
    pub(super) const RESPONSE_TIME_SEC: u32 = 12;
    pub(super) const RESPONSE_TIME_NSEC: u32 = 13;
    pub(super) const RESPONSE_MESSAGE: u32 = 14;
}

impl Encoder {
    pub(super) fn new(identity: &[u8]) -> Self {
        let mut head = Vec::new();
        if !identity.is_empty() {
            bytes(&mut head, outer::IDENTITY, identity);
        }
        let version = concat!("meridian ", env!("CARGO_PKG_VERSION"));
        bytes(&mut head, outer::VERSION, version.as_bytes());
        Self { head }
    }

    /// Appends a whole `Dnstap` to `out`.
    pub(super) fn encode(
        &self,
        out: &mut Vec<u8>,
        kind: Kind,
        dns: &[u8],
        client: SocketAddr,
        transport: Transport,
        at: Moment,
    ) {
        let address = client.ip().to_canonical();
        let mut octets = [0; 16];
        let octets = match address {
            IpAddr::V4(v4) => {
                octets[..4].copy_from_slice(&v4.octets());
                &octets[..4]
            }
            IpAddr::V6(v6) => {
                octets = v6.octets();
                &octets[..]
            }
        };
        out.extend_from_slice(&self.head);
        let length = inner_bytes(kind, octets.len(), client.port(), at, dns.len());
        tag(out, outer::MESSAGE, BYTES);
        varint(out, length as u64);
        let begin = out.len();
        number(out, inner::TYPE, kind as u64);
        number(out, inner::SOCKET_FAMILY, family(address));
        number(out, inner::SOCKET_PROTOCOL, protocol(transport));
        bytes(out, inner::QUERY_ADDRESS, octets);
        number(out, inner::QUERY_PORT, u64::from(client.port()));
        number(out, inner::QUERY_TIME_SEC, at.seconds);
        fixed(out, inner::QUERY_TIME_NSEC, at.nanos);
        match kind {
            Kind::AuthQuery => bytes(out, inner::QUERY_MESSAGE, dns),
            Kind::AuthResponse => {
                number(out, inner::RESPONSE_TIME_SEC, at.seconds);
                fixed(out, inner::RESPONSE_TIME_NSEC, at.nanos);
                bytes(out, inner::RESPONSE_MESSAGE, dns);
            }
        }
        debug_assert_eq!(out.len() - begin, length, "the length stands before");
        number(out, outer::TYPE, outer::TYPE_MESSAGE);
    }
}

/// Length of the `Message` that [`Encoder::encode`] writes: protobuf wants it before.
fn inner_bytes(kind: Kind, address: usize, port: u16, at: Moment, dns: usize) -> usize {
    // All fields below 16 have a tag of one byte.
    let time = 1 + varint_bytes(at.seconds) + 1 + 4;
    let times = match kind {
        Kind::AuthQuery => time,
        Kind::AuthResponse => 2 * time,
    };
    let port = 1 + varint_bytes(u64::from(port));
    let dns = 1 + varint_bytes(dns as u64) + dns;
    3 * 2 + (2 + address) + port + times + dns
}

/// `SocketFamily`: INET is 1, INET6 is 2.
const fn family(address: IpAddr) -> u64 {
    if address.is_ipv4() { 1 } else { 2 }
}

/// `SocketProtocol` of dnstap.proto.
const fn protocol(transport: Transport) -> u64 {
    match transport {
        Transport::Udp => 1,
        Transport::Tcp => 2,
        Transport::Tls => 3,
        Transport::Https => 4,
        Transport::Quic => 7,
    }
}

fn tag(out: &mut Vec<u8>, field: u32, wire: u32) {
    varint(out, u64::from(field << 3 | wire));
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    tag(out, field, VARINT);
    varint(out, value);
}

fn fixed(out: &mut Vec<u8>, field: u32, value: u32) {
    tag(out, field, FIXED32);
    out.extend_from_slice(&value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u32, value: &[u8]) {
    tag(out, field, BYTES);
    varint(out, value.len() as u64);
    out.extend_from_slice(value);
}

/// Seven bits a byte, the lowest first; the top bit says that more follow.
fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

const fn varint_bytes(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}
