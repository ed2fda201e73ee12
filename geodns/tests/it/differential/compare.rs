//! Which differences a standard allows.
//!
//! Both answers are brought to the form that every server may send, step by step; each step says
//! which RFC leaves the choice. What is different after that is a difference.

use std::collections::BTreeSet;

use super::message::{Answer, Fact, is_within};
use super::questions::Question;
use meridian_topology::rdata::read_name;

const NS: u16 = 2;
const CNAME: u16 = 5;
const DNAME: u16 = 39;
const A: u16 = 1;
const AAAA: u16 = 28;
const RRSIG: u16 = 46;
const NSEC: u16 = 47;
const NSEC3: u16 = 50;
const ANY: u16 = 255;

/// Aliases that every server follows at least: Knot ends an answer behind so many.
const CHAIN_MIN: usize = 5;

/// What may be compared of an answer to a question about the zone at `origin`.
pub fn essence(answer: &Answer, origin: &[u8]) -> Answer {
    let mut answer = answer.clone();
    minimal_authority(&mut answer, origin);
    required_glue(&mut answer);
    answer
}

/// RFC 1034 §4.3.2 puts the zone's servers into no answer, and RFC 2181 §5.4.1 knows answers that have
/// them: a server may name them or not.
fn minimal_authority(answer: &mut Answer, origin: &[u8]) {
    let of_apex = |fact: &Fact| {
        let covered = fact.data.first_chunk().map(|two| u16::from_be_bytes(*two));
        let is_servers = fact.rtype == NS || fact.rtype == RRSIG && covered == Some(NS);
        is_servers && fact.owner == origin
    };
    answer.authority.retain(|fact| !of_apex(fact));
}

/// Additional records are a courtesy (RFC 1034 §4.3.2 step 6: "attempting"), except that a referral
/// carries the addresses of servers below the cut (RFC 9471 §3.1); those of other servers it may.
fn required_glue(answer: &mut Answer) {
    let cuts: BTreeSet<Vec<u8>> = servers(answer).map(|fact| fact.owner.clone()).collect();
    let targets: BTreeSet<Vec<u8>> = servers(answer).map(|fact| fact.data.clone()).collect();
    answer.additional.retain(|fact| {
        matches!(fact.rtype, A | AAAA)
            && targets.contains(&fact.owner)
            && cuts.iter().any(|cut| is_within(&fact.owner, cut))
    });
}

fn servers(answer: &Answer) -> impl Iterator<Item = &Fact> {
    answer.authority.iter().filter(|fact| fact.rtype == NS)
}

/// Whether two answers to a question differ in a way that no standard allows; says how.
pub fn difference(
    question: &Question,
    origin: &str,
    peer: &str,
    ours: &Answer,
    theirs: &Answer,
) -> Option<String> {
    let origin = read_name(origin.as_bytes(), &[0])
        .unwrap()
        .to_ascii_lowercase();
    let (mut ours, mut theirs) = (essence(ours, &origin), essence(theirs, &origin));
    if matches!(question.rtype, ANY | RRSIG) {
        any(&mut ours, &mut theirs);
    }
    if question.dnssec_ok && proves_otherwise(question, peer, &ours) {
        without_proofs(&mut ours);
        without_proofs(&mut theirs);
    }
    let mut wrong = Vec::new();
    if ours.rcode != theirs.rcode {
        wrong.push(format!("code {} instead of {}", ours.rcode, theirs.rcode));
    }
    if ours.authoritative != theirs.authoritative {
        wrong.push(format!(
            "AA {} instead of {}",
            ours.authoritative, theirs.authoritative
        ));
    }
    let sections = [
        ("answer", &ours.answer, &theirs.answer),
        ("authority", &ours.authority, &theirs.authority),
        ("additional", &ours.additional, &theirs.additional),
    ];
    for (name, ours, theirs) in sections {
        let missing: Vec<_> = theirs.difference(ours).collect();
        let more: Vec<_> = ours.difference(theirs).collect();
        if !missing.is_empty() || !more.is_empty() {
            wrong.push(format!("{name} lacks {missing:?}, has {more:?}"));
        }
    }
    (!wrong.is_empty()).then(|| wrong.join("; "))
}

/// RFC 8482 §4.1 and §7: any of the sets there are is an answer to ANY, and to RRSIG.
fn any(ours: &mut Answer, theirs: &mut Answer) {
    if !ours.answer.is_empty() && !theirs.answer.is_empty() {
        theirs.answer.clone_from(&ours.answer);
    }
}

/// Whether one of two answers ends a long chain of aliases where the other goes on. No standard says
/// how many a server follows; the resolver asks on (RFC 1034 §5.2.2).
pub fn left_early(ours: &Answer, theirs: &Answer) -> bool {
    let within = |some: &Answer, all: &Answer| {
        aliases(some) >= CHAIN_MIN && some.answer.iter().all(|fact| all.answer.contains(fact))
    };
    ours.answer != theirs.answer && (within(ours, theirs) || within(theirs, ours))
}

/// Questions that a peer takes in a way of its own, where the other peer does as we do.
///
/// RFC 2181 §10.1 lets RRSIG and NSEC stand beside a CNAME, so a question for one that is not there
/// may be for the owner's own (Knot), or for what the CNAME stands for, like any other type (NSD).
/// NSD answers questions for NSEC3 without following aliases and without NXDOMAIN.
///
pub fn special(question: &Question, peer: &str, ours: &Answer) -> bool {
    match peer {
        "knot" => matches!(question.rtype, RRSIG | NSEC) && aliases(ours) > 0,
        _ => question.rtype == NSEC3,
    }
}

/// Absences that a peer proves by other records than the standards ask for, where the other peer
/// proves them as we do. All but the proofs is compared.
///
/// NSD proves that nothing is closer than a wildcard also to who asks for the wildcard; takes the
/// owners of NSEC3 for names that can enclose others (against RFC 5155 §7.2.8); denies a wildcard by a
/// record that does not reach it where a sibling before the star has names below it; and denies the
/// name before the DNAME where a wildcard behind it lacks the type. Knot lacks proofs of RFC 5155
/// §7.2.5 where the name asked for begins with a star, and those of RFC 4035 §3.1.3.3 where a
/// wildcard's NSEC is the answer.
fn proves_otherwise(question: &Question, peer: &str, ours: &Answer) -> bool {
    let leads_to_star = |fact: &Fact| fact.rtype == CNAME && fact.data.starts_with(b"\x01*");
    let is_star = question.name.starts_with("*.") || ours.answer.iter().any(leads_to_star);
    let answers = |rtype| ours.answer.iter().any(|fact| fact.rtype == rtype);
    match peer {
        "knot" => is_star || answers(NSEC),
        _ => {
            is_star
                || answers(DNAME)
                || is_below_hash(&question.name)
                || ours.authority.iter().any(is_before_star)
        }
    }
}

/// Leaves out NSEC and NSEC3 of the authority section, with their signatures.
fn without_proofs(answer: &mut Answer) {
    answer.authority.retain(|fact| {
        let covered = fact.data.first_chunk().map(|two| u16::from_be_bytes(*two));
        let signs = |rtype| fact.rtype == RRSIG && covered == Some(rtype);
        ![NSEC, NSEC3]
            .into_iter()
            .any(|rtype| fact.rtype == rtype || signs(rtype))
    });
}

fn is_below_hash(name: &str) -> bool {
    let is_hash =
        |label: &str| label.len() == 32 && label.bytes().all(|b| b.is_ascii_alphanumeric());
    name.split('.').skip(1).any(is_hash)
}

/// Whether a record is an NSEC of, or below, a name that sorts before a wildcard beside it.
fn is_before_star(fact: &Fact) -> bool {
    fact.rtype == NSEC && labels(&fact.owner).any(|label| label.first() < Some(&b'*'))
}

fn labels(name: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = name;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first().filter(|(length, _)| **length > 0)?;
        let (label, next) = after.split_at(usize::from(*length));
        rest = next;
        Some(label)
    })
}

/// How many aliases an answer follows.
fn aliases(answer: &Answer) -> usize {
    answer
        .answer
        .iter()
        .filter(|fact| fact.rtype == CNAME)
        .count()
}
