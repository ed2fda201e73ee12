#![allow(clippy::unwrap_used, reason = "a test ends at the first surprise")]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{Change, Op};

fn lease(id: i64, ttl_s: u64) -> Lease {
    Lease {
        id: LeaseId(id),
        ttl: Duration::from_secs(ttl_s),
    }
}

#[test]
fn leases_end_in_order_of_their_deadlines() {
    let start = std::time::Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let ids = |leases: Vec<Lease>| leases.iter().map(|lease| lease.id.0).collect::<Vec<_>>();
    let mut table = LeaseTable::default();
    table.insert(lease(1, 10), at(0));
    table.insert(lease(2, 5), at(0));
    table.insert(lease(3, 5), at(1));
    table.insert(lease(4, 2), at(0));
    assert_eq!(table.next_deadline(), Some(at(2)));
    assert_eq!(table.renew(LeaseId(2), at(2)), Some(lease(2, 5)));
    assert_eq!(table.remove(LeaseId(4)), Some(lease(4, 2)));
    assert_eq!(ids(table.take_expired(at(5))), [0; 0]);
    assert_eq!(ids(table.take_expired(at(7))), [3, 2]);
    assert_eq!(table.renew(LeaseId(2), at(7)), None);
    // The database failed: the lease waits for another try.
    table.expire_at(lease(3, 5), at(8));
    assert_eq!(ids(table.take_expired(at(60))), [3, 1]);
    assert_eq!(table.next_deadline(), None);
}

fn memory(limits: HistoryLimits) -> Disk {
    Disk::open(None, limits).unwrap()
}

fn put(disk: &Disk, key: &str, bytes: usize) -> Revision {
    let txn = Txn::new().put(key, vec![b'v'; bytes]);
    disk.apply(&txn).unwrap().1
}

/// The first revision a watcher can still ask for.
fn reach_back(disk: &Disk) -> u64 {
    let newest = disk.revision().unwrap().0;
    (0..=newest)
        .find(|after| matches!(disk.tail(b"", Revision(*after)), Ok(Tail::Page { .. })))
        .unwrap()
}

#[test]
fn history_is_bounded_by_number_and_by_bytes() {
    let by_number = memory(HistoryLimits {
        revisions: 10,
        bytes: u64::MAX,
    });
    (0..25).for_each(|_| _ = put(&by_number, "/k", 1));
    assert_eq!(reach_back(&by_number), 15);

    let by_bytes = memory(HistoryLimits {
        revisions: u64::MAX,
        bytes: 10_000,
    });
    (0..25).for_each(|_| _ = put(&by_bytes, "/k", 2_000));
    assert_eq!(reach_back(&by_bytes), 21, "four of 2,050 bytes fit");
    // The newest revision stays, however large.
    let newest = put(&by_bytes, "/k", 50_000);
    assert_eq!(reach_back(&by_bytes), newest.0 - 1);
}

#[test]
fn long_tails_come_in_pages_of_whole_revisions() {
    let disk = memory(HistoryLimits::default());
    let value = vec![0; 600_000];
    for _ in 0..6 {
        let txn = Txn::new().put("/a", value.clone()).put("/b", value.clone());
        disk.apply(&txn).unwrap();
    }
    let (mut after, mut pages, mut seen) = (Revision::ZERO, 0, Vec::new());
    loop {
        let Tail::Page { batches, through } = disk.tail(b"/", after).unwrap() else {
            unreachable!("nothing is compacted")
        };
        if through == after {
            break;
        }
        assert!(batches.iter().all(|batch| batch.changes.len() == 2));
        seen.extend(batches.iter().map(|batch| batch.revision.0));
        (after, pages) = (through, pages + 1);
    }
    assert_eq!(seen, [1, 2, 3, 4, 5, 6]);
    assert!(pages > 1, "4 MiB is exceeded");
}

#[test]
fn a_file_from_the_future_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let database = redb::Database::create(&path).unwrap();
    let write = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    write.open_table(meta).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = Disk::open(Some(&path), HistoryLimits::default()).err();
    assert!(matches!(
        error,
        Some(StoreError::UnknownFormat { found: 2, known: 1 })
    ));
}

/// What a test may do to a store: a transaction on few keys, or the end of a lease.
#[derive(Clone, Debug)]
enum Step {
    Commit(Txn),
    Revoke(LeaseId),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = (0..6u8).prop_map(|n| format!("/k{n}"));
    let op = (key, any::<u8>(), 0..3u8, proptest::option::of(1..4i64));
    let step = (proptest::collection::vec(op, 0..4), 0..8i64).prop_map(|(ops, revoke)| {
        if (1..4).contains(&revoke) {
            return Step::Revoke(LeaseId(revoke));
        }
        let mut txn = Txn::new();
        for (key, value, kind, lease) in ops {
            if txn.ops.iter().any(|op| op.key() == key.as_bytes()) {
                continue;
            }
            txn = match (kind, lease) {
                (0, _) => txn.delete(key),
                (_, None) => txn.put(key, vec![value]),
                (_, Some(lease)) => txn.put_leased(key, vec![value], LeaseId(lease)),
            };
        }
        Step::Commit(txn)
    });
    proptest::collection::vec(step, 1..40)
}

/// The store as a map: key to value and lease.
type Model = BTreeMap<Vec<u8>, (Vec<u8>, Option<LeaseId>)>;

fn model_step(model: &mut Model, live: &[LeaseId], step: &Step) {
    match step {
        Step::Revoke(lease) => model.retain(|_, (_, of)| *of != Some(*lease)),
        Step::Commit(txn) => {
            let mut next = model.clone();
            for op in &txn.ops {
                match op {
                    Op::Put { lease, .. } if lease.is_some_and(|l| !live.contains(&l)) => return,
                    Op::Put { key, value, lease } => {
                        next.insert(key.clone(), (value.clone(), *lease));
                    }
                    Op::Delete { key } => {
                        next.remove(key);
                    }
                }
            }
            *model = next;
        }
    }
}

fn entries_of(snapshot: Snapshot) -> Model {
    let pair = |entry: Entry| (entry.key, (entry.value, entry.lease));
    snapshot.entries.into_iter().map(pair).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// The store does what a map does, and its history, replayed from any revision that is still
    /// known onto the state of that revision, gives the present.
    #[test]
    fn history_replays_to_the_present(steps in steps()) {
        let disk = memory(HistoryLimits { revisions: 12, bytes: u64::MAX });
        let mut live: Vec<LeaseId> = (0..3)
            .map(|_| disk.grant(Duration::from_secs(60)).unwrap().id)
            .collect();
        let mut model = Model::new();
        let mut states = BTreeMap::from([(Revision::ZERO, model.clone())]);
        for step in &steps {
            model_step(&mut model, &live, step);
            let reached = match step {
                Step::Commit(txn) => disk.apply(txn).map(|(_, reached)| reached).ok(),
                Step::Revoke(lease) => {
                    live.retain(|id| id != lease);
                    Some(disk.revoke(*lease).unwrap().1)
                }
            };
            prop_assert_eq!(&entries_of(disk.snapshot(b"").unwrap()), &model);
            states.extend(reached.map(|reached| (reached, model.clone())));
        }
        for (after, state) in states {
            let Tail::Page { batches, .. } = disk.tail(b"", after).unwrap() else { continue };
            let mut replayed = state;
            for change in batches.into_iter().flat_map(|batch| batch.changes) {
                match change {
                    Change::Put(entry) => {
                        replayed.insert(entry.key, (entry.value, entry.lease));
                    }
                    Change::Delete { key } => prop_assert!(replayed.remove(&key).is_some()),
                }
            }
            prop_assert_eq!(&replayed, &model);
        }
    }
}
