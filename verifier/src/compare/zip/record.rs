// SPDX-License-Identifier: Apache-2.0
//! The list of files in a wheel (`RECORD`, "Recording installed projects", packaging.python.org): whether it differs in
//! nothing but what it says of entries that differ themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use reprove_model::HashBoth;

use super::super::files::State;
use super::super::normal::Form;
use super::super::source::Source;
use super::super::text;
use super::contents::{self, Decoder};
use super::layout::{Entry, Layout};

/// The longest list that is looked at, in bytes.
const MAX_LIST: u64 = 4 << 20;
/// What each line is charged at least, in bytes that its entry expands to.
const MIN_CHARGE: u64 = 64;

/// Whether an entry of this name is the list of a wheel's files.
pub(super) fn is_record(name: &[u8]) -> bool {
    let folder = name.strip_suffix(b".dist-info/RECORD");
    folder.is_some_and(|folder| !folder.is_empty() && !folder.contains(&b'/'))
}

/// From how many entries it follows that the two lists of this name differ: each line that differs says what its entry is,
/// on both sides, and nothing else differs. `None`: it is not shown that it follows, or there is more than one list.
pub(super) fn follows(
    name: &[u8],
    left: (&Source<'_>, &Layout),
    right: (&Source<'_>, &Layout),
    state: &mut State<'_>,
) -> io::Result<Option<u64>> {
    if !left.1.has_one_list || !right.1.has_one_list {
        return Ok(None);
    }
    let (mut left, mut right) = (Side::of(left), Side::of(right));
    let mut room = state.bounds.memory;
    let (Some(a), Some(b)) = (left.list(name, state)?, right.list(name, state)?) else { return Ok(None) };
    let (Some(a), Some(b)) = (text::as_text(&a), text::as_text(&b)) else { return Ok(None) };
    let (Some(lefts), Some(rights)) = (by_path(a), by_path(b)) else { return Ok(None) };
    let common =
        |list| lines(list).map(|(path, _)| path).filter(|path| lefts.contains_key(path) && rights.contains_key(path));
    if !common(a).eq(common(b)) {
        return Ok(None);
    }
    let differing: BTreeSet<&str> = lefts.keys().chain(rights.keys()).copied().collect();
    let mut count = 0;
    for path in differing.into_iter().filter(|path| lefts.get(path) != rights.get(path)) {
        let (line, other) = (lefts.get(path).copied(), rights.get(path).copied());
        let ends_alike = line.zip(other).is_none_or(|(line, other)| end(line) == end(other));
        if !ends_alike
            || !left.is_right(path, line, &mut room, state)?
            || !right.is_right(path, other, &mut room, state)?
        {
            return Ok(None);
        }
        count += 1;
    }
    Ok((count > 0).then_some(count))
}

/// Writes the list of this name as it is in a normal form: without what it says of entries, where that is right. Whether it
/// could be read; nothing is written where it could not.
pub(super) fn write(
    name: &[u8],
    archive: (&Source<'_>, &Layout),
    form: &mut Form<'_>,
    state: &mut State<'_>,
) -> io::Result<bool> {
    if !archive.1.has_one_list {
        return Ok(false);
    }
    let mut side = Side::of(archive);
    let Some(list) = side.list(name, state)? else { return Ok(false) };
    let Some(text) = text::as_text(&list) else { return Ok(false) };
    form.part(b"wheel record")?;
    form.number(lines(text).count() as u64)?;
    let mut room = state.bounds.memory;
    for (path, line) in lines(text) {
        if side.is_right(path, Some(line), &mut room, state)? {
            form.part(b"right")?;
            form.part(path.as_bytes())?;
            form.part(end(line).as_bytes())?;
        } else {
            form.part(b"line")?;
            form.part(line.as_bytes())?;
        }
    }
    Ok(true)
}

fn without_end(line: &str) -> &str {
    line.trim_end_matches(['\r', '\n'])
}

/// What is left of a line without all before its end.
fn end(line: &str) -> &str {
    line.get(without_end(line).len()..).unwrap_or_default()
}

/// The lines of a list, each with the path that it is of. A path in quotation marks is its whole line.
fn lines(list: &str) -> impl Iterator<Item = (&str, &str)> {
    list.split_inclusive('\n').map(|line| (line.split(',').next().unwrap_or(line), line))
}

/// `None`: a path comes twice.
fn by_path(list: &str) -> Option<BTreeMap<&str, &str>> {
    let mut all = BTreeMap::new();
    lines(list).all(|(path, line)| all.insert(path, line).is_none()).then_some(all)
}

/// One archive, with its entries by their names; `None`: a name comes twice.
pub(super) struct Side<'a> {
    source: &'a Source<'a>,
    layout: &'a Layout,
    entries: BTreeMap<&'a [u8], Option<&'a Entry>>,
    buffer: Vec<u8>,
}

impl<'a> Side<'a> {
    pub(super) fn of((source, layout): (&'a Source<'a>, &'a Layout)) -> Self {
        let mut entries = BTreeMap::new();
        for entry in &layout.entries {
            let name = entry.key.0.as_slice();
            entries.entry(name).and_modify(|twice| *twice = None).or_insert(Some(entry));
        }
        Self { source, layout, entries, buffer: vec![0; 64 << 10] }
    }

    /// The one entry of this name.
    pub(super) fn entry(&self, name: &[u8]) -> Option<&'a Entry> {
        self.entries.get(name).copied().flatten()
    }

    /// What the entry of this name expands to, where that is no more than a list may be.
    pub(super) fn list(&mut self, name: &[u8], state: &mut State<'_>) -> io::Result<Option<Vec<u8>>> {
        let Some(entry) = self.entry(name) else { return Ok(None) };
        let (mut list, mut room) = (Vec::new(), MAX_LIST);
        Ok(self.read(entry, &mut room, state, &mut list)?.then_some(list))
    }

    /// Whether `line` says what the entry of this path is; without one, whether there is no such entry.
    fn is_right(&mut self, path: &str, line: Option<&str>, room: &mut u64, state: &mut State<'_>) -> io::Result<bool> {
        let entry = self.entries.get(path.as_bytes());
        let Some(line) = line else { return Ok(entry.is_none()) };
        let Some(entry) = entry.copied().flatten() else { return Ok(false) };
        let mut hash = HashBoth::default();
        if !self.read(entry, room, state, &mut hash)? {
            return Ok(false);
        }
        let (digests, size) = hash.finish();
        let digest = BASE64_URL_SAFE_NO_PAD.encode(digests.sha256.as_bytes());
        Ok(without_end(line) == format!("{path},sha256={digest},{size}"))
    }

    /// Writes what the entry expands to, and is charged with the more of that and of what it takes in the archive. Whether there was room for it, and it is what its header says.
    pub(super) fn read(
        &mut self,
        entry: &Entry,
        room: &mut u64,
        state: &mut State<'_>,
        mut to: impl io::Write,
    ) -> io::Result<bool> {
        let charge = entry.size.max(entry.local.len.saturating_add(entry.data.len)).max(MIN_CHARGE);
        let Some(left) = room.checked_sub(charge) else { return Ok(false) };
        let expanded = state.expanded.saturating_add(charge);
        if expanded > state.bounds.expansion {
            state.is_exhausted = true;
            return Ok(false);
        }
        let Some(central) = self.layout.central(entry) else { return Ok(false) };
        let Ok(mut decoder) = Decoder::new((self.source, entry, &central), "one", state.bounds) else {
            return Ok(false);
        };
        (*room, state.expanded) = (left, expanded);
        if let Some(kept) = contents::kept(&(self.source, entry, &central), state) {
            to.write_all(&kept.bytes)?;
            return Ok(true);
        }
        loop {
            // What can't be expanded was compared as bytes.
            match decoder.read(&mut self.buffer) {
                Ok(0) => return Ok(decoder.verified()),
                Ok(read) => to.write_all(self.buffer.get(..read).unwrap_or_default())?,
                Err(_) => return Ok(false),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::BASE64_URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use reprove_model::{Between, DigestSet, Finding};
    use std::io::Write as _;
    use zip::write::SimpleFileOptions;

    use super::super::super::archive::tests::{FILE, File, cpio_of, find_within};
    use super::super::super::{Bounds, Level, Options, compare_files};
    use super::is_record;

    const RECORD: &str = "p-1.dist-info/RECORD";

    fn line(path: &str, data: &[u8]) -> String {
        let digest = BASE64_URL_SAFE_NO_PAD.encode(DigestSet::of(data).sha256.as_bytes());
        format!("{path},sha256={digest},{}\n", data.len())
    }

    /// An archive of these files, and of this list as `record`.
    fn archive(files: &[(&str, &str)], record: &str, list: &str) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, data) in files.iter().chain([&(record, list)]) {
            writer.start_file(*name, SimpleFileOptions::default()).unwrap();
            writer.write_all(data.as_bytes()).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn list(files: &[(&str, &str)]) -> String {
        let lines = files.iter().map(|(name, data)| line(name, data.as_bytes()));
        lines.chain([format!("{RECORD},,\n")]).collect()
    }

    fn wheel(files: &[(&str, &str)]) -> Vec<u8> {
        archive(files, RECORD, &list(files))
    }

    fn summary(left: &[u8], right: &[u8], bounds: &Bounds) -> String {
        let (findings, needs) = find_within(left, right, bounds);
        assert_eq!(needs, None);
        let is_record = |finding: &&Finding| finding.place.ends_with("/RECORD");
        findings.iter().find(is_record).unwrap().summary.clone()
    }

    const LEFT: [(&str, &str); 2] = [("p/a.py", "a = 1\n"), ("p/b.py", "b = 1\n")];
    const RIGHT: [(&str, &str); 2] = [("p/a.py", "a = 2\n"), ("p/b.py", "b = 1\n")];

    #[test]
    fn a_list_follows_from_the_entries_that_differ() {
        let of = |left: &[u8], right: &[u8]| summary(left, right, &Bounds::default());
        assert!(of(&wheel(&LEFT), &wheel(&RIGHT)).ends_with("; that follows from 1 other entry"));
        let both = [("p/a.py", "a = 2\n"), ("p/c.py", "")];
        assert!(of(&wheel(&LEFT), &wheel(&both)).ends_with("; that follows from 3 other entries"));
    }

    #[test]
    fn what_a_list_says_wrongly_follows_from_nothing() {
        let left = wheel(&LEFT);
        let right = list(&RIGHT);
        let reversed = list(&RIGHT.into_iter().rev().collect::<Vec<_>>());
        let wrong = line("p/a.py", b"a = 3\n") + &list(&RIGHT[1..]);
        for other in [
            wrong,
            reversed,
            right.replace("a.py", "c.py"),
            right.replace("sha256", "sha512"),
            right.replace(",6\n", ",7\n"),
            right.replacen(",6\n", ",6\r\n", 1),
            format!("{right}{}", line("p/a.py", b"a = 2\n")),
            format!("{right}p/none.py,,\n"),
            right.lines().skip(1).map(|line| format!("{line}\n")).collect(),
            format!("{right}\0"),
        ] {
            let summary = summary(&left, &archive(&RIGHT, RECORD, &other), &Bounds::default());
            assert!(!summary.contains("follows"), "{other}: {summary}");
        }
        // Lines that end in another way, in the same two bytes.
        let ended = |list: &str, end: &str| list.replacen(",6\n", &format!(",6{end}"), 1);
        let of = |a: &str, b: &str| {
            let (left, right) = (ended(&list(&LEFT), a), ended(&right, b));
            let [left, right] = [archive(&LEFT, RECORD, &left), archive(&RIGHT, RECORD, &right)];
            summary(&left, &right, &Bounds::default()).contains("follows")
        };
        assert!(of("\r\n", "\r\n") && !of("\r\n", "\r\r\n") && !of("\n", "\n\n"));
        let unended = |files: &[(&str, &str)]| {
            let line = line(files[0].0, files[0].1.as_bytes());
            archive(files, RECORD, &format!("x\n{}", line.trim_end()))
        };
        let whole = archive(&RIGHT, RECORD, &format!("x\n{}", line("p/a.py", b"a = 2\n")));
        assert!(summary(&unended(&LEFT), &unended(&RIGHT), &Bounds::default()).contains("follows"));
        assert!(!summary(&unended(&LEFT), &whole, &Bounds::default()).contains("follows"));
        // The list of something else.
        let named = |files| archive(files, "x/p.dist-info/RECORD", &list(files));
        assert!(!summary(&named(&LEFT), &named(&RIGHT), &Bounds::default()).contains("follows"));
        // The name of an entry comes twice: what is there is not known.
        assert!(
            is_record(RECORD.as_bytes()) && !is_record(b"a/b.dist-info/RECORD") && !is_record(b".dist-info/RECORD")
        );
        assert!(!is_record(b"p.dist-info/RECORD.jws"));
    }

    /// The level, and the names of what was left out.
    fn compared(left: &[u8], right: &[u8]) -> (Level, Vec<String>) {
        let files = [left, right].map(|bytes| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file
        });
        let options = Options::of(Between::Given);
        let comparison = compare_files(&files[0], &files[1], "a", options).unwrap();
        let names = comparison.normalizations.into_iter().map(|each| each.name).collect();
        (comparison.level, names)
    }

    #[test]
    fn a_list_is_left_out_only_where_it_says_what_entries_are() {
        let inner = |time| String::from_utf8(cpio_of(&[File { time, ..FILE }])).unwrap();
        let (old, new) = (inner(1), inner(2));
        let (left, right) = ([("p/a.cpio", old.as_str()), LEFT[1]], [("p/a.cpio", new.as_str()), LEFT[1]]);
        let names = ["zip-compression", "wheel-record", "cpio-times"].map(str::to_owned).to_vec();
        assert_eq!(compared(&wheel(&left), &wheel(&right)), (Level::NormalizedEqual, names));
        // A digest is of something else; each list says what the other archive has; a line is of no entry; an entry differs.
        let different = (Level::Different, Vec::new());
        let wrong = list(&[("p/a.cpio", "another"), LEFT[1]]);
        assert_eq!(compared(&wheel(&left), &archive(&right, RECORD, &wrong)), different);
        assert_eq!(compared(&archive(&left, RECORD, &list(&right)), &archive(&right, RECORD, &list(&left))), different);
        assert_eq!(compared(&wheel(&left), &archive(&right, RECORD, &format!("{}x,,\n", list(&right)))), different);
        assert_eq!(compared(&wheel(&left), &wheel(&[right[0], RIGHT[0]])), different);
        assert_eq!(compared(&wheel(&LEFT), &wheel(&RIGHT)), different);
        // Lists that say the same wrong thing are equal: then there is nothing to leave out.
        let same = ["zip-compression", "cpio-times"].map(str::to_owned).to_vec();
        let of = |files: &[(&str, &str)]| archive(files, RECORD, "p/a.cpio,,\n");
        assert_eq!(compared(&of(&left), &of(&right)), (Level::NormalizedEqual, same));
    }

    /// What an entry of this name is charged with, which is what it takes in the archive or expands to, or 64.
    fn charge(archive: &[u8], name: &str) -> u64 {
        let mut archive = zip::ZipArchive::new(std::io::Cursor::new(archive)).unwrap();
        let entry = archive.by_name(name).unwrap();
        let taken = entry.data_start().unwrap() - entry.header_start() + entry.compressed_size();
        taken.max(entry.size()).max(64)
    }

    #[test]
    fn entries_are_expanded_again_to_a_bound() {
        let follows = |left: &[u8], right: &[u8], bounds: &Bounds| summary(left, right, bounds).contains("follows");
        let (left, right) = (wheel(&LEFT), wheel(&RIGHT));
        let charges = |name| charge(&left, name) + charge(&right, name);
        assert_eq!(charges("p/a.py"), 2 * 64);
        // Both are expanded to be compared, and once more.
        let first = 2 * list(&LEFT).len() as u64 + 12;
        let all = first + charges(RECORD) + charges("p/a.py");
        assert!(follows(&left, &right, &Bounds { expansion: all, ..Bounds::default() }));
        assert!(!follows(&left, &right, &Bounds { expansion: all - 1, ..Bounds::default() }));
        // A list is held against as many bytes as may be in memory, though it is none of them. Entries of few bytes, of some
        // that take more in the archive, and of many.
        let noise =
            |seed| (0..100).map(|n: u32| char::from(b"!#$%&()*+"[(n * n * seed % 9) as usize])).collect::<String>();
        for [a, b] in [["a", "b"].map(str::to_owned), [noise(1), noise(2)], ["a", "b"].map(|one| one.repeat(5000))] {
            let [left, right] = [&a, &b].map(|data| wheel(&[("p/a.py", data.as_str())]));
            let memory = charge(&left, "p/a.py") + charge(&right, "p/a.py");
            assert!(follows(&left, &right, &Bounds { memory, ..Bounds::default() }), "{a}");
            assert!(!follows(&left, &right, &Bounds { memory: memory - 1, ..Bounds::default() }), "{a}");
        }
    }

    #[test]
    fn one_list_alone_is_held_against_entries() {
        let second = ("q-1.dist-info/RECORD", "");
        let with = |files: &[(&str, &str)]| archive(&[files, &[second]].concat(), RECORD, &list(files));
        assert!(!summary(&with(&LEFT), &with(&RIGHT), &Bounds::default()).contains("follows"));
        assert!(!summary(&with(&LEFT), &wheel(&RIGHT), &Bounds::default()).contains("follows"));
        assert!(summary(&wheel(&LEFT), &wheel(&RIGHT), &Bounds::default()).contains("follows"));
        let inner = |time| String::from_utf8(cpio_of(&[File { time, ..FILE }])).unwrap();
        let (old, new) = (inner(1), inner(2));
        let [left, right] = [&old, &new].map(|file| [("p/a.cpio", file.as_str()), second]);
        assert_eq!(compared(&wheel(&left), &wheel(&right)), (Level::Different, Vec::new()));
        assert_eq!(compared(&wheel(&left[..1]), &wheel(&right[..1])).0, Level::NormalizedEqual);
    }

    #[test]
    fn large_lists_and_entries_are_not_held_against_each_other() {
        let of = |len: usize, value: &str| {
            let files = [("p/a.py", value)];
            let list = format!("{}{}", line("p/a.py", value.as_bytes()), "x,,\n");
            archive(&files, RECORD, &format!("{list}{}\n", "y".repeat(len - list.len() - 1)))
        };
        let max = 4 << 20;
        let summary = |len| summary(&of(len, "1"), &of(len, "2"), &Bounds::default());
        assert!(summary(max).contains("follows") && !summary(max + 1).contains("follows"));
    }

    proptest! {
        /// [`find_within`] asserts it: whatever a list says, no finding if and only if the archives are equal.
        #[test]
        fn lists_of_any_kind(left in "[a-b,\"\\r\\n=]{0,9}(p/a.py,sha256=,1\n)?", right in "[a-b,\"\\r\\n=]{0,9}") {
            let of = |list: &str| archive(&LEFT, RECORD, list);
            find_within(&of(&left), &of(&right), &Bounds::default());
        }
    }
}
