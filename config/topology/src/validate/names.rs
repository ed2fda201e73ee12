//! The first pass: who is called what, and where.

use std::collections::BTreeMap;

use super::Checker;
use crate::door::{Code, Field, Mistake, Source, Span};
use crate::ids::{EndpointId, GroupId, NodeId, RegionId, ServiceId, ZoneId};
use crate::model::DnsName;
use crate::raw::RawTopology;

/// The most regions and the most services: what a 16-bit index can count.
const MAX_INDEXED: usize = u16::MAX as usize + 1;

/// All declared names, by kind.
#[derive(Default)]
pub(super) struct Names {
    pub(super) regions: Registry<RegionId>,
    pub(super) services: Registry<ServiceId>,
    pub(super) endpoints: Registry<EndpointId>,
    pub(super) edge_nodes: Registry<NodeId>,
    pub(super) client_groups: Registry<GroupId>,
    pub(super) dns_zones: Registry<DnsName>,
    /// The zones of each region.
    pub(super) zones: BTreeMap<RegionId, Vec<ZoneId>>,
}

/// The names of one kind with the place of each. A name's position in the sorted order is its
/// index in the topology, because a topology is only built when no name was refused.
pub(super) struct Registry<I> {
    places: BTreeMap<I, (Source, Span)>,
    sorted: Vec<I>,
}

impl<I> Default for Registry<I> {
    fn default() -> Self {
        Self {
            places: BTreeMap::new(),
            sorted: Vec::new(),
        }
    }
}

impl<I: Ord + Clone + AsRef<str>> Registry<I> {
    /// Remembers a name; returns the first place when it is there already.
    fn declare(&mut self, id: &I, source: &Source, span: Span) -> Option<(Source, Span)> {
        if let Some(first) = self.places.get(id) {
            return Some(first.clone());
        }
        self.places.insert(id.clone(), (source.clone(), span));
        None
    }

    fn freeze(&mut self) {
        self.sorted = self.places.keys().cloned().collect();
    }

    /// The index that the thing of this name will have.
    pub(super) fn position(&self, id: &I) -> Option<usize> {
        self.sorted.binary_search(id).ok()
    }

    /// The names in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = &I> {
        self.sorted.iter()
    }

    /// The names in order, as text.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        self.sorted.iter().map(AsRef::as_ref)
    }
}

impl Checker {
    /// Fills [`Names`] from all files and reports names given twice.
    pub(super) fn declare(&mut self, documents: &[(Source, RawTopology)]) {
        let mut names = Names::default();
        for (source, raw) in documents {
            for region in &raw.regions {
                self.name(&mut names.regions, source, "region", &region.id);
                if let Some(id) = region.id.get() {
                    let zones = region.zones.iter().filter_map(Field::get).cloned();
                    names.zones.entry(id.clone()).or_default().extend(zones);
                }
                for endpoint in &region.endpoints {
                    self.name(&mut names.endpoints, source, "endpoint", &endpoint.id);
                }
            }
            for service in &raw.services {
                self.name(&mut names.services, source, "service", &service.id);
            }
            for node in &raw.edge_nodes {
                self.name(&mut names.edge_nodes, source, "edge node", &node.id);
            }
            for group in &raw.client_groups {
                self.name(&mut names.client_groups, source, "client group", &group.id);
            }
            let origins = raw.dns_zones.iter().map(|zone| &zone.origin);
            for origin in origins.chain(&raw.external_zones) {
                self.name(&mut names.dns_zones, source, "DNS zone", origin);
            }
        }
        names.regions.freeze();
        names.services.freeze();
        self.countable(&names.regions, "regions");
        self.countable(&names.services, "services");
        names.dns_zones.freeze();
        self.names = names;
    }

    /// Refuses more things than an index can count.
    fn countable<I: Ord + Clone + AsRef<str>>(&mut self, registry: &Registry<I>, what: &str) {
        let beyond = registry.sorted.get(MAX_INDEXED);
        if let Some((source, span)) = beyond.and_then(|id| registry.places.get(id)) {
            let mistake = Mistake::new(format!(
                "there are {} {what}; at most {MAX_INDEXED} are possible",
                registry.sorted.len()
            ));
            self.problems
                .report(source, *span, Code::TOO_LARGE, mistake);
        }
    }

    /// Declares a name. Its own mistakes are reported by the second pass, which reads it again.
    fn name<I: Ord + Clone + AsRef<str>>(
        &mut self,
        registry: &mut Registry<I>,
        source: &Source,
        what: &str,
        field: &Field<I>,
    ) {
        let Some(id) = field.get() else { return };
        if let Some((first, span)) = registry.declare(id, source, field.span) {
            self.problems.report_related(
                (source, field.span),
                Code::DUPLICATE_ID,
                Mistake::new(format!("the {what} `{}` is declared twice", id.as_ref()))
                    .help("rename one of the two"),
                (&first, span, "first declared"),
            );
        }
    }
}

#[cfg(test)]
mod tests;
