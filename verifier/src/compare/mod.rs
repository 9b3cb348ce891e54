// SPDX-License-Identifier: Apache-2.0
//! Two trees, or two files, to findings.
//!
//! Two promises hold for everything here. No finding means no difference: the list is empty if and only if both sides are
//! equal. And a finding explains no more than was shown: the kinds that explain an archive
//! ([`reprove_model::FindingKind::ArchiveTimes`] and the like) stand alone only where they account for every byte that
//! differs; whatever they leave over is a finding of its own.
//!
//! What is equal by BLAKE3 digest is never opened. What is opened is read in bounded memory, whatever its size; every
//! bound has a constant here.

mod ar;
mod archive;
mod bytes;
mod class;
mod code;
mod compressed;
mod cpio;
mod dates;
mod elf;
mod field;
mod files;
mod findings;
mod format;
mod frames;
mod gzip;
mod held;
mod identity;
mod image;
mod kept;
mod macho;
mod mo;
mod nar;
mod normal;
mod number;
mod oci;
mod order;
mod pdf;
mod pe;
mod png;
mod preview;
mod pyc;
mod roles;
mod room;
mod rpm;
mod source;
mod sqlite;
mod tar;
mod text;
mod tiled;
mod trees;
mod uimage;
mod values;
mod wasm;
mod zip;

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;

use reprove_model::{Between, Digest, Finding, Normalization, Sha256, Tree, TreePath};
use serde::Serialize;
use thiserror::Error;

pub use self::dates::newest_time;
use self::field::{Group, Normalizer};
use self::files::State;
use self::kept::Base;
use self::roles::Role;
use self::source::Opened;

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

/// The most bytes that entries may expand to in all normal forms of one comparison together.
pub const MAX_FORMS: u64 = 16 << 30;

/// The most bytes of expanded entries that are held in memory at one time. What is larger goes to a file in
/// [`Options::scratch`].
pub const MAX_MEMORY: u64 = 256 << 20;

/// The largest central directory, in bytes, of a zip archive that is opened.
pub const MAX_DIRECTORY: u64 = 64 << 20;

/// The most members of a tar, ar or cpio archive that is opened.
pub const MAX_MEMBERS: usize = 400_000;

/// Where the comparison finds a file's bytes.
pub trait Blobs {
    /// Opens the file with this digest, for reading.
    ///
    /// # Errors
    /// Where there is none, or it can't be opened.
    fn open(&self, digest: &Digest) -> io::Result<File>;

    /// A folder for temporary files without a name, where there is one: see [`Options::scratch`].
    fn scratch(&self) -> Option<&Path> {
        None
    }
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

/// How far two things are the same. The first alone is a reproduction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Every bit is.
    BitIdentical,
    /// Not so; but all is, once the normalizations that are named are applied to both.
    NormalizedEqual,
    /// Not so; but all is, once names of the build are left out as well, which follow from other things: a build-id, a link
    /// to debugging information.
    CodeEqual,
    /// None of these.
    Different,
}

impl Level {
    /// The word itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BitIdentical => "bit-identical",
            Self::NormalizedEqual => "normalized-equal",
            Self::CodeEqual => "code-equal",
            Self::Different => "different",
        }
    }
}

/// What comparing two things came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The word.
    pub level: Level,
    /// What makes the two equal, each the least that does, in the order in which they are applied; each with the digest of
    /// what the left one is after it and all before it, which for the last is the right one's as well. Of a tree, that is the
    /// digest of its list with normal forms in place of the files that differ. Empty unless the level is
    /// [`Level::NormalizedEqual`] or [`Level::CodeEqual`].
    pub normalizations: Vec<Normalization>,
    /// Every difference, sorted by place, then kind; at most [`MAX_FINDINGS`]. Empty if and only if every bit is the same.
    pub findings: Vec<Finding>,
}

/// How to compare, beside what.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    /// Which two things they are.
    pub between: Between,
    /// A folder for temporary files without a name, for what is too large for memory once it is expanded; `None`: it is
    /// compared as it is, with the reason.
    pub scratch: Option<&'a Path>,
    /// Is told of each place before it is looked at.
    pub tell: Option<&'a dyn Fn(&str)>,
}

impl<'a> Options<'a> {
    /// With neither a folder nor anybody to tell.
    #[must_use]
    pub fn of(between: Between) -> Self {
        Self { between, scratch: None, tell: None }
    }

    /// With the folder that `blobs` have, and nobody to tell.
    #[must_use]
    pub fn beside(between: Between, blobs: &'a dyn Blobs) -> Self {
        Self { between, scratch: blobs.scratch(), tell: None }
    }
}

/// Compares two trees. They are bit-identical if and only if they have one digest.
///
/// # Errors
/// See [`CompareError`].
pub fn compare(left: Side<'_>, right: Side<'_>, options: Options<'_>) -> Result<Comparison, CompareError> {
    trees::compare(left, right, &options, &Bounds::default())
}

/// Compares two images of containers: each side has a manifest of that name, and of the blobs that it names those that there
/// are, below `blobs/sha256`. What is not said of one is as with [`compare`].
///
/// # Errors
/// See [`CompareError`].
pub fn compare_images(
    left: Side<'_>,
    right: Side<'_>,
    manifest: &TreePath,
    options: Options<'_>,
) -> Result<Comparison, CompareError> {
    trees::compare_images(left, right, manifest, &options, &Bounds::default())
}

/// The largest manifest of an image, in bytes, that is read.
pub const MAX_MANIFEST: u64 = oci::MAX_MANIFEST;

/// Names the blobs that an image's manifest leads to: its configuration and its layers, by SHA-256. None where it is no
/// manifest.
#[must_use]
pub fn blobs_of_manifest(bytes: &[u8]) -> Vec<Sha256> {
    oci::blobs_of(bytes)
}

/// Compares two files' bytes. `place` is what the findings call the file.
///
/// # Errors
/// See [`CompareError`].
pub fn compare_files(left: &File, right: &File, place: &str, options: Options<'_>) -> Result<Comparison, CompareError> {
    let bounds = Bounds::default();
    let mut state = State::new(&options, &bounds);
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let opened = |file| Opened::new(file, Base::Number(state.kept.number())).map_err(read);
    let (left, right) = (opened(left)?, opened(right)?);
    let (left, right) = (left.source(), right.source());
    let role = Role::of_name(place.as_bytes());
    state.roles = [role.clone(), role.clone()];
    files::compare(&left, &right, place, &mut state)?;
    let normalizers = state.normalizers.take().unwrap_or_default();
    let normalizations = normal::forms((&left, &right), role.as_ref(), &normalizers, &state).map_err(read)?;
    Ok(Comparison::of(state.finish(), &normalizers, normalizations))
}

impl Comparison {
    fn of(findings: Vec<Finding>, normalizers: &BTreeSet<Normalizer>, normalizations: Vec<Normalization>) -> Self {
        let names_builds = normalizers.iter().any(|normalizer| normalizer.group == Group::Identity);
        let level = match (findings.is_empty(), normalizations.is_empty()) {
            (true, _) => Level::BitIdentical,
            (false, false) if names_builds => Level::CodeEqual,
            (false, false) => Level::NormalizedEqual,
            (false, true) => Level::Different,
        };
        Self { level, normalizations, findings }
    }
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
    forms: u64,
    memory: u64,
    directory: u64,
    members: usize,
    windows: usize,
    aligning: u64,
    values: u64,
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
            forms: MAX_FORMS,
            memory: MAX_MEMORY,
            directory: MAX_DIRECTORY,
            members: MAX_MEMBERS,
            windows: code::MAX_WINDOWS,
            aligning: text::MAX_ALIGNING,
            values: values::MAX_BYTES,
        }
    }
}

#[cfg(test)]
mod tests;
