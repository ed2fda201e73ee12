//! `docs/reference/policy.md`, made from the schema so that it cannot say anything else.

use std::fmt::Write as _;

/// The part of the page that is not in the schema: how the stages work together.
const INTRODUCTION: &str = include_str!("reference/introduction.md");

/// The page, from the JSON Schema of policies ([`super::policy_schema`]).
#[must_use]
pub fn markdown(schema: &serde_json::Value) -> String {
    let mut page = String::from(INTRODUCTION);
    page.push_str("\n## Keys of a policy\n\n");
    object(&mut page, schema);
    let Some(definitions) = schema.get("$defs").and_then(|defs| defs.as_object()) else {
        return page;
    };
    for (name, definition) in definitions {
        let _ = write!(page, "\n## {name}\n\n");
        object(&mut page, definition);
    }
    page
}

/// A description and a table of an object's keys, or of the variants of a choice.
fn object(page: &mut String, schema: &serde_json::Value) {
    if let Some(text) = schema.get("description").and_then(|text| text.as_str()) {
        let _ = write!(page, "{text}\n\n");
    }
    page.push_str("| key | value | what it does |\n|---|---|---|\n");
    if let Some(variants) = schema.get("oneOf").and_then(|variants| variants.as_array()) {
        for variant in variants {
            // The key's own description is that of the variant.
            rows(
                page,
                variant,
                variant.get("description").and_then(|text| text.as_str()),
            );
        }
    }
    rows(page, schema, None);
}

fn rows(page: &mut String, schema: &serde_json::Value, description: Option<&str>) {
    let Some(properties) = schema.get("properties").and_then(|map| map.as_object()) else {
        return;
    };
    let required = |key: &str| {
        let list = schema.get("required").and_then(|list| list.as_array());
        list.is_some_and(|list| list.iter().any(|name| name == key))
    };
    for (key, value) in properties {
        let text = value.get("description").and_then(|text| text.as_str());
        let text = description.or(text).unwrap_or_default().replace('\n', " ");
        let mark = if required(key) && description.is_none() {
            " (required)"
        } else {
            ""
        };
        let _ = writeln!(page, "| `{key}`{mark} | {} | {text} |", kind(value));
    }
}

/// What may stand there, in a few words.
fn kind(schema: &serde_json::Value) -> String {
    if let Some(name) = schema.get("$ref").and_then(|path| path.as_str()) {
        let name = name.rsplit('/').next().unwrap_or(name);
        return format!("[{name}](#{})", name.to_lowercase());
    }
    if let Some(items) = schema.get("items") {
        return format!("list of {}", kind(items));
    }
    for choice in ["anyOf", "oneOf"] {
        let Some(list) = schema.get(choice).and_then(|list| list.as_array()) else {
            continue;
        };
        let kinds: Vec<String> = list
            .iter()
            .filter(|one| one.get("type").and_then(|kind| kind.as_str()) != Some("null"))
            .map(
                |one| match one.get("const").and_then(|word| word.as_str()) {
                    Some(word) => format!("`{word}`"),
                    None => kind(one),
                },
            )
            .collect();
        return kinds.join(" or ");
    }
    let example = schema.get("examples").and_then(|list| list.get(0));
    let bounds = match (schema.get("minimum"), schema.get("maximum")) {
        (Some(low), Some(high)) => format!(", {low} to {high}"),
        _ => String::new(),
    };
    let name = match schema.get("type") {
        Some(serde_json::Value::String(name)) => name.clone(),
        Some(serde_json::Value::Array(names)) => {
            let names = names
                .iter()
                .filter_map(|name| name.as_str())
                .filter(|name| *name != "null");
            names.collect::<Vec<_>>().join(" or ")
        }
        _ => "value".to_owned(),
    };
    match example {
        Some(example) => format!("{name}{bounds}, such as `{example}`"),
        None => format!("{name}{bounds}"),
    }
}
