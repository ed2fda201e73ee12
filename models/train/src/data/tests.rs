#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::io::Write;

use proptest::prelude::*;

use super::*;

fn write(name: &str, text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::File::create(&path)
        .unwrap()
        .write_all(text.as_bytes())
        .unwrap();
    (directory, path)
}

fn read(name: &str, text: &str) -> Result<Observations, TrainError> {
    let (_directory, path) = write(name, text);
    read_observations(&path, &Regions::clouds())
}

#[test]
fn the_table_of_regions_is_whole() {
    let regions = cloud_regions();
    assert_eq!(regions.len(), 69);
    for (provider, count) in [("aws", 21), ("azure", 21), ("gcp", 27)] {
        let found = regions
            .iter()
            .filter(|r| r.provider.as_deref() == Some(provider))
            .count();
        assert_eq!(found, count, "{provider}");
    }
    assert!(regions.iter().all(|region| region.continent().is_some()));
    assert!(regions.is_sorted_by(|a, b| a.id < b.id));
}

/// A slipped sign or swapped pair of coordinates would put a region into another country.
#[test]
fn every_region_lies_near_the_middle_of_its_country() {
    for region in cloud_regions() {
        let centroid = region
            .country
            .and_then(CountryCode::country)
            .unwrap()
            .centroid;
        let km = region.coordinates.distance_km(&centroid);
        assert!(
            km < 4_000.0,
            "{} is {km:.0} km from the middle of its country",
            region.id
        );
    }
}

#[test]
fn cloud_rows_become_clients_and_regions() {
    let text = "src,dst,min_ms,avg_ms,max_ms,mdev_ms\n\
                gcp:us-east1,aws:eu-west-1,90,91.5,93,\n\
                aws:eu-west-1,gcp:us-east1,90,92.5,93,0.1\n";
    let (_directory, path) = write(CLOUD_RTT_FILE, text);
    let data = read_cloud_rtt(&path).unwrap();
    assert_eq!(data.name, CLOUD_RTT_FILE);
    let ids: Vec<_> = data
        .clients
        .iter()
        .map(|client| client.id.as_str())
        .collect();
    assert_eq!(ids, ["aws:eu-west-1", "gcp:us-east1"]);
    let row = data.rows[0];
    assert_eq!((row.client, row.region, row.rtt_ms), (0, 1, 92.5));
}

#[test]
fn bad_cloud_rows_name_their_line() {
    for (row, expected) in [
        (
            "aws:eu-west-1,aws:mars-1,1,1,1,",
            ":3: region \"aws:mars-1\" is not known",
        ),
        ("aws:eu-west-1,gcp:us-east1,1,-4,1,", ":3: rtt_ms is -4"),
        ("aws:eu-west-1,gcp:us-east1,1,NaN,1,", ":3: rtt_ms is NaN"),
        ("aws:eu-west-1,gcp:us-east1,1,quick,1,", ":3: "),
        ("aws:eu-west-1,gcp:us-east1", ":3: "),
    ] {
        let good = "gcp:us-east1,aws:eu-west-1,90,91.5,93,";
        let text = format!("src,dst,min_ms,avg_ms,max_ms,mdev_ms\n{good}\n{row}\n");
        let (_directory, path) = write(CLOUD_RTT_FILE, &text);
        let error = read_cloud_rtt(&path).unwrap_err().to_string();
        assert!(error.contains(expected), "{row}: {error}");
    }
}

#[test]
fn csv_and_json_lines_say_the_same() {
    let csv = "client_id, latitude, longitude, country, region, rtt_ms, at\n\
               c1, 52.5, 13.4, DE, aws:eu-central-1, 14.25, 1700000000\n\
               ,,,KE, gcp:us-east1, 210, 2023-11-14T22:13:20Z\n\
               , 48.91, 2.349, fr, gcp:europe-west1, 8, \n\
               , 48.93, 2.312, FR, aws:eu-west-1, 19, \n";
    let json = r#"{"client_id": "c1", "latitude": 52.5, "longitude": 13.4, "country": "DE", "region": "aws:eu-central-1", "rtt_ms": 14.25, "at": "2023-11-14T22:13:20Z"}

{"country": "KE", "region": "gcp:us-east1", "rtt_ms": 210, "at": 1700000000.75}
{"latitude": 48.91, "longitude": 2.349, "country": "FR", "region": "gcp:europe-west1", "rtt_ms": 8}
{"latitude": 48.93, "longitude": 2.312, "country": "FR", "region": "aws:eu-west-1", "rtt_ms": 19}
"#;
    let from_csv = read("o.csv", csv).unwrap();
    let from_json = read("o.jsonl", json).unwrap();
    assert_eq!(from_csv.rows, from_json.rows);
    assert_eq!(from_csv.describe().blake3, from_json.describe().blake3);
    let ids: Vec<_> = from_csv
        .clients
        .iter()
        .map(|client| client.id.as_str())
        .collect();
    assert_eq!(
        ids.len(),
        3,
        "rounded to a tenth of a degree, Paris is one client: {ids:?}"
    );
    assert!(ids.contains(&"FR@48.9,2.3"), "{ids:?}");
    assert_eq!(from_csv.rows[2].at_unix_s, Some(1_700_000_000));
}

/// The observations shown in `docs/models.md`, in both formats.
#[test]
fn the_documentation_shows_files_that_load() {
    let page = include_str!("../../../../docs/models.md");
    let block = |language: &str| {
        let (_, rest) = page.split_once(&format!("```{language}\n")).unwrap();
        rest.split_once("```").unwrap().0
    };
    let csv = read("o.csv", block("csv")).unwrap();
    let json = read("o.jsonl", block("jsonl")).unwrap();
    assert_eq!(csv.rows.len(), 4);
    assert_eq!(csv.describe().blake3, json.describe().blake3);
}

#[test]
fn bad_rows_say_what_is_wrong_where() {
    const HEAD: &str = "client_id,latitude,longitude,country,region,rtt_ms,at";
    for (row, expected) in [
        ("c,52,13,DE,mars-1,9,", ":2: region \"mars-1\" is neither"),
        (
            "c,52,13,DE,aws:eu-west-1,0,",
            ":2: rtt_ms is 0, expected a number above 0",
        ),
        ("c,52,13,DE,aws:eu-west-1,70000,", ":2: rtt_ms is 70000"),
        (
            "c,52,,DE,aws:eu-west-1,9,",
            ":2: latitude and longitude go together",
        ),
        (
            "c,,,,aws:eu-west-1,9,",
            ":2: a client needs latitude and longitude",
        ),
        (
            "c,,,EU,aws:eu-west-1,9,",
            ":2: a client needs latitude and longitude",
        ),
        ("c,95,13,DE,aws:eu-west-1,9,", ":2: latitude 95"),
        (
            "c,52,13,GER,aws:eu-west-1,9,",
            ":2: `GER` is not a country code",
        ),
        (
            "c,52,13,DE,aws:eu-west-1,9,noon",
            ":2: at is \"noon\", expected Unix seconds",
        ),
        ("c,52,13,DE,aws:eu-west-1,9,1e300", ":2: at is"),
        ("c,52,13,DE", ":2: "),
    ] {
        let error = read("o.csv", &format!("{HEAD}\n{row}\n"))
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{row}: {error}");
    }
    for (name, text, expected) in [
        (
            "o.jsonl",
            "{\"region\": \"aws:eu-west-1\", \"rtt\": 9}",
            "unknown field `rtt`",
        ),
        ("o.jsonl", "\n{", ":2: "),
        (
            "o.csv",
            "region,rtt_ms,latitud\naws:eu-west-1,9,1\n",
            "unknown field `latitud`",
        ),
        ("o.parquet", "", "expected a name that ends in .csv"),
    ] {
        let error = read(name, text).unwrap_err().to_string();
        assert!(error.contains(expected), "{name}: {error}");
    }
    let error = read_observations(Path::new("/nowhere/o.csv"), &Regions::clouds()).unwrap_err();
    assert!(matches!(error, TrainError::Read { .. }), "{error}");
}

#[test]
fn repeated_pairs_are_averaged() {
    let row = |client, region, rtt_ms, at_unix_s| Observation {
        client,
        region,
        rtt_ms,
        at_unix_s,
    };
    let rows = [
        row(0, 0, 10.0, Some(1)),
        row(1, 0, 7.0, None),
        row(0, 0, 20.0, Some(2)),
    ];
    assert_eq!(
        pair_means(&rows),
        [row(0, 0, 15.0, None), row(1, 0, 7.0, None)]
    );
}

proptest! {
    #[test]
    fn the_order_of_samples_has_no_influence(order in Just((0..40).collect::<Vec<usize>>()).prop_shuffle()) {
        let regions = cloud_regions();
        let sample = |number: usize| Sample {
            client: regions[number % 7].clone(),
            region: regions[20 + number % 11].clone(),
            rtt_ms: 1.0 + number as f64,
            at_unix_s: number.is_multiple_of(3).then_some(7),
        };
        let collect = |order: &[usize]| {
            let samples: Vec<Sample> = order.iter().map(|number| sample(*number)).collect();
            Observations::collect("any".to_owned(), Origin::Measured, &samples)
        };
        let sorted: Vec<usize> = (0..40).collect();
        prop_assert_eq!(collect(&order), collect(&sorted));
    }
}
