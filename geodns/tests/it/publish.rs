//! Plans that are replaced while questions come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use hickory_proto::rr::RecordType;
use meridian_engine::EndpointState;

use crate::fixture::world;
use crate::rig::{DEADLINE, Rig, answers, ask_udp, query};

/// Plans published while the clients ask.
const PLANS: usize = 50;
/// Clients, each with one question under way.
const CLIENTS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_question_is_lost_while_plans_change() {
    let rig = Rig::start(|_| ());
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (socket, stop, asked) = (rig.udp(), Arc::clone(&stop), Arc::clone(&asked));
            std::thread::spawn(move || {
                let mut id = 0_u16;
                while !stop.load(Ordering::Relaxed) {
                    id = id.wrapping_add(1);
                    let packet =
                        query(id, "shop.example.test.", RecordType::A, Some("10.2.0.0/24"));
                    // One question at a time: a lost one ends in the read timeout.
                    let message = ask_udp(&socket, &packet);
                    assert_eq!(message.metadata.id, id);
                    let answer = answers(&message);
                    assert!(
                        answer == ["198.51.100.1"] || answer == ["192.0.2.1"],
                        "{answer:?}"
                    );
                    asked.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for plan in 0..PLANS {
        let mut world = world();
        if plan % 2 == 0 {
            world
                .health
                .set("eu-1".parse().unwrap(), EndpointState::Down);
        }
        rig.plan.replace(world);
        // Every plan is in force while questions come.
        let seen = asked.load(Ordering::Relaxed);
        wait_for(|| asked.load(Ordering::Relaxed) > seen + CLIENTS).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.join().unwrap();
    }
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_plan_changes_answers() {
    let rig = Rig::start(|_| ());
    let socket = rig.udp();
    let packet = query(1, "shop.example.test.", RecordType::A, Some("10.2.0.0/24"));
    assert_eq!(answers(&ask_udp(&socket, &packet)), ["198.51.100.1"]);
    let mut world = world();
    world
        .admin
        .drained_regions
        .insert("eu-west".parse().unwrap());
    rig.plan.replace(world);
    wait_for(|| answers(&ask_udp(&socket, &packet)) == ["192.0.2.1"]).await;
    rig.stop().await;
}

async fn wait_for(mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "the condition never came true");
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
}
