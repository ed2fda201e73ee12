#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;

/// `example.` in wire form.
const ORIGIN: &[u8] = b"\x07example\0";

fn parse(rtype: &str, text: &str) -> Result<Vec<u8>, RdataError> {
    let mut lexer = Lexer::new(text.as_bytes());
    let tokens = lexer
        .entry()
        .unwrap()
        .map(|entry| entry.tokens)
        .unwrap_or_default();
    read(rtype_from_text(rtype).unwrap(), &tokens, ORIGIN)
}

/// Text of a type, and what it is written as when it has been read.
const TEXTS: &[(&str, &str, &str)] = &[
    ("A", "192.0.2.1", "192.0.2.1"),
    ("AAAA", "2001:DB8::1", "2001:db8::1"),
    ("NS", "ns1", "ns1.example."),
    ("CNAME", "@", "example."),
    ("DNAME", "other.test.", "other.test."),
    ("PTR", "a\\.b.c", "a\\.b.c.example."),
    (
        "SOA",
        "ns1 admin 7 1h 10m 2w 60",
        "ns1.example. admin.example. 7 3600 600 1209600 60",
    ),
    ("MX", "10 mail", "10 mail.example."),
    (
        "TXT",
        "one \"two words\" \"\\\"\\195\\164\\\\\"",
        "\"one\" \"two words\" \"\\\"\\195\\164\\\\\"",
    ),
    ("SPF", "\"v=spf1 -all\"", "\"v=spf1 -all\""),
    ("HINFO", "PC \"Linux 6\"", "\"PC\" \"Linux 6\""),
    ("RP", "admin .", "admin.example. ."),
    ("AFSDB", "1 db", "1 db.example."),
    ("X25", "311061700956", "\"311061700956\""),
    ("ISDN", "150862028003217 004", "\"150862028003217\" \"004\""),
    ("ISDN", "150862028003217", "\"150862028003217\""),
    ("SRV", "1 2 443 www", "1 2 443 www.example."),
    (
        "NAPTR",
        "100 50 \"s\" \"z3950+N2L\" \"\" _z._tcp",
        "100 50 \"s\" \"z3950+N2L\" \"\" _z._tcp.example.",
    ),
    ("CERT", "PKIX 1 RSASHA256 AQID", "1 1 8 AQID"),
    (
        "LOC",
        "42 21 54 N 71 06 18 W -24m 30m",
        "42 21 54.000 N 71 6 18.000 W -24.00m 30.00m 10000.00m 10.00m",
    ),
    (
        "LOC",
        "52 14 05.123 S 0 E 0",
        "52 14 5.123 S 0 0 0.000 E 0.00m 1.00m 10000.00m 10.00m",
    ),
    (
        "APL",
        "1:192.168.32.0/21 !1:192.168.38.0/28 2:2001:db8::/32",
        "1:192.168.32.0/21 !1:192.168.38.0/28 2:2001:db8::/32",
    ),
    (
        "DS",
        "60485 5 1 2BB183AF5F22588179A53B0A 98631FAD1A292118",
        "60485 5 1 2BB183AF5F22588179A53B0A98631FAD1A292118",
    ),
    ("CDS", "0 0 0 00", "0 0 0 00"),
    ("SSHFP", "4 2 aBcD", "4 2 ABCD"),
    (
        "IPSECKEY",
        "10 1 2 192.0.2.38 AQID",
        "10 1 2 192.0.2.38 AQID",
    ),
    ("IPSECKEY", "10 0 2 . AQID", "10 0 2 . AQID"),
    ("IPSECKEY", "10 3 2 gw AQID", "10 3 2 gw.example. AQID"),
    ("DNSKEY", "257 3 ECDSAP256SHA256 AQ ID", "257 3 13 AQID"),
    ("CDNSKEY", "0 3 0 AA==", "0 3 0 AA=="),
    (
        "RRSIG",
        "A 13 2 300 20380119031407 20240229120000 12345 @ AQID",
        "A 13 2 300 20380119031407 20240229120000 12345 example. AQID",
    ),
    (
        "NSEC",
        "host A MX RRSIG NSEC TYPE1234",
        "host.example. A MX RRSIG NSEC TYPE1234",
    ),
    (
        "NSEC3",
        "1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY NS",
        "1 1 12 AABBCCDD 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR NS MX DNSKEY",
    ),
    ("NSEC3PARAM", "1 0 0 -", "1 0 0 -"),
    ("TLSA", "3 1 1 00ff", "3 1 1 00FF"),
    ("SMIMEA", "3 0 0 00", "3 0 0 00"),
    ("OPENPGPKEY", "AQ IDBA==", "AQIDBA=="),
    (
        "DHCID",
        "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
        "AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=",
    ),
    ("CSYNC", "66 3 A NS AAAA", "66 3 A NS AAAA"),
    ("ZONEMD", "2018031900 1 1 00FF", "2018031900 1 1 00FF"),
    ("SVCB", "0 alias", "0 alias.example."),
    (
        "HTTPS",
        "1 . port=8443 alpn=\"h2,h3\" ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1 mandatory=alpn,port",
        "1 . mandatory=alpn,port alpn=\"h2,h3\" port=8443 ipv4hint=192.0.2.1,192.0.2.2 ipv6hint=2001:db8::1",
    ),
    (
        "SVCB",
        "1 a no-default-alpn alpn=h2 key65280=a\\032b ech=AQID",
        "1 a.example. alpn=\"h2\" no-default-alpn ech=AQID key65280=\"a b\"",
    ),
    // RFC 9460, figure 10: two escapes make one comma inside an item.
    (
        "SVCB",
        "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
        "16 foo.example.org. alpn=\"f\\\\\\\\oo\\\\,bar,h2\"",
    ),
    (
        "URI",
        "10 1 \"ftp://ftp1.example.com/public\"",
        "10 1 \"ftp://ftp1.example.com/public\"",
    ),
    (
        "CAA",
        "0 issue \"ca.example.net; policy=ev\"",
        "0 \"issue\" \"ca.example.net; policy=ev\"",
    ),
    ("NID", "10 0014:4fff:ff20:ee64", "10 0014:4fff:ff20:ee64"),
    ("L32", "10 10.1.2.0", "10 10.1.2.0"),
    ("L64", "10 2001:db8:1140:1000", "10 2001:0db8:1140:1000"),
    ("LP", "10 l64", "10 l64.example."),
    ("EUI48", "00-00-5e-00-53-2a", "00-00-5e-00-53-2a"),
    (
        "EUI64",
        "00-00-5e-ef-10-00-00-2a",
        "00-00-5e-ef-10-00-00-2a",
    ),
    ("ALIAS", "www.elsewhere.test.", "www.elsewhere.test."),
    ("TYPE65280", "\\# 3 01 0203", "\\# 3 010203"),
    ("TYPE65280", "\\# 0", "\\# 0"),
    ("A", "\\# 4 C0000201", "192.0.2.1"),
    ("TYPE1", "192.0.2.1", "192.0.2.1"),
    // The longest of a type: RFC 1035 sets none but the record's.
    ("KX", "1 kx", "1 kx.example."),
];

#[test]
fn texts_are_read_and_written() {
    for (rtype, text, expected) in TEXTS {
        let data = parse(rtype, text).unwrap_or_else(|error| panic!("{rtype} {text}: {error}"));
        let number = rtype_from_text(rtype).unwrap();
        assert!(is_well_formed(number, &data), "{rtype} {text}");
        let written = write(number, &data);
        assert_eq!(written, *expected, "{rtype}");
        assert_eq!(parse(rtype, &written).unwrap(), data, "{rtype} {written}");
        assert_eq!(
            parse(rtype, &write_generic(&data)).unwrap(),
            data,
            "{rtype}"
        );
    }
}

#[test]
fn mistakes_name_the_field_and_the_way_out() {
    for (rtype, text, token, expected) in [
        (
            "A",
            "1.2.3",
            0,
            "address: `1.2.3` is not an IPv4 address such as 192.0.2.1",
        ),
        (
            "A",
            "192.0.2.1 x",
            1,
            "address: nothing may follow here; a text with blanks stands in quotes",
        ),
        ("A", "", 0, "address: it is missing"),
        (
            "MX",
            "mail 10",
            0,
            "preference: `mail` is not a number from 0 to 65535",
        ),
        (
            "MX",
            "70000 mail",
            0,
            "preference: `70000` is not a number from 0 to 65535",
        ),
        ("CNAME", "a..b", 0, "name: `a..b` has a dot too many"),
        (
            "SOA",
            "ns1 admin 7 1h30 1 1 1",
            3,
            "refresh: `1h30` is not a time such as `3600` or `1h`",
        ),
        (
            "DS",
            "1 2 3 0g",
            3,
            "digest: this is not hexadecimal (invalid symbol at 1); write two digits for each byte",
        ),
        (
            "NSEC",
            "a A NOPE",
            2,
            "types: `NOPE` is not a record type; unknown ones are written `TYPE65280`",
        ),
        (
            "HTTPS",
            "1 . alpn=h2 alpn=h3",
            3,
            "parameters: `alpn` is given twice",
        ),
        (
            "HTTPS",
            "1 . alpm=h2",
            2,
            "parameters: `alpm` is not a service parameter; unknown ones are written `key65280=…`",
        ),
        (
            "HTTPS",
            "1 . mandatory=port",
            2,
            "parameters: `mandatory` lists keys that are there, each once, and not itself",
        ),
        (
            "A",
            "\\# 3 c00002",
            2,
            "data: these bytes are not the data of a A record",
        ),
        (
            "TYPE65280",
            "\\# 3 c000",
            1,
            "length: 3 bytes are announced and 2 are given",
        ),
        (
            "TYPE65280",
            "c000",
            0,
            "data: the data of TYPE65280 is written as `\\# LENGTH HEX` (RFC 3597)",
        ),
        (
            "LOC",
            "91 N 0 E 0",
            0,
            "location: `91`: expected degrees, minutes, seconds, then `N` or `S`",
        ),
        (
            "RRSIG",
            "A 13 2 300 20381319031407 1 1 @ AQID",
            4,
            "expiration: `20381319031407` is not a time such as `20260131235959`",
        ),
    ] {
        let error = parse(rtype, text).unwrap_err();
        assert_eq!(
            (error.token, error.to_string().as_str()),
            (token, expected),
            "{rtype} {text}"
        );
    }
}

#[test]
fn types_have_names_and_numbers() {
    for (text, number) in [
        ("a", Some(1)),
        ("TYPE1", Some(1)),
        ("type65535", Some(65_535)),
        ("https", Some(65)),
        ("ANAME", Some(ALIAS)),
    ] {
        assert_eq!(rtype_from_text(text), number, "{text}");
    }
    for text in [
        "",
        "TYPE",
        "TYPE0",
        "TYPE65536",
        "TYPE-1",
        "TYPE+1",
        "OPT",
        "TYPE41",
        "ANY",
        "AXFR",
        "nope",
        "ü",
    ] {
        assert_eq!(rtype_from_text(text), None, "{text}");
    }
    assert_eq!(RTypeName(255).to_string(), "ANY");
    assert_eq!(RTypeName(65_280).to_string(), "TYPE65280");
}

#[test]
fn entries_are_cut_as_rfc_1035_says() {
    let text = b"; nothing\n\na 1 ( b ; comment (\n  \"c ; d\" )\n  e\\ f x=\"y z\"\n\t\ng";
    let mut lexer = Lexer::new(text);
    let mut seen = Vec::new();
    while let Some(entry) = lexer.entry().unwrap() {
        let tokens: Vec<_> = entry
            .tokens
            .iter()
            .map(|token| {
                (
                    String::from_utf8_lossy(token.text).into_owned(),
                    token.quoted,
                    (token.place.line, token.place.column),
                )
            })
            .collect();
        seen.push((entry.indented, tokens));
    }
    let token = |text: &str, quoted, at| (text.to_owned(), quoted, at);
    assert_eq!(
        seen,
        [
            (
                false,
                vec![
                    token("a", false, (3, 1)),
                    token("1", false, (3, 3)),
                    token("b", false, (3, 7)),
                    token("c ; d", true, (4, 3))
                ]
            ),
            (
                true,
                vec![
                    token("e\\ f", false, (5, 3)),
                    token("x=\"y z\"", false, (5, 8))
                ]
            ),
            (false, vec![token("g", false, (7, 1))]),
        ]
    );
    for (text, line, column, reason) in [
        ("a ( b\nc", 1, 3, "this parenthesis is never closed"),
        (
            "a )",
            1,
            3,
            "no parenthesis is open; write `\\)` for the sign itself",
        ),
        (
            "a ( (",
            1,
            5,
            "a parenthesis is open already; close it first",
        ),
        (
            "a \"b\n",
            1,
            3,
            "this quote is never closed; write `\\\"` for the sign itself",
        ),
        (
            "\\999",
            1,
            1,
            "after `\\` stands a sign or three digits up to 255",
        ),
        (
            "a\\",
            1,
            2,
            "nothing follows this `\\`; write `\\\\` for the sign itself",
        ),
    ] {
        let error = Lexer::new(text.as_bytes()).entry().unwrap_err();
        assert_eq!(
            (error.place, error.reason),
            (Place { line, column }, reason),
            "{text}"
        );
    }
}

#[test]
fn names_in_messages_are_uncompressed() {
    // `ns.example.` at 3, a pointer to `example.` at 14.
    let message = b"abc\x02ns\x07example\0\0\x0a\xc0\x06tail";
    assert_eq!(
        uncompress(15, message, 15, 4).unwrap(),
        b"\0\x0a\x07example\0"
    );
    assert_eq!(uncompress(15, message, 15, 5), None);
    assert_eq!(uncompress(1, message, 15, 4).unwrap(), b"\0\x0a\xc0\x06");
    // A pointer to a name that ends in a pointer further back.
    let twice = b"\x07example\0\x01a\xc0\0\xc0\x09";
    assert_eq!(uncompress(2, twice, 13, 2).unwrap(), b"\x01a\x07example\0");
    // A pointer to itself, and one past the end.
    assert_eq!(uncompress(2, b"\xc0\x00", 0, 2), None);
    assert_eq!(uncompress(2, b"\xc0\x09", 0, 2), None);
}

#[test]
fn canonical_data_is_in_lower_case() {
    let mx = parse("MX", "10 MAIL").unwrap();
    assert_eq!(lowercase_names(15, &mx), b"\0\x0a\x04mail\x07example\0");
    let https = parse("HTTPS", "1 WWW").unwrap();
    assert_eq!(lowercase_names(65, &https), https);
}

proptest! {
    #[test]
    fn any_data_survives_its_text(rtype in prop_oneof![0_u16..110, Just(256_u16), Just(257), Just(65_280)], data in proptest::collection::vec(any::<u8>(), 0..80)) {
        let text = write(rtype, &data);
        let mut lexer = Lexer::new(text.as_bytes());
        let tokens = lexer.entry().unwrap().map(|entry| entry.tokens).unwrap_or_default();
        if is_well_formed(rtype, &data) {
            // Data that reads as no text at all has no text form of its own.
            let empty = tokens.is_empty() && read(rtype, &tokens, &[0]).is_err();
            if !empty {
                prop_assert_eq!(read(rtype, &tokens, &[0]).map_err(|error| format!("{text}: {error}")), Ok(data));
            }
        }
    }

    #[test]
    fn reading_never_panics(rtype in 0_u16..300, text in "[ -~\n]{0,60}") {
        let mut lexer = Lexer::new(text.as_bytes());
        while let Ok(Some(entry)) = lexer.entry() {
            if let Ok(data) = read(rtype, &entry.tokens, ORIGIN) {
                prop_assert!(is_well_formed(rtype, &data));
            }
        }
    }

    #[test]
    fn names_survive_their_text(labels in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..20), 0..6)) {
        let mut name = Vec::new();
        for label in &labels {
            name.push(label.len() as u8);
            name.extend(label);
        }
        name.push(0);
        prop_assert_eq!(read_name(display_name(&name).as_bytes(), ORIGIN), Ok(name));
    }

    #[test]
    fn times_survive_their_text(seconds in any::<u32>()) {
        prop_assert_eq!(time::read_time(time::write_time(seconds).as_bytes()), Some(seconds));
    }
}
