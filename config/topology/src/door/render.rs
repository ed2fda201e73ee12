//! Showing problems: [`Problems`] as plain text with the offending lines, and as a miette report.

use std::fmt;

use miette::{
    Diagnostic, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceSpan, SpanContents,
};

use super::problem::{Problem, Problems};
use super::source::{Source, Span};

/// Longer lines are shown without their rest.
const MAX_SHOWN_CHARS: usize = 160;

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, problem) in self.list().iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            explain(f, problem)?;
        }
        if self.unlisted() > 0 {
            writeln!(f, "\nand {} more problems", self.unlisted())?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

fn explain(f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
    writeln!(f, "error[{}]: {}", problem.code, problem.message)?;
    excerpt(f, &problem.source, problem.span, &problem.path)?;
    if let Some(related) = &problem.related {
        let (source, span, word) = &**related;
        writeln!(f, "note: {word} here")?;
        excerpt(f, source, *span, "")?;
    }
    if let Some(help) = &problem.help {
        writeln!(f, "help: {help}")?;
    }
    Ok(())
}

/// `--> file:line:column (path)`, then the line and carets under the span.
fn excerpt(f: &mut fmt::Formatter<'_>, source: &Source, span: Span, path: &str) -> fmt::Result {
    write!(f, " --> {}:{}:{}", source.name(), span.line, span.column)?;
    if path.is_empty() {
        writeln!(f)?;
    } else {
        writeln!(f, " ({path})")?;
    }
    let index = usize::try_from(span.line).unwrap_or(0);
    let Some(line) = index
        .checked_sub(1)
        .and_then(|at| source.text().split('\n').nth(at))
    else {
        return Ok(());
    };
    let shown: String = line
        .chars()
        .take(MAX_SHOWN_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let number = span.line.to_string();
    let gutter = " ".repeat(number.len());
    writeln!(f, "{number} | {}", shown.trim_end())?;
    let before = usize::try_from(span.column).unwrap_or(1).saturating_sub(1);
    if before <= shown.chars().count() {
        let carets = caret_count(
            source,
            span,
            shown.trim_end().chars().count() - before.min(shown.trim_end().chars().count()),
        );
        writeln!(f, "{gutter} | {}{}", " ".repeat(before), "^".repeat(carets))?;
    }
    Ok(())
}

/// As many carets as the span has characters on its first line, at least one.
fn caret_count(source: &Source, span: Span, room: usize) -> usize {
    let end = span.offset.saturating_add(span.len);
    let chars = source
        .text()
        .get(span.offset..end)
        .and_then(|text| text.split('\n').next())
        .map_or(1, |text| text.trim_end().chars().count());
    chars.min(room).max(1)
}

impl SourceCode for Source {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let inner = self.text.read_span(span, before, after)?;
        Ok(Box::new(
            MietteSpanContents::new_named(
                self.name().to_owned(),
                inner.data(),
                *inner.span(),
                inner.line(),
                inner.column(),
                inner.line_count(),
            )
            .with_language("yaml"),
        ))
    }
}

impl Diagnostic for Problem {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(self.code))
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.help
            .as_ref()
            .map(|help| Box::new(help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        Some(&self.source)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = (!self.path.is_empty()).then(|| self.path.clone());
        let at = LabeledSpan::new(label, self.span.offset, self.span.len);
        Some(Box::new(std::iter::once(at)))
    }
}

impl Diagnostic for Problems {
    fn related<'a>(&'a self) -> Option<Box<dyn Iterator<Item = &'a dyn Diagnostic> + 'a>> {
        Some(Box::new(
            self.list().iter().map(|problem| problem as &dyn Diagnostic),
        ))
    }
}
