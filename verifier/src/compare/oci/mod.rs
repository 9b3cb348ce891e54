// SPDX-License-Identifier: Apache-2.0
//! Layouts of container images ("OCI Image Layout Specification"), and what `docker save` writes: blobs are called by their
//! digests, so that one byte that differs in a layer leaves no blob of the same name on both sides. Here blobs are matched by
//! what they are to the image.
//!
//! Two blobs are matched only where each is on one side alone and has the name that its bytes give it: all others stay what
//! they are, on one side alone. That the names differ is a finding of its own.

mod documents;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use reprove_model::{FindingKind, Sha256};

use self::documents::{Blob, Descriptor, Document, Saved};
use super::files::State;
use super::findings::Details;
use super::{CompareError, preview};

/// The largest index or manifest that is read, and all of one side together, in bytes.
const MAX_DOCUMENT: u64 = 4 << 20;
const MAX_DOCUMENTS: u64 = 32 << 20;
/// How deep an index may be in an index.
const MAX_DEPTH: usize = 4;
/// How many blobs of one side are looked for.
const MAX_BLOBS: usize = 10_000;

/// The files of one side, by their names.
pub(super) trait Files {
    /// Whether there is one file of this name, and no other thing.
    fn has(&self, name: &[u8]) -> bool;

    /// The whole of a file; `None` where there is none, or it has more than `most` bytes.
    fn read(&self, name: &[u8], most: u64) -> Result<Option<Vec<u8>>, CompareError>;

    /// The digest of a file's bytes.
    fn sha256(&self, name: &[u8]) -> Result<Option<Sha256>, CompareError>;
}

/// Two blobs that are the same to both images.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) left: Vec<u8>,
    pub(super) right: Vec<u8>,
    /// What they are.
    role: String,
    /// Where findings about them are, in what the layout is in: what they are, and the start of the left one's digest.
    pub(super) place: String,
}

/// The blobs of two layouts that are compared with each other.
#[derive(Default)]
pub(super) struct Pairs {
    pub(super) pairs: Vec<Pair>,
    lefts: BTreeSet<Vec<u8>>,
    rights: BTreeSet<Vec<u8>>,
    tried: [BTreeSet<Vec<u8>>; 2],
    /// What each layout's names begin with, and how many pairs come before its own.
    layouts: Vec<(Vec<u8>, usize)>,
}

impl Pairs {
    /// Finds those of the layouts whose names begin so.
    pub(super) fn find(&mut self, (left, right): (&dyn Files, &dyn Files), prefix: &[u8]) -> Result<(), CompareError> {
        let mut matching =
            Matching { sides: [left, right], prefix, room: [MAX_DOCUMENTS; 2], blobs: MAX_BLOBS, pairs: Vec::new() };
        matching.layout()?;
        matching.saved()?;
        self.layouts.push((prefix.to_vec(), self.pairs.len()));
        for pair in matching.pairs {
            // Each is read once, however often it is led to.
            let [lefts, rights] = &mut self.tried;
            let is_new = lefts.insert(pair.left.clone()) && rights.insert(pair.right.clone());
            if is_new && is_named(left, &pair.left)? && is_named(right, &pair.right)? {
                self.lefts.insert(pair.left.clone());
                self.rights.insert(pair.right.clone());
                self.pairs.push(pair);
            }
        }
        Ok(())
    }

    /// Whether the left one of a pair is called so.
    pub(super) fn has_left(&self, name: &[u8]) -> bool {
        self.lefts.contains(name)
    }

    /// Whether the right one of a pair is called so.
    pub(super) fn has_right(&self, name: &[u8]) -> bool {
        self.rights.contains(name)
    }

    /// Adds that names differ. `place`: of what the layouts are in, with what comes before a name in it.
    pub(super) fn report(&self, place: &str, more: &str, state: &mut State<'_>) {
        for (at, (prefix, start)) in self.layouts.iter().enumerate() {
            let end = self.layouts.get(at + 1).map_or(self.pairs.len(), |(_, next)| *next);
            let mut details = Details::default();
            for pair in self.pairs.get(*start..end).unwrap_or_default() {
                details.push(pair.role.as_str(), preview::name(&pair.left), preview::name(&pair.right));
            }
            if details.count == 0 {
                continue;
            }
            state.needs(None);
            let blobs = preview::count(details.count, "blob");
            let summary = format!(
                "the names of {blobs} differ: each is the digest of what is in it, and follows from what differs there{more}"
            );
            let place = format!("{place}{}blobs", preview::name(prefix));
            state.findings.add(place, FindingKind::ArchiveStructure, summary, details.kept, details.count);
        }
    }
}

/// The last part of a name, without its ending.
fn stem(name: &[u8]) -> &[u8] {
    let last = name.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    last.split(|byte| *byte == b'.').next().unwrap_or_default()
}

/// Whether a file is called by the digest of its bytes.
fn is_named(files: &dyn Files, name: &[u8]) -> Result<bool, CompareError> {
    // What can be none need not be read.
    if stem(name).len() != 64 {
        return Ok(false);
    }
    Ok(files.sha256(name)?.is_some_and(|sha256| sha256.to_string().as_bytes() == stem(name)))
}

/// Two layouts, as far as they are matched.
struct Matching<'a> {
    sides: [&'a dyn Files; 2],
    prefix: &'a [u8],
    /// How many bytes of documents may still be read of each side.
    room: [u64; 2],
    /// How many blobs may still be looked for.
    blobs: usize,
    pairs: Vec<Pair>,
}

impl Matching<'_> {
    /// What `index.json` leads to.
    fn layout(&mut self) -> Result<(), CompareError> {
        let name = self.named("index.json");
        match self.both([&name, &name], documents::read)? {
            Some([left, right]) => self.indexes(&left, &right, 0),
            None => Ok(()),
        }
    }

    /// What `manifest.json` leads to, which is another list of the same or, without a layout, the only one.
    fn saved(&mut self) -> Result<(), CompareError> {
        let name = self.named("manifest.json");
        let Some([lefts, rights]) = self.both([&name, &name], documents::saved)? else { return Ok(()) };
        let tag = |saved: &Saved| saved.tags.iter().flatten().next().cloned();
        for (at, a, b) in matched(&lefts, &rights, [&|saved| tag(saved).unwrap_or_default(), &|_| String::new()]) {
            let image = tag(a).map_or_else(|| format!("image {}", at + 1), |tag| preview::name(tag.as_bytes()));
            self.pair([self.named(&a.config), self.named(&b.config)], || format!("config of {image}"));
            self.layers((&a.layers, &b.layers), &image, |matching, name: &String| Some(matching.named(name)));
        }
        Ok(())
    }

    /// The same document of both sides.
    fn both<T>(&mut self, names: [&[u8]; 2], parse: fn(&[u8]) -> Option<T>) -> Result<Option<[T; 2]>, CompareError> {
        let mut parsed = Vec::new();
        for ((side, room), name) in self.sides.iter().zip(&mut self.room).zip(names) {
            let Some(bytes) = side.read(name, MAX_DOCUMENT.min(*room))? else { return Ok(None) };
            *room -= bytes.len() as u64;
            let Some(document) = parse(&bytes) else { return Ok(None) };
            parsed.push(document);
        }
        Ok(parsed.try_into().ok())
    }

    fn indexes(&mut self, left: &Document, right: &Document, depth: usize) -> Result<(), CompareError> {
        let keys: [&dyn Fn(&Descriptor) -> String; 3] =
            [&|it| format!("{}\n{}", it.platform(), it.tag()), &|it| it.platform(), &|_| String::new()];
        for (at, a, b) in matched(&left.manifests, &right.manifests, keys) {
            let image = a.image(at);
            let (Some(one), Some(other)) = (self.blob(a), self.blob(b)) else { continue };
            let documents = self.both([&one, &other], documents::read)?;
            let is_index = documents.as_ref().is_some_and(|[left, _]| !left.manifests.is_empty());
            let what = if is_index { "index" } else { "manifest" };
            self.pair([one, other], || format!("{what} of {image}"));
            let Some([one, other]) = documents else { continue };
            if is_index && depth < MAX_DEPTH {
                self.indexes(&one, &other, depth + 1)?;
            }
            if let (Some(a), Some(b)) = (&one.config, &other.config)
                && let (Some(a), Some(b)) = (self.blob(a), self.blob(b))
            {
                self.pair([a, b], || format!("config of {image}"));
            }
            self.layers((&one.layers, &other.layers), &image, Self::blob);
        }
        Ok(())
    }

    /// Layers by where they stand among those that both sides do not have.
    fn layers<T: Blob>(
        &mut self,
        (lefts, rights): (&[T], &[T]),
        image: &str,
        name: impl Fn(&Self, &T) -> Option<Vec<u8>>,
    ) {
        for (at, a, b) in matched(lefts, rights, [&|_| String::new()]) {
            if let (Some(a), Some(b)) = (name(self, a), name(self, b)) {
                self.pair([a, b], || format!("layer {} of {image}", at + 1));
            }
        }
    }

    fn pair(&mut self, [left, right]: [Vec<u8>; 2], role: impl Fn() -> String) {
        let [a, b] = self.sides;
        if self.blobs > 0 && a.has(&left) && b.has(&right) && !a.has(&right) && !b.has(&left) {
            self.blobs -= 1;
            let (role, prefix) = (role(), preview::name(self.prefix));
            let short: String = preview::name(stem(&left)).chars().take(12).collect();
            let place = format!("{prefix}blobs: {role} (sha256:{short}…)");
            self.pairs.push(Pair { left, right, role, place });
        }
    }

    fn named(&self, name: &str) -> Vec<u8> {
        [self.prefix, name.as_bytes()].concat()
    }

    /// The name of the blob that this leads to.
    fn blob(&self, descriptor: &Descriptor) -> Option<Vec<u8>> {
        let digits = descriptor.digest.strip_prefix("sha256:")?;
        Some(self.named(&format!("blobs/sha256/{digits}")))
    }
}

/// Those of two lists that differ, matched by the first of `keys`, what that leaves by the second, and so on; each with where
/// the left one stands. What both lists have is the same.
fn matched<'a, T: Blob, const N: usize>(
    lefts: &'a [T],
    rights: &'a [T],
    keys: [&dyn Fn(&T) -> String; N],
) -> Vec<(usize, &'a T, &'a T)> {
    let on_left: BTreeSet<&str> = lefts.iter().map(Blob::blob).collect();
    let on_right: BTreeSet<&str> = rights.iter().map(Blob::blob).collect();
    let mut lefts: Vec<_> = lefts.iter().enumerate().filter(|(_, it)| !on_right.contains(it.blob())).collect();
    let mut rights: Vec<_> = rights.iter().filter(|it| !on_left.contains(it.blob())).collect();
    let mut all = Vec::new();
    for key in keys {
        let mut by_key: BTreeMap<String, VecDeque<&T>> = BTreeMap::new();
        for right in rights {
            by_key.entry(key(right)).or_default().push_back(right);
        }
        lefts.retain(|(at, left)| {
            let found = by_key.get_mut(&key(left)).and_then(VecDeque::pop_front);
            all.extend(found.map(|right| (*at, *left, right)));
            found.is_none()
        });
        rights = by_key.into_values().flatten().collect();
    }
    all.sort_by_key(|(at, ..)| *at);
    all
}

#[cfg(test)]
mod tests;
