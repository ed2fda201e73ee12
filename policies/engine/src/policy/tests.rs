use meridian_topology::country::CountryCode;

use super::*;

fn class(country: Option<&str>) -> ClientClass {
    match country {
        Some(code) => ClientClass::default().in_country(code.parse::<CountryCode>().unwrap()),
        None => ClientClass::default(),
    }
}

#[test]
fn conditions() {
    let places = |list: &[&str]| list.iter().map(|place| place.parse().unwrap()).collect();
    let check =
        |inside: &[&str], outside: &[&str], unknown, client: Option<&str>, applies: bool| {
            let when = When {
                client_in: places(inside),
                client_not_in: places(outside),
                unknown,
            };
            assert_eq!(when.applies(&class(client)), applies, "{when:?} {client:?}");
        };
    let (apply, skip) = (UnknownClient::Apply, UnknownClient::Skip);
    check(&[], &[], skip, None, true);
    check(&["EU"], &[], skip, Some("DE"), true);
    check(&["EU"], &[], skip, Some("US"), false);
    check(&["EU"], &[], skip, None, false);
    check(&["EU"], &[], apply, None, true);
    check(&[], &["EU"], skip, Some("US"), true);
    check(&[], &["EU"], skip, Some("DE"), false);
    check(&[], &["EU"], skip, None, false);
    check(&[], &["EU"], apply, None, true);
    check(&["EU"], &["DE"], apply, Some("DE"), false);
    check(&["EU"], &["DE"], apply, Some("FR"), true);
    check(&["continent:asia", "NO"], &[], skip, Some("NO"), true);
}

#[test]
fn sets_find_policies_by_name() {
    let named = |name: &str| Policy::nearest(name.parse().unwrap());
    let set = PolicySet::new([named("b"), named("a"), named("b")]);
    assert_eq!(set.policies().len(), 2);
    assert!(set.get(&"b".parse().unwrap()).is_some());
    assert!(set.get(&"c".parse().unwrap()).is_none());
}

#[test]
fn conditions_name_autonomous_systems() {
    let mut policy = Policy::nearest("a".parse().unwrap());
    policy.score[0].when.client_in = vec![Place::Asn(64_500), Place::Eu];
    policy.eligible.push(Eligible {
        when: When {
            client_not_in: vec![Place::Asn(64_501)],
            ..When::default()
        },
        wall: Wall::Compliance {
            require: Vec::new(),
            within: vec![Place::Eu],
        },
    });
    assert_eq!(PolicySet::new([policy]).asns(), [64_500, 64_501].into());
}
