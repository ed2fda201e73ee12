//! Edits, applied changes, drains and promotions reach the plan; bad ones do not.

use meridian_live::{ChangeError, Drain, DrainTarget, Event, Safety, Sources, SourcesStatus, View};
use meridian_topology::SourceFile;
use tokio_util::sync::CancellationToken;

use crate::rig::{FAR_FIRST, NEAREST, Rig};

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_takes_effect_and_a_bad_one_does_not() {
    let rig = Rig::start().await;
    rig.until_picked("near-1").await;
    rig.edit("policies/nearest.yaml", FAR_FIRST);
    rig.until_picked("far-1").await;

    rig.edit(
        "policies/nearest.yaml",
        "policy: nearest\nscore:\n  - geografic: { weight: 1.0 }\n",
    );
    rig.until("the edit is refused", || {
        rig.live.status().sources != SourcesStatus::InForce
    })
    .await;
    let SourcesStatus::Rejected { origin, problems } = rig.live.status().sources.clone() else {
        panic!("rejected a moment ago")
    };
    assert_eq!(origin, "directory");
    assert!(problems.contains("policies/nearest.yaml:3"), "{problems}");
    assert!(
        problems.contains("did you mean `geographic`?"),
        "{problems}"
    );
    let metrics = rig.metrics.render().unwrap();
    assert!(metrics.contains("meridian_live_sources_rejected 1"));
    // The first plan's compile counts like any other.
    assert!(!metrics.contains("meridian_live_compile_seconds_count 0"));
    assert!(metrics.contains("meridian_live_compile_seconds_count"));
    assert_eq!(
        rig.pick().unwrap().as_str(),
        "far-1",
        "the last good plan serves"
    );

    // Back to the text that serves already: nothing to compile, but the rejection is over.
    let before = rig.live.plan().load().sequence;
    rig.edit("policies/nearest.yaml", FAR_FIRST);
    rig.until("the rejection is over", || {
        rig.live.status().sources == SourcesStatus::InForce
    })
    .await;
    assert_eq!(rig.live.plan().load().sequence, before);
}

fn sources(rig: &Rig, policy: &str) -> Sources {
    let mut sources = meridian_live::read_directory(rig.folder.path()).unwrap();
    sources.policies = vec![SourceFile {
        name: "policies/nearest.yaml".into(),
        text: policy.into(),
    }];
    sources
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_change_outlives_a_restart_and_an_edit_outlives_both() {
    let rig = Rig::start().await;
    rig.live.apply(&sources(&rig, FAR_FIRST)).await.unwrap();
    rig.until_picked("far-1").await;

    let (folder, endpoints, store) = rig.stop().await;
    let rig = Rig::over(folder, endpoints, store).await.unwrap();
    assert_eq!(
        rig.pick().unwrap().as_str(),
        "far-1",
        "the directory was not edited: the store's content stays"
    );

    rig.edit("policies/nearest.yaml", &format!("# edited\n{NEAREST}"));
    rig.until_picked("near-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_apply_writes_nothing() {
    let rig = Rig::start().await;
    let before = rig.live.sources().await.unwrap();
    let refused = rig.live.apply(&sources(&rig, "policy: other\n")).await;
    let Err(ChangeError::Invalid(problems)) = refused else {
        panic!("{refused:?}")
    };
    assert!(problems.to_string().contains("nearest"), "{problems}");
    assert_eq!(rig.live.sources().await.unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn drains_take_effect_are_safe_and_end() {
    let rig = Rig::start().await;
    let drain = |target| Drain {
        target,
        reason: "kernel update".into(),
    };
    let near = DrainTarget::Region("near".into());
    rig.live
        .drain(&drain(near.clone()), Safety::On)
        .await
        .unwrap();
    rig.until_picked("far-1").await;
    assert_eq!(rig.live.drains().await.unwrap(), [drain(near.clone())]);

    let last = drain(DrainTarget::Endpoint("far-1".into()));
    let refused = rig.live.drain(&last, Safety::On).await;
    assert!(
        matches!(
            &refused,
            Err(ChangeError::TooFewLeft {
                left: 0,
                asked: 1,
                ..
            })
        ),
        "{refused:?}"
    );
    rig.live.drain(&last, Safety::Off).await.unwrap();
    rig.until("nobody is left", || rig.pick().is_none()).await;
    let unknown = rig.live.undrain(&DrainTarget::Region("neer".into())).await;
    assert!(matches!(unknown, Err(ChangeError::Unknown(_))));

    rig.live.undrain(&near).await.unwrap();
    rig.until_picked("near-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promoted_model_scores_without_a_restart() {
    use meridian_train::{Registry, Source, TrainOptions, train};
    let rig = Rig::start().await;
    let mut events = rig.live.events();
    let registry = Registry::open(rig.folder.path().join("models")).unwrap();
    let trained = train(&TrainOptions::new(Source::Generated { seed: 7 }, 0)).unwrap();
    let id = registry.add(&trained.artifact).unwrap();
    registry.promote(&id).unwrap();
    rig.until("the model scores", || {
        rig.live.status().model.as_ref() == Some(&id)
    })
    .await;
    let mut changed = false;
    while let Ok(event) = events.try_recv() {
        changed |= matches!(event, Event::ModelChanged { version } if version == id);
    }
    assert!(changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn views_follow_the_plan() {
    let rig = Rig::start().await;
    let view = View::follow(
        rig.live.plan(),
        |published| published.sequence,
        CancellationToken::new(),
    );
    let before = **view.load();
    rig.edit("policies/nearest.yaml", FAR_FIRST);
    rig.until_picked("far-1").await;
    rig.until("the view follows", || **view.load() > before)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_text_in_the_store_holds_nothing_else_up() {
    let rig = Rig::start().await;
    let bad = "policy: nearest\nscore:\n  - geografic: { weight: 1.0 }\n";
    let txn = meridian_store::Txn::new().put("/meridian/policies/nearest.yaml", bad);
    rig.store.commit(txn).await.unwrap();
    let refused = || {
        matches!(
            &rig.live.status().sources,
            SourcesStatus::Rejected {
                origin: "store",
                ..
            }
        )
    };
    rig.until("the text is refused", refused).await;

    let drain = Drain {
        target: DrainTarget::Region("near".into()),
        reason: String::new(),
    };
    rig.live.drain(&drain, Safety::On).await.unwrap();
    let drained = || {
        !rig.live
            .plan()
            .load()
            .world
            .admin
            .drained_regions
            .is_empty()
    };
    rig.until("the drain is compiled", drained).await;
    assert!(
        refused(),
        "the text is still bad: {:?}",
        rig.live.status().sources
    );

    let txn = meridian_store::Txn::new().put("/meridian/policies/nearest.yaml", NEAREST);
    rig.store.commit(txn).await.unwrap();
    rig.until("the repair is seen", || {
        rig.live.status().sources == SourcesStatus::InForce
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn quick_drains_cannot_pass_each_other() {
    let rig = Rig::start().await;
    let drain = |id: &str| Drain {
        target: DrainTarget::Region(id.into()),
        reason: String::new(),
    };
    let (near, far) = (drain("near"), drain("far"));
    let (first, second) = tokio::join!(
        rig.live.drain(&near, Safety::On),
        rig.live.drain(&far, Safety::On)
    );
    assert_eq!(
        [first.is_ok(), second.is_ok()]
            .iter()
            .filter(|ok| **ok)
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_writers_who_read_the_same_state_one_loses() {
    let rig = Rig::start().await;
    let current = meridian_live::Catalog::read(&*rig.store).await.unwrap();
    let write = |text| meridian_live::write_sources(&*rig.store, &current, text, None);
    let (first, second) = (sources(&rig, FAR_FIRST), sources(&rig, "policy: nearest\n"));
    write(&first).await.unwrap();
    let lost = write(&second).await;
    assert!(
        matches!(lost, Err(meridian_live::WriteError::Conflict { .. })),
        "{lost:?}"
    );
    assert_eq!(rig.live.sources().await.unwrap(), first);
}
