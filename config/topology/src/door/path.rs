//! From a place in a text to the path of the value there: `regions[2].location.latitude`.
//!
//! Problems carry byte offsets; people think in paths. The path is found by walking the parser's
//! events once, only when a problem is reported, so that the happy path keeps no paths at all.

use serde_saphyr::granit_parser::{Event, Parser};

use super::source::Span;

enum Level {
    /// A map: the key of the value being read, or `None` while a key is due.
    Map(Option<String>),
    /// A list: how many items were begun.
    List(usize),
}

/// The place of the map that has a key at the span's offset: its first byte. Places that are no
/// key's stay as they are.
pub(super) fn enclosing_map(text: &str, span: Span) -> Span {
    let mut maps: Vec<Option<(usize, bool)>> = Vec::new();
    for item in Parser::new_from_str(text) {
        let Ok((event, place)) = item else { break };
        let start = place.start.byte_offset().unwrap_or(0);
        // `Some((start, key is due))` for a map, `None` for a list.
        let value_done = |maps: &mut Vec<Option<(usize, bool)>>| {
            if let Some(Some((_, due))) = maps.last_mut() {
                *due = !*due;
            }
        };
        match event {
            Event::Scalar(..) | Event::Alias(..) => {
                if let (true, Some(Some((map, true)))) = (start == span.offset, maps.last()) {
                    return Span::of(text, *map, 0);
                }
                value_done(&mut maps);
            }
            Event::MappingStart(..) => maps.push(Some((start, true))),
            Event::SequenceStart(..) => maps.push(None),
            Event::MappingEnd | Event::SequenceEnd => {
                maps.pop();
                value_done(&mut maps);
            }
            _ => {}
        }
    }
    span
}

/// Which path of a place is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    /// That of the innermost value or key there.
    Value,
    /// That of the map or list around it.
    Container,
}

/// The path of what begins at the span's offset; else of what was being read there. Empty when
/// the text cannot be walked that far.
pub(super) fn path_at(text: &str, span: Span, depth: Depth) -> String {
    if span.line == 0 {
        return String::new();
    }
    let mut levels: Vec<Level> = Vec::new();
    let mut found = String::new();
    for item in Parser::new_from_str(text) {
        let Ok((event, place)) = item else { break };
        let start = place.start.byte_offset().unwrap_or(0);
        let opens = matches!(event, Event::MappingStart(..) | Event::SequenceStart(..));
        let scalar = matches!(event, Event::Scalar(..) | Event::Alias(..));
        if (opens || scalar) && start > span.offset {
            break;
        }
        match event {
            Event::Scalar(value, ..) => step(&mut levels, Some(&value), &mut found),
            Event::Alias(..) => step(&mut levels, None, &mut found),
            Event::MappingStart(..) => {
                begin(&mut levels, &mut found);
                levels.push(Level::Map(None));
            }
            Event::SequenceStart(..) => {
                begin(&mut levels, &mut found);
                levels.push(Level::List(0));
            }
            Event::MappingEnd | Event::SequenceEnd => {
                levels.pop();
                finish_value(&mut levels);
            }
            _ => {}
        }
        if depth == Depth::Container && start == span.offset && (opens || scalar) {
            return container(&mut levels);
        }
    }
    found
}

/// The path of the innermost open map or list.
fn container(levels: &mut [Level]) -> String {
    match levels.last_mut() {
        Some(Level::Map(key)) => *key = None,
        Some(Level::List(begun)) => *begun = 0,
        None => {}
    }
    let path = render(levels);
    match levels.last() {
        Some(Level::List(_)) => path.strip_suffix("[0]").unwrap_or(&path).to_owned(),
        _ => path,
    }
}

/// A scalar: a key if one is due, else a value.
fn step(levels: &mut [Level], key: Option<&str>, found: &mut String) {
    if let Some(Level::Map(due @ None)) = levels.last_mut() {
        *due = Some(key.unwrap_or("*").to_owned());
        *found = render(levels);
        return;
    }
    begin(levels, found);
    finish_value(levels);
}

/// A value begins: count it in its list and remember where we are.
fn begin(levels: &mut [Level], found: &mut String) {
    if let Some(Level::List(begun)) = levels.last_mut() {
        *begun += 1;
    }
    *found = render(levels);
}

fn finish_value(levels: &mut [Level]) {
    if let Some(Level::Map(key)) = levels.last_mut() {
        *key = None;
    }
}

fn render(levels: &[Level]) -> String {
    let mut path = String::new();
    for level in levels {
        match level {
            Level::Map(Some(key)) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(key);
            }
            Level::Map(None) => {}
            Level::List(begun) => {
                path.push('[');
                path.push_str(&begun.saturating_sub(1).to_string());
                path.push(']');
            }
        }
    }
    path
}
