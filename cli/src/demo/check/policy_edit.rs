//! Claim: a policy edit takes effect live; a bad edit changes nothing and is shown with its place.

use std::time::Instant;

use meridian_engine::Surface;
use meridian_live::SourcesStatus;

use super::{Verdicts, explained, regions_of, wait_until};
use crate::demo::clients::{CLIENTS, get};
use crate::demo::world::DemoWorld;
use crate::failure::Failure;
use crate::output;

const FILE: &str = "policies/shop.yaml";
/// Keeps everybody away from one region: plain to see.
const WITHOUT: &str = "policy: shop\neligible:\n  - region: { forbid: [REGION] }\nscore:\n  - geographic: { weight: 1.0 }\n";
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
    world.edit(FILE, &WITHOUT.replace("REGION", &home))?;
    wait_until("the edit is in force", || {
        explained(world, "shop", client, Surface::Http)
            .is_ok_and(|said| !regions_of(&said).contains(&home))
    })
    .await?;
    let in_force = started.elapsed();
    let moved = get(http, "shop.demo.test", client).await?;
    verdicts.claim(
        (moved.status == 200 && moved.region.as_ref().is_some_and(|region| *region != home)).into(),
        format!(
            "{home} forbidden: the client moved to {:?} after {:.0?}",
            moved.region, in_force
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
            first_line(&problems)
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

fn first_line(text: &str) -> &str {
    text.lines()
        .find(|line| !line.trim().is_empty())
        .unwrap_or_default()
}
