//! Claim: a GDPR-bound service never leaves the EU for EU clients, even when no EU region lives.

use hickory_proto::op::ResponseCode;

use super::{Verdicts, all_serve, wait_until};
use crate::demo::clients::{CLIENTS, get, resolve};
use crate::demo::world::DemoWorld;
use crate::failure::Failure;
use crate::output;

const HOST: &str = "accounts.demo.test";
const LABEL: &str = "gdpr";

/// Kills every region that may hold EU clients' data, and watches who is sent where.
pub async fn check(world: &mut DemoWorld, verdicts: &mut Verdicts) -> Result<(), Failure> {
    output::line("accounts.demo.test keeps EU clients in the EU, whatever fails");
    let (dns, http) = (world.address("dns")?, world.address("http")?);
    let eu = regions_with_label(world);
    for client in CLIENTS.iter().filter(|client| client.in_eu) {
        let answer = get(http, HOST, *client).await?;
        verdicts.claim(
            (answer.status == 200
                && answer
                    .region
                    .as_ref()
                    .is_some_and(|region| eu.contains(region)))
            .into(),
            format!(
                "{:<14} {} from {:?}",
                client.place, answer.status, answer.region
            ),
        );
    }
    for region in &eu {
        world.origins.kill(region).await;
    }
    wait_until("every EU region is seen dead", || {
        let status = world.node.live.status();
        status
            .regions
            .iter()
            .filter(|region| eu.contains(&region.id))
            .all(|region| region.serving == 0)
    })
    .await?;
    for client in CLIENTS {
        let answer = get(http, HOST, *client).await?;
        let asked = resolve(dns, HOST, *client).await?;
        let said = format!(
            "{:<14} HTTP {} {:?}, DNS {}",
            client.place, answer.status, answer.region, asked.code
        );
        let holds = if client.in_eu {
            answer.region.is_none() && answer.status == 503 && asked.code == ResponseCode::ServFail
        } else {
            answer.status == 200 && asked.code == ResponseCode::NoError
        };
        verdicts.claim(holds.into(), format!("EU dead: {said}"));
    }
    for region in &eu {
        world
            .origins
            .restore(region)
            .await
            .map_err(Failure::other)?;
    }
    wait_until("the EU is back whole", || all_serve(world)).await?;
    Ok(())
}

fn regions_with_label(world: &DemoWorld) -> Vec<String> {
    let published = world.node.live.plan().load();
    let regions = &published.world.topology.regions;
    let labelled = regions.iter().filter(|region| {
        region
            .compliance
            .iter()
            .any(|label| label.as_str() == LABEL)
    });
    labelled.map(|region| region.id.to_string()).collect()
}
