//! What each source knows of one address: why a client has its class.
//!
//! The class table keeps only what came out of laying the sources over each other. Here each is asked
//! by itself, with the very readers that build the table.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;
use meridian_engine::class::{ClassPatch, ClassTable, ClassTableBuilder, ClientClass};
use meridian_topology::Topology;
use serde::Serialize;

use crate::base::Files;
use crate::{GeoError, Sources, Table, groups, providers, registry};

/// What one source says of an address.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Said {
    /// `registry`, `mmdb_city`, `mmdb_asn`, `providers`, `overrides`, `table` or `group`.
    pub source: &'static str,
    /// The prefix it says it of, where it speaks of prefixes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<IpNet>,
    /// What it says; what it leaves out stays as the sources before it have it.
    pub says: ClientClass,
}

/// The sources of a deployment, open.
pub struct Witnesses<'t> {
    topology: &'t Topology,
    base: Base,
}

enum Base {
    Table(Arc<ClassTable>),
    Files(Box<(ClassTable, Files)>),
}

impl<'t> Witnesses<'t> {
    /// Opens the sources: the table of [`Sources::table`] if there is one, else the files.
    ///
    /// # Errors
    /// When one cannot be used.
    pub fn open(topology: &'t Topology, sources: &Sources) -> Result<Self, GeoError> {
        let base = if let Some(path) = &sources.table {
            Base::Table(Table::open(path)?.classes)
        } else {
            let mut builder = ClassTableBuilder::new();
            registry::lay(&mut builder).map_err(GeoError::Ranges)?;
            let registry = builder.build().map_err(GeoError::Ranges)?;
            Base::Files(Box::new((registry, Files::read(topology, sources)?)))
        };
        Ok(Self { topology, base })
    }

    /// What each source says of an address, lowest first; those that know nothing are left out.
    ///
    /// # Errors
    /// When an MMDB file turns out to be damaged where the address leads.
    pub fn ask(&self, address: IpAddr) -> Result<Vec<Said>, GeoError> {
        let mut said = Vec::new();
        let mut push = |source, prefix, says: ClientClass| {
            if says != ClientClass::default() {
                said.push(Said {
                    source,
                    prefix,
                    says,
                });
            }
        };
        match &self.base {
            Base::Table(table) => push("table", None, known(table, address)),
            Base::Files(files) => {
                let (registry, files) = &**files;
                push("registry", None, known(registry, address));
                for (source, database) in [("mmdb_city", &files.city), ("mmdb_asn", &files.asn)] {
                    if let Some(patch) = database.as_ref().map(|d| d.ask(address)).transpose()? {
                        push(source, None, alone(&patch.unwrap_or_default()));
                    }
                }
                let ours = providers::Ours::of(self.topology);
                let found = longest(&files.providers, address, |range| {
                    (range.net, range.region.is_some())
                });
                if let Some(range) = found {
                    push("providers", Some(range.net), alone(&ours.patch(range)));
                }
                if let Some(place) = longest(&files.overrides, address, |it| (it.net, false)) {
                    let says = ClientClass {
                        location: Some(place.at),
                        country: place.country,
                        ..ClientClass::default()
                    };
                    push("overrides", Some(place.net), says);
                }
            }
        }
        let groups = self.topology.client_groups.iter();
        let nets = groups.flat_map(|group| group.cidrs.iter().map(move |net| (net, group)));
        let nets: Vec<_> = nets.collect();
        if let Some((net, group)) = longest(&nets, address, |(net, _)| (**net, false)) {
            let patch = groups::patch(group, self.topology);
            push("group", Some(**net), alone(&patch));
        }
        Ok(said)
    }
}

fn known(table: &ClassTable, address: IpAddr) -> ClientClass {
    table.class(table.lookup(address).class).clone()
}

/// A patch as what it says by itself.
fn alone(patch: &ClassPatch) -> ClientClass {
    ClientClass {
        country: patch.country,
        location: patch.location,
        asn: patch.asn,
        provider: patch.provider.clone(),
        region: patch.region.clone(),
        group: patch.group.clone(),
    }
}

/// The element with the longest prefix around an address; of equals the one that `key` ranks higher,
/// then the last, as layers have it.
fn longest<T>(all: &[T], address: IpAddr, key: impl Fn(&T) -> (IpNet, bool)) -> Option<&T> {
    let address = address.to_canonical();
    let around = all.iter().filter(|it| key(it).0.contains(&address));
    around.max_by_key(|it| {
        let (net, rank) = key(it);
        (net.prefix_len(), rank)
    })
}

#[cfg(test)]
mod tests;
