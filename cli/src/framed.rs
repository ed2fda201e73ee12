//! Problems for a terminal: each with its lines of the file, in frames and colours.

use std::fmt;

use meridian_topology::{Problem, Problems};
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, SourceCode};

/// Every problem, one report after the other. `NO_COLOR` is respected.
pub fn all(problems: &Problems) -> String {
    with_theme(problems, GraphicalTheme::default())
}

fn with_theme(problems: &Problems, theme: GraphicalTheme) -> String {
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false);
    let mut text = String::new();
    for problem in problems.list() {
        if handler.render_report(&mut text, &Framed(problem)).is_err() {
            return problems.to_string();
        }
    }
    if problems.unlisted() > 0 {
        text += &format!("and {} more problems", problems.unlisted());
    }
    text
}

/// A problem whose one line says only what is wrong: the frame around it says the rest.
#[derive(Debug)]
struct Framed<'a>(&'a Problem);

impl fmt::Display for Framed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        if let Some(related) = &self.0.related {
            let (source, span, word) = &**related;
            write!(
                f,
                "; {word} {}:{}:{}",
                source.name(),
                span.line,
                span.column
            )?;
        }
        Ok(())
    }
}

impl std::error::Error for Framed<'_> {}

impl Diagnostic for Framed<'_> {
    fn code<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.code()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Diagnostic::help(self.0)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.labels()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

    use expect_test::expect;
    use meridian_topology::{SourceFile, Topology};
    use miette::GraphicalTheme;

    use super::with_theme;

    #[test]
    fn a_problem_stands_in_its_lines() {
        let file = SourceFile {
            name: "topology.yaml".into(),
            text: "regions:\n  - id: a\n    lokation: {}\n".into(),
        };
        let problems = Topology::parse(&[file]).unwrap_err();
        let text = with_theme(&problems, GraphicalTheme::unicode_nocolor());
        let trimmed: Vec<&str> = text.lines().map(str::trim_end).collect();
        expect![[r#"
            unknown-field

              × unknown field `lokation`
               ╭─[topology.yaml:3:5]
             2 │   - id: a
             3 │     lokation: {}
               ·     ────┬───
               ·         ╰── regions[0].lokation
               ╰────
              help: did you mean `location`?
            missing-field

              × the field `country` is missing
               ╭─[topology.yaml:3:15]
             2 │   - id: a
             3 │     lokation: {}
               ·               ┬
               ·               ╰── regions[0].lokation
               ╰────
              help: add `country:`"#]]
        .assert_eq(&trimmed.join("\n"));
    }
}
