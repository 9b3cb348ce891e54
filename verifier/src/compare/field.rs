// SPDX-License-Identifier: Apache-2.0
//! The fields of a container's headers, each under the kind of finding that it belongs to.

use std::collections::{BTreeMap, VecDeque};

use reprove_model::FindingKind;

use super::findings::Details;
use super::format::Format;
use super::preview::{self, Around};

/// What a field is about. The order is the one in which normalizations are applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Group {
    /// When something was made or changed.
    Times,
    /// Who owns it: numbers and names.
    Owners,
    /// Whether the group and others may write: what a umask of 002 gives and one of 022 takes.
    Umask,
    /// Numbers of devices and inodes of the machine that made the archive.
    Numbers,
    /// In which order members come.
    Order,
    /// How bytes are compressed, where they are equal once expanded or compared so.
    Compression,
    /// What was compressed where, as the compressor remembers it: a file's name, an operating system.
    Origin,
    /// How the same is written: digits of a number, an end's zeros, a descriptor after the data or a size before it.
    Form,
    /// What a list says of what it lists, where that is right: a wheel's of its files, a gem's of its members.
    Record,
    /// Which revision of a repository it was made from.
    Vcs,
    /// The order of what a value lists, where it decides nothing.
    Values,
    /// Signatures, and digests that are right.
    Signatures,
    /// What names one build and follows from other things: a build-id, a link to debugging information.
    Identity,
    /// All other permission bits.
    Modes,
    /// What a link leads to.
    Links,
    /// All the rest.
    Structure,
}

impl Group {
    pub(super) const ALL: [Self; 16] = [
        Self::Times,
        Self::Owners,
        Self::Umask,
        Self::Numbers,
        Self::Order,
        Self::Compression,
        Self::Origin,
        Self::Form,
        Self::Record,
        Self::Vcs,
        Self::Values,
        Self::Signatures,
        Self::Identity,
        Self::Modes,
        Self::Links,
        Self::Structure,
    ];

    /// The finding that it belongs to.
    pub(super) fn kind(self) -> FindingKind {
        match self {
            Self::Times => FindingKind::ArchiveTimes,
            Self::Owners => FindingKind::ArchiveOwners,
            Self::Umask | Self::Modes => FindingKind::ArchiveModes,
            Self::Order => FindingKind::ArchiveOrder,
            Self::Compression => FindingKind::Compression,
            Self::Links => FindingKind::LinkTarget,
            Self::Record | Self::Vcs | Self::Values | Self::Signatures => FindingKind::Content,
            Self::Identity => FindingKind::BuildIdentity,
            Self::Numbers | Self::Origin | Self::Form | Self::Structure => FindingKind::ArchiveStructure,
        }
    }

    /// What one field of it is called.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Times => "time",
            Self::Owners => "owner",
            Self::Umask => "write permission of groups and others",
            Self::Numbers => "device or inode number",
            Self::Order => "position",
            Self::Compression => "compression detail",
            Self::Origin => "detail of where it comes from",
            Self::Form => "way of writing",
            Self::Record => "listed digest",
            Self::Vcs => "revision detail",
            Self::Values => "clause order",
            Self::Signatures => "signature part",
            Self::Identity => "name of the build",
            Self::Modes => "mode",
            Self::Links => "link target",
            Self::Structure => "structural part",
        }
    }
}

/// What a difference is taken out with: all fields of one group, in containers of one format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Normalizer {
    pub(super) format: Format,
    pub(super) group: Group,
}

impl Normalizer {
    /// The one for these fields; `None` where leaving them out would hide what matters.
    pub(super) fn of(format: Format, group: Group) -> Option<Self> {
        let hides_what_matters = match group {
            Group::Modes | Group::Links | Group::Structure => true,
            // Where files are unpacked or looked up, and not where parts follow each other.
            Group::Order => !matches!(format, Format::Tar | Format::Zip | Format::Ar | Format::Cpio | Format::Jar),
            // With one zero more, a class or a signed program is none.
            Group::Form => matches!(
                format,
                Format::Pe
                    | Format::Coff
                    | Format::MachO
                    | Format::MachOFat
                    | Format::Sqlite
                    | Format::Class
                    | Format::UImage
                    | Format::Pdf
            ),
            _ => false,
        };
        (!hides_what_matters).then_some(Self { format, group })
    }

    /// What it is called: `docs/comparing.md` says what each leaves out.
    pub(super) fn name(self) -> String {
        let group = match self.group {
            Group::Times => "times",
            Group::Owners => "owners",
            Group::Umask => "umask",
            Group::Numbers => "numbers",
            Group::Order => "order",
            Group::Compression => "compression",
            Group::Origin => "origin",
            Group::Form => "form",
            Group::Record if self.format == Format::Zip => return "wheel-record".to_owned(),
            Group::Record => "checksums",
            Group::Vcs => "vcs",
            Group::Values => "values",
            Group::Signatures => "signatures",
            Group::Identity => "identity",
            Group::Modes => "modes",
            Group::Links => "links",
            Group::Structure => "structure",
        };
        format!("{}-{group}", self.format.name())
    }
}

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) group: Group,
    pub(super) label: String,
    pub(super) value: Value,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Bytes(Vec<u8>),
}

impl Field {
    pub(super) fn text(group: Group, label: impl Into<String>, value: impl Into<String>) -> Self {
        Self { group, label: label.into(), value: Value::Text(value.into()) }
    }

    pub(super) fn bytes(group: Group, label: impl Into<String>, value: impl Into<Vec<u8>>) -> Self {
        Self { group, label: label.into(), value: Value::Bytes(value.into()) }
    }
}

/// The single differences of one container, each in the group that it belongs to.
#[derive(Default)]
pub(super) struct Groups([Details; Group::ALL.len()]);

impl Groups {
    pub(super) fn of(&mut self, group: Group) -> &mut Details {
        let [
            times,
            owners,
            umask,
            numbers,
            order,
            compression,
            origin,
            form,
            record,
            vcs,
            values,
            signatures,
            identity,
            modes,
            links,
            structure,
        ] = &mut self.0;
        match group {
            Group::Times => times,
            Group::Owners => owners,
            Group::Umask => umask,
            Group::Numbers => numbers,
            Group::Order => order,
            Group::Compression => compression,
            Group::Origin => origin,
            Group::Form => form,
            Group::Record => record,
            Group::Vcs => vcs,
            Group::Values => values,
            Group::Signatures => signatures,
            Group::Identity => identity,
            Group::Modes => modes,
            Group::Links => links,
            Group::Structure => structure,
        }
    }

    /// Those that have any, each with what differs.
    pub(super) fn into_found(self) -> impl Iterator<Item = (Group, Details)> {
        Group::ALL.into_iter().zip(self.0).filter(|(_, details)| details.count > 0)
    }

    /// Adds each field that differs. Fields are found by their labels; a label that comes twice is told apart by the order.
    pub(super) fn compare(&mut self, name: &str, left: &[Field], right: &[Field]) {
        self.compare_in_order(name, left, right, Group::Structure);
    }

    /// The same; that fields change places is of the group `order`.
    pub(super) fn compare_in_order(&mut self, name: &str, left: &[Field], right: &[Field], order: Group) {
        let mut rights: BTreeMap<(Group, &str), VecDeque<(usize, &Field)>> = BTreeMap::new();
        for (at, field) in right.iter().enumerate() {
            rights.entry((field.group, &field.label)).or_default().push_back((at, field));
        }
        let (mut last, mut moved) = (0, false);
        for field in left {
            let found = rights.get_mut(&(field.group, field.label.as_str())).and_then(VecDeque::pop_front);
            if let Some((at, _)) = found {
                moved |= at < last;
                last = at;
            }
            let other = found.map(|(_, other)| &other.value);
            if other != Some(&field.value) {
                self.add(name, field, Some(&field.value), other);
            }
        }
        // In the order of the right side.
        let alone: BTreeMap<usize, &Field> = rights.into_values().flatten().collect();
        for field in alone.into_values() {
            self.add(name, field, None, Some(&field.value));
        }
        // What stands where is more than each field says.
        if moved {
            let at = if name.is_empty() { "order of fields".to_owned() } else { format!("{name}: order of fields") };
            self.of(order).push(at, "one", "another");
        }
    }

    fn add(&mut self, name: &str, field: &Field, left: Option<&Value>, right: Option<&Value>) {
        let at = match (name, field.label.as_str()) {
            ("", label) => label.to_owned(),
            (name, "") => name.to_owned(),
            (name, label) => format!("{name}: {label}"),
        };
        let (left, right) = show(left, right);
        self.of(field.group).push(at, left, right);
    }
}

fn show(left: Option<&Value>, right: Option<&Value>) -> (String, String) {
    if let (Some(Value::Bytes(left)), Some(Value::Bytes(right))) = (left, right) {
        let same = left.iter().zip(right).take_while(|(a, b)| a == b).count();
        let around = |bytes: &[u8]| Around {
            before: bytes.get(same.saturating_sub(preview::CONTEXT_BEFORE)..same).unwrap_or_default().to_vec(),
            from: bytes.iter().skip(same).take(preview::CONTEXT_FROM).copied().collect(),
        };
        let len = left.len().max(right.len()) - same;
        return preview::pair(&around(left), &around(right), len as u64);
    }
    let text = |value: Option<&Value>| match value {
        None => "(none)".to_owned(),
        Some(Value::Text(text)) => preview::name(text.as_bytes()),
        Some(Value::Bytes(bytes)) => match str::from_utf8(bytes) {
            Ok(text) if !text.is_empty() && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => format!("{text:?}"),
            _ => preview::hexadecimal(bytes),
        },
    };
    (text(left), text(right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(left: &[Field], right: &[Field]) -> Vec<(Group, [String; 3])> {
        let mut groups = Groups::default();
        groups.compare("f", left, right);
        let all = groups.into_found().flat_map(|(group, details)| details.kept.into_iter().map(move |d| (group, d)));
        all.map(|(group, detail)| (group, [detail.at, detail.left, detail.right])).collect()
    }

    #[test]
    fn fields_are_found_by_their_labels() {
        let left = [Field::text(Group::Times, "modified", "1"), Field::text(Group::Structure, "comment", "a")];
        let right = [Field::text(Group::Times, "modified", "2"), Field::text(Group::Structure, "comment", "a")];
        let time = (Group::Times, ["f: modified", "1", "2"].map(str::to_owned));
        assert_eq!(found(&left, &right), std::slice::from_ref(&time));
        let right = [Field::text(Group::Structure, "comment", "a"), Field::text(Group::Times, "modified", "2")];
        let order = (Group::Structure, ["f: order of fields", "one", "another"].map(str::to_owned));
        assert_eq!(found(&left, &right), [time, order]);
    }

    #[test]
    fn the_order_of_fields_is_never_lost() {
        let of = |names: [&str; 3]| names.map(|name| Field::text(Group::Structure, name, name));
        let left = of(["a", "b", "c"]);
        assert_eq!(found(&left, &of(["a", "b", "c"])), []);
        let order = (Group::Structure, ["f: order of fields", "one", "another"].map(str::to_owned));
        assert_eq!(found(&left, &of(["c", "b", "a"])), [order]);
        // What one side has alone moves nothing else.
        assert_eq!(found(&left, &of(["x", "b", "c"])).len(), 2);
    }

    #[test]
    fn what_one_side_has_alone_or_twice_is_a_difference() {
        let one = [Field::bytes(Group::Structure, "x", "a")];
        let two = [Field::bytes(Group::Structure, "x", "a"), Field::bytes(Group::Structure, "x", "a")];
        assert_eq!(found(&one, &two).len(), 1);
        assert_eq!(found(&two, &one).len(), 1);
        assert_eq!(found(&two, &two), []);
        let many: Vec<_> = (0..200_000).map(|n| Field::text(Group::Structure, format!("{n}"), "")).collect();
        assert_eq!(found(&many, &many), []);
    }

    #[test]
    fn every_group_has_a_place_of_its_own() {
        let mut groups = Groups::default();
        Group::ALL.into_iter().for_each(|group| groups.of(group).push(group.noun(), "", ""));
        let found: Vec<_> = groups.into_found().map(|(group, details)| (group, details.kept[0].at.clone())).collect();
        assert_eq!(found, Group::ALL.map(|group| (group, group.noun().to_owned())));
    }
}
