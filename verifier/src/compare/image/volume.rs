// SPDX-License-Identifier: Apache-2.0
//! What is in a file system, whichever it is: its nodes by their paths, and each file's bytes.

use std::cell::{Cell, OnceCell};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::rc::Rc;

use super::super::Bounds;
use super::super::field::{Field, Group};
use super::super::number::{self, fixed};
use super::super::source::{Source, Span};

/// Why a file system can't be read.
#[derive(Debug)]
pub(super) enum Fault {
    /// The file that it is in could not be read.
    Io(io::Error),
    /// Its bytes make no sense, or more than the bounds allow: for a person.
    Wrong(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // From one of our own readers of files.
            io::ErrorKind::InvalidData => Self::Wrong(error.to_string()),
            io::ErrorKind::UnexpectedEof => Self::Wrong("what it points to is past its end".to_owned()),
            _ => Self::Io(error),
        }
    }
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Io(error) => error,
            Fault::Wrong(why) => Self::new(io::ErrorKind::InvalidData, why),
        }
    }
}

/// An error for a person.
pub(super) fn wrong<T>(why: impl Into<String>) -> Result<T, Fault> {
    Err(Fault::Wrong(why.into()))
}

/// The number in `len` bytes from `at` on, the least significant first.
pub(super) fn number(bytes: &[u8], at: usize, len: usize) -> Result<u64, Fault> {
    fixed(bytes, at, len, false).map_or_else(|| wrong("a record is cut"), Ok)
}

/// `len` bytes of `source` from `start` on. The caller bounds the length.
pub(super) fn read(source: &Source<'_>, start: u64, len: u64) -> Result<Vec<u8>, Fault> {
    Ok(source.read(Span { start, len })?)
}

/// A part of a record.
pub(super) fn part(bytes: &[u8], at: usize, len: usize) -> Result<&[u8], Fault> {
    let end = at.checked_add(len);
    end.and_then(|end| bytes.get(at..end)).map_or_else(|| wrong("a record is cut"), Ok)
}

/// How many bytes of nodes, directories, attributes and targets may be read.
pub(super) struct Budget {
    left: Cell<u64>,
    /// How much of them one list of attributes may be.
    list: u64,
}

impl Budget {
    pub(super) fn of(bounds: &Bounds) -> Self {
        Self { left: Cell::new(bounds.entry), list: bounds.directory }
    }
}

/// Takes what is read from what may be read: many nodes may point to the same bytes.
pub(super) fn spend(budget: &Budget, len: u64) -> Result<(), Fault> {
    let left = budget.left.get().checked_sub(len);
    budget.left.set(left.map_or_else(|| wrong("its directories and attributes are too large"), Ok)?);
    Ok(())
}

/// A size as an offset in memory.
pub(super) fn offset(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    Symbolic,
    Block,
    Character,
    Pipe,
    Socket,
}

impl Kind {
    /// By the bits of a mode that say so.
    pub(super) fn of(mode: u64) -> Result<Self, Fault> {
        Ok(match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symbolic,
            0o060_000 => Self::Block,
            0o020_000 => Self::Character,
            0o010_000 => Self::Pipe,
            0o140_000 => Self::Socket,
            _ => return wrong(format!("a node has the mode {mode:o}, which is of no kind")),
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symbolic => "a symbolic link",
            Self::Block => "a block device",
            Self::Character => "a character device",
            Self::Pipe => "a named pipe",
            Self::Socket => "a socket",
        }
    }
}

/// An extended attribute: its name and its value.
pub(super) type Attribute = (Vec<u8>, Vec<u8>);

/// How many bytes an attribute takes beside its name and its value.
const ATTRIBUTE: u64 = 96;

fn weight((name, value): &Attribute) -> u64 {
    ATTRIBUTE + (name.len() + value.len()) as u64
}

/// The attributes of one node, as they are read.
pub(super) struct List<'a> {
    budget: &'a Budget,
    room: u64,
    all: Vec<Attribute>,
}

impl<'a> List<'a> {
    pub(super) fn new(budget: &'a Budget) -> Self {
        Self { budget, room: budget.list, all: Vec::new() }
    }

    pub(super) fn push(&mut self, attribute: Attribute) -> Result<(), Fault> {
        let weight = weight(&attribute);
        spend(self.budget, weight)?;
        let Some(room) = self.room.checked_sub(weight) else {
            return wrong(format!("attributes of one node have more than {} bytes", self.budget.list));
        };
        self.room = room;
        self.all.push(attribute);
        Ok(())
    }

    pub(super) fn into_all(self) -> Vec<Attribute> {
        self.all
    }
}

/// Is called with the name and the number of what is in a directory.
pub(super) type Each<'a> = dyn FnMut(&[u8], u64) -> Result<(), Fault> + 'a;

/// Seconds since 1970, and nanoseconds beside them.
pub(super) type Time = (i64, u32);

/// What a file system says of a node, but for its name and a file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Node {
    /// By which its file system knows it.
    pub(super) id: u64,
    pub(super) kind: Kind,
    /// Permission bits, and those beside them: `07777`.
    pub(super) mode: u64,
    pub(super) user: u64,
    pub(super) group: u64,
    pub(super) project: u64,
    pub(super) modified: Time,
    /// What the times beside that are called.
    pub(super) times: [Option<(&'static str, Time)>; 3],
    /// Of a file.
    pub(super) size: u64,
    /// Of a device: major, minor.
    pub(super) device: Option<(u64, u64)>,
    /// Of a symbolic link.
    pub(super) target: Vec<u8>,
    /// In their order.
    pub(super) attributes: Vec<Attribute>,
    pub(super) flags: u64,
    pub(super) generation: u64,
    /// Where it has several names: the first of them.
    first: OnceCell<Rc<[u8]>>,
}

impl Node {
    pub(super) fn new(id: u64, mode: u64) -> Result<Self, Fault> {
        Ok(Self {
            id,
            kind: Kind::of(mode)?,
            mode: mode & 0o7777,
            user: 0,
            group: 0,
            project: 0,
            modified: (0, 0),
            times: [None; 3],
            size: 0,
            device: None,
            target: Vec::new(),
            attributes: Vec::new(),
            flags: 0,
            generation: 0,
            first: OnceCell::new(),
        })
    }

    /// Where it has several names: the first of them.
    pub(super) fn first(&self) -> Option<&[u8]> {
        self.first.get().map(|first| &**first)
    }

    /// Whether all but the number by which its file system knows it is the same, and the size of what is no file.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        let rest = (self.user, self.group, self.project, self.flags, self.generation);
        (self.kind, self.mode, rest) == (other.kind, other.mode, other.rest())
            && (self.modified, self.times, self.device) == (other.modified, other.times, other.device)
            && (&self.target, &self.attributes, &self.first) == (&other.target, &other.attributes, &other.first)
    }

    fn rest(&self) -> (u64, u64, u64, u64, u64) {
        (self.user, self.group, self.project, self.flags, self.generation)
    }

    /// All that it says, for [`super::super::field::Groups`].
    pub(super) fn fields(&self, path: &[u8]) -> Vec<Field> {
        let mut fields = Vec::new();
        number::permissions(&mut fields, self.mode);
        for (label, value) in [("user", self.user), ("group", self.group), ("project", self.project)] {
            fields.push(Field::text(Group::Owners, label, value.to_string()));
        }
        fields.push(Field::text(Group::Times, "modified", time(self.modified)));
        for (label, value) in self.times.into_iter().flatten() {
            fields.push(Field::text(Group::Times, label, time(value)));
        }
        if let Some((major, minor)) = self.device {
            fields.push(Field::text(Group::Structure, "device", format!("{major}, {minor}")));
        }
        if self.kind == Kind::Symbolic {
            fields.push(Field::bytes(Group::Links, "leads to", self.target.as_slice()));
        }
        if let Some(first) = self.first() {
            fields.push(match first == path {
                true => Field::text(Group::Links, "same file as", "none before it"),
                false => Field::bytes(Group::Links, "same file as", first),
            });
        }
        fields.push(Field::text(Group::Structure, "flags", format!("{:#x}", self.flags)));
        fields.push(Field::text(Group::Structure, "generation", self.generation.to_string()));
        for (name, value) in &self.attributes {
            let name = super::super::preview::name(name);
            fields.push(Field::bytes(Group::Structure, format!("attribute {name}"), value.as_slice()));
        }
        fields
    }
}

/// A time as people read it, of which no two are the same.
pub(super) fn time((seconds, nanoseconds): Time) -> String {
    let time = i32::try_from(nanoseconds).ok().and_then(|nano| jiff::Timestamp::new(seconds, nano).ok());
    // One before 1970 with a fraction is counted the other way around.
    time.filter(|_| seconds >= 0 && nanoseconds < 1_000_000_000)
        .map_or_else(|| format!("{seconds} s, {nanoseconds} ns"), |time| time.to_string())
}

/// A file system, as far as a comparison asks.
pub(super) trait Volume {
    /// Its facts beside its nodes.
    fn fields(&self) -> &[Field];

    /// The number of the root's node.
    fn root(&self) -> u64;

    /// What it says of a node.
    fn node(&self, id: u64) -> Result<Node, Fault>;

    /// Calls `each` for everything in a directory, but for itself and what it is in.
    fn list(&self, id: u64, each: &mut Each<'_>) -> Result<(), Fault>;

    /// The bytes of a file: as many as its node says, or an error of [`io::ErrorKind::InvalidData`] where they make no sense.
    fn content(&self, id: u64) -> Result<Box<dyn Read + '_>, Fault>;

    /// How many bytes it has expanded so far that it gave nobody.
    fn expanded(&self) -> u64 {
        0
    }
}

/// All nodes of a file system by their paths; the root's is empty.
///
/// Names, targets of links and attributes together have room for `bounds.directory` bytes. A node is read and held once,
/// however many names it has, but counts with each of them: it is compared under each.
pub(super) fn walk(volume: &dyn Volume, bounds: &Bounds) -> Result<BTreeMap<Vec<u8>, Rc<Node>>, Fault> {
    let root = Rc::new(volume.node(volume.root())?);
    if root.kind != Kind::Directory {
        return wrong("its root is no directory");
    }
    let mut room = bounds.directory;
    let mut seen = BTreeSet::new();
    let mut waiting = vec![(Vec::new(), root.id)];
    let mut known = BTreeMap::from([(root.id, root.clone())]);
    let mut nodes = BTreeMap::from([(Vec::new(), root)]);
    while let Some((folder, id)) = waiting.pop() {
        if !seen.insert(id) {
            return wrong("one of its directories has two names");
        }
        volume.list(id, &mut |name, id| {
            if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
                return wrong("one of its names is empty, or has a slash or a zero in it");
            }
            if nodes.len() >= bounds.members {
                return wrong(format!("it has more than {} nodes", bounds.members));
            }
            let path = if folder.is_empty() { name.to_vec() } else { [&folder, name].join(&b'/') };
            let node = match known.get(&id) {
                Some(node) => node.clone(),
                None => Rc::new(volume.node(id)?),
            };
            known.insert(id, node.clone());
            let attributes: u64 = node.attributes.iter().map(weight).sum();
            // Of a directory, the path is kept a second time until it is looked into.
            let takes = (2 * path.len() + node.target.len()) as u64 + attributes;
            room = match room.checked_sub(takes) {
                Some(room) => room,
                None => return wrong(format!("its names and attributes have more than {} bytes", bounds.directory)),
            };
            if node.kind == Kind::Directory {
                waiting.push((path.clone(), id));
            }
            match nodes.insert(path, node) {
                None => Ok(()),
                Some(_) => wrong("one of its names comes twice in one directory"),
            }
        })?;
    }
    name_links(&nodes);
    Ok(nodes)
}

/// Notes which names are one file.
fn name_links(nodes: &BTreeMap<Vec<u8>, Rc<Node>>) {
    let mut names: BTreeMap<u64, u64> = BTreeMap::new();
    for node in nodes.values().filter(|node| node.kind != Kind::Directory) {
        *names.entry(node.id).or_default() += 1;
    }
    names.retain(|_, names| *names > 1);
    for (path, node) in nodes.iter().filter(|(_, node)| names.contains_key(&node.id)) {
        node.first.get_or_init(|| path.as_slice().into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One directory, in which one file has many names.
    struct Names {
        count: usize,
        attributes: usize,
        read: Cell<usize>,
    }

    impl Volume for Names {
        fn fields(&self) -> &[Field] {
            &[]
        }

        fn root(&self) -> u64 {
            0
        }

        fn node(&self, id: u64) -> Result<Node, Fault> {
            self.read.set(self.read.get() + 1);
            if id == 0 {
                return Node::new(id, 0o040_755);
            }
            Ok(Node { attributes: vec![Attribute::default(); self.attributes], ..Node::new(id, 0o100_644)? })
        }

        fn list(&self, _: u64, each: &mut Each<'_>) -> Result<(), Fault> {
            (0..self.count).try_for_each(|n| each(format!("{n:04}").as_bytes(), 1))
        }

        fn content(&self, _: u64) -> Result<Box<dyn Read + '_>, Fault> {
            Ok(Box::new(io::empty()))
        }
    }

    #[test]
    fn a_node_of_many_names_is_read_once_and_counts_with_each() {
        let names = |count, attributes| Names { count, attributes, read: Cell::new(0) };
        let bounds = Bounds { directory: 1000 * (8 + 3 * 96), ..Bounds::default() };
        let volume = names(1000, 3);
        let nodes = walk(&volume, &bounds).unwrap();
        assert_eq!((nodes.len(), volume.read.get()), (1001, 2));
        let [one, last] = ["0000", "0999"].map(|name| nodes[name.as_bytes()].clone());
        assert!(Rc::ptr_eq(&one, &last) && last.first() == Some(b"0000"));
        for past in [names(1001, 3), names(1000, 4)] {
            assert!(matches!(walk(&past, &bounds), Err(Fault::Wrong(why)) if why.contains("names and attributes")));
        }
    }

    #[test]
    fn empty_attributes_are_kept_to_a_bound() {
        let push = |bounds: &Bounds, count: usize| {
            let budget = Budget::of(bounds);
            let mut list = List::new(&budget);
            let pushed = (0..count).try_for_each(|_| list.push(Attribute::default()));
            pushed.map(|()| list.into_all().len()).map_err(|fault| io::Error::from(fault).to_string())
        };
        let of_one = Bounds { directory: 960, ..Bounds::default() };
        assert_eq!(push(&of_one, 10), Ok(10));
        assert_eq!(push(&of_one, 11).unwrap_err(), "attributes of one node have more than 960 bytes");
        let of_all = Bounds { entry: 960, ..Bounds::default() };
        assert_eq!(push(&of_all, 10), Ok(10));
        assert_eq!(push(&of_all, 11).unwrap_err(), "its directories and attributes are too large");
    }
}
