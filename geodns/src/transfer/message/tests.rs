//! Messages read and written; hickory-proto is the second opinion.

use hickory_proto::op::Message as Hickory;
use proptest::prelude::*;

use super::*;

fn name(text: &str) -> WireName {
    crate::transfer::config::parse_name(text).unwrap()
}

fn head() -> Head {
    Head {
        id: 7,
        opcode: Opcode::QUERY,
        is_response: true,
        authoritative: true,
        recursion_desired: false,
    }
}

fn record(owner: &str, rtype: u16, data: &[u8]) -> Record {
    Record {
        owner: name(owner),
        rtype: RType(rtype),
        ttl: 300,
        data: data.into(),
    }
}

/// A record of every layout.
fn records() -> Vec<Record> {
    let host = name("Host.example.test");
    let soa = [&*name("ns.example.test"), &*host, &[0; 20]].concat();
    let with = |head: &[u8]| [head, &host].concat();
    vec![
        record("example.test", 6, &soa),
        record("example.test", 2, &host),
        record("example.test", 15, &with(&[0, 10])),
        record("a.example.test", 1, &[192, 0, 2, 1]),
        record("b.example.test", 16, b"\x03abc\x00"),
        record("_s._tcp.example.test", 33, &with(&[0, 1, 0, 2, 0, 80])),
        record("n.example.test", 35, &with(b"\0\x01\0\x02\x01u\x03E2U\0")),
        record(
            "r.example.test",
            46,
            &[&with(&[0; 18])[..], b"signature"].concat(),
        ),
        record(
            "h.example.test",
            65,
            &[&with(&[0, 1])[..], b"\0\x01\0\x03\x02h2"].concat(),
        ),
        record("d.example.test", 39, &host),
        record("x.example.test", 65_280, b"anything"),
    ]
}

#[test]
fn what_is_written_is_read_again() {
    let question = [&*name("example.test"), &[0, 252, 0, 1]].concat();
    let mut builder = Builder::new(head(), Some(&question), 65_535);
    for record in records() {
        builder.record(Section::Answer, record.as_ref()).unwrap();
    }
    let packet = builder.finish(Rcode::NoError, Some(1232));
    let read = Message::read(&packet).unwrap();
    let answers: Vec<_> = read.answers.into_iter().map(|raw| raw.record).collect();
    // The case of names in data survives compression, unless a name was written before in another.
    let lowered = |records: Vec<Record>| -> Vec<Record> {
        let lower = |mut record: Record| {
            record.data = super::super::record::comparable(record.rtype, &record.data);
            record
        };
        records.into_iter().map(lower).collect()
    };
    assert_eq!(lowered(answers), lowered(records()));
    let hickory = Hickory::from_vec(&packet).unwrap();
    assert_eq!(hickory.answers.len(), records().len());
    assert_eq!(
        hickory.answers[1].data.to_string().to_lowercase(),
        "host.example.test."
    );
    // Compression works: each owner but the first is a label and a pointer.
    let spelled: usize = records()
        .iter()
        .map(|record| record.owner.len() + 10 + record.data.len())
        .sum();
    assert!(
        packet.len() + 100 < spelled,
        "{} of {spelled}",
        packet.len()
    );
}

#[test]
fn a_full_message_takes_nothing_more_and_stays_whole() {
    let mut builder = Builder::new(head(), None, 100);
    let record = record("a.example.test", 1, &[192, 0, 2, 1]);
    let mut fitted = 0;
    while builder.record(Section::Answer, record.as_ref()).is_ok() {
        fitted += 1;
    }
    let packet = builder.finish(Rcode::NoError, None);
    assert!(packet.len() <= 100);
    assert_eq!(Message::read(&packet).unwrap().answers.len(), fitted);
    assert!(fitted >= 3, "{fitted}");
}

#[test]
fn pointers_only_lead_back() {
    let head = [0, 1, 0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    let with = |question: &[u8]| [&head[..], question].concat();
    for bad in [
        &b"\xc0\x0c\0\x01\0\x01"[..],
        b"\x01a\xc0\x0c\0\x01\0\x01",
        b"\xc0\x0e\xc0\x0c\0\x01\0\x01",
        b"\xc0\x40\0\x01\0\x01",
        b"\x40a\0\0\x01\0\x01",
        b"\x80a\0\0\x01\0\x01",
    ] {
        assert!(Message::read(&with(bad)).is_err(), "{}", bad.escape_ascii());
    }
    let long = [[1, b'a'].repeat(127), vec![0, 0, 1, 0, 1]].concat();
    assert!(Message::read(&with(&long)).is_ok());
    let longer = [[1, b'a'].repeat(128), vec![0, 0, 1, 0, 1]].concat();
    assert_eq!(Message::read(&with(&longer)), Err(MessageError::Name));
}

#[test]
fn opt_and_tsig_have_their_places() {
    let mut builder = Builder::new(head(), None, 512);
    builder
        .record(Section::Answer, record(".", 41, &[]).as_ref())
        .unwrap();
    let packet = builder.finish(Rcode::NoError, None);
    assert_eq!(Message::read(&packet), Err(MessageError::Misplaced));
}

/// A message of every shape, to be damaged.
fn sample() -> Vec<u8> {
    let question = [&*name("example.test"), &[0, 6, 0, 1]].concat();
    let mut builder = Builder::new(head(), Some(&question), 65_535);
    for record in records() {
        builder.record(Section::Answer, record.as_ref()).unwrap();
    }
    for record in records() {
        builder
            .raw(Section::Authority, record.as_ref(), Class(254))
            .unwrap();
    }
    builder.finish(Rcode::NoError, Some(1232))
}

proptest! {
    #[test]
    fn reading_never_panics(packet in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Message::read(&packet);
    }

    /// Damaged messages are errors or are messages that can be written and read again.
    #[test]
    fn damaged_messages_never_panic(changes in proptest::collection::vec((0_usize..700, any::<u8>()), 1..6), cut in 0_usize..700) {
        let mut packet = sample();
        for (at, to) in changes {
            let at = at % packet.len();
            packet[at] = to;
        }
        if cut % 4 == 0 {
            packet.truncate(cut);
        }
        if let Ok(message) = Message::read(&packet) {
            let mut builder = Builder::new(head(), None, 1 << 20);
            for raw in &message.answers {
                prop_assert!(raw.record.data.len() <= 65_535);
                builder.record(Section::Answer, raw.record.as_ref()).unwrap();
            }
            let again = Message::read(&builder.finish(Rcode::NoError, None)).unwrap();
            prop_assert_eq!(again.answers.len(), message.answers.len());
        }
    }
}
