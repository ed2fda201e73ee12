//! The operator's client groups: the last layer, because whoever writes a CIDR down knows best.

use meridian_engine::class::{ClassPatch, ClassTableBuilder};
use meridian_topology::Topology;
use meridian_topology::model::ClientGroup;

/// Adds a net for each CIDR; it amends what is known below and leaves the rest.
pub(crate) fn lay(builder: &mut ClassTableBuilder, topology: &Topology) {
    for group in &topology.client_groups {
        let patch = patch(group, topology);
        for net in &group.cidrs {
            builder.amend(*net, patch.clone());
        }
    }
}

/// What a group says of its clients.
pub(crate) fn patch(group: &ClientGroup, topology: &Topology) -> ClassPatch {
    let region = group.region.and_then(|at| topology.regions.get(at.index()));
    ClassPatch {
        // Clients inside a region of ours are where it is, unless the group says otherwise.
        country: group
            .country
            .or_else(|| region.map(|region| region.location.country)),
        location: group
            .coordinates
            .or_else(|| region.map(|region| region.location.coordinates)),
        asn: group.asn,
        provider: group
            .provider
            .clone()
            .or_else(|| region.map(|region| region.location.provider.clone())),
        region: region.map(|region| region.id.clone()),
        group: Some(group.id.clone()),
    }
}
