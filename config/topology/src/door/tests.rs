#![allow(clippy::unwrap_used, reason = "tests")]

use serde::Deserialize;

use super::*;
use crate::ids::RegionId;
use crate::place::Place;
use crate::units::Millis;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Doc {
    #[allow(dead_code, reason = "only its reading matters")]
    name: Option<Field<RegionId>>,
    wait: Option<Field<Millis>>,
    places: Option<Vec<Field<Place>>>,
    nested: Option<Vec<Inner>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    #[allow(dead_code, reason = "only its reading matters")]
    wait: Field<Millis>,
}

fn check_error(text: &str, expected: &str) {
    let problems = parse::<Doc>("f.yaml", text).unwrap_err();
    let shown: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
    assert_eq!(shown.join("\n"), expected);
}

#[test]
fn the_country_norway_is_no_boolean() {
    let doc = parse::<Doc>("f.yaml", "places: [NO, 'NO', SE]").unwrap();
    let places: Vec<String> = doc
        .value
        .places
        .unwrap()
        .iter()
        .map(|field| field.get().unwrap().to_string())
        .collect();
    assert_eq!(places, ["NO", "NO", "SE"]);
}

#[test]
fn fields_know_their_place() {
    let text = "nested:\n  - wait: 5s\nwait: \"fünf\"\n";
    let doc = parse::<Doc>("f.yaml", text).unwrap();
    let field = doc.value.wait.unwrap();
    assert_eq!((field.span.line, field.span.column), (3, 7));
    let mut problems = Problems::new();
    assert!(field.check(&doc.source, &mut problems).is_none());
    assert_eq!(
        problems.list()[0].to_string(),
        "f.yaml:3:7: `fünf` is not a number; expected a duration such as \"250ms\" or \"5s\" (at wait)"
    );
}

#[test]
fn shape() {
    check_error(
        "nme: a\n",
        "f.yaml:1:1: unknown field `nme` (at nme); did you mean `name`?",
    );
    check_error("nested:\n  - wait: 5s\n  - {}\n", "x");
    check_error("nested:\n  - wait: [1]\n", "x");
    check_error("wait: 5s\nwait: 6s\n", "x");
    check_error("nested: 5\n", "x");
    check_error("wait: *a\n", "x");
    check_error("wait: {\n", "x");
    check_error("wait:\n", "x");
    check_error("", "x");
}
