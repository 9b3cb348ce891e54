// SPDX-License-Identifier: Apache-2.0
//! Two trees, path by path.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use reprove_model::{Detail, Digest, DigestSet, FindingKind, Node, Normalization, Sha256, Tree, TreePath};

use super::field::Normalizer;
use super::files::{self, State};
use super::kept::Base;
use super::oci::{Files, Pairs};
use super::roles::Role;
use super::source::{Opened, Source, Span};
use super::{Bounds, CompareError, Comparison, Options, Side, normal, preview};

/// The file that says that its directory is a layout of container images.
const MARK: &[u8] = b"oci-layout";

/// How many layouts are looked into.
const MAX_LAYOUTS: usize = 100;

/// Compares two trees within bounds.
pub(super) fn compare(
    left: Side<'_>,
    right: Side<'_>,
    options: &Options<'_>,
    bounds: &Bounds,
) -> Result<Comparison, CompareError> {
    let blobs = layouts(left, right)?;
    with_blobs((left, right), &blobs, options, bounds)
}

/// Compares two images within bounds: each is a manifest of that name, and blobs.
pub(super) fn compare_images(
    left: Side<'_>,
    right: Side<'_>,
    manifest: &TreePath,
    options: &Options<'_>,
    bounds: &Bounds,
) -> Result<Comparison, CompareError> {
    let mut blobs = Pairs::default();
    blobs.find_images((&left, &right), manifest.as_bytes())?;
    with_blobs((left, right), &blobs, options, bounds)
}

fn with_blobs(
    (left, right): (Side<'_>, Side<'_>),
    blobs: &Pairs,
    options: &Options<'_>,
    bounds: &Bounds,
) -> Result<Comparison, CompareError> {
    let mut state = State::new(options, bounds);
    for (path, node) in left.tree.entries() {
        match right.tree.entries().get(path) {
            Some(other) if other == node => {}
            Some(other) => nodes((left, node), (right, other), path.to_string(), &mut state)?,
            None if blobs.has_left(path.as_bytes()) => {}
            None => state.only(path.to_string(), FindingKind::OnlyLeft, &describe(node)),
        }
    }
    for (path, node) in right.tree.entries() {
        if !left.tree.entries().contains_key(path) && !blobs.has_right(path.as_bytes()) {
            state.only(path.to_string(), FindingKind::OnlyRight, &describe(node));
        }
    }
    for pair in &blobs.pairs {
        if let (Some(a), Some(b)) = (node(left, &pair.left), node(right, &pair.right)) {
            nodes((left, a), (right, b), pair.place.clone(), &mut state)?;
        }
    }
    blobs.report("", "", &mut state);
    let normalizers = state.normalizers.take().unwrap_or_default();
    let normalizations = normalized(left, right, &normalizers, &state)?;
    Ok(Comparison::of(state.finish(), &normalizers, normalizations))
}

/// The blobs of container images that are compared with each other, whatever their names.
fn layouts(left: Side<'_>, right: Side<'_>) -> Result<Pairs, CompareError> {
    let mut pairs = Pairs::default();
    let marks = left.tree.entries().keys().filter(|path| path.file_name() == MARK);
    for mark in marks.filter(|mark| right.tree.entries().contains_key(*mark)).take(MAX_LAYOUTS) {
        let prefix = mark.as_bytes().strip_suffix(MARK).unwrap_or_default();
        let lists = ["index.json", "manifest.json"].map(|name| [prefix, name.as_bytes()].concat());
        // What is equal is not opened.
        if lists.iter().all(|name| node(left, name) == node(right, name)) {
            continue;
        }
        pairs.find((&left, &right), prefix)?;
    }
    Ok(pairs)
}

fn node<'a>(side: Side<'a>, path: &[u8]) -> Option<&'a Node> {
    side.tree.entries().get(&TreePath::new(path).ok()?)
}

impl Files for Side<'_> {
    fn has(&self, name: &[u8]) -> bool {
        matches!(node(*self, name), Some(Node::File { .. }))
    }

    fn read(&self, name: &[u8], most: u64) -> Result<Option<Vec<u8>>, CompareError> {
        let Some(Node::File { size, digest, .. }) = node(*self, name) else { return Ok(None) };
        if *size > most {
            return Ok(None);
        }
        let place = preview::name(name);
        let file = open(*self, &digest.blake3, &place)?;
        let bytes = Source::file(&file).and_then(|source| source.read(Span { start: 0, len: source.len().min(most) }));
        let bytes = bytes.map_err(|source| CompareError::Read { place, source })?;
        Ok(Some(bytes))
    }

    fn sha256(&self, name: &[u8]) -> Result<Option<Sha256>, CompareError> {
        Ok(match node(*self, name) {
            Some(Node::File { digest, .. }) => Some(digest.sha256),
            _ => None,
        })
    }
}

/// The digests of the left tree with normal forms in place of the files that differ, after each of `normalizers` and all
/// before it. None where that does not make the trees equal.
fn normalized(
    left: Side<'_>,
    right: Side<'_>,
    normalizers: &BTreeSet<Normalizer>,
    state: &State<'_>,
) -> Result<Vec<Normalization>, CompareError> {
    let form = |side: Side<'_>, other: Side<'_>, left_out: &BTreeSet<Normalizer>| {
        let mut entries: BTreeMap<TreePath, Node> = side.tree.entries().clone();
        for (path, node) in &mut entries {
            if let Node::File { size, digest, .. } = node
                && let Some(Node::File { digest: differs, .. }) = other.tree.entries().get(path)
                && differs != digest
            {
                let file = open(side, &digest.blake3, &path.to_string())?;
                let read = |source| CompareError::Read { place: path.to_string(), source };
                let opened = Opened::new(&file, Base::File(digest.blake3)).map_err(read)?;
                let role = Role::of_name(path.as_bytes());
                match normal::digest(&opened.source(), role, left_out, state).map_err(read)? {
                    Some(form) => (*digest, *size) = (form, 0),
                    None => return Ok(None),
                }
            }
        }
        Ok(Tree::new(entries).map(|tree| tree.digest()).ok())
    };
    if normalizers.is_empty() {
        return Ok(Vec::new());
    }
    let last = form(left, right, normalizers)?;
    if last.is_none() || form(right, left, normalizers)? != last {
        return Ok(Vec::new());
    }
    let mut applied = BTreeSet::new();
    let mut all = Vec::new();
    for normalizer in normalizers {
        applied.insert(*normalizer);
        let Some(digest) = form(left, right, &applied)? else { return Ok(Vec::new()) };
        all.push(Normalization { name: normalizer.name(), digest });
    }
    Ok(all)
}

fn open(side: Side<'_>, digest: &Digest, place: &str) -> Result<File, CompareError> {
    let unopened = |source| CompareError::Open { place: place.to_owned(), digest: *digest, source };
    side.blobs.open(digest).map_err(unopened)
}

fn nodes(
    (left, a): (Side<'_>, &Node),
    (right, b): (Side<'_>, &Node),
    place: String,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
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
            state.needs(None);
            state.findings.add(place, FindingKind::LinkTarget, summary, vec![detail], 1);
        }
        _ => {
            let detail = Detail { at: place.clone(), left: describe(a), right: describe(b) };
            let summary = format!("{} on the left, {} on the right", detail.left, detail.right);
            state.needs(None);
            state.findings.add(place, FindingKind::Type, summary, vec![detail], 1);
        }
    }
    Ok(())
}

fn modes(place: &str, left: u16, right: u16, state: &mut State<'_>) {
    if left != right {
        let detail = Detail { at: place.to_owned(), left: format!("{left:04o}"), right: format!("{right:04o}") };
        let summary = format!("the mode is {} on the left, {} on the right", detail.left, detail.right);
        state.needs(None);
        state.findings.add(place.to_owned(), FindingKind::Mode, summary, vec![detail], 1);
    }
}

fn contents(
    (left, left_digest): (Side<'_>, &DigestSet),
    (right, right_digest): (Side<'_>, &DigestSet),
    place: &str,
    state: &mut State<'_>,
) -> Result<(), CompareError> {
    if state.passes_over(place) {
        return Ok(());
    }
    let read = |source| CompareError::Read { place: place.to_owned(), source };
    let (left_file, right_file) = (open(left, &left_digest.blake3, place)?, open(right, &right_digest.blake3, place)?);
    let opened = |file, digest: &DigestSet| Opened::new(file, Base::File(digest.blake3)).map_err(read);
    let (left, right) = (opened(&left_file, left_digest)?, opened(&right_file, right_digest)?);
    let before = state.findings.made();
    let role = Role::of_name(place.as_bytes());
    state.roles = [role.clone(), role];
    files::compare(&left.source(), &right.source(), place, state)?;
    if state.findings.made() == before {
        let summary = "the digests differ, but the bytes that were read are the same: what was read is not what \
                       the trees name";
        let detail = Detail {
            at: "BLAKE3".to_owned(),
            left: left_digest.blake3.to_string(),
            right: right_digest.blake3.to_string(),
        };
        state.needs(None);
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
