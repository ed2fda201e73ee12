//! Questions made by chance about the names of a zone, and about names near them.

use hickory_proto::rr::RecordType;

use super::chance::Chance;
use super::zones::MadeZone;

const TYPES: &[u16] = &[
    1, 1, 1, 28, 2, 5, 6, 12, 15, 16, 16, 29, 33, 35, 39, 43, 43, 44, 46, 47, 48, 50, 52, 64, 65,
    99, 108, 255, 256, 257, 65_280, 65_281, 65_400,
];

/// One question.
#[derive(Clone, Debug)]
pub struct Question {
    pub name: String,
    pub rtype: u16,
    pub dnssec_ok: bool,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dnssec_ok = if self.dnssec_ok { " +dnssec" } else { "" };
        write!(
            f,
            "{} {}{dnssec_ok}",
            self.name,
            RecordType::from(self.rtype)
        )
    }
}

/// A question about a zone.
pub fn ask_about(zone: &MadeZone, chance: &mut Chance) -> Question {
    let mut name = chance.pick(&zone.names).clone();
    match chance.below(10) {
        0 | 1 => name = format!("{}.{name}", label(chance)),
        2 => name = format!("{}.{}.{name}", label(chance), label(chance)),
        // An ancestor, often an empty non-terminal.
        3 => name = parent(&name),
        4 if name.starts_with("*.") => name.replace_range(0..1, label(chance)),
        5 => name = format!("{}.{}", label(chance), parent(&name)),
        // Long enough to overflow a DNAME.
        6 if chance.one_in(4) => {
            let long = format!("{}.", "x".repeat(50)).repeat(1 + chance.below(3));
            if long.len() + name.len() < 240 {
                name = long + &name;
            }
        }
        _ => {}
    }
    if chance.one_in(8) {
        name = upper(&name);
    }
    Question {
        name,
        rtype: *chance.pick(TYPES),
        dnssec_ok: chance.one_in(2),
    }
}

fn label(chance: &mut Chance) -> &'static str {
    const LABELS: &[&str] = &[
        "a", "b", "www", "nope", "*", "_tcp", "zzz", "0", "occluded", "instance",
    ];
    chance.pick::<&str>(LABELS)
}

/// Upper case, escapes left alone.
fn upper(name: &str) -> String {
    name.to_ascii_uppercase()
}

fn parent(name: &str) -> String {
    // No label of ours begins with a dot, and an escaped one has its backslash before it.
    let bytes = name.as_bytes();
    let dot =
        (0..bytes.len()).find(|at| bytes[*at] == b'.' && (*at == 0 || bytes[*at - 1] != b'\\'));
    match dot {
        Some(at) if at + 1 < name.len() => name[at + 1..].to_owned(),
        _ => name.to_owned(),
    }
}
