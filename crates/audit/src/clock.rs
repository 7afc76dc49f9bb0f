//! Times in words, without a calendar library.

use privity_api::Time;

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    // Years from March, so that the leap day is the last.
    let (year, month) = if month < 3 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5 + day - 1 - 719_468
}

/// `2026-09-01T14:03:11Z`; the number of seconds where a year has no four digits.
pub fn utc(time: Time) -> String {
    let (day, second) = (time.div_euclid(86_400), time.rem_euclid(86_400));
    // Within half a year of the right one.
    let mut year = 1970 + (day as f64 / 365.2425).floor() as i64;
    if !(0..=9998).contains(&year) {
        return format!("{time} s");
    }
    if day < days(year, 1, 1) {
        year -= 1;
    } else if day >= days(year + 1, 1, 1) {
        year += 1;
    }
    let month = (1..=12).rev().find(|month| day >= days(year, *month, 1)).unwrap_or(1);
    let date = day - days(year, month, 1) + 1;
    format!("{year:04}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}

/// Reads `2026-09-01` or `2026-09-01T14:03:11Z`.
pub fn parse(text: &str) -> Option<Time> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let numbers = |text: &str, by: char| -> Option<[i64; 3]> {
        let fine = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok()).flatten();
        text.split(by).map(fine).collect::<Option<Vec<i64>>>()?.try_into().ok()
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let fine = (0..=9998).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    let time = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    // A day that the month does not have, and an hour that the day does not have, come out as others.
    (fine && hour < 24 && minute < 60 && second < 60 && utc(time).starts_with(&date[..10.min(date.len())]))
        .then_some(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_there_and_back() {
        for (time, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(utc(time), text);
            assert_eq!(parse(text), Some(time));
        }
        for day in (-700_000..2_900_000i64).step_by(5) {
            let time = day * 86_400 + 3661;
            assert!(utc(time).ends_with(" s") || parse(&utc(time)) == Some(time), "{time}");
        }
        assert_eq!(parse("2026-09-01"), Some(days(2026, 9, 1) * 86_400));
        for wrong in ["2026-02-30", "2026-13-01", "2026-1", "", "2026-09-01T24:00:00Z", "+026-09-01", "x"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
        assert_eq!(utc(Time::MAX), format!("{} s", Time::MAX));
        assert_eq!(utc(Time::MIN), format!("{} s", Time::MIN));
    }
}
