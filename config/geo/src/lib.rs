//! Who asks: turns addresses into client classes for the engine.
//!
//! Sources, each laid over the one before: the country of every address from the regional registries
//! (the `iptocc` crate, enumerated into ranges when this crate is built), optional MMDB files for city
//! and autonomous system, and the client groups that the operator names in the topology. The result is
//! one immutable [`ClassTable`].
//!
//! Classes stay few on purpose, because the plan has a route for each class and service: places from a
//! city file are rounded to a grid that gets coarser until they fit [`MAX_CLASSES`], and autonomous
//! systems are told apart only when somebody names them ([`Sources::asns`]).

mod groups;
mod mmdb;
pub mod registry;

use std::collections::BTreeSet;
use std::path::PathBuf;

use meridian_engine::class::{ClassError, ClassTable, ClassTableBuilder, MAX_CLASSES};
use meridian_topology::Topology;

/// Sizes in degrees that the grid of city places is tried with, finest first. Half a degree is about
/// fifty kilometres, far below what a choice of region can notice.
pub const GRID_DEGREES: [f64; 5] = [0.5, 1.0, 2.0, 5.0, 10.0];
/// The largest MMDB file that is read.
pub const MAX_MMDB_BYTES: u64 = 1 << 30;

/// What is known about addresses beside the registries and the topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// MMDB file with places: GeoIP2/GeoLite2 City or a flat one such as DB-IP's.
    pub mmdb_city: Option<PathBuf>,
    /// MMDB file with autonomous systems: GeoLite2 ASN or a flat one.
    pub mmdb_asn: Option<PathBuf>,
    /// Autonomous systems worth a class of their own: those that policies name. Others stay unknown.
    pub asns: BTreeSet<u32>,
}

/// Why there is no class table.
#[derive(Debug, thiserror::Error)]
pub enum GeoError {
    /// A file could not be read.
    #[error("cannot read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file larger than [`MAX_MMDB_BYTES`].
    #[error("`{}` has {bytes} bytes; at most {MAX_MMDB_BYTES} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
    },
    /// A file that is not MMDB, or is damaged.
    #[error("`{}` is not a usable MMDB file", path.display())]
    Mmdb {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        source: maxminddb::MaxMindDbError,
    },
    /// More classes than the engine takes, even on the coarsest grid.
    #[error("more than {MAX_CLASSES} client classes even on a grid of ten degrees")]
    TooManyClasses,
    /// Ranges that do not follow each other: a damaged source.
    #[error(transparent)]
    Ranges(ClassError),
}

/// The class table of a topology.
///
/// Reads the MMDB files, so call it from where blocking is fine. Without MMDB files it takes a few
/// milliseconds.
pub fn build(topology: &Topology, sources: &Sources) -> Result<ClassTable, GeoError> {
    let city = sources.mmdb_city.as_deref().map(mmdb::open).transpose()?;
    let asn = sources.mmdb_asn.as_deref().map(mmdb::open).transpose()?;
    for degrees in GRID_DEGREES {
        match layers(topology, sources, city.as_ref(), asn.as_ref(), degrees) {
            Err(Layer::Classes(ClassError::TooManyClasses)) => {}
            Err(Layer::Classes(error)) => return Err(GeoError::Ranges(error)),
            Err(Layer::Geo(error)) => return Err(error),
            Ok(table) => return Ok(table),
        }
    }
    Err(GeoError::TooManyClasses)
}

/// Why a layer could not be laid.
enum Layer {
    Classes(ClassError),
    Geo(GeoError),
}

impl From<ClassError> for Layer {
    fn from(error: ClassError) -> Self {
        Self::Classes(error)
    }
}

fn layers(
    topology: &Topology,
    sources: &Sources,
    city: Option<&mmdb::Database>,
    asn: Option<&mmdb::Database>,
    degrees: f64,
) -> Result<ClassTable, Layer> {
    let mut builder = ClassTableBuilder::new();
    registry::lay(&mut builder)?;
    if let Some(city) = city {
        city.lay_places(&mut builder, degrees).map_err(Layer::Geo)?;
        builder.next_layer()?;
    }
    if let Some(asn) = asn {
        asn.lay_networks(&mut builder, &sources.asns)
            .map_err(Layer::Geo)?;
        builder.next_layer()?;
    }
    groups::lay(&mut builder, topology);
    Ok(builder.build()?)
}

#[cfg(test)]
mod tests;
