#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot set itself up has failed"
)]

use meridian_topology::{CheckKind, Millis, Ratio};
use proptest::prelude::*;

use super::*;
use crate::testing::target;

fn tcp(endpoint: &str) -> Target {
    target(endpoint, "127.0.0.1:80".parse().unwrap(), CheckKind::Tcp)
}

fn for_service(endpoint: &str, service: &str) -> Target {
    Target {
        service: Some(service.parse().unwrap()),
        ..tcp(endpoint)
    }
}

/// A table whose checks are all due at once, and a clock that only moves when told to.
struct World {
    table: Table,
    now: Instant,
}

impl World {
    fn new(targets: &[Target]) -> Self {
        let mut world = Self {
            table: Table::new(Schedule::new(1, Duration::ZERO)),
            now: Instant::now(),
        };
        world.apply(targets);
        world
    }

    fn apply(&mut self, targets: &[Target]) -> Applied {
        self.table.apply(targets, self.now)
    }

    fn slot_of(&self, target: &Target) -> Option<SlotId> {
        let same = |(_, slot): &(&SlotId, &Slot)| *slot.target == *target;
        self.table.slots.iter().find(same).map(|(id, _)| *id)
    }

    /// Probes one check now, whenever it is due.
    fn probe(&mut self, target: &Target, ok: bool) -> Option<EndpointChange> {
        let id = self.slot_of(target).unwrap();
        self.table.park(id);
        self.record(id, ok)
    }

    fn record(&mut self, id: SlotId, ok: bool) -> Option<EndpointChange> {
        let result = if ok { Ok(()) } else { Err(Failure::Refused) };
        let seen = Observation {
            began: self.now,
            ended: self.now,
            result,
        };
        self.table.record(id, &seen)
    }

    fn verdict(&self, endpoint: &str) -> Verdict {
        self.table.verdict(&endpoint.parse().unwrap())
    }
}

#[test]
fn causes_and_verdicts_are_told() {
    let target = tcp("fra-1");
    let mut world = World::new(std::slice::from_ref(&target));
    let mut told = Vec::new();
    for ok in [true, false, false, false, true, true] {
        told.extend(
            world
                .probe(&target, ok)
                .map(|change| (change.to, change.cause)),
        );
    }
    let expected = [
        (Health::Up, "probe succeeded"),
        (Health::Down, "connect refused"),
        (Health::Up, "2 probes succeeded"),
    ];
    assert_eq!(told, expected.map(|(to, cause)| (to, cause.to_owned())));
}

#[test]
fn equal_targets_keep_their_state_and_turn() {
    let (stays, goes, comes) = (tcp("fra-1"), tcp("fra-2"), tcp("fra-3"));
    let mut world = World::new(&[stays.clone(), goes.clone()]);
    world.probe(&stays, false);
    let id = world.slot_of(&stays).unwrap();
    let gone = world.slot_of(&goes).unwrap();
    let due = world.table.slots[&id].due;
    world.now += Duration::from_secs(5);
    let applied = world.apply(&[comes.clone(), stays.clone(), stays.clone()]);
    assert_eq!(applied.removed, [gone]);
    assert_eq!(applied.added, [world.slot_of(&comes).unwrap()]);
    assert_eq!(applied.forgotten, ["fra-2".parse().unwrap()]);
    assert_eq!(applied.changes, []);
    assert_eq!(world.slot_of(&stays), Some(id));
    assert_eq!(world.table.slots[&id].due, due);
    assert_eq!(world.table.len(), 2, "a target listed twice is one check");
    // The failure from before the change still counts.
    assert_eq!(world.probe(&stays, false).unwrap().to, Health::Down);
}

#[test]
fn a_late_result_of_a_removed_check_changes_nothing() {
    let target = tcp("fra-1");
    let mut world = World::new(std::slice::from_ref(&target));
    let (id, ..) = world.table.take_due(world.now).unwrap();
    world.apply(&[]);
    assert_eq!(world.record(id, false), None);
    assert!(world.table.is_empty());
    assert_eq!(world.table.next_due(), None);
    // The same target again is a new check that knows nothing.
    world.apply(std::slice::from_ref(&target));
    assert_ne!(world.slot_of(&target), Some(id));
    assert_eq!(world.verdict("fra-1"), Verdict::Unknown);
}

#[test]
fn an_edited_check_starts_from_down() {
    let before = tcp("fra-1");
    let mut edited = before.clone();
    edited.check.interval = Millis(500);
    let moved = Target {
        address: "127.0.0.2:80".parse().unwrap(),
        ..edited.clone()
    };
    let mut world = World::new(std::slice::from_ref(&before));
    world.probe(&before, false);
    world.probe(&before, false);
    assert_eq!(world.verdict("fra-1"), Verdict::Down);
    assert_eq!(world.apply(std::slice::from_ref(&edited)).changes, []);
    assert_eq!(world.verdict("fra-1"), Verdict::Down);
    assert_eq!(
        world.probe(&edited, true),
        None,
        "one success is not yet `rise`"
    );
    // Another address is another machine: it deserves its own chance.
    let changes = world.apply(std::slice::from_ref(&moved)).changes;
    assert_eq!(changes[0].to, Health::Up);
    assert_eq!(world.verdict("fra-1"), Verdict::Unknown);
}

#[test]
fn an_endpoint_is_down_while_any_check_is() {
    let (shop, api) = (for_service("fra-1", "shop"), for_service("fra-1", "api"));
    let mut world = World::new(&[shop.clone(), api.clone()]);
    assert_eq!(
        world.probe(&shop, true),
        None,
        "the other check is unknown yet"
    );
    assert_eq!(world.probe(&api, true).unwrap().to, Health::Up);
    world.probe(&shop, false);
    assert_eq!(world.probe(&shop, false).unwrap().to, Health::Down);
    world.probe(&api, false);
    assert_eq!(world.probe(&api, false), None, "it is down already");
    world.probe(&shop, true);
    assert_eq!(
        world.probe(&shop, true),
        None,
        "the other check still fails"
    );
    // Removing the failing check leaves the healthy one to decide.
    let changes = world.apply(std::slice::from_ref(&shop)).changes;
    assert_eq!(changes[0].to, Health::Up);
    assert_eq!(
        changes[0].cause,
        "the failing check was removed or replaced"
    );
    assert_eq!(world.verdict("fra-1"), Verdict::Up);
}

#[test]
fn a_forgotten_endpoint_is_reported_up_again() {
    let target = tcp("fra-1");
    let mut world = World::new(std::slice::from_ref(&target));
    world.probe(&target, false);
    world.probe(&target, false);
    let applied = world.apply(&[]);
    assert_eq!(
        applied.changes[0].to,
        Health::Up,
        "nobody may be left down for ever"
    );
    assert_eq!(applied.forgotten.len(), 1);
}

/// Plays an endpoint that dies at `death` on a virtual clock with probes that take no time, and
/// returns how long it took until it was reported down.
fn time_to_detect(check_of: &Target, seed: u64, death: Duration) -> Duration {
    let start = Instant::now();
    let mut table = Table::new(Schedule::new(seed, Duration::from_secs(1)));
    table.apply(std::slice::from_ref(check_of), start);
    loop {
        let now = table.next_due().unwrap();
        let (id, ..) = table.take_due(now).unwrap();
        let result = if now < start + death {
            Ok(())
        } else {
            Err(Failure::Refused)
        };
        let seen = Observation {
            began: now,
            ended: now,
            result,
        };
        if table
            .record(id, &seen)
            .is_some_and(|change| change.to == Health::Down)
        {
            return now - (start + death);
        }
    }
}

proptest! {
    /// A dead endpoint is found within one turn and `fall − 1` second looks.
    #[test]
    fn detection_is_bounded(
        seed in any::<u64>(),
        death_ms in 0..20_000_u64,
        interval in 100..4_000_u64,
        fall in 1..6_u8,
        percent in 0..=20_u32,
    ) {
        let mut target = tcp("fra-1");
        target.check.interval = Millis(interval);
        target.check.jitter = Ratio::new(f64::from(percent) / 100.0).unwrap();
        target.check.fall = fall;
        let whole = Duration::from_millis(interval);
        let turn = whole.mul_f64(1.0 + f64::from(percent) / 100.0);
        let bound = turn + (whole / 4) * u32::from(fall - 1) + Duration::from_micros(1);
        // An endpoint that is dead from the start is found after the spread, at most one interval.
        let took = time_to_detect(&target, seed, Duration::from_millis(death_ms));
        prop_assert!(took <= bound, "{took:?} > {bound:?}");
        prop_assert!(took <= target.check.detection().as_duration());
    }

    /// Whatever happens, a check is either due or under way, and an endpoint's verdict is its
    /// checks'.
    #[test]
    fn nothing_is_lost(steps in proptest::collection::vec((0..6_u8, any::<u8>(), any::<bool>()), 1..200)) {
        let pool: Vec<Target> = (0..6)
            .map(|n| for_service(&format!("e{}", n % 3), &format!("s{n}")))
            .collect();
        let mut world = World::new(&pool);
        let mut under_way: Vec<SlotId> = Vec::new();
        let mut reported: BTreeMap<EndpointId, Health> = BTreeMap::new();
        for (what, pick, ok) in steps {
            let mut changes = Vec::new();
            match what {
                0 => {
                    let chosen = |n: &usize| pick & (1 << n) != 0;
                    let list: Vec<Target> =
                        (0..pool.len()).filter(chosen).map(|n| pool[n].clone()).collect();
                    changes = world.apply(&list).changes;
                    prop_assert_eq!(world.table.len(), list.len());
                }
                1 | 2 => {
                    world.now += Duration::from_millis(u64::from(pick));
                    under_way.extend(world.table.take_due(world.now).map(|(id, ..)| id));
                }
                _ if !under_way.is_empty() => {
                    let id = under_way.swap_remove(usize::from(pick) % under_way.len());
                    changes.extend(world.record(id, ok));
                }
                _ => {}
            }
            for change in changes {
                let was_down = reported.get(&change.endpoint) == Some(&Health::Down);
                prop_assert!(change.to == Health::Up || !was_down, "down is told once");
                reported.insert(change.endpoint, change.to);
            }
            let table = &world.table;
            for (id, slot) in &table.slots {
                let queued = slot.due.is_some_and(|due| table.due.contains(&(due, *id)));
                prop_assert!(queued != under_way.contains(id));
            }
            prop_assert_eq!(table.due.len(), table.slots.values().filter(|s| s.due.is_some()).count());
            for (endpoint, group) in &table.endpoints {
                let verdicts = || group.slots.iter().map(|id| table.slots[id].hysteresis.verdict());
                prop_assert!(!group.slots.is_empty());
                prop_assert_eq!(group.verdict == Verdict::Down, verdicts().any(|v| v == Verdict::Down));
                prop_assert_eq!(group.verdict == Verdict::Up, verdicts().all(|v| v == Verdict::Up));
                prop_assert_eq!(
                    group.verdict == Verdict::Down,
                    reported.get(endpoint) == Some(&Health::Down)
                );
            }
        }
    }
}
