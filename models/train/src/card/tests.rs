#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use super::*;
use crate::train::{Source, TrainOptions, train};
use meridian_score::Kind;

#[test]
fn a_card_of_generated_data_warns_first() {
    let mut options = TrainOptions::new(Source::Generated { seed: 1 }, 0);
    options.deals = 1;
    let card = model_card(&train(&options).unwrap());
    let warning = card
        .find("> **Warning:** THIS MODEL WAS TRAINED ON GENERATED DATA")
        .unwrap();
    assert!(warning < card.find("## Trained on").unwrap());
    for part in [
        "generated from seed 1",
        "| this model |",
        "## Recipes tried",
        "## Limits",
    ] {
        assert!(card.contains(part), "no {part:?} in\n{card}");
    }
}

#[test]
fn a_card_of_the_baseline_has_no_coefficients() {
    let mut options = TrainOptions::new(Source::Generated { seed: 1 }, 0);
    options.kind = Kind::Haversine;
    let card = model_card(&train(&options).unwrap());
    assert!(card.contains("A line over the great-circle distance"));
    assert!(!card.contains("## Strongest coefficients"));
    assert!(!card.contains("## Recipes tried"));
}
