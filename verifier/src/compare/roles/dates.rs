// SPDX-License-Identifier: Apache-2.0
//! Dates as programs write them.

const DAYS: [&[u8]; 7] = [b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun"];
const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

/// Whether this is a date as `java.util.Date` writes it: `Mon Jan 02 15:04:05 UTC 2006`.
pub(super) fn is_of_java(text: &[u8]) -> bool {
    let mut parts = text.split(|byte| *byte == b' ');
    let mut next = || parts.next().unwrap_or_default();
    let is_date = DAYS.contains(&next())
        && MONTHS.contains(&next())
        && is_like(next(), b"00")
        && is_like(next(), b"00:00:00")
        && is_zone(next())
        && is_like(next(), b"0000");
    is_date && parts.next().is_none()
}

/// Whether `text` has the form, in which each `0` stands for a digit, and all else for itself.
pub(in crate::compare) fn is_like(text: &[u8], form: &[u8]) -> bool {
    let fits = |(byte, form): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { byte == form };
    text.len() == form.len() && text.iter().zip(form).all(fits)
}

/// A time zone by its short name, or by its distance.
fn is_zone(text: &[u8]) -> bool {
    let distance = text.strip_prefix(b"GMT").unwrap_or(text);
    let distance = distance.strip_prefix(b"+").or_else(|| distance.strip_prefix(b"-"));
    match distance {
        Some(distance) => [&b"00"[..], b"0000", b"00:00"].iter().any(|form| is_like(distance, form)),
        None => (1..=5).contains(&text.len()) && text.iter().all(u8::is_ascii_alphabetic),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_java_writes_is_a_date_and_nothing_else() {
        for zone in ["UTC", "CEST", "GMT+02:00", "GMT-09:30", "+03", "-0330", "Z"] {
            assert!(is_of_java(format!("Fri Nov 27 07:42:06 {zone} 2026").as_bytes()), "{zone}");
        }
        for no in [
            "",
            "Fri Nov 27 07:42:06 2026",
            "Fri Nov 27 07:42:06 UTC 2026 ",
            " Fri Nov 27 07:42:06 UTC 2026",
            "Fri Nov 27 07:42:06 UTC 02026",
            "Fri Nov 27 07:42 UTC 2026",
            "Fri Nov 7 07:42:06 UTC 2026",
            "Fre Nov 27 07:42:06 UTC 2026",
            "Fri Nov 27 07:42:06 secret 2026",
            "Fri Nov 27 07:42:06 +2:00 2026",
            "Fri Nov 27 07:42:06 GMT+ 2026",
        ] {
            assert!(!is_of_java(no.as_bytes()), "{no}");
        }
    }
}
