// SPDX-License-Identifier: Apache-2.0
//! Two trees, or two files, to findings.
//!
//! Two promises hold for everything here. No finding means no difference: the list is empty if and only if both sides are
//! equal. And a finding explains no more than was shown: the kinds that explain a zip archive
//! ([`FindingKind::ZipEntryTimes`] and the like) stand alone only where they account for every byte that differs;
//! whatever they leave over is a finding of its own.
//!
//! What is equal by BLAKE3 digest is never opened. What is opened is read in bounded memory, whatever its size; every
//! bound has a constant here.

mod bytes;
mod files;
mod findings;
mod preview;
mod source;
mod text;
mod zip;

use std::fs::File;
use std::io;

use reprove_model::{Between, Detail, Digest, DigestSet, Finding, FindingKind, Node, Tree, TreePath};
use thiserror::Error;

use self::files::State;
use self::source::Source;

/// The most findings that one comparison gives. Where there are more differences, the last finding counts the rest.
pub const MAX_FINDINGS: usize = 2_000;

/// The most details of all findings of one comparison together; each finding's `count` stays true.
pub const MAX_DETAILS: usize = 10_000;

/// The largest file, in bytes, that is compared line by line.
pub const MAX_TEXT: u64 = 4 << 20;

/// How deep archives inside archives are opened; the outermost has the depth 1.
pub const MAX_DEPTH: usize = 8;

/// The most bytes that one entry of an archive may expand to.
pub const MAX_ENTRY: u64 = 1 << 30;

/// The most bytes that all entries opened in one comparison may expand to.
pub const MAX_EXPANSION: u64 = 4 << 30;

/// The most bytes of expanded entries that are held in memory at one time. A larger entry is compared as a stream.
pub const MAX_MEMORY: u64 = 256 << 20;

/// The largest central directory, in bytes, of a zip archive that is opened.
pub const MAX_DIRECTORY: u64 = 64 << 20;

/// Where the comparison finds a file's bytes.
pub trait Blobs {
    /// Opens the file with this digest, for reading.
    ///
    /// # Errors
    /// Where there is none, or it can't be opened.
    fn open(&self, digest: &Digest) -> io::Result<File>;
}

/// One of the two trees, and where its files' bytes are.
#[derive(Clone, Copy)]
pub struct Side<'a> {
    /// The tree.
    pub tree: &'a Tree,
    /// Has every file of the tree.
    pub blobs: &'a dyn Blobs,
}

/// Why a comparison came to no end. Bytes that make no sense are never an error, only a file that can't be read.
#[derive(Debug, Error)]
pub enum CompareError {
    /// A file of a tree could not be opened.
    #[error("can't open {place}, {digest}")]
    Open {
        /// Its path in the tree.
        place: String,
        /// Its digest.
        digest: Digest,
        /// Why.
        source: io::Error,
    },
    /// A file could not be read to its end.
    #[error("can't read {place}")]
    Read {
        /// Its place.
        place: String,
        /// Why.
        source: io::Error,
    },
}

/// Every difference between two trees, sorted by place, then kind; at most [`MAX_FINDINGS`].
///
/// Empty if and only if the trees are equal, that is, have one digest.
///
/// # Errors
/// See [`CompareError`].
pub fn compare(left: Side<'_>, right: Side<'_>, between: Between) -> Result<Vec<Finding>, CompareError> {
    compare_within(left, right, between, &Bounds::default())
}

/// Every difference between two files' bytes, sorted by place, then kind; at most [`MAX_FINDINGS`]. `place` is what the
/// findings call the file.
///
/// Empty if and only if the bytes are equal.
///
/// # Errors
/// See [`CompareError`].
pub fn compare_files(left: &File, right: &File, place: &str, between: Between) -> Result<Vec<Finding>, CompareError> {
    let bounds = Bounds::default();
    let mut state = State::new(between, &bounds);
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let sources = (Source::file(left).map_err(read)?, Source::file(right).map_err(read)?);
    files::compare(&sources.0, &sources.1, place, &mut state)?;
    Ok(state.findings.finish())
}

/// The bounds of one comparison, so that tests can stand on both sides of each.
#[derive(Clone, Debug)]
struct Bounds {
    findings: usize,
    details: usize,
    text: u64,
    depth: usize,
    entry: u64,
    expansion: u64,
    memory: u64,
    directory: u64,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            findings: MAX_FINDINGS,
            details: MAX_DETAILS,
            text: MAX_TEXT,
            depth: MAX_DEPTH,
            entry: MAX_ENTRY,
            expansion: MAX_EXPANSION,
            memory: MAX_MEMORY,
            directory: MAX_DIRECTORY,
        }
    }
}

fn compare_within(
    left: Side<'_>,
    right: Side<'_>,
    between: Between,
    bounds: &Bounds,
) -> Result<Vec<Finding>, CompareError> {
    let mut state = State::new(between, bounds);
    for (path, node) in left.tree.entries() {
        match right.tree.entries().get(path) {
            Some(other) if other == node => {}
            Some(other) => nodes((left, node), (right, other), path, &mut state)?,
            None => state.findings.only(path.to_string(), FindingKind::OnlyLeft, &describe(node)),
        }
    }
    for (path, node) in right.tree.entries() {
        if !left.tree.entries().contains_key(path) {
            state.findings.only(path.to_string(), FindingKind::OnlyRight, &describe(node));
        }
    }
    Ok(state.findings.finish())
}

fn nodes(
    (left, a): (Side<'_>, &Node),
    (right, b): (Side<'_>, &Node),
    path: &TreePath,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    let place = path.to_string();
    match (a, b) {
        (
            Node::File { mode, size, digest },
            Node::File { mode: other_mode, size: other_size, digest: other_digest },
        ) => {
            modes(&place, *mode, *other_mode, state);
            if (size, digest.blake3) != (other_size, other_digest.blake3) {
                contents((left, digest), (right, other_digest), &place, state)?;
            }
        }
        (Node::Directory { mode }, Node::Directory { mode: other_mode }) => modes(&place, *mode, *other_mode, state),
        (Node::Symlink { target }, Node::Symlink { target: other }) => {
            let detail = Detail { at: place.clone(), left: target.to_string(), right: other.to_string() };
            let summary = "the link's target differs".to_owned();
            state.findings.add(place, FindingKind::LinkTarget, summary, vec![detail], 1);
        }
        _ => {
            let detail = Detail { at: place.clone(), left: describe(a), right: describe(b) };
            let summary = format!("{} on the left, {} on the right", detail.left, detail.right);
            state.findings.add(place, FindingKind::Type, summary, vec![detail], 1);
        }
    }
    Ok(())
}

fn modes(place: &str, left: u16, right: u16, state: &mut State<'_>) {
    if left != right {
        let detail = Detail { at: place.to_owned(), left: format!("{left:04o}"), right: format!("{right:04o}") };
        let summary = format!("the mode is {} on the left, {} on the right", detail.left, detail.right);
        state.findings.add(place.to_owned(), FindingKind::Mode, summary, vec![detail], 1);
    }
}

fn contents(
    (left, left_digest): (Side<'_>, &DigestSet),
    (right, right_digest): (Side<'_>, &DigestSet),
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    if state.findings.would_omit(place) {
        state.findings.omit(place.to_owned(), FindingKind::Content);
        return Ok(());
    }
    let open = |side: Side<'_>, digest: &Digest| {
        side.blobs.open(digest).map_err(|source| CompareError::Open {
            place: place.to_owned(),
            digest: *digest,
            source,
        })
    };
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let (left_file, right_file) = (open(left, &left_digest.blake3)?, open(right, &right_digest.blake3)?);
    let sources = (Source::file(&left_file).map_err(read)?, Source::file(&right_file).map_err(read)?);
    let before = state.findings.made();
    files::compare(&sources.0, &sources.1, place, state)?;
    if state.findings.made() == before {
        let summary = "the digests differ, but the bytes that were read are the same: what was read is not what \
                       the trees name";
        let detail = Detail {
            at: "BLAKE3".to_owned(),
            left: left_digest.blake3.to_string(),
            right: right_digest.blake3.to_string(),
        };
        state.findings.add(place.to_owned(), FindingKind::Content, summary.to_owned(), vec![detail], 1);
    }
    Ok(())
}

fn describe(node: &Node) -> String {
    match node {
        Node::File { size, .. } => format!("a file of {}", preview::count(*size, "byte")),
        Node::Directory { .. } => "a directory".to_owned(),
        Node::Symlink { target } => format!("a link to {target}"),
    }
}

#[cfg(test)]
mod tests;
