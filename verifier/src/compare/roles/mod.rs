// SPDX-License-Identifier: Apache-2.0
//! Texts that are told by their names, together with what they are in: a crate's note of its revision, a file of properties;
//! and one that says what it is, a page of javadoc. Each is read as fields that together make up its bytes, so that a time
//! in one is told from the rest of it.

mod cargo;
pub(super) mod dates;
mod gem;
mod javadoc;
pub(super) mod manifest;
mod properties;

use std::io;
use std::rc::Rc;

use super::archive::{Archive, Member};
use super::field::{Field, Group, Groups};
use super::files::State;
use super::findings::Details;
use super::format::Format;
use super::source::Source;

/// What a file is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// `.cargo_vcs_info.json` of a crate.
    CrateRevision,
    /// `META-INF/MANIFEST.MF` of a JAR, with the digests in it that are right.
    Manifest(Rc<manifest::Digests>),
    /// A signature of a JAR, and nothing else.
    Signature,
    /// The specification of a gem.
    GemSpecification,
    /// The digests of a gem's members, with those that are right.
    GemChecksums(Rc<gem::Digests>),
    /// Properties of Java.
    Properties,
    /// What a build says of the revision that it is of, as properties of Java.
    GitProperties,
}

/// What the left one is for, and the right one. A normal form has a left one alone.
pub(super) type Roles = [Option<Role>; 2];

impl Role {
    /// By the name alone.
    pub(super) fn of_name(name: &[u8]) -> Option<Self> {
        let last = name.rsplit(|byte| matches!(byte, b'/' | b'!')).next().unwrap_or_default();
        match last {
            b"git.properties" => Some(Self::GitProperties),
            last => last.ends_with(b".properties").then_some(Self::Properties),
        }
    }

    /// By the name of an entry of a zip archive.
    pub(super) fn of_entry(name: &[u8]) -> Option<Self> {
        if name == manifest::NAME { Some(Self::Manifest(Rc::default())) } else { Self::of_name(name) }
    }

    /// By the name of a member, and the archive that it is in.
    pub(super) fn of_member(
        (source, archive): (&Source<'_>, &Archive),
        member: &Member,
        state: &mut State<'_>,
    ) -> io::Result<Option<Self>> {
        Ok(match archive.format {
            Format::Tar if cargo::is_note(&member.key.0) => Some(Self::CrateRevision),
            Format::Tar => gem::role((source, archive), member, state)?.or_else(|| Self::of_name(&member.key.0)),
            Format::Cpio | Format::Ar | Format::Nar => Self::of_name(&member.key.0),
            _ => None,
        })
    }
}

/// A text as fields, which together make up its bytes.
pub(super) struct Text {
    pub(super) format: Format,
    pub(super) fields: Vec<Field>,
    /// Whether the order of the fields decides nothing.
    pub(super) is_free: bool,
}

/// Reads a file as what it is for; `None`: it is nothing that is known here, or not written as that is.
pub(super) fn read(bytes: &[u8], role: Option<&Role>) -> Option<Text> {
    match role {
        Some(Role::CrateRevision) => cargo::read(bytes),
        Some(Role::Manifest(digests)) => manifest::read(bytes, digests),
        Some(Role::Signature) => {
            let fields = vec![Field::bytes(Group::Signatures, "", bytes)];
            Some(Text { format: Format::Jar, fields, is_free: false })
        }
        Some(Role::GemSpecification) => gem::specification(bytes),
        Some(Role::GemChecksums(digests)) => gem::checksums(bytes, digests),
        Some(Role::Properties) => properties::read(bytes),
        Some(Role::GitProperties) => properties::of_git(bytes),
        None => javadoc::read(bytes),
    }
}

/// How much of what differs was told.
pub(super) enum Told {
    /// All of it, in findings.
    All,
    /// What of it is a field, of a text of this kind. The texts have to be compared as any other.
    Beside(&'static str, Details),
    /// None: the texts have to be compared as any other.
    None,
}

/// Adds what differs between two files where that is nothing but fields that can be left out.
pub(super) fn compare((left, right): (&[u8], &[u8]), [a, b]: &Roles, place: &str, state: &mut State<'_>) -> Told {
    let (Some(a), Some(b)) = (read(left, a.as_ref()), read(right, b.as_ref())) else { return Told::None };
    if a.format != b.format {
        return Told::None;
    }
    let mut groups = Groups::default();
    let order = if a.is_free && b.is_free { Group::Order } else { Group::Structure };
    groups.compare_in_order("", &a.fields, &b.fields, order);
    let before = state.findings.made();
    if groups.of(Group::Structure).count == 0 {
        state.report(a.format, groups, place);
    } else if a.format == Format::Jar {
        let found = groups.into_found().filter(|(group, _)| !matches!(group, Group::Form | Group::Values));
        let mut all = Details::default();
        found.for_each(|(_, details)| all.append(details));
        all.kept.sort_by(|a, b| a.at.cmp(&b.at));
        return Told::Beside("a manifest", all);
    }
    if state.findings.made() > before { Told::All } else { Told::None }
}

/// A text of which some pieces are fields and all between them stays.
struct Pieces<'a> {
    text: &'a [u8],
    at: usize,
    fields: Vec<Field>,
    named: usize,
}

impl<'a> Pieces<'a> {
    /// Of a text that is read in lines; `None`: a CR stands alone, which ends a line for some readers.
    fn of_lines(text: &'a [u8]) -> Option<Self> {
        let is_alone = |at: usize| text.get(at.saturating_add(1)) != Some(&b'\n');
        let mut returns = text.iter().enumerate().filter(|(_, byte)| **byte == b'\r');
        (!returns.any(|(at, _)| is_alone(at))).then(|| Self::of(text))
    }

    fn of(text: &'a [u8]) -> Self {
        Self { text, at: 0, fields: Vec::new(), named: 0 }
    }

    /// The next field: `len` bytes from `start` on, which is not before the end of the one before.
    fn field(&mut self, group: Group, label: &str, start: usize, len: usize) {
        let end = start.saturating_add(len);
        if let (Some(between), Some(value)) = (self.text.get(self.at..start), self.text.get(start..end)) {
            self.fields.push(Field::bytes(Group::Structure, format!("text {}", self.named), between));
            self.fields.push(Field::bytes(group, label, value));
            (self.at, self.named) = (end, self.named + 1);
        }
    }

    /// `None`: there is no field.
    fn text(mut self, format: Format) -> Option<Text> {
        let rest = self.text.get(self.at..).unwrap_or_default();
        self.fields.push(Field::bytes(Group::Structure, "the rest", rest));
        (self.named > 0).then_some(Text { format, fields: self.fields, is_free: false })
    }
}

/// The lines of a text, each with where it begins and without what ends it: LF, or CR and LF. A CR alone ends none:
/// [`Pieces::of_lines`] asks.
fn lines(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    text.split_inclusive(|byte| *byte == b'\n').map(move |line| {
        let start = at;
        at += line.len();
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        (start, line.strip_suffix(b"\r").unwrap_or(line))
    })
}

#[cfg(test)]
pub(super) mod tests;
