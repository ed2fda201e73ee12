//! gdnsd's configuration language: ordered hashes, arrays and strings (gdnsd.config(5), LOW-LEVEL
//! SYNTAX), with the line of everything.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{ImportError, read_text};
use crate::note::At;

/// Hashes and arrays inside each other, includes counted; deeper is refused.
const DEPTH_MAX: usize = 64;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Value {
    pub(super) at: At,
    pub(super) data: Data,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum Data {
    Text(String),
    List(Vec<Value>),
    /// In the order of the text.
    Hash(Vec<(String, Value)>),
}

impl Value {
    pub(super) fn empty(at: At) -> Self {
        Self {
            at,
            data: Data::Hash(Vec::new()),
        }
    }

    /// The entries of a hash; none of anything else.
    pub(super) fn entries(&self) -> &[(String, Self)] {
        match &self.data {
            Data::Hash(entries) => entries,
            _ => &[],
        }
    }

    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value)
    }

    pub(super) fn text(&self) -> Option<&str> {
        match &self.data {
            Data::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The texts of an array; one text is an array of one.
    pub(super) fn texts(&self) -> Vec<&str> {
        match &self.data {
            Data::Text(text) => vec![text.as_str()],
            Data::List(values) => values.iter().filter_map(Value::text).collect(),
            Data::Hash(_) => Vec::new(),
        }
    }
}

/// Reads a file: a hash without braces, or an array.
pub(super) fn read_file(path: &Path) -> Result<Value, ImportError> {
    read_at(path, 0)
}

fn read_at(path: &Path, depth: usize) -> Result<Value, ImportError> {
    let text = read_text(path)?;
    let mut parser = Parser {
        text: text.as_bytes(),
        at: 0,
        line: 1,
        file: path.to_string_lossy().into(),
        folder: path.parent().unwrap_or_else(|| Path::new(".")),
        depth,
    };
    let at = parser.place();
    parser.skip();
    let data = if parser.peek() == Some(b'[') {
        parser.value()?.data
    } else {
        Data::Hash(parser.entries(None)?)
    };
    parser.skip();
    if parser.peek().is_some() {
        return Err(parser.wrong("something stands behind the end"));
    }
    Ok(Value { at, data })
}

struct Parser<'a> {
    text: &'a [u8],
    at: usize,
    line: usize,
    file: Arc<str>,
    folder: &'a Path,
    depth: usize,
}

impl Parser<'_> {
    fn place(&self) -> At {
        At {
            file: Arc::clone(&self.file),
            line: self.line,
        }
    }

    fn wrong(&self, text: impl Into<String>) -> ImportError {
        ImportError::Syntax {
            at: self.place(),
            text: text.into(),
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    /// White space, commas and comments.
    fn skip(&mut self) {
        while let Some(byte) = self.peek() {
            match byte {
                b'#' | b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.bump();
                    }
                }
                b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                    self.bump();
                }
                _ => return,
            }
        }
    }

    fn deeper(&mut self) -> Result<(), ImportError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(self.wrong(format!("more than {DEPTH_MAX} levels")));
        }
        Ok(())
    }

    /// The entries of a hash up to `end`, which is taken.
    fn entries(&mut self, end: Option<u8>) -> Result<Vec<(String, Value)>, ImportError> {
        self.deeper()?;
        let mut entries: Vec<(String, Value)> = Vec::new();
        loop {
            self.skip();
            match (self.peek(), end) {
                (None, None) => break,
                (None, Some(_)) => return Err(self.wrong("a `}` is missing")),
                (Some(byte), Some(end)) if byte == end => {
                    self.bump();
                    break;
                }
                _ => {}
            }
            if self.text[self.at..].starts_with(b"$include{") {
                for path in self.include()? {
                    let included = read_at(&path, self.depth)?;
                    entries.extend(included.entries().iter().cloned());
                }
                continue;
            }
            let (at, key) = (self.place(), self.string()?);
            self.skip();
            if self.bump() != Some(b'=') {
                return Err(self.wrong(format!("`=>` is missing behind `{key}`")));
            }
            if self.peek() == Some(b'>') {
                self.bump();
            }
            let mut value = self.value()?;
            // A hash is shown where its key stands.
            value.at = at;
            if entries.iter().any(|(known, _)| *known == key) {
                return Err(self.wrong(format!("`{key}` is there twice")));
            }
            entries.push((key, value));
        }
        self.depth -= 1;
        Ok(entries)
    }

    fn value(&mut self) -> Result<Value, ImportError> {
        self.skip();
        let at = self.place();
        let data = match self.peek() {
            Some(b'{') => {
                self.bump();
                Data::Hash(self.entries(Some(b'}'))?)
            }
            Some(b'[') => {
                self.bump();
                self.deeper()?;
                let mut values = Vec::new();
                loop {
                    self.skip();
                    match self.peek() {
                        None => return Err(self.wrong("a `]` is missing")),
                        Some(b']') => break,
                        Some(_) => values.push(self.value()?),
                    }
                }
                self.bump();
                self.depth -= 1;
                Data::List(values)
            }
            Some(b'$') if self.text[self.at..].starts_with(b"$include{") => {
                let paths = self.include()?;
                let [path] = paths.as_slice() else {
                    return Err(self.wrong("an include in place of a value names one file"));
                };
                read_at(path, self.depth)?.data
            }
            _ => Data::Text(self.string()?),
        };
        Ok(Value { at, data })
    }

    /// A quoted or bare string.
    fn string(&mut self) -> Result<String, ImportError> {
        let quoted = self.peek() == Some(b'"');
        if quoted {
            self.bump();
        }
        let mut bytes = Vec::new();
        loop {
            match self.peek() {
                Some(b'\\') => {
                    self.bump();
                    bytes.push(self.escaped()?);
                }
                Some(b'"') if quoted => {
                    self.bump();
                    break;
                }
                None if quoted => return Err(self.wrong("a `\"` is missing")),
                Some(byte) if quoted || is_bare(byte) => {
                    bytes.push(byte);
                    self.bump();
                }
                _ => break,
            }
        }
        if bytes.is_empty() && !quoted {
            let found = self.peek().map_or_else(
                || "the end of the file".to_owned(),
                |byte| format!("`{}`", char::from(byte)),
            );
            return Err(self.wrong(format!("{found} instead of a word")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// `\DDD` or `\` and any byte.
    fn escaped(&mut self) -> Result<u8, ImportError> {
        let digits = self.text.get(self.at..self.at + 3);
        if let Some(digits) = digits.filter(|digits| digits.iter().all(u8::is_ascii_digit)) {
            let number = digits
                .iter()
                .fold(0_u16, |number, digit| number * 10 + u16::from(digit - b'0'));
            self.at += 3;
            return u8::try_from(number)
                .map_err(|_| self.wrong(format!("`\\{number}` is no byte")));
        }
        self.bump().ok_or_else(|| self.wrong("`\\` at the end"))
    }

    /// `$include{path}`: one file, all files of a folder, or those that match a `*` in the last part.
    fn include(&mut self) -> Result<Vec<PathBuf>, ImportError> {
        self.at += "$include{".len();
        self.skip();
        let name = self.string()?;
        self.skip();
        if self.bump() != Some(b'}') {
            return Err(self.wrong("a `}` is missing behind the include"));
        }
        let path = self.folder.join(&name);
        if path.is_dir() {
            return self.matching(&path, "");
        }
        let last = path.file_name().and_then(|name| name.to_str());
        match (last, path.parent()) {
            (Some(pattern), Some(folder)) if pattern.contains('*') => {
                let found = self.matching(folder, pattern)?;
                if found.is_empty() {
                    return Err(self.wrong(format!("nothing matches `{name}`")));
                }
                Ok(found)
            }
            _ => Ok(vec![path]),
        }
    }

    fn matching(&self, folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, ImportError> {
        let failed = |source| ImportError::Read {
            path: folder.to_path_buf(),
            source,
        };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            if path.is_file()
                && name.is_some_and(|name| !name.starts_with('.') && is_like(name, pattern))
            {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }
}

/// Whether a name matches a pattern with `*`; an empty pattern matches all.
fn is_like(name: &str, pattern: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else {
        return false;
    };
    if pattern.is_empty() {
        return true;
    }
    let mut last = first;
    for part in parts {
        let Some(at) = rest.find(part) else {
            return false;
        };
        rest = &rest[at + part.len()..];
        last = part;
    }
    last.is_empty() || rest.is_empty() || name.ends_with(last)
}

fn is_bare(byte: u8) -> bool {
    !byte.is_ascii_whitespace() && !b"][}{;#,\"=\\".contains(&byte)
}
