#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn country(code: &str) -> &'static Country {
    code.parse::<CountryCode>().unwrap().country().unwrap()
}

#[test]
fn the_table_is_whole_and_sorted() {
    assert_eq!(Country::all().len(), keshvar::SUPPORTED_ALPHA2_LIST.len());
    assert!(Country::all().windows(2).all(|w| w[0].code < w[1].code));
}

#[test]
fn union_and_area() {
    let eu: Vec<_> = Country::all().iter().filter(|c| c.eu).collect();
    let eea: Vec<_> = Country::all().iter().filter(|c| c.eea).collect();
    // 27 member states, and seven territories with codes of their own in which EU law, and so the
    // GDPR, applies (Åland and the French outermost regions).
    assert_eq!(eu.len(), 27 + 7, "{:?}", eu.iter().map(|c| c.code));
    assert_eq!(eea.len(), 27 + 7 + 3, "{:?}", eea.iter().map(|c| c.code));
    assert!(country("DE").eu && country("NO").eea && !country("NO").eu);
    assert!(!country("GB").eea && !country("CH").eea);
}

#[test]
fn facts() {
    assert_eq!(country("jp").continent, Continent::Asia);
    assert_eq!(country("AU").continent, Continent::Oceania);
    assert_eq!(country("BR").name, "Brazil");
    let berlin = Coordinates::new(52.5, 13.4).unwrap();
    assert!(country("DE").centroid.distance_km(&berlin) < 500.0);
    assert!("XX".parse::<CountryCode>().unwrap().country().is_none());
    assert!("D".parse::<CountryCode>().is_err());
    assert!("1A".parse::<CountryCode>().is_err());
}
