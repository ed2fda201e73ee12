//! Running the YAML parser, translating its errors, and assuming the remedy of misspelt keys.

use serde::de::DeserializeOwned;
use serde_saphyr::options::MergeKeyPolicy;
use serde_saphyr::{Error, Options};

use super::path::enclosing_map;
use super::problem::{Code, Problems};
use super::scalar::Mistake;
use super::source::{Source, Span};
use super::{MAX_DEPTH, MAX_FILE_BYTES, MAX_NODES, MAX_REPAIRS, suggest};

/// A value that was read, and the text it was read from.
#[derive(Debug, Clone)]
pub struct Parsed<T> {
    /// The value.
    pub value: T,
    /// Its file, for the problems that validation finds.
    pub source: Source,
}

/// Reads one file. `file` is what messages call it.
///
/// # Errors
/// The file's problems: never more than one of shape beside misspelt keys, see [`super`].
/// Mistakes in scalars are not among them: a [`Field`](super::Field) keeps its own.
pub fn parse<T: DeserializeOwned>(file: &str, text: &str) -> Result<Parsed<T>, Problems> {
    let mut source = Source::new(file, text);
    let (value, problems) = parse_source(&mut source);
    match value {
        Some(value) if problems.is_empty() => Ok(Parsed { value, source }),
        _ => Err(problems),
    }
}

/// Like [`parse`], but hands out what could be read beside the problems, so that validation can
/// go on and find more. The value is there when every problem was a key whose meaning could be
/// assumed; the source then knows how to lead places back to the text as it was written.
pub(crate) fn parse_source<T: DeserializeOwned>(source: &mut Source) -> (Option<T>, Problems) {
    let mut problems = Problems::new();
    if let Some(refusal) = refuse(source) {
        problems.report(source, Span::START, refusal.0, refusal.1);
        return (None, problems);
    }
    let mut text = source.text().to_owned();
    loop {
        let error = match serde_saphyr::from_str_with_options::<T>(&text, options()) {
            Ok(value) => return (Some(value), problems),
            Err(error) => error,
        };
        let (mut span, code, mistake, meant) = translate(&error);
        if code == Code::MISSING_FIELD {
            // The parser names the last key that was there; the map lacks the field.
            span = enclosing_map(&text, span);
        }
        if code == Code::DUPLICATE_KEY && source.is_repaired(span) {
            // Not written twice: the assumption was wrong, and the key is reported already.
            return (None, problems);
        }
        problems.report(source, span, code, mistake);
        let repaired = meant
            .filter(|_| source.repairs() < MAX_REPAIRS)
            .and_then(|(written, meant)| source.repair(&text, span, written, meant));
        match repaired {
            Some(repaired) => text = repaired,
            None => return (None, problems),
        }
    }
}

/// What is refused before the parser sees it.
fn refuse(source: &Source) -> Option<(Code, Mistake)> {
    let text = source.text();
    if text.len() > MAX_FILE_BYTES {
        let mistake = Mistake::new(format!(
            "the file has {} bytes; at most {MAX_FILE_BYTES} are read",
            text.len()
        ));
        return Some((Code::TOO_LARGE, mistake));
    }
    if is_empty_document(text.trim_start_matches('\u{feff}')) {
        return Some((
            Code::SYNTAX,
            Mistake::new("the file holds no YAML document"),
        ));
    }
    None
}

/// Only comments and blank lines.
fn is_empty_document(text: &str) -> bool {
    text.lines()
        .map(str::trim)
        .all(|line| line.is_empty() || line.starts_with('#') || line == "---")
}

fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            flow_nesting_limit: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES * 4,
            max_documents: 2,
            max_total_scalar_bytes: MAX_FILE_BYTES,
        },
        merge_keys: MergeKeyPolicy::Merge,
        strict_booleans: true,
        reject_unsupported_tags: true,
    }
}

/// What one of the parser's errors says: place, code, sentence; for a misspelt key also the key
/// as written and as meant.
fn translate(error: &Error) -> (Span, Code, Mistake, Option<(&str, &'static str)>) {
    let error = original(error);
    let span = error.location().map(Span::from_location);
    let span = span.filter(|span| span.line > 0).unwrap_or(Span::START);
    let (code, mistake) = match error {
        Error::SerdeUnknownField {
            field, expected, ..
        } => {
            let close = suggest::closest(field, expected.iter().copied());
            let meant = close.and_then(|word| expected.iter().copied().find(|e| *e == word));
            let mistake = unknown("field", field, expected);
            let repair = meant.map(|meant| (field.as_str(), meant));
            return (span, Code::UNKNOWN_FIELD, mistake, repair);
        }
        Error::SerdeUnknownVariant {
            variant, expected, ..
        } => (Code::UNKNOWN_VARIANT, unknown("kind", variant, expected)),
        Error::SerdeMissingField { field, .. } => (
            Code::MISSING_FIELD,
            Mistake::new(format!("the field `{field}` is missing")).help(format!("add `{field}:`")),
        ),
        Error::DuplicateMappingKey { key, .. } => (
            Code::DUPLICATE_KEY,
            match key {
                Some(key) => Mistake::new(format!("the key `{key}` is given twice")),
                None => Mistake::new("a key is given twice"),
            }
            .help("keep one of the two"),
        ),
        _ => other(error),
    };
    (span, code, mistake, None)
}

/// Errors of shape and of syntax, in our words where ours are clearer.
fn other(error: &Error) -> (Code, Mistake) {
    match error {
        Error::Unexpected { expected, .. } => (
            Code::WRONG_SHAPE,
            Mistake::new(format!("expected {}", plain(expected))),
        ),
        Error::SerdeInvalidType {
            unexpected,
            expected,
            ..
        } => (
            Code::WRONG_SHAPE,
            Mistake::new(format!("expected {}, found {unexpected}", plain(expected))),
        ),
        Error::NullIntoString { .. } => (
            Code::WRONG_SHAPE,
            Mistake::new("the value is missing: nothing or null stands here"),
        ),
        Error::MultipleDocuments { .. } => (
            Code::SYNTAX,
            Mistake::new("a file holds one YAML document").help("split it at `---`"),
        ),
        Error::Budget { breach, .. } => (
            Code::TOO_LARGE,
            Mistake::new(format!("the file exceeds a bound: {breach:?}")),
        ),
        Error::UnknownAnchor { .. } => (
            Code::SYNTAX,
            Mistake::new("this alias names an anchor that does not exist above it"),
        ),
        other => {
            let text = other.render_with_formatter(&serde_saphyr::UserMessageFormatter);
            let text = strip_location(&text);
            if text.contains("recursion limit") {
                let depth = format!("lists and maps nest deeper than {MAX_DEPTH} levels");
                return (Code::TOO_LARGE, Mistake::new(depth));
            }
            (Code::SYNTAX, Mistake::new(text))
        }
    }
}

/// The parser's names of shapes, in words of YAML.
fn plain(expected: &str) -> String {
    match expected {
        "string scalar" => "a single value".to_owned(),
        "sequence start" => "a list".to_owned(),
        "mapping start" => "a map of keys and values".to_owned(),
        other if other.starts_with("struct ") => "a map of keys and values".to_owned(),
        other => other.to_owned(),
    }
}

fn strip_location(message: &str) -> String {
    message
        .split(" at line ")
        .next()
        .unwrap_or(message)
        .to_owned()
}

fn unknown(what: &str, word: &str, expected: &[&str]) -> Mistake {
    let mistake = Mistake::new(format!("unknown {what} `{word}`"));
    match suggest::closest(word, expected.iter().copied()) {
        Some(found) => mistake.help(format!("did you mean `{found}`?")),
        None if expected.is_empty() => mistake.help("nothing may stand here"),
        None => mistake.help(format!("one of: {}", expected.join(", "))),
    }
}

/// Without the wrappers that aliases and snippets put around errors.
fn original(error: &Error) -> &Error {
    match error {
        Error::AliasError { error, .. } | Error::WithSnippet { error, .. } => original(error),
        error => error,
    }
}
