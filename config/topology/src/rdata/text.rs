//! Names and character strings between text and wire form.

use std::fmt::Write as _;

use super::lex::unescape;
use super::{LABEL_BYTES_MAX, NAME_BYTES_MAX, STRING_BYTES_MAX};

/// A name in wire form from its text; one without a final dot is relative to `origin`, which is in
/// wire form. Upper and lower case stay as written.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_name(text: &[u8], origin: &[u8]) -> Result<Vec<u8>, String> {
    match text {
        b"@" => return Ok(origin.to_vec()),
        b"." => return Ok(vec![0]),
        b"" => return Err("a name may not be empty; the root is `.`".into()),
        _ => {}
    }
    let shown = || String::from_utf8_lossy(text).into_owned();
    let mut name = Vec::with_capacity(text.len() + origin.len() + 1);
    let mut label = Vec::with_capacity(LABEL_BYTES_MAX);
    let mut rest = text;
    let mut absolute = false;
    while let Some(&byte) = rest.first() {
        if byte == b'.' {
            if label.is_empty() {
                return Err(format!("`{}` has a dot too many", shown()));
            }
            push_label(&mut name, &mut label)?;
            absolute = rest.len() == 1;
            rest = &rest[1..];
            continue;
        }
        let (byte, bytes) = match byte {
            b'\\' => unescape(rest).ok_or_else(|| format!("`{}` has a bad escape", shown()))?,
            plain => (plain, 1),
        };
        label.push(byte);
        rest = &rest[bytes..];
    }
    if absolute {
        name.push(0);
    } else {
        push_label(&mut name, &mut label)?;
        name.extend_from_slice(origin);
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(format!(
            "`{}` is {} bytes long; a name has at most {NAME_BYTES_MAX}",
            shown(),
            name.len()
        ));
    }
    Ok(name)
}

fn push_label(name: &mut Vec<u8>, label: &mut Vec<u8>) -> Result<(), String> {
    if label.len() > LABEL_BYTES_MAX {
        return Err(format!(
            "the label `{}` has {} bytes; at most {LABEL_BYTES_MAX} are allowed",
            String::from_utf8_lossy(label),
            label.len()
        ));
    }
    name.push(label.len() as u8);
    name.append(label);
    Ok(())
}

/// The bytes of a character string from its text.
///
/// # Errors
/// What is wrong with it, in words.
pub fn read_character_string(text: &[u8]) -> Result<Vec<u8>, String> {
    let bytes = unescape_all(text)?;
    if bytes.len() > STRING_BYTES_MAX {
        return Err(format!(
            "a string has at most {STRING_BYTES_MAX} bytes, this one has {}; split it into several",
            bytes.len()
        ));
    }
    Ok(bytes)
}

/// The bytes of a text with escapes, whatever their number.
pub(super) fn unescape_all(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        let (byte, used) = match byte {
            b'\\' => unescape(rest).ok_or("after `\\` stands a sign or three digits up to 255")?,
            plain => (plain, 1),
        };
        bytes.push(byte);
        rest = &rest[used..];
    }
    Ok(bytes)
}

/// Writes bytes as a quoted string.
pub(super) fn write_quoted(bytes: &[u8], to: &mut String) {
    to.push('"');
    for byte in bytes {
        match byte {
            b'"' | b'\\' => {
                to.push('\\');
                to.push(char::from(*byte));
            }
            b' '..=b'~' => to.push(char::from(*byte)),
            other => decimal(*other, to),
        }
    }
    to.push('"');
}

/// A wire name as absolute text.
#[must_use]
pub fn display_name(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    escape_name(name, &mut text);
    text
}

/// Writes a wire name as absolute text that reads back as the same name.
pub fn escape_name(name: &[u8], to: &mut String) {
    let mut rest = name;
    if rest.first().is_none_or(|length| *length == 0) {
        to.push('.');
        return;
    }
    while let Some((&length, after)) = rest.split_first()
        && length != 0
    {
        let (label, next) = after.split_at(usize::from(length).min(after.len()));
        for byte in label {
            match byte {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                    to.push('\\');
                    to.push(char::from(*byte));
                }
                b'!'..=b'~' => to.push(char::from(*byte)),
                other => decimal(*other, to),
            }
        }
        to.push('.');
        rest = next;
    }
}

fn decimal(byte: u8, to: &mut String) {
    // Writing into a string cannot fail.
    let _ = write!(to, "\\{byte:03}");
}
