//! Folds by client: a client is judged by a model that never saw it.
//!
//! Clients of one place go into one fold, or a cloud's region would be judged by a model trained
//! on its neighbour across the street. Where clients are regions themselves (as in
//! `cloud_rtt_2022.csv`) the way back is as long as the way there, so training also leaves out
//! rows *towards* the clients held out.

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
    /// Deals the places of `data` into `count` folds, in the order of a hash with `seed`: even in
    /// size, without regard to geography, the same on every machine.
    pub fn deal(data: &Observations, count: usize, seed: u64) -> Self {
        let places: BTreeSet<(i64, i64)> = data.clients.iter().map(place).collect();
        let mut dealt: Vec<_> = places
            .into_iter()
            .map(|place| (order(place, seed), place))
            .collect();
        dealt.sort_unstable();
        let fold_of: BTreeMap<_, _> = dealt
            .iter()
            .enumerate()
            .map(|(at, (_, place))| (*place, at % count))
            .collect();
        let of_client = data
            .clients
            .iter()
            .map(|client| fold_of[&place(client)])
            .collect();
        Self { count, of_client }
    }

    /// The split of every fold, in order.
    pub fn splits<'a>(&'a self, data: &'a Observations) -> impl Iterator<Item = Split> + 'a {
        (0..self.count).map(move |fold| self.split(data, fold))
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
