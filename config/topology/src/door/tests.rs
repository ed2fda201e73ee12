#![allow(clippy::unwrap_used, reason = "tests")]

use expect_test::{Expect, expect};
use proptest::prelude::*;
use serde::Deserialize;

use super::*;
use crate::ids::RegionId;
use crate::place::Place;
use crate::units::Millis;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Doc {
    #[allow(dead_code, reason = "only its reading matters")]
    name: Option<Field<RegionId>>,
    wait: Option<Field<Millis>>,
    places: Option<Vec<Field<Place>>>,
    nested: Option<Vec<Inner>>,
    kind: Option<Kind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Inner {
    wait: Field<Millis>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Near(Inner),
    Far(Spanned<Inner>),
}

fn check(text: &str, expected: &Expect) {
    let problems = parse::<Doc>("f.yaml", text).unwrap_err();
    let shown: Vec<String> = problems.list().iter().map(ToString::to_string).collect();
    expected.assert_eq(&shown.join("\n"));
}

#[test]
fn the_country_norway_is_no_boolean() {
    let doc = parse::<Doc>("f.yaml", "places: [NO, 'NO', SE]").unwrap();
    let places: Vec<String> = doc
        .value
        .places
        .unwrap()
        .iter()
        .map(|field| field.get().unwrap().to_string())
        .collect();
    assert_eq!(places, ["NO", "NO", "SE"]);
}

/// What the rule against untagged and internally tagged enums is for.
#[test]
fn internally_tagged_enums_would_lose_spans_and_norway() {
    #[derive(Debug, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Near { wait: Spanned<String> },
    }
    #[derive(Debug, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        Flag(bool),
        #[allow(dead_code, reason = "never read: that is the point")]
        Place(String),
    }
    let Tagged::Near { wait } = parse("f.yaml", "kind: Near\nwait: 5s\n").unwrap().value;
    assert_eq!(wait.span.line, 0, "the span is lost");
    let value: Parsed<Vec<Untagged>> = parse("f.yaml", "[true, SE]").unwrap();
    assert!(matches!(
        value.value[..],
        [Untagged::Flag(true), Untagged::Place(_)]
    ));
}

#[test]
fn externally_tagged_enums_keep_spans() {
    let doc = parse::<Doc>("f.yaml", "kind:\n  near: { wait: 5s }\n").unwrap();
    let Some(Kind::Near(inner)) = doc.value.kind else {
        panic!("near was written");
    };
    assert_eq!((inner.wait.span.line, inner.wait.span.column), (2, 17));
    let doc = parse::<Doc>("f.yaml", "kind:\n  far: { wait: 5s }\n").unwrap();
    let Some(Kind::Far(inner)) = doc.value.kind else {
        panic!("far was written");
    };
    assert_eq!((inner.span.line, inner.span.column), (2, 8));
}

#[test]
fn fields_know_their_place() {
    let text = "nested:\n  - wait: 5s\nwait: \"fünf\"\n";
    let doc = parse::<Doc>("f.yaml", text).unwrap();
    assert_eq!(
        doc.value.nested.unwrap()[0].wait.get(),
        Some(&Millis(5_000))
    );
    let field = doc.value.wait.unwrap();
    assert_eq!((field.span.line, field.span.column), (3, 7));
    let mut problems = Problems::new();
    assert!(field.check(&doc.source, &mut problems).is_none());
    expect![[r#"f.yaml:3:7: `fünf` is not a number; expected a duration such as "250ms" or "5s" (at wait)"#]].assert_eq(&problems.list()[0].to_string());
}

#[test]
fn errors_of_shape() {
    check(
        "nme: a\n",
        &expect!["f.yaml:1:1: unknown field `nme` (at nme); did you mean `name`?"],
    );
    check(
        "nested:\n  - wait: 5s\n  - {}\n",
        &expect!["f.yaml:3:5: the field `wait` is missing (at nested[1]); add `wait:`"],
    );
    check(
        "nested:\n  - wait: [1]\n",
        &expect!["f.yaml:2:11: expected a single value (at nested[0].wait)"],
    );
    check(
        "wait: 5s\nwait: 6s\n",
        &expect!["f.yaml:2:1: the key `wait` is given twice (at wait); keep one of the two"],
    );
    check(
        "nested: 5\n",
        &expect!["f.yaml:1:9: expected a list (at nested)"],
    );
    check(
        "kind: { nearly: {} }\n",
        &expect!["f.yaml:1:9: unknown kind `nearly` (at kind.nearly); did you mean `near`?"],
    );
    check(
        "kind: { close: {} }\n",
        &expect!["f.yaml:1:9: unknown kind `close` (at kind.close); one of: near, far"],
    );
    check(
        "wait: *a\n",
        &expect!["f.yaml:1:7: this alias names an anchor that does not exist above it"],
    );
    check(
        "wait: {\n",
        &expect!["f.yaml:1:7: expected a single value (at wait)"],
    );
    check("", &expect!["f.yaml:1:1: the file holds no YAML document"]);
    check(
        "\u{feff}# nothing\n",
        &expect!["f.yaml:1:1: the file holds no YAML document"],
    );
}

#[test]
fn misspelt_keys_are_reported_together_and_in_place() {
    check(
        "nested: [{ wiat: 5s }, { waitt: 5s, x: 1 }]\nnmae: ä\nplaecs: [DE]\n",
        &expect![[r#"
            f.yaml:1:12: unknown field `wiat` (at nested[0].wiat); did you mean `wait`?
            f.yaml:1:26: unknown field `waitt` (at nested[1].waitt); did you mean `wait`?
            f.yaml:1:37: unknown field `x` (at nested[1].x); one of: wait"#]],
    );
    check(
        "\"nmae\": a\n'wiat': 5s\nfoo: 1\n",
        &expect![[r#"
        f.yaml:1:1: unknown field `nmae` (at nmae); did you mean `name`?
        f.yaml:2:1: unknown field `wiat` (at wiat); did you mean `wait`?
        f.yaml:3:1: unknown field `foo` (at foo); one of: name, wait, places, nested, kind"#]],
    );
}

#[test]
fn repairs_are_bounded() {
    let keys: String = (0..=MAX_REPAIRS).map(|_| "  - wiat: 5s\n").collect();
    let problems = parse::<Doc>("f.yaml", &format!("nested:\n{keys}")).unwrap_err();
    assert_eq!(problems.len(), MAX_REPAIRS + 1);
}

#[test]
fn the_report_shows_lines_and_counts_what_it_does_not_show() {
    let mut problems = parse::<Doc>("f.yaml", "name: ü\nnmae: \"ä\"\n").unwrap_err();
    expect![[r#"
        error[unknown-field]: unknown field `nmae`
         --> f.yaml:2:1 (nmae)
        2 | nmae: "ä"
          | ^^^^
        help: did you mean `name`?
    "#]]
    .assert_eq(&problems.to_string());
    let source = Source::new("g.yaml", "x\n");
    for _ in 0..MAX_PROBLEMS {
        problems.report(&source, Span::START, Code::CONFLICT, Mistake::new("again"));
    }
    assert_eq!(
        (problems.list().len(), problems.unlisted()),
        (MAX_PROBLEMS, 1)
    );
    assert!(problems.to_string().ends_with("and 1 more problems\n"));
}

#[test]
fn miette_gets_codes_labels_and_sources() {
    use miette::Diagnostic;
    let problems = parse::<Doc>("f.yaml", "nmae: a\n").unwrap_err();
    let related: Vec<_> = problems.related().unwrap().collect();
    assert_eq!(related.len(), 1);
    assert_eq!(related[0].code().unwrap().to_string(), "unknown-field");
    let label = related[0].labels().unwrap().next().unwrap();
    let source = related[0].source_code().unwrap();
    let contents = source.read_span(label.inner(), 0, 0).unwrap();
    assert_eq!(contents.name(), Some("f.yaml"));
    assert_eq!(contents.data(), b"nmae");
}

#[test]
fn large_files_are_refused_unread() {
    let text = "#".repeat(MAX_FILE_BYTES + 1);
    let problems = parse::<Doc>("f.yaml", &text).unwrap_err();
    assert_eq!(problems.list()[0].code, Code::TOO_LARGE);
}

proptest! {
    #[test]
    fn any_text_is_answered(text in "[a-z:{}\\[\\]\\-\n \"'&*!|>ä#,]{0,60}") {
        if let Err(problems) = parse::<Doc>("f.yaml", &text) {
            prop_assert!(!problems.is_empty());
            let _ = problems.to_string();
        }
    }
}
