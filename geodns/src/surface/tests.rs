#![allow(
    clippy::unwrap_used,
    reason = "a test that cannot build its input has failed"
)]

use meridian_topology::Drain;

use super::*;
use crate::fixture::world;
use crate::responder::tests::{rules, zones_of};

fn surface(zones: &Zones, service: &str, client: &str) -> DnsSurface {
    let service = service.parse().unwrap();
    surface_explain(zones, &rules(), &service, client.parse().unwrap())
}

#[test]
fn names_answers_and_their_reasons() {
    let zones = zones_of(world());
    let said = surface(&zones, "shop", "10.2.3.4");
    assert_eq!(
        (said.families, said.configured_ttl, said.reason),
        ("ipv4", Some(30), Some(Reason::Best))
    );
    assert_eq!(said.fallback, SurfaceFallback::Closed);
    let names: Vec<&str> = said.names.iter().map(|name| name.name.as_str()).collect();
    assert_eq!(names, ["shop.example.test", "*.shops.example.test"]);
    for name in &said.names {
        let question = &name.questions[0];
        assert_eq!(question.answers[0].data, "198.51.100.1", "{question:?}");
        assert_eq!(
            question.ttl_reason,
            "the service's `ttl`: the service's own region answers"
        );
        assert_eq!(question.scope, Some(16));
        assert!(question.scope_reason.contains("class"), "{question:?}");
    }

    let both = surface(&zones, "dual", "10.1.0.1");
    let types: Vec<&str> = both.names[0]
        .questions
        .iter()
        .map(|question| question.rtype.as_str())
        .collect();
    assert_eq!((both.families, types), ("both", vec!["A", "AAAA"]));
    let alias = surface(&zones, "alias", "10.3.0.1");
    assert_eq!(alias.families, "cname");
    assert_eq!(
        alias.names[0].questions[0].answers[0].data,
        "ap.elsewhere.invalid."
    );
    let nothing = surface(&zones, "no-such", "10.3.0.1");
    assert_eq!((nothing.names_total, nothing.families), (0, "none"));
}

#[test]
fn a_stand_in_says_why_its_ttl_is_short() {
    let zones = zones_of(world());
    let published = zones.published();
    let region = published
        .world
        .topology
        .regions
        .iter()
        .position(|region| region.id.as_str() == "eu-west");
    let region = meridian_topology::RegionIdx::from_index(region.unwrap()).unwrap();
    published
        .bits
        .set_region_drain(&published.plan, region, Drain::Draining);
    let said = surface(&zones, "shop", "10.2.3.4");
    let question = &said.names[0].questions[0];
    assert_eq!(said.reason, Some(Reason::Failover));
    assert_eq!(question.ttl, Some(rules().failover_ttl_seconds));
    assert_eq!(
        question.ttl_reason,
        format!(
            "at most `dns.failover_ttl`, {}s: a stand-in answers",
            rules().failover_ttl_seconds
        )
    );
    // A policy with a wall has nobody left, and says what it answers then.
    let closed = surface(&zones, "gdpr", "10.2.3.4");
    assert_eq!(closed.names[0].questions[0].rcode, "SERVFAIL");
    let fixed = surface(&zones, "static", "10.2.3.4");
    assert!(matches!(&fixed.fallback, SurfaceFallback::Static(list) if list.len() == 3));
    let question = &fixed.names[0].questions[0];
    assert_eq!(question.answers[0].data, "192.0.2.200");
    assert!(
        question.ttl_reason.ends_with("the policy's static answer"),
        "{question:?}"
    );
}
