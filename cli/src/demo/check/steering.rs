//! Claim: DNS and HTTP send every client where `explain` says, and the DNS answer leads there.

use std::net::SocketAddr;

use meridian_engine::Surface;

use super::{Verdicts, explained, regions_of};
use crate::demo::clients::{CLIENTS, get, resolve};
use crate::demo::world::DemoWorld;
use crate::failure::Failure;
use crate::output;

const HOST: &str = "shop.demo.test";
/// The port of every HTTP origin of the demo.
const ORIGIN_PORT: u16 = 18_080;

/// Asks by DNS, then by HTTP to the answer, then through the proxy.
pub async fn check(world: &DemoWorld, verdicts: &mut Verdicts) -> Result<(), Failure> {
    output::line("Where clients of shop.demo.test go");
    let (dns, http) = (world.address("dns")?, world.address("http")?);
    let mut seen = Vec::new();
    for client in CLIENTS {
        let expected = regions_of(&explained(world, "shop", *client, Surface::Dns)?);
        let answer = resolve(dns, HOST, *client).await?;
        let mut reached = Vec::new();
        for address in &answer.addresses {
            let direct = get(SocketAddr::new(*address, ORIGIN_PORT), HOST, *client).await?;
            reached.extend(direct.region);
        }
        let proxied = get(http, HOST, *client).await?;
        let inside = |region: &String| expected.contains(region);
        verdicts.claim(
            (!reached.is_empty() && reached.iter().all(inside)).into(),
            format!(
                "{:<14} DNS {:?} reaches {reached:?}, explained {expected:?}",
                client.place, answer.addresses
            ),
        );
        verdicts.claim(
            (proxied.status == 200 && proxied.region.as_ref().is_some_and(inside)).into(),
            format!(
                "{:<14} HTTP {} from {}",
                client.place,
                proxied.status,
                proxied.region.as_deref().unwrap_or("-")
            ),
        );
        seen.extend(proxied.region);
    }
    seen.sort();
    seen.dedup();
    verdicts.claim(
        (seen.len() >= 3).into(),
        format!("clients are spread by place over {seen:?}"),
    );
    Ok(())
}
