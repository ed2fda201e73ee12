use std::sync::Arc;

use super::*;
use crate::transfer::config::parse_name;
use crate::zone::StaticZoneBuilder;

fn catalog(records: &[(&str, u16, &[u8])]) -> Arc<StaticZone> {
    let name = |text: &str| parse_name(text).unwrap();
    let mut builder = StaticZoneBuilder::new(&name("cat.test"));
    let soa = [&*name("invalid"), &*name("invalid"), &[0; 20]].concat();
    builder.record(&name("cat.test"), RType::SOA, 0, &soa);
    builder.record(&name("cat.test"), RType::NS, 0, &name("invalid"));
    for (owner, rtype, data) in records {
        builder.record(&name(owner), RType(*rtype), 0, data);
    }
    Arc::new(builder.build().unwrap())
}

#[test]
fn members_are_listed() {
    let name = |text: &str| parse_name(text).unwrap();
    let (one, two) = (name("One.test"), name("two.test"));
    let version: (&str, u16, &[u8]) = ("version.cat.test", 16, b"\x012");
    let good = catalog(&[
        version,
        ("id1.zones.cat.test", 12, &one),
        ("id2.zones.cat.test", 12, &two),
        // Properties of a member are not members.
        ("group.id2.zones.cat.test", 16, b"\x01g"),
        ("other.cat.test", 12, &two),
    ]);
    assert_eq!(members(&good), Ok(vec![name("one.test"), name("two.test")]));
    let check = |records: &[(&str, u16, &[u8])], wanted: &str| {
        let error = members(&catalog(records)).unwrap_err().to_string();
        assert!(error.contains(wanted), "{error}: not `{wanted}`");
    };
    check(&[], "version");
    check(&[("version.cat.test", 16, b"\x011")], "version");
    check(&[version, ("version.cat.test", 16, b"\x013")], "version");
    check(
        &[
            version,
            ("a.zones.cat.test", 12, &one),
            ("b.zones.cat.test", 12, &one),
        ],
        "twice",
    );
    check(
        &[
            version,
            ("a.zones.cat.test", 12, &one),
            ("a.zones.cat.test", 12, &two),
        ],
        "several",
    );
}
