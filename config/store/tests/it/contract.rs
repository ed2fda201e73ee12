//! What every engine promises. Each case works under its own prefix, so one store serves all.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use meridian_store::{
    Change, Conflict, Expect, LeaseId, Revision, Store, StoreError, Txn, TxnOutcome, WatchEvent,
    limits,
};

use crate::follower::Follower;

/// An engine under test.
#[async_trait]
pub trait Fixture: Send + Sync {
    fn store(&self) -> Arc<dyn Store>;
    /// Makes the engine forget all history before now.
    async fn compact(&self);
}

/// Runs every case.
pub async fn run(fixture: &dyn Fixture) {
    macro_rules! cases {
        ($($case:ident),* $(,)?) => {$(
            let began = std::time::Instant::now();
            $case(fixture).await;
            println!("contract {}: {:?}", stringify!($case), began.elapsed());
        )*};
    }
    cases![
        transactions_arrive_whole_and_filtered,
        comparisons_decide,
        contended_counter_loses_nothing,
        deleting_nothing_is_no_change,
        snapshot_joins_watch_under_load,
        slow_watchers_get_everything,
        many_and_large_entries_snapshot,
        bytes_are_bytes,
        bounds_are_kept,
        leases_expire_unless_renewed,
        revoked_leases_take_their_keys,
        unknown_leases_are_refused,
        compacted_watch_resyncs_and_goes_on,
        watch_ahead_of_the_store_resyncs,
        status_tells,
    ];
}

async fn committed(store: &dyn Store, txn: Txn) -> Revision {
    match store.commit(txn).await.unwrap() {
        TxnOutcome::Committed { revision } => revision,
        TxnOutcome::Conflict { conflicts, .. } => panic!("{conflicts:?}"),
    }
}

async fn conflicts(store: &dyn Store, txn: Txn) -> Vec<Conflict> {
    match store.commit(txn).await.unwrap() {
        TxnOutcome::Conflict { conflicts, .. } => conflicts,
        TxnOutcome::Committed { revision } => panic!("committed at {revision}"),
    }
}

async fn transactions_arrive_whole_and_filtered(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    committed(store, Txn::new().put("/whole/old", "x")).await;
    let mut follower = Follower::start(store, "/whole/").await;
    let txn = Txn::new()
        .put("/whole/b", "1")
        .put("/elsewhere/whole", "2")
        .put("/whole/a", "3")
        .delete("/whole/old");
    let revision = committed(store, txn).await;
    let batch = follower.batch().await;
    assert_eq!(batch.revision, revision);
    let keys: Vec<_> = batch.changes.iter().map(Change::key_text).collect();
    assert_eq!(keys, ["+/whole/b", "+/whole/a", "-/whole/old"]);
    committed(store, Txn::new().put("/whole", "not under the prefix")).await;
    follower.expect_quiet().await;
    follower.assert_equals(store, "/whole/").await;
}

trait KeyText {
    fn key_text(&self) -> String;
}

impl KeyText for Change {
    /// `+key` for a put, `-key` for a deletion.
    fn key_text(&self) -> String {
        match self {
            Change::Put(entry) => format!("+{}", String::from_utf8_lossy(&entry.key)),
            Change::Delete { key } => format!("-{}", String::from_utf8_lossy(key)),
        }
    }
}

async fn comparisons_decide(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    let first = committed(store, Txn::new().expect_absent("/cas/k").put("/cas/k", "1")).await;
    assert_eq!(store.get(b"/cas/k").await.unwrap().unwrap().revision, first);

    let again = Txn::new()
        .expect_absent("/cas/other")
        .expect_absent("/cas/k")
        .put("/cas/k", "2")
        .put("/cas/other", "2");
    let want = Conflict {
        key: b"/cas/k".to_vec(),
        expected: Expect::Absent,
        found: Some(first),
    };
    assert_eq!(conflicts(store, again).await, [want]);
    assert_eq!(store.get(b"/cas/other").await.unwrap(), None);

    let second = committed(
        store,
        Txn::new().expect_at("/cas/k", first).put("/cas/k", "2"),
    )
    .await;
    assert!(second > first);
    let stale = Txn::new().expect_at("/cas/k", first).delete("/cas/k");
    assert_eq!(conflicts(store, stale).await[0].found, Some(second));
    let gone = Txn::new()
        .expect_at("/cas/none", first)
        .put("/cas/none", "");
    assert_eq!(conflicts(store, gone).await[0].found, None);

    let swap = Txn::new().expect_at("/cas/k", second).delete("/cas/k");
    committed(store, swap).await;
    assert_eq!(store.get(b"/cas/k").await.unwrap(), None);
}

async fn contended_counter_loses_nothing(fixture: &dyn Fixture) {
    const WRITERS: usize = 6;
    const EACH: usize = 8;
    let store = fixture.store();
    committed(&*store, Txn::new().put("/count", "0")).await;
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let store = fixture.store();
        writers.spawn(async move {
            let mut done = 0;
            while done < EACH {
                let entry = store.get(b"/count").await.unwrap().unwrap();
                let count: usize = String::from_utf8(entry.value).unwrap().parse().unwrap();
                let txn = Txn::new()
                    .expect_at("/count", entry.revision)
                    .put("/count", (count + 1).to_string());
                if let TxnOutcome::Committed { .. } = store.commit(txn).await.unwrap() {
                    done += 1;
                }
            }
        });
    }
    writers.join_all().await;
    let total = store.get(b"/count").await.unwrap().unwrap().value;
    assert_eq!(total, (WRITERS * EACH).to_string().into_bytes());
}

async fn deleting_nothing_is_no_change(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    let mut follower = Follower::start(store, "/nothing/").await;
    let before = store.snapshot(b"/nothing/").await.unwrap().revision;
    let after = committed(store, Txn::new().delete("/nothing/here")).await;
    assert_eq!(before, after);
    follower.expect_quiet().await;
}

async fn snapshot_joins_watch_under_load(fixture: &dyn Fixture) {
    const WRITES: usize = 120;
    let store = fixture.store();
    let writer = tokio::spawn({
        let store = fixture.store();
        async move {
            let mut revision = Revision::ZERO;
            for n in 0..WRITES {
                let key = format!("/load/{}", n % 7);
                let txn = match n % 5 {
                    4 => Txn::new().delete(key),
                    _ => Txn::new().put(key, n.to_string()),
                };
                revision = committed(&*store, txn).await;
            }
            revision
        }
    });
    let mut followers = Vec::new();
    for _ in 0..5 {
        followers.push(Follower::start(&*store, "/load/").await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    writer.await.unwrap();
    let end = committed(&*store, Txn::new().put("/load/end", "")).await;
    for follower in &mut followers {
        follower.reach(end).await;
        assert_eq!(follower.resyncs, 0);
        follower.assert_equals(&*store, "/load/").await;
    }
}

async fn slow_watchers_get_everything(fixture: &dyn Fixture) {
    let writes = limits::WATCH_QUEUE_EVENTS * 4;
    let store = fixture.store();
    let store = &*store;
    let mut follower = Follower::start(store, "/slow/").await;
    for n in 0..writes {
        committed(store, Txn::new().put("/slow/n", n.to_string())).await;
    }
    for n in 0..writes {
        let batch = follower.batch().await;
        assert_eq!(
            follower.state[&b"/slow/n"[..]].value,
            n.to_string().into_bytes()
        );
        assert_eq!(batch.changes.len(), 1);
    }
}

async fn many_and_large_entries_snapshot(fixture: &dyn Fixture) {
    const MANY: usize = 1_100;
    const LARGE: usize = 20;
    let store = fixture.store();
    let store = &*store;
    for start in (0..MANY).step_by(100) {
        let txn = (start..start + 100).fold(Txn::new(), |txn, n| {
            txn.put(format!("/many/{n:05}"), n.to_string())
        });
        committed(store, txn).await;
    }
    for n in 0..LARGE {
        let value = vec![u8::try_from(n).unwrap(); limits::VALUE_BYTES_MAX];
        committed(store, Txn::new().put(format!("/many/large/{n:02}"), value)).await;
    }
    let snapshot = store.snapshot(b"/many/").await.unwrap();
    assert_eq!(snapshot.entries.len(), MANY + LARGE);
    assert!(snapshot.entries.is_sorted_by(|a, b| a.key < b.key));
    for (n, entry) in snapshot.entries[MANY..].iter().enumerate() {
        assert_eq!(entry.value.len(), limits::VALUE_BYTES_MAX, "{entry:?}");
        assert_eq!(usize::from(entry.value[0]), n, "{entry:?}");
    }
}

async fn bytes_are_bytes(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    let all: Vec<u8> = (0..=u8::MAX).collect();
    let keys = [b"/bytes/\0".to_vec(), b"/bytes/\xff\xff".to_vec(), {
        let mut key = b"/bytes/".to_vec();
        key.extend(&all);
        key
    }];
    let mut follower = Follower::start(store, "/bytes/").await;
    let txn = keys
        .iter()
        .fold(Txn::new(), |txn, key| txn.put(key.clone(), all.clone()));
    committed(store, txn.put("/bytes/empty", "")).await;
    follower.batch().await;
    assert_eq!(follower.state.len(), keys.len() + 1);
    assert!(keys.iter().all(|key| follower.state[key].value == all));
    follower.assert_equals(store, "/bytes/").await;
    // A prefix that ends in 0xff has no successor of the same length.
    let under = store.snapshot(b"/bytes/\xff").await.unwrap();
    assert_eq!(under.entries.len(), 1);
    let everything = store.snapshot(b"").await.unwrap();
    assert!(everything.entries.len() > keys.len());
}

async fn bounds_are_kept(fixture: &dyn Fixture) {
    let store = fixture.store();
    let full = (0..limits::TXN_OPS_MAX).fold(Txn::new(), |txn, n| {
        let key = format!("/bounds/{n}");
        txn.expect_absent(key.clone()).put(key, "")
    });
    committed(&*store, full).await;
    let cases = [
        Txn::new().put("", "v"),
        Txn::new().put("/bounds/a", "1").put("/bounds/a", "2"),
        Txn::new().put("/bounds/a", vec![0; limits::VALUE_BYTES_MAX + 1]),
    ];
    for txn in cases {
        let error = store.commit(txn).await.unwrap_err();
        assert_eq!(error.retry(), meridian_store::Retry::Never, "{error}");
    }
}

async fn leases_expire_unless_renewed(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    let mut follower = Follower::start(store, "/lease/").await;
    let short = store.grant_lease(Duration::from_secs(2)).await.unwrap();
    let kept = store.grant_lease(Duration::from_secs(5)).await.unwrap();
    assert!(short.ttl >= limits::LEASE_TTL_MIN);
    let txn = Txn::new()
        .put_leased("/lease/short", "1", short.id)
        .put_leased("/lease/moved", "1", short.id)
        .put_leased("/lease/kept", "1", kept.id);
    committed(store, txn).await;
    // A key written again without a lease outlives its old one.
    committed(store, Txn::new().put("/lease/moved", "2")).await;
    follower.batch().await;
    follower.batch().await;
    assert_eq!(follower.state[&b"/lease/short"[..]].lease, Some(short.id));
    assert_eq!(follower.state[&b"/lease/moved"[..]].lease, None);

    let gone = async {
        let batch = follower.batch().await;
        assert_eq!(batch.changes.len(), 1, "{batch:?}");
        assert_eq!(batch.changes[0].key_text(), "-/lease/short");
    };
    let renewing = async {
        loop {
            store.keep_alive(kept.id).await.unwrap();
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    tokio::select! {
        () = gone => {}
        () = renewing => {}
    }
    assert!(matches!(
        store.keep_alive(short.id).await,
        Err(StoreError::LeaseNotFound { lease }) if lease == short.id
    ));
    // Without renewals the other one goes too.
    let batch = follower.batch().await;
    assert_eq!(batch.changes[0].key_text(), "-/lease/kept");
    follower.assert_equals(store, "/lease/").await;
}

async fn revoked_leases_take_their_keys(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    let lease = store.grant_lease(Duration::from_secs(600)).await.unwrap();
    let txn = Txn::new()
        .put_leased("/revoke/a", "1", lease.id)
        .put_leased("/revoke/b", "1", lease.id)
        .put("/revoke/c", "1");
    committed(store, txn).await;
    let mut follower = Follower::start(store, "/revoke/").await;
    store.revoke(lease.id).await.unwrap();
    let batch = follower.batch().await;
    assert_eq!(batch.changes.len(), 2, "one revision takes all: {batch:?}");
    let left: Vec<_> = follower.state.keys().collect();
    assert_eq!(left, [b"/revoke/c"]);
    assert!(store.revoke(lease.id).await.is_err());
}

async fn unknown_leases_are_refused(fixture: &dyn Fixture) {
    let store = fixture.store();
    let lease = LeaseId(0x7edc_ba98);
    let put = Txn::new().put_leased("/unknown/k", "v", lease);
    let errors = [
        store.commit(put).await.unwrap_err(),
        store.keep_alive(lease).await.unwrap_err(),
        store.revoke(lease).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::LeaseNotFound { .. }), "{error}");
    }
    assert_eq!(store.get(b"/unknown/k").await.unwrap(), None);
}

async fn compacted_watch_resyncs_and_goes_on(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    let old = committed(store, Txn::new().put("/compact/a", "1")).await;
    committed(store, Txn::new().put("/compact/b", "1")).await;
    committed(store, Txn::new().delete("/compact/a")).await;
    fixture.compact().await;
    let stream = store.watch(b"/compact/", old).await.unwrap();
    let mut follower = Follower::from_stream(stream, old);
    let WatchEvent::Resync(snapshot) = follower.next().await else {
        panic!("history was compacted");
    };
    assert_eq!(snapshot.entries.len(), 1);
    let next = committed(store, Txn::new().put("/compact/c", "1")).await;
    assert_eq!(follower.batch().await.revision, next);
    follower.assert_equals(store, "/compact/").await;
}

async fn watch_ahead_of_the_store_resyncs(fixture: &dyn Fixture) {
    let store = fixture.store();
    let store = &*store;
    committed(store, Txn::new().put("/ahead/a", "1")).await;
    // What a watcher sees after the store was put back to an old backup.
    let ahead = Revision(store.status().await.unwrap().revision.0 + 1_000);
    let stream = store.watch(b"/ahead/", ahead).await.unwrap();
    let mut follower = Follower::from_stream(stream, ahead);
    assert!(matches!(follower.next().await, WatchEvent::Resync(_)));
    let next = committed(store, Txn::new().put("/ahead/b", "1")).await;
    assert_eq!(follower.batch().await.revision, next);
    follower.assert_equals(store, "/ahead/").await;
}

async fn status_tells(fixture: &dyn Fixture) {
    let store = fixture.store();
    let revision = committed(&*store, Txn::new().put("/status", "")).await;
    let status = store.status().await.unwrap();
    assert!(status.revision >= revision, "{status:?}");
    assert!(status.members.iter().all(|m| m.state.is_ok()), "{status:?}");
}
