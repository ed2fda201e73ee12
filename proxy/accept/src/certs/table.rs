//! The immutable table a handshake looks into: two hash maps by lower-case
//! name, so the cost does not grow with the number of certificates.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use super::Unmatched;

/// A name a certificate serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Name {
    /// This name.
    Exact(String),
    /// Any one label in front of this suffix.
    Wildcard(String),
}

impl Name {
    /// `None` when the text is no DNS name and no wildcard of one.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let name = text.trim_end_matches('.').to_ascii_lowercase();
        let (wildcard, suffix) = match name.strip_prefix("*.") {
            Some(suffix) => (true, suffix.to_owned()),
            None => (false, name),
        };
        let valid = rustls_pki_types::DnsName::try_from(suffix.as_str()).is_ok();
        valid.then_some(if wildcard {
            Self::Wildcard(suffix)
        } else {
            Self::Exact(suffix)
        })
    }
}

#[derive(Debug)]
pub(super) struct Table {
    keys: Vec<Arc<CertifiedKey>>,
    exact: HashMap<String, usize>,
    wildcard: HashMap<String, usize>,
    unmatched: Unmatched,
}

impl Table {
    pub(super) fn new(unmatched: Unmatched) -> Self {
        Self {
            keys: Vec::new(),
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            unmatched,
        }
    }

    pub(super) fn add(&mut self, key: CertifiedKey, names: Vec<Name>) {
        let index = self.keys.len();
        self.keys.push(Arc::new(key));
        for name in names {
            match name {
                Name::Exact(name) => self.exact.entry(name).or_insert(index),
                Name::Wildcard(suffix) => self.wildcard.entry(suffix).or_insert(index),
            };
        }
    }

    pub(super) fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let matched = name.and_then(|name| self.named(&lowercase(name)));
        match (matched, self.unmatched) {
            (Some(index), _) => self.keys.get(index).cloned(),
            (None, Unmatched::First) => self.keys.first().cloned(),
            (None, Unmatched::Refuse) => None,
        }
    }

    fn named(&self, name: &str) -> Option<usize> {
        let name = name.trim_end_matches('.');
        if let Some(index) = self.exact.get(name) {
            return Some(*index);
        }
        let (_, suffix) = name.split_once('.')?;
        self.wildcard.get(suffix).copied()
    }

    /// Whether both serve the same chains under the same names. A new key
    /// comes with a new certificate, so comparing chains is enough.
    pub(super) fn same_certificates(&self, other: &Self) -> bool {
        self.exact == other.exact
            && self.wildcard == other.wildcard
            && self.keys.len() == other.keys.len()
            && self
                .keys
                .iter()
                .zip(&other.keys)
                .all(|(ours, theirs)| ours.cert == theirs.cert)
    }
}

fn lowercase(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}
