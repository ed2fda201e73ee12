#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use super::*;
use crate::tests::list;

fn topology() -> Topology {
    let text = "regions:
  - id: tokyo
    location: { country: JP, latitude: 35.7, longitude: 139.7, provider: gcp }
";
    Topology::parse(&[meridian_topology::SourceFile::new("topology.yaml", text)]).unwrap()
}

fn found(content: &str) -> Result<Vec<(String, f64, Option<String>)>, String> {
    let (_keep, path) = list("measured", content);
    let found = read(&path, &topology()).map_err(|error| error.to_string())?;
    let text = |known: Override| {
        let country = known.country.map(|code| code.to_string());
        (known.net.to_string(), known.at.latitude(), country)
    };
    Ok(found.into_iter().map(text).collect())
}

#[test]
fn lines_and_json_say_the_same() {
    let want = vec![
        ("192.0.2.0/24".to_owned(), 52.5, Some("DE".to_owned())),
        ("2001:db8::/48".to_owned(), -33.9, None),
        // The nearest region gives the place, and no country: nobody moves across a border by it.
        ("198.51.100.0/24".to_owned(), 35.7, None),
    ];
    let lines = "cidr,latitude,longitude,country
192.0.2.0/24,52.5,13.4,de
2001:db8::/48, -33.9, 151.2
198.51.100.0/24,tokyo
";
    assert_eq!(found(lines).unwrap(), want);
    let json = r#"[
      {"cidr": "192.0.2.0/24", "latitude": 52.5, "longitude": 13.4, "country": "DE"},
      {"cidr": "2001:db8::/48", "latitude": -33.9, "longitude": 151.2},
      {"cidr": "198.51.100.0/24", "region": "tokyo"}]"#;
    assert_eq!(found(json).unwrap(), want);
}

#[test]
fn what_is_wrong_is_named() {
    for (content, want) in [
        ("192.0.2.0/24,91,0\n", "line 1: latitude 91 is out of range"),
        (
            "192.0.2.0/24,1,2\n192.0.2.0/24,north,2\n",
            "line 2: `north` is no number",
        ),
        (
            "192.0.2.0/24,1,2,Germany\n",
            "`Germany` is not a country code",
        ),
        (
            "192.0.2.0/24,tokio\n",
            "`tokio` is no region of the topology; did you mean `tokyo`?",
        ),
        (
            "192.0.2.0/24\n",
            "lines are CIDR,latitude,longitude[,country] or CIDR,region",
        ),
        (
            r#"[{"cidr": "192.0.2.0/24", "latitude": 1.0}]"#,
            "`192.0.2.0/24`: give either",
        ),
        (
            r#"[{"cidr": "192.0.2.0/24", "lat": 1.0}]"#,
            "unknown field `lat`",
        ),
    ] {
        let error = found(content).unwrap_err();
        assert!(error.contains(want), "{error}");
    }
}
