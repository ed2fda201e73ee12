#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use proptest::prelude::*;

use super::codec::{HEADER_LEN, checksum};
use super::*;
use crate::features::{FEATURE_COUNT, feature_names};

const METRICS: Metrics = Metrics {
    mae_ms: 17.5,
    regret_ms: 3.25,
    regret_p95_ms: 22.0,
    optimal_share: 0.81,
    oracle_mean_ms: 30.0,
};

const VERSUS: Versus = Versus {
    model: METRICS,
    geo: METRICS,
};

fn ridge(coefficients: Vec<f64>) -> Ridge {
    Ridge {
        transform: Transform::SquareRoot,
        penalty: 0.003,
        features: feature_names().to_vec(),
        means: vec![0.5; FEATURE_COUNT],
        scales: vec![2.0; FEATURE_COUNT],
        coefficients,
        intercept: 9.0,
    }
}

fn draft(model: Model) -> Draft {
    Draft {
        name: "latency".to_owned(),
        model,
        distance: Line {
            intercept_ms: 5.0,
            ms_per_km: 0.015,
        },
        judged: Judged {
            every_region: VERSUS,
            fleets: VERSUS,
        },
        trained_on: DataSet {
            name: "cloud_rtt_2022.csv".to_owned(),
            origin: Origin::Measured,
            rows: 4692,
            clients: 69,
            regions: 69,
            blake3: "00".repeat(32),
        },
        created_at_unix_s: 1_700_000_000,
    }
}

fn artifact() -> Artifact {
    Artifact::seal(
        draft(Model::Ridge(ridge(vec![0.25; FEATURE_COUNT]))),
        Some("v1"),
    )
    .unwrap()
}

proptest! {
    #[test]
    fn a_round_trip_is_exact(
        coefficients in prop::collection::vec(
            prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO,
            FEATURE_COUNT,
        ),
        intercept in prop::num::f64::NORMAL,
        created_at_unix_s: u64,
    ) {
        let mut draft = draft(Model::Ridge(Ridge { intercept, ..ridge(coefficients) }));
        draft.created_at_unix_s = created_at_unix_s;
        let artifact = Artifact::seal(draft, None).unwrap();
        let bytes = artifact.encode().unwrap();
        let back = Artifact::load(&bytes).unwrap();
        prop_assert_eq!(&back, &artifact);
        prop_assert_eq!(back.encode().unwrap(), bytes);
    }

    #[test]
    fn foreign_bytes_never_load_and_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
        prop_assert!(Artifact::load(&bytes).is_err());
    }
}

#[test]
fn every_flipped_bit_is_seen() {
    let bytes = artifact().encode().unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << bit;
            assert!(Artifact::load(&bytes).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn every_cut_is_seen() {
    let bytes = artifact().encode().unwrap();
    for len in 0..bytes.len() {
        assert!(Artifact::load(&bytes[..len]).is_err(), "cut to {len} bytes");
    }
}

/// Writes a header for any payload, so that what lies behind the checksum can be wrong.
fn sealed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend(FORMAT_VERSION.to_le_bytes());
    bytes.extend(u32::try_from(payload.len()).unwrap().to_le_bytes());
    let checksum = checksum(&bytes, payload);
    bytes.extend(checksum.as_bytes());
    bytes.extend(payload);
    bytes
}

fn sealed_artifact(change: impl FnOnce(&mut Artifact)) -> Vec<u8> {
    let mut artifact = artifact();
    change(&mut artifact);
    sealed(&postcard::to_stdvec(&artifact).unwrap())
}

fn sealed_ridge(change: impl FnOnce(&mut Ridge)) -> Vec<u8> {
    let mut model = ridge(vec![0.25; FEATURE_COUNT]);
    change(&mut model);
    sealed_artifact(|artifact| artifact.model = Model::Ridge(model))
}

#[test]
fn each_corruption_has_its_own_words() {
    let good = artifact().encode().unwrap();
    let edited = |at: usize, value: &[u8]| {
        let mut bytes = good.clone();
        bytes[at..at + value.len()].copy_from_slice(value);
        bytes
    };
    let payload = &good[HEADER_LEN..];
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty", vec![], "has 0 bytes"),
        ("header cut", good[..20].to_vec(), "has 20 bytes"),
        ("other file", edited(0, b"PK"), "not a Meridian model"),
        (
            "next format",
            edited(8, &[2, 0]),
            "has format 2, this build reads 1",
        ),
        (
            "huge length",
            edited(10, &[255; 4]),
            "declares 4294967295 bytes",
        ),
        (
            "payload cut",
            good[..good.len() - 1].to_vec(),
            "bytes of payload and has",
        ),
        (
            "appended",
            [&good[..], b"x"].concat(),
            "bytes of payload and has",
        ),
        (
            "payload changed",
            edited(HEADER_LEN + 9, &[255]),
            "checksum mismatch",
        ),
        (
            "checksum changed",
            edited(14, &[0, 0, 0]),
            "checksum mismatch",
        ),
        ("not postcard", sealed(&[255; 40]), "does not decode"),
        ("no payload", sealed(&[]), "does not decode"),
        (
            "padded",
            sealed(&[payload, &[0, 0]].concat()),
            "2 bytes follow",
        ),
        (
            "path in name",
            sealed_artifact(|artifact| artifact.name = "../latency".to_owned()),
            "name \"../latency\" must be",
        ),
        (
            "no version",
            sealed_artifact(|artifact| artifact.version = String::new()),
            "version \"\" must be",
        ),
        (
            "share above one",
            sealed_artifact(|artifact| artifact.judged.fleets.model.optimal_share = 1.5),
            "fleets.model.optimal_share is 1.5",
        ),
        (
            "metric not a number",
            sealed_artifact(|artifact| artifact.judged.every_region.geo.mae_ms = f64::NAN),
            "every_region.geo.mae_ms is NaN",
        ),
        (
            "haversine not finite",
            sealed_artifact(|artifact| {
                artifact.model = Model::Haversine(Line {
                    intercept_ms: 1.0,
                    ms_per_km: f64::INFINITY,
                });
            }),
            "model.ms_per_km is inf",
        ),
        (
            "renamed feature",
            sealed_ridge(|ridge| ridge.features[3] = "same_kontry".to_owned()),
            "feature 3 is \"same_kontry\" and this build computes \"same_country\"",
        ),
        (
            "missing feature",
            sealed_ridge(|ridge| ridge.features.truncate(FEATURE_COUNT - 1)),
            "feature 52 is \"\"",
        ),
        (
            "short coefficients",
            sealed_ridge(|ridge| ridge.coefficients.truncate(7)),
            "7 coefficients for 53 features",
        ),
        (
            "coefficient not a number",
            sealed_ridge(|ridge| ridge.coefficients[7] = f64::NAN),
            "model.coefficients[7] is NaN",
        ),
        (
            "zero scale",
            sealed_ridge(|ridge| ridge.scales[2] = 0.0),
            "model.scales[2] is 0",
        ),
    ];
    for (what, bytes, expected) in cases {
        let error = Artifact::load(&bytes).expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
    }
}

#[test]
fn the_content_names_the_version_and_time_does_not() {
    let model = || {
        Model::Haversine(Line {
            intercept_ms: 5.0,
            ms_per_km: 0.015,
        })
    };
    let first = Artifact::seal(draft(model()), None).unwrap();
    let later = Draft {
        created_at_unix_s: 1_800_000_000,
        ..draft(model())
    };
    let later = Artifact::seal(later, None).unwrap();
    assert_eq!(first.version, later.version);
    assert_eq!(first.version.len(), CONTENT_VERSION_LEN);
    let other = draft(Model::Haversine(Line {
        intercept_ms: 5.0,
        ms_per_km: 0.016,
    }));
    assert_ne!(first.version, Artifact::seal(other, None).unwrap().version);
    assert_eq!(artifact().id(), "latency-v1");
}

#[test]
fn transforms_invert() {
    for transform in [Transform::Direct, Transform::SquareRoot, Transform::Log] {
        for rtt_ms in [0.0, 0.5, 12.0, 400.0] {
            let back = transform.inverse(transform.forward(rtt_ms));
            assert!(
                (back - rtt_ms).abs() < 1e-9,
                "{transform:?} {rtt_ms} gave {back}"
            );
        }
    }
    assert_eq!(Transform::Direct.inverse(-3.0), 0.0);
    assert_eq!(Transform::Log.inverse(-100.0), 0.0);
}
