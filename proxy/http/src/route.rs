//! Which route a request takes: host first, then path, then method.
//!
//! The structure, built once per plan and only read afterwards:
//!
//! ```text
//! host      exact "shop.example.com" ─┐
//!           suffix ".example.com"    ─┼─> Paths ── prefix "/api/v1" ─┐
//!           any host ("*")           ─┘            prefix "/api"    ─┼─> [methods → route]
//!                                                  prefix ""        ─┘
//! ```
//!
//! An exact host wins over a suffix, a longer suffix over a shorter one, and
//! any of them over `*`. The host that won owns the whole path space: a path it
//! does not know is *not* looked up under a wider host, so that adding a host
//! never leaves half of it with somebody else. Within a host the longest prefix
//! wins; prefixes end at a `/`, so `/api` takes `/api` and `/api/x`, not
//! `/apis`. Paths are compared as the bytes of the request: an upstream that
//! decodes `%2e%2e` must guard itself.
//!
//! Cost: one hash per label of the host and one per `/` within the longest
//! prefix of that host; nothing is allocated or locked. A long path costs no
//! more than the longest prefix.

use std::collections::HashMap;

use http::Method;

use crate::authority::HOST_BYTES_MAX;

/// Where a request may match: one host pattern and one path prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// `shop.example.com`, `*.example.com` or `*`.
    pub(crate) host: String,
    /// `/`, `/api`, `/api/`.
    pub(crate) path_prefix: String,
    /// The path must be the whole one.
    pub(crate) is_exact: bool,
    /// Empty for all.
    pub(crate) methods: Vec<Method>,
    /// How much it asks for beside that.
    pub(crate) conditions: usize,
}

/// What the table says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The position of the route in the list the table was built from.
    Found(usize),
    /// No route has this host.
    UnknownHost,
    /// The host has no route for this path.
    UnknownPath,
    /// The host and path have routes, but not for this method.
    MethodNotAllowed,
}

/// The routes of all services.
#[derive(Debug, Default)]
pub(crate) struct RouteTable {
    exact: HashMap<Box<[u8]>, usize>,
    /// Keys begin with the dot: `.example.com`.
    suffix: HashMap<Box<[u8]>, usize>,
    any: Option<usize>,
    hosts: Vec<Paths>,
}

/// The routes of one host.
#[derive(Debug, Default)]
struct Paths {
    /// Without a final slash: the root is the empty key.
    prefixes: HashMap<Box<[u8]>, Vec<Target>>,
    longest: usize,
    /// Whole paths, as written.
    exact: HashMap<Box<[u8]>, Vec<Target>>,
}

#[derive(Debug)]
struct Target {
    methods: Vec<Method>,
    conditions: usize,
    route: usize,
}

impl Target {
    /// Whether a request takes it, as far as its path does.
    fn takes(&self, method: &Method, meets: &impl Fn(usize) -> bool) -> Option<Lookup> {
        if self.conditions > 0 && !meets(self.route) {
            return None;
        }
        if self.methods.is_empty() || self.methods.contains(method) {
            return Some(Lookup::Found(self.route));
        }
        Some(Lookup::MethodNotAllowed)
    }
}

/// The first target that takes a request; else whether one would, by another method.
fn first_of(targets: &[Target], method: &Method, meets: &impl Fn(usize) -> bool) -> Option<Lookup> {
    let mut verdict = None;
    for target in targets {
        match target.takes(method, meets) {
            Some(Lookup::Found(route)) => return Some(Lookup::Found(route)),
            Some(other) => verdict = Some(other),
            None => {}
        }
    }
    verdict
}

impl RouteTable {
    /// Builds the table. `patterns` pairs each pattern with its route; where
    /// two match the same request equally well, the first one stands.
    pub(crate) fn build(patterns: impl IntoIterator<Item = (Pattern, usize)>) -> Self {
        let mut table = Self::default();
        for (pattern, route) in patterns {
            let host = table.host_slot(&pattern.host);
            table.hosts[host].insert(pattern, route);
        }
        for paths in &mut table.hosts {
            // Routes that ask for more come first, then those that name methods.
            for targets in paths.prefixes.values_mut().chain(paths.exact.values_mut()) {
                targets.sort_by_key(|target| {
                    (usize::MAX - target.conditions, target.methods.is_empty())
                });
            }
        }
        table
    }

    /// The route of a request. `host` is in any case, without port and final
    /// dot; `path` is the request target's path, without query; `meets` says whether it has what a
    /// route asks for beside that.
    pub(crate) fn find(
        &self,
        host: &[u8],
        path: &[u8],
        method: &Method,
        meets: impl Fn(usize) -> bool,
    ) -> Lookup {
        let mut lower = [0_u8; HOST_BYTES_MAX];
        let Some(host) = lowercase(host, &mut lower) else {
            return Lookup::UnknownHost;
        };
        match self.paths(host) {
            Some(paths) => paths.find(path, method, &meets),
            None => Lookup::UnknownHost,
        }
    }

    /// The methods that some route takes for this host and path, each once; for
    /// the answer to [`Lookup::MethodNotAllowed`]. Empty also where a route takes
    /// all of them, and where there is none.
    pub(crate) fn methods(&self, host: &[u8], path: &[u8]) -> Vec<Method> {
        let mut lower = [0_u8; HOST_BYTES_MAX];
        lowercase(host, &mut lower)
            .and_then(|host| self.paths(host))
            .map_or_else(Vec::new, |paths| paths.methods(path))
    }

    fn paths(&self, host: &[u8]) -> Option<&Paths> {
        let position = self
            .exact
            .get(host)
            .or_else(|| self.widest_suffix_last(host))
            .or(self.any.as_ref())?;
        self.hosts.get(*position)
    }

    fn widest_suffix_last(&self, host: &[u8]) -> Option<&usize> {
        if self.suffix.is_empty() {
            return None;
        }
        let dots = host.iter().enumerate().skip(1);
        dots.filter(|(_, byte)| **byte == b'.')
            .find_map(|(at, _)| self.suffix.get(&host[at..]))
    }

    fn host_slot(&mut self, pattern: &str) -> usize {
        let next = self.hosts.len();
        let lower = pattern.to_ascii_lowercase().into_bytes();
        let slot = match lower.strip_prefix(b"*") {
            Some([]) => *self.any.get_or_insert(next),
            Some(suffix) => *self.suffix.entry(suffix.into()).or_insert(next),
            None => *self.exact.entry(lower.into()).or_insert(next),
        };
        if slot == next {
            self.hosts.push(Paths::default());
        }
        slot
    }
}

impl Paths {
    fn insert(&mut self, pattern: Pattern, route: usize) {
        let target = Target {
            methods: pattern.methods,
            conditions: pattern.conditions,
            route,
        };
        let path = &*pattern.path_prefix;
        if pattern.is_exact {
            let targets = self.exact.entry(path.as_bytes().into());
            targets.or_default().push(target);
            return;
        }
        let key = path.strip_suffix('/').unwrap_or(path).as_bytes();
        self.longest = self.longest.max(key.len());
        self.prefixes.entry(key.into()).or_default().push(target);
    }

    fn find(&self, path: &[u8], method: &Method, meets: &impl Fn(usize) -> bool) -> Lookup {
        let mut verdict = Lookup::UnknownPath;
        if let Some(targets) = self.exact.get(path) {
            match first_of(targets, method, meets) {
                Some(Lookup::Found(route)) => return Lookup::Found(route),
                Some(other) => verdict = other,
                None => {}
            }
        }
        let mut end = self.first_cut(path);
        loop {
            if let Some(targets) = self.prefixes.get(&path[..end]) {
                match first_of(targets, method, meets) {
                    Some(Lookup::Found(route)) => return Lookup::Found(route),
                    Some(other) => verdict = other,
                    None => {}
                }
            }
            if end == 0 {
                return verdict;
            }
            end = last_slash(&path[..end]);
        }
    }

    /// From the longest prefix to the shortest, as [`Self::find`] looks.
    fn methods(&self, path: &[u8]) -> Vec<Method> {
        let mut methods = Vec::new();
        let mut end = self.first_cut(path);
        let mut exact = self.exact.get(path);
        loop {
            let targets = self.prefixes.get(&path[..end]).into_iter().flatten();
            let targets = exact.take().into_iter().flatten().chain(targets);
            for method in targets.flat_map(|target| &target.methods) {
                if !methods.contains(method) {
                    methods.push(method.clone());
                }
            }
            if end == 0 {
                return methods;
            }
            end = last_slash(&path[..end]);
        }
    }

    /// No prefix is longer than `longest`: begin at the last end of a segment
    /// that could be one.
    fn first_cut(&self, path: &[u8]) -> usize {
        match path.get(..=self.longest) {
            Some(start) => last_slash(start),
            None => path.len(),
        }
    }
}

fn last_slash(path: &[u8]) -> usize {
    path.iter().rposition(|byte| *byte == b'/').unwrap_or(0)
}

fn lowercase<'a>(host: &[u8], space: &'a mut [u8; HOST_BYTES_MAX]) -> Option<&'a [u8]> {
    let lower = space.get_mut(..host.len())?;
    lower.copy_from_slice(host);
    lower.make_ascii_lowercase();
    Some(lower)
}

#[cfg(test)]
mod tests;
