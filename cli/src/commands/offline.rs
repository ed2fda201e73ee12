//! The world of a deployment directory, without a node: everything healthy, no load.

use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use meridian_engine::explain::Client;
use meridian_engine::{Explanation, Query, Surface, World};
use meridian_geodns::zone::ShelfSnapshot;
use meridian_geodns::{DnsSettings, Zones, zones_for_query};
use meridian_live::{GeoSources, PlanHandle, read_directory};
use meridian_topology::ServiceId;

use crate::config::Deployment;
use crate::failure::Failure;

/// Makes the world, the promoted model included.
pub fn world(folder: &Path) -> Result<World, Failure> {
    let deployment = Deployment::read(folder)?;
    let meaning = read_directory(folder)?
        .read(deployment.intent.as_deref())
        .map_err(Failure::other)?;
    let sources = GeoSources {
        asns: meaning.policies.asns(),
        ..deployment.node.geo.sources()
    };
    let classes = meridian_geo::build(&meaning.topology, &sources)?;
    let mut world = World::new(meaning.topology, meaning.policies, classes);
    if deployment.node.models.is_dir()
        && let Some(model) = meridian_train::Registry::open(&deployment.node.models)?.current()?
    {
        let scores = meridian_score::score_table(&model, &world.classes, &world.topology)?;
        world.scores = Some(Arc::new(scores));
    }
    Ok(world)
}

/// The DNS zones of a world, and the settings its answers follow.
pub fn zones(folder: &Path, world: World) -> Result<(Zones, DnsSettings), Failure> {
    let plan = PlanHandle::fixed(world);
    let zones = zones_for_query(Arc::clone(&plan.full()), &ShelfSnapshot::new())?;
    let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let settings = Deployment::read(folder)?.node.dns.validate(cores)?;
    Ok((zones, settings))
}

/// Where `client` would be sent.
pub fn explain(
    world: &World,
    service: &ServiceId,
    client: IpAddr,
    surface: Surface,
) -> Result<Explanation, Failure> {
    let query = Query {
        service: service.clone(),
        client: Client::Address(client),
        surface,
        family: None,
        key: None,
        plan_generation: None,
    };
    Ok(meridian_engine::explain(world, &query)?)
}
