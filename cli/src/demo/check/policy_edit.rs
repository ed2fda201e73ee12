//! Claim: a policy edit takes effect live; a bad edit changes nothing and is shown with its place.

use std::time::{Duration, Instant};

use meridian_engine::Surface;
use meridian_live::SourcesStatus;

use super::{POLL, Verdicts, explained, regions_of, wait_until};
use crate::demo::clients::{CLIENTS, get};
use crate::demo::world::DemoWorld;
use crate::failure::Failure;
use crate::output;

const FILE: &str = "policies/shop.yaml";
/// How long the data path may take to follow an edit.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(5);
/// Prefers a region that is nobody's nearest: plain to see.
const TARGET: &str = "us-west-2";
const EDITED: &str =
    "policy: shop\ntiers:\n  - [us-west-2]\nscore:\n  - geographic: { weight: 1.0 }\n";
const BROKEN: &str = "policy: shop\nscore:\n  - geografic: { weight: 1.0 }\n";

/// Edits the shop's policy, breaks it, and puts it back.
pub async fn check(world: &DemoWorld, verdicts: &mut Verdicts) -> Result<(), Failure> {
    output::line("A policy edit takes effect live");
    let live = &world.node.live;
    let http = world.address("http")?;
    let client = CLIENTS[0];
    let original = std::fs::read_to_string(world.folder.join(FILE)).map_err(Failure::other)?;
    let home = get(http, "shop.demo.test", client)
        .await?
        .region
        .unwrap_or_default();

    let started = Instant::now();
    world.edit(FILE, EDITED)?;
    wait_until("the edit is in force", || {
        explained(world, "shop", client, Surface::Http).is_ok_and(|said| {
            said.choice
                .is_some_and(|choice| choice.region.as_str() == TARGET)
        })
    })
    .await?;
    // The proxy's own table follows the plan within milliseconds.
    let mut moved = get(http, "shop.demo.test", client).await?;
    while moved.region.as_deref() != Some(TARGET) && started.elapsed() < FOLLOWS_WITHIN {
        tokio::time::sleep(POLL).await;
        moved = get(http, "shop.demo.test", client).await?;
    }
    let in_force = started.elapsed();
    verdicts.claim(
        (home != TARGET && moved.status == 200 && moved.region.as_deref() == Some(TARGET)).into(),
        format!(
            "the client moved from {home} to {:?} after {in_force:.0?}",
            moved.region
        ),
    );

    let before = live.plan().load().plan.generation();
    world.edit(FILE, BROKEN)?;
    let rejected = |status: &SourcesStatus| match status {
        SourcesStatus::Rejected { problems, .. } => Some(problems.clone()),
        SourcesStatus::InForce => None,
    };
    wait_until("the bad edit is refused", || {
        rejected(&live.status().sources).is_some()
    })
    .await?;
    let problems = rejected(&live.status().sources).unwrap_or_default();
    let shown = ["policies/shop.yaml:3", "geographic"]
        .iter()
        .all(|word| problems.contains(word));
    verdicts.claim(
        shown.into(),
        format!(
            "a bad edit is refused with its place: {}",
            first_problem(&problems)
        ),
    );
    let same = get(http, "shop.demo.test", client).await?;
    verdicts.claim(
        (same.status == 200 && live.plan().load().plan.generation() == before).into(),
        "the last good plan keeps serving",
    );

    world.edit(FILE, &original)?;
    wait_until("the original is back", || {
        live.status().sources == SourcesStatus::InForce
            && explained(world, "shop", client, Surface::Http)
                .is_ok_and(|said| regions_of(&said).contains(&home))
    })
    .await?;
    Ok(())
}

/// The headline of the first problem and its place.
fn first_problem(problems: &str) -> String {
    problems
        .lines()
        .take(2)
        .map(str::trim)
        .collect::<Vec<_>>()
        .join(" ")
}
