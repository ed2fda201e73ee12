//! The base: every source but the topology's client groups, laid one over the other.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use meridian_engine::class::{ClassError, ClassTable, ClassTableBuilder};
use meridian_topology::Topology;

use crate::overrides::Override;
use crate::providers::ProviderRange;
use crate::table::{About, SourceNote, Table};
use crate::{GRID_DEGREES, GeoError, Sources, mmdb, overrides, providers, registry};

/// The files of the sources, read.
pub(crate) struct Files {
    pub city: Option<mmdb::Database>,
    pub asn: Option<mmdb::Database>,
    pub providers: Vec<ProviderRange>,
    pub overrides: Vec<Override>,
}

impl Files {
    pub fn read(topology: &Topology, sources: &Sources) -> Result<Self, GeoError> {
        let mut ranges = Vec::new();
        for path in &sources.providers {
            ranges.extend(providers::read(path)?);
        }
        let mut places = Vec::new();
        for path in &sources.overrides {
            places.extend(overrides::read(path, topology)?);
        }
        Ok(Self {
            city: sources.mmdb_city.as_deref().map(mmdb::open).transpose()?,
            asn: sources.mmdb_asn.as_deref().map(mmdb::open).transpose()?,
            providers: ranges,
            overrides: places,
        })
    }

    /// The base on a grid; `None` when it has too many classes.
    pub fn lay(
        &self,
        topology: &Topology,
        sources: &Sources,
        degrees: f64,
    ) -> Result<Option<ClassTable>, GeoError> {
        match self.layers(topology, sources, degrees) {
            Ok(table) => Ok(Some(table)),
            Err(GeoError::Ranges(ClassError::TooManyClasses)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn layers(
        &self,
        topology: &Topology,
        sources: &Sources,
        degrees: f64,
    ) -> Result<ClassTable, GeoError> {
        let mut builder = ClassTableBuilder::new();
        registry::lay(&mut builder).map_err(GeoError::Ranges)?;
        if let Some(city) = &self.city {
            city.lay_places(&mut builder, degrees)?;
            builder.next_layer().map_err(GeoError::Ranges)?;
        }
        if let Some(asn) = &self.asn {
            asn.lay_networks(&mut builder, &sources.asns)?;
            builder.next_layer().map_err(GeoError::Ranges)?;
        }
        providers::lay(&mut builder, topology, self.providers.clone());
        builder.next_layer().map_err(GeoError::Ranges)?;
        overrides::lay(&mut builder, &self.overrides, degrees);
        builder.build().map_err(GeoError::Ranges)
    }
}

/// Builds the base of the sources' files, with notes of what it is made of. [`Sources::table`] is not
/// looked at. The finest grid tried is `finest` degrees.
///
/// # Errors
/// When a file cannot be used, or there are too many classes on every grid.
pub fn build_table(
    topology: &Topology,
    sources: &Sources,
    finest: f64,
    now_unix_seconds: u64,
) -> Result<Table, GeoError> {
    let files = Files::read(topology, sources)?;
    let coarser = GRID_DEGREES.into_iter().filter(|degrees| *degrees > finest);
    for degrees in std::iter::once(finest).chain(coarser) {
        if let Some(classes) = files.lay(topology, sources, degrees)? {
            let about = About {
                built_by: concat!("meridian ", env!("CARGO_PKG_VERSION")).to_owned(),
                built_unix_seconds: now_unix_seconds,
                grid_degrees: degrees,
                asns: sources.asns.iter().copied().collect(),
                sources: files.notes(sources),
            };
            return Ok(Table::new(Arc::new(classes), about));
        }
    }
    Err(GeoError::TooManyClasses)
}

impl Files {
    fn notes(&self, sources: &Sources) -> Vec<SourceNote> {
        let mut notes = vec![SourceNote {
            kind: "registry".to_owned(),
            detail: "countries as the regional registries delegated them (embedded)".to_owned(),
            ..SourceNote::default()
        }];
        let mut note = |kind: &str, path: &Path, detail: String| {
            let stamp = Stamp::of(path);
            notes.push(SourceNote {
                kind: kind.to_owned(),
                file: path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned()),
                bytes: stamp.bytes,
                modified_unix_seconds: stamp.modified_ns.map(|ns| ns / 1_000_000_000),
                detail,
            });
        };
        for (kind, path, database) in [
            ("mmdb_city", &sources.mmdb_city, &self.city),
            ("mmdb_asn", &sources.mmdb_asn, &self.asn),
        ] {
            if let (Some(path), Some(database)) = (path, database) {
                note(kind, path, database.describe());
            }
        }
        for path in &sources.providers {
            note(
                "providers",
                path,
                "clouds' lists of their prefixes".to_owned(),
            );
        }
        for path in &sources.overrides {
            note("overrides", path, "measured places".to_owned());
        }
        notes
    }
}

/// What tells one content of a file from the next without reading it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// The file.
    pub path: PathBuf,
    /// Its size; `None` when it is not there.
    pub bytes: Option<u64>,
    /// When it was last written, in nanoseconds since 1970.
    pub modified_ns: Option<u64>,
    /// Its number in the file system: a rename over it brings another.
    pub inode: Option<u64>,
}

impl Stamp {
    /// The stamp of a file at this moment.
    #[must_use]
    pub fn of(path: &Path) -> Self {
        let path = path.to_owned();
        let Ok(found) = std::fs::metadata(&path) else {
            return Self {
                path,
                ..Self::default()
            };
        };
        let modified = found.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            path,
            bytes: Some(found.len()),
            modified_ns: u64::try_from(since.as_nanos()).ok(),
            inode: Some(std::os::unix::fs::MetadataExt::ino(&found)),
        }
    }
}

/// The stamps of every file that a node with these sources reads.
#[must_use]
pub fn stamps(sources: &Sources) -> Vec<Stamp> {
    if let Some(table) = &sources.table {
        return vec![Stamp::of(table)];
    }
    let databases = sources.mmdb_city.iter().chain(&sources.mmdb_asn);
    databases
        .chain(&sources.providers)
        .chain(&sources.overrides)
        .map(|path| Stamp::of(path))
        .collect()
}
