// SPDX-License-Identifier: Apache-2.0
//! Files whose headers say where their parts are, in any order: the parts put in the order of the file, and what is between
//! them named.

use super::archive::{Archive, Data, Keys, Member, Symbol};
use super::code::Code;
use super::field::Group;
use super::format::Format;
use super::preview;
use super::source::Span;

/// One part as the headers have it: where it is, what it is called, what it is.
pub(super) struct Part {
    pub(super) span: Span,
    pub(super) name: Vec<u8>,
    pub(super) data_is: Data,
}

impl Part {
    pub(super) fn new(name: impl Into<Vec<u8>>, start: u64, len: u64, data_is: Data) -> Self {
        Self { span: Span { start, len }, name: name.into(), data_is }
    }

    /// These fields, one after the other.
    pub(super) fn table(name: impl Into<Vec<u8>>, start: u64, fields: &[(&str, usize)]) -> Self {
        let len = fields.iter().map(|(_, len)| *len as u64).sum();
        let rows: Vec<_> = fields.iter().map(|(field, len)| ((*field).to_owned(), *len)).collect();
        Self::new(name, start, len, Data::Table(rows.into()))
    }

    /// Bytes, whatever they begin with.
    pub(super) fn plain(name: impl Into<Vec<u8>>, start: u64, len: u64) -> Self {
        Self::new(name, start, len, Data::Code([].into()))
    }

    /// `None` where it ends past what a number can say.
    fn end(&self) -> Option<u64> {
        self.span.start.checked_add(self.span.len)
    }

    fn overlaps(&self) -> String {
        format!("its {} is past the end, or in another part", preview::name(&self.name))
    }

    /// What is left of it from `offset` on.
    fn piece(&self, start: u64, len: u64) -> Self {
        let by = start - self.span.start;
        let after = |symbols: &[Symbol]| {
            let first = symbols.partition_point(|symbol| symbol.start < by);
            let of = |symbol: &Symbol| Symbol { start: symbol.start - by, len: symbol.len, name: symbol.name.clone() };
            symbols.get(first..).unwrap_or_default().iter().map(of).collect()
        };
        let data_is = match &self.data_is {
            Data::Code(symbols) if by > 0 => Data::Code(after(symbols)),
            Data::Instructions(code) if by > 0 => Data::Instructions(Code {
                machine: code.machine,
                address: code.address.wrapping_add(by),
                symbols: after(&code.symbols),
            }),
            other => other.clone(),
        };
        Self { span: Span { start, len }, name: self.name.clone(), data_is }
    }
}

/// Puts `parts` in the order of the file. `marks` are parts of their own, which may be inside of bytes of another one.
///
/// # Errors
/// Why they are no parts of such a file: they overlap, or are past its end.
pub(super) fn tiled(format: Format, len: u64, parts: Vec<Part>, marks: Vec<Part>) -> Result<Archive, String> {
    let parts = cut(sorted(parts), sorted(marks))?;
    let (mut members, mut keys) = (Vec::new(), Keys::default());
    let mut at = 0;
    let mut add = |name: &[u8], span: Span, data_is| {
        let (head, tail) = (Span { len: 0, ..span }, Span { start: span.start + span.len, len: 0 });
        members.push(Member { key: keys.of(name), head, data: span, tail, data_is });
    };
    for part in parts {
        let end = part.end().filter(|end| *end <= len);
        let (Some(end), Some(gap)) = (end, part.span.start.checked_sub(at)) else { return Err(part.overlaps()) };
        if gap > 0 {
            let before = [b"before ", part.name.as_slice()].concat();
            add(&before, Span { start: at, len: gap }, Data::Field(Group::Structure));
        }
        add(&part.name, part.span, part.data_is);
        at = end;
    }
    Ok(Archive { format, members, rest: Span { start: at, len: len - at } })
}

fn sorted(mut parts: Vec<Part>) -> Vec<Part> {
    parts.sort_by_key(|part| (part.span.start, part.span.len));
    parts
}

/// Cuts each of `parts` where there are marks in it.
fn cut(parts: Vec<Part>, marks: Vec<Part>) -> Result<Vec<Part>, String> {
    let mut all = Vec::new();
    let mut marks = marks.into_iter().filter(|mark| mark.span.len > 0).peekable();
    for part in parts {
        while let Some(mark) = marks.next_if(|mark| mark.span.start < part.span.start) {
            all.push(mark);
        }
        let Some(end) = part.end() else { return Err(part.overlaps()) };
        let mut at = part.span.start;
        while let Some(mark) = marks.next_if(|mark| mark.span.start < end) {
            let mark_end = mark.end().filter(|mark_end| *mark_end <= end);
            let is_bytes = matches!(part.data_is, Data::File | Data::Code(_) | Data::Instructions(_));
            let (Some(mark_end), Some(before), true) = (mark_end, mark.span.start.checked_sub(at), is_bytes) else {
                return Err(mark.overlaps());
            };
            if before > 0 {
                all.push(part.piece(at, before));
            }
            all.push(mark);
            at = mark_end;
        }
        if at < end || part.span.len == 0 {
            all.push(part.piece(at, end - at));
        }
    }
    all.extend(marks);
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(len: u64, parts: &[(&str, u64, u64)], marks: &[(&str, u64, u64)]) -> Result<Vec<(String, u64)>, String> {
        let of = |all: &[(&str, u64, u64)]| all.iter().map(|(name, at, len)| Part::plain(*name, *at, *len)).collect();
        let archive = tiled(Format::Elf, len, of(parts), of(marks))?;
        let shown = |member: &Member| (super::super::archive::name(&member.key), member.data.len);
        let end = archive.members.last().map_or(0, |last| last.data.start + last.data.len);
        assert_eq!((archive.rest.start, archive.rest.start + archive.rest.len), (end, len));
        Ok(archive.members.iter().map(shown).collect())
    }

    #[test]
    fn every_byte_has_one_part() {
        let named = |all: &[(&str, u64)]| all.iter().map(|(name, len)| ((*name).to_owned(), *len)).collect::<Vec<_>>();
        let found = names(20, &[("b", 8, 4), ("a", 2, 4)], &[("m", 9, 2), ("n", 13, 1), ("o", 0, 1)]).unwrap();
        let expected = [("o", 1), ("before a", 1), ("a", 4), ("before b", 2), ("b", 1), ("m", 2), ("b#2", 1)];
        assert_eq!(found, [named(&expected), named(&[("before n", 1), ("n", 1)])].concat());
        assert_eq!(names(4, &[("a", 0, 4)], &[("m", 0, 4)]).unwrap(), named(&[("m", 4)]));
        assert_eq!(names(4, &[("a", 0, 4)], &[("m", 0, 0)]).unwrap(), named(&[("a", 4)]));
    }

    #[test]
    fn what_overlaps_or_is_past_the_end_is_none() {
        let is_whole = |parts: &[_], marks: &[_]| names(8, parts, marks).is_ok();
        assert!(is_whole(&[("a", 0, 4), ("b", 4, 4)], &[]));
        assert!(!is_whole(&[("a", 0, 5), ("b", 4, 4)], &[]));
        assert!(!is_whole(&[("a", 4, 5)], &[]));
        assert!(!is_whole(&[("a", u64::MAX, 5)], &[]));
        let a = [("a", 0, 4)];
        assert!(is_whole(&a, &[("m", 3, 1)]) && !is_whole(&a, &[("m", 3, 2)]) && is_whole(&a, &[("m", 4, 4)]));
        assert!(!is_whole(&a, &[("m", 4, 5)]) && !is_whole(&a, &[("m", 1, 2), ("n", 2, 1)]));
        assert!(!is_whole(&[("a", 2, 4)], &[("m", 1, 2)]) && !is_whole(&a, &[("m", 1, u64::MAX)]));
        // Fields are never cut.
        let table = Part::table("t", 0, &[("x", 4)]);
        assert!(tiled(Format::Elf, 4, vec![table], vec![Part::plain("m", 1, 1)]).is_err());
    }

    #[test]
    fn names_of_code_are_kept_where_it_is_cut() {
        let symbols = [(0, "a"), (4, "b")].map(|(start, name)| Symbol { start, len: None, name: name.into() });
        let part = Part::new("t", 0, 8, Data::Code(symbols.into()));
        let archive = tiled(Format::Elf, 8, vec![part], vec![Part::plain("m", 2, 1)]).unwrap();
        let Data::Code(symbols) = &archive.members[2].data_is else { panic!() };
        assert_eq!(symbols.iter().map(|symbol| (symbol.start, &*symbol.name)).collect::<Vec<_>>(), [(1, &b"b"[..])]);
    }
}
