#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::BTreeSet;

use super::*;
use crate::data::{Sample, cloud_regions};
use meridian_score::Origin;

/// Every cloud region to every other, at 10 ms.
fn mesh() -> Observations {
    let regions = cloud_regions();
    let samples: Vec<Sample> = regions
        .iter()
        .flat_map(|client| regions.iter().map(move |region| (client, region)))
        .filter(|(client, region)| client.id != region.id)
        .map(|(client, region)| Sample {
            client: client.clone(),
            region: region.clone(),
            rtt_ms: 10.0,
            at_unix_s: None,
        })
        .collect();
    Observations::collect("mesh".to_owned(), Origin::Measured, &samples)
}

#[test]
fn no_client_and_no_way_back_to_it_is_in_its_own_training() {
    let data = mesh();
    let folds = Folds::deal(&data, 5, 1);
    let mut judged = 0;
    for split in folds.splits(&data) {
        let held_out: BTreeSet<&str> = split
            .held_out
            .iter()
            .map(|row| data.clients[row.client].id.as_str())
            .collect();
        judged += held_out.len();
        assert!(
            (8..=20).contains(&held_out.len()),
            "{} clients",
            held_out.len()
        );
        for row in &split.training {
            let (client, region) = (&data.clients[row.client], &data.regions[row.region]);
            assert!(!held_out.contains(client.id.as_str()));
            assert!(!held_out.contains(region.id.as_str()));
        }
        assert!(!split.training.is_empty());
    }
    assert_eq!(judged, data.clients.len());
}

#[test]
fn neighbours_share_a_fold() {
    let data = mesh();
    let folds = Folds::deal(&data, 5, 1);
    let fold_of = |id: &str| {
        let at = data
            .clients
            .iter()
            .position(|client| client.id == id)
            .unwrap();
        folds.of_client[at]
    };
    assert_eq!(fold_of("aws:eu-central-1"), fold_of("gcp:europe-west3"));
    assert_eq!(
        fold_of("aws:eu-central-1"),
        fold_of("azure:germanywestcentral")
    );
}

#[test]
fn a_seed_deals_and_another_deals_otherwise() {
    let data = mesh();
    assert_eq!(Folds::deal(&data, 5, 1), Folds::deal(&data, 5, 1));
    assert_ne!(Folds::deal(&data, 5, 1), Folds::deal(&data, 5, 2));
}

#[test]
fn no_fold_holds_out_all_places_of_a_continent() {
    let data = mesh();
    for seed in 0..20 {
        let folds = Folds::deal(&data, 5, seed);
        let mut of_continent: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
        for (client, fold) in data.clients.iter().zip(&folds.of_client) {
            of_continent
                .entry(client.continent())
                .or_default()
                .insert(*fold);
        }
        for (continent, folds) in of_continent {
            assert!(folds.len() > 1, "{continent:?} with seed {seed}");
        }
    }
}
