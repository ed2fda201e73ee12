//! What must hold of an artifact before anything uses it: names, shapes, numbers.

use super::{
    Artifact, ArtifactError, Judged, Line, Metrics, Model, NAME_LEN_MAX, Ridge, VERSION_LEN_MAX,
};
use crate::features::feature_names;

impl Artifact {
    pub(super) fn validate(&self) -> Result<(), ArtifactError> {
        for (field, value, len_max) in [
            ("name", &self.name, NAME_LEN_MAX),
            ("version", &self.version, VERSION_LEN_MAX),
        ] {
            if !valid_label(value, len_max) {
                return Err(ArtifactError::BadLabel {
                    field,
                    value: value.clone(),
                });
            }
        }
        let Judged {
            every_region,
            fleets,
        } = &self.judged;
        for (of, versus) in [("every_region", every_region), ("fleets", fleets)] {
            versus.model.validate(of, "model")?;
            versus.geo.validate(of, "geo")?;
        }
        self.distance.validate("distance")?;
        match &self.model {
            Model::Haversine(line) => line.validate("model"),
            Model::Ridge(ridge) => ridge.validate(),
        }
    }
}

/// Whether `label` may name a model or a version: it becomes part of a file name, so neither
/// separators nor a leading dot are allowed.
pub fn valid_label(label: &str, len_max: usize) -> bool {
    label.len() <= len_max
        && label.starts_with(|c: char| c.is_ascii_alphanumeric())
        && label
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
}

fn finite(field: &str, value: f64) -> Result<(), ArtifactError> {
    if value.is_finite() {
        return Ok(());
    }
    Err(ArtifactError::BadNumber {
        field: field.to_owned(),
        value,
    })
}

impl Line {
    fn validate(&self, of: &str) -> Result<(), ArtifactError> {
        finite(&format!("{of}.intercept_ms"), self.intercept_ms)?;
        finite(&format!("{of}.ms_per_km"), self.ms_per_km)
    }
}

impl Metrics {
    fn validate(&self, of: &str, whose: &str) -> Result<(), ArtifactError> {
        let fields = [
            ("mae_ms", self.mae_ms, f64::MAX),
            ("regret_ms", self.regret_ms, f64::MAX),
            ("regret_p95_ms", self.regret_p95_ms, f64::MAX),
            ("optimal_share", self.optimal_share, 1.0),
            ("oracle_mean_ms", self.oracle_mean_ms, f64::MAX),
        ];
        for (field, value, max) in fields {
            if !(0.0..=max).contains(&value) {
                return Err(ArtifactError::BadNumber {
                    field: format!("{of}.{whose}.{field}"),
                    value,
                });
            }
        }
        Ok(())
    }
}

impl Ridge {
    fn validate(&self) -> Result<(), ArtifactError> {
        let expected = feature_names();
        for index in 0..expected.len().max(self.features.len()) {
            let found = self.features.get(index).map_or("", String::as_str);
            let expected = expected.get(index).map_or("", String::as_str);
            if found != expected {
                return Err(ArtifactError::FeatureMismatch {
                    index,
                    found: found.to_owned(),
                    expected: expected.to_owned(),
                });
            }
        }
        finite("model.intercept", self.intercept)?;
        finite("model.penalty", self.penalty)?;
        let vectors = [
            ("means", &self.means),
            ("scales", &self.scales),
            ("coefficients", &self.coefficients),
        ];
        for (vector, values) in vectors {
            if values.len() != expected.len() {
                return Err(ArtifactError::ShapeMismatch {
                    vector,
                    expected: expected.len(),
                    actual: values.len(),
                });
            }
            for (index, value) in values.iter().enumerate() {
                finite(&format!("model.{vector}[{index}]"), *value)?;
            }
        }
        for (index, scale) in self.scales.iter().enumerate() {
            if *scale <= 0.0 {
                return Err(ArtifactError::BadNumber {
                    field: format!("model.scales[{index}]"),
                    value: *scale,
                });
            }
        }
        Ok(())
    }
}
