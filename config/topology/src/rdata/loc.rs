//! Places on earth (RFC 1876): sixteen bytes and a line of degrees, minutes and metres.

use super::Token;

/// The equator and the prime meridian, in thousandths of an arc second.
const ORIGIN: i64 = 1 << 31;
/// The reference for altitudes lies this far below the ellipsoid, in centimetres.
const ALTITUDE_BASE: i64 = 10_000_000;
/// Size, horizontal and vertical precision when none are given: 1 m, 10 km, 10 m.
const PRECISIONS: [u8; 3] = [0x12, 0x16, 0x13];

/// Reads a whole location; the error is a token's number and what is wrong.
pub(super) fn read(tokens: &[Token<'_>]) -> Result<Vec<u8>, (usize, String)> {
    let words: Vec<&str> = tokens
        .iter()
        .map(|token| std::str::from_utf8(token.text).unwrap_or_default())
        .collect();
    let mut at = 0;
    let latitude = angle(&words, &mut at, 90, ["N", "S"])?;
    let longitude = angle(&words, &mut at, 180, ["E", "W"])?;
    let altitude = words.get(at).and_then(|word| centimetres(word));
    let altitude = altitude.ok_or((at, "an altitude such as `12.5m` is missing".to_owned()))?;
    let altitude = u32::try_from(altitude + ALTITUDE_BASE)
        .map_err(|_| (at, "the altitude is out of range".to_owned()))?;
    at += 1;
    let mut precisions = PRECISIONS;
    for precision in &mut precisions {
        let Some(word) = words.get(at) else { break };
        *precision = centimetres(word)
            .and_then(mantissa_and_exponent)
            .ok_or((at, format!("`{word}` is not a length such as `10m`")))?;
        at += 1;
    }
    if at < words.len() {
        return Err((at, "nothing may follow the precisions".to_owned()));
    }
    let mut data = vec![0];
    data.extend(precisions);
    for number in [latitude, longitude, altitude] {
        data.extend(number.to_be_bytes());
    }
    Ok(data)
}

fn angle(
    words: &[&str],
    at: &mut usize,
    degrees_max: i64,
    hemispheres: [&str; 2],
) -> Result<u32, (usize, String)> {
    let [plus, minus] = hemispheres;
    let mut parts = [0_i64; 3];
    let [degrees, minutes, thousandths] = &mut parts;
    let mut given = 0;
    loop {
        let word = words.get(*at).copied().unwrap_or_default();
        let here = *at;
        let wrong = || {
            let reason =
                format!("`{word}`: expected degrees, minutes, seconds, then `{plus}` or `{minus}`");
            (here, reason)
        };
        let sign = match word {
            word if given > 0 && word.eq_ignore_ascii_case(plus) => 1,
            word if given > 0 && word.eq_ignore_ascii_case(minus) => -1,
            word => {
                let (slot, scale, max) = match given {
                    0 => (&mut *degrees, 0, degrees_max),
                    1 => (&mut *minutes, 0, 59),
                    2 => (&mut *thousandths, 3, 59_999),
                    _ => return Err(wrong()),
                };
                *slot = decimal(word, scale)
                    .filter(|value| (0..=max).contains(value))
                    .ok_or_else(wrong)?;
                given += 1;
                *at += 1;
                continue;
            }
        };
        let total = (*degrees * 60 + *minutes) * 60_000 + *thousandths;
        if total > degrees_max * 3_600_000 {
            return Err(wrong());
        }
        *at += 1;
        return u32::try_from(ORIGIN + sign * total).map_err(|_| wrong());
    }
}

/// A decimal number with at most `places` digits behind the point, without the point.
fn decimal(word: &str, places: usize) -> Option<i64> {
    let (sign, word) = match word.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, word),
    };
    let (whole, fraction) = word.split_once('.').unwrap_or((word, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || whole.len() > 9 || fraction.len() > places {
        return None;
    }
    if !digits(whole) || !digits(fraction) {
        return None;
    }
    let padded = format!("{whole}{fraction:0<places$}");
    Some(sign * padded.parse::<i64>().ok()?)
}

fn centimetres(word: &str) -> Option<i64> {
    decimal(word.strip_suffix(['m', 'M']).unwrap_or(word), 2)
}

/// A length as one digit and a power of ten, four bits each.
fn mantissa_and_exponent(centimetres: i64) -> Option<u8> {
    let (mut mantissa, mut exponent) = (centimetres, 0_u8);
    while mantissa > 9 {
        mantissa /= 10;
        exponent += 1;
    }
    let mantissa = u8::try_from(mantissa).ok()?;
    (exponent <= 9).then_some(mantissa << 4 | exponent)
}

/// The text of sixteen bytes of version 0.
pub(super) fn write(data: &[u8; 16]) -> String {
    let number = |at: usize| {
        i64::from(u32::from_be_bytes([
            data[at],
            data[at + 1],
            data[at + 2],
            data[at + 3],
        ]))
    };
    let angle = |number: i64, [plus, minus]: [&str; 2]| {
        let hemisphere = if number < ORIGIN { minus } else { plus };
        let total = (number - ORIGIN).abs();
        let (degrees, minutes) = (total / 3_600_000, total / 60_000 % 60);
        let (seconds, thousandths) = (total / 1_000 % 60, total % 1_000);
        format!("{degrees} {minutes} {seconds}.{thousandths:03} {hemisphere}")
    };
    let metres = |centimetres: i64| {
        let sign = if centimetres < 0 { "-" } else { "" };
        let centimetres = centimetres.abs();
        format!("{sign}{}.{:02}m", centimetres / 100, centimetres % 100)
    };
    let precision = |byte: u8| metres(i64::from(byte >> 4) * 10_i64.pow(u32::from(byte & 0x0f)));
    format!(
        "{} {} {} {} {} {}",
        angle(number(4), ["N", "S"]),
        angle(number(8), ["E", "W"]),
        metres(number(12) - ALTITUDE_BASE),
        precision(data[1]),
        precision(data[2]),
        precision(data[3]),
    )
}

/// Whether sixteen bytes are a location that [`write`] can print and [`read`] gives back.
pub(super) fn is_well_formed(data: &[u8]) -> bool {
    let digits = |byte: u8| byte >> 4 <= 9 && byte & 0x0f <= 9;
    data.len() == 16 && data[0] == 0 && data[1..4].iter().all(|byte| digits(*byte))
}
