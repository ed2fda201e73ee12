//! The clouds' own lists of their addresses: who runs a client, and in which of their regions.
//!
//! Four shapes are told apart by their content: lines of `CIDR,provider[,region]`, AWS's
//! `ip-ranges.json`, Google's `cloud.json` and Azure's service tags. Where a cloud's region is one of
//! ours (a region of the topology with the same provider whose name, or the provider's name of whose
//! place, is the same), the clients are where that region is; elsewhere only the provider is known.

use std::collections::HashMap;
use std::path::Path;

use ipnet::IpNet;
use meridian_engine::class::{ClassPatch, ClassTableBuilder};
use meridian_topology::model::Region;
use meridian_topology::{ProviderId, Topology};
use serde::Deserialize;

use crate::GeoError;
use crate::list::List;

/// A prefix of a provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProviderRange {
    pub net: IpNet,
    pub provider: ProviderId,
    /// The provider's own name of the region.
    pub region: Option<String>,
}

/// The documents of AWS, Google and Azure, as far as they matter here.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    prefixes: Vec<Prefix>,
    #[serde(default)]
    ipv6_prefixes: Vec<Prefix>,
    #[serde(default)]
    values: Vec<Tag>,
}

/// A prefix of AWS (`ip_prefix`, `ipv6_prefix`, `region`) or Google (`ipv4Prefix`, `ipv6Prefix`,
/// `scope`).
#[derive(Deserialize)]
struct Prefix {
    #[serde(alias = "ipv6_prefix")]
    ip_prefix: Option<String>,
    #[serde(rename = "ipv4Prefix", alias = "ipv6Prefix")]
    google_prefix: Option<String>,
    region: Option<String>,
    scope: Option<String>,
}

/// A service tag of Azure.
#[derive(Deserialize)]
struct Tag {
    properties: Properties,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Properties {
    region: Option<String>,
    #[serde(default)]
    address_prefixes: Vec<String>,
}

/// Reads one list.
pub(crate) fn read(path: &Path) -> Result<Vec<ProviderRange>, GeoError> {
    let list = List::read(path)?;
    let ranges = if list.is_json() {
        from_json(&list)?
    } else {
        from_lines(&list)?
    };
    list.check_len(ranges.len())?;
    Ok(ranges)
}

fn from_lines(list: &List) -> Result<Vec<ProviderRange>, GeoError> {
    let mut ranges = Vec::new();
    list.each_line(|net, record| {
        let provider = record.get(1).unwrap_or_default();
        let provider = provider.parse().map_err(|error| {
            format!("`{provider}` is no provider: {error}; lines are CIDR,provider[,region]")
        })?;
        ranges.push(ProviderRange {
            net,
            provider,
            region: known_region(record.get(2)),
        });
        Ok(())
    })?;
    Ok(ranges)
}

fn from_json(list: &List) -> Result<Vec<ProviderRange>, GeoError> {
    let document: Document = list.json()?;
    let named = |name: &str| name.parse::<ProviderId>().map_err(|e| list.problem(&e));
    let (aws, google, azure) = (named("aws")?, named("gcp")?, named("azure")?);
    let mut ranges = Vec::new();
    let mut push = |text: &str, provider: &ProviderId, region: Option<&str>| {
        ranges.push(ProviderRange {
            net: crate::list::net(text).map_err(|error| list.problem(&error))?,
            provider: provider.clone(),
            region: known_region(region),
        });
        Ok::<(), GeoError>(())
    };
    for prefix in document.prefixes.iter().chain(&document.ipv6_prefixes) {
        if let Some(text) = &prefix.ip_prefix {
            push(text, &aws, prefix.region.as_deref())?;
        } else if let Some(text) = &prefix.google_prefix {
            push(text, &google, prefix.scope.as_deref())?;
        }
    }
    for tag in &document.values {
        for text in &tag.properties.address_prefixes {
            push(text, &azure, tag.properties.region.as_deref())?;
        }
    }
    if ranges.is_empty() {
        return Err(list.problem(
            "neither AWS's ip-ranges.json, Google's cloud.json nor Azure's service tags: \
             no prefix in it",
        ));
    }
    Ok(ranges)
}

/// Clouds write nothing, `GLOBAL` or `global` for prefixes that are of no region.
fn known_region(region: Option<&str>) -> Option<String> {
    let region = region.filter(|name| !name.is_empty() && !name.eq_ignore_ascii_case("global"))?;
    Some(region.to_ascii_lowercase())
}

/// Adds a net for each prefix; it amends what is known below.
pub(crate) fn lay(
    builder: &mut ClassTableBuilder,
    topology: &Topology,
    mut ranges: Vec<ProviderRange>,
) {
    let ours = Ours::of(topology);
    // Azure lists a prefix once for each service, with and without a region: of equal nets the last
    // one counts, so those that know more come last.
    ranges.sort_by_key(|range| range.region.is_some());
    for range in ranges {
        let patch = ours.patch(&range);
        builder.amend(range.net, patch);
    }
}

/// Our regions by provider and by the names that the provider may mean them by.
pub(crate) struct Ours<'t>(HashMap<(&'t str, String), &'t Region>);

impl<'t> Ours<'t> {
    pub fn of(topology: &'t Topology) -> Self {
        let mut names = HashMap::new();
        for region in &topology.regions {
            let provider = region.location.provider.as_str();
            for name in [region.location.region.as_str(), region.id.as_str()] {
                names.insert((provider, name.to_ascii_lowercase()), region);
            }
        }
        Self(names)
    }

    pub fn patch(&self, range: &ProviderRange) -> ClassPatch {
        let name = range.region.clone();
        let region = name.and_then(|name| self.0.get(&(range.provider.as_str(), name)));
        ClassPatch {
            country: region.map(|region| region.location.country),
            location: region.map(|region| region.location.coordinates),
            provider: Some(range.provider.clone()),
            region: region.map(|region| region.id.clone()),
            ..ClassPatch::default()
        }
    }
}

#[cfg(test)]
mod tests;
