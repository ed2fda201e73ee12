use super::*;
use crate::transfer::config::parse_name;

fn key(name: &str) -> SetKey {
    (parse_name(name).unwrap(), RType::TXT)
}

fn put(layer: &mut Layer, name: &str, texts: &[&[u8]]) -> Vec<SetKey> {
    layer.serial += 1;
    let data: Vec<Box<[u8]>> = texts.iter().map(|text| Box::from(*text)).collect();
    if data.is_empty() {
        layer.sets.remove(&key(name));
    } else {
        layer.sets.insert(key(name), LayerSet { ttl: 60, data });
    }
    vec![key(name)]
}

#[test]
fn what_was_written_is_there_again_and_a_torn_end_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.test.updates");
    let origin = parse_name("z.test").unwrap();
    let mut opened = Journal::open(&path, &origin).unwrap();
    assert_eq!((opened.layer, opened.cut), (Layer::default(), 0));
    let mut layer = Layer::default();
    let mut states = vec![(std::fs::read(&path).unwrap().len(), layer.clone())];
    for (name, texts) in [
        ("a.z.test", &[&b"\x01a"[..], b"\x01b"][..]),
        ("b.z.test", &[b"\x01c"]),
        ("a.z.test", &[b"\x01d"]),
        ("b.z.test", &[]),
    ] {
        let changed = put(&mut layer, name, texts);
        opened.journal.append(&layer, &changed).unwrap();
        states.push((std::fs::read(&path).unwrap().len(), layer.clone()));
    }
    drop(opened.journal);
    let whole = std::fs::read(&path).unwrap();
    // Cut anywhere, it holds the last update that was written whole.
    for bytes in states[0].0..=whole.len() {
        std::fs::write(&path, &whole[..bytes]).unwrap();
        let (at, wanted) = states.iter().rev().find(|(at, _)| *at <= bytes).unwrap();
        let opened = Journal::open(&path, &origin).unwrap();
        assert_eq!(&opened.layer, wanted, "cut at {bytes}");
        assert_eq!(opened.cut, (bytes - at) as u64);
        // And what comes next is written behind it.
        let (mut journal, mut layer) = (opened.journal, opened.layer);
        let changed = put(&mut layer, "n.z.test", &[b"\x01n"]);
        journal.append(&layer, &changed).unwrap();
        assert_eq!(Journal::open(&path, &origin).unwrap().layer, layer);
    }
    // Any flipped byte ends the reading there; it never panics.
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x11;
        std::fs::write(&path, &damaged).unwrap();
        if let Ok(opened) = Journal::open(&path, &origin) {
            assert!(
                states.iter().any(|(_, state)| *state == opened.layer),
                "byte {at}"
            );
        }
    }
    assert!(Journal::open(&path, &parse_name("other.test").unwrap()).is_err());
}

#[test]
fn a_long_history_is_written_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("z.test.updates");
    let origin = parse_name("z.test").unwrap();
    let mut journal = Journal::open(&path, &origin).unwrap().journal;
    let mut layer = Layer::default();
    let text = [&[255][..], &[b'x'; 255]].concat();
    let texts = vec![&text[..]; 64];
    let mut largest = 0;
    for _ in 0..150 {
        let changed = put(&mut layer, "a.z.test", &texts);
        journal.append(&layer, &changed).unwrap();
        largest = largest.max(std::fs::metadata(&path).unwrap().len());
    }
    assert!(largest < COMPACT_BYTES + 100_000, "{largest}");
    assert_eq!(Journal::open(&path, &origin).unwrap().layer, layer);
}
