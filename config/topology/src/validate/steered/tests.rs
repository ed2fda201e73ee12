use super::*;

#[test]
fn base64() {
    let check = |text: &str, expected: Option<&[u8]>| {
        assert_eq!(decode_base64(text).as_deref(), expected, "{text}");
    };
    // RFC 4648 section 10.
    check("Zg==", Some(b"f"));
    check("Zm8=", Some(b"fo"));
    check("Zm9v", Some(b"foo"));
    check("Zm9vYg==", Some(b"foob"));
    check("Zm9v YmE=", Some(b"fooba"));
    check("+/+/", Some(&[0xfb, 0xff, 0xbf]));
    for wrong in [
        "", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "Zm9v====", "Zm 9", "Zg==Zg==", "Zm9_",
    ] {
        check(wrong, None);
    }
}
