#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use meridian_live::{GeoStatus, SourcesStatus, StoreHealth};
use meridian_telemetry::Metrics;

use super::*;
use crate::fixture::world;
use crate::metrics::DnsMetrics;
use crate::responder::tests::zones_of;

/// What a node says of the fixture's endpoints: `us-1` is down and flaps, the others serve.
fn status(topology: &Topology) -> Status {
    let endpoints = topology.endpoints.iter().map(|endpoint| {
        let down = endpoint.id.as_str() == "us-1";
        EndpointStatus {
            id: endpoint.id.to_string(),
            region: topology.regions[endpoint.region.index()].id.to_string(),
            address: endpoint.socket_addr().to_string(),
            state: if down { "down" } else { "serving" },
            cause: if down { "refused" } else { "ok" }.into(),
            since_s: 1,
            transitions: if down { 9 } else { 0 },
            recent_transitions: if down { 5 } else { 0 },
            flapping: down,
        }
    });
    Status {
        sequence: 1,
        generation: 1,
        revision: 1,
        compile_ms: 0.0,
        plan_bytes: 0,
        sources: SourcesStatus::InForce,
        model: None,
        store: StoreHealth::Following,
        geo: GeoStatus::default(),
        regions: Vec::new(),
        endpoints: endpoints.collect(),
        warnings: Vec::new(),
    }
}

fn page(zones: &Zones, wanted: NamesWanted<'_>) -> NamesPage {
    names(zones, &status(&zones.published().world.topology), wanted)
}

#[test]
fn every_name_with_its_members_and_continents() {
    let zones = zones_of(world());
    let all = page(&zones, NamesWanted::default());
    assert_eq!((all.names.len(), all.total, all.next), (9, 9, None));
    let shop = all
        .names
        .iter()
        .find(|row| row.name == "shop.example.test")
        .unwrap();
    assert_eq!(
        (shop.service.as_str(), shop.policy.as_str(), shop.ttl),
        ("shop", "nearest", 30)
    );
    assert_eq!((shop.members_total, shop.serving), (3, 2));
    let us = shop
        .members
        .iter()
        .find(|it| it.endpoint == "us-1")
        .unwrap();
    assert_eq!(
        (us.state, us.recent_transitions, us.flapping),
        ("down", 5, true)
    );
    let europe = shop
        .continents
        .iter()
        .find(|row| row.continent == "europe")
        .unwrap();
    // Germany and France; every one of them goes to Ireland.
    assert_eq!((europe.classes, europe.looked_at, europe.nobody), (2, 2, 0));
    assert_eq!(europe.regions[0].region, "eu-west");
    assert!((europe.regions[0].share - 1.0).abs() < 1e-9);
    assert_eq!(europe.example.answer.as_deref(), Some("198.51.100.1"));
    assert!(shop.continents.iter().any(|row| row.continent == "unknown"));
    let alias = all.names.iter().find(|row| row.answer == "cname").unwrap();
    let asia = alias.continents.iter().find(|row| row.continent == "asia");
    assert_eq!(
        asia.unwrap().example.answer.as_deref(),
        Some("ap.elsewhere.invalid")
    );
}

#[test]
fn pages_follow_each_other_without_gap_or_overlap() {
    let zones = zones_of(world());
    let whole: Vec<String> = page(&zones, NamesWanted::default())
        .names
        .into_iter()
        .map(|row| row.name)
        .collect();
    for limit in 1..=3 {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let wanted = NamesWanted {
                after: after.as_deref(),
                limit: Some(limit),
                ..NamesWanted::default()
            };
            let next = page(&zones, wanted);
            assert!(next.names.len() <= limit);
            seen.extend(next.names.into_iter().map(|row| row.name));
            after = next.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(seen, whole, "{limit}");
    }
    let service = "shop".parse().unwrap();
    let of_shop = NamesWanted {
        service: Some(&service),
        ..NamesWanted::default()
    };
    assert_eq!(page(&zones, of_shop).total, 2);
    let containing = NamesWanted {
        contains: Some("gdpr"),
        limit: Some(0),
        ..NamesWanted::default()
    };
    assert_eq!(page(&zones, containing).names.len(), 1);
}

#[test]
fn the_summary_counts_zones_names_and_what_flaps() {
    let zones = zones_of(world());
    let metrics = DnsMetrics::register(&Metrics::new()).unwrap();
    let status = status(&zones.published().world.topology);
    let said = summary(&zones, &metrics, &status);
    let zone = said.zones.iter().find(|it| it.origin == "example.test");
    let zone = zone.unwrap();
    assert_eq!((zone.serial, zone.source), (Some(7), "topology"));
    assert!(zone.records > 20, "{zone:?}");
    assert_eq!((said.zones_total, said.names_total, zone.names), (2, 9, 9));
    assert_eq!(said.problems_total, 0);
    assert_eq!(said.flapping[0].endpoint, "us-1");
    assert_eq!(said.counters["queries.udp"], 0);
}
