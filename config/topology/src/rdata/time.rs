//! Spans of time with units, and the times of signatures.

const DAY_SECONDS: i64 = 86_400;

/// Seconds from a number, or from numbers with units: `90`, `1h30m`, `2W`. `None` for anything
/// else, and beyond 32 bits.
#[must_use]
pub fn read_period(text: &[u8]) -> Option<u32> {
    let mut total: u32 = 0;
    let mut number: Option<u32> = None;
    let mut has_units = false;
    for byte in text {
        if byte.is_ascii_digit() {
            let digit = u32::from(byte - b'0');
            number = Some(number.unwrap_or(0).checked_mul(10)?.checked_add(digit)?);
            continue;
        }
        let unit = match byte.to_ascii_lowercase() {
            b's' => 1,
            b'm' => 60,
            b'h' => 3_600,
            b'd' => 86_400,
            b'w' => 604_800,
            _ => return None,
        };
        total = total.checked_add(number.take()?.checked_mul(unit)?)?;
        has_units = true;
    }
    match number {
        None if has_units => Some(total),
        None => None,
        // `1h30` would leave open what the 30 are.
        Some(_) if has_units => None,
        Some(seconds) => Some(seconds),
    }
}

/// Seconds since 1970 from `YYYYMMDDHHmmSS` in UTC, or from the number itself (RFC 4034 section
/// 3.2). Beyond 2106 the count starts again, as on the wire.
pub(super) fn read_time(text: &[u8]) -> Option<u32> {
    let digits = std::str::from_utf8(text).ok()?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if digits.len() != 14 {
        return digits.parse().ok();
    }
    let part = |from: usize, to: usize| digits[from..to].parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    let fits = (1..=12).contains(&month) && (1..=31).contains(&day);
    if !fits || hour > 23 || minute > 59 || second > 60 || year < 1970 {
        return None;
    }
    let seconds =
        days_since_1970(year, month, day) * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
    Some(seconds as u32)
}

/// The time as `YYYYMMDDHHmmSS`, of the years 1970 to 2106.
pub(super) fn write_time(seconds: u32) -> String {
    let (days, rest) = (
        i64::from(seconds) / DAY_SECONDS,
        i64::from(seconds) % DAY_SECONDS,
    );
    let (year, month, day) = date_of(days);
    let (hour, minute, second) = (rest / 3_600, rest / 60 % 60, rest % 60);
    format!("{year:04}{month:02}{day:02}{hour:02}{minute:02}{second:02}")
}

/// Howard Hinnant's `days_from_civil`: years begin in March, so that a leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + of_era - 719_468
}

/// Its inverse, `civil_from_days`.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day)
}
