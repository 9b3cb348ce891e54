// SPDX-License-Identifier: Apache-2.0
//! Two zip archives, part by part.
//!
//! A [`Layout`] gives each byte of an archive to one named part: what is before the entries, local headers, data, what
//! follows the data, the central directory's headers, the end records. Parts are then compared with parts, entries by name
//! and occurrence. Inside a header each field belongs to one kind of finding: times, attributes, compression, or structure
//! for all the rest. A field that follows from another part (an offset, a size, the checksum of verified content) is set
//! aside only where it says what that part says. The orders and these parts make up the whole file, so archives without a
//! finding are equal, and archives with nothing but other times get nothing but [`FindingKind::ZipEntryTimes`].

mod contents;
mod end;
mod entry;
mod layout;
mod normal;
mod record;
mod records;
mod signed;
mod times;

use std::collections::BTreeMap;
use std::io;

use reprove_model::FindingKind;

use self::contents::Compared;
use self::entry::View;
use self::layout::Entry;
pub(super) use self::layout::{Layout, claims_to_be, layout};
pub(super) use self::normal::write;
use self::signed::Signed;
use super::CompareError;
use super::bytes;
use super::field::{Group, Normalizer};
use super::files::State;
use super::findings::Details;
use super::format::Format;
use super::preview;
use super::roles::Roles;
use super::source::{Source, Span};

/// An archive: its bytes, and where its parts are.
type Archive<'a> = (&'a Source<'a>, &'a Layout);

/// Adds every difference between two archives.
pub(super) fn compare(
    left: Archive<'_>,
    right: Archive<'_>,
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let mut groups = Groups::default();
    let signed = Signed::of_both(left, right, state).map_err(read)?;
    let by_key = |layout: &Layout| -> BTreeMap<_, _> {
        layout.entries.iter().enumerate().map(|(index, entry)| (entry.key.clone(), index)).collect()
    };
    let (lefts, rights) = (by_key(left.1), by_key(right.1));
    // Lists of entries come last: what they are held against has been expanded then.
    let mut in_turn: Vec<_> = lefts.iter().collect();
    in_turn.sort_by_key(|((name, _), _)| record::is_record(name));
    for (key, index) in in_turn {
        let Some(a) = left.1.entries.get(*index) else { continue };
        match rights.get(key).and_then(|index| right.1.entries.get(*index)) {
            Some(b) => entries((left, a), (right, b), &signed, place, (&mut groups, state))?,
            None => only(place, a, FindingKind::OnlyLeft, &signed[0], state),
        }
    }
    for (key, index) in &rights {
        if let Some(b) = right.1.entries.get(*index)
            && !lefts.contains_key(key)
        {
            only(place, b, FindingKind::OnlyRight, &signed[1], state);
        }
    }
    groups.order = order(left.1, right.1, &lefts, &rights);
    if groups.order.count > 0 && (left.1.order_decides() || right.1.order_decides()) {
        state.needs(None);
    }
    let prefix = (left.1.prefix, right.1.prefix);
    spans((left.0, prefix.0), (right.0, prefix.1), "before the first entry", &mut groups.structure).map_err(read)?;
    entry::differences("", &end::items(left.1), &end::items(right.1), &mut groups.structure);
    groups.report(left.0, right.0, place, state).map_err(read)
}

/// The name of an entry as text; of two with one name, the second is `name#2`.
fn name((name, occurrence): &(Vec<u8>, u32)) -> String {
    let name = preview::name(name);
    if *occurrence == 0 { name } else { format!("{name}#{}", u64::from(*occurrence) + 1) }
}

fn only(place: &str, entry: &Entry, kind: FindingKind, signed: &Signed, state: &mut State<'_>) {
    let (place, size) = (format!("{place}!{}", name(&entry.key)), preview::count(entry.size, "byte"));
    if signed.has(&entry.key.0) {
        state.needs(Normalizer::of(Format::Jar, Group::Signatures));
        state.findings.only(place, kind, &format!("a signature of {size}"));
    } else {
        state.only(place, kind, &format!("an entry of {size}"));
    }
}

fn entries(
    (left, a): (Archive<'_>, &Entry),
    (right, b): (Archive<'_>, &Entry),
    signed: &[Signed; 2],
    place: &str,
    (groups, state): (&mut Groups, &mut State<'_>),
) -> Result<(), CompareError> {
    let name = name(&a.key);
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let (Some(central), Some(other)) = (left.1.central(a), right.1.central(b)) else {
        return Err(read(io::ErrorKind::UnexpectedEof.into()));
    };
    let inner = format!("{place}!{name}");
    let before = record::is_record(&a.key.0).then(|| state.normalizers.clone());
    state.roles = signed.each_ref().map(|signed| signed.role(&a.key.0));
    // Other checksums are of other contents, which are counted then.
    let differs = (central.common.crc, a.size) != (other.common.crc, b.size);
    let compared = if differs && state.passes_over(&inner) {
        Compared { verified: true, recompressed: None }
    } else {
        contents::compare((left.0, a, &central), (right.0, b, &other), &inner, state)?
    };
    state.roles = Roles::default();
    if let Some(before) = before
        && state.findings.has(&inner, FindingKind::Content)
        && let Some(entries) = record::follows(&a.key.0, left, right, state).map_err(read)?
    {
        let entries = if entries == 1 { "1 other entry".to_owned() } else { format!("{entries} other entries") };
        state.findings.append(&inner, FindingKind::Content, &format!("; that follows from {entries}"));
        // In place of what its difference alone would need.
        state.normalizers = before;
        if (central.common.method, other.common.method) != (0, 0) {
            state.needs(Normalizer::of(Format::Zip, Group::Compression));
        }
        state.needs(Normalizer::of(Format::Zip, Group::Record));
    }
    let methods_differ = central.common.method != other.common.method;
    let view = |archive: Archive<'_>, entry: &Entry, central| {
        entry::view(archive.0, entry, central, compared.verified, methods_differ).map_err(read)
    };
    let (view, other) = (view(left, a, &central)?, view(right, b, &other)?);
    groups.add(&name, &compared, (&view, a), (&other, b));
    let at = format!("{name}: after the data");
    spans((left.0, view.rest), (right.0, other.rest), &at, &mut groups.structure).map_err(read)
}

/// The single differences of one archive, each in the finding that it belongs to.
#[derive(Default)]
struct Groups {
    times: Details,
    order: Details,
    umask: Details,
    attributes: Details,
    compression: Details,
    form: Details,
    structure: Details,
}

impl Groups {
    fn add(&mut self, name: &str, compared: &Compared, (left, a): (&View, &Entry), (right, b): (&View, &Entry)) {
        entry::differences(name, &left.times, &right.times, &mut self.times);
        entry::differences(name, &left.umask, &right.umask, &mut self.umask);
        entry::differences(name, &left.attributes, &right.attributes, &mut self.attributes);
        entry::differences(name, &left.compression, &right.compression, &mut self.compression);
        entry::differences(name, &left.form, &right.form, &mut self.form);
        entry::differences(name, &left.structure, &right.structure, &mut self.structure);
        if let Some(first) = compared.recompressed {
            let at = format!("{name}: compressed bytes, the first that differs at {first:#x}");
            let sizes = [a, b].map(|entry| preview::count(entry.data.len, "byte"));
            let [left, right] = sizes;
            self.compression.push(at, left, right);
        }
    }

    fn report(
        self,
        left: &Source<'_>,
        right: &Source<'_>,
        place: &str,
        state: &mut State<'_>,
    ) -> Result<(), io::Error> {
        let mut report = |kind, group: Option<Group>, details: Details, what: &str, more: &str| {
            if details.count > 0 {
                let verb = if details.count == 1 { "differs" } else { "differ" };
                let summary = format!("{} {verb}{more}", preview::count(details.count, what));
                state.needs(group.and_then(|group| Normalizer::of(Format::Zip, group)));
                state.findings.add(place.to_owned(), kind, summary, details.kept, details.count);
            }
        };
        let more = "; contents are equal where compressed bytes are listed";
        let (entries, of_order) = (" among the entries", " in the order of the entries");
        report(FindingKind::ZipEntryTimes, Some(Group::Times), self.times, "time", entries);
        report(FindingKind::ZipEntryOrder, Some(Group::Order), self.order, "position", of_order);
        report(FindingKind::ZipEntryAttributes, Some(Group::Umask), self.umask, Group::Umask.noun(), entries);
        report(FindingKind::ZipEntryAttributes, None, self.attributes, "attribute", entries);
        report(FindingKind::ZipCompression, Some(Group::Compression), self.compression, "compression detail", more);
        report(FindingKind::ZipStructure, Some(Group::Form), self.form, Group::Form.noun(), entries);
        if self.structure.count > 0 {
            let first = bytes::first_between((left, left.whole()), (right, right.whole()))?;
            let first = first.map(|first| format!("; the archives first differ at {first:#x}"));
            let what = "structural part";
            report(FindingKind::ZipStructure, None, self.structure, what, first.as_deref().unwrap_or_default());
        }
        Ok(())
    }
}

/// Where the entries that both archives have come in another order: in the central directory, or in the file.
fn order(
    left: &Layout,
    right: &Layout,
    lefts: &BTreeMap<(Vec<u8>, u32), usize>,
    rights: &BTreeMap<(Vec<u8>, u32), usize>,
) -> Details {
    let mut details = Details::default();
    let mut list = |a: Vec<&Entry>, b: Vec<&Entry>, what: &str| {
        let a = a.into_iter().filter(|entry| rights.contains_key(&entry.key));
        let b = b.into_iter().filter(|entry| lefts.contains_key(&entry.key));
        for (position, (a, b)) in (1_u64..).zip(a.zip(b)) {
            if a.key != b.key {
                details.push(format!("entry {position}{what}"), name(&a.key), name(&b.key));
            }
        }
    };
    let keys = |entries: Vec<&Entry>| -> Vec<_> { entries.into_iter().map(|entry| entry.key.clone()).collect() };
    list(left.entries.iter().collect(), right.entries.iter().collect(), "");
    let same = |layout: &Layout| keys(layout.by_position()) == keys(layout.entries.iter().collect());
    if !(same(left) && same(right)) {
        list(left.by_position(), right.by_position(), ", by where its data is");
    }
    details
}

/// Compares what no field describes, byte by byte.
fn spans(
    (left, a): (&Source<'_>, Span),
    (right, b): (&Source<'_>, Span),
    at: &str,
    details: &mut Details,
) -> io::Result<()> {
    if (a.len, b.len) == (0, 0) {
        return Ok(());
    }
    let runs = bytes::diff(left.reader(a), right.reader(b))?.runs;
    let listed = runs.kept.len() as u64;
    for run in runs.kept {
        details.push(format!("{at}: {}", run.at), run.left, run.right);
    }
    details.count += runs.count - listed;
    Ok(())
}

#[cfg(test)]
mod tests;
