//! What is wrong, where, and what to do about it.

use std::fmt;

use super::MAX_PROBLEMS;
use super::path::{Depth, path_at};
use super::scalar::Mistake;
use super::source::{Source, Span};

/// The kind of a problem: a stable word that documentation and scripts can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl Code {
    /// The text is not YAML.
    pub const SYNTAX: Self = Self("yaml-syntax");
    /// A file beyond the door's bounds.
    pub const TOO_LARGE: Self = Self("too-large");
    /// A key that does not exist here.
    pub const UNKNOWN_FIELD: Self = Self("unknown-field");
    /// A variant that does not exist here.
    pub const UNKNOWN_VARIANT: Self = Self("unknown-variant");
    /// A key that must be there.
    pub const MISSING_FIELD: Self = Self("missing-field");
    /// A key given twice.
    pub const DUPLICATE_KEY: Self = Self("duplicate-key");
    /// A map, list or scalar where another of them belongs.
    pub const WRONG_SHAPE: Self = Self("wrong-shape");
    /// A scalar that cannot be read as what it should be.
    pub const INVALID_VALUE: Self = Self("invalid-value");
    /// Two things with one name.
    pub const DUPLICATE_ID: Self = Self("duplicate-id");
    /// A name that nothing has.
    pub const UNKNOWN_REFERENCE: Self = Self("unknown-reference");
    /// A value outside its bounds, alone or against another value.
    pub const OUT_OF_RANGE: Self = Self("out-of-range");
    /// Two settings that exclude each other.
    pub const CONFLICT: Self = Self("conflict");
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One problem. `Display` is one line: `file:line:column: what (at path): remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub source: Source,
    /// The place in it.
    pub span: Span,
    /// The place as a path: `regions[2].location.latitude`. Empty at the top.
    pub path: String,
    /// What kind of problem.
    pub code: Code,
    /// What is wrong: one sentence without a full stop.
    pub message: String,
    /// What to do about it, if that is known.
    pub help: Option<String>,
    /// A second place that takes part, such as the first of two equal ids, with a word on it.
    pub related: Option<Box<(Source, Span, String)>>,
}

impl Problem {
    /// The name of the file.
    #[must_use]
    pub fn file(&self) -> &str {
        self.source.name()
    }

    /// Line, from 1; 0 when no place is known.
    #[must_use]
    pub const fn line(&self) -> u32 {
        self.span.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub const fn column(&self) -> u32 {
        self.span.column
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { line, column, .. } = self.span;
        write!(f, "{}:{line}:{column}: {}", self.file(), self.message)?;
        if !self.path.is_empty() {
            write!(f, " (at {})", self.path)?;
        }
        if let Some(related) = &self.related {
            let (source, span, word) = &**related;
            write!(
                f,
                "; {word} {}:{}:{}",
                source.name(),
                span.line,
                span.column
            )?;
        }
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}

/// All problems of one reading, in the order of files and lines. As an error value it is never
/// empty. Beyond [`MAX_PROBLEMS`] they are only counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Problems {
    list: Vec<Problem>,
    unlisted: usize,
}

impl Problems {
    /// No problems yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            list: Vec::new(),
            unlisted: 0,
        }
    }

    /// Adds a mistake at a place.
    pub fn report(&mut self, source: &Source, span: Span, code: Code, mistake: Mistake) {
        if self.list.len() >= MAX_PROBLEMS {
            self.unlisted += 1;
            return;
        }
        let span = source.as_written(span);
        self.list.push(Problem {
            source: source.clone(),
            span,
            // Where the text is no YAML, or not all of it was read, the path would be a guess.
            path: match code {
                Code::SYNTAX | Code::TOO_LARGE => String::new(),
                Code::MISSING_FIELD => path_at(source.text(), span, Depth::Container),
                _ => path_at(source.text(), span, Depth::Value),
            },
            code,
            message: mistake.message,
            help: mistake.help,
            related: None,
        });
    }

    /// Adds a mistake that a second place takes part in: "first named at …".
    pub fn report_related(
        &mut self,
        at: (&Source, Span),
        code: Code,
        mistake: Mistake,
        related: (&Source, Span, &str),
    ) {
        let before = self.list.len();
        self.report(at.0, at.1, code, mistake);
        if let Some(problem) = self.list.get_mut(before) {
            let (source, span, word) = related;
            let span = source.as_written(span);
            problem.related = Some(Box::new((source.clone(), span, word.to_owned())));
        }
    }

    /// Adds the problems of another reading.
    pub fn append(&mut self, other: Self) {
        self.unlisted += other.unlisted;
        for problem in other.list {
            if self.list.len() < MAX_PROBLEMS {
                self.list.push(problem);
            } else {
                self.unlisted += 1;
            }
        }
    }

    /// The listed problems.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    /// How many there are, listed or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len() + self.unlisted
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The value if there is no problem.
    pub fn unless_any<T>(mut self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.is_empty() {
            Ok(value())
        } else {
            self.sort();
            Err(self)
        }
    }

    /// Orders by file and place and drops what was found twice.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by(|a, b| {
            let key = |p: &Problem| (p.span.line, p.span.column);
            (a.file(), key(a), &a.message).cmp(&(b.file(), key(b), &b.message))
        });
        self.list.dedup();
    }

    /// How many did not fit into the list.
    #[must_use]
    pub const fn unlisted(&self) -> usize {
        self.unlisted
    }
}

impl IntoIterator for Problems {
    type Item = Problem;
    type IntoIter = std::vec::IntoIter<Problem>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}
