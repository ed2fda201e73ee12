//! ALIAS records: targets in our zones are followed, others are asked of a resolver.

use std::sync::Arc;
use std::time::Instant;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use meridian_geodns::master::read_text;
use meridian_geodns::zone::{ZoneShelf, ZoneSource};

use crate::dnssec::rig::run_unbound;
use crate::rig::{DEADLINE, Rig, answers, ask_udp, query};

/// A zone beside the fixture's `example.test`, whose `shop` is steered.
const OURS: &str = "\
$TTL 300
@ SOA ns admin 1 1 1 1 60
@ NS ns
@ ALIAS host
host A 192.0.2.7
steered ALIAS shop.example.test.
alias ANAME chain
chain CNAME host
*.wild ALIAS host
far ALIAS www.elsewhere.test.
hop ALIAS leave
leave CNAME there.elsewhere.test.
gone ALIAS nope.elsewhere.test.
nobody ALIAS www.silent.test.
circle ALIAS round
round ALIAS circle
text ALIAS host
text TXT here
brief 7 ALIAS shop.example.test.
late ALIAS www.late.test.
";
const THEIRS: &str = "\
$TTL 40
@ SOA ns admin 1 1 1 1 30
@ NS ns
www CNAME there
there A 198.51.100.9
";

/// A name as on the wire.
fn wire(name: &str) -> Vec<u8> {
    let labels = name.split('.');
    let mut wire = labels
        .map(|label| [&[label.len() as u8], label.as_bytes()].concat())
        .collect::<Vec<_>>()
        .concat();
    wire.push(0);
    wire
}

fn shelve(shelf: &ZoneShelf, name: &str, text: &str) {
    let zone = read_text(name, text.as_bytes(), &wire(name)).unwrap();
    assert_eq!(zone.problems(), []);
    shelf.put(ZoneSource::File, Arc::new(zone)).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_answers_with_the_addresses_of_its_target() {
    // A resolver that we did not write, before a zone that is not ours to answer.
    let theirs = Rig::start(|_| ());
    shelve(&theirs.shelf, "elsewhere.test", THEIRS);
    let folder = tempfile::tempdir().unwrap();
    let stub = format!(
        "stub-zone:\n  name: \"elsewhere.test\"\n  stub-addr: {}@{}\n",
        theirs.address.ip(),
        theirs.address.port()
    );
    let resolver = run_unbound(folder.path(), &stub, "elsewhere.test");

    let rig = Rig::start(|config| config.alias_resolvers = vec![resolver.address]);
    shelve(&rig.shelf, "alias.test", OURS);
    let late = wire("late.test");
    rig.shelf.put_unready(ZoneSource::Secondary, &late).unwrap();
    let socket = rig.udp();
    let ask = |name: &str, rtype| ask_udp(&socket, &query(7, name, rtype, None));
    let begun = Instant::now();
    let wait_for = async |name: &str, expected: &[&str]| {
        // The zone is on the shelf before it is served, and the resolver is asked off the path.
        loop {
            let said = ask(name, RecordType::A);
            if said.metadata.response_code == ResponseCode::NoError && answers(&said) == expected {
                return said;
            }
            assert!(begun.elapsed() < DEADLINE, "{name}: {said:?}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    wait_for("alias.test.", &["192.0.2.7"]).await;
    for name in [
        "alias.alias.test.",
        "any.wild.alias.test.",
        "text.alias.test.",
    ] {
        assert_eq!(answers(&ask(name, RecordType::A)), ["192.0.2.7"], "{name}");
    }
    // As the target is answered, for this client.
    for subnet in ["10.1.0.0/24", "10.2.0.0/24", "10.3.0.0/24"] {
        let of = |name| {
            let said = ask_udp(&socket, &query(7, name, RecordType::A, Some(subnet)));
            (answers(&said), said.answers[0].ttl, said.edns)
        };
        assert_eq!(of("steered.alias.test."), of("shop.example.test."));
        let brief = of("brief.alias.test.");
        assert_eq!((brief.0, brief.1), (of("shop.example.test.").0, 7));
    }
    let far = wait_for("far.alias.test.", &["198.51.100.9"]).await;
    assert_eq!(far.answers[0].name.to_ascii(), "far.alias.test.");
    assert!(far.answers[0].ttl <= 40, "{far:?}");
    wait_for("hop.alias.test.", &["198.51.100.9"]).await;
    wait_for("gone.alias.test.", &[]).await;
    // Nobody has said anything yet: no resolver, and no primary of a zone that is ours.
    for name in ["nobody.alias.test.", "late.alias.test."] {
        let said = ask(name, RecordType::A);
        assert_eq!(
            said.metadata.response_code,
            ResponseCode::ServFail,
            "{name}"
        );
    }
    // No address of the family, a loop, and other types are negative answers of the name itself.
    for (name, rtype) in [
        ("alias.test.", RecordType::AAAA),
        ("circle.alias.test.", RecordType::A),
        ("far.alias.test.", RecordType::AAAA),
        ("far.alias.test.", RecordType::MX),
        ("far.alias.test.", RecordType::Unknown(65_401)),
    ] {
        let answer = ask(name, rtype);
        let code = answer.metadata.response_code;
        assert_eq!(code, ResponseCode::NoError, "{name} {rtype}");
        assert!(answer.answers.is_empty(), "{name}: {answer:?}");
        assert_eq!(answer.authorities.len(), 1, "{name} {rtype}");
    }
    let any = ask("text.alias.test.", RecordType::ANY);
    assert_eq!(any.answers[0].record_type(), RecordType::TXT);
    while rig.metric("meridian_dns_alias_targets{state=\"unresolved\"}") != 1.0 {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(
        rig.metric("meridian_dns_alias_targets{state=\"fresh\"}"),
        3.0
    );
    // The last good addresses outlive the resolver.
    drop(resolver);
    theirs.stop().await;
    assert_eq!(
        answers(&ask("far.alias.test.", RecordType::A)),
        ["198.51.100.9"]
    );
    rig.stop().await;
}
