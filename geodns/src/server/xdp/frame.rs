//! A query's frame read, an answer's frame written: Ethernet, VLAN tags, IPv4 or IPv6, UDP.
//!
//! The XDP program has decided that a packet is ours; here everything it says about itself is
//! checked against its bytes. Checksums are verified as the kernel would: a damaged question must
//! not be answered. One form is taken that is not a finished checksum: the sum of the pseudo header
//! alone, which is what a packet carries that never left this machine (a sender on the other end of
//! a veth pair leaves the rest to a network card).
//!
//! Answers carry finished checksums, a hop limit of [`HOPS`], and over IPv4 "do not fragment" with
//! no identification (RFC 6864).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const ETHERNET_BYTES: usize = 14;
const VLAN_BYTES: usize = 4;
/// As many tags as the XDP program looks through.
const VLAN_TAGS_MAX: usize = 2;
const IPV4_BYTES: usize = 20;
const IPV6_BYTES: usize = 40;
const UDP_BYTES: usize = 8;
const UDP: u8 = 17;
/// TTL and hop limit of answers (the kernel's default).
const HOPS: u8 = 64;

/// Why a packet is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Its headers contradict its bytes, or it is not what the XDP program takes.
    Malformed,
    /// A checksum is wrong.
    Checksum,
    /// Nobody can receive at its source: the answer would go astray.
    Source,
}

impl Unfit {
    /// All, in the order of their numbers.
    pub(super) const ALL: [Self; 3] = [Self::Malformed, Self::Checksum, Self::Source];

    /// The label in metrics.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Checksum => "checksum",
            Self::Source => "source",
        }
    }
}

/// A query in its frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Query<'a> {
    /// Who sent it.
    pub(super) source: SocketAddr,
    /// To which of our addresses.
    pub(super) destination: SocketAddr,
    /// The DNS message.
    pub(super) message: &'a [u8],
    /// Where the IP header starts.
    ip_at: usize,
    family: Family,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn header_bytes(self) -> usize {
        match self {
            Self::V4 => IPV4_BYTES,
            Self::V6 => IPV6_BYTES,
        }
    }
}

impl<'a> Query<'a> {
    /// Reads a frame.
    pub(super) fn read(frame: &'a [u8]) -> Result<Self, Unfit> {
        let (family, ip_at) = ethernet(frame).ok_or(Unfit::Malformed)?;
        let packet = &frame[ip_at..];
        let (addresses, udp) = match family {
            Family::V4 => ipv4(packet)?,
            Family::V6 => ipv6(packet)?,
        };
        let header = udp.first_chunk::<UDP_BYTES>().ok_or(Unfit::Malformed)?;
        let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
        let udp = udp
            .get(..length)
            .filter(|udp| udp.len() >= UDP_BYTES)
            .ok_or(Unfit::Malformed)?;
        if !is_intact(udp, addresses, family) {
            return Err(Unfit::Checksum);
        }
        let [from_high, from_low, to_high, to_low, ..] = *header;
        let port = u16::from_be_bytes([from_high, from_low]);
        let (from, to) = ends(addresses, family).ok_or(Unfit::Source)?;
        if port == 0 {
            return Err(Unfit::Source);
        }
        Ok(Self {
            source: SocketAddr::new(from, port),
            destination: SocketAddr::new(to, u16::from_be_bytes([to_high, to_low])),
            message: &udp[UDP_BYTES..],
            ip_at,
            family,
        })
    }

    /// Bytes before the DNS message of the answer.
    pub(super) fn headers_bytes(&self) -> usize {
        self.ip_at + self.family.header_bytes() + UDP_BYTES
    }

    /// The largest DNS message of an answer that is one packet of an interface with this MTU.
    pub(super) fn message_bytes_max(&self, mtu: usize) -> usize {
        mtu.saturating_sub(self.family.header_bytes() + UDP_BYTES)
    }

    /// Writes the headers of the answer whose `bytes` of DNS message already lie behind them in
    /// `out`; `frame` is the query's. The length of the whole frame, or `None` when `out` does not
    /// hold it.
    pub(super) fn seal(&self, frame: &[u8], out: &mut [u8], bytes: usize) -> Option<usize> {
        let end = self.headers_bytes().checked_add(bytes)?;
        let asked = frame.get(..self.headers_bytes())?;
        let out = out.get_mut(..end)?;
        let udp_bytes = u16::try_from(UDP_BYTES + bytes).ok()?;
        // Back the way it came.
        out[..6].copy_from_slice(&asked[6..12]);
        out[6..12].copy_from_slice(&asked[..6]);
        // Tags and type.
        out[12..self.ip_at].copy_from_slice(&asked[12..self.ip_at]);
        let (asked, out) = (&asked[self.ip_at..], &mut out[self.ip_at..]);
        match self.family {
            Family::V4 => write_ipv4(asked, out, udp_bytes)?,
            Family::V6 => write_ipv6(asked, out, udp_bytes),
        }
        let at = self.family.header_bytes();
        let asked = &asked[at..];
        let (ip, udp) = out.split_at_mut(at);
        udp[..2].copy_from_slice(&asked[2..4]);
        udp[2..4].copy_from_slice(&asked[..2]);
        udp[4..6].copy_from_slice(&udp_bytes.to_be_bytes());
        udp[6..8].fill(0);
        let addresses = match self.family {
            Family::V4 => &ip[12..20],
            Family::V6 => &ip[8..40],
        };
        let checksum = match !fold(pseudo(addresses, udp_bytes) + sum(udp)) {
            // Zero would mean "none" (RFC 768).
            0 => 0xffff,
            checksum => checksum,
        };
        udp[6..8].copy_from_slice(&checksum.to_ne_bytes());
        Some(end)
    }
}

/// The family, and where its header starts.
fn ethernet(frame: &[u8]) -> Option<(Family, usize)> {
    let mut at = ETHERNET_BYTES;
    for _ in 0..=VLAN_TAGS_MAX {
        match frame.get(at - 2..at)? {
            [0x08, 0x00] => return Some((Family::V4, at)),
            [0x86, 0xdd] => return Some((Family::V6, at)),
            [0x81, 0x00] | [0x88, 0xa8] => at += VLAN_BYTES,
            _ => return None,
        }
    }
    None
}

/// Both addresses and what the IP packet carries.
fn ipv4(packet: &[u8]) -> Result<(&[u8], &[u8]), Unfit> {
    let header = packet.first_chunk::<IPV4_BYTES>().ok_or(Unfit::Malformed)?;
    let length = usize::from(u16::from_be_bytes([header[2], header[3]]));
    let is_fragment = u16::from_be_bytes([header[6], header[7]]) & 0x3fff != 0;
    if header[0] != 0x45 || header[9] != UDP || is_fragment {
        return Err(Unfit::Malformed);
    }
    // A header with its checksum sums up to all ones.
    if fold(sum(header)) != 0xffff {
        return Err(Unfit::Checksum);
    }
    // Behind the packet may lie what fills up a short frame.
    let udp = packet.get(IPV4_BYTES..length).ok_or(Unfit::Malformed)?;
    Ok((&packet[12..20], udp))
}

/// Both addresses and what the IP packet carries.
fn ipv6(packet: &[u8]) -> Result<(&[u8], &[u8]), Unfit> {
    let header = packet.first_chunk::<IPV6_BYTES>().ok_or(Unfit::Malformed)?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    if header[0] >> 4 != 6 || header[6] != UDP {
        return Err(Unfit::Malformed);
    }
    let udp = packet.get(IPV6_BYTES..IPV6_BYTES + length);
    Ok((&packet[8..40], udp.ok_or(Unfit::Malformed)?))
}

/// Whether a UDP packet's checksum is right, absent where that is allowed, or left to a card.
fn is_intact(udp: &[u8], addresses: &[u8], family: Family) -> bool {
    let stated = u16::from_ne_bytes([udp[6], udp[7]]);
    if stated == 0 {
        // RFC 8200 §8.1: never over IPv6.
        return family == Family::V4;
    }
    let pseudo = pseudo(addresses, udp.len() as u16);
    fold(pseudo + sum(udp)) == 0xffff || stated == fold(pseudo)
}

/// Both addresses, if an answer can reach the first and would not come back to us.
fn ends(addresses: &[u8], family: Family) -> Option<(IpAddr, IpAddr)> {
    let (from, to) = addresses.split_at(addresses.len() / 2);
    if from == to {
        return None;
    }
    match family {
        Family::V4 => {
            let [from, to] = [from, to].map(|bytes| bytes.first_chunk().copied());
            let (from, to) = (Ipv4Addr::from(from?), Ipv4Addr::from(to?));
            let is_nobody = from.octets()[0] == 0
                || from.is_loopback()
                || from.is_multicast()
                || from.is_broadcast();
            (!is_nobody).then_some((from.into(), to.into()))
        }
        Family::V6 => {
            let [from, to] = [from, to].map(|bytes| bytes.first_chunk().copied());
            let (from, to) = (Ipv6Addr::from(from?), Ipv6Addr::from(to?));
            let is_nobody = from.is_unspecified()
                || from.is_loopback()
                || from.is_multicast()
                || from.to_ipv4_mapped().is_some();
            (!is_nobody).then_some((from.into(), to.into()))
        }
    }
}

fn write_ipv4(asked: &[u8], out: &mut [u8], udp_bytes: u16) -> Option<()> {
    let length = udp_bytes.checked_add(IPV4_BYTES as u16)?;
    let [high, low] = length.to_be_bytes();
    // Version and length, no class, total length, no identification, do not fragment, TTL, UDP.
    out[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, UDP, 0, 0]);
    out[12..16].copy_from_slice(&asked[16..20]);
    out[16..20].copy_from_slice(&asked[12..16]);
    let checksum = !fold(sum(&out[..IPV4_BYTES]));
    out[10..12].copy_from_slice(&checksum.to_ne_bytes());
    Some(())
}

fn write_ipv6(asked: &[u8], out: &mut [u8], udp_bytes: u16) {
    let [high, low] = udp_bytes.to_be_bytes();
    // Version, no class, no flow label; length, UDP, hop limit.
    out[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, UDP, HOPS]);
    out[8..24].copy_from_slice(&asked[24..40]);
    out[24..40].copy_from_slice(&asked[8..24]);
}

/// The pseudo header's part of a UDP checksum.
fn pseudo(addresses: &[u8], udp_bytes: u16) -> u64 {
    let length = u16::from_ne_bytes(udp_bytes.to_be_bytes());
    let protocol = u16::from_ne_bytes([0, UDP]);
    sum(addresses) + u64::from(length) + u64::from(protocol)
}

/// The Internet checksum's sum (RFC 1071), in the machine's byte order, four bytes a step.
fn sum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<4>();
    let mut sum: u64 = words
        .iter()
        .map(|word| u64::from(u32::from_ne_bytes(*word)))
        .sum();
    let (halves, last) = rest.as_chunks::<2>();
    for half in halves {
        sum += u64::from(u16::from_ne_bytes(*half));
    }
    if let [last] = last {
        sum += u64::from(u16::from_ne_bytes([*last, 0]));
    }
    sum
}

/// Folds a sum of fewer than 2^32 words into 16 bits.
fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

#[cfg(test)]
mod tests;
