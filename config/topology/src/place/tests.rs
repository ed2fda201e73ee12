#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

fn check(text: &str, expected: &str) {
    let got = match Place::parse(text) {
        Ok(place) => place.to_string(),
        Err(error) => error.help().unwrap_or_else(|| error.to_string()),
    };
    assert_eq!(got, expected, "{text}");
}

#[test]
fn places() {
    for text in [
        "EU",
        "EEA",
        "DE",
        "NO",
        "continent:north-america",
        "asn:64500",
        "provider:aws",
        "group:office",
    ] {
        check(text, text);
    }
    check("de", "DE");
    check("continent:europa", "did you mean `continent:europe`?");
    check("Germany", "did you mean `DE`?");
    check("europe", "did you mean `continent:europe`?");
    check("UK", "did you mean `GB`?");
    check("XX", "there is no country `XX`");
    check("contintent:asia", "did you mean `continent:asia`?");
    check("asn:x", "`x` is not an autonomous system number");
    check(
        "group:A",
        "`A` may not stand in an id (allowed: a-z, 0-9, `-`, `_`, `.`)",
    );
}
