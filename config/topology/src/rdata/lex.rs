//! Master-file text as entries of tokens (RFC 1035 section 5.1).
//!
//! An entry ends at the end of its line, unless a parenthesis is open. A token keeps its escapes:
//! `\.` in a name is not a dot, and only its field knows what it is.

use thiserror::Error;

/// Where something stands, both counted from 1; columns count bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

/// A word, or the inside of a quoted string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token<'t> {
    /// As written, without the quotes around it, escapes unresolved.
    pub text: &'t [u8],
    /// Whether it stood in quotes.
    pub quoted: bool,
    /// Where it begins.
    pub place: Place,
}

/// One entry: a record or a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'t> {
    /// Whether its line began with a blank: the owner is that of the record before.
    pub indented: bool,
    /// At least one.
    pub tokens: Vec<Token<'t>>,
}

/// Text that cannot be cut into tokens.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{reason}")]
pub struct LexError {
    /// Where.
    pub place: Place,
    /// What, and the way out.
    pub reason: &'static str,
}

/// Most tokens of one entry.
pub const TOKENS_MAX: usize = 65_536;

/// Cuts text into entries.
#[derive(Clone, Debug)]
pub struct Lexer<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    line_start: usize,
}

impl<'t> Lexer<'t> {
    /// A lexer at the start of a text.
    #[must_use]
    pub fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            line_start: 0,
        }
    }

    /// The next entry that has a token; `None` at the end.
    ///
    /// # Errors
    /// [`LexError`]. The lexer then stands behind the line that is wrong.
    pub fn entry(&mut self) -> Result<Option<Entry<'t>>, LexError> {
        while self.at < self.text.len() {
            let indented = matches!(self.peek(), Some(b' ' | b'\t'));
            let mut tokens = Vec::new();
            match self.line_of_tokens(&mut tokens) {
                Ok(()) if tokens.is_empty() => {}
                Ok(()) => return Ok(Some(Entry { indented, tokens })),
                Err(error) => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                    return Err(error);
                }
            }
        }
        Ok(None)
    }

    /// Reads to the end of the line, or to that of the line on which the last parenthesis closes.
    fn line_of_tokens(&mut self, tokens: &mut Vec<Token<'t>>) -> Result<(), LexError> {
        let mut open: Option<Place> = None;
        while let Some(byte) = self.peek() {
            let place = self.place();
            match byte {
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'\n' => {
                    self.newline();
                    if open.is_none() {
                        return Ok(());
                    }
                }
                b';' => {
                    while self.peek().is_some_and(|byte| byte != b'\n') {
                        self.at += 1;
                    }
                }
                b'(' if open.is_some() => {
                    return Err(error(
                        place,
                        "a parenthesis is open already; close it first",
                    ));
                }
                b'(' => {
                    open = Some(place);
                    self.at += 1;
                }
                b')' if open.take().is_none() => {
                    return Err(error(
                        place,
                        "no parenthesis is open; write `\\)` for the sign itself",
                    ));
                }
                b')' => self.at += 1,
                _ if tokens.len() == TOKENS_MAX => {
                    return Err(error(place, "this entry has too many words"));
                }
                b'"' => tokens.push(self.quoted()?),
                _ => tokens.push(self.word()?),
            }
        }
        match open {
            Some(place) => Err(error(place, "this parenthesis is never closed")),
            None => Ok(()),
        }
    }

    fn word(&mut self) -> Result<Token<'t>, LexError> {
        let (start, place) = (self.at, self.place());
        while let Some(byte) = self.peek() {
            match byte {
                b' ' | b'\t' | b'\r' | b'\n' | b';' | b'(' | b')' => break,
                b'\\' => self.escape()?,
                // `alpn="h2,h3"`: quotes inside a word keep its blanks together.
                b'"' => {
                    self.quoted()?;
                }
                _ => self.at += 1,
            }
        }
        Ok(Token {
            text: &self.text[start..self.at],
            quoted: false,
            place,
        })
    }

    fn quoted(&mut self) -> Result<Token<'t>, LexError> {
        let place = self.place();
        let unclosed = error(
            place,
            "this quote is never closed; write `\\\"` for the sign itself",
        );
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                None => return Err(unclosed),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                // A string may go on over lines.
                Some(b'\n') => self.newline(),
                Some(_) => self.at += 1,
            }
        }
        let text = &self.text[start..self.at];
        self.at += 1;
        Ok(Token {
            text,
            quoted: true,
            place,
        })
    }

    /// Passes `\X` or `\DDD`.
    fn escape(&mut self) -> Result<(), LexError> {
        let place = self.place();
        let bytes = match self.text.get(self.at + 1) {
            None | Some(b'\n') => {
                return Err(error(
                    place,
                    "nothing follows this `\\`; write `\\\\` for the sign itself",
                ));
            }
            Some(b'0'..=b'9') => 4,
            Some(_) => 2,
        };
        if unescape(&self.text[self.at..]).is_none() {
            return Err(error(
                place,
                "after `\\` stands a sign or three digits up to 255",
            ));
        }
        self.at += bytes;
        Ok(())
    }

    fn newline(&mut self) {
        self.at += 1;
        self.line = self.line.saturating_add(1);
        self.line_start = self.at;
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn place(&self) -> Place {
        Place {
            line: self.line,
            column: u32::try_from(self.at - self.line_start + 1).unwrap_or(u32::MAX),
        }
    }
}

/// The byte that an escape at the start of `text` means, and the escape's length.
pub(super) fn unescape(text: &[u8]) -> Option<(u8, usize)> {
    let digit = |at: usize| match text.get(at) {
        Some(digit @ b'0'..=b'9') => Some(u16::from(digit - b'0')),
        _ => None,
    };
    match text {
        [b'\\', b'0'..=b'9', ..] => {
            let value = digit(1)? * 100 + digit(2)? * 10 + digit(3)?;
            Some((u8::try_from(value).ok()?, 4))
        }
        [b'\\', sign, ..] => Some((*sign, 2)),
        _ => None,
    }
}

const fn error(place: Place, reason: &'static str) -> LexError {
    LexError { place, reason }
}
