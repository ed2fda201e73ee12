//! *Did you mean*: the closest of a list of known words.

/// Likeness (Jaro–Winkler and Damerau–Levenshtein agree on typos of one or two letters) below
/// which a guess would confuse more than help.
const LIKENESS_MIN: f64 = 0.7;

/// The known word that a text most resembles, if any resembles it enough.
pub fn closest<'k>(text: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let lower = text.to_lowercase();
    let mut best: Option<(f64, &'k str)> = None;
    for word in known {
        let likeness = likeness(&lower, word);
        // Strictly greater: of equals the first stays, so the answer does not depend on luck.
        if likeness >= LIKENESS_MIN && best.is_none_or(|(known, _)| likeness > known) {
            best = Some((likeness, word));
        }
    }
    best.map(|(_, word)| word)
}

fn likeness(lower: &str, word: &str) -> f64 {
    let word = word.to_lowercase();
    if spelling(lower) == spelling(&word) {
        return 1.0;
    }
    let edits = strsim::normalized_damerau_levenshtein(lower, &word);
    // `host` for `hosts`, `health_check` for `health_checks`: a prefix is a better sign than its
    // length says.
    let shorter = lower.len().min(word.len());
    if shorter >= 3 && (word.starts_with(lower) || lower.starts_with(word.as_str())) {
        return edits.max(LIKENESS_MIN + 0.1);
    }
    edits
}

/// `health-checks`, `healthChecks` and `health_checks` are one spelling.
fn spelling(word: &str) -> String {
    word.chars()
        .filter(|c| !matches!(c, '-' | '_' | ' ' | '.'))
        .collect()
}

/// The unit that a text means. Units are short, so a shared beginning decides, not likeness.
pub(crate) fn unit(text: &str, known: &[&'static str]) -> Option<&'static str> {
    let lower = text.to_lowercase();
    if let Some(same) = known.iter().find(|unit| unit.to_lowercase() == lower) {
        return Some(same);
    }
    let aliases = [
        ("sec", "s"),
        ("min", "m"),
        ("hour", "h"),
        ("day", "d"),
        ("milli", "ms"),
        ("usd/gb", "USD/GiB"),
        ("usd/tb", "USD/TiB"),
        ("usd/m", "USD/M requests"),
        ("gb", "Gbps"),
        ("mb", "Mbps"),
        ("g", "Gbps"),
        ("req", "rps"),
        ("qps", "rps"),
        ("/s", "rps"),
        ("percent", "%"),
        ("$", "USD/GiB"),
    ];
    aliases
        .iter()
        .filter(|(alias, _)| lower.starts_with(alias))
        .find_map(|(_, meant)| known.iter().copied().find(|unit| unit == meant))
        .or_else(|| {
            closest(text, known.iter().copied())
                .and_then(|found| known.iter().copied().find(|unit| *unit == found))
        })
}
