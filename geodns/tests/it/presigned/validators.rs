//! Zones that arrive signed, before resolvers that we did not write: what is absent is proved to
//! `delv` and `unbound`.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::{Denies, Presigned, folder_of_everything, missing};
use crate::dnssec::rig::{Unbound, dig, run_unbound, said};
use crate::rig::Rig;

/// Whether an answer is proved to a validator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Secure {
    Yes,
    /// Not where a record with the opt-out flag proves it: an unsigned name may be there (RFC 5155
    /// §9.2, RFC 7129 §5.4).
    UnlessOptOut,
    /// It is of an unsigned zone.
    No,
}
use Secure::{No, UnlessOptOut, Yes};

impl Secure {
    fn of(self, denies: Denies) -> bool {
        match self {
            Yes => true,
            UnlessOptOut => denies != Denies::Nsec3OptOut,
            No => false,
        }
    }
}

/// Labels before the origin, type, code, number of answers (signatures aside) and security.
const QUESTIONS: &[(&str, &str, &str, usize, Secure)] = &[
    ("", "SOA", "NOERROR", 1, Yes),
    ("", "DNSKEY", "NOERROR", 1, Yes),
    ("", "MX", "NOERROR", 0, Yes),
    ("www.", "A", "NOERROR", 1, Yes),
    ("www.", "MX", "NOERROR", 0, Yes),
    ("*.wild.", "A", "NOERROR", 0, Yes),
    ("web.", "A", "NOERROR", 2, Yes),
    ("web.", "MX", "NOERROR", 1, Yes),
    // Empty non-terminals; below one of them is nothing but an unsigned delegation.
    ("ent.", "A", "NOERROR", 0, Yes),
    ("behind.", "A", "NOERROR", 0, UnlessOptOut),
    // Names that do not exist.
    ("nowhere.", "A", "NXDOMAIN", 0, UnlessOptOut),
    ("a.b.c.nowhere.", "A", "NXDOMAIN", 0, UnlessOptOut),
    ("below.www.", "A", "NXDOMAIN", 0, UnlessOptOut),
    ("0.", "A", "NXDOMAIN", 0, UnlessOptOut),
    ("zzz.", "A", "NXDOMAIN", 0, UnlessOptOut),
    ("dangling.", "A", "NXDOMAIN", 1, UnlessOptOut),
    // Wildcards: answers, aliases, and types that they do not have.
    ("any.wild.", "TXT", "NOERROR", 1, UnlessOptOut),
    ("very.many.wild.", "TXT", "NOERROR", 1, UnlessOptOut),
    ("any.mail.", "MX", "NOERROR", 1, UnlessOptOut),
    ("any.alias.", "A", "NOERROR", 2, UnlessOptOut),
    ("any.alias.", "MX", "NOERROR", 1, UnlessOptOut),
    ("any.lost.", "A", "NXDOMAIN", 1, UnlessOptOut),
    ("any.wild.", "A", "NOERROR", 0, UnlessOptOut),
    // DNAME: the record, and the alias that it means.
    ("deep.away.", "A", "NOERROR", 3, Yes),
    ("away.", "A", "NOERROR", 0, Yes),
    ("none.away.", "A", "NXDOMAIN", 2, UnlessOptOut),
    // Delegations.
    ("secure.", "DS", "NOERROR", 1, Yes),
    ("unsigned.", "DS", "NOERROR", 0, UnlessOptOut),
    ("hidden.behind.", "DS", "NOERROR", 0, UnlessOptOut),
    ("host.unsigned.", "A", "NOERROR", 1, No),
    ("none.unsigned.", "A", "NXDOMAIN", 0, No),
];

/// Questions that depend on how the zone denies.
fn own_questions(
    denies: Denies,
    signed: &Presigned,
) -> Vec<(String, &'static str, &'static str, usize, Secure)> {
    if denies == Denies::Nsec {
        return vec![
            ("www.".into(), "NSEC", "NOERROR", 1, Yes),
            (String::new(), "NSEC", "NOERROR", 1, Yes),
            ("ent.".into(), "NSEC", "NOERROR", 0, Yes),
            (String::new(), "NSEC3PARAM", "NOERROR", 0, Yes),
        ];
    }
    // RFC 5155 §7.2.8: the owner of an NSEC3 record is no name.
    let hashed = signed.text.lines().find_map(|line| {
        let (owner, rest) = line.split_once('.')?;
        (owner.len() == 32 && rest.contains("NSEC3")).then(|| format!("{owner}."))
    });
    vec![
        (String::new(), "NSEC3PARAM", "NOERROR", 1, Yes),
        ("www.".into(), "NSEC", "NOERROR", 0, Yes),
        (hashed.unwrap(), "A", "NXDOMAIN", 0, UnlessOptOut),
    ]
}

struct Validated {
    rig: Rig,
    folder: tempfile::TempDir,
    signed: Vec<Presigned>,
}

impl Validated {
    fn start() -> Option<Self> {
        if let Some(missing) = missing() {
            eprintln!("skipped: {missing} is not installed (`cargo xtask setup` brings it)");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let signed = folder_of_everything(folder.path());
        let rig = Rig::start(|config| config.zone_files = Some(folder.path().into()));
        Some(Self {
            rig,
            folder,
            signed,
        })
    }

    fn check(
        &self,
        ask: impl Fn(Denies, &str, &str) -> Said,
        agrees: impl Fn(&Said, &Expected) -> bool,
    ) {
        let mut wrong = Vec::new();
        for (denies, signed) in Denies::ALL.into_iter().zip(&self.signed) {
            let common = QUESTIONS
                .iter()
                .map(|(name, rtype, code, answers, secure)| {
                    ((*name).to_owned(), *rtype, *code, *answers, *secure)
                });
            for (name, rtype, code, answers, secure) in common.chain(own_questions(denies, signed))
            {
                let name = format!("{name}{}", denies.origin());
                let said = ask(denies, &name, rtype);
                let expected = Expected {
                    code,
                    answers,
                    secure,
                    denies,
                };
                if !agrees(&said, &expected) {
                    wrong.push(format!("{name} {rtype} is not {expected:?}: {}", said.text));
                }
            }
        }
        assert!(wrong.is_empty(), "{}\n{}", wrong.len(), wrong.join("\n"));
    }
}

/// What a validator is to say.
#[derive(Debug)]
struct Expected {
    code: &'static str,
    answers: usize,
    secure: Secure,
    denies: Denies,
}

/// What a validator said.
struct Said {
    code: &'static str,
    answers: usize,
    secure: bool,
    text: String,
}

/// BIND's validating client.
fn delv(server: SocketAddr, folder: &Path, denies: Denies, name: &str, rtype: &str) -> Said {
    let text = said(
        std::process::Command::new("delv")
            .arg(format!("@{}", server.ip()))
            .args(["-p", &server.port().to_string(), "-a"])
            .arg(folder.join(format!("{}anchor", denies.origin())))
            .args([&format!("+root={}", denies.origin()), name, rtype]),
    );
    Said {
        code: if text.contains("ncache nxdomain") {
            "NXDOMAIN"
        } else if text.contains("ncache nxrrset") || !text.contains("resolution failed") {
            "NOERROR"
        } else {
            "failed"
        },
        answers: 0,
        secure: text.contains("fully validated") && !text.contains("unsigned answer"),
        text,
    }
}

fn write_anchors(folder: &Path, signed: &[Presigned]) {
    for (denies, signed) in Denies::ALL.into_iter().zip(signed) {
        // Owner, IN, DNSKEY, flags, protocol, algorithm, key.
        let words: Vec<&str> = signed.anchor.split_whitespace().collect();
        let (origin, key) = (denies.origin(), words[6..].concat());
        let text = format!(
            "trust-anchors {{\n  \"{origin}\" static-key {} {} {} \"{key}\";\n}};\n",
            words[3], words[4], words[5]
        );
        std::fs::write(folder.join(format!("{origin}anchor")), text).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delv_validates_what_is_denied() {
    let Some(world) = Validated::start() else {
        return;
    };
    write_anchors(world.folder.path(), &world.signed);
    let (server, folder) = (world.rig.address, world.folder.path());
    // It does not print what a DNAME means, and believes most of what opting out leaves open.
    world.check(
        |denies, name, rtype| delv(server, folder, denies, name, rtype),
        |said, expected| {
            let is_open = expected.secure == UnlessOptOut && !expected.secure.of(expected.denies);
            said.code == expected.code && (is_open || said.secure == (expected.secure != No))
        },
    );
    world.rig.stop().await;
}

/// A resolver for all three zones, which listens on a port of its own.
fn resolver(world: &Validated) -> Unbound {
    // It would answer for us out of what it was told before.
    let mut zones = String::from("  aggressive-nsec: no\n");
    let server = world.rig.address;
    for (denies, signed) in Denies::ALL.into_iter().zip(&world.signed) {
        let origin = denies.origin();
        writeln!(zones, "  trust-anchor: \"{}\"", signed.anchor).unwrap();
        zones = format!(
            "{zones}stub-zone:\n  name: \"{origin}\"\n  stub-addr: {}@{}\nserver:\n",
            server.ip(),
            server.port()
        );
    }
    run_unbound(world.folder.path(), &zones, Denies::Nsec.origin())
}

fn by_dig(resolver: SocketAddr, name: &str, rtype: &str) -> Said {
    let text = dig(resolver, name, rtype);
    let flags = text.lines().find(|line| line.starts_with(";; flags:"));
    let flags = flags.unwrap_or_default().split(';').nth(2);
    let answer = text.split(";; ANSWER SECTION:\n").nth(1);
    let answer = answer.and_then(|rest| rest.split("\n\n").next());
    let records = answer.unwrap_or_default().lines();
    let codes = ["NOERROR", "NXDOMAIN"].into_iter();
    let mut codes = codes.filter(|code| text.contains(&format!("status: {code},")));
    Said {
        code: codes.next().unwrap_or("failed"),
        answers: records.filter(|line| !line.contains("\tRRSIG\t")).count(),
        secure: flags.unwrap_or_default().contains(" ad"),
        text,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbound_validates_what_is_denied() {
    let Some(world) = Validated::start() else {
        return;
    };
    let resolver = resolver(&world);
    world.check(
        |_, name, rtype| by_dig(resolver.address, name, rtype),
        |said, expected| {
            let secure = expected.secure.of(expected.denies);
            (said.code, said.answers, said.secure) == (expected.code, expected.answers, secure)
        },
    );
    drop(resolver);
    world.rig.stop().await;
}

/// The proofs are what convinces it: without them, what is absent cannot be told from a lie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unbound_refuses_denials_without_proofs() {
    let Some(world) = Validated::start() else {
        return;
    };
    let resolver = resolver(&world);
    for denies in Denies::ALL {
        let file = world.folder.path().join(format!("{}zone", denies.origin()));
        let signed = std::fs::read_to_string(&file).unwrap();
        let is_proof = |line: &&str| line.contains("NSEC\t") || line.contains("NSEC3\t");
        let bare: Vec<&str> = signed.lines().filter(|line| !is_proof(line)).collect();
        std::fs::write(&file, bare.join("\n")).unwrap();
        let begun = std::time::Instant::now();
        // Each name is asked for once: what was proved before is remembered.
        for at in 0.. {
            let name = format!("no{at}.{}", denies.origin());
            let said = by_dig(resolver.address, &name, "A");
            if said.code == "failed" {
                break;
            }
            assert!(begun.elapsed() < crate::rig::DEADLINE, "{}", said.text);
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }
    drop(resolver);
    world.rig.stop().await;
}
