// SPDX-License-Identifier: Apache-2.0
//! Properties as Java writes them (`java.util.Properties`, "store"): comments, of which one is the date; and those that
//! say which revision of a repository a build is of.

use super::super::field::Group;
use super::super::format::Format;
use super::{Pieces, Text, dates, lines};

/// The most lines before the date.
const MAX_LINES: usize = 10;
/// The longest file of a build's own that is read, in lines.
const MAX_KEYS: usize = 1_000;

/// The date, in a comment before all else, and what is around it.
pub(super) fn read(bytes: &[u8]) -> Option<Text> {
    let mut pieces = Pieces::of(bytes);
    date(bytes, &mut pieces);
    pieces.text(Format::Properties)
}

/// The same, and what says when, by whom and of which revision the build is.
pub(super) fn of_git(bytes: &[u8]) -> Option<Text> {
    let mut pieces = Pieces::of(bytes);
    date(bytes, &mut pieces);
    if lines(bytes).nth(MAX_KEYS).is_some() {
        return pieces.text(Format::Properties);
    }
    let mut goes_on = false;
    for (start, line) in lines(bytes) {
        let is_whole = !goes_on;
        goes_on = line.ends_with(b"\\");
        let Some(equals) = line.iter().position(|byte| *byte == b'=').filter(|_| is_whole && !goes_on) else {
            continue;
        };
        let (key, value) = (line.get(..equals).unwrap_or_default(), line.len() - equals - 1);
        if let (Some(group), Ok(label)) = (group(key), str::from_utf8(key)) {
            pieces.field(group, label, start + equals + 1, value);
        }
    }
    pieces.text(Format::Properties)
}

fn date(bytes: &[u8], pieces: &mut Pieces<'_>) {
    for (start, line) in lines(bytes).take(MAX_LINES) {
        match line.strip_prefix(b"#") {
            Some(comment) if dates::is_of_java(comment) => {
                return pieces.field(Group::Times, "date", start + 1, comment.len());
            }
            Some(_) => {}
            None => return,
        }
    }
}

/// What this key says, of those that `git-commit-id-maven-plugin` and its like write; `None`: what stays.
fn group(key: &[u8]) -> Option<Group> {
    Some(match key {
        b"git.build.time" => Group::Times,
        b"git.build.host" | b"git.build.user.name" | b"git.build.user.email" | b"git.build.number" => Group::Origin,
        b"git.branch"
        | b"git.closest.tag.commit.count"
        | b"git.closest.tag.name"
        | b"git.commit.author.time"
        | b"git.commit.committer.time"
        | b"git.commit.id"
        | b"git.commit.id.abbrev"
        | b"git.commit.id.describe"
        | b"git.commit.id.describe-short"
        | b"git.commit.id.full"
        | b"git.commit.message.full"
        | b"git.commit.message.short"
        | b"git.commit.time"
        | b"git.commit.user.email"
        | b"git.commit.user.name"
        | b"git.dirty"
        | b"git.local.branch.ahead"
        | b"git.local.branch.behind"
        | b"git.remote.origin.url"
        | b"git.tag"
        | b"git.tags"
        | b"git.total.commit.count" => Group::Vcs,
        _ => return None,
    })
}
