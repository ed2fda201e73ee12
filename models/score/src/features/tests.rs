#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::collections::BTreeSet;

use super::*;

fn site(
    latitude: f64,
    longitude: f64,
    country: &str,
    provider: Option<&'static str>,
) -> Site<'static> {
    let country: CountryCode = country.parse().unwrap();
    Site {
        coordinates: Coordinates::new(latitude, longitude).unwrap(),
        country: Some(country),
        continent: country.country().map(|country| country.continent),
        provider,
    }
}

fn value(vector: &Features, name: &str) -> f64 {
    vector[feature_names()
        .iter()
        .position(|known| known == name)
        .unwrap()]
}

#[test]
fn names_are_distinct_and_fill_the_vector() {
    let names: BTreeSet<_> = feature_names().iter().collect();
    assert_eq!(names.len(), FEATURE_COUNT);
    assert_eq!(feature_names().len(), FEATURE_COUNT);
    assert!(
        !feature_names()
            .iter()
            .any(|name| name.starts_with("europe:europe"))
    );
}

#[test]
fn every_pair_of_continents_has_its_own_columns_either_way_round() {
    let mut seen = BTreeSet::new();
    for (one, (_, one_name)) in CONTINENTS.iter().enumerate() {
        for (other, (_, other_name)) in CONTINENTS.iter().enumerate().skip(one) {
            assert_eq!(pair_column(one, other), pair_column(other, one));
            let Some(column) = pair_column(one, other) else {
                assert_eq!((one, other), (EUROPE, EUROPE));
                continue;
            };
            let name = format!("{one_name}:{other_name}");
            assert_eq!(feature_names()[column], name);
            assert!(seen.insert(column), "{name} shares a column");
        }
    }
    assert_eq!(seen.len(), PAIRS - 1);
}

#[test]
fn known_pair_has_the_expected_values() {
    let frankfurt = site(50.11, 8.68, "DE", Some("aws"));
    let virginia = site(39.04, -77.49, "US", Some("aws"));
    let vector = features(&frankfurt, &virginia);
    let distance_mm = value(&vector, "distance_mm");
    assert!((6.4..6.7).contains(&distance_mm), "{distance_mm}");
    for (name, expected) in [
        ("same_country", 0.0),
        ("same_provider", 1.0),
        ("region_aws", 1.0),
        ("region_gcp", 0.0),
        ("europe:north_america", 1.0),
        ("europe:north_america:distance_mm", distance_mm),
        ("asia:europe", 0.0),
        ("distance_sqrt", distance_mm.sqrt()),
    ] {
        assert_eq!(value(&vector, name), expected, "{name}");
    }
}

#[test]
fn two_unknown_providers_or_countries_are_not_the_same() {
    let unknown = Site {
        country: None,
        continent: None,
        ..site(1.0, 1.0, "SG", None)
    };
    let vector = features(&unknown, &unknown);
    assert_eq!(value(&vector, "same_country"), 0.0);
    assert_eq!(value(&vector, "same_provider"), 0.0);
    assert_eq!(vector[PLAIN.len()..], [0.0; 2 * (PAIRS - 1)]);
}

#[test]
fn the_antimeridian_is_no_border() {
    let east = site(-17.0, 179.999, "FJ", None);
    let west = site(-17.0, -179.999, "FJ", None);
    let sydney = site(-33.87, 151.21, "AU", None);
    for (one, other) in features(&east, &sydney)
        .iter()
        .zip(features(&west, &sydney))
    {
        assert!((one - other).abs() < 1e-3, "{one} against {other}");
    }
}
