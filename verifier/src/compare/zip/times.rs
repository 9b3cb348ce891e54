// SPDX-License-Identifier: Apache-2.0
//! The times of one header: MS-DOS's own, and those in extra fields.

use super::entry::Item;
use super::records::{self, Common, Reader};

/// Info-ZIP's extended timestamp: Unix seconds.
const EXTENDED: u16 = 0x5455;
/// Info-ZIP's older Unix field: Unix seconds, then owners.
const OLD_UNIX: u16 = 0x5855;
/// NTFS: tenths of microseconds since 1601.
const NTFS: u16 = 0x000a;

/// Every time in a header, and its extra field with zeros where times were.
///
/// Which bytes are times depends on bytes that are left as they are, so nothing is lost between the two.
pub(super) fn split(extra: &[u8], common: &Common, local: bool) -> (Vec<Item>, Vec<u8>) {
    let mut items = vec![Item::text("", local, dos(common.date, common.time))];
    let (fields, rest) = records::fields(extra);
    let mut masked = Vec::with_capacity(extra.len());
    for (index, (id, data)) in fields.iter().enumerate() {
        let len = u16::try_from(data.len()).unwrap_or(u16::MAX);
        masked.extend_from_slice(&id.to_le_bytes());
        masked.extend_from_slice(&len.to_le_bytes());
        let times = match *id {
            EXTENDED => extended(data),
            OLD_UNIX => old_unix(data),
            NTFS => ntfs(data),
            _ => None,
        };
        let Some(times) = times else {
            masked.extend_from_slice(data);
            continue;
        };
        let (before, after) = (data.get(..times.start), data.get(times.start + times.len..));
        masked.extend_from_slice(before.unwrap_or_default());
        masked.resize(masked.len() + times.len, 0);
        masked.extend_from_slice(after.unwrap_or_default());
        let earlier = fields.iter().take(index).filter(|(other, _)| other == id).count();
        // Two fields of one kind in a header are told apart by a number.
        let number = if earlier == 0 { String::new() } else { format!(" {}", earlier + 1) };
        for (what, time) in times.values {
            let label = format!("{}{number}, {what}", times.name);
            items.push(Item::text(&label, local, time));
        }
    }
    masked.extend_from_slice(rest);
    (items, masked)
}

/// The times in one extra field: `len` bytes from `start` on.
struct Times {
    name: &'static str,
    start: usize,
    len: usize,
    values: Vec<(&'static str, String)>,
}

/// MS-DOS's time of an entry, taken as UTC, in seconds since 1970; `None` where there is no such time.
pub(super) fn utc(common: &Common) -> Option<u64> {
    let time: jiff::civil::DateTime = dos(common.date, common.time).parse().ok()?;
    u64::try_from(time.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second()).ok()
}

/// `2024-12-04 17:35:36`, as it is written, without a time zone; what is out of range is shown as it is.
fn dos(date: u16, time: u16) -> String {
    let (year, month, day) = (1980 + (date >> 9), date >> 5 & 0xf, date & 0x1f);
    let (hour, minute, second) = (time >> 11, time >> 5 & 0x3f, (time & 0x1f) * 2);
    format!("{year}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

fn extended(data: &[u8]) -> Option<Times> {
    let mut reader = Reader::new(data);
    let flags = reader.take(1)?.first().copied()?;
    let names = ["modified", "accessed", "created"].into_iter().zip([1, 2, 4]);
    let mut values = Vec::new();
    // The central directory's field has the flags of all, but no more than the first.
    for (name, _) in names.filter(|(_, bit)| flags & bit != 0) {
        if reader.is_empty() {
            break;
        }
        values.push((name, unix(reader.u32()?)));
    }
    reader.is_empty().then_some(Times { name: "extended timestamp", start: 1, len: data.len() - 1, values })
}

fn old_unix(data: &[u8]) -> Option<Times> {
    let mut reader = Reader::new(data);
    let values = vec![("accessed", unix(reader.u32()?)), ("modified", unix(reader.u32()?))];
    Some(Times { name: "Unix times", start: 0, len: 8, values })
}

fn ntfs(data: &[u8]) -> Option<Times> {
    let mut reader = Reader::new(data);
    reader.u32()?;
    if (reader.u16()?, reader.u16()?, reader.len()) != (1, 24, 24) {
        return None;
    }
    let mut values = Vec::new();
    for name in ["modified", "accessed", "created"] {
        values.push((name, filetime(reader.u64()?)));
    }
    Some(Times { name: "NTFS times", start: 8, len: 24, values })
}

fn unix(seconds: u32) -> String {
    // The field is signed.
    let seconds = i64::from(seconds.cast_signed());
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("{seconds} s"), |time| time.to_string())
}

fn filetime(ticks: u64) -> String {
    const TO_UNIX: i128 = 116_444_736_000_000_000;
    let nanoseconds = (i128::from(ticks) - TO_UNIX) * 100;
    jiff::Timestamp::from_nanosecond(nanoseconds).map_or_else(|_| format!("tick {ticks}"), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::entry::Value;
    use super::*;

    fn split_extra(extra: &[u8]) -> (Vec<(String, String)>, Vec<u8>) {
        let mut header = b"PK\x03\x04".to_vec();
        header.extend([0; 26]);
        header[28] = u8::try_from(extra.len()).unwrap();
        header.extend_from_slice(extra);
        let local = records::Local::read(&mut Reader::new(&header)).unwrap();
        let (items, masked) = split(local.extra, &local.common, true);
        let text = |value| if let Value::Text(text) = value { text } else { panic!() };
        (items.into_iter().skip(1).map(|item| (item.label, text(item.value))).collect(), masked)
    }

    #[test]
    fn dos_times_are_shown_as_they_are() {
        assert_eq!(dos((2024 - 1980) << 9 | 12 << 5 | 4, 17 << 11 | 35 << 5 | 18), "2024-12-04 17:35:36");
        assert_eq!(dos(0, 0), "1980-00-00 00:00:00");
        assert_eq!(dos(u16::MAX, u16::MAX), "2107-15-31 31:63:62");
    }

    #[test]
    fn times_in_extra_fields() {
        let (times, masked) = split_extra(b"UT\x09\0\x03\x01\0\0\0\xff\xff\xff\xffxx\x01\0y");
        let expected = [
            ("extended timestamp, modified", "1970-01-01T00:00:01Z"),
            ("extended timestamp, accessed", "1969-12-31T23:59:59Z"),
        ];
        assert_eq!(times, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
        assert_eq!(masked, b"UT\x09\0\x03\0\0\0\0\0\0\0\0xx\x01\0y");

        let ntfs = [b"\x0a\0\x20\0\0\0\0\0\x01\0\x18\0".as_slice(), &[0xff; 24]].concat();
        let (times, masked) = split_extra(&ntfs);
        assert_eq!((times.len(), times[0].1.as_str()), (3, "tick 18446744073709551615"));
        assert_eq!(masked[12..], [0; 24]);
    }

    #[test]
    fn what_only_looks_like_times_stays() {
        for extra in [&b"UT\x08\0\x03\x01\0\0\0\xff\xff\xff"[..], b"UT\x09\0\x01\x01\0\0\0\xff\xff\xff\xff", b"UT\xff"]
        {
            assert_eq!(split_extra(extra), (vec![], extra.to_vec()));
        }
    }
}
