// SPDX-License-Identifier: Apache-2.0
//! Images of file systems: squashfs, ext2, ext3, ext4 and erofs.
//!
//! What a mounted file system would show is compared node by node, and each file as a file of its own. No reader tells what
//! every byte of such an image is for, so one finding more says that the image's own bytes differ; nothing takes it out.

mod erofs;
mod ext4;
mod squashfs;
mod volume;

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use reprove_model::{Detail, FindingKind};

use self::volume::{Fault, Kind, Node, Volume};
use super::field::Groups;
use super::files::{self, State};
use super::format::Format;
use super::held::Held;
use super::source::{Source, Span};
use super::{Bounds, CompareError, bytes, preview};

pub(super) use self::squashfs::MAGIC as SQUASHFS;

/// How many runs of an image's own bytes are listed.
const MAX_RUNS: usize = 4;

/// A file system that was read: all but the bytes of its files.
pub(super) struct Image<'a> {
    format: Format,
    volume: Box<dyn Volume + 'a>,
    nodes: BTreeMap<Vec<u8>, Rc<Node>>,
}

/// What an image says that it is whose first block is left to others.
pub(super) fn claimed(source: &Source<'_>) -> io::Result<Option<Format>> {
    let start = 1024_u64;
    let header =
        source.read(Span { start: start.min(source.len()), len: source.len().saturating_sub(start).min(1024) })?;
    Ok(if erofs::is_header(&header) {
        Some(Format::Erofs)
    } else if ext4::is_header(&header) {
        Some(Format::Ext4)
    } else {
        None
    })
}

/// Finds all nodes.
///
/// # Errors
/// The outer one where reading fails; the inner one where the bytes make no file system, or more than the bounds allow.
pub(super) fn read<'a>(
    format: Format,
    source: &'a Source<'a>,
    bounds: &Bounds,
) -> io::Result<Result<Image<'a>, String>> {
    let volume = match format {
        Format::Squashfs => squashfs::open(source, bounds),
        Format::Erofs => erofs::open(source, bounds),
        _ => ext4::open(source, bounds),
    };
    let read = volume.and_then(|volume| {
        let nodes = volume::walk(&*volume, bounds)?;
        Ok(Image { format, volume, nodes })
    });
    match read {
        Ok(image) => Ok(Ok(image)),
        Err(Fault::Wrong(why)) => Ok(Err(why)),
        Err(Fault::Io(error)) => Err(error),
    }
}

/// An image: its bytes, and what is in it.
type Side<'a> = (&'a Source<'a>, &'a Image<'a>);

/// Adds every difference between two images of one format.
pub(super) fn compare(left: Side<'_>, right: Side<'_>, place: &str, state: &mut State<'_>) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let (whole, other) = (left.0.reader(left.0.whole()), right.0.reader(right.0.whole()));
    let diff = bytes::diff(whole, other).map_err(read)?;
    let Some(first) = diff.first else { return Ok(()) };
    state.needs(None);
    let before = state.findings.made();
    let mut looking = Looking { free: left.0.len().max(right.0.len()), unread: 0, first: None };
    let mut groups = Groups::default();
    groups.compare("", left.1.volume.fields(), right.1.volume.fields());
    let (lefts, rights) = (&left.1.nodes, &right.1.nodes);
    for (path, a) in lefts {
        match rights.get(path) {
            Some(b) => {
                nodes((left.1, a), (right.1, b), (place, path), &mut groups, state);
                if a.kind == Kind::File && b.kind == Kind::File {
                    contents((left.1, a), (right.1, b), (place, path), &mut looking, state)?;
                }
            }
            None => state.only(inside(place, path), FindingKind::OnlyLeft, &described(a)),
        }
    }
    for (path, b) in rights.iter().filter(|(path, _)| !lefts.contains_key(*path)) {
        state.only(inside(place, path), FindingKind::OnlyRight, &described(b));
    }
    state.report(left.1.format, groups, place);
    let runs = preview::count(diff.runs.count, "run");
    let follow = match state.findings.made() == before {
        true => "nothing else that is looked at differs",
        false => "they follow at least in part from what is listed beside this, and which of them do is not told",
    };
    let mut summary = format!(
        "the image's own bytes differ in {runs}, the first at {first:#x}; {follow}; {}",
        files::sizes(diff.len)
    );
    if let Some(first) = looking.first {
        let files = preview::count(looking.unread, "file");
        summary.push_str(&format!("; the contents of {files} were not looked at, the first: {first}"));
    }
    let (mut kept, count) = (diff.runs.kept, diff.runs.count);
    kept.truncate(MAX_RUNS);
    state.findings.add(place.to_owned(), FindingKind::ArchiveStructure, summary, kept, count);
    Ok(())
}

/// What was not looked at, and what may be.
struct Looking {
    /// How many bytes may be read for nothing: as many as an image has.
    free: u64,
    unread: u64,
    /// The first that was not looked at, and why.
    first: Option<String>,
}

impl Looking {
    /// Takes `len` bytes from what may be read.
    fn take(&mut self, len: u64, state: &mut State<'_>) -> bool {
        let more = len.saturating_sub(self.free);
        let left = state.bounds.expansion.saturating_sub(state.expanded);
        // Small files may each have a large block expanded, so that what is free does not help where nothing else is left.
        if left == 0 || more > left {
            return false;
        }
        self.free = self.free.saturating_sub(len);
        state.expanded += more;
        true
    }

    fn not(&mut self, path: &[u8], why: &str) {
        self.unread += 1;
        if self.first.is_none() {
            self.first = Some(format!("{}: {why}", preview::name(path)));
        }
    }
}

/// The name of what is in an image.
fn shown(path: &[u8]) -> String {
    if path.is_empty() { "/".to_owned() } else { preview::name(path) }
}

fn inside(place: &str, path: &[u8]) -> String {
    format!("{place}!{}", shown(path))
}

fn described(node: &Node) -> String {
    match node.kind {
        Kind::File => format!("a file of {}", preview::count(node.size, "byte")),
        Kind::Symbolic => format!("a link to {}", preview::name(&node.target)),
        kind => kind.name().to_owned(),
    }
}

/// Adds what differs between two nodes beside their contents.
fn nodes(
    (_, a): (&Image<'_>, &Node),
    (_, b): (&Image<'_>, &Node),
    (place, path): (&str, &[u8]),
    groups: &mut Groups,
    state: &mut State<'_>,
) {
    if a.kind != b.kind {
        let place = inside(place, path);
        let detail = Detail { at: place.clone(), left: described(a), right: described(b) };
        let summary = format!("{} on the left, {} on the right", detail.left, detail.right);
        state.findings.add(place, FindingKind::Type, summary, vec![detail], 1);
    }
    if !a.is_like(b) {
        groups.compare(&shown(path), &a.fields(path), &b.fields(path));
    }
}

/// Adds what differs between two files' bytes.
fn contents(
    (left, a): (&Image<'_>, &Node),
    (right, b): (&Image<'_>, &Node),
    (place, path): (&str, &[u8]),
    looking: &mut Looking,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    // One file of several names is looked at under the first of them.
    if a.first() == b.first() && a.first().is_some_and(|first| first != path) {
        return Ok(());
    }
    if !looking.take(a.size.max(b.size), state) {
        looking.not(path, &format!("more than {} bytes would have to be read", state.bounds.expansion));
        return Ok(());
    }
    let place = inside(place, path);
    let before = (left.volume.expanded(), right.volume.expanded());
    let compared = compare_contents((left, a), (right, b), &place, state);
    let expanded = (left.volume.expanded() - before.0).saturating_add(right.volume.expanded() - before.1);
    state.expanded = state.expanded.saturating_add(expanded);
    match compared {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(error),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => looking.not(path, &error.to_string()),
        Err(source) => return Err(CompareError::Read { place, source }),
    }
    Ok(())
}

/// The outer error: one of the files' bytes could not be read.
fn compare_contents(
    (left, a): (&Image<'_>, &Node),
    (right, b): (&Image<'_>, &Node),
    place: &str,
    state: &mut State<'_>,
) -> io::Result<Result<(), CompareError>> {
    let open = || Ok::<_, io::Error>((left.volume.content(a.id)?, right.volume.content(b.id)?));
    let (one, other) = open()?;
    if bytes::first_difference(one, other)?.is_none() {
        return Ok(Ok(()));
    }
    let (one, other) = open()?;
    let held = match Held::read(one, state)? {
        Ok(held) => held,
        Err(why) => return as_bytes(open()?, place, &why, state).map(Ok),
    };
    let other = match Held::read(other, state)? {
        Ok(other) => other,
        Err(why) => {
            held.give_back(state);
            return as_bytes(open()?, place, &why, state).map(Ok);
        }
    };
    state.depth += 1;
    let compared = held.source().and_then(|one| Ok(files::compare(&one, &other.source()?, place, state)));
    state.depth -= 1;
    held.give_back(state);
    other.give_back(state);
    compared
}

fn as_bytes(
    (one, other): (impl io::Read, impl io::Read),
    place: &str,
    why: &str,
    state: &mut State<'_>,
) -> io::Result<()> {
    let diff = bytes::diff(one, other)?;
    files::differing_bytes(diff, place, Some(why), state);
    Ok(())
}

#[cfg(test)]
mod tests;
