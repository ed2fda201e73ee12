//! What a route changes of a message: header fields, target, and where it sends clients instead.

use std::borrow::Cow;
use std::fmt::Write;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderName, HeaderValue, header};
use meridian_topology::{HeaderRules, Redirect, Rewrite};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};

/// Header rules, ready for both lanes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Headers {
    /// Fields of the message that do not pass, in lower case.
    gone: Box<[HeaderName]>,
    /// Fields that follow those that pass.
    put: Box<[(HeaderName, HeaderValue)]>,
}

impl Headers {
    /// Prepares rules. What is no field to this library is none to the topology's door either.
    pub(crate) fn new(rules: &HeaderRules) -> Self {
        let name = |name: &meridian_topology::HeaderName| name.as_str().parse::<HeaderName>().ok();
        let set = rules.set.iter().map(|(name, _)| name);
        let put = rules.set.iter().chain(&rules.add);
        Self {
            gone: rules.remove.iter().chain(set).filter_map(name).collect(),
            put: put
                .filter_map(|(field, value)| Some((name(field)?, value.as_str().parse().ok()?)))
                .collect(),
        }
    }

    /// Whether a field of the message passes.
    pub(crate) fn passes(&self, name: &str) -> bool {
        !self.gone.iter().any(|gone| {
            gone.as_str().len() == name.len() && gone.as_str().eq_ignore_ascii_case(name)
        })
    }

    /// The fields that follow those that pass.
    pub(crate) fn put(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.put
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
    }

    /// The same, to be kept.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        self.put.iter().cloned()
    }

    /// Changes a request of pingora's.
    pub(crate) fn change_request(&self, request: &mut RequestHeader) -> Result<()> {
        for name in &self.gone {
            request.remove_header(name);
        }
        for (name, value) in &self.put {
            request.append_header(name.clone(), value.clone())?;
        }
        Ok(())
    }

    /// Takes what does not pass out of an answer of pingora's.
    pub(crate) fn strip(&self, response: &mut ResponseHeader) {
        for name in &self.gone {
            response.remove_header(name);
        }
    }
}

/// The part of a target that a route changes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Target {
    /// In place of the client's host.
    pub(crate) host: Option<HeaderValue>,
    prefix: Option<Prefix>,
}

/// A prefix and what stands in its place, neither with a slash at its end.
#[derive(Debug, Clone)]
struct Prefix {
    bytes: usize,
    new: Box<str>,
}

impl Prefix {
    fn new(old: &str, new: Option<&str>) -> Option<Self> {
        let bare = |path: &str| path.strip_suffix('/').unwrap_or(path).len();
        let new = new?;
        Some(Self {
            bytes: bare(old),
            new: new[..bare(new)].into(),
        })
    }

    /// Of a target in origin form (path and query) that begins with the old prefix.
    fn replace(&self, target: &str) -> String {
        let rest = target.get(self.bytes..).unwrap_or("");
        let slash = match (self.new.is_empty(), rest.starts_with('/')) {
            (true, false) => "/",
            _ => "",
        };
        format!("{}{slash}{rest}", self.new)
    }
}

impl Target {
    /// What becomes of requests to a route's `path_prefix`.
    pub(crate) fn new(path_prefix: &str, rewrite: &Rewrite) -> Self {
        Self {
            // A name holds no byte that may not be sent.
            host: rewrite
                .host
                .as_ref()
                .and_then(|host| host.as_str().parse().ok()),
            prefix: Prefix::new(path_prefix, rewrite.path_prefix.as_deref()),
        }
    }

    /// Whether requests stay as they came.
    pub(crate) fn is_kept(&self) -> bool {
        self.host.is_none() && self.prefix.is_none()
    }

    /// Changes a request of pingora's.
    pub(crate) fn change_request(&self, request: &mut RequestHeader) -> Result<()> {
        if self.is_kept() {
            return Ok(());
        }
        let asked = request
            .uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str);
        let mut parts = request.uri.clone().into_parts();
        parts.path_and_query = self.of(asked).parse().ok();
        if let Some(host) = &self.host {
            request.insert_header(header::HOST, host.clone())?;
            if parts.authority.is_some() {
                parts.authority = host.to_str().ok().and_then(|host| host.parse().ok());
            }
        }
        if let Ok(uri) = Uri::from_parts(parts) {
            request.set_uri(uri);
        }
        Ok(())
    }

    /// The target for the upstream, of one in origin form. `*` stays.
    pub(crate) fn of<'t>(&self, target: &'t str) -> Cow<'t, str> {
        match &self.prefix {
            Some(prefix) if target.starts_with('/') => Cow::Owned(prefix.replace(target)),
            _ => Cow::Borrowed(target),
        }
    }
}

/// What a client asked for, where it matters to a redirect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Here<'a> {
    pub(crate) scheme: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: Option<u16>,
    /// Path and query.
    pub(crate) target: &'a str,
}

fn usual_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// Where a route sends a client; `None` where it is there already.
pub(crate) fn location(path_prefix: &str, redirect: &Redirect, here: Here<'_>) -> Option<String> {
    let target = match Prefix::new(path_prefix, redirect.path_prefix.as_deref()) {
        Some(prefix) => Cow::Owned(prefix.replace(here.target)),
        None => Cow::Borrowed(here.target),
    };
    let scheme = redirect.scheme.map_or(here.scheme, |scheme| scheme.word());
    let host = redirect
        .host
        .as_ref()
        .map_or(here.host, |host| host.as_str());
    let port = redirect.port.unwrap_or_else(|| usual_port(scheme));
    let is_at_port =
        redirect.port.is_none() || port == here.port.unwrap_or_else(|| usual_port(here.scheme));
    let is_at_authority =
        scheme == here.scheme && host.eq_ignore_ascii_case(here.host) && is_at_port;
    if is_at_authority && target == here.target {
        return None;
    }
    let names_authority =
        redirect.scheme.is_some() || redirect.host.is_some() || redirect.port.is_some();
    if !names_authority {
        // The client knows best how it came here (RFC 9110, section 10.2.2). `//` would be a
        // host, and browsers take `\` for `/`.
        let path = target.trim_start_matches(['/', '\\']);
        return Some(format!("/{path}"));
    }
    let mut location = format!("{scheme}://{host}");
    if port != usual_port(scheme) {
        // Writing into a string does not fail.
        let _ = write!(location, ":{port}");
    }
    location.push_str(&target);
    Some(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewrite(new: &str) -> Rewrite {
        Rewrite {
            host: None,
            path_prefix: Some(new.to_owned()),
        }
    }

    #[test]
    fn a_prefix_is_replaced_segment_by_segment() {
        for (old, new, target, expected) in [
            ("/api", "/v2", "/api/users?x=/api", "/v2/users?x=/api"),
            ("/api/", "/v2/", "/api/users", "/v2/users"),
            ("/api", "/v2", "/api", "/v2"),
            ("/api", "/v2", "/api?x", "/v2?x"),
            ("/api", "/", "/api/users", "/users"),
            ("/api", "/", "/api", "/"),
            ("/api", "/", "/api?x", "/?x"),
            ("/", "/v2", "/users", "/v2/users"),
            ("/", "/v2", "/", "/v2/"),
            ("/", "/v2", "*", "*"),
        ] {
            let target_of = Target::new(old, &rewrite(new));
            assert_eq!(target_of.of(target), expected, "{old} -> {new}: {target}");
        }
        assert!(Target::new("/api", &Rewrite::default()).is_kept());
    }

    #[test]
    fn a_redirect_says_only_what_it_names() {
        let to = |redirect: &str| {
            let mut parts = redirect.split(' ');
            let mut next = || parts.next().filter(|part| *part != "-");
            Redirect {
                status: 308,
                scheme: next().map(|word| match word {
                    "https" => meridian_topology::Scheme::Https,
                    _ => meridian_topology::Scheme::Http,
                }),
                host: next().map(|host| host.parse().unwrap()),
                port: next().map(|port| port.parse().unwrap()),
                path_prefix: next().map(str::to_owned),
            }
        };
        for (redirect, expected) in [
            ("https - - -", "https://shop.example/api/x?y"),
            ("https www.example - -", "https://www.example/api/x?y"),
            ("https - 8443 -", "https://shop.example:8443/api/x?y"),
            ("https - 443 -", "https://shop.example/api/x?y"),
            ("- www.example - /v2", "http://www.example/v2/x?y"),
            ("- - - /v2", "/v2/x?y"),
            ("- - - /", "/x?y"),
        ] {
            let here = Here {
                scheme: "http",
                host: "shop.example",
                port: None,
                target: "/api/x?y",
            };
            let found = location("/api", &to(redirect), here);
            assert_eq!(found.as_deref(), Some(expected));
        }
        let here = Here {
            scheme: "http",
            host: "shop.example",
            port: None,
            target: "/api//evil.example/",
        };
        let found = location("/api", &to("- - - /"), here);
        assert_eq!(found.as_deref(), Some("/evil.example/"), "no other host");
    }

    #[test]
    fn who_is_there_already_is_not_sent_there() {
        let redirect = |scheme, port| Redirect {
            status: 308,
            scheme,
            host: None,
            port,
            path_prefix: None,
        };
        let https = Some(meridian_topology::Scheme::Https);
        for (redirect, scheme, port, expected) in [
            (redirect(https, None), "https", None, None),
            (redirect(https, None), "https", Some(8443), None),
            (
                redirect(https, None),
                "http",
                Some(8080),
                Some("https://shop.example/x"),
            ),
            (redirect(https, Some(8443)), "https", Some(8443), None),
            (
                redirect(https, Some(8443)),
                "https",
                None,
                Some("https://shop.example:8443/x"),
            ),
            (redirect(None, Some(8080)), "http", Some(8080), None),
        ] {
            let here = Here {
                scheme,
                host: "shop.example",
                port,
                target: "/x",
            };
            assert_eq!(location("/", &redirect, here).as_deref(), expected);
        }
    }

    #[test]
    fn fields_are_removed_set_and_added() {
        let pair = |name: &str, value: &str| (name.parse().unwrap(), value.parse().unwrap());
        let headers = Headers::new(&HeaderRules {
            remove: vec!["server".parse().unwrap()],
            set: vec![pair("X-A", "1")],
            add: vec![pair("x-b", "2"), pair("x-b", "3")],
        });
        assert!(!headers.passes("Server") && !headers.passes("x-a"));
        assert!(headers.passes("X-B") && headers.passes("date"));
        let put: Vec<_> = headers.put().collect();
        let expected: [(&str, &[u8]); 3] = [("x-a", b"1"), ("x-b", b"2"), ("x-b", b"3")];
        assert_eq!(put, expected);
    }
}
