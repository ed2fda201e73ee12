//! Commented YAML: a small deployment that works, in which every key that exists is explained.
//!
//! The comments are the descriptions of the schema, which are the doc comments of the raw types.
//! Keys that the sample does not set are there too, commented out, with an example.

use serde_json::{Value, json};

use crate::schema::{Property, Shape, topology_schema};

/// Where comments are wrapped, in characters.
const WIDTH: usize = 96;

/// The schema's file beside a `topology.yaml` that [`topology_yaml`] made:
/// [`crate::schema::topology_schema`] as text.
pub const TOPOLOGY_SCHEMA_FILE: &str = "topology.schema.json";

/// A commented `topology.yaml` of one region, for `meridian init`.
#[must_use]
pub fn topology_yaml() -> String {
    let schema = topology_schema();
    let header = format!(
        "# yaml-language-server: $schema={TOPOLOGY_SCHEMA_FILE}\n\
         # What exists: regions with their endpoints, services, DNS zones. `meridian check`\n\
         # reads it and says what is wrong; the reference is docs/reference/topology.md.\n"
    );
    commented_yaml(&schema, &sample(), &header)
}

/// The smallest deployment that is useful.
fn sample() -> Value {
    json!({
        "regions": [{
            "id": "home",
            "location": {
                "country": "DE", "latitude": 52.52, "longitude": 13.40, "provider": "own"
            },
            "zones": ["rack-1"],
            "compliance": ["gdpr"],
            "cost": { "egress": "0.05 USD/GiB" },
            "endpoints": [
                {
                    "id": "web-1", "address": "192.0.2.11", "port": 8080, "services": ["web"],
                    "zone": "rack-1", "weight": 100
                },
                { "id": "web-2", "address": "192.0.2.12", "port": 8080, "services": ["web"] }
            ]
        }],
        "services": [{
            "id": "web",
            "policy": "web",
            "dns": { "names": ["www.example.com"], "ttl": "30s" },
            "http": [{ "hosts": ["www.example.com"], "path_prefix": "/" }],
            "health_checks": [{
                "http": { "path": "/healthz" }, "interval": "1s", "timeout": "500ms"
            }]
        }],
        "dns_zones": [{
            "origin": "example.com",
            "soa": { "mname": "ns1.example.com", "rname": "hostmaster.example.com" },
            "ns": ["ns1.example.com"],
            "records": [{ "name": "ns1", "type": "A", "data": "192.0.2.11" }]
        }]
    })
}

/// A sample as YAML, every key with the description that the schema has for it.
#[must_use]
pub fn commented_yaml(schema: &schemars::Schema, sample: &Value, header: &str) -> String {
    let mut writer = Writer {
        out: header.to_owned(),
    };
    writer.map(Shape::root(schema), sample, 0, Comments::Full);
    writer.out
}

/// Whether a map's keys are explained. Later items of a list repeat no comments.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comments {
    Full,
    None,
}

struct Writer {
    out: String,
}

impl Writer {
    fn map(&mut self, shape: Shape<'_>, sample: &Value, indent: usize, comments: Comments) {
        let mut properties = shape.properties();
        if properties.is_empty() {
            properties = shape.variants();
        }
        for property in properties {
            let value = sample.get(property.name);
            if comments == Comments::Full {
                if indent == 0 {
                    self.out.push('\n');
                }
                self.comment(property.description, indent);
            }
            match value {
                Some(value) => self.entry(&property, value, indent, comments),
                None if comments == Comments::Full => {
                    let default = stated_default(property.description);
                    let example = default.unwrap_or_else(|| example(property.shape));
                    self.line(indent, &format!("# {}: {example}", property.name));
                }
                None => {}
            }
        }
    }

    fn entry(&mut self, property: &Property<'_>, value: &Value, indent: usize, comments: Comments) {
        let name = property.name;
        match value {
            Value::Object(map) if map.is_empty() => self.line(indent, &format!("{name}: {{}}")),
            Value::Object(_) => {
                self.line(indent, &format!("{name}:"));
                self.map(property.shape, value, indent + 2, comments);
            }
            Value::Array(items) if items.iter().any(Value::is_object) => {
                self.line(indent, &format!("{name}:"));
                let shape = property.shape.items().map(|(shape, _)| shape);
                for (at, item) in items.iter().enumerate() {
                    let comments = if at == 0 { comments } else { Comments::None };
                    if let Some(shape) = shape {
                        self.item(shape, item, indent + 2, comments);
                    }
                }
            }
            scalar => self.line(indent, &format!("{name}: {}", flow(scalar))),
        }
    }

    /// An item of a list: a map whose first key carries the dash.
    fn item(&mut self, shape: Shape<'_>, item: &Value, indent: usize, comments: Comments) {
        let start = self.out.len();
        self.map(shape, item, indent + 2, comments);
        let written = self.out.split_off(start);
        let mut dash = false;
        for line in written.split_inclusive('\n') {
            let is_comment = line.trim_start().starts_with('#');
            if !dash && !is_comment {
                // The first key: its indent gives way to the dash.
                self.out.push_str(&" ".repeat(indent));
                self.out.push_str("- ");
                self.out.push_str(line.trim_start());
                dash = true;
            } else if !dash {
                self.out.push_str(line.strip_prefix("  ").unwrap_or(line));
            } else {
                self.out.push_str(line);
            }
        }
    }

    fn comment(&mut self, text: &str, indent: usize) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && indent + line.len() + word.len() + 3 > WIDTH {
                self.line(indent, &format!("# {line}"));
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        if !line.is_empty() {
            self.line(indent, &format!("# {line}"));
        }
    }

    fn line(&mut self, indent: usize, text: &str) {
        self.out.push_str(&" ".repeat(indent));
        self.out.push_str(text);
        self.out.push('\n');
    }
}

/// A value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::String(text) if is_plain(text) => text.clone(),
        Value::String(text) => format!("{text:?}"),
        other => other.to_string(),
    }
}

/// Whether a text needs no quotes as a YAML scalar, in flow context too.
fn is_plain(text: &str) -> bool {
    let starts_well = text
        .chars()
        .next()
        .is_some_and(|c| c.is_ascii_alphanumeric() || c == '/');
    starts_well
        && !text.contains(' ')
        && text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
}

/// The default that a description states: "Default 30s.", "Default `append`.". Words such as
/// "Default: the endpoint's address" are none.
fn stated_default(description: &str) -> Option<String> {
    let (_, rest) = description.split_once("Default ")?;
    if let Some(quoted) = rest.strip_prefix('`') {
        return quoted.split_once('`').map(|(value, _)| value.to_owned());
    }
    let value = rest.split([',', ' ']).next()?.trim_end_matches('.');
    let quantity = value.starts_with(|c: char| c.is_ascii_digit());
    quantity.then(|| flow(&Value::String(value.to_owned())))
}

/// What a key that nobody set could say.
fn example(shape: Shape<'_>) -> String {
    if let Some(example) = shape.example() {
        return flow(example);
    }
    if let Some((word, _)) = shape.words().first() {
        return (*word).to_owned();
    }
    if let Some((items, _)) = shape.items() {
        return if items.properties().is_empty() && items.variants().is_empty() {
            format!("[{}]", example(items))
        } else {
            "[]".to_owned()
        };
    }
    match shape.type_name() {
        "boolean" => "false".to_owned(),
        "integer" => "1".to_owned(),
        "number" => "0.0".to_owned(),
        "object" => "{}".to_owned(),
        _ => "...".to_owned(),
    }
}

#[cfg(test)]
mod tests;
