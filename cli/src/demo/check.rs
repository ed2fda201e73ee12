//! `meridian demo --check`: real clients against the demo's world, every claim asserted.
//!
//! One module a claim; each prints what it saw. The whole exits 0 only if every claim held.

mod compliance;
mod failover;
mod policy_edit;
mod steering;

use std::time::{Duration, Instant};

use meridian_engine::explain::Client as ExplainClient;
use meridian_engine::{Explanation, Query, Surface, explain};
use meridian_topology::ServiceId;

use crate::demo::clients::Client;
use crate::demo::world::DemoWorld;
use crate::failure::Failure;
use crate::output;

/// Nothing in the demo takes longer to come true.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// What was claimed and whether it held.
#[derive(Debug, Default)]
pub struct Verdicts {
    held: usize,
    broken: Vec<String>,
}

impl Verdicts {
    /// Records and prints one claim.
    pub fn claim(&mut self, holds: Holds, what: impl Into<String>) {
        let what = what.into();
        match holds {
            Holds::Yes => {
                output::line(format_args!("  ok      {what}"));
                self.held += 1;
            }
            Holds::No => {
                output::line(format_args!("  BROKEN  {what}"));
                self.broken.push(what);
            }
        }
    }
}

/// Whether a claim held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// It did.
    Yes,
    /// It did not.
    No,
}

impl From<bool> for Holds {
    fn from(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// Drives every check; the number of claims that held, or the broken ones.
pub async fn run(world: &mut DemoWorld) -> Result<usize, Failure> {
    let mut verdicts = Verdicts::default();
    wait_until("every endpoint serves", || all_serve(world)).await?;
    steering::check(world, &mut verdicts).await?;
    policy_edit::check(world, &mut verdicts).await?;
    compliance::check(world, &mut verdicts).await?;
    failover::check(world, &mut verdicts).await?;
    if verdicts.broken.is_empty() {
        return Ok(verdicts.held);
    }
    Err(Failure::other(format!(
        "{} claim(s) broken:\n  {}",
        verdicts.broken.len(),
        verdicts.broken.join("\n  ")
    )))
}

/// What the engine says about `client` asking for `service` at this moment.
pub fn explained(
    world: &DemoWorld,
    service: &str,
    client: Client,
    surface: Surface,
) -> Result<Explanation, Failure> {
    let query = Query {
        service: service.parse::<ServiceId>()?,
        client: ExplainClient::Address(client.address.into()),
        surface,
        family: None,
        key: None,
        plan_generation: None,
    };
    Ok(explain(&world.node.live.world(), &query)?)
}

/// The regions that `explanation` may send its client to.
pub fn regions_of(explanation: &Explanation) -> Vec<String> {
    let mut regions: Vec<String> = explanation
        .picks
        .iter()
        .map(|pick| pick.region.to_string())
        .collect();
    regions.sort();
    regions.dedup();
    regions
}

/// Waits until `holds`, and says how long that took.
pub async fn wait_until(what: &str, mut holds: impl FnMut() -> bool) -> Result<Duration, Failure> {
    let started = Instant::now();
    while !holds() {
        if started.elapsed() > PATIENCE {
            return Err(Failure::other(format!("not within {PATIENCE:?}: {what}")));
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(started.elapsed())
}

/// Every region of the status serves with all its endpoints and its whole share.
pub fn all_serve(world: &DemoWorld) -> bool {
    let whole = |share: f64| (share - 1.0).abs() < f64::EPSILON;
    let status = world.node.live.status();
    status
        .regions
        .iter()
        .all(|region| region.serving == region.endpoints && whole(region.ramp))
}
