//! A master file as a zone.

use std::collections::BTreeSet;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use meridian_topology::rdata::{Entry, Lexer, Place, Token, read};

use super::entry::{self, Head, TokenMistake};
use super::{
    FILE_BYTES_MAX, INCLUDE_DEPTH_MAX, INCLUDES_MAX, MISTAKES_MAX, MasterError, Mistake, generate,
};
use crate::wire::RType;
use crate::zone::{StaticZone, StaticZoneBuilder, ZoneError};

/// Reads a zone from a file; `$INCLUDE` reads files of `root` only. `origin` is what relative names
/// before the first `$ORIGIN` are relative to, a wire name. Also returns every file that was read:
/// a change of any of them changes the zone.
///
/// # Errors
/// [`MasterError`] with the first mistakes; the files are returned then, too.
pub fn read_file(
    path: &Path,
    root: &Path,
    origin: &[u8],
) -> (Result<StaticZone, MasterError>, BTreeSet<PathBuf>) {
    let mut reader = Reader::new(Some(root.to_owned()), origin);
    let shown = path.display().to_string();
    match read_bytes(path) {
        Ok(text) => {
            reader.files.insert(path.to_owned());
            reader.file(&shown, path.parent().unwrap_or(root), &text, 0);
        }
        Err(reason) => reader.mistake(&shown, None, None, reason),
    }
    let files = std::mem::take(&mut reader.files);
    (reader.finish(&shown), files)
}

/// Reads a zone from a text that includes no files; `name` is what mistakes call it.
///
/// # Errors
/// [`MasterError`] with the first mistakes.
pub fn read_text(name: &str, text: &[u8], origin: &[u8]) -> Result<StaticZone, MasterError> {
    let mut reader = Reader::new(None, origin);
    reader.file(name, Path::new(""), text, 0);
    reader.finish(name)
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot be opened: {error}"))?;
    file.take(FILE_BYTES_MAX + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| format!("cannot be read: {error}"))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(format!("is larger than {FILE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// A record before the SOA has said which zone it belongs to.
struct Early {
    owner: Vec<u8>,
    rtype: RType,
    ttl_seconds: Option<u32>,
    data: Vec<u8>,
}

struct Reader {
    root: Option<PathBuf>,
    origin: Vec<u8>,
    /// `$TTL`, else the TTL stated last (RFC 1035 §5.1), else the SOA's MINIMUM.
    ttl_directive: Option<u32>,
    ttl_last: Option<u32>,
    ttl_minimum: Option<u32>,
    owner: Option<Vec<u8>>,
    /// Made when the SOA is read.
    builder: Option<StaticZoneBuilder>,
    early: Vec<Early>,
    files: BTreeSet<PathBuf>,
    mistakes: Vec<Mistake>,
}

impl Reader {
    fn new(root: Option<PathBuf>, origin: &[u8]) -> Self {
        Self {
            root,
            origin: origin.to_vec(),
            ttl_directive: None,
            ttl_last: None,
            ttl_minimum: None,
            owner: None,
            builder: None,
            early: Vec::new(),
            files: BTreeSet::new(),
            mistakes: Vec::new(),
        }
    }

    fn finish(mut self, name: &str) -> Result<StaticZone, MasterError> {
        if self.builder.is_none() && self.mistakes.is_empty() {
            let reason = "has no SOA record; a zone begins with one".to_owned();
            self.mistake(name, None, None, reason);
        }
        let built = match self.builder.take() {
            Some(builder) if self.mistakes.is_empty() => builder.build(),
            _ => {
                return Err(MasterError {
                    mistakes: self.mistakes,
                });
            }
        };
        built.map_err(|error: ZoneError| {
            self.mistake(name, None, None, error.to_string());
            MasterError {
                mistakes: self.mistakes,
            }
        })
    }

    fn mistake(
        &mut self,
        file: &str,
        place: Option<Place>,
        field: Option<&'static str>,
        reason: String,
    ) {
        if self.mistakes.len() < MISTAKES_MAX {
            self.mistakes.push(Mistake {
                file: file.to_owned(),
                place: place.map(|place| (place.line, place.column)),
                field,
                reason,
            });
        }
    }

    /// Reads one file's text; goes on behind a mistake to find the next.
    fn file(&mut self, name: &str, folder: &Path, text: &[u8], depth: usize) {
        let mut lexer = Lexer::new(text);
        while self.mistakes.len() < MISTAKES_MAX {
            match lexer.entry() {
                Ok(None) => return,
                Ok(Some(entry)) => {
                    if let Err((at, field, reason)) = self.entry(&entry, name, folder, depth) {
                        self.mistake(name, place_of(&entry, at), Some(field), reason);
                    }
                }
                Err(error) => self.mistake(name, Some(error.place), None, error.reason.to_owned()),
            }
        }
    }

    fn entry(
        &mut self,
        entry: &Entry<'_>,
        name: &str,
        folder: &Path,
        depth: usize,
    ) -> Result<(), TokenMistake> {
        let tokens = &entry.tokens;
        let directive = match entry::head(entry)? {
            Head::Record(head) => {
                let owner = match head.owner {
                    Some(_) => entry::name(tokens, 0, "owner", &self.origin)?,
                    None => self.owner.clone().ok_or_else(|| {
                        let reason = "the first record needs an owner; write `@` for the origin";
                        (0, "owner", reason.to_owned())
                    })?,
                };
                self.owner = Some(owner);
                return self.record(head.ttl_seconds, head.rtype, tokens, head.tokens);
            }
            Head::Directive(directive) => directive,
        };
        match directive.as_str() {
            "ORIGIN" => self.origin = entry::name(tokens, 1, "$ORIGIN", &self.origin)?,
            "TTL" => {
                let ttl = tokens
                    .get(1)
                    .ok_or((1, "$TTL", "it is missing".to_owned()))?;
                let ttl = entry::ttl(ttl.text).map_err(|reason| (1, "$TTL", reason))?;
                self.ttl_directive = Some(ttl);
            }
            "INCLUDE" => self.include(tokens, folder, depth)?,
            "GENERATE" => self.generate(tokens)?,
            _ => {
                let reason =
                    format!("`${directive}` is none of $ORIGIN, $TTL, $INCLUDE, $GENERATE");
                return Err((0, "directive", reason));
            }
        }
        // A word too many is most often a comment without its `;`.
        let tokens_max = match directive.as_str() {
            "ORIGIN" | "TTL" => 2,
            "INCLUDE" => 3,
            _ => usize::MAX,
        };
        if tokens.len() > tokens_max {
            let reason = format!(
                "nothing may follow in a `${directive}` line of {name}; a comment begins with `;`"
            );
            return Err((tokens_max, "directive", reason));
        }
        Ok(())
    }

    /// A record of the owner at hand, whose data begins at token `from`.
    fn record(
        &mut self,
        ttl_seconds: Option<u32>,
        rtype: u16,
        tokens: &[Token<'_>],
        from: usize,
    ) -> Result<(), TokenMistake> {
        let data = read(rtype, &tokens[from..], &self.origin)
            .map_err(|error| (from + error.token, error.field, error.reason))?;
        let (rtype, owner) = (RType(rtype), self.owner.clone().unwrap_or_default());
        if let Some(ttl_seconds) = ttl_seconds {
            self.ttl_last = Some(ttl_seconds);
        }
        let ttl_seconds = ttl_seconds.or(self.ttl_directive).or(self.ttl_last);
        if rtype == RType::SOA && self.builder.is_none() {
            self.ttl_minimum = data
                .last_chunk()
                .map(|minimum| u32::from_be_bytes(*minimum));
            let mut builder = StaticZoneBuilder::new(&owner);
            for early in self.early.drain(..) {
                let ttl_seconds = early.ttl_seconds.or(self.ttl_minimum).unwrap_or(0);
                builder.record(&early.owner, early.rtype, ttl_seconds, &early.data);
            }
            self.builder = Some(builder);
        }
        match &mut self.builder {
            Some(builder) => {
                let ttl_seconds = ttl_seconds.or(self.ttl_minimum).unwrap_or(0);
                builder.record(&owner, rtype, ttl_seconds, &data);
            }
            None => self.early.push(Early {
                owner,
                rtype,
                ttl_seconds,
                data,
            }),
        }
        Ok(())
    }

    /// `$INCLUDE FILE [ORIGIN]`: origin and owner are as before behind it (RFC 1035 §5.1).
    fn include(
        &mut self,
        tokens: &[Token<'_>],
        folder: &Path,
        depth: usize,
    ) -> Result<(), TokenMistake> {
        let wrong = |at: usize, reason: String| (at, "$INCLUDE", reason);
        let file = tokens
            .get(1)
            .ok_or_else(|| wrong(1, "it names no file".into()))?;
        let file = std::str::from_utf8(file.text)
            .map_err(|_| wrong(1, "the file's name is not UTF-8".into()))?;
        if depth == INCLUDE_DEPTH_MAX {
            let reason = format!(
                "files include each other more than {INCLUDE_DEPTH_MAX} deep; is it a loop?"
            );
            return Err(wrong(1, reason));
        }
        if self.files.len() >= INCLUDES_MAX {
            return Err(wrong(
                1,
                format!("one zone reads at most {INCLUDES_MAX} files"),
            ));
        }
        let path = self
            .inside_root(&folder.join(file))
            .map_err(|reason| wrong(1, reason))?;
        let text = read_bytes(&path).map_err(|reason| wrong(1, format!("`{file}` {reason}")))?;
        let origin = match tokens.get(2) {
            Some(_) => entry::name(tokens, 2, "$INCLUDE", &self.origin)?,
            None => self.origin.clone(),
        };
        let before = (
            std::mem::replace(&mut self.origin, origin),
            self.owner.clone(),
        );
        self.files.insert(path.clone());
        let shown = path.display().to_string();
        self.file(&shown, path.parent().unwrap_or(folder), &text, depth + 1);
        (self.origin, self.owner) = before;
        Ok(())
    }

    /// The path without links and `..`, if it lies in the folder of the zones.
    fn inside_root(&self, path: &Path) -> Result<PathBuf, String> {
        let Some(root) = &self.root else {
            return Err("files cannot be included here".into());
        };
        let root = (root.canonicalize()).map_err(|error| format!("the zones' folder: {error}"))?;
        let real = (path.canonicalize())
            .map_err(|error| format!("`{}` cannot be opened: {error}", path.display()))?;
        if real.starts_with(&root) {
            Ok(real)
        } else {
            Err(format!(
                "`{}` lies outside of the zones' folder `{}`; move it inside",
                path.display(),
                root.display()
            ))
        }
    }

    /// `$GENERATE RANGE OWNER [TTL] [CLASS] TYPE DATA…`.
    fn generate(&mut self, tokens: &[Token<'_>]) -> Result<(), TokenMistake> {
        let missing = |at: usize| {
            (
                at,
                "$GENERATE",
                "it needs a range, an owner, a type and data".to_owned(),
            )
        };
        let range = tokens.get(1).ok_or_else(|| missing(1))?;
        let range = generate::range(range.text).map_err(|reason| (1, "$GENERATE", reason))?;
        let record = tokens
            .get(2..)
            .filter(|rest| rest.len() >= 3)
            .ok_or_else(|| missing(2))?;
        let head = entry::record_head(&record[1..])
            .map_err(|(at, field, reason)| (at + 3, field, reason))?;
        let before = self.owner.clone();
        for number in range {
            let mut texts = Vec::with_capacity(record.len());
            for (at, token) in record.iter().enumerate() {
                let text = generate::expand(token.text, number);
                texts.push(text.map_err(|reason| (at + 2, "$GENERATE", reason))?);
            }
            let expanded: Vec<Token<'_>> = record
                .iter()
                .zip(&texts)
                .map(|(token, text)| Token { text, ..*token })
                .collect();
            let owner = entry::name(&expanded, 0, "owner", &self.origin)
                .map_err(|(at, field, reason)| (at + 2, field, reason))?;
            self.owner = Some(owner);
            self.record(head.ttl_seconds, head.rtype, &expanded, 1 + head.tokens)
                .map_err(|(at, field, reason)| (at + 2, field, reason))?;
        }
        self.owner = before;
        Ok(())
    }
}

/// The place of a token, or of the entry's last when one is missing.
fn place_of(entry: &Entry<'_>, token: usize) -> Option<Place> {
    let token = entry.tokens.get(token).or(entry.tokens.last())?;
    Some(token.place)
}
