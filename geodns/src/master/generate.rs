//! BIND's `$GENERATE first-last[/step] OWNER [TTL] [CLASS] TYPE DATA…`: one record for each number.
//!
//! In owner and data `$` is the number, `$$` and `\$` the sign itself, and
//! `${offset,width,base}` the number plus `offset`, padded with zeros to `width`, in base `d`
//! (decimal), `o`, `x`, `X`, or `n`, `N` (hexadecimal digits in reverse order with dots between, for
//! `ip6.arpa`).

use super::GENERATE_MAX;

/// The numbers of a range such as `1-10` or `0-100/2`.
pub(super) fn range(text: &[u8]) -> Result<impl Iterator<Item = u32> + use<>, String> {
    let shown = String::from_utf8_lossy(text);
    let wrong = || format!("`{shown}` is not a range such as `1-10` or `0-100/2`");
    let (bounds, step) = match shown.split_once('/') {
        Some((bounds, step)) => (bounds, step.parse::<u32>().map_err(|_| wrong())?),
        None => (&*shown, 1),
    };
    let (first, last) = bounds.split_once('-').ok_or_else(wrong)?;
    let first: u32 = first.parse().map_err(|_| wrong())?;
    let last: u32 = last.parse().map_err(|_| wrong())?;
    if step == 0 || first > last {
        return Err(wrong());
    }
    if (last - first) / step >= GENERATE_MAX {
        return Err(format!("`{shown}` makes more than {GENERATE_MAX} records"));
    }
    Ok((first..=last).step_by(step as usize))
}

/// A text for one number of the range.
pub(super) fn expand(text: &[u8], number: u32) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(text.len() + 8);
    let mut rest = text;
    while let Some(&byte) = rest.first() {
        let used = match (byte, rest.get(1)) {
            (b'\\', Some(b'$')) => {
                out.push(b'$');
                2
            }
            (b'\\', Some(escaped)) => {
                out.extend([b'\\', *escaped]);
                2
            }
            (b'$', Some(b'$')) => {
                out.push(b'$');
                2
            }
            (b'$', Some(b'{')) => {
                let end = rest.iter().position(|byte| *byte == b'}');
                let end = end.ok_or("`${` is never closed with `}`")?;
                let modifier = String::from_utf8_lossy(&rest[2..end]);
                out.extend(modified(&modifier, number)?.into_bytes());
                end + 1
            }
            (b'$', _) => {
                out.extend(number.to_string().into_bytes());
                1
            }
            (plain, _) => {
                out.push(plain);
                1
            }
        };
        rest = &rest[used..];
    }
    Ok(out)
}

/// Widest padding: a label has no more bytes.
const WIDTH_MAX: usize = 63;

fn modified(modifier: &str, number: u32) -> Result<String, String> {
    let wrong = || format!("`${{{modifier}}}` is not `${{offset,width,base}}`");
    let mut parts = modifier.split(',');
    let offset: i64 = parts.next().unwrap_or("0").parse().map_err(|_| wrong())?;
    let width: usize = parts.next().unwrap_or("0").parse().map_err(|_| wrong())?;
    let base = parts.next().unwrap_or("d");
    if parts.next().is_some() || width > WIDTH_MAX {
        return Err(wrong());
    }
    let value = i64::from(number).checked_add(offset).ok_or_else(wrong)?;
    let value = u64::try_from(value).map_err(|_| format!("`{modifier}` makes a number below 0"))?;
    Ok(match base {
        "d" => format!("{value:0width$}"),
        "o" => format!("{value:0width$o}"),
        "x" => format!("{value:0width$x}"),
        "X" => format!("{value:0width$X}"),
        "n" | "N" => {
            // The width counts the dots, too, as in BIND.
            let digits = width.div_ceil(2);
            let hex = match base {
                "n" => format!("{value:0digits$x}"),
                _ => format!("{value:0digits$X}"),
            };
            let reversed: Vec<String> = hex.chars().rev().map(String::from).collect();
            reversed.join(".")
        }
        _ => return Err(wrong()),
    })
}
