#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;

#[test]
fn ids_accept_only_their_alphabet() {
    let long = "a".repeat(MAX_ID_LEN + 1);
    let cases: &[(&str, Result<(), IdError>)] = &[
        ("us-east-1", Ok(())),
        ("9cloud.eu_west", Ok(())),
        ("", Err(IdError::Empty)),
        ("-a", Err(IdError::FirstCharacter { found: '-' })),
        ("US", Err(IdError::Character { found: 'U' })),
        ("a/b", Err(IdError::Character { found: '/' })),
        ("zürich", Err(IdError::Character { found: 'ü' })),
        (&long, Err(IdError::TooLong { len: 64 })),
    ];
    for (text, expected) in cases {
        assert_eq!(&text.parse::<RegionId>().map(|_| ()), expected, "{text:?}");
    }
}

#[test]
fn ids_survive_serde_and_refuse_bad_text_there_too() {
    let id: EndpointId = "use1-a".parse().unwrap();
    let text = serde_json::to_string(&id).unwrap();
    assert_eq!(text, "\"use1-a\"");
    assert_eq!(serde_json::from_str::<EndpointId>(&text).unwrap(), id);
    assert!(serde_json::from_str::<EndpointId>("\"A b\"").is_err());
}

#[test]
fn indices_stop_at_their_integer() {
    assert_eq!(RegionIdx::from_index(65_535), Some(RegionIdx(65_535)));
    assert_eq!(RegionIdx::from_index(65_536), None);
}
