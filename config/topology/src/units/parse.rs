//! Splitting `"0.09 USD/GiB"` into a number and a unit, and saying what is wrong otherwise.

use crate::door::suggest;

/// A unit's spelling and how many base units one of it is.
pub(super) type Scale = (&'static str, f64);

/// Why a text is not a quantity.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum UnitError {
    /// The text does not begin with a number.
    #[error("`{text}` is not a number; expected {expected}")]
    NotANumber {
        /// The text as written.
        text: String,
        /// What would be right, with an example.
        expected: &'static str,
    },
    /// A number without its unit.
    #[error("`{text}` has no unit")]
    Missing {
        /// The text as written.
        text: String,
        /// What would be right, with an example.
        expected: &'static str,
    },
    /// A unit that this quantity does not have.
    #[error("`{unit}` is not a unit here; expected {expected}")]
    Unknown {
        /// The unit as written.
        unit: String,
        /// The closest known unit, if one is close.
        suggestion: Option<String>,
        /// What would be right, with an example.
        expected: &'static str,
    },
    /// A quantity beyond its bounds.
    #[error("`{text}` is out of range: {low} to {high}")]
    Range {
        /// The text as written.
        text: String,
        /// The smallest value.
        low: String,
        /// The largest value.
        high: String,
    },
    /// A quantity that would round to nothing.
    #[error("`{text}` is below the resolution of this setting")]
    TooFine {
        /// The text as written.
        text: String,
    },
}

impl UnitError {
    /// A unit nobody knows here, with the closest one that is known.
    pub(super) fn unknown(
        text: &str,
        unit: &str,
        known: &[&'static str],
        expected: &'static str,
    ) -> Self {
        let number = text.trim().strip_suffix(unit).unwrap_or("").trim_end();
        Self::Unknown {
            unit: unit.to_owned(),
            suggestion: suggest::unit(unit, known).map(|found| spell(number, found)),
            expected,
        }
    }

    /// What to write instead, when that is known.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        match self {
            Self::Unknown {
                suggestion: Some(unit),
                ..
            } => Some(format!("did you mean `{unit}`?")),
            Self::Missing { expected, .. } => Some(format!("write {expected}")),
            _ => None,
        }
    }
}

/// Long units stand apart from their number (`0.09 USD/GiB`), short ones do not (`250ms`).
fn spell(number: &str, unit: &str) -> String {
    if unit.contains('/') || unit.ends_with("rps") {
        format!("{number} {unit}")
    } else {
        format!("{number}{unit}")
    }
}

/// The number at the start of a text, and the trimmed rest.
pub(super) fn split_number<'t>(
    text: &'t str,
    expected: &'static str,
) -> Result<(f64, &'t str), UnitError> {
    let text = text.trim();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-' | '+')))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let value: f64 = number.parse().map_err(|_| UnitError::NotANumber {
        text: text.to_owned(),
        expected,
    })?;
    Ok((value, unit.trim_start()))
}

/// A quantity in its base unit.
pub(super) fn scaled(
    text: &str,
    scales: &[Scale],
    expected: &'static str,
) -> Result<f64, UnitError> {
    let (number, unit) = split_number(text, expected)?;
    if unit.is_empty() {
        return Err(UnitError::Missing {
            text: text.trim().to_owned(),
            expected,
        });
    }
    let Some((_, factor)) = scales.iter().find(|(name, _)| *name == unit) else {
        let known: Vec<&'static str> = scales.iter().map(|(name, _)| *name).collect();
        return Err(UnitError::unknown(text, unit, &known, expected));
    };
    if number < 0.0 {
        return Err(UnitError::Range {
            text: text.trim().to_owned(),
            low: "0".to_owned(),
            high: "any positive number".to_owned(),
        });
    }
    Ok(number * factor)
}

/// Refuses what is negative, infinite or not a number.
pub(super) fn finite(value: f64) -> Result<f64, UnitError> {
    if value.is_finite() && value >= 0.0 {
        Ok(value)
    } else {
        Err(UnitError::Range {
            text: value.to_string(),
            low: "0".to_owned(),
            high: "any positive number".to_owned(),
        })
    }
}
