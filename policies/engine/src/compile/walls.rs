//! The first stage: which regions, and which endpoints in them, are inside all walls.

use meridian_topology::model::Region;
use meridian_topology::{Place, ProviderId, RegionId, RegionIdx, ServiceIdx};

use super::context::Context;
use super::prepare::Applied;
use crate::class::ClientClass;
use crate::policy::{Policy, Wall};
use crate::recorder::{Drop, Recorder, Stage};

/// What the walls that apply demand together.
struct Walls<'p> {
    labels: u64,
    label_names: Vec<&'p str>,
    within: Vec<&'p [Place]>,
    forbid: Vec<&'p [ProviderId]>,
    only: Vec<&'p [RegionId]>,
    never: Vec<&'p [RegionId]>,
}

fn walls<'p>(context: &Context<'_>, policy: &'p Policy, applied: Applied) -> Walls<'p> {
    let mut walls = Walls {
        labels: 0,
        label_names: Vec::new(),
        within: Vec::new(),
        forbid: Vec::new(),
        only: Vec::new(),
        never: Vec::new(),
    };
    for (at, eligible) in policy.eligible.iter().enumerate() {
        if !applied.has(at) {
            continue;
        }
        match &eligible.wall {
            Wall::Compliance { require, within } => {
                for label in require {
                    walls.labels |= context.label_bit(label);
                    walls.label_names.push(label.as_str());
                }
                if !within.is_empty() {
                    walls.within.push(within);
                }
            }
            Wall::Provider { forbid, .. } => walls.forbid.push(forbid),
            Wall::Regions { only, never, .. } => {
                if !only.is_empty() {
                    walls.only.push(only);
                }
                walls.never.push(never);
            }
        }
    }
    walls
}

/// The regions inside all walls, each with its endpoints that are.
pub(super) fn eligible(
    context: &Context<'_>,
    service: ServiceIdx,
    policy: &Policy,
    applied: Applied,
    recorder: &mut impl Recorder,
) -> Vec<(RegionIdx, Vec<u32>)> {
    recorder.stage(Stage::Eligible);
    let walls = walls(context, policy, applied);
    let mut eligible = Vec::new();
    for (at, region) in context.regions().iter().enumerate() {
        let region_idx = RegionIdx(at as u16);
        match behind_walls(
            context,
            &walls,
            region,
            context.serving(service, region_idx),
        ) {
            Ok(members) => {
                recorder.keep(region_idx);
                eligible.push((region_idx, members));
            }
            Err(reason) => recorder.drop(region_idx, reason),
        }
    }
    eligible
}

fn behind_walls<'w>(
    context: &Context<'_>,
    walls: &'w Walls<'_>,
    region: &Region,
    serving: &[u32],
) -> Result<Vec<u32>, Drop<'w>> {
    if serving.is_empty() {
        return Err(Drop::NotServed);
    }
    let provider = &region.location.provider;
    if walls
        .forbid
        .iter()
        .any(|forbidden| forbidden.contains(provider))
    {
        return Err(Drop::Forbidden);
    }
    if walls.never.iter().any(|never| never.contains(&region.id)) {
        return Err(Drop::Never);
    }
    if !walls.only.iter().all(|only| only.contains(&region.id)) {
        return Err(Drop::NotAmong);
    }
    if !walls
        .within
        .iter()
        .all(|places| places.iter().any(|place| lies_in(region, place)))
    {
        return Err(Drop::Outside);
    }
    let has_labels = |endpoint: &&u32| {
        context.endpoint_labels[**endpoint as usize] & walls.labels == walls.labels
    };
    let members: Vec<u32> = serving.iter().filter(has_labels).copied().collect();
    if members.is_empty() {
        Err(Drop::Labels(&walls.label_names))
    } else {
        Ok(members)
    }
}

/// Whether a region lies in a place; it is in no network and no client group.
fn lies_in(region: &Region, place: &Place) -> bool {
    let at = ClientClass {
        country: Some(region.location.country),
        provider: Some(region.location.provider.clone()),
        ..ClientClass::default()
    };
    at.is_in(place)
}
