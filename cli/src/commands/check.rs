//! `meridian check`: everything a running node would refuse, before it runs.

use std::path::Path;

use meridian_live::read_directory;

use crate::config::Deployment;
use crate::failure::Failure;
use crate::output;

/// Reads the whole deployment and says what it holds.
pub fn run(folder: &Path) -> Result<(), Failure> {
    let deployment = Deployment::read(folder)?;
    let meaning = read_directory(folder)?
        .read(deployment.intent.as_deref())
        .map_err(Failure::other)?;
    let topology = &meaning.topology;
    output::line(format_args!(
        "{}: {} regions, {} endpoints, {} services, {} policies: fine",
        folder.display(),
        topology.regions.len(),
        topology.endpoints.len(),
        topology.services.len(),
        meaning.policies.policies().len(),
    ));
    Ok(())
}
