//! Request targets as HTTP/1 writes them (RFC 9112, section 3.2).

use std::borrow::Cow;

use http::Method;

/// A target, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target<'t> {
    /// `http` or `https` of an absolute target, in any case.
    pub(crate) scheme: Option<&'t str>,
    /// The host and perhaps a port of an absolute target.
    pub(crate) authority: Option<&'t str>,
    /// In origin form, or `*`.
    pub(crate) path_and_query: Cow<'t, str>,
}

impl<'t> Target<'t> {
    /// Takes apart what [`crate::head`] let pass.
    pub(crate) fn of(target: &'t str, method: &Method) -> Self {
        let Some((scheme, authority, rest)) = absolute(target) else {
            return Self {
                scheme: None,
                authority: None,
                path_and_query: Cow::Borrowed(target),
            };
        };
        let path_and_query = match rest {
            // Section 3.2.4: the server as a whole.
            "" if *method == Method::OPTIONS => Cow::Borrowed("*"),
            "" => Cow::Borrowed("/"),
            rest if rest.starts_with('/') => Cow::Borrowed(rest),
            query => Cow::Owned(format!("/{query}")),
        };
        Self {
            scheme: Some(scheme),
            authority: Some(authority),
            path_and_query,
        }
    }

    /// The path, without query.
    pub(crate) fn path(&self) -> &str {
        let end = self.path_and_query.find('?');
        &self.path_and_query[..end.unwrap_or(self.path_and_query.len())]
    }
}

/// Scheme, authority and the rest of a target in absolute form (section 3.2.2).
pub(crate) fn absolute(target: &str) -> Option<(&str, &str, &str)> {
    let (scheme, rest) = target.split_once("://")?;
    if !["http", "https"]
        .iter()
        .any(|known| scheme.eq_ignore_ascii_case(known))
    {
        return None;
    }
    let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    Some((scheme, authority, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_targets_become_origin_form() {
        for (method, target, authority, path_and_query, path) in [
            ("GET", "/a?b", None, "/a?b", "/a"),
            ("GET", "HTTP://h:80/a?b", Some("h:80"), "/a?b", "/a"),
            ("GET", "http://h", Some("h"), "/", "/"),
            ("GET", "https://h?q=1", Some("h"), "/?q=1", "/"),
            ("OPTIONS", "http://h", Some("h"), "*", "*"),
            ("OPTIONS", "http://h/", Some("h"), "/", "/"),
            ("OPTIONS", "*", None, "*", "*"),
            ("GET", "/a?u=http://h/", None, "/a?u=http://h/", "/a"),
        ] {
            let method = method.parse().unwrap();
            let found = Target::of(target, &method);
            assert_eq!(found.authority, authority, "{target}");
            assert_eq!(found.path_and_query, path_and_query, "{target}");
            assert_eq!(found.path(), path, "{target}");
        }
    }
}
