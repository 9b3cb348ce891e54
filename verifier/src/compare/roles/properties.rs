// SPDX-License-Identifier: Apache-2.0
//! Properties as Java writes them (`java.util.Properties`, "store"): comments, of which one is the date; and those that
//! say which revision of a repository a build is of.

use super::super::field::Group;
use super::super::format::Format;
use super::manifest::{MAX_VALUE, is_time};
use super::{Pieces, Text, dates, lines};

/// The most lines before the date.
const MAX_LINES: usize = 10;
/// The longest file of a build's own that is read, in lines.
const MAX_KEYS: usize = 1_000;
/// How many digits the name of a commit has at most (SHA-256).
const MAX_ID: usize = 64;

/// The date, in a comment before all else, and what is around it.
pub(super) fn read(bytes: &[u8]) -> Option<Text> {
    let mut pieces = Pieces::of_lines(bytes)?;
    date(bytes, &mut pieces);
    pieces.text(Format::Properties)
}

/// The same, and what says when, by whom and of which revision the build is.
pub(super) fn of_git(bytes: &[u8]) -> Option<Text> {
    let mut pieces = Pieces::of_lines(bytes)?;
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
        let (key, value) = (line.get(..equals).unwrap_or_default(), line.get(equals + 1..).unwrap_or_default());
        if let (Some(group), Ok(label)) = (group(key, value), str::from_utf8(key)) {
            pieces.field(group, label, start + equals + 1, value.len());
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

/// What this key says, of those that `git-commit-id-maven-plugin` and its like write, where the value can be that; `None`:
/// what stays.
fn group(key: &[u8], value: &[u8]) -> Option<Group> {
    let is_text = value.len() <= MAX_VALUE && str::from_utf8(value).is_ok();
    let (group, is_one) = match key {
        b"git.build.time" => (Group::Times, is_written_time(value)),
        b"git.build.host" | b"git.build.user.name" | b"git.build.user.email" | b"git.build.number" => {
            (Group::Origin, is_text)
        }
        b"git.commit.author.time" | b"git.commit.committer.time" | b"git.commit.time" => {
            (Group::Vcs, is_written_time(value))
        }
        b"git.commit.id" | b"git.commit.id.abbrev" | b"git.commit.id.full" => {
            (Group::Vcs, (1..=MAX_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_hexdigit))
        }
        b"git.dirty" => (Group::Vcs, matches!(value, b"true" | b"false")),
        b"git.branch"
        | b"git.closest.tag.commit.count"
        | b"git.closest.tag.name"
        | b"git.commit.id.describe"
        | b"git.commit.id.describe-short"
        | b"git.commit.message.full"
        | b"git.commit.message.short"
        | b"git.commit.user.email"
        | b"git.commit.user.name"
        | b"git.local.branch.ahead"
        | b"git.local.branch.behind"
        | b"git.remote.origin.url"
        | b"git.tag"
        | b"git.tags"
        | b"git.total.commit.count" => (Group::Vcs, is_text),
        _ => return None,
    };
    is_one.then_some(group)
}

/// Whether this can be a time as Java writes it in properties, where a colon may have a backslash before it.
fn is_written_time(value: &[u8]) -> bool {
    let is_escape = |at: usize| value.get(at) == Some(&b'\\') && value.get(at.saturating_add(1)) == Some(&b':');
    let said: Vec<u8> = value.iter().enumerate().filter(|(at, _)| !is_escape(*at)).map(|(_, byte)| *byte).collect();
    is_time(&said)
}
