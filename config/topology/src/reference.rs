//! The reference as Markdown: one table of keys for each part of a schema.

use std::collections::VecDeque;
use std::fmt::Write;

use crate::init::topology_yaml;
use crate::schema::{Presence, Property, Shape, topology_schema};

/// An example file of the reference: a heading, and the YAML.
#[derive(Debug, Clone, Copy)]
pub struct Example<'e> {
    /// What it shows.
    pub title: &'e str,
    /// The file.
    pub yaml: &'e str,
}

/// `docs/reference/topology.md`, with the examples given (the room reads no files).
#[must_use]
pub fn topology_reference(examples: &[Example<'_>]) -> String {
    let commented = topology_yaml();
    let mut all = vec![Example {
        title: "A commented start",
        yaml: &commented,
    }];
    all.extend_from_slice(examples);
    markdown(
        &topology_schema(),
        "`topology.yaml`, or several files in `topology/` that are read as one. Quantities carry \
         their unit: `\"250ms\"`, `\"10Gbps\"`, `\"0.09 USD/GiB\"`, `\"2000 rps\"`, `\"5%\"`. Ids are \
         1 to 63 lower-case letters, digits, `-`, `_` and `.`. Unknown keys are errors; \
         `meridian check` says where and what was probably meant.",
        &all,
    )
}

/// The reference of any schema.
#[must_use]
pub fn markdown(schema: &schemars::Schema, intro: &str, examples: &[Example<'_>]) -> String {
    let root = Shape::root(schema);
    let mut out = format!(
        "# {}\n\n<!-- Generated from the schema by a test: UPDATE_EXPECT=1 renews it. -->\n\n\
         {intro}\n",
        root.title()
    );
    let mut queue: VecDeque<&str> = VecDeque::new();
    let mut seen: Vec<&str> = Vec::new();
    section(&mut out, "Top level", root, &mut queue);
    while let Some(name) = queue.pop_front() {
        if seen.contains(&name) {
            continue;
        }
        seen.push(name);
        if let Some(shape) = root.definition(name) {
            section(&mut out, name, shape, &mut queue);
        }
    }
    for example in examples {
        let Example { title, yaml } = example;
        push(
            &mut out,
            format_args!("\n## Example: {title}\n\n```yaml\n{yaml}```\n"),
        );
    }
    out
}

/// One part: its description and the table of its keys. Parts that it names are queued.
fn section<'s>(out: &mut String, name: &str, shape: Shape<'s>, queue: &mut VecDeque<&'s str>) {
    let description = one_line(shape.description());
    push(out, format_args!("\n## {name}\n\n{description}\n"));
    let properties = shape.properties();
    let variants = shape.variants();
    if properties.is_empty() && variants.is_empty() {
        push(out, format_args!("\nNo keys: write `{{}}`.\n"));
        return;
    }
    if properties.is_empty() {
        push(out, format_args!("\nExactly one of these keys.\n"));
    }
    push(out, format_args!("\n| key | value | |\n|---|---|---|\n"));
    for property in properties.iter().chain(&variants) {
        let kind = kind(property, queue);
        let required = match property.presence {
            Presence::Required if !properties.is_empty() => "**Required.** ",
            _ => "",
        };
        push(
            out,
            format_args!(
                "| `{}` | {kind} | {required}{} |\n",
                property.name,
                cell(property.description)
            ),
        );
    }
}

/// What a key holds, in words.
fn kind<'s>(property: &Property<'s>, queue: &mut VecDeque<&'s str>) -> String {
    if let Some(name) = property.definition {
        queue.push_back(name);
        return link(name);
    }
    if let Some((items, definition)) = property.shape.items() {
        if let Some(name) = definition {
            queue.push_back(name);
            return format!("list of {}", link(name));
        }
        return format!("list of {}", scalar(items));
    }
    scalar(property.shape)
}

fn scalar(shape: Shape<'_>) -> String {
    let words = shape.words();
    if !words.is_empty() {
        let words: Vec<String> = words
            .iter()
            .map(|(word, description)| {
                format!("`{word}` ({})", cell(description).trim_end_matches('.'))
            })
            .collect();
        return words.join(", ");
    }
    let name = match shape.type_name() {
        "boolean" => return "`true` or `false`".to_owned(),
        "integer" => "whole number",
        "number" => "number",
        "string" => "text",
        _ => "value",
    };
    let example = match shape.example() {
        Some(serde_json::Value::String(text)) => format!(", `{text}`"),
        Some(other) => format!(", `{other}`"),
        None => String::new(),
    };
    let bounds = match shape.bounds() {
        Some((low, high)) => format!(" {low} to {high}"),
        None => String::new(),
    };
    format!("{name}{bounds}{example}")
}

fn link(name: &str) -> String {
    format!("[{name}](#{})", name.to_lowercase())
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text that may stand in a table.
fn cell(text: &str) -> String {
    one_line(text).replace('|', "\\|")
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text)
        .expect("writing to a String cannot fail");
}
