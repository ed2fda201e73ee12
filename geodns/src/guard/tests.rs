//! The gates as answers show them.

use std::time::Duration;

use hickory_proto::op::Edns;
use hickory_proto::rr::RecordType;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

use super::*;
use crate::fixture::{decode, world};
use crate::responder::tests::{Ask, asked, rules, zones_of};
use crate::responder::{AnswerRules, Outcome, answer};

const CLIENT: &str = "192.0.2.1:5300";

fn guarded(require: CookieRequire) -> AnswerRules {
    let jar = CookieJar::open(&CookieSettings {
        secret_file: None,
        rotate: Duration::from_secs(3600),
        require,
    });
    let seats = Seats::new(10, 10, Duration::from_secs(25));
    AnswerRules {
        guard: Guard {
            cookies: Some(Arc::new(jar.unwrap())),
            rate: None,
            seats: Some(seats),
        },
        ..rules()
    }
}

fn option(code: u16, data: &[u8]) -> impl FnOnce(&mut Edns) {
    let option = EdnsOption::Unknown(code, data.to_vec());
    move |edns| edns.options_mut().insert(option)
}

/// The response's code, its number of answers, and one option's data.
fn reply(
    rules: &AnswerRules,
    ask: &Ask,
    transport: Transport,
    code: EdnsCode,
) -> (Rcode, usize, Option<Vec<u8>>) {
    let packet = ask.bytes();
    let mut out = vec![0; 65_535];
    let source = CLIENT.parse().unwrap();
    let asked = asked(&packet, &source, transport);
    let Outcome::Reply(reply) = answer(&zones_of(world()), rules, &asked, &mut out) else {
        panic!("no reply")
    };
    let message = decode(&out[..reply.bytes]);
    let option = match message.edns.as_ref().and_then(|edns| edns.option(code)) {
        Some(EdnsOption::Unknown(_, data)) => Some(data.clone()),
        _ => None,
    };
    (reply.rcode, message.answers.len(), option)
}

fn www() -> Ask {
    Ask::new("www.example.test.", RecordType::A)
}

#[test]
fn a_cookie_is_asked_for_only_over_udp_and_only_of_who_speaks_cookies() {
    let with = |cookie: &[u8]| www().edns(option(10, cookie));
    let strict = guarded(CookieRequire::OverUdp);
    let ask = |ask: Ask, transport| reply(&strict, &ask, transport, EdnsCode::Cookie);
    let (rcode, answers, cookie) = ask(with(&[1; 8]), Transport::Udp);
    assert_eq!((rcode, answers), (Rcode::BadCookie, 0));
    let cookie = cookie.unwrap();
    // With what it was given it is answered; with a forgery it is not.
    let (rcode, answers, again) = ask(with(&cookie), Transport::Udp);
    assert_eq!(
        (rcode, answers, again),
        (Rcode::NoError, 2, Some(cookie.clone()))
    );
    let forged: Vec<_> = cookie.iter().map(|byte| byte ^ 0x80).collect();
    assert_eq!(ask(with(&forged), Transport::Udp).0, Rcode::BadCookie);
    for transport in [
        Transport::Tcp,
        Transport::Tls,
        Transport::Https,
        Transport::Quic,
    ] {
        assert_eq!(ask(with(&[1; 8]), transport).1, 2, "{transport:?}");
    }
    assert_eq!(ask(www(), Transport::Udp).1, 2, "no cookie, no demand");
    assert_eq!(ask(www().edns(|_| ()), Transport::Udp).1, 2);
    let lenient = guarded(CookieRequire::Never);
    let asked = reply(&lenient, &with(&[1; 8]), Transport::Udp, EdnsCode::Cookie);
    assert_eq!((asked.0, asked.1), (Rcode::NoError, 2));
    // Switched off, the option is one of many unknown ones.
    let off = reply(&rules(), &with(&[1; 8]), Transport::Udp, EdnsCode::Cookie);
    assert_eq!((off.0, off.2), (Rcode::NoError, None));
}

#[test]
fn the_idle_time_is_told_to_streams_that_have_one() {
    let rules = guarded(CookieRequire::Never);
    let ask = |data: &[u8], transport| {
        let (rcode, _, tenths) = reply(
            &rules,
            &www().edns(option(11, data)),
            transport,
            EdnsCode::Keepalive,
        );
        (rcode, tenths)
    };
    let told = Some(250_u16.to_be_bytes().to_vec());
    for (transport, expected) in [
        (Transport::Udp, None),
        (Transport::Tcp, told.clone()),
        (Transport::Tls, told),
        (Transport::Https, None),
        (Transport::Quic, None),
    ] {
        assert_eq!(
            ask(&[], transport),
            (Rcode::NoError, expected),
            "{transport:?}"
        );
    }
    assert_eq!(ask(&[0, 1], Transport::Tcp).0, Rcode::FormErr);
    assert_eq!(ask(&[0, 1], Transport::Udp).0, Rcode::NoError);
}

#[test]
fn padding_hides_lengths_where_nobody_reads_along() {
    let rules = guarded(CookieRequire::Never);
    for name in [
        "www.example.test.",
        "shop.example.test.",
        "nowhere.example.test.",
    ] {
        for transport in Transport::ALL {
            let length = |ask: Ask| {
                let packet = ask.bytes();
                let mut out = vec![0; 4096];
                let source = CLIENT.parse().unwrap();
                let asked = asked(&packet, &source, transport);
                match answer(&zones_of(world()), &rules, &asked, &mut out) {
                    Outcome::Reply(reply) => reply.bytes,
                    other => panic!("{other:?}"),
                }
            };
            let ask = || Ask::new(name, RecordType::A);
            let padded = length(ask().edns(option(12, &[0; 30])));
            let plain = length(ask().edns(|_| ()));
            if transport.is_encrypted() {
                assert_eq!(padded, 468, "{name} over {transport:?}");
            } else {
                assert_eq!(padded, plain, "{name} over {transport:?}");
            }
            assert!(plain < 200, "unasked: {plain}");
        }
    }
}
