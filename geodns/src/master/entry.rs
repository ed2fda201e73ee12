//! One entry of a master file: a directive, or a record with its owner, TTL and class in any of the
//! orders and omissions that RFC 1035 §5.1 allows.

use meridian_topology::rdata::{Entry, Token, read_name, read_period, rtype_from_text};

/// Largest TTL (RFC 2181 §8).
pub(super) const TTL_MAX: u32 = i32::MAX as u32;

/// What an entry begins with.
pub(super) enum Head<'t> {
    /// `$ORIGIN` and the like, in upper case, without the `$`.
    Directive(String),
    /// A record.
    Record(RecordHead<'t>),
}

/// A record without its data.
pub(super) struct RecordHead<'t> {
    /// The owner as written; none means that of the record before.
    pub(super) owner: Option<&'t Token<'t>>,
    pub(super) ttl_seconds: Option<u32>,
    pub(super) rtype: u16,
    /// How many tokens stand before the data.
    pub(super) tokens: usize,
}

/// A mistake at a token: its number, the field, and what is wrong.
pub(super) type TokenMistake = (usize, &'static str, String);

pub(super) fn head<'t>(entry: &'t Entry<'t>) -> Result<Head<'t>, TokenMistake> {
    let tokens = &entry.tokens;
    if !entry.indented
        && let Some(first) = tokens.first()
        && !first.quoted
        && let [b'$', directive @ ..] = first.text
    {
        let directive = String::from_utf8_lossy(directive).to_ascii_uppercase();
        return Ok(Head::Directive(directive));
    }
    let owner = (!entry.indented).then(|| tokens.first()).flatten();
    let start = usize::from(owner.is_some());
    let mut head = record_head(&tokens[start..]).map_err(|(at, field, reason)| {
        // The commonest mistake: a blank is missing or one too many before the owner.
        let hint = match entry.indented {
            true => "; this line begins with a blank, so it continues the owner above",
            false => "",
        };
        (at + start, field, format!("{reason}{hint}"))
    })?;
    head.tokens += start;
    head.owner = owner;
    Ok(Head::Record(head))
}

/// TTL and class in either order, each at most once, then the type.
pub(super) fn record_head<'t>(tokens: &[Token<'_>]) -> Result<RecordHead<'t>, TokenMistake> {
    let mut ttl_seconds = None;
    let mut has_class = false;
    for (at, token) in tokens.iter().enumerate() {
        let text = String::from_utf8_lossy(token.text);
        if token.quoted {
            return Err((at, "type", "a record type does not stand in quotes".into()));
        }
        if ttl_seconds.is_none() && text.starts_with(|c: char| c.is_ascii_digit()) {
            ttl_seconds = Some(ttl(token.text).map_err(|reason| (at, "TTL", reason))?);
            continue;
        }
        if !has_class && is_class(&text).map_err(|reason| (at, "class", reason))? {
            has_class = true;
            continue;
        }
        let rtype = rtype_from_text(&text).ok_or_else(|| {
            let reason = format!(
                "`{text}` is not a record type; unknown ones are written `TYPE65280` (RFC 3597)"
            );
            (at, "type", reason)
        })?;
        return Ok(RecordHead {
            owner: None,
            ttl_seconds,
            rtype,
            tokens: at + 1,
        });
    }
    Err((tokens.len(), "type", "the record has no type".into()))
}

/// A TTL from its text.
pub(super) fn ttl(text: &[u8]) -> Result<u32, String> {
    let shown = String::from_utf8_lossy(text);
    match read_period(text) {
        Some(seconds) if seconds <= TTL_MAX => Ok(seconds),
        Some(_) => Err(format!(
            "`{shown}` is more than {TTL_MAX} seconds (RFC 2181)"
        )),
        None => Err(format!("`{shown}` is not a time such as `3600` or `1h30m`")),
    }
}

/// Whether a word is the class IN; other classes are an error.
fn is_class(text: &str) -> Result<bool, String> {
    let upper = text.to_ascii_uppercase();
    match upper.as_str() {
        "IN" | "CLASS1" => Ok(true),
        "CH" | "HS" | "CS" | "NONE" | "ANY" => {
            Err(format!("only class IN is served, not `{text}`"))
        }
        other
            if other
                .strip_prefix("CLASS")
                .is_some_and(|n| n.parse::<u16>().is_ok()) =>
        {
            Err(format!("only class IN is served, not `{text}`"))
        }
        _ => Ok(false),
    }
}

/// A name from a token.
pub(super) fn name(
    tokens: &[Token<'_>],
    at: usize,
    field: &'static str,
    origin: &[u8],
) -> Result<Vec<u8>, TokenMistake> {
    let token = tokens
        .get(at)
        .ok_or_else(|| (at, field, "it is missing".to_owned()))?;
    read_name(token.text, origin).map_err(|reason| (at, field, reason))
}
