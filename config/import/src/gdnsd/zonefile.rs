//! gdnsd's zone files (gdnsd.zonefile(5)): master files with `@Z`, `@F`, DYNA and DYNC.
//!
//! Every record comes out with its absolute owner, its TTL and its data as text with absolute names,
//! so that nothing depends on `$ORIGIN` or `$INCLUDE` any more.

use std::path::Path;
use std::sync::Arc;

use super::{ImportError, read_text};
use crate::note::{At, Notes};

/// Files that include each other, at most.
const INCLUDES_MAX: usize = 16;

/// A zone as it was read.
#[derive(Debug)]
pub(super) struct ZoneText {
    /// Its apex without the final dot.
    pub(super) name: String,
    pub(super) at: At,
    pub(super) records: Vec<Record>,
    pub(super) dynamic: Vec<Dynamic>,
}

/// A static record.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) at: At,
    /// Absolute, without the final dot.
    pub(super) owner: String,
    pub(super) ttl: u32,
    /// In capitals.
    pub(super) rtype: String,
    /// The words of its data; names in it are absolute, with the final dot.
    pub(super) data: Vec<Word>,
}

/// A DYNA or DYNC record.
#[derive(Debug)]
pub(super) struct Dynamic {
    pub(super) at: At,
    pub(super) owner: String,
    pub(super) ttl_max: u32,
    /// DYNC: the answer may be a name.
    pub(super) may_be_name: bool,
    pub(super) plugin: String,
    /// What stands behind the `!`.
    pub(super) resource: String,
}

/// A word of a line, escapes left as they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) quoted: bool,
}

/// Reads one zone.
pub(super) fn read(
    name: &str,
    path: &Path,
    ttl_default: u32,
    notes: &mut Notes,
) -> Result<ZoneText, ImportError> {
    let zone = name.trim_end_matches('.').to_lowercase();
    let mut reader = Reader {
        zone: ZoneText {
            name: zone.clone(),
            at: At {
                file: path.to_string_lossy().into(),
                line: 1,
            },
            records: Vec::new(),
            dynamic: Vec::new(),
        },
        notes,
    };
    reader.file(path, &format!("{zone}."), ttl_default, 0)?;
    Ok(reader.zone)
}

struct Reader<'n> {
    zone: ZoneText,
    notes: &'n mut Notes,
}

/// What a file carries from line to line.
struct Context {
    /// The origin that the file began with: `@F`.
    file_origin: String,
    origin: String,
    ttl: u32,
    owner: Option<String>,
}

impl Reader<'_> {
    fn file(
        &mut self,
        path: &Path,
        origin: &str,
        ttl: u32,
        depth: usize,
    ) -> Result<(), ImportError> {
        let text = read_text(path)?;
        let file: Arc<str> = path.to_string_lossy().into();
        let mut context = Context {
            file_origin: origin.to_owned(),
            origin: origin.to_owned(),
            ttl,
            owner: None,
        };
        for line in Lines::of(&text, &file) {
            let line = line?;
            self.line(path, &mut context, &line, depth)?;
        }
        Ok(())
    }

    fn line(
        &mut self,
        path: &Path,
        context: &mut Context,
        line: &Line,
        depth: usize,
    ) -> Result<(), ImportError> {
        let wrong = |text: String| ImportError::Syntax {
            at: line.at.clone(),
            text,
        };
        let Some(first) = line.words.first() else {
            return Ok(());
        };
        let argument = |at: usize| {
            let word = line.words.get(at).map(|word| word.text.as_str());
            word.ok_or_else(|| wrong(format!("`{}` without a value", first.text)))
        };
        match first.text.to_ascii_uppercase().as_str() {
            "$TTL" => {
                context.ttl = seconds(argument(1)?).ok_or_else(|| wrong("no TTL".into()))?;
            }
            "$ORIGIN" => context.origin = self.absolute(argument(1)?, context),
            "$INCLUDE" => {
                if depth >= INCLUDES_MAX {
                    return Err(wrong(format!(
                        "more than {INCLUDES_MAX} files inside each other"
                    )));
                }
                let folder = path.parent().unwrap_or_else(|| Path::new("."));
                let origin = match line.words.get(2) {
                    Some(origin) => self.absolute(&origin.text, context),
                    None => context.origin.clone(),
                };
                self.file(&folder.join(argument(1)?), &origin, context.ttl, depth + 1)?;
            }
            directive if directive.starts_with('$') => {
                return Err(wrong(format!("gdnsd has no `{directive}`")));
            }
            _ => self.record(context, line).map_err(wrong)?,
        }
        Ok(())
    }

    fn record(&mut self, context: &mut Context, line: &Line) -> Result<(), String> {
        let mut words = line.words.as_slice();
        if !line.indented {
            let (owner, rest) = words.split_first().ok_or("an empty line")?;
            context.owner = Some(self.absolute(&owner.text, context));
            words = rest;
        }
        let owner = context
            .owner
            .clone()
            .ok_or("the first record has no owner")?;
        let owner = owner.trim_end_matches('.').to_owned();
        let (mut ttl, mut dyn_ttl) = (context.ttl, None);
        // TTL and class stand in either order.
        while let Some((word, rest)) = words.split_first() {
            let text = word.text.as_str();
            if text.eq_ignore_ascii_case("IN") {
            } else if let Some((max, min)) = text.split_once('/')
                && let (Some(max), Some(min)) = (seconds(max), seconds(min))
            {
                dyn_ttl = Some((max, min));
            } else if let Some(given) = seconds(text) {
                ttl = given;
            } else {
                break;
            }
            words = rest;
        }
        let (rtype, data) = words.split_first().ok_or("a record without a type")?;
        let rtype = rtype.text.to_ascii_uppercase();
        if matches!(rtype.as_str(), "DYNA" | "DYNC") {
            return self.dynamic(line, owner, (ttl, dyn_ttl), rtype == "DYNC", data);
        }
        if dyn_ttl.is_some() {
            return Err(format!("only DYNA and DYNC have two TTLs, not {rtype}"));
        }
        if !owner_is_within(&owner, &self.zone.name) {
            return Err(format!("`{owner}` lies outside of {}", self.zone.name));
        }
        let names = names_in(&rtype);
        let mut data: Vec<Word> = data.to_vec();
        for at in names {
            let word = data
                .get_mut(*at)
                .ok_or_else(|| format!("{rtype} is too short"))?;
            word.text = self.absolute(&word.text, context);
        }
        if rtype == "SOA" {
            // Its numbers may have units.
            for word in data.iter_mut().skip(3) {
                let number = seconds(&word.text).ok_or("a bad number in the SOA")?;
                word.text = number.to_string();
            }
        }
        self.zone.records.push(Record {
            at: line.at.clone(),
            owner,
            ttl,
            rtype,
            data,
        });
        Ok(())
    }

    fn dynamic(
        &mut self,
        line: &Line,
        owner: String,
        (ttl, both): (u32, Option<(u32, u32)>),
        may_be_name: bool,
        data: &[Word],
    ) -> Result<(), String> {
        let [word] = data else {
            return Err("DYNA and DYNC name one resource".into());
        };
        let (plugin, resource) = word.text.split_once('!').unwrap_or((&word.text, ""));
        let (ttl_max, ttl_min) = both.unwrap_or((ttl, ttl / 2));
        if both.is_some_and(|(max, min)| min < max) {
            self.notes.check(
                &line.at,
                format!("{owner}: TTLs between {ttl_min} and {ttl_max} s by the monitor's state become {ttl_max} s, and at most `dns.failover_ttl` while a stand-in answers"),
            );
        }
        self.zone.dynamic.push(Dynamic {
            at: line.at.clone(),
            owner,
            ttl_max,
            may_be_name,
            plugin: plugin.to_owned(),
            resource: resource.to_owned(),
        });
        Ok(())
    }

    /// An absolute name with its final dot.
    fn absolute(&self, name: &str, context: &Context) -> String {
        let zone = format!("{}.", self.zone.name);
        let special = |mark: &str, origin: &str| {
            let rest = name.strip_suffix(mark)?;
            match rest {
                "" => Some(origin.to_owned()),
                rest => rest
                    .strip_suffix('.')
                    .map(|rest| format!("{rest}.{origin}")),
            }
        };
        let found = if name == "@" {
            context.origin.clone()
        } else if let Some(found) = special("@Z", &zone) {
            found
        } else if let Some(found) = special("@F", &context.file_origin) {
            found
        } else if name.ends_with('.') {
            name.to_owned()
        } else if context.origin == "." {
            format!("{name}.")
        } else {
            format!("{name}.{}", context.origin)
        };
        found.to_lowercase()
    }
}

impl ZoneText {
    /// The records of one type at the apex.
    pub(super) fn apex(&self, rtype: &str) -> impl Iterator<Item = &Record> {
        self.records
            .iter()
            .filter(move |record| record.rtype == rtype && record.owner == self.name)
    }
}

fn owner_is_within(owner: &str, zone: &str) -> bool {
    owner == zone
        || owner
            .strip_suffix(zone)
            .is_some_and(|rest| rest.ends_with('.'))
}

/// Which words of a type's data are names. These are all the types that gdnsd knows names in.
fn names_in(rtype: &str) -> &'static [usize] {
    match rtype {
        "NS" | "CNAME" | "PTR" => &[0],
        "MX" => &[1],
        "SRV" => &[3],
        "NAPTR" => &[5],
        "SOA" => &[0, 1],
        _ => &[],
    }
}

/// `300`, `30M`, `1h30m`.
fn seconds(text: &str) -> Option<u32> {
    let (mut all, mut number, mut digits) = (0_u32, 0_u32, false);
    for c in text.chars() {
        if let Some(digit) = c.to_digit(10) {
            number = number.checked_mul(10)?.checked_add(digit)?;
            digits = true;
            continue;
        }
        let unit = match c.to_ascii_lowercase() {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        if !std::mem::replace(&mut digits, false) {
            return None;
        }
        all = all.checked_add(number.checked_mul(unit)?)?;
        number = 0;
    }
    // A number behind the last unit is in seconds.
    let some = digits || all > 0;
    some.then(|| all.checked_add(number)).flatten()
}

/// One record or directive, over as many lines as its parentheses span.
struct Line {
    at: At,
    /// Whether it begins with white space: the owner is the one before.
    indented: bool,
    words: Vec<Word>,
}

/// Cuts a text into [`Line`]s.
struct Lines<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    file: &'a Arc<str>,
    line: usize,
}

impl<'a> Lines<'a> {
    fn of(text: &'a str, file: &'a Arc<str>) -> Self {
        Self {
            rest: text.chars().peekable(),
            file,
            line: 1,
        }
    }

    fn place(&self) -> At {
        At {
            file: Arc::clone(self.file),
            line: self.line,
        }
    }

    fn word(&mut self) -> Result<Word, ImportError> {
        let quoted = self.rest.next_if_eq(&'"').is_some();
        let mut text = String::new();
        loop {
            match self.rest.peek().copied() {
                Some('\\') => {
                    text.extend(self.rest.next());
                    text.extend(self.rest.next());
                }
                Some('"') if quoted => {
                    self.rest.next();
                    break;
                }
                None | Some('\n') if quoted => {
                    return Err(ImportError::Syntax {
                        at: self.place(),
                        text: "a `\"` is missing".into(),
                    });
                }
                Some(c) if quoted || !(c.is_whitespace() || matches!(c, ';' | '(' | ')' | '"')) => {
                    text.extend(self.rest.next());
                }
                _ => break,
            }
        }
        Ok(Word { text, quoted })
    }

    /// One record up to the end of its line; `None` at the end of the text.
    fn record(&mut self) -> Result<Option<Line>, ImportError> {
        if self.rest.peek().is_none() {
            return Ok(None);
        }
        let mut line = Line {
            at: self.place(),
            indented: self.rest.peek().is_some_and(|c| c.is_whitespace()),
            words: Vec::new(),
        };
        let mut open = false;
        while let Some(c) = self.rest.peek().copied() {
            match c {
                '\n' => {
                    self.rest.next();
                    self.line += 1;
                    if !open {
                        return Ok(Some(line));
                    }
                }
                ';' => while self.rest.next_if(|c| *c != '\n').is_some() {},
                '(' | ')' => {
                    self.rest.next();
                    open = c == '(';
                }
                c if c.is_whitespace() => {
                    self.rest.next();
                }
                _ => line.words.push(self.word()?),
            }
        }
        if open {
            return Err(ImportError::Syntax {
                at: line.at,
                text: "a `)` is missing".into(),
            });
        }
        Ok(Some(line))
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<Line, ImportError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.record().transpose()
    }
}
