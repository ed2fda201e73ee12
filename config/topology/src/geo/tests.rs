#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::*;

fn at(latitude: f64, longitude: f64) -> Coordinates {
    Coordinates::new(latitude, longitude).unwrap()
}

#[test]
fn known_distances() {
    // (from, to, kilometres by the geodesic of GeographicLib, tolerance 0.6 %)
    let cases = [
        (at(51.5074, -0.1278), at(48.8566, 2.3522), 343.9),
        (at(40.7128, -74.0060), at(34.0522, -118.2437), 3_944.4),
        (at(-33.8688, 151.2093), at(35.6762, 139.6503), 7_793.0),
        (at(0.0, 179.5), at(0.0, -179.5), 111.3),
    ];
    for (a, b, km) in cases {
        let got = a.distance_km(&b);
        assert!((got - km).abs() <= km * 0.006, "{a:?} to {b:?}: {got}");
    }
}

#[test]
fn refuses_other_planets() {
    assert_eq!(
        Coordinates::new(90.1, 0.0),
        Err(CoordinatesError::Latitude(90.1))
    );
    assert_eq!(
        Coordinates::new(0.0, -180.5),
        Err(CoordinatesError::Longitude(-180.5))
    );
    assert!(Coordinates::new(f64::NAN, 0.0).is_err());
    assert!(
        serde_json::from_str::<Coordinates>(r#"{"latitude": 200.0, "longitude": 0.0}"#).is_err()
    );
}

proptest! {
    #[test]
    fn distance_is_symmetric_and_bounded(
        a in (-90.0..=90.0, -180.0..=180.0), b in (-90.0..=90.0, -180.0..=180.0)
    ) {
        let (a, b) = (at(a.0, a.1), at(b.0, b.1));
        let there = a.distance_km(&b);
        prop_assert!((there - b.distance_km(&a)).abs() < 1e-6);
        prop_assert!((0.0..=20_016.0).contains(&there));
        prop_assert_eq!(a.distance_km(&a), 0.0);
    }
}
