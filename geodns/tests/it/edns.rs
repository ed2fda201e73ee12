//! EDNS compliance: the questions of the public EDNS compliance testers (ISC's and the DNS flag
//! days'), with combinations of our own, over UDP and TCP on real sockets. Each row says what must
//! come back and which rule wants it. Answers are read here byte by byte, by no code of the server's.

use std::io::{Read, Write};
use std::sync::Arc;

use meridian_geodns::wire::RType;
use meridian_geodns::zone::{StaticZoneBuilder, ZoneSource};

use crate::rig::{DEADLINE, Rig};

/// Header bits of the second 16.
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;
const RA: u16 = 0x0080;
const Z: u16 = 0x0040;
const AD: u16 = 0x0020;
const CD: u16 = 0x0010;
/// EDNS flags.
const DO: u16 = 0x8000;

/// A question, to be spelled out.
#[derive(Clone, Copy)]
struct Ask {
    flags: u16,
    opcode: u16,
    name: &'static str,
    rtype: u16,
    class: u16,
    edns: Option<Edns>,
    /// Question count, when it is not the one question's.
    questions: u16,
}

#[derive(Clone, Copy)]
struct Edns {
    bytes_max: u16,
    version: u8,
    flags: u16,
    /// Codes and data.
    options: &'static [(u16, &'static [u8])],
}

const PLAIN: Ask = Ask {
    flags: 0,
    opcode: 0,
    name: "example.test.",
    rtype: 6,
    class: 1,
    edns: None,
    questions: 1,
};
const EDNS: Edns = Edns {
    bytes_max: 4096,
    version: 0,
    flags: 0,
    options: &[],
};

const fn edns(edns: Edns) -> Ask {
    Ask {
        edns: Some(edns),
        ..PLAIN
    }
}

const fn options(options: &'static [(u16, &'static [u8])]) -> Ask {
    edns(Edns { options, ..EDNS })
}

const fn flags(flags: u16) -> Ask {
    Ask { flags, ..PLAIN }
}

const fn opcode(opcode: u16) -> Ask {
    Ask { opcode, ..PLAIN }
}

impl Ask {
    fn bytes(&self, id: u16) -> Vec<u8> {
        let mut packet = Vec::new();
        let additionals = u16::from(self.edns.is_some());
        for field in [
            id,
            self.opcode << 11 | self.flags,
            self.questions,
            0,
            0,
            additionals,
        ] {
            packet.extend_from_slice(&field.to_be_bytes());
        }
        if self.questions > 0 {
            for label in self.name.trim_end_matches('.').split('.') {
                packet.push(u8::try_from(label.len()).unwrap());
                packet.extend_from_slice(label.as_bytes());
            }
            packet.push(0);
            packet.extend_from_slice(&self.rtype.to_be_bytes());
            packet.extend_from_slice(&self.class.to_be_bytes());
        }
        if let Some(edns) = self.edns {
            packet.extend_from_slice(&[0, 0, 41]);
            packet.extend_from_slice(&edns.bytes_max.to_be_bytes());
            packet.extend_from_slice(&[0, edns.version]);
            packet.extend_from_slice(&edns.flags.to_be_bytes());
            let mut options = Vec::new();
            for (code, data) in edns.options {
                options.extend_from_slice(&code.to_be_bytes());
                options.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
                options.extend_from_slice(data);
            }
            packet.extend_from_slice(&u16::try_from(options.len()).unwrap().to_be_bytes());
            packet.extend_from_slice(&options);
        }
        packet
    }
}

/// What a response says, on one line: `CODE flags an=N ns=N | edns VERSION SIZE flags options`.
fn summary(answer: &[u8]) -> String {
    let word = |at: usize| u16::from_be_bytes([answer[at], answer[at + 1]]);
    let bits = word(2);
    assert!(bits & 0x8000 != 0, "not a response");
    let mut at = 12;
    for _ in 0..word(4) {
        at = skip_name(answer, at) + 4;
    }
    let mut opt = None;
    for _ in 0..word(6) + word(8) + word(10) {
        let owner = at;
        at = skip_name(answer, at);
        let length = usize::from(word(at + 8));
        if word(at) == 41 {
            assert!(opt.is_none() && answer[owner] == 0, "one OPT, of the root");
            opt = Some((at, length));
        }
        at += 10 + length;
    }
    assert_eq!(at, answer.len(), "rubbish behind the last record");
    let high = opt.map_or(0, |(at, _)| u16::from(answer[at + 4]));
    let code = match high << 4 | bits & 0xf {
        0 => "NOERROR".to_owned(),
        1 => "FORMERR".to_owned(),
        3 => "NXDOMAIN".to_owned(),
        4 => "NOTIMP".to_owned(),
        5 => "REFUSED".to_owned(),
        16 => "BADVERS".to_owned(),
        other => format!("RCODE{other}"),
    };
    let mut line = code;
    for (bit, name) in [
        (AA, "aa"),
        (TC, "tc"),
        (RD, "rd"),
        (RA, "ra"),
        (Z, "z"),
        (AD, "ad"),
        (CD, "cd"),
    ] {
        if bits & bit != 0 {
            line = format!("{line} {name}");
        }
    }
    line = format!("{line} an={} ns={}", word(6), word(8));
    if let Some((at, length)) = opt {
        let (size, version, flags) = (word(at + 2), answer[at + 5], word(at + 6));
        line = format!("{line} | edns {version} {size}");
        if flags & DO != 0 {
            line += " do";
        }
        if flags & !DO != 0 {
            line = format!("{line} flags={flags:x}");
        }
        line += &option_list(&answer[at + 10..at + 10 + length]);
    }
    line
}

fn option_list(mut data: &[u8]) -> String {
    let mut line = String::new();
    while let [a, b, c, d, rest @ ..] = data {
        let (code, length) = (
            u16::from_be_bytes([*a, *b]),
            usize::from(u16::from_be_bytes([*c, *d])),
        );
        let (value, rest) = rest.split_at(length);
        line += &match code {
            3 => format!(" nsid={}", value.len()),
            // The server's part is another each time.
            10 => format!(" cookie={}+{}", hex(&value[..8]), value.len() - 8),
            code => format!(" {code}={}", hex(value)),
        };
        data = rest;
    }
    assert!(data.is_empty(), "an option is cut");
    line
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn skip_name(answer: &[u8], mut at: usize) -> usize {
    loop {
        match answer[at] {
            0 => return at + 1,
            length if length >= 0xc0 => return at + 2,
            length => at += 1 + usize::from(length),
        }
    }
}

/// A question, what must come back over UDP, over TCP if that differs, and why.
type Row = (
    &'static str,
    Ask,
    &'static str,
    Option<&'static str>,
    &'static str,
);

const CLIENT_COOKIE: &[u8] = &[1, 2, 3, 4, 5, 6, 7, 8];
const SUBNET: &[u8] = &[0, 1, 24, 0, 10, 2, 0];
/// The answer most rows want.
const SOA: &str = "NOERROR aa an=1 ns=0";
const SOA_EDNS: &str = "NOERROR aa an=1 ns=0 | edns 0 1232";
const BADVERS: &str = "BADVERS an=0 ns=0 | edns 0 1232";
const FORMERR: &str = "FORMERR an=0 ns=0 | edns 0 1232";

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Plain DNS.
    ("dns", PLAIN, SOA, None, "no OPT in the question, none in the answer (RFC 6891 §7)"),
    ("dns rd", flags(RD), "NOERROR aa rd an=1 ns=0", None, "RD is copied, RA stays clear (RFC 1035 §4.1.1)"),
    ("dns ra", flags(RA), SOA, None, "RA is the server's bit"),
    ("dns z", flags(Z), SOA, None, "Z must be zero in answers (RFC 1035 §4.1.1)"),
    ("dns ad", flags(AD), SOA, None, "an authoritative server has validated nothing (RFC 4035 §3.1.6)"),
    ("dns cd", flags(CD), SOA, None, "CD is the resolver's (RFC 4035 §3.1.6)"),
    ("dns tc", flags(TC), SOA, None, "TC in a question means nothing"),
    ("dns aa", flags(AA), SOA, None, "AA in a question means nothing"),
    ("dns every flag", flags(AA | TC | RD | RA | Z | AD | CD), "NOERROR aa rd an=1 ns=0", None, "no flag but RD is an echo"),
    ("dns unknown type", Ask { rtype: 666, ..PLAIN }, "NOERROR aa an=0 ns=1", None, "an unknown type is a type (RFC 3597 §3)"),
    ("dns unknown class", Ask { class: 4242, ..PLAIN }, "REFUSED an=0 ns=0", None, "QCLASS counts"),
    ("dns no question", Ask { questions: 0, ..PLAIN }, "FORMERR an=0 ns=0", None, "nothing was asked"),
    ("dns two questions", Ask { questions: 2, ..PLAIN }, "FORMERR an=0 ns=0", None, "no more than one (RFC 9619)"),
    ("dns 512", Ask { name: "big.", rtype: 16, ..PLAIN }, "NOERROR aa tc an=0 ns=0", Some("NOERROR aa an=16 ns=0"), "512 bytes without EDNS (RFC 1035 §4.2.1), whole sets only (RFC 2181 §9)"),
    // Operations.
    ("opcode 1", opcode(1), "NOTIMP an=0 ns=0", None, "inverse queries are obsolete (RFC 3425)"),
    ("opcode 2", opcode(2), "NOTIMP an=0 ns=0", None, "STATUS was never defined"),
    ("opcode 3", opcode(3), "NOTIMP an=0 ns=0", None, "unassigned"),
    ("opcode 6", opcode(6), "NOTIMP an=0 ns=0", None, "DSO must be answered NOTIMP by who lacks it (RFC 8490 §5.1.1)"),
    ("opcode 15", opcode(15), "NOTIMP an=0 ns=0", None, "the tester's unknown operation"),
    ("opcode 15 with flags", Ask { opcode: 15, flags: RD | Z | AD | CD, ..PLAIN }, "NOTIMP rd an=0 ns=0", None, "no flag but RD is an echo"),
    // EDNS.
    ("edns", edns(EDNS), SOA_EDNS, None, "RFC 6891 §6.1.1"),
    ("edns do", edns(Edns { flags: DO, ..EDNS }), "NOERROR aa an=1 ns=0 | edns 0 1232 do", None, "DO is copied (RFC 3225 §3)"),
    ("edns z", edns(Edns { flags: 0x40, ..EDNS }), SOA_EDNS, None, "unknown flags are ignored and not sent (RFC 6891 §6.1.4)"),
    ("edns every flag", edns(Edns { flags: 0xffff, ..EDNS }), "NOERROR aa an=1 ns=0 | edns 0 1232 do", None, "of all flags DO is known"),
    ("edns with header flags", Ask { flags: RD | AD | CD | Z, ..edns(EDNS) }, "NOERROR aa rd an=1 ns=0 | edns 0 1232", None, "the two kinds of flags are independent"),
    ("edns at 512", Ask { name: "big.", rtype: 16, ..edns(Edns { bytes_max: 512, ..EDNS }) }, "NOERROR aa tc an=0 ns=0 | edns 0 1232", Some("NOERROR aa an=16 ns=0 | edns 0 1232"), "the client's size is kept (RFC 6891 §6.2.3), OPT stays when TC is set (§7)"),
    ("edns below 512", Ask { name: "big.", rtype: 16, ..edns(Edns { bytes_max: 100, ..EDNS }) }, "NOERROR aa tc an=0 ns=0 | edns 0 1232", Some("NOERROR aa an=16 ns=0 | edns 0 1232"), "less than 512 counts as 512 (RFC 6891 §6.2.3)"),
    ("edns at 0", edns(Edns { bytes_max: 0, ..EDNS }), SOA_EDNS, None, "the same"),
    ("edns at 65535", Ask { name: "big.", rtype: 16, ..edns(Edns { bytes_max: 65_535, ..EDNS }) }, "NOERROR aa tc an=0 ns=0 | edns 0 1232", Some("NOERROR aa an=16 ns=0 | edns 0 1232"), "the server's own bound holds (DNS flag day 2020)"),
    ("edns unknown opcode", Ask { opcode: 15, ..edns(EDNS) }, "NOTIMP an=0 ns=0", None, "what an unknown operation's OPT means is unknown"),
    // Versions.
    ("edns1", edns(Edns { version: 1, ..EDNS }), BADVERS, None, "RFC 6891 §6.1.3"),
    ("edns255", edns(Edns { version: 255, ..EDNS }), BADVERS, None, "any version above ours"),
    ("edns1 do", edns(Edns { version: 1, flags: DO, ..EDNS }), "BADVERS an=0 ns=0 | edns 0 1232 do", None, "flags are of the record, not of the version"),
    ("edns1 z", edns(Edns { version: 1, flags: 0x40, ..EDNS }), BADVERS, None, "unknown flags are ignored there too"),
    ("edns1 unknown option", edns(Edns { version: 1, options: &[(100, &[1, 2])], ..EDNS }), BADVERS, None, "options of another version are not judged"),
    ("edns1 malformed option", edns(Edns { version: 1, options: &[(8, &[1])], ..EDNS }), BADVERS, None, "not even when ours would be malformed"),
    // Options.
    ("unknown option", options(&[(100, &[1, 2, 3])]), SOA_EDNS, None, "ignored, not sent back (RFC 6891 §6.1.2)"),
    ("unknown empty option", options(&[(100, &[])]), SOA_EDNS, None, "an option may be empty"),
    ("reserved option 0", options(&[(0, &[1])]), SOA_EDNS, None, "reserved is unknown"),
    ("experimental option", options(&[(65_001, &[9; 64])]), SOA_EDNS, None, "so is local use"),
    ("nsid", options(&[(3, &[])]), SOA_EDNS, None, "not configured, not sent (RFC 5001 §2.2)"),
    ("expire", options(&[(9, &[])]), SOA_EDNS, None, "a primary has no expiry to tell (RFC 7314 §3.2)"),
    ("dau dhu n3u", options(&[(5, &[8]), (6, &[1]), (7, &[1])]), SOA_EDNS, None, "algorithm signals change nothing (RFC 6975 §5)"),
    ("chain", options(&[(13, &[0])]), SOA_EDNS, None, "not ours (RFC 7901 is the resolver's)"),
    ("ede in a question", options(&[(15, &[0, 1])]), SOA_EDNS, None, "extended errors are for answers (RFC 8914 §2)"),
    ("padding", options(&[(12, &[0; 100])]), SOA_EDNS, None, "no padding where everybody can read (RFC 7830 §6)"),
    ("subnet", options(&[(8, SUBNET)]), "NOERROR aa an=1 ns=0 | edns 0 1232 8=000118000a0200", None, "scope 0 for a static name (RFC 7871 §7.2.1)"),
    ("subnet of nobody", options(&[(8, &[0, 1, 0, 0])]), "NOERROR aa an=1 ns=0 | edns 0 1232 8=00010000", None, "an opt-out is answered too (RFC 7871 §7.1.2)"),
    ("subnet of an unknown family", options(&[(8, &[0, 9, 24, 0, 1, 2, 3])]), FORMERR, None, "RFC 7871 §7.2.1"),
    ("subnet with a scope", options(&[(8, &[0, 1, 24, 24, 10, 2, 0])]), FORMERR, None, "RFC 7871 §6"),
    ("subnet with bits behind", options(&[(8, &[0, 1, 23, 0, 10, 2, 1])]), FORMERR, None, "RFC 7871 §6"),
    ("subnet too short", options(&[(8, &[0, 1, 24])]), FORMERR, None, "RFC 7871 §6"),
    ("subnet twice", options(&[(8, SUBNET), (8, SUBNET)]), FORMERR, None, "which of the two?"),
    ("cookie", options(&[(10, CLIENT_COOKIE)]), "NOERROR aa an=1 ns=0 | edns 0 1232 cookie=0102030405060708+16", None, "RFC 7873 §5.2.3, RFC 9018 §4"),
    ("cookie with a strange server part", options(&[(10, &[7; 40])]), "NOERROR aa an=1 ns=0 | edns 0 1232 cookie=0707070707070707+16", None, "answered as if there were none (RFC 7873 §5.2.4)"),
    ("cookie of 7", options(&[(10, &[7; 7])]), FORMERR, None, "RFC 7873 §5.2.2"),
    ("cookie of 9", options(&[(10, &[7; 9])]), FORMERR, None, "RFC 7873 §5.2.2"),
    ("cookie of 41", options(&[(10, &[7; 41])]), FORMERR, None, "RFC 7873 §5.2.2"),
    ("cookie twice", options(&[(10, CLIENT_COOKIE), (10, &[7; 9])]), "NOERROR aa an=1 ns=0 | edns 0 1232 cookie=0102030405060708+16", None, "the first counts"),
    ("cookie alone", Ask { questions: 0, ..options(&[(10, CLIENT_COOKIE)]) }, "NOERROR an=0 ns=0 | edns 0 1232 cookie=0102030405060708+16", None, "no question is a question for a cookie (RFC 7873 §5.4)"),
    ("keepalive", options(&[(11, &[])]), SOA_EDNS, Some("NOERROR aa an=1 ns=0 | edns 0 1232 11=0064"), "ignored over UDP, the idle time over TCP (RFC 7828 §3.3.2)"),
    ("keepalive with a time", options(&[(11, &[0, 100])]), SOA_EDNS, Some(FORMERR), "a question has none (RFC 7828 §3.2.1)"),
    ("option list", options(&[(3, &[]), (8, SUBNET), (10, CLIENT_COOKIE), (100, &[1]), (12, &[])]), "NOERROR aa an=1 ns=0 | edns 0 1232 8=000118000a0200 cookie=0102030405060708+16", None, "each for itself"),
    ("everything", Ask { flags: RD | AD | CD, ..edns(Edns { bytes_max: 1232, flags: 0xffff, version: 0, options: &[(10, CLIENT_COOKIE), (8, SUBNET), (65_001, &[1]), (11, &[])] }) }, "NOERROR aa rd an=1 ns=0 | edns 0 1232 do 8=000118000a0200 cookie=0102030405060708+16", Some("NOERROR aa rd an=1 ns=0 | edns 0 1232 do 8=000118000a0200 cookie=0102030405060708+16 11=0064"), "all at once"),
    ("nowhere with options", Ask { name: "nowhere.example.test.", ..options(&[(8, SUBNET), (10, CLIENT_COOKIE)]) }, "NXDOMAIN aa an=0 ns=1 | edns 0 1232 8=000118000a0200 cookie=0102030405060708+16", None, "negative answers have options too, and scope 0"),
    ("refused with a cookie", Ask { name: "example.net.", ..options(&[(10, CLIENT_COOKIE)]) }, "REFUSED an=0 ns=0 | edns 0 1232 cookie=0102030405060708+16", None, "so have errors"),
];

/// Sixteen strings of 100 bytes at `big.`: more than 1,232 bytes.
fn big_zone() -> Arc<meridian_geodns::zone::StaticZone> {
    let big = b"\x03big\0";
    let mut zone = StaticZoneBuilder::new(big);
    let soa = [&big[..], big, &[0; 20]].concat();
    zone.record(big, RType::SOA, 300, &soa);
    zone.record(big, RType::NS, 300, big);
    for n in 0..16 {
        let text = [&[100][..], &[b'a' + n; 100]].concat();
        zone.record(big, RType::TXT, 300, &text);
    }
    Arc::new(zone.build().unwrap())
}

fn over_udp(rig: &Rig, packet: &[u8]) -> Vec<u8> {
    let socket = rig.udp();
    socket.send(packet).unwrap();
    let mut answer = vec![0; 65_535];
    let bytes = socket.recv(&mut answer).unwrap();
    answer.truncate(bytes);
    answer
}

fn over_tcp(rig: &Rig, packet: &[u8]) -> Vec<u8> {
    let mut stream = rig.tcp();
    let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length, packet].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_of_the_compliance_testers_is_answered_as_it_must_be() {
    let rig = Rig::start(|_| ());
    rig.shelf.put(ZoneSource::File, big_zone()).unwrap();
    let big = Ask {
        name: "big.",
        ..PLAIN
    }
    .bytes(1);
    let start = std::time::Instant::now();
    while summary(&over_tcp(&rig, &big)) != SOA {
        assert!(start.elapsed() < DEADLINE, "the zone never came");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let mut wrong = Vec::new();
    for (at, (case, ask, udp, tcp, why)) in ROWS.iter().enumerate() {
        let id = u16::try_from(at).unwrap() + 0x4d00;
        let packet = ask.bytes(id);
        let from_udp = over_udp(&rig, &packet);
        let from_tcp = over_tcp(&rig, &packet);
        for (how, answer, expected) in [
            ("udp", &from_udp, *udp),
            ("tcp", &from_tcp, tcp.unwrap_or(udp)),
        ] {
            assert_eq!(answer[..2], id.to_be_bytes(), "{case}: the id");
            let found = summary(answer);
            if found != expected {
                wrong.push(format!(
                    "{case} over {how} ({why}):\n  want {expected}\n  have {found}"
                ));
            }
        }
        let bound = ask
            .edns
            .map_or(512, |edns| usize::from(edns.bytes_max).clamp(512, 1232));
        assert!(from_udp.len() <= bound, "{case}: {} bytes", from_udp.len());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    rig.stop().await;
}
