//! The big case: the map of `bench dns` answered by thousands of services for thousands of classes.
//!
//! Every service has a name of one three-letter label under the bench's zone ([`label`], service 0 is the
//! `www` of the small case) and an endpoint in every place, so that each name answers each network as the
//! small case does and questions stay of one length. The networks' places come as measured overrides, each
//! place cut into as many spots close to it as make the classes wanted.
//!
//! Limits: ten thousand services fill the 1.25 MiB that one transaction of the store takes.

use std::{fmt::Write as _, net::SocketAddr, path::Path};

use crate::{
    GenError,
    dns::{
        geography::{Geography, PLACES},
        query::ZONE,
    },
    process,
};

use super::POLICY;

/// Services of the big case.
pub const SERVICES: usize = 10_000;
/// Client classes of the big case.
pub const CLASSES: usize = 5_000;
/// Most services: labels of a letter and two characters, up to the one that is service 0's.
pub const SERVICES_MAX: usize = 29_327;
/// Degrees between two spots of a place: far enough to be told apart, too close to change a region.
const SPOT_DEGREES: f64 = 0.001;
/// Digits of labels.
const DIGITS: &[u8; 36] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// The label of a service's name: distinct below [`SERVICES_MAX`].
#[must_use]
pub fn label(service: usize) -> [u8; 3] {
    let Some(at) = service.checked_sub(1) else {
        return *b"www";
    };
    let digit = |at: usize| DIGITS[at % DIGITS.len()];
    [digit(at / 1_296 % 26), digit(at / 36), digit(at)]
}

fn name(service: usize) -> String {
    label(service).into_iter().map(char::from).collect()
}

/// A deployment of so many services and classes; returns where its admin API listens.
///
/// # Errors
/// When a file cannot be written, or services are more than there are labels.
pub fn write_dns_big(
    folder: &Path,
    address: SocketAddr,
    geography: &Geography,
    services: usize,
    classes: usize,
) -> Result<SocketAddr, GenError> {
    if services > SERVICES_MAX {
        let problem = format!("{services} services; there are labels for {SERVICES_MAX}");
        return Err(GenError::World(problem));
    }
    let admin = process::free_address()?;
    let node = format!(
        "roles: [dns]\n\
         dns: {{ listen: [\"{address}\"], workers: 1 }}\n\
         admin: {{ listen: \"{admin}\" }}\n\
         geo: {{ overrides: [classes.csv] }}\n"
    );
    process::make_folder(&folder.join("policies"))?;
    process::make_folder(&folder.join("topology"))?;
    for (file, text) in [
        ("meridian.yaml", node),
        ("classes.csv", overrides(geography, classes)),
        ("policies/bench.yaml", POLICY.to_owned()),
        ("topology/regions.yaml", regions(services)),
        ("topology/services.yaml", services_text(services)),
    ] {
        process::write(&folder.join(file), &text)?;
    }
    Ok(admin)
}

/// One region a place, with one endpoint for all services.
fn regions(services: usize) -> String {
    let names: Vec<String> = (0..services).map(name).collect();
    let names = names.join(",");
    let mut out = String::from("regions:\n");
    for place in &PLACES {
        let _ = write!(
            out,
            "  - id: {name}\n    \
             location: {{ country: \"{}\", latitude: {}, longitude: {}, provider: bench }}\n    \
             endpoints:\n      \
             - {{ id: {name}-1, address: {}, port: 80, services: [{names}] }}\n",
            place.country,
            place.latitude,
            place.longitude,
            place.address(),
            name = place.name,
        );
    }
    out
}

fn services_text(services: usize) -> String {
    let mut out = format!(
        "dns_zones:\n  - origin: {ZONE}\n    \
         soa: {{ mname: ns1.{ZONE}, rname: hostmaster.{ZONE}, serial: 1 }}\n    \
         ns: [ns1.{ZONE}]\n    \
         records:\n      - {{ name: ns1, type: A, data: 192.0.2.250 }}\n\
         services:\n"
    );
    for service in 0..services {
        let name = name(service);
        let _ = writeln!(
            out,
            "- {{id: {name},policy: bench,dns: {{names: [{name}.{ZONE}]}}}}"
        );
    }
    out
}

/// Every network at a spot of its place; places have `classes` spots together.
fn overrides(geography: &Geography, classes: usize) -> String {
    let spots = (classes / PLACES.len()).max(1);
    let mut seen = [0_usize; PLACES.len()];
    let mut out = String::from("cidr,latitude,longitude\n");
    for network in geography.networks() {
        let place = PLACES.iter().position(|place| place == network.place);
        let spot = &mut seen[place.unwrap_or(0)];
        let degrees = SPOT_DEGREES * (*spot % spots) as f64;
        *spot += 1;
        let (latitude, longitude) = (network.place.latitude, network.place.longitude);
        let _ = writeln!(out, "{network},{latitude},{:.3}", longitude + degrees);
    }
    out
}

#[cfg(test)]
mod tests;
