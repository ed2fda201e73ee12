//! Who asks: turns addresses into client classes for the engine.
//!
//! Sources, each laid over the one before: the country of every address from the regional registries
//! (the `iptocc` crate, enumerated into ranges when this crate is built), MMDB files for city and
//! autonomous system, the clouds' own lists of their prefixes ([`providers`]), measured places
//! ([`overrides`]), and the client groups that the operator names in the topology. All but the groups
//! make the *base*, a [`Table`]: it can be built ahead, kept in a file ([`mod@table`]) and compared with
//! another ([`diff`]). The groups are laid over it whenever the topology changes. [`witness`] says what
//! each source knows of one address.
//!
//! Classes stay few on purpose, because the plan has a route for each class and service: places from a
//! city file are rounded to a grid that gets coarser until they fit [`MAX_CLASSES`], and autonomous
//! systems are told apart only when somebody names them ([`Sources::asns`]).

mod base;
mod config;
pub mod diff;
mod groups;
mod list;
mod mmdb;
mod overrides;
mod providers;
pub mod registry;
pub mod table;
pub mod witness;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use meridian_engine::class::{ClassError, ClassTable, ClassTableBuilder, MAX_CLASSES};
use meridian_topology::{Coordinates, Topology};

pub use base::{Stamp, build_table, stamps};
pub use config::GeoConfig;
pub use list::{MAX_LIST_BYTES, MAX_LIST_PREFIXES};
pub use table::{About, SourceNote, Table, TableError};

/// Sizes in degrees that the grid of city places is tried with, finest first. Half a degree is about
/// fifty kilometres, far below what a choice of region can notice.
pub const GRID_DEGREES: [f64; 5] = [0.5, 1.0, 2.0, 5.0, 10.0];
/// The largest MMDB file that is read.
pub const MAX_MMDB_BYTES: u64 = 1 << 30;

/// What is known about addresses beside the registries and the topology.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// A table built ahead by `meridian geo build`. A node that has one reads none of the others.
    pub table: Option<PathBuf>,
    /// MMDB file with places: GeoIP2/GeoLite2 City or a flat one such as DB-IP's.
    pub mmdb_city: Option<PathBuf>,
    /// MMDB file with autonomous systems: GeoLite2 ASN or a flat one.
    pub mmdb_asn: Option<PathBuf>,
    /// Clouds' lists of their prefixes.
    pub providers: Vec<PathBuf>,
    /// Measured places of prefixes; later files win over earlier ones.
    pub overrides: Vec<PathBuf>,
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
    /// A file larger than is read of its kind.
    #[error("`{}` has {bytes} bytes; at most {bytes_max} are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// A list of prefixes with something wrong in it.
    #[error("`{}`: {problem}", path.display())]
    List {
        /// The file.
        path: PathBuf,
        /// What is wrong, and where.
        problem: String,
    },
    /// A class table that cannot be used.
    #[error("`{}` is not a usable class table", path.display())]
    Table {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TableError,
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
    #[error(
        "more than {MAX_CLASSES} client classes even on a grid of ten degrees; \
         name fewer client groups, providers' regions or measured places"
    )]
    TooManyClasses,
    /// The client groups make more classes of a table's than the engine takes.
    #[error(
        "the topology's client groups make more than {MAX_CLASSES} client classes of the {classes} of \
         the class table; build it on a coarser grid (`meridian geo build --grid`) or name fewer groups"
    )]
    TooManyGroups {
        /// Classes of the table without groups.
        classes: usize,
    },
    /// Ranges that do not follow each other: a damaged source.
    #[error(transparent)]
    Ranges(ClassError),
}

/// The class table of a topology: the base of its sources with its client groups.
///
/// Reads the files, so call it from where blocking is fine. Without any it takes a few milliseconds.
///
/// # Errors
/// When a file cannot be used, or there are too many classes on every grid.
pub fn build(topology: &Topology, sources: &Sources) -> Result<Arc<ClassTable>, GeoError> {
    if let Some(path) = &sources.table {
        return with_groups(&Table::open(path)?.classes, topology);
    }
    let files = base::Files::read(topology, sources)?;
    for degrees in GRID_DEGREES {
        let Some(base) = files.lay(topology, sources, degrees)? else {
            continue;
        };
        match with_groups(&Arc::new(base), topology) {
            Err(GeoError::TooManyGroups { .. }) => {}
            done => return done,
        }
    }
    Err(GeoError::TooManyClasses)
}

/// A table with the client groups of a topology laid over it.
///
/// # Errors
/// [`GeoError::TooManyGroups`] when there would be more classes than the engine takes.
pub fn with_groups(
    base: &Arc<ClassTable>,
    topology: &Topology,
) -> Result<Arc<ClassTable>, GeoError> {
    if topology.client_groups.is_empty() {
        return Ok(Arc::clone(base));
    }
    let mut builder = ClassTableBuilder::over(base);
    groups::lay(&mut builder, topology);
    match builder.build() {
        Ok(table) => Ok(Arc::new(table)),
        Err(ClassError::TooManyClasses) => Err(GeoError::TooManyGroups {
            classes: base.classes().len(),
        }),
        Err(error) => Err(GeoError::Ranges(error)),
    }
}

/// A whole file, if it is not too large.
fn read_bounded(path: &Path, bytes_max: u64) -> Result<Vec<u8>, GeoError> {
    let failed = |source| GeoError::Read {
        path: path.to_owned(),
        source,
    };
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > bytes_max {
        return Err(GeoError::TooLarge {
            path: path.to_owned(),
            bytes,
            bytes_max,
        });
    }
    std::fs::read(path).map_err(failed)
}

/// A place moved to the middle of its cell on a grid.
fn cell(at: Coordinates, degrees: f64) -> Option<Coordinates> {
    let middle =
        |value: f64, limit: f64| (((value / degrees).floor() + 0.5) * degrees).clamp(-limit, limit);
    Coordinates::new(middle(at.latitude(), 90.0), middle(at.longitude(), 180.0)).ok()
}

#[cfg(test)]
mod tests;
