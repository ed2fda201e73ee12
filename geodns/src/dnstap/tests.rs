#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use std::io::Cursor;

use super::config::{DnstapFile, DnstapTarget};
use super::frame::{CONTENT_TYPE, Control, expect_control, write_control};
use super::*;

fn config(to: DnstapTarget) -> DnstapConfig {
    DnstapConfig {
        to,
        identity: "ns1".into(),
        sample_rate: SampleRate::default(),
        queries: true,
        responses: true,
        queue: 64,
    }
}

fn file(folder: &std::path::Path, max_bytes: u64, max_files: usize) -> DnstapConfig {
    config(DnstapTarget::File(DnstapFile {
        path: folder.join("tap"),
        max_bytes,
        max_files,
    }))
}

fn tapped<'a>(query: &'a [u8], response: Option<&'a [u8]>) -> Tapped<'a> {
    Tapped {
        query,
        response,
        source: "192.0.2.7:4711".parse().unwrap(),
        transport: Transport::Udp,
    }
}

#[test]
fn a_message_byte_by_byte() {
    let mut out = Vec::new();
    let moment = Moment {
        seconds: 300,
        nanos: 0x0102_0304,
    };
    let client = "192.0.2.7:80".parse().unwrap();
    Encoder::new(b"ns1").encode(
        &mut out,
        Kind::AuthQuery,
        &[0xaa, 0xbb],
        client,
        Transport::Tcp,
        moment,
    );
    let version = concat!("meridian ", env!("CARGO_PKG_VERSION"));
    let mut wanted = vec![0x0a, 3, b'n', b's', b'1', 0x12, version.len() as u8];
    wanted.extend_from_slice(version.as_bytes());
    // Message of 26 bytes: type, family, protocol, address, port, time, query.
    wanted.extend([0x72, 26, 0x08, 1, 0x10, 1, 0x18, 2]);
    wanted.extend([0x22, 4, 192, 0, 2, 7, 0x30, 80]);
    wanted.extend([0x40, 0xac, 0x02, 0x4d, 4, 3, 2, 1]);
    wanted.extend([0x52, 2, 0xaa, 0xbb, 0x78, 1]);
    assert_eq!(out, wanted);
}

#[test]
fn handshakes_take_dnstap_and_nothing_else() {
    let mut frame = Vec::new();
    write_control(&mut frame, Control::Accept).unwrap();
    assert_eq!(frame.len(), 4 + 4 + 4 + 8 + CONTENT_TYPE.len());
    expect_control(&mut Cursor::new(&frame), Control::Accept).unwrap();
    assert!(expect_control(&mut Cursor::new(&frame), Control::Finish).is_err());
    for at in 0..frame.len() {
        assert!(
            expect_control(&mut Cursor::new(&frame[..at]), Control::Accept).is_err(),
            "cut at {at}"
        );
    }
    *frame.last_mut().unwrap() ^= 1;
    assert!(expect_control(&mut Cursor::new(&frame), Control::Accept).is_err());
    let endless = [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];
    assert!(expect_control(&mut Cursor::new(&endless), Control::Accept).is_err());
    // FINISH has no content type.
    let mut frame = Vec::new();
    write_control(&mut frame, Control::Finish).unwrap();
    expect_control(&mut Cursor::new(&frame), Control::Finish).unwrap();
}

/// The data frames of a whole file, and that it begins with START and ends with STOP.
fn frames(path: &std::path::Path) -> usize {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = bytes.as_slice();
    let (mut controls, mut data) = (Vec::new(), 0);
    let next = |rest: &mut &[u8]| {
        let (head, behind) = rest.split_first_chunk::<4>().unwrap();
        *rest = behind;
        u32::from_be_bytes(*head) as usize
    };
    while !rest.is_empty() {
        let mut length = next(&mut rest);
        if length == 0 {
            length = next(&mut rest);
            controls.push(rest[3]);
        } else {
            data += 1;
        }
        rest = &rest[length..];
    }
    assert_eq!(controls, [2, 3], "{}", path.display());
    data
}

#[test]
fn files_are_whole_and_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let metrics = Metrics::new();
    // Smaller than the configuration allows, so that little traffic rotates it.
    let tap = Tap::start(&file(folder.path(), 4_096, 3), &metrics).unwrap();
    let (query, response) = ([1_u8; 100], [2_u8; 200]);
    for _ in 0..400 {
        tap.offer(&tapped(&query, Some(&response)));
        while tap.shared.full.len() > 32 {
            std::thread::yield_now();
        }
    }
    let shared = Arc::clone(&tap.shared);
    drop(tap);
    assert_eq!(
        (shared.metrics.written.get(), shared.metrics.dropped.get()),
        (800, 0)
    );
    assert_eq!(shared.queued_bytes.load(Ordering::Relaxed), 0);
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["tap", "tap.1", "tap.2"]);
    for name in &names {
        assert!(frames(&folder.path().join(name)) > 0, "{name}");
    }
    // The next process puts the last file aside.
    drop(Tap::start(&file(folder.path(), 65_536, 3), &Metrics::new()).unwrap());
    assert_eq!(frames(&folder.path().join("tap")), 0);
    assert!(frames(&folder.path().join("tap.1")) > 0);
}

#[test]
fn without_a_reader_frames_are_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = config(DnstapTarget::Unix(folder.path().join("nobody")));
    let tap = Tap::start(&nobody, &Metrics::new()).unwrap();
    for _ in 0..100 {
        tap.offer(&tapped(&[1; 40], Some(&[2; 60])));
    }
    let shared = Arc::clone(&tap.shared);
    assert_eq!(shared.metrics.dropped.get(), 200 - 64);
    drop(tap);
    assert_eq!(shared.metrics.written.get(), 0);
}

#[test]
fn the_sample_is_what_was_asked_for() {
    let rate = |text: &str| serde_json::from_str::<SampleRate>(text);
    for (text, wanted) in [("0", 0.0), ("1.0", 1.0), ("0.25", 0.25)] {
        let rate = rate(text).unwrap();
        let taken = (0..10_000).filter(|draw| rate.takes(*draw)).count();
        let share = taken as f64 / 10_000.0;
        assert!((share - wanted).abs() < 0.02, "{text}: {share}");
    }
    assert!(rate("1.5").is_err() && rate("-0.1").is_err());
}
