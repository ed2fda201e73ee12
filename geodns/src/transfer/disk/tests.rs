use super::*;
use crate::transfer::config::parse_name;

fn zone(serial: u8) -> StaticZone {
    let name = |text: &str| parse_name(text).unwrap();
    let mut builder = StaticZoneBuilder::new(&name("z.test"));
    let mut soa = [&*name("ns.z.test"), &*name("a.z.test"), &[0; 20]].concat();
    let at = soa.len() - 17;
    soa[at] = serial;
    builder.record(&name("z.test"), RType::SOA, 60, &soa);
    builder.record(&name("z.test"), RType::NS, 60, &name("ns.z.test"));
    builder.record(&name("*.z.test"), RType::TXT, 60, b"\x05hello");
    builder.build().unwrap()
}

#[test]
fn a_zone_survives_and_damage_is_noticed() {
    let state = tempfile::tempdir().unwrap();
    let folder = ZoneFolder::open(state.path()).unwrap();
    let origin = parse_name("z.test").unwrap();
    assert!(folder.load(&origin).unwrap().is_none());
    folder.save(&zone(1)).unwrap();
    folder.save(&zone(2)).unwrap();
    let kept = folder.load(&origin).unwrap().unwrap();
    assert_eq!(kept.zone.serial(), 2);
    assert!(kept.zone.records().eq(zone(2).records()));
    folder.confirm(&origin, 1_000_000).unwrap();
    assert_eq!(
        folder.load(&origin).unwrap().unwrap().confirmed_at,
        1_000_000
    );

    let path = folder.path(&origin, SUFFIX);
    let whole = std::fs::read(&path).unwrap();
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 1;
        std::fs::write(&path, &damaged).unwrap();
        assert!(
            matches!(folder.load(&origin), Err(DiskError::Damaged { .. })),
            "byte {at}"
        );
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(
            matches!(folder.load(&origin), Err(DiskError::Damaged { .. })),
            "cut at {at}"
        );
    }
    // Of another zone.
    std::fs::write(
        folder.path(&parse_name("other.test").unwrap(), SUFFIX),
        &whole,
    )
    .unwrap();
    assert!(folder.load(&parse_name("other.test").unwrap()).is_err());
    folder.remove(&origin).unwrap();
    folder.remove(&origin).unwrap();
    assert!(folder.load(&origin).unwrap().is_none());
}

#[test]
fn every_origin_has_a_file_name_of_its_own() {
    let name = |wire: &[u8]| file_name(wire);
    assert_eq!(name(b"\x01z\x04test\0"), "z.test");
    assert_eq!(name(b"\0"), "%2e");
    assert_eq!(name(b"\x03a/b\x02..\0"), "a%2fb.%2e%2e");
    assert_eq!(name(b"\x01%\0"), "%25");
    let long = [[63; 1].as_slice(), &[b'/'; 63], &[63], &[b'/'; 63], &[0]].concat();
    assert!(name(&long).starts_with("%sum") && name(&long).len() < 100);
}
