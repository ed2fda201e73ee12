//! `Topology::parse` answers any text: the examples, damaged at random, either load or are
//! refused with places inside the text. (This stands in for a fuzz target: the same property,
//! with mutations of real files instead of coverage guidance; PROPTEST_CASES runs it longer.)

use meridian_topology::{SourceFile, Topology};
use proptest::prelude::*;

const EXAMPLES: &[&str] = &["demo", "single-node", "multi-region", "edge"];

/// Pieces that YAML or our formats give a meaning.
const PIECES: &[&str] = &[
    "",
    " ",
    "\n",
    "\t",
    ":",
    "-",
    "- ",
    "{",
    "}",
    "[",
    "]",
    "&a ",
    "*a",
    "*page",
    "<<: ",
    "!!int ",
    "? ",
    "|\n",
    ">\n",
    "'",
    "\"",
    "#",
    "---\n",
    "...\n",
    "null",
    "~",
    "NO",
    "true",
    "-1",
    "1e999",
    ".nan",
    "0x10",
    "99999999999999999999",
    "ä",
    "\u{0}",
    "\u{feff}",
    "\u{2028}",
    "5sec",
    "100%",
    "::1",
    "*.",
    "multi_region_config:\n",
    "regions:\n",
    "id: ",
    "%YAML 1.2\n",
];

#[derive(Debug, Clone)]
struct Damage {
    at: prop::sample::Index,
    removed: usize,
    inserted: &'static str,
}

fn damage() -> impl Strategy<Value = Damage> {
    let removed = prop_oneof![3 => 0..4_usize, 1 => 4..200_usize];
    (
        any::<prop::sample::Index>(),
        removed,
        prop::sample::select(PIECES),
    )
        .prop_map(|(at, removed, inserted)| Damage {
            at,
            removed,
            inserted,
        })
}

fn apply(text: &str, damages: &[Damage]) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    for damage in damages {
        let start = damage.at.index(chars.len() + 1);
        let end = (start + damage.removed).min(chars.len());
        chars.splice(start..end, damage.inserted.chars());
    }
    chars.into_iter().collect()
}

fn answer(text: String) -> Result<(), TestCaseError> {
    let lines = text.split('\n').count();
    let file = SourceFile::new("f.yaml", text);
    match Topology::parse(std::slice::from_ref(&file)) {
        Ok(topology) => {
            let _ = topology.lints();
            let json = serde_json::to_string(&topology).unwrap();
            let again: Topology = serde_json::from_str(&json).unwrap();
            prop_assert_eq!(again, topology);
        }
        Err(problems) => {
            prop_assert!(!problems.is_empty());
            for problem in problems.list() {
                let line = usize::try_from(problem.line()).unwrap();
                prop_assert!((1..=lines + 1).contains(&line), "{} of {}", problem, lines);
            }
            prop_assert!(!problems.to_string().is_empty());
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn damaged_examples_are_answered(
        example in prop::sample::select(EXAMPLES),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        answer(apply(&super::example(example).text, &damages))?;
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,200}") {
        answer(text)?;
    }

    #[test]
    fn any_pieces_are_answered(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)
    ) {
        answer(pieces.concat())?;
    }
}
