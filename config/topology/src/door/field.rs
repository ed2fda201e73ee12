//! Values that remember where they stood.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use super::problem::{Code, Problems};
use super::scalar::{Mistake, Scalar};
use super::source::{Source, Span};

/// Any YAML value together with its place. For an alias the place is the anchored value, because
/// that is the text to correct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Spanned<T> {
    /// A value at a place.
    pub const fn new(value: T, span: Span) -> Self {
        Self { value, span }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Spanned<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let inner = serde_saphyr::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            value: inner.value,
            span: Span::from_location(inner.defined),
        })
    }
}

impl<T: JsonSchema> JsonSchema for Spanned<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// A scalar that was read, or the mistake in it. Parsing never fails on a scalar's content, so
/// that validation can report every bad one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field<T> {
    value: Result<T, Mistake>,
    /// Where it stands.
    pub span: Span,
}

impl<T> Field<T> {
    /// A value that nobody wrote, at the place of what implied it.
    pub const fn implied(value: T, span: Span) -> Self {
        Self {
            value: Ok(value),
            span,
        }
    }

    /// The value, if it could be read.
    pub const fn get(&self) -> Option<&T> {
        match &self.value {
            Ok(value) => Some(value),
            Err(_) => None,
        }
    }

    /// The value, or `None` after reporting the mistake.
    pub fn check(&self, source: &Source, problems: &mut Problems) -> Option<&T> {
        match &self.value {
            Ok(value) => Some(value),
            Err(mistake) => {
                problems.report(source, self.span, Code::INVALID_VALUE, mistake.clone());
                None
            }
        }
    }
}

impl<'de, T: Scalar> Deserialize<'de> for Field<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = serde_saphyr::Spanned::<String>::deserialize(deserializer)?;
        Ok(Self {
            value: T::read(&text.value),
            span: Span::from_location(text.defined),
        })
    }
}

impl<T: Scalar> JsonSchema for Field<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Cow::Borrowed("scalar")
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        T::schema()
    }
}
