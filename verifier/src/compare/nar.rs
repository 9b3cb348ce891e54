// SPDX-License-Identifier: Apache-2.0
//! Nix archives (NAR: Dolstra, "The Purely Functional Software Deployment Model", figure 5.2): one file, link or folder with all
//! that is in it.
//!
//! There is one way to write each, and anything else is refused. So what stands between the contents follows from the names,
//! the kinds and the sizes, and a header has no fields but the kind, and whether the file is executed.

use std::io;

use super::Bounds;
use super::archive::{Archive, Data, Keys, Member};
use super::field::{Field, Group};
use super::format::Format;
use super::source::{Source, Span};

/// What each begins with: a text, as all between the contents.
pub(super) const MAGIC: &[u8] = b"\x0d\0\0\0\0\0\0\0nix-archive-1\0\0\0";

/// The longest text between the contents, in bytes: a link's target.
const MAX_TEXT: u64 = 4096;
/// The longest name.
const MAX_NAME: usize = 255;
/// Folders inside folders.
const MAX_DEPTH: usize = 256;

/// Finds the members; each one's head begins where the one before it ends, and the last one's tail is the archive's end.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no archive, or more than the bounds allow.
pub(super) fn read(source: &Source<'_>, bounds: &Bounds) -> io::Result<Result<Archive, String>> {
    let mut reader = Reader { source, bounds, at: 0, end: 0, members: Vec::new(), keys: Keys::default() };
    match reader.all() {
        Ok(()) => {
            let rest = Span { start: source.len(), len: 0 };
            Ok(Ok(Archive { format: Format::Nar, members: reader.members, rest }))
        }
        Err(Stop::Io(error)) => Err(error),
        Err(Stop::None(why)) => Ok(Err(why)),
    }
}

enum Stop {
    Io(io::Error),
    None(String),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Reader<'a> {
    source: &'a Source<'a>,
    bounds: &'a Bounds,
    at: u64,
    /// Where the last member ends.
    end: u64,
    members: Vec<Member>,
    keys: Keys,
}

impl Reader<'_> {
    fn all(&mut self) -> Result<(), Stop> {
        self.expect(b"nix-archive-1")?;
        self.node(b"", 0)?;
        if self.at != self.source.len() {
            return Err(Stop::None(format!("it goes on after its end, at {:#x}", self.at)));
        }
        if let Some(last) = self.members.last_mut() {
            last.tail.len = self.at - last.tail.start;
        }
        Ok(())
    }

    /// What is at `path`.
    fn node(&mut self, path: &[u8], depth: usize) -> Result<(), Stop> {
        if depth > MAX_DEPTH {
            return Err(Stop::None(format!("it has more than {MAX_DEPTH} folders inside folders")));
        }
        self.expect(b"(")?;
        self.expect(b"type")?;
        match self.text()?.as_slice() {
            b"regular" => {
                match self.text()?.as_slice() {
                    b"contents" => {}
                    b"executable" => {
                        self.expect(b"")?;
                        self.expect(b"contents")?;
                    }
                    _ => return self.wrong("another word is expected"),
                }
                let len = self.number()?;
                self.member(path, len, Data::File)?;
                self.expect(b")")
            }
            b"symlink" => {
                self.expect(b"target")?;
                let len = self.number()?;
                if len > MAX_TEXT {
                    return self.wrong("a target is too long");
                }
                self.member(path, len, Data::Field(Group::Links))?;
                self.expect(b")")
            }
            b"directory" => {
                self.member(path, 0, Data::File)?;
                self.entries(path, depth)
            }
            _ => self.wrong("there is no kind of file"),
        }
    }

    fn entries(&mut self, path: &[u8], depth: usize) -> Result<(), Stop> {
        let mut before = Vec::new();
        loop {
            let text = self.text()?;
            if text == b")" {
                return Ok(());
            }
            if text != b"entry" {
                return self.wrong("there is no entry");
            }
            self.expect(b"(")?;
            self.expect(b"name")?;
            let name = self.text()?;
            let is_name =
                !name.is_empty() && name.len() <= MAX_NAME && !name.iter().any(|byte| matches!(byte, 0 | b'/'));
            if !is_name || matches!(name.as_slice(), b"." | b"..") || name <= before {
                return self.wrong("a name is none, or not after the one before it");
            }
            self.expect(b"node")?;
            let inside = if path.is_empty() { name.clone() } else { [path, b"/", &name].concat() };
            self.node(&inside, depth + 1)?;
            self.expect(b")")?;
            before = name;
        }
    }

    /// Adds one whose data begins here, and goes past it.
    fn member(&mut self, path: &[u8], len: u64, data_is: Data) -> Result<(), Stop> {
        if self.members.len() >= self.bounds.members {
            return Err(Stop::None(format!("it has more than {} members", self.bounds.members)));
        }
        let head = Span { start: self.end, len: self.at - self.end };
        let data = Span { start: self.at, len };
        // It can't overflow: both are within the file.
        let padded = self.room(len)?.checked_next_multiple_of(8).unwrap_or(u64::MAX);
        self.at = data.start + self.room(padded)?;
        let tail = Span { start: data.start + len, len: padded - len };
        self.zeros(tail)?;
        self.end = self.at;
        let name = if path.is_empty() { b"." } else { path };
        self.members.push(Member { key: self.keys.of(name), head, data, tail, data_is });
        Ok(())
    }

    /// `len`, where there are so many bytes.
    fn room(&self, len: u64) -> Result<u64, Stop> {
        if len <= self.source.len() - self.at { Ok(len) } else { Err(Stop::None("it is cut".to_owned())) }
    }

    fn zeros(&self, span: Span) -> Result<(), Stop> {
        let is_zero = self.source.read(span)?.iter().all(|byte| *byte == 0);
        if is_zero { Ok(()) } else { Err(Stop::None(format!("the padding at {:#x} is not of zeros", span.start))) }
    }

    fn number(&mut self) -> Result<u64, Stop> {
        let bytes = self.source.read(Span { start: self.at, len: self.room(8)? })?;
        self.at += 8;
        bytes.try_into().map(u64::from_le_bytes).map_err(|_| Stop::None("it is cut".to_owned()))
    }

    fn text(&mut self) -> Result<Vec<u8>, Stop> {
        let len = self.number()?;
        if len > MAX_TEXT {
            return self.wrong("a text is too long");
        }
        let padded = self.room(len.next_multiple_of(8))?;
        let text = self.source.read(Span { start: self.at, len })?;
        self.zeros(Span { start: self.at + len, len: padded - len })?;
        self.at += padded;
        Ok(text)
    }

    fn expect(&mut self, expected: &[u8]) -> Result<(), Stop> {
        if self.text()? == expected { Ok(()) } else { self.wrong("another word is expected") }
    }

    fn wrong<T>(&self, why: &str) -> Result<T, Stop> {
        Err(Stop::None(format!("before {:#x}, {why}", self.at)))
    }
}

/// All that a member's header says, but for what follows from the member's name and size.
pub(super) fn fields(head: &[u8], member: &Member) -> Vec<Field> {
    let ends = |texts: &[&[u8]], after: usize| {
        let mut end = Vec::new();
        for text in texts {
            end.extend((text.len() as u64).to_le_bytes());
            end.extend_from_slice(text);
            end.resize(end.len().next_multiple_of(8), 0);
        }
        head.len().checked_sub(after).and_then(|len| head.get(..len)).is_some_and(|head| head.ends_with(&end))
    };
    let kind = match &member.data_is {
        Data::Field(Group::Links) => "link",
        _ if ends(&[b"directory"], 0) => "folder",
        _ => "file",
    };
    let mut fields = vec![Field::text(Group::Structure, "kind", kind)];
    if kind == "file" {
        let is_executed = ends(&[b"executable", b"", b"contents"], 8);
        fields.push(Field::text(Group::Modes, "executable", if is_executed { "yes" } else { "no" }));
    }
    fields
}

#[cfg(test)]
mod tests {
    use reprove_model::FindingKind;

    use super::super::archive::tests::find_within;
    use super::*;

    enum Node<'a> {
        File(bool, &'a [u8]),
        Link(&'a str),
        Folder(Vec<(&'a str, Node<'a>)>),
    }

    fn text(out: &mut Vec<u8>, text: &[u8]) {
        out.extend((text.len() as u64).to_le_bytes());
        out.extend_from_slice(text);
        out.resize(out.len().next_multiple_of(8), 0);
    }

    fn write(out: &mut Vec<u8>, node: &Node<'_>) {
        for word in ["(", "type"] {
            text(out, word.as_bytes());
        }
        let words: Vec<&[u8]> = match node {
            Node::File(true, bytes) => vec![b"regular", b"executable", b"", b"contents", bytes],
            Node::File(false, bytes) => vec![b"regular", b"contents", bytes],
            Node::Link(target) => vec![b"symlink", b"target", target.as_bytes()],
            Node::Folder(_) => vec![b"directory"],
        };
        words.iter().for_each(|word| text(out, word));
        if let Node::Folder(entries) = node {
            for (name, node) in entries {
                for word in ["entry", "(", "name", name, "node"] {
                    text(out, word.as_bytes());
                }
                write(out, node);
                text(out, b")");
            }
        }
        text(out, b")");
    }

    fn nar(node: &Node<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        text(&mut out, b"nix-archive-1");
        write(&mut out, node);
        out
    }

    fn found(left: &Node<'_>, right: &Node<'_>) -> Vec<(String, FindingKind)> {
        let (findings, needs) = find_within(&nar(left), &nar(right), &Bounds::default());
        assert!(needs.is_none() || nar(left) == nar(right), "nothing of an archive is left out");
        findings.into_iter().map(|finding| (finding.place, finding.kind)).collect()
    }

    fn tree<'a>(bytes: &'a [u8], executable: bool, target: &'a str) -> Node<'a> {
        let inner = vec![("a", Node::File(executable, bytes)), ("b", Node::Link(target)), ("c", Node::Folder(vec![]))];
        Node::Folder(vec![("bin", Node::Folder(inner)), ("z", Node::File(false, b"z"))])
    }

    #[test]
    fn what_differs_in_an_archive_is_told_where_it_is() {
        let left = || tree(b"hello\n", true, "a");
        assert_eq!(found(&left(), &left()), []);
        let one = |place: &str, kind| vec![(place.to_owned(), kind)];
        assert_eq!(found(&left(), &tree(b"hollo\n", true, "a")), one("a!bin/a", FindingKind::Content));
        assert_eq!(found(&left(), &tree(b"hello\n", false, "a")), one("a", FindingKind::ArchiveModes));
        assert_eq!(found(&left(), &tree(b"hello\n", true, "z")), one("a", FindingKind::LinkTarget));
        let more = Node::Folder(vec![("bin", Node::Folder(vec![]))]);
        let kinds = found(&left(), &more);
        assert!(kinds.contains(&("a!z".to_owned(), FindingKind::OnlyLeft)), "{kinds:?}");
        assert!(kinds.iter().all(|(place, _)| place.starts_with("a!")), "{kinds:?}");
        let files = |bytes: &'static [u8]| Node::File(false, bytes);
        assert_eq!(found(&files(b"1\n"), &files(b"2\n")), one("a!.", FindingKind::Content));
    }

    #[test]
    fn one_kind_in_the_place_of_another_is_told() {
        let of = |node| Node::Folder(vec![("x", node)]);
        for (left, right) in [
            (of(Node::File(false, b"")), of(Node::Folder(vec![]))),
            (of(Node::File(false, b"t")), of(Node::Link("t"))),
            (of(Node::Link("t")), of(Node::Folder(vec![]))),
        ] {
            let kinds = found(&left, &right);
            assert!(kinds.contains(&("a".to_owned(), FindingKind::ArchiveStructure)), "{kinds:?}");
        }
    }

    #[test]
    fn what_is_written_otherwise_is_no_archive() {
        let good = nar(&tree(b"hello\n", true, "a"));
        let is_read = |bytes: &[u8]| read(&Source::Memory(bytes), &Bounds::default()).unwrap().is_ok();
        assert!(is_read(&good));
        for end in 0..good.len() {
            assert!(!is_read(&good[..end]), "{end}");
        }
        assert!(!is_read(&[&good[..], &[0; 8]].concat()));
        let padding = good.windows(9).position(|bytes| bytes == b"hello\n\0\0\x01").unwrap() + 7;
        let mut bad = good.clone();
        bad[padding] = 1;
        assert!(!is_read(&bad));
        for names in [["b", "a"], ["a", "a"], ["a", ".."], ["a", "b/c"], ["", "a"]] {
            let [first, second] = names;
            assert!(
                !is_read(&nar(&Node::Folder(vec![(first, Node::Link("t")), (second, Node::Link("t"))]))),
                "{names:?}"
            );
        }
    }

    #[test]
    fn the_bounds_hold_on_both_sides() {
        let within = |bytes: &[u8], bounds: &Bounds| read(&Source::Memory(bytes), bounds).unwrap().is_ok();
        let deep = |depth: usize| {
            let node = (0..depth).fold(Node::File(false, b""), |node, _| Node::Folder(vec![("d", node)]));
            within(&nar(&node), &Bounds::default())
        };
        assert!(deep(MAX_DEPTH) && !deep(MAX_DEPTH + 1));
        let name = |len: usize| {
            let name = "n".repeat(len);
            within(&nar(&Node::Folder(vec![(&name, Node::Link("t"))])), &Bounds::default())
        };
        assert!(name(MAX_NAME) && !name(MAX_NAME + 1));
        let target = |len: usize| within(&nar(&Node::Link(&"t".repeat(len))), &Bounds::default());
        assert!(target(4096) && !target(4097));
        let members =
            |most: usize| within(&nar(&tree(b"", false, "t")), &Bounds { members: most, ..Bounds::default() });
        assert!(members(6) && !members(5));
    }
}
