//! Folds by client: a client is judged by a model that never saw it.
//!
//! Clients of one place go into one fold, or a cloud's region would be judged by a model trained
//! on its neighbour across the street. Where clients are regions themselves (as in
//! `cloud_rtt_2022.csv`) the way back is as long as the way there, so training also leaves out
//! rows *towards* the clients held out.
//!
//! Places are dealt continent by continent: with two places in Africa, a deal that holds out both
//! would ask what a model says of a continent it never saw, and one unlucky deal would outweigh
//! everything else (on the cloud data the regret over deployments went from 3.4 to 5.9 ms).

use std::collections::{BTreeMap, BTreeSet};

use crate::data::{NamedSite, Observation, Observations};

#[cfg(test)]
mod tests;

/// Which fold each client is judged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folds {
    count: usize,
    /// By position in [`Observations::clients`].
    of_client: Vec<usize>,
}

/// One split into rows to learn from and clients to judge.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// Rows to learn from.
    pub training: Vec<Observation>,
    /// Rows of the clients held out.
    pub held_out: Vec<Observation>,
}

impl Folds {
    /// Deals the places of `data` into `count` folds: continent by continent, within one in the
    /// order of a hash with `seed`. Even in size and the same on every machine.
    pub fn deal(data: &Observations, count: usize, seed: u64) -> Self {
        let places: BTreeSet<_> = data
            .clients
            .iter()
            .map(|client| {
                (
                    client.continent(),
                    order(place(client), seed),
                    place(client),
                )
            })
            .collect();
        let mut fold_of = BTreeMap::new();
        for (at, (_, _, place)) in places.iter().enumerate() {
            // A place on a border may have clients of two continents: the first deal holds.
            fold_of.entry(*place).or_insert(at % count);
        }
        let of_client = data
            .clients
            .iter()
            .map(|client| fold_of[&place(client)])
            .collect();
        Self { count, of_client }
    }

    /// The split of every fold, in order.
    pub fn splits(&self, data: &Observations) -> Vec<Split> {
        (0..self.count).map(|fold| self.split(data, fold)).collect()
    }

    fn split(&self, data: &Observations, fold: usize) -> Split {
        let held_out_ids: BTreeSet<&str> = data
            .clients
            .iter()
            .zip(&self.of_client)
            .filter(|(_, of)| **of == fold)
            .map(|(client, _)| client.id.as_str())
            .collect();
        let (held_out, rest): (Vec<Observation>, Vec<Observation>) = data
            .rows
            .iter()
            .partition(|row| self.of_client[row.client] == fold);
        let training = rest
            .into_iter()
            .filter(|row| !held_out_ids.contains(data.regions[row.region].id.as_str()))
            .collect();
        Split { training, held_out }
    }
}

/// A client's place to a tenth of a degree.
fn place(client: &NamedSite) -> (i64, i64) {
    let cell = |degrees: f64| (degrees * 10.0).round() as i64;
    (
        cell(client.coordinates.latitude()),
        cell(client.coordinates.longitude()),
    )
}

fn order((latitude, longitude): (i64, i64), seed: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.update(&latitude.to_le_bytes());
    hasher.update(&longitude.to_le_bytes());
    *hasher.finalize().as_bytes()
}
