//! From raw types to the model: every reference resolved, every bound checked, every problem
//! reported with its place.
//!
//! Two passes over all files. The first declares names (regions, zones, services, endpoints,
//! machines, groups, DNS zones) and reports those declared twice, with both places. The second
//! builds the model and resolves references against the names; a part with a mistake is left out
//! and the rest is still looked at, so that one run reports everything. When a file could not be
//! read at all, references to unknown names are not reported: the name may stand in that file.

use std::collections::BTreeMap;

use crate::door::{
    Code, Field, Mistake, Problems, Source, SourceFile, Span, parse_source, suggest,
};
use crate::ids::{RegionId, RegionIdx, ServiceId, ServiceIdx};
use crate::model::{DnsName, HealthCheck};
use crate::raw::{RawMultiRegion, RawTopology};
use crate::topology::Topology;
use crate::units::Millis;

mod dns;
mod edge;
mod health;
mod listeners;
mod multi_region;
mod names;
mod region;
mod service;
mod steered;
mod traffic;

use names::Names;

/// A `multi_region_config` block that stands outside of the topology's files, in `meridian.yaml`.
#[derive(Debug, Clone, Copy)]
pub struct NodeBlock<'b> {
    /// The file it stands in.
    pub source: &'b Source,
    /// The block.
    pub block: &'b RawMultiRegion,
}

impl Topology {
    /// Reads a topology from its files, which are merged: the order does not matter.
    ///
    /// # Errors
    /// All problems of all files, sorted by place.
    pub fn parse(files: &[SourceFile]) -> Result<Self, Problems> {
        Self::parse_with(files, None)
    }

    /// Like [`Topology::parse`], with the `multi_region_config` of this node's `meridian.yaml`.
    ///
    /// # Errors
    /// All problems of all files, sorted by place; also when the block is given twice.
    pub fn parse_with(files: &[SourceFile], node: Option<NodeBlock<'_>>) -> Result<Self, Problems> {
        let mut checker = Checker::default();
        let mut documents = Vec::with_capacity(files.len());
        for file in files {
            let mut source = Source::new(&file.name, &file.text);
            let (raw, problems) = parse_source::<RawTopology>(&mut source);
            checker.problems.append(problems);
            match raw {
                Some(raw) => documents.push((source, raw)),
                None => checker.some_file_unread = true,
            }
        }
        let topology = checker.topology(&documents, node);
        checker.problems.unless_any(|| topology)
    }
}

/// What the second pass knows, and the problems so far.
#[derive(Default)]
struct Checker {
    problems: Problems,
    some_file_unread: bool,
    names: Names,
    /// The interval of checks that name none.
    default_interval: Option<Millis>,
    /// Failover priorities that `multi_region_config` implies.
    implied_priority: BTreeMap<RegionId, u8>,
}

impl Checker {
    fn topology(
        &mut self,
        documents: &[(Source, RawTopology)],
        node: Option<NodeBlock<'_>>,
    ) -> Topology {
        self.declare(documents);
        let block = self.only_block(documents, node);
        let multi_region = block.and_then(|(source, raw)| self.multi_region(source, raw));
        let mut topology = Topology {
            multi_region,
            ..Topology::default()
        };
        for (source, raw) in documents {
            for region in &raw.regions {
                self.region(source, region, &mut topology);
            }
            for service in &raw.services {
                topology.services.extend(self.service(source, service));
            }
            for zone in &raw.dns_zones {
                topology.dns_zones.extend(self.zone(source, zone));
            }
            let external = self.list(source, &raw.external_zones);
            topology.external_zones.extend(external);
            for group in &raw.client_groups {
                topology
                    .client_groups
                    .extend(self.client_group(source, group));
            }
            for node in &raw.edge_nodes {
                topology.edge_nodes.extend(self.edge_node(source, node));
            }
        }
        self.across(documents);
        sort(&mut topology);
        topology
    }

    /// The one `multi_region_config` of a deployment.
    fn only_block<'b>(
        &mut self,
        documents: &'b [(Source, RawTopology)],
        node: Option<NodeBlock<'b>>,
    ) -> Option<(&'b Source, &'b RawMultiRegion)> {
        let mut blocks = documents
            .iter()
            .filter_map(|(source, raw)| Some((source, raw.multi_region_config.as_ref()?)))
            .chain(node.map(|node| (node.source, node.block)));
        let first = blocks.next()?;
        for (source, block) in blocks {
            self.problems.report_related(
                (source, block.regions.primary.span),
                Code::CONFLICT,
                Mistake::new("`multi_region_config` is given twice").help("keep one of the two"),
                (first.0, first.1.regions.primary.span, "first given"),
            );
        }
        Some(first)
    }

    /// The value of a field, or `None` after reporting what is wrong with it.
    fn field<'f, T>(&mut self, source: &Source, field: &'f Field<T>) -> Option<&'f T> {
        field.check(source, &mut self.problems)
    }

    /// The value of an optional field. The outer `None` means that there was a mistake.
    fn optional<T: Clone>(
        &mut self,
        source: &Source,
        field: Option<&Field<T>>,
    ) -> Option<Option<T>> {
        match field {
            None => Some(None),
            Some(field) => self.field(source, field).cloned().map(Some),
        }
    }

    /// The value of an optional field, or its default; `None` means that there was a mistake.
    fn or<T: Clone>(&mut self, source: &Source, field: Option<&Field<T>>, default: T) -> Option<T> {
        self.optional(source, field)
            .map(|value| value.unwrap_or(default))
    }

    /// The values of a list without those that had a mistake.
    fn list<T: Clone>(&mut self, source: &Source, fields: &[Field<T>]) -> Vec<T> {
        fields
            .iter()
            .filter_map(|field| self.field(source, field).cloned())
            .collect()
    }

    /// Like [`Self::list`], sorted, with repetitions reported.
    fn set<T: Clone + Ord + std::fmt::Display>(
        &mut self,
        source: &Source,
        fields: &[Field<T>],
    ) -> Vec<T> {
        let mut seen: BTreeMap<T, Span> = BTreeMap::new();
        for field in fields {
            let Some(value) = self.field(source, field) else {
                continue;
            };
            if let Some(first) = seen.insert(value.clone(), field.span) {
                self.problems.report_related(
                    (source, field.span),
                    Code::DUPLICATE_ID,
                    Mistake::new(format!("`{value}` is listed twice")).help("keep one of the two"),
                    (source, first, "first listed"),
                );
                seen.insert(value.clone(), first);
            }
        }
        seen.into_keys().collect()
    }

    /// A number within bounds, or `None` after a report.
    fn within<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        source: &Source,
        span: Span,
        value: T,
        (low, high): (T, T),
    ) -> Option<T> {
        if low <= value && value <= high {
            return Some(value);
        }
        self.wrong(
            source,
            span,
            Code::OUT_OF_RANGE,
            Mistake::new(format!("{value} is out of range: {low} to {high}")),
        );
        None
    }

    /// An optional number within bounds.
    fn bounded<T: Copy + PartialOrd + std::fmt::Display>(
        &mut self,
        source: &Source,
        field: Option<&Field<T>>,
        default: T,
        bounds: (T, T),
    ) -> Option<T> {
        let Some(field) = field else {
            return Some(default);
        };
        let value = *self.field(source, field)?;
        self.within(source, field.span, value, bounds)
    }

    /// A port number: everything but 0.
    fn port(&mut self, source: &Source, field: &Field<u16>) -> Option<u16> {
        let port = *self.field(source, field)?;
        self.within(source, field.span, port, (1, u16::MAX))
    }

    fn wrong(&mut self, source: &Source, span: Span, code: Code, mistake: Mistake) {
        self.problems.report(source, span, code, mistake);
    }

    /// A reference to nothing, with the closest name that exists.
    fn unknown<'k>(
        &mut self,
        source: &Source,
        span: Span,
        (what, name): (&str, &str),
        known: impl Iterator<Item = &'k str>,
    ) {
        if self.some_file_unread {
            return;
        }
        let known: Vec<&str> = known.collect();
        let mistake = Mistake::new(format!("there is no {what} `{name}`"));
        let mistake = match suggest::closest(name, known.iter().copied()) {
            Some(found) => mistake.help(format!("did you mean `{found}`?")),
            None if known.is_empty() => mistake.help(format!("no {what} is declared")),
            None => mistake.help(format!("known: {}", shortened(&known))),
        };
        self.wrong(source, span, Code::UNKNOWN_REFERENCE, mistake);
    }

    fn region_ref(&mut self, source: &Source, field: &Field<RegionId>) -> Option<RegionIdx> {
        let id = self.field(source, field)?;
        if let Some(at) = self.names.regions.position(id) {
            return RegionIdx::from_index(at);
        }
        let names = std::mem::take(&mut self.names);
        self.unknown(
            source,
            field.span,
            ("region", id.as_str()),
            names.regions.texts(),
        );
        self.names = names;
        None
    }

    fn service_ref(&mut self, source: &Source, field: &Field<ServiceId>) -> Option<ServiceIdx> {
        let id = self.field(source, field)?;
        if let Some(at) = self.names.services.position(id) {
            return ServiceIdx::from_index(at);
        }
        let names = std::mem::take(&mut self.names);
        self.unknown(
            source,
            field.span,
            ("service", id.as_str()),
            names.services.texts(),
        );
        self.names = names;
        None
    }

    /// Reports a name that lies in none of the declared DNS zones, ours and external.
    fn inside_zone(&mut self, source: &Source, name: &DnsName, span: Span) {
        if self.some_file_unread || self.names.dns_zones.ids().any(|zone| name.is_within(zone)) {
            return;
        }
        let zones: Vec<&str> = self.names.dns_zones.texts().collect();
        let mistake = Mistake::new(format!("`{name}` lies in none of the zones"));
        let mistake = if zones.is_empty() {
            mistake.help(
                "declare its zone under `dns_zones`, or name it in `external_zones` when its records come from a zone file or another primary",
            )
        } else {
            mistake.help(format!("zones: {}", shortened(&zones)))
        };
        self.wrong(source, span, Code::UNKNOWN_REFERENCE, mistake);
    }

    /// The interval of checks that name none.
    fn interval(&self) -> Millis {
        self.default_interval
            .unwrap_or(HealthCheck::DEFAULT_INTERVAL)
    }
}

/// The first names of a list that may be long.
fn shortened(names: &[&str]) -> String {
    const SHOWN: usize = 8;
    let mut text = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

fn sort(topology: &mut Topology) {
    topology.regions.sort_by(|a, b| a.id.cmp(&b.id));
    topology
        .endpoints
        .sort_by(|a, b| (a.region, &a.id).cmp(&(b.region, &b.id)));
    topology.services.sort_by(|a, b| a.id.cmp(&b.id));
    topology.edge_nodes.sort_by(|a, b| a.id.cmp(&b.id));
    topology.client_groups.sort_by(|a, b| a.id.cmp(&b.id));
    topology.dns_zones.sort_by(|a, b| a.origin.cmp(&b.origin));
    topology.external_zones.sort();
}

#[cfg(test)]
mod tests;
