//! Signatures made and checked by ourselves; peers check them in `tests/it/transfers`.

use proptest::prelude::*;

use super::*;
use crate::transfer::message::{Builder, Head, Message};
use crate::wire::{Opcode, Rcode};

const NOW: u64 = 1_800_000_000;

fn name(text: &str) -> WireName {
    crate::transfer::config::parse_name(text).unwrap()
}

fn key(algorithm: Algorithm) -> Arc<Key> {
    Arc::new(Key::new(
        name("xfr.test"),
        algorithm,
        b"a secret of some length",
    ))
}

fn message(is_response: bool, question: &str) -> Vec<u8> {
    let head = Head {
        id: 77,
        opcode: Opcode::QUERY,
        is_response,
        authoritative: is_response,
        recursion_desired: false,
    };
    let question = [&*name(question), &[0, 252, 0, 1]].concat();
    Builder::new(head, Some(&question), 512).finish(Rcode::NoError, Some(1232))
}

fn check(ring: &KeyRing, packet: &[u8], now: u64) -> Checked {
    let message = Message::read(packet).unwrap();
    ring.check(packet, &message.tsig.unwrap(), now)
}

fn code(checked: &Checked) -> TsigCode {
    match checked {
        Checked::Good(_) => TsigCode::None,
        Checked::Refused(refusal) => refusal.code,
        Checked::Malformed => panic!("malformed"),
    }
}

#[test]
fn a_request_and_its_answers_are_accepted() {
    for algorithm in [
        Algorithm::Sha1,
        Algorithm::Sha256,
        Algorithm::Sha384,
        Algorithm::Sha512,
    ] {
        let key = key(algorithm);
        let ring = KeyRing::new(vec![Arc::clone(&key)]);
        let mut request = message(false, "example.test");
        let unsigned = request.len();
        let mut verifier = Signer::request(&key, &mut request, NOW);
        assert!(request.len() - unsigned <= key.record_bytes());
        let Checked::Good(mut signer) = check(&ring, &request, NOW + 299) else {
            panic!("refused");
        };
        assert_eq!(signer.key().name(), key.name());
        for nth in 0..5 {
            let mut answer = message(true, "example.test");
            // Some messages of a long answer may go by unsigned.
            let is_signed = nth % 2 == 0;
            if is_signed {
                signer.sign(&mut answer, NOW);
            } else {
                // What the signer would have hashed.
                continue;
            }
            let read = Message::read(&answer).unwrap();
            verifier.check(&answer, read.tsig.as_ref(), NOW).unwrap();
            assert!(verifier.may_end());
        }
    }
}

#[test]
fn refusals_say_why() {
    let key = key(Algorithm::Sha256);
    let ring = KeyRing::new(vec![Arc::clone(&key)]);
    let mut request = message(false, "example.test");
    let mut verifier = Signer::request(&key, &mut request, NOW);

    let late = check(&ring, &request, NOW + 301);
    assert_eq!(code(&late), TsigCode::BadTime);
    // The answer is signed and tells our clock.
    let Checked::Refused(refusal) = late else {
        panic!("accepted");
    };
    let mut answer = message(true, "example.test");
    refusal.sign(&mut answer, NOW + 301);
    let read = Message::read(&answer).unwrap();
    let record = read.tsig.unwrap();
    assert_eq!(record.other.len(), 6);
    assert_eq!(record.other[2..], ((NOW + 301) as u32).to_be_bytes());
    assert_eq!(
        verifier.check(&answer, Some(&record), NOW),
        Err(TsigError::Peer(PeerCode(18)))
    );

    let other = KeyRing::new(vec![Arc::new(Key::new(
        name("xfr.test"),
        Algorithm::Sha256,
        b"another secret of length",
    ))]);
    let bad = check(&other, &request, NOW);
    assert_eq!(code(&bad), TsigCode::BadSig);
    let Checked::Refused(refusal) = bad else {
        panic!("accepted");
    };
    let mut answer = message(true, "example.test");
    refusal.sign(&mut answer, NOW);
    let record = Message::read(&answer).unwrap().tsig.unwrap();
    // Neither signed nor a help to whoever guesses (RFC 8945 §5.3.2).
    assert!(record.mac.is_empty());
    assert_eq!(record.error, 16);

    let stronger = KeyRing::new(vec![Arc::new(Key::new(
        name("xfr.test"),
        Algorithm::Sha512,
        b"a secret of some length",
    ))]);
    assert_eq!(code(&check(&stronger, &request, NOW)), TsigCode::BadKey);
    assert_eq!(
        code(&check(&KeyRing::default(), &request, NOW)),
        TsigCode::BadKey
    );
}

#[test]
fn a_shortened_signature_is_checked_and_refused() {
    let key = key(Algorithm::Sha256);
    let ring = KeyRing::new(vec![Arc::clone(&key)]);
    let mut request = message(false, "example.test");
    let plain = request.len();
    Signer::request(&key, &mut request, NOW);
    let shortened = |mac_bytes: usize, flip: u8| {
        let record = Message::read(&request).unwrap().tsig.unwrap();
        let mut mac = record.mac[..mac_bytes].to_vec();
        mac[0] ^= flip;
        let mut packet = request[..plain].to_vec();
        packet[11] -= 1;
        append(
            &mut packet,
            &record.key,
            &record.algorithm,
            record.time_bytes(),
            &mac,
            record.original_id,
            0,
            &[],
        );
        // `append` counts the record; the packet's own count was for a record, too.
        packet[11] += 1;
        packet
    };
    let fix = |mut packet: Vec<u8>| {
        // OPT and TSIG.
        packet[11] = 2;
        packet
    };
    assert_eq!(
        code(&check(&ring, &fix(shortened(16, 0)), NOW)),
        TsigCode::BadTrunc
    );
    assert_eq!(
        code(&check(&ring, &fix(shortened(16, 1)), NOW)),
        TsigCode::BadSig
    );
    // Below half the hash it is malformed (RFC 8945 §5.2.2.1).
    assert!(matches!(
        check(&ring, &fix(shortened(15, 0)), NOW),
        Checked::Malformed
    ));
}

#[test]
fn unsigned_messages_pass_only_between_signed_ones() {
    let key = key(Algorithm::Sha256);
    let ring = KeyRing::new(vec![Arc::clone(&key)]);
    let mut request = message(false, "example.test");
    let mut verifier = Signer::request(&key, &mut request, NOW);
    let Checked::Good(mut signer) = check(&ring, &request, NOW) else {
        panic!("refused");
    };
    // The first must be signed.
    let plain = message(true, "example.test");
    assert_eq!(verifier.check(&plain, None, NOW), Err(TsigError::Unsigned));

    let mut verifier = Verifier {
        key: Arc::clone(&key),
        context: None,
        prior: signer.prior.clone(),
        chained: false,
        unsigned: 0,
    };
    let mut first = plain.clone();
    signer.sign(&mut first, NOW);
    let record = Message::read(&first).unwrap().tsig;
    verifier.check(&first, record.as_ref(), NOW).unwrap();
    for _ in 0..UNSIGNED_MAX {
        verifier.check(&plain, None, NOW).unwrap();
        assert!(!verifier.may_end());
    }
    assert_eq!(verifier.check(&plain, None, NOW), Err(TsigError::Unsigned));
}

#[test]
fn a_secret_is_never_shown() {
    let shown = format!("{:?}", key(Algorithm::Sha256));
    assert!(!shown.contains("secret"), "{shown}");
}

proptest! {
    /// Whatever byte of a signed message is changed, it is not accepted as it was.
    #[test]
    fn any_changed_byte_is_noticed(at in 0_usize..160, flip in 1_u8..=255) {
        let key = key(Algorithm::Sha256);
        let ring = KeyRing::new(vec![Arc::clone(&key)]);
        let mut request = message(false, "example.test");
        Signer::request(&key, &mut request, NOW);
        let at = at % request.len();
        request[at] ^= flip;
        // A changed id alone is allowed: the original is signed (RFC 8945 §4.2). Letters of the key's
        // and the algorithm's names have no case.
        let case_only = flip == 0x20;
        if let Ok(read) = Message::read(&request)
            && let Some(record) = read.tsig
            && let Checked::Good(_) = ring.check(&request, &record, NOW)
        {
            prop_assert!(at < 2 || case_only, "byte {} changed by {}", at, flip);
        }
    }

    #[test]
    fn reading_a_record_never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(record) = TsigRecord::read(12, name("a.test"), &data) {
            prop_assert!(record.mac.len() < data.len());
        }
    }
}
