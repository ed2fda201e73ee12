//! JSON Schemas of what people write, for editors, for the reference and for `meridian init`.
//!
//! The schema is made of the raw types: their doc comments are its descriptions. A copy is
//! checked in (`config/schemas/`) and compared by a test, so that a change of the format shows in
//! review. `Shape` is the reader that [`crate::init`] and [`crate::reference`] walk it with.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::raw::{RawMultiRegion, RawTopology};

/// The schema of `topology.yaml`.
#[must_use]
pub fn topology_schema() -> Schema {
    of::<RawTopology>()
}

/// The schema of the `multi_region_config` block alone.
#[must_use]
pub fn multi_region_schema() -> Schema {
    of::<RawMultiRegion>()
}

/// The schema of any raw type.
#[must_use]
pub fn of<T: JsonSchema>() -> Schema {
    SchemaGenerator::default().into_root_schema_for::<T>()
}

/// A schema as it is checked in: indented, ending in a newline.
#[must_use]
pub fn text(schema: &Schema) -> String {
    let mut text = serde_json::to_string_pretty(schema.as_value())
        .expect("a JSON value with text keys can always be written");
    text.push('\n');
    text
}

/// A part of a schema, references and `null` alternatives resolved.
#[derive(Clone, Copy)]
pub(crate) struct Shape<'s> {
    root: &'s Value,
    at: &'s Value,
}

/// The most references in a row; schemars makes one at a time.
const MAX_HOPS: usize = 8;

impl<'s> Shape<'s> {
    pub(crate) fn root(schema: &'s Schema) -> Self {
        let root = schema.as_value();
        Self { root, at: root }
    }

    fn at(self, at: &'s Value) -> Self {
        Self { at, ..self }.resolved()
    }

    /// Behind `$ref` and `anyOf: [T, null]`.
    fn resolved(mut self) -> Self {
        for _ in 0..MAX_HOPS {
            let optional = self
                .at
                .get("anyOf")
                .and_then(Value::as_array)
                .filter(|any| any.iter().any(is_null))
                .and_then(|any| any.iter().find(|one| !is_null(one)));
            let referred = self
                .reference()
                .and_then(|name| self.root.get("$defs")?.get(name));
            match optional.or(referred) {
                Some(next) => self.at = next,
                None => break,
            }
        }
        self
    }

    fn reference(self) -> Option<&'s str> {
        self.at.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
    }

    /// The name of the definition that a property's schema refers to.
    fn definition_of(value: &'s Value) -> Option<&'s str> {
        let direct = value.get("$ref").and_then(Value::as_str);
        let optional = value
            .get("anyOf")
            .and_then(Value::as_array)
            .and_then(|any| any.iter().find_map(|one| one.get("$ref")?.as_str()));
        direct.or(optional)?.strip_prefix("#/$defs/")
    }

    pub(crate) fn description(self) -> &'s str {
        self.at
            .get("description")
            .and_then(Value::as_str)
            .unwrap_or("")
    }

    pub(crate) fn title(self) -> &'s str {
        self.at.get("title").and_then(Value::as_str).unwrap_or("")
    }

    /// The keys of a map, in the order of their declaration.
    pub(crate) fn properties(self) -> Vec<Property<'s>> {
        let required: Vec<&str> = self
            .at
            .get("required")
            .and_then(Value::as_array)
            .map(|names| names.iter().filter_map(Value::as_str).collect())
            .unwrap_or_default();
        let Some(properties) = self.at.get("properties").and_then(Value::as_object) else {
            return Vec::new();
        };
        properties
            .iter()
            .map(|(name, value)| {
                let shape = self.at(value);
                let own = value.get("description").and_then(Value::as_str);
                Property {
                    name,
                    shape,
                    definition: Self::definition_of(value),
                    description: own.unwrap_or_else(|| shape.description()),
                    presence: if required.contains(&name.as_str()) {
                        Presence::Required
                    } else {
                        Presence::Optional
                    },
                }
            })
            .collect()
    }

    /// The alternatives of an externally tagged enum: key, description, what the key holds.
    pub(crate) fn variants(self) -> Vec<Property<'s>> {
        let alternatives = self.at.get("oneOf").and_then(Value::as_array);
        let alternatives = alternatives.map(Vec::as_slice).unwrap_or_default();
        alternatives
            .iter()
            .flat_map(|value| {
                let described = value.get("description").and_then(Value::as_str);
                self.at(value)
                    .properties()
                    .into_iter()
                    .map(move |property| Property {
                        description: described.unwrap_or(property.description),
                        ..property
                    })
            })
            .collect()
    }

    /// What a list holds, and the definition that names it.
    pub(crate) fn items(self) -> Option<(Self, Option<&'s str>)> {
        let items = self.at.get("items")?;
        Some((self.at(items), Self::definition_of(items)))
    }

    /// The words of a closed list with their descriptions.
    pub(crate) fn words(self) -> Vec<(&'s str, &'s str)> {
        let Some(alternatives) = self.at.get("oneOf").and_then(Value::as_array) else {
            return Vec::new();
        };
        alternatives
            .iter()
            .filter_map(|value| {
                let word = value.get("const")?.as_str()?;
                let description = value.get("description").and_then(Value::as_str);
                Some((word, description.unwrap_or("")))
            })
            .collect()
    }

    /// The first example, else a bound or a plain value of the type.
    pub(crate) fn example(self) -> Option<&'s Value> {
        self.at
            .get("examples")
            .and_then(Value::as_array)
            .and_then(|all| all.first())
    }

    /// A JSON type: `string`, `integer`, `boolean`, `object`.
    pub(crate) fn type_name(self) -> &'s str {
        match self.at.get("type") {
            Some(Value::String(name)) => name,
            Some(Value::Array(names)) => names
                .iter()
                .filter_map(Value::as_str)
                .find(|name| *name != "null")
                .unwrap_or(""),
            _ => "",
        }
    }

    /// Smallest and largest value.
    pub(crate) fn bounds(self) -> Option<(&'s Value, &'s Value)> {
        Some((self.at.get("minimum")?, self.at.get("maximum")?))
    }

    /// All definitions, by name.
    pub(crate) fn definitions(self) -> Option<&'s Map<String, Value>> {
        self.root.get("$defs")?.as_object()
    }

    /// One definition.
    pub(crate) fn definition(self, name: &str) -> Option<Self> {
        Some(self.at(self.definitions()?.get(name)?))
    }
}

fn is_null(value: &Value) -> bool {
    value.get("type").and_then(Value::as_str) == Some("null")
}

/// Whether a key must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// A key of a map.
#[derive(Clone, Copy)]
pub(crate) struct Property<'s> {
    pub(crate) name: &'s str,
    pub(crate) shape: Shape<'s>,
    pub(crate) definition: Option<&'s str>,
    pub(crate) description: &'s str,
    pub(crate) presence: Presence,
}
