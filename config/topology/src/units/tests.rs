#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::{Debug, Display};

use proptest::prelude::*;

use super::*;

fn read<T: FromStr<Err = UnitError> + Display>(text: &str) -> String {
    match text.parse::<T>() {
        Ok(value) => format!("{value}"),
        Err(error) => match error.help() {
            Some(help) => format!("{error} ({help})"),
            None => error.to_string(),
        },
    }
}

#[test]
fn durations() {
    let cases = [
        ("250ms", "250ms"),
        ("0.5s", "500ms"),
        ("1.5m", "90s"),
        ("90s", "90s"),
        ("2h", "2h"),
        ("0s", "0ms"),
        ("366d", "366d"),
        ("367d", "`367d` is out of range: 0 to 366d"),
        ("-1s", "`-1s` is out of range: 0 to any positive number"),
        ("0.1ms", "`0.1ms` is below the resolution of this setting"),
        (
            "300",
            "`300` has no unit (write a duration such as \"250ms\" or \"5s\")",
        ),
        (
            "5sec",
            "`sec` is not a unit here; expected a duration such as \"250ms\" or \"5s\" (did you \
             mean `5s`?)",
        ),
        (
            "fast",
            "`fast` is not a number; expected a duration such as \"250ms\" or \"5s\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read::<Millis>(text), expected, "{text}");
    }
}

#[test]
fn other_quantities() {
    assert_eq!(read::<Ttl>("1m"), "1m");
    assert_eq!(read::<Ttl>("8d"), "`8d` is out of range: 0 to 7d");
    assert_eq!(read::<BitsPerSecond>("10Gbps"), "10Gbps");
    assert_eq!(read::<BitsPerSecond>("2.5Gbps"), "2500Mbps");
    assert_eq!(read::<Ratio>("5%"), "5%");
    assert_eq!(read::<Ratio>("0.07"), "7%");
    assert_eq!(
        read::<Ratio>("105%"),
        "`105%` is out of range: 0 to 1 (100%)"
    );
    assert_eq!(read::<UsdPerGib>("0.09 USD/GiB"), "0.09 USD/GiB");
    assert_eq!(
        read::<UsdPerGib>("0.09 USD/GB"),
        "`USD/GB` is not a unit here; expected a price such as \"0.09 USD/GiB\" (did you mean \
         `0.09 USD/GiB`?)"
    );
    assert_eq!(
        read::<UsdPerMillionRequests>("0.40 USD/M requests"),
        "0.4 USD/M requests"
    );
    assert_eq!(read::<RequestsPerSecond>("2.5krps"), "2500 rps");
    assert_eq!(read::<Weight>("100"), "100");
    assert_eq!(
        read::<Weight>("10001"),
        "`10001` is out of range: 0 to 10000 (a whole number)"
    );
}

#[test]
fn serde_refuses_what_the_type_forbids() {
    assert!(serde_json::from_str::<Ratio>("1.5").is_err());
    assert!(serde_json::from_str::<UsdPerGib>("-1").is_err());
}

fn survives<T>(value: &T) -> Result<(), TestCaseError>
where
    T: FromStr<Err = UnitError> + Display + PartialEq + Debug,
{
    let text = value.to_string();
    prop_assert_eq!(&text.parse::<T>().unwrap(), value, "{}", text);
    Ok(())
}

proptest! {
    #[test]
    fn display_is_read_back(millis in 0..=MAX_MILLIS, bits in 0..=1_000_000_000_000_000u64,
                            weight in 0..=MAX_WEIGHT, ttl in 0..=MAX_TTL_SECONDS) {
        survives(&Millis(millis))?;
        survives(&BitsPerSecond(bits))?;
        survives(&Weight(weight))?;
        survives(&Ttl(ttl))?;
    }

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,24}") {
        let _ = text.parse::<Millis>();
        let _ = text.parse::<Ratio>();
        let _ = text.parse::<UsdPerGib>();
    }
}
