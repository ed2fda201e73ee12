//! Every recipe of docs/dns-cookbook.md is loaded, compiled and asked; the answers are those of the page.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::rr::RecordType;
use ipnet::IpNet;
use meridian_engine::{EndpointState, PolicySet, World};
use meridian_geodns::zone::ShelfSnapshot;
use meridian_geodns::{ClientQuestion, DnsConfig, Zones, query_explain, zones_for_query};
use meridian_live::{GeoSources, Published};
use meridian_topology::{SourceFile, Topology};

const PAGE: &str = include_str!("../../../docs/dns-cookbook.md");
/// How far a share may be from what the page says: sampling of 256 networks, four deviations.
const SAMPLING: f64 = 0.125;

/// A recipe: its blocks by what they are.
struct Recipe<'p> {
    title: &'p str,
    topology: &'p str,
    policy: &'p str,
    answers: Vec<&'p str>,
}

/// The block behind a comment in a part of the page.
fn block<'p>(part: &'p str, comment: &str) -> Option<&'p str> {
    let (_, rest) = part.split_once(&format!("<!-- {comment} -->\n```"))?;
    let (_, rest) = rest.split_once('\n')?;
    rest.split_once("```").map(|(inside, _)| inside)
}

fn recipes() -> Vec<Recipe<'static>> {
    let parts = PAGE.split("\n## ").skip(1);
    parts
        .map(|part| {
            let title = part.lines().next().unwrap();
            let block = |comment| {
                block(part, comment).unwrap_or_else(|| panic!("{title}: no {comment} block"))
            };
            Recipe {
                title,
                topology: block("topology"),
                policy: block("policy"),
                answers: block("answers").lines().collect(),
            }
        })
        .collect()
}

fn world(recipe: &Recipe<'_>) -> World {
    let file = |name: &str, text: &str| SourceFile::new(name, text);
    let base = block(PAGE, "base").unwrap();
    let files = [
        file("topology/regions.yaml", base),
        file("topology/shop.yaml", recipe.topology),
    ];
    let topology =
        Topology::parse(&files).unwrap_or_else(|problems| panic!("{}: {problems}", recipe.title));
    let policies = PolicySet::parse(&[file("policies/shop.yaml", recipe.policy)], &topology)
        .unwrap_or_else(|problems| panic!("{}: {problems}", recipe.title));
    let sources = GeoSources {
        asns: policies.asns(),
        ..GeoSources::default()
    };
    let classes = meridian_geo::build(&topology, &sources).unwrap();
    World::new(Arc::new(topology), Arc::new(policies), classes)
}

/// One line of answers: a question and what is expected.
struct Line<'p> {
    name: &'p str,
    rtype: RecordType,
    client: &'p str,
    without: Vec<&'p str>,
    shares: bool,
    expected: &'p str,
    ttl: Option<u32>,
}

fn line(text: &str) -> Line<'_> {
    let (question, expected) = text.split_once(" -> ").unwrap();
    let mut words = question.split(' ');
    let name = words.next().unwrap();
    let rtype = words.next().unwrap().parse().unwrap();
    let client = words.next().unwrap();
    let rest: Vec<&str> = words.collect();
    let without = rest
        .iter()
        .copied()
        .filter(|word| !matches!(*word, "without" | "shares"));
    let (expected, ttl) = match expected.split_once(" ttl ") {
        Some((expected, ttl)) => (expected, Some(ttl.parse().unwrap())),
        None => (expected, None),
    };
    Line {
        name,
        rtype,
        client,
        without: without.collect(),
        shares: rest.contains(&"shares"),
        expected,
        ttl,
    }
}

/// The zones of a world without some endpoints or regions.
fn zones(world: &World, without: &[&str]) -> Zones {
    let mut world = world.clone();
    let topology = Arc::clone(&world.topology);
    let mut found = 0;
    for endpoint in &topology.endpoints {
        let region = &topology.regions[endpoint.region.index()].id;
        if without.contains(&endpoint.id.as_str()) || without.contains(&region.as_str()) {
            world.health.set(endpoint.id.clone(), EndpointState::Down);
            found += 1;
        }
    }
    assert!(found >= without.len(), "{without:?} is not all there");
    let published = Arc::new(Published::compile(Arc::new(world), 1));
    zones_for_query(published, &ShelfSnapshot::new()).unwrap()
}

/// What a client is answered: data and TTL, or the code.
fn answered(zones: &Zones, line: &Line<'_>, client: IpAddr) -> (Vec<String>, Option<u32>) {
    let settings = DnsConfig::default()
        .validate(std::num::NonZeroUsize::MIN)
        .unwrap();
    let question = ClientQuestion {
        name: line.name,
        rtype: line.rtype,
        client,
    };
    let explained = query_explain(zones, settings.rules(), question).unwrap();
    if explained.rcode != "NOERROR" {
        return (vec![explained.rcode.to_owned()], None);
    }
    let ttl = explained.answers.first().map(|record| record.ttl);
    // hickory-proto writes commas behind the parameters of HTTPS and SVCB.
    let data = explained.answers.into_iter().map(|record| {
        let data = record.data.replace(", ", " ");
        data.trim_end_matches(',').to_owned()
    });
    (data.collect(), ttl)
}

/// Whether data are as the page says: items, of which some may be "any of" a list.
fn fits(expected: &str, found: &[String]) -> bool {
    let mut left: Vec<&str> = found.iter().map(String::as_str).collect();
    let parts: Vec<&str> = expected.split("any of ").collect();
    let take = |left: &mut Vec<&str>, text: &str| -> Vec<usize> {
        // Which of the data found stand in this text.
        let at = left.iter().enumerate();
        at.filter(|(_, data)| {
            let padded = format!(" {text} ");
            padded.contains(&format!(" {data} "))
        })
        .map(|(at, _)| at)
        .collect()
    };
    // The first part is fixed: all of it must be there.
    let fixed = parts[0].trim();
    let mut covered = 0;
    for at in take(&mut left, fixed).into_iter().rev() {
        covered += left.remove(at).len() + 1;
    }
    if covered != if fixed.is_empty() { 0 } else { fixed.len() + 1 } {
        return false;
    }
    for choice in &parts[1..] {
        match take(&mut left, choice.trim()).first() {
            Some(at) => drop(left.remove(*at)),
            None => return false,
        }
    }
    left.is_empty()
}

/// The share of a network's /24s (of its addresses, in a /24) that each region gets.
fn shares(zones: &Zones, line: &Line<'_>) -> BTreeMap<String, f64> {
    let net: IpNet = line.client.parse().unwrap();
    let IpNet::V4(net) = net else { panic!("{net}") };
    let step = if net.prefix_len() == 24 { 1 } else { 256 };
    let topology = &zones.published().world.topology;
    let mut counts: BTreeMap<String, f64> = BTreeMap::new();
    for at in 0..256_u32 {
        let client = IpAddr::from((net.network().to_bits() + at * step).to_be_bytes());
        let (data, _) = answered(zones, line, client);
        let address: IpAddr = data[0].parse().unwrap();
        let mut endpoints = topology.endpoints.iter();
        let endpoint = endpoints
            .find(|endpoint| endpoint.address == address)
            .unwrap();
        let region = topology.regions[endpoint.region.index()].id.to_string();
        *counts.entry(region).or_default() += 1.0 / 256.0;
    }
    counts
}

#[test]
fn every_recipe_answers_as_the_page_says() {
    let recipes = recipes();
    assert!(recipes.len() >= 12, "{} recipes", recipes.len());
    let mut wrong = Vec::new();
    for recipe in &recipes {
        let world = world(recipe);
        assert!(!recipe.answers.is_empty());
        for text in &recipe.answers {
            let line = line(text);
            let zones = zones(&world, &line.without);
            assert!(zones.problems().is_empty(), "{:?}", zones.problems());
            if line.shares {
                let shares = shares(&zones, &line);
                let words: Vec<&str> = line.expected.split(' ').collect();
                let right = match words[..] {
                    ["one"] => shares.len() == 1,
                    _ => words.chunks(2).all(|pair| {
                        let wanted: f64 = pair[1].trim_end_matches('%').parse().unwrap();
                        let found = shares.get(pair[0]).copied().unwrap_or(0.0);
                        (found - wanted / 100.0).abs() < SAMPLING
                    }),
                };
                if !right {
                    wrong.push(format!("{}: {text}\n  is {shares:?}", recipe.title));
                }
                continue;
            }
            let (data, ttl) = answered(&zones, &line, line.client.parse().unwrap());
            if !fits(line.expected, &data) || line.ttl.is_some_and(|wanted| ttl != Some(wanted)) {
                wrong.push(format!(
                    "{}: {text}\n  is {data:?} ttl {ttl:?}",
                    recipe.title
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn wrong_answers_are_told_from_right_ones() {
    let check = |expected: &str, found: &[&str], fit: bool| {
        let found: Vec<String> = found.iter().map(|data| (*data).to_owned()).collect();
        assert_eq!(fits(expected, &found), fit, "{expected} {found:?}");
    };
    check("192.0.2.1", &["192.0.2.1"], true);
    check("192.0.2.1", &["192.0.2.11"], false);
    check("192.0.2.1", &[], false);
    check("192.0.2.1", &["192.0.2.1", "192.0.2.2"], false);
    check("192.0.2.1 192.0.2.2", &["192.0.2.2", "192.0.2.1"], true);
    check("192.0.2.1 192.0.2.2", &["192.0.2.2"], false);
    check("any of 192.0.2.1 192.0.2.2", &["192.0.2.2"], true);
    check("any of 192.0.2.1 192.0.2.2", &["192.0.2.3"], false);
    check(
        "192.0.2.9 any of 192.0.2.1 192.0.2.2",
        &["192.0.2.2", "192.0.2.9"],
        true,
    );
    check(
        "192.0.2.9 any of 192.0.2.1 192.0.2.2",
        &["192.0.2.9"],
        false,
    );
    check(
        "10 1 5060 a.b. any of 11 1 5060 c.d.",
        &["11 1 5060 c.d.", "10 1 5060 a.b."],
        true,
    );
    check("SERVFAIL", &["SERVFAIL"], true);
}
