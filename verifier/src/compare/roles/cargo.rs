// SPDX-License-Identifier: Apache-2.0
//! What Cargo writes of the revision that a crate was packed from (The Cargo Book, "cargo package").

use super::super::field::Group;
use super::super::format::Format;
use super::super::values;
use super::{Pieces, Text};

/// How many digits a commit of Git has.
const DIGITS: usize = 40;

/// Whether a member of this name is the note of a crate: it is in the folder that all of the crate is in.
pub(super) fn is_note(name: &[u8]) -> bool {
    let folder = name.strip_suffix(b"/.cargo_vcs_info.json");
    folder.is_some_and(|folder| !matches!(folder, b"" | b"." | b"..") && !folder.contains(&b'/'))
}

/// The commit, and all around it.
pub(super) fn read(bytes: &[u8]) -> Option<Text> {
    let text = str::from_utf8(bytes).ok()?;
    let commit = values::json_at(text, &["git", "sha1"])?;
    let digits = commit.strip_prefix('"')?.strip_suffix('"')?;
    let is_commit = digits.len() == DIGITS && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let mut places = text.match_indices(commit);
    // What stands there twice has one place that is not known.
    let (Some((at, _)), None, true) = (places.next(), places.next(), is_commit) else { return None };
    let mut pieces = Pieces::of(bytes);
    pieces.field(Group::Vcs, "git.sha1", at + 1, DIGITS);
    pieces.text(Format::Cargo)
}
