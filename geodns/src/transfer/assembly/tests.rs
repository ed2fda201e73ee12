//! Transfers put together from records, and what is no transfer.

use proptest::prelude::*;

use super::*;
use crate::transfer::config::parse_name;
use crate::transfer::record::with_serial;
use crate::transfer::snapshot::Snapshot;

fn name(text: &str) -> WireName {
    parse_name(text).unwrap()
}

fn soa_data(serial: u32) -> Box<[u8]> {
    let data = [&*name("ns.z.test"), &*name("admin.z.test"), &[0; 20]].concat();
    with_serial(&data, serial)
}

fn soa(serial: u32) -> RawRecord {
    raw("z.test", 6, &soa_data(serial))
}

fn raw(owner: &str, rtype: u16, data: &[u8]) -> RawRecord {
    RawRecord {
        record: Record {
            owner: name(owner),
            rtype: RType(rtype),
            ttl: 60,
            data: data.into(),
        },
        class: Class::IN,
    }
}

fn ns() -> RawRecord {
    raw("z.test", 2, &name("ns.z.test"))
}

fn a(owner: &str, last: u8) -> RawRecord {
    raw(owner, 1, &[192, 0, 2, last])
}

/// A zone with these hosts.
fn zone(serial: u32, hosts: &[(&str, u8)]) -> Arc<StaticZone> {
    let mut builder = StaticZoneBuilder::new(&name("z.test"));
    add(&mut builder, &soa(serial).record);
    add(&mut builder, &ns().record);
    for (host, last) in hosts {
        add(&mut builder, &a(host, *last).record);
    }
    Arc::new(builder.build().unwrap())
}

fn lines(zone: &StaticZone) -> Vec<String> {
    let shown = |record: crate::zone::RecordRef<'_>| {
        let owner = DisplayName(record.owner.into());
        format!("{owner} {} {}", record.rtype.0, record.data.escape_ascii())
    };
    let mut lines: Vec<_> = zone.records().map(shown).collect();
    lines.sort();
    lines
}

fn assemble(
    current: Option<&Arc<StaticZone>>,
    records: Vec<RawRecord>,
) -> Result<Assembled, AssemblyError> {
    let mut assembly = Assembly::new(Arc::from(&*name("z.test")), current.cloned(), 1 << 20);
    for record in records {
        assembly.push(record)?;
    }
    assert!(assembly.is_complete(), "{assembly:?}");
    assembly.finish()
}

fn assembled(current: Option<&Arc<StaticZone>>, records: Vec<RawRecord>) -> (Kind, StaticZone) {
    match assemble(current, records) {
        Ok(Assembled::Zone(kind, zone)) => (kind, zone),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_whole_zone() {
    let records = vec![soa(5), ns(), a("a.z.test", 1), a("b.z.test", 2), soa(5)];
    let (kind, got) = assembled(None, records);
    assert_eq!(kind, Kind::Full);
    assert_eq!(
        lines(&got),
        lines(&zone(5, &[("a.z.test", 1), ("b.z.test", 2)]))
    );
}

#[test]
fn increments_in_one_and_in_several_steps() {
    let have = zone(5, &[("a.z.test", 1), ("b.z.test", 2)]);
    let records = vec![
        soa(7),
        soa(5),
        a("a.z.test", 1),
        soa(6),
        a("c.z.test", 3),
        soa(6),
        a("c.z.test", 3),
        soa(7),
        a("c.z.test", 4),
        soa(7),
    ];
    let (kind, got) = assembled(Some(&have), records);
    assert_eq!(kind, Kind::Incremental);
    assert_eq!(
        lines(&got),
        lines(&zone(7, &[("b.z.test", 2), ("c.z.test", 4)]))
    );
    // An IXFR may be answered by the whole zone.
    let (kind, got) = assembled(Some(&have), vec![soa(9), ns(), a("d.z.test", 9), soa(9)]);
    assert_eq!(kind, Kind::Full);
    assert_eq!(lines(&got), lines(&zone(9, &[("d.z.test", 9)])));
}

#[test]
fn one_soa_says_up_to_date() {
    let have = zone(5, &[]);
    for serial in [5, 4] {
        match assemble(Some(&have), vec![soa(serial)]) {
            Ok(Assembled::NotNewer(said)) => assert_eq!(said, serial),
            other => panic!("{other:?}"),
        }
    }
    // A newer one is the start of a transfer.
    let mut assembly = Assembly::new(Arc::from(&*name("z.test")), Some(have), 1 << 20);
    assembly.push(soa(6)).unwrap();
    assert!(!assembly.is_complete());
}

#[test]
fn what_is_no_transfer_is_refused() {
    let have = zone(5, &[("a.z.test", 1)]);
    let check = |records: Vec<RawRecord>, wanted: &str| match assemble(Some(&have), records) {
        Err(error) => assert!(
            error.to_string().contains(wanted),
            "{error}: not `{wanted}`"
        ),
        Ok(done) => panic!("{done:?}"),
    };
    check(vec![a("a.z.test", 1)], "does not start");
    check(vec![soa(7), soa(4)], "from serial 7 to 4");
    check(vec![soa(7), ns(), soa(8)], "from serial 7 to 8");
    check(
        vec![soa(7), soa(5), a("q.z.test", 1)],
        "that we do not have",
    );
    check(vec![soa(7), soa(5), soa(6), soa(5)], "from serial 6 to 5");
    check(vec![soa(7), ns(), soa(7), ns()], "behind the end");
    let mut other = ns();
    other.class = Class(3);
    check(vec![soa(7), other], "class");
    let mut small = Assembly::new(Arc::from(&*name("z.test")), None, 80);
    small.push(soa(7)).unwrap();
    assert!(matches!(
        small.push(ns()),
        Err(AssemblyError::TooLarge { bytes_max: 80 })
    ));
}

/// Hosts of a generated zone.
fn hosts(bits: u16) -> Vec<(&'static str, u8)> {
    const NAMES: [&str; 8] = [
        "a.z.test",
        "b.z.test",
        "c.z.test",
        "d.z.test",
        "*.z.test",
        "e.a.z.test",
        "f.a.z.test",
        "g.z.test",
    ];
    let set = NAMES.iter().enumerate();
    set.filter(|(at, _)| bits & (1 << at) != 0)
        .map(|(at, name)| (*name, (bits >> 8) as u8 & (at as u8 + 1)))
        .collect()
}

proptest! {
    /// The steps between generated zones lead from the first to the last.
    #[test]
    fn steps_lead_where_they_should(states in proptest::collection::vec(any::<u16>(), 2..6)) {
        let zones: Vec<Arc<StaticZone>> = states
            .iter()
            .enumerate()
            .map(|(at, bits)| zone(at as u32 + 1, &hosts(*bits)))
            .collect();
        let last = zones.last().unwrap();
        let end = soa(last.serial());
        let mut records = vec![end.clone()];
        for pair in zones.windows(2) {
            let (from, to) = (Snapshot::plain(pair[0].clone()), Snapshot::plain(pair[1].clone()));
            let step = from.diff(&to).unwrap();
            records.extend(step.records().map(|record| RawRecord { record: record.into(), class: Class::IN }));
        }
        records.push(end);
        let (kind, got) = assembled(Some(&zones[0]), records);
        prop_assert_eq!(kind, Kind::Incremental);
        prop_assert_eq!(lines(&got), lines(last));
    }

    /// Records in any order never panic, and never make a zone without a last SOA.
    #[test]
    fn any_order_is_an_error_or_a_transfer(picks in proptest::collection::vec(0_usize..6, 0..12)) {
        let have = zone(5, &[("a.z.test", 1)]);
        let pool = [soa(5), soa(6), soa(7), ns(), a("a.z.test", 1), a("b.z.test", 2)];
        let mut assembly = Assembly::new(Arc::from(&*name("z.test")), Some(have), 1 << 20);
        for pick in picks {
            if assembly.push(pool[pick].clone()).is_err() {
                return Ok(());
            }
        }
        if assembly.is_complete() {
            let _ = assembly.finish();
        }
    }
}
