//! Peers' configuration files with places to fill in.

/// Replaces every `{{name}}` by its value.
#[must_use]
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    values
        .iter()
        .fold(template.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{{{name}}}}}"), value)
        })
}
