#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

use meridian_engine::{ClassId, ClassTableBuilder};
use meridian_topology::{CountryCode, SourceFile};

use super::*;
use crate::artifact::{DataSet, Draft, Judged, Line, Metrics, Model, Origin, Versus};

const TOPOLOGY: &str = "
regions:
  - id: tokyo
    location: { region: ap-northeast-1, country: JP, latitude: 35.68, longitude: 139.69, provider: aws }
  - id: frankfurt
    location: { region: eu-central-1, country: DE, latitude: 50.11, longitude: 8.68, provider: aws }
";

fn topology() -> Topology {
    let file = SourceFile {
        name: "topology.yaml".to_owned(),
        text: TOPOLOGY.to_owned(),
    };
    Topology::parse(&[file]).unwrap()
}

fn artifact(line: Line) -> Artifact {
    let metrics = Metrics {
        mae_ms: 0.0,
        regret_ms: 0.0,
        regret_p95_ms: 0.0,
        optimal_share: 1.0,
        oracle_mean_ms: 0.0,
    };
    let versus = Versus {
        model: metrics,
        geo: metrics,
    };
    let draft = Draft {
        name: "latency".to_owned(),
        model: Model::Haversine(line),
        distance: line,
        judged: Judged {
            every_region: versus,
            fleets: versus,
        },
        trained_on: DataSet {
            name: "none".to_owned(),
            origin: Origin::Generated { seed: 0 },
            rows: 0,
            clients: 0,
            regions: 0,
            blake3: String::new(),
        },
        created_at_unix_s: 0,
    };
    Artifact::seal(draft, Some("v1")).unwrap()
}

/// Class 0 unknown, 1 in Berlin, 2 somewhere in Japan, 3 known by its network alone.
fn classes() -> ClassTable {
    let country = |code: &str| code.parse::<CountryCode>().unwrap();
    let berlin = meridian_topology::Coordinates::new(52.52, 13.40).unwrap();
    let mut builder = ClassTableBuilder::new();
    for class in [
        ClientClass {
            country: Some(country("DE")),
            location: Some(berlin),
            ..ClientClass::default()
        },
        ClientClass {
            country: Some(country("JP")),
            ..ClientClass::default()
        },
        ClientClass {
            asn: Some(64_500),
            ..ClientClass::default()
        },
    ] {
        builder.intern(class).unwrap();
    }
    builder.build().unwrap()
}

#[test]
fn every_known_class_has_every_region_and_the_unknown_has_none() {
    let (topology, classes) = (topology(), classes());
    let artifact = artifact(Line {
        intercept_ms: 3.0,
        ms_per_km: 0.02,
    });
    let table = score_table(&artifact, &classes, &topology).unwrap();
    assert_eq!(table.version(), "latency-v1");
    assert_eq!(table.class_fingerprint(), classes.fingerprint());
    let names: Vec<&str> = table.regions().iter().map(AsRef::as_ref).collect();
    assert_eq!(names, ["frankfurt", "tokyo"], "the order of the topology");
    for (id, class) in classes.classes().iter().enumerate() {
        for (column, region) in topology.regions.iter().enumerate() {
            let expected_ms =
                class_site(class).map(|client| artifact.predict_ms(&client, &region_site(region)));
            let found_ms = table.ms(ClassId(id as u32), column).map(f64::from);
            match (found_ms, expected_ms) {
                (Some(found), Some(expected)) => assert!((found - expected).abs() <= 0.051),
                (found, expected) => assert_eq!(found, expected, "class {id}, column {column}"),
            }
        }
    }
    let ms = |class: u32, column| table.ms(ClassId(class), column);
    assert!(ms(1, 0) < ms(1, 1), "Berlin is nearer to Frankfurt");
    assert!(ms(2, 1) < ms(2, 0), "Japan is nearer to Tokyo");
    assert_eq!((ms(0, 0), ms(3, 1)), (None, None));
}

#[test]
fn the_slowest_answer_is_not_unknown() {
    let (topology, classes) = (topology(), classes());
    let table = score_table(
        &artifact(Line {
            intercept_ms: 1e12,
            ms_per_km: 0.0,
        }),
        &classes,
        &topology,
    );
    assert_eq!(table.unwrap().ms(ClassId(1), 0), Some(5_000.0));
}
