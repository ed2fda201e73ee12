#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::BTreeSet;

use super::*;

#[test]
fn a_seed_is_a_data_set() {
    assert_eq!(generate(1), generate(1));
    assert_ne!(generate(1).describe().blake3, generate(2).describe().blake3);
}

#[test]
fn nothing_is_faster_than_light_and_clients_cover_the_world() {
    let data = generate(3);
    assert_eq!(data.clients.len(), CLIENTS);
    for row in &data.rows {
        let (client, region) = (&data.clients[row.client], &data.regions[row.region]);
        let km = client.coordinates.distance_km(&region.coordinates);
        assert!(
            row.rtt_ms > km / KM_PER_MS,
            "{} to {}",
            client.id,
            region.id
        );
    }
    let continents: BTreeSet<_> = data
        .clients
        .iter()
        .filter_map(NamedSite::continent)
        .collect();
    assert!(continents.len() >= 5, "{continents:?}");
}
