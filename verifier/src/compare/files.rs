// SPDX-License-Identifier: Apache-2.0
//! One file with one file: as containers of members, as text, or as bytes, whichever both sides are.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

use reprove_model::{Finding, FindingKind};

use super::archive::Archive;
use super::bytes::{self, ByteDiff};
use super::field::{Group, Groups, Normalizer};
use super::findings::{Details, Findings};
use super::format::{self, Arrangement, Format};
use super::kept::Kept;
use super::preview::count;
use super::roles::{self, Roles, Told};
use super::source::Source;
use super::{
    Bounds, CompareError, Options, ar, archive, class, compressed, cpio, elf, image, macho, mo, nar, pdf, pe, png, pyc,
    rpm, sqlite, tar, text, uimage, values, wasm, zip,
};

/// What one comparison has used up so far, and found.
pub(super) struct State<'a> {
    pub(super) findings: Findings,
    pub(super) bounds: &'a Bounds,
    /// Where what is too large for memory may be put; `None`: nowhere.
    pub(super) scratch: Option<&'a Path>,
    /// Is told of each place before it is looked at.
    pub(super) tell: Option<&'a dyn Fn(&str)>,
    /// How many archives are open around what is being compared.
    pub(super) depth: usize,
    /// Bytes that entries expanded to.
    pub(super) expanded: u64,
    /// Whether anything was not expanded because all together would have been more than the bound.
    pub(super) is_exhausted: bool,
    /// Bytes that entries expanded to in normal forms.
    pub(super) in_forms: Cell<u64>,
    /// Whether there is no normal form because they would have expanded to more than the bound.
    pub(super) has_no_forms: Cell<bool>,
    /// Bytes of expanded entries that are held now.
    pub(super) held: u64,
    /// What the two files that come next are for.
    pub(super) roles: Roles,
    /// Windows of instructions that were looked at.
    pub(super) windows: usize,
    /// What was expanded so far, and may be again.
    pub(super) kept: Rc<Kept>,
    /// What aligning lines may still take.
    pub(super) aligning: u64,
    /// How many bytes of values may still be looked at.
    pub(super) values: u64,
    /// What all differences so far can be taken out with; `None`: there is one that can't be taken out.
    pub(super) normalizers: Option<BTreeSet<Normalizer>>,
}

impl<'a> State<'a> {
    pub(super) fn new(options: &Options<'a>, bounds: &'a Bounds) -> Self {
        Self {
            findings: Findings::new(options.between, bounds),
            bounds,
            scratch: options.scratch,
            tell: options.tell,
            depth: 0,
            expanded: 0,
            is_exhausted: false,
            in_forms: Cell::new(0),
            has_no_forms: Cell::new(false),
            held: 0,
            roles: Roles::default(),
            windows: 0,
            kept: Rc::default(),
            aligning: bounds.aligning,
            values: bounds.values,
            normalizers: Some(BTreeSet::new()),
        }
    }

    /// Notes what it takes to make a difference go away; `None`: nothing does.
    pub(super) fn needs(&mut self, normalizer: Option<Normalizer>) {
        match (normalizer, &mut self.normalizers) {
            (Some(normalizer), Some(all)) => _ = all.insert(normalizer),
            (None, all) => *all = None,
            (Some(_), None) => {}
        }
    }

    /// Whether what differs at `place` is only counted, without a closer look: so it is where its finding would not be listed
    /// and the level is settled. It is counted then.
    pub(super) fn passes_over(&mut self, place: &str) -> bool {
        let passes = self.normalizers.is_none() && self.findings.would_omit(place);
        if passes {
            self.findings.omit(place.to_owned(), FindingKind::Content);
        }
        passes
    }

    /// The findings.
    pub(super) fn finish(mut self) -> Vec<Finding> {
        if self.has_no_forms.get() {
            let bound = self.bounds.forms;
            self.findings.note(&format!("; normal forms were not worked out: they expand to more than {bound} bytes"));
        }
        self.findings.finish()
    }

    /// Adds what is on one side alone.
    pub(super) fn only(&mut self, place: String, kind: FindingKind, what: &str) {
        self.needs(None);
        self.findings.only(place, kind, what);
    }

    /// Adds a finding for each group of fields that has a difference.
    pub(super) fn report(&mut self, format: Format, groups: Groups, place: &str) {
        for (group, details) in groups.into_found() {
            self.needs(Normalizer::of(format, group));
            let verb = if details.count == 1 { "differs" } else { "differ" };
            let mut summary = format!("{} {verb} in {}", count(details.count, group.noun()), format.a_file());
            if group == Group::Compression {
                summary.push_str("; contents are equal where compressed bytes are listed");
            }
            self.findings.add(place.to_owned(), group.kind(), summary, details.kept, details.count);
        }
    }
}

/// Adds every difference between two files' bytes. Adds none if and only if they are equal.
pub(super) fn compare(
    left: &Source<'_>,
    right: &Source<'_>,
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    if let Some(tell) = state.tell {
        tell(place);
    }
    let roles = std::mem::take(&mut state.roles);
    let formats = formats(left, right, state).map_err(read)?;
    compare_with(formats, roles, (left, right), place, state)
}

/// The same, for what is known to be of one format.
pub(super) fn compare_as(
    format: Format,
    sides: (&Source<'_>, &Source<'_>),
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    compare_with(Formats::both(format, state), Roles::default(), sides, place, state)
}

fn compare_with(
    formats: Formats,
    roles: Roles,
    (left, right): (&Source<'_>, &Source<'_>),
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let note = match formats {
        Formats::Both(format) => {
            let before = state.findings.made();
            match containers(format, (left, right), roles.clone(), place, state)? {
                Ok(()) => {
                    if state.findings.made() == before {
                        leftover(left, right, place, state)?;
                    }
                    return Ok(());
                }
                Err(why) => Some(why),
            }
        }
        Formats::No(note) => note,
    };
    if note.is_none() && left.len().max(right.len()) <= state.bounds.text {
        let (left, right) = (left.read(left.whole()).map_err(read)?, right.read(right.whole()).map_err(read)?);
        let beside = match roles::compare((&left, &right), &roles, place, state) {
            Told::All => return Ok(()),
            Told::Beside(kind, details) => Some((kind, details)),
            Told::None => None,
        };
        if let (Some(left), Some(right)) = (text::as_text(&left), text::as_text(&right)) {
            texts((left, right), beside, place, state);
            return Ok(());
        }
    }
    let diff = bytes::diff(left.reader(left.whole()), right.reader(right.whole())).map_err(read)?;
    differing_bytes(diff, place, note.as_deref(), state);
    Ok(())
}

/// Both sides as containers of one format. The inner error: why one of them is none, and nothing was added.
fn containers(
    format: Format,
    (left, right): (&Source<'_>, &Source<'_>),
    roles: Roles,
    place: &str,
    state: &mut State<'_>,
) -> Result<Result<(), String>, CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let bounds = state.bounds;
    match format.arrangement() {
        Arrangement::Compressed => compressed::compare(format, (left, right), roles, place, state),
        Arrangement::Text => Ok(Err("it is told by its name alone".to_owned())),
        Arrangement::Zip => match both(format, zip::layout(left, bounds), zip::layout(right, bounds)).map_err(read)? {
            Ok((a, b)) => zip::compare((left, &a), (right, &b), place, state).map(Ok),
            Err(why) => Ok(Err(why)),
        },
        Arrangement::Image => {
            let (a, b) = (image::read(format, left, bounds), image::read(format, right, bounds));
            match both(format, a, b).map_err(read)? {
                Ok((a, b)) => image::compare((left, &a), (right, &b), place, state).map(Ok),
                Err(why) => Ok(Err(why)),
            }
        }
        Arrangement::Parts => {
            match both(format, archive(format, left, bounds), archive(format, right, bounds)).map_err(read)? {
                Ok((a, b)) => archive::compare((left, &a), (right, &b), place, state).map(Ok),
                Err(why) => Ok(Err(why)),
            }
        }
    }
}

/// The members of a file of this format, which is made of parts that stand one after the other.
pub(super) fn archive(format: Format, source: &Source<'_>, bounds: &Bounds) -> Layout<Archive> {
    match format {
        Format::Ar => ar::read(source, bounds),
        Format::Cpio => cpio::read(source, bounds),
        Format::Nar => nar::read(source, bounds),
        Format::Elf => elf::read(source),
        Format::Pe | Format::Coff => pe::read(format, source),
        Format::MachO => macho::read(source),
        Format::MachOFat => macho::fat(source),
        Format::Png => png::read(source, bounds),
        Format::Pyc => pyc::read(source),
        Format::Rpm => rpm::read(source),
        Format::Mo => mo::read(source),
        Format::Wasm => wasm::read(source, bounds),
        Format::UImage => uimage::read(source),
        Format::Sqlite => sqlite::read(source, bounds),
        Format::Class => class::read(source, bounds),
        Format::Pdf => pdf::read(source, bounds),
        _ => tar::read(source, bounds),
    }
}

type Layout<T> = std::io::Result<Result<T, String>>;

/// Both layouts, or which of them there is not.
fn both<T>(format: Format, left: Layout<T>, right: Layout<T>) -> Layout<(T, T)> {
    let what = match format {
        Format::Zip => "a whole zip archive",
        other => other.a_file(),
    };
    Ok(match (left?, right?) {
        (Ok(left), Ok(right)) => Ok((left, right)),
        (Err(why), Ok(_)) => Err(format!("the left one is not {what}: {why}")),
        (Ok(_), Err(why)) => Err(format!("the right one is not {what}: {why}")),
        (Err(left), Err(right)) => {
            let what = what.trim_start_matches("a ").trim_start_matches("an ");
            Err(format!("neither is a {what}: left, {left}; right, {right}"))
        }
    })
}

/// Adds a finding for `diff`, if it is one. `note`: why the bytes were not looked at in another way.
pub(super) fn differing_bytes(diff: ByteDiff, place: &str, note: Option<&str>, state: &mut State<'_>) {
    let Some(first) = diff.first else { return };
    state.needs(None);
    let runs = count(diff.runs.count, "run");
    let verb = if diff.runs.count == 1 { "differs" } else { "differ" };
    let mut summary = format!("{runs} of bytes {verb}, the first at {first:#x}; {}", sizes(diff.len));
    if let Some(note) = note {
        summary.push_str("; compared as bytes: ");
        summary.push_str(note);
    }
    state.findings.add(place.to_owned(), FindingKind::Content, summary, diff.runs.kept, diff.runs.count);
}

enum Formats {
    Both(Format),
    /// And why not, where one says that it is some container.
    No(Option<String>),
}

impl Formats {
    /// Both are this, where there is room for one more inside all others.
    fn both(format: Format, state: &State<'_>) -> Self {
        if state.depth >= state.bounds.depth {
            return Self::No(Some(format!("archives are opened {} deep at most", state.bounds.depth)));
        }
        Self::Both(format)
    }
}

fn formats(left: &Source<'_>, right: &Source<'_>, state: &State<'_>) -> std::io::Result<Formats> {
    Ok(match (format::claimed(left)?, format::claimed(right)?) {
        (None, None) => Formats::No(None),
        (Some(a), Some(b)) if a == b => Formats::both(a, state),
        (Some(a), None) => Formats::No(Some(format!("the left one alone is {}", a.a_file()))),
        (None, Some(b)) => Formats::No(Some(format!("the right one alone is {}", b.a_file()))),
        (Some(a), Some(b)) => {
            Formats::No(Some(format!("the left one is {}, the right one {}", a.a_file(), b.a_file())))
        }
    })
}

/// What the comparison of two archives did not find, if there is any: by its design nothing, and never silent.
fn leftover(left: &Source<'_>, right: &Source<'_>, place: &str, state: &mut State<'_>) -> Result<(), CompareError> {
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let diff = bytes::diff(left.reader(left.whole()), right.reader(right.whole())).map_err(read)?;
    if let Some(first) = diff.first {
        state.needs(None);
        let summary = format!("the archives differ, first at {first:#x}; {}", sizes(diff.len));
        let (kept, count) = (diff.runs.kept, diff.runs.count);
        state.findings.add(place.to_owned(), FindingKind::ArchiveStructure, summary, kept, count);
    }
    Ok(())
}

/// Adds the lines that differ, and the values: those in `beside`, of which it says the kind, or those that are told here.
fn texts((left, right): (&str, &str), beside: Option<(&'static str, Details)>, place: &str, state: &mut State<'_>) {
    let (details, is_aligned) = text::diff(left, right, &mut state.aligning);
    if details.count > 0 {
        state.needs(None);
        let lines = count(details.count, "line");
        let verb = if details.count == 1 { "differs" } else { "differ" };
        let mut summary = format!("{lines} {verb}; {}", sizes((left.len() as u64, right.len() as u64)));
        if text::is_reordered(left, right) {
            summary.push_str("; they are the same lines in another order");
        }
        if !is_aligned {
            summary.push_str("; those of one number are compared, since too many differ to be aligned");
        }
        let told = match beside {
            Some((kind, values)) => Some((kind, Some(values))),
            None => values::diff_within(left, right, place, &mut state.values),
        };
        if let Some((kind, None)) = told {
            let bound = state.bounds.values;
            summary.push_str(&format!("; values are not told apart as {kind}: of all texts together, more than {bound} bytes would be looked at"));
        }
        let values = told.and_then(|(kind, values)| Some((kind, values?)));
        if let Some((kind, _)) = values.as_ref().filter(|(_, values)| values.count == 0) {
            summary.push_str(&format!("; as {kind}, no value differs"));
        }
        state.findings.add(place.to_owned(), FindingKind::Content, summary, details.kept, details.count);
        if let Some((kind, values)) = values.filter(|(_, values)| values.count > 0) {
            let verb = if values.count == 1 { "differs" } else { "differ" };
            let summary = format!("as {kind}, {} {verb}", count(values.count, "value"));
            state.findings.add(place.to_owned(), FindingKind::Content, summary, values.kept, values.count);
        }
    }
}

pub(super) fn sizes((left, right): (u64, u64)) -> String {
    if left == right {
        format!("both have {}", count(left, "byte"))
    } else {
        format!("{} on the left, {right} on the right", count(left, "byte"))
    }
}
