// SPDX-License-Identifier: Apache-2.0
//! Catalogues of gettext (GNU gettext manual, "The Format of GNU MO Files"), with the time at which the template was made.

use std::io;

use super::archive::{Archive, Data, Keys, Member};
use super::field::Group;
use super::format::Format;
use super::source::{Source, Span};

/// In either order of bytes.
pub(super) const MAGIC: [&[u8]; 2] = [b"\xde\x12\x04\x95", b"\x95\x04\x12\xde"];

/// The longest header of a catalogue, in bytes.
const MAX_HEADER: u64 = 64 << 10;
const DATE: &[u8] = b"POT-Creation-Date: ";

/// The date, and what is before and after it. The inner error: there is no header with a date.
pub(super) fn read(source: &Source<'_>) -> io::Result<Result<Archive, String>> {
    let none = || Ok(Err("it has no header with a date".to_owned()));
    let Some(header) = header(source)? else { return none() };
    let text = source.read(header)?;
    let starts = |at: usize| at.checked_sub(1).is_none_or(|before| text.get(before) == Some(&b'\n'));
    let mut places = text.windows(DATE.len()).enumerate();
    let Some((at, _)) = places.find(|(at, bytes)| *bytes == DATE && starts(*at)) else { return none() };
    let date = text.get(at + DATE.len()..).unwrap_or_default();
    let len = date.iter().position(|byte| *byte == b'\n').unwrap_or(date.len()) as u64;
    let start = header.start + (at + DATE.len()) as u64;
    let group = if is_date(date) { Group::Times } else { Group::Structure };
    let mut keys = Keys::default();
    let mut part = |name: &str, start, len, data_is| {
        let (head, tail) = (Span { start, len: 0 }, Span { start: start + len, len: 0 });
        Member { key: keys.of(name.as_bytes()), head, data: Span { start, len }, tail, data_is }
    };
    let members = vec![
        part("before the date", 0, start, Data::File),
        part("POT-Creation-Date", start, len, Data::Field(group)),
        part("after the date", start + len, source.len() - start - len, Data::File),
    ];
    let rest = Span { start: source.len(), len: 0 };
    Ok(Ok(Archive { format: Format::Mo, members, rest }))
}

/// Whether this line is a date, as gettext writes it.
fn is_date(text: &[u8]) -> bool {
    const FORM: &[u8] = b"0000-00-00 00:00+0000\n";
    let fits = |(byte, form): (&u8, &u8)| match form {
        b'0' => byte.is_ascii_digit(),
        b'+' => matches!(byte, b'+' | b'-'),
        other => byte == other,
    };
    text.len() >= FORM.len() && text.iter().zip(FORM).all(fits)
}

/// Where the header is: the translation of the empty text, which sorts first.
fn header(source: &Source<'_>) -> io::Result<Option<Span>> {
    if source.len() < 28 {
        return Ok(None);
    }
    let start = source.read(Span { start: 0, len: 28 })?;
    let is_little = start.starts_with(b"\xde");
    let number = |bytes: &[u8], at: usize| {
        let bytes: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
        Some(u64::from(if is_little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) }))
    };
    let pair = |table: Option<u64>| -> io::Result<Option<(u64, u64)>> {
        let Some(table) = table.filter(|table| table + 8 <= source.len()) else { return Ok(None) };
        let bytes = source.read(Span { start: table, len: 8 })?;
        Ok(number(&bytes, 0).zip(number(&bytes, 4)))
    };
    let (Some((0, _)), Some((len, start))) = (pair(number(&start, 12))?, pair(number(&start, 16))?) else {
        return Ok(None);
    };
    Ok((len <= MAX_HEADER && start + len <= source.len()).then_some(Span { start, len }))
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::Bounds;
    use super::super::archive::tests::find_within;

    fn catalogue(header: &str) -> Vec<u8> {
        let len = u32::try_from(header.len()).unwrap();
        let numbers = [0x9504_12de, 0, 1, 28, 36, 0, 44, 0, 44, len, 45];
        [numbers.map(u32::to_le_bytes).concat(), b"\0".to_vec(), header.as_bytes().to_vec(), b"\0".to_vec()].concat()
    }

    #[test]
    fn the_date_is_told_from_the_rest() {
        let of = |date: &str, more: &str| catalogue(&format!("POT-Creation-Date: {date}\nLanguage: {more}\n"));
        let left = of("2023-01-02 03:04+0000", "de");
        let (findings, needs) = find_within(&left, &of("2024-01-02 03:04+0000", "de"), &Bounds::default());
        assert_eq!((findings.len(), findings[0].kind), (1, FindingKind::ArchiveTimes));
        assert_eq!(needs, Some(vec!["mo-times".to_owned()]));
        let (findings, needs) = find_within(&left, &of("2023-01-02 03:04+0000", "fr"), &Bounds::default());
        assert_eq!((findings[0].place.as_str(), needs), ("a!after the date", None));
    }

    #[test]
    fn what_is_no_date_is_never_left_out() {
        let of = |date: &str| catalogue(&format!("POT-Creation-Date: {date}\n"));
        let needs = |left: &str, right: &str| find_within(&of(left), &of(right), &Bounds::default()).1;
        assert_eq!(needs("2023-01-02 03:04+0000", "2024-01-02 03:04-0130"), Some(vec!["mo-times".to_owned()]));
        for no in ["2023-01-02 03:04", "2023-01-02 03:04+0000 ", "2023-01-02T03:04+0000", "built by someone at all"] {
            assert_eq!(needs("2023-01-02 03:04+0000", no), None, "{no}");
            assert_eq!(needs(&format!("{no}1"), &format!("{no}2")), None, "{no}");
        }
        // In the middle of a line it is something else.
        let [left, right] =
            ["2023", "2024"].map(|year| catalogue(&format!("X-POT-Creation-Date: {year}-01-02 03:04+0000\n")));
        assert_eq!(find_within(&left, &right, &Bounds::default()).1, None);
    }

    #[test]
    fn what_has_no_date_or_is_cut_is_bytes() {
        let left = catalogue("POT-Creation-Date: 1\n");
        for right in [catalogue("Language: de\n"), left[..20].to_vec(), left[..50].to_vec()] {
            let (findings, _) = find_within(&left, &right, &Bounds::default());
            assert!(
                findings[0].summary.contains("the right one is not a gettext catalogue"),
                "{}",
                findings[0].summary
            );
        }
    }
}
