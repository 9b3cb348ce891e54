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

use self::documents::{Blob, Config, Descriptor, Document, Saved};
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
/// How much is said of what is the same.
const MAX_SAME: usize = 20;

/// What the text of a manifest leads to; nothing where it is none.
pub(super) fn blobs_of(manifest: &[u8]) -> Vec<Sha256> {
    let Some(Document { config, layers, .. }) = documents::read(manifest) else { return Vec::new() };
    let digest = |it: &Descriptor| it.digest.strip_prefix("sha256:")?.parse().ok();
    config.iter().chain(&layers).take(MAX_BLOBS).filter_map(digest).collect()
}

/// The largest manifest that is read, in bytes.
pub(super) const MAX_MANIFEST: u64 = MAX_DOCUMENT;

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
    /// What each says of itself, or its image of it.
    about: [String; 2],
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
    layouts: Vec<Layout>,
}

struct Layout {
    prefix: Vec<u8>,
    start: usize,
    /// What is the same on both sides.
    same: Vec<String>,
}

impl Pairs {
    /// Finds those of the layouts whose names begin so.
    pub(super) fn find(&mut self, (left, right): (&dyn Files, &dyn Files), prefix: &[u8]) -> Result<(), CompareError> {
        let mut matching = Matching::of([left, right], prefix);
        matching.layout()?;
        matching.saved()?;
        self.take(matching)
    }

    /// Finds those of the images whose manifests are called so, beside the blobs that they name.
    pub(super) fn find_images(
        &mut self,
        (left, right): (&dyn Files, &dyn Files),
        manifest: &[u8],
    ) -> Result<(), CompareError> {
        let mut matching = Matching::of([left, right], b"");
        if let Some([a, b]) = matching.both([manifest, manifest], documents::read)? {
            matching.image(&a, &b, "the image")?;
        }
        self.take(matching)
    }

    fn take(&mut self, matching: Matching<'_>) -> Result<(), CompareError> {
        let Matching { sides: [left, right], prefix, same, pairs, .. } = matching;
        self.layouts.push(Layout { prefix: prefix.to_vec(), start: self.pairs.len(), same });
        for pair in pairs {
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
        for (at, Layout { prefix, start, same }) in self.layouts.iter().enumerate() {
            let end = self.layouts.get(at + 1).map_or(self.pairs.len(), |next| next.start);
            let mut details = Details::default();
            for pair in self.pairs.get(*start..end).unwrap_or_default() {
                let [left, right] = [(&pair.left, &pair.about[0]), (&pair.right, &pair.about[1])].map(called);
                details.push(pair.role.as_str(), left, right);
            }
            if details.count == 0 {
                continue;
            }
            state.needs(None);
            let blobs = preview::count(details.count, "blob");
            let mut summary = format!(
                "the names of {blobs} differ: each is the digest of what is in it, and follows from what differs there{more}"
            );
            for same in same {
                summary.push_str("; ");
                summary.push_str(same);
            }
            let place = format!("{place}{}blobs", preview::name(prefix));
            state.findings.add(place, FindingKind::ArchiveStructure, summary, details.kept, details.count);
        }
    }
}

/// A blob's name, and what is said of it.
fn called((name, about): (&Vec<u8>, &String)) -> String {
    let name = preview::name(name);
    if about.is_empty() { name } else { format!("{name} ({about})") }
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
    /// What is the same on both sides, in words.
    same: Vec<String>,
}

impl<'a> Matching<'a> {
    fn of(sides: [&'a dyn Files; 2], prefix: &'a [u8]) -> Self {
        Self { sides, prefix, room: [MAX_DOCUMENTS; 2], blobs: MAX_BLOBS, pairs: Vec::new(), same: Vec::new() }
    }

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
        for Matched { at: [at, _], left: a, right: b } in
            matched(&lefts, &rights, [&|saved| tag(saved).unwrap_or_default(), &|_| String::new()])
        {
            let image = tag(a).map_or_else(|| format!("image {}", at + 1), |tag| preview::name(tag.as_bytes()));
            let configs = [self.named(&a.config), self.named(&b.config)];
            let said = self.configs(&configs)?;
            self.pair(configs, || format!("config of {image}"), Default::default());
            self.layers((&a.layers, &b.layers), &image, &said, |matching, name: &String| Some(matching.named(name)));
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
        for Matched { at: [at, _], left: a, right: b } in matched(&left.manifests, &right.manifests, keys) {
            let image = a.image(at);
            let (Some(one), Some(other)) = (self.blob(a), self.blob(b)) else { continue };
            let documents = self.both([&one, &other], documents::read)?;
            let is_index = documents.as_ref().is_some_and(|[left, _]| !left.manifests.is_empty());
            let what = if is_index { "index" } else { "manifest" };
            self.pair(
                [one, other],
                || format!("{what} of {image}"),
                [a, b].map(|it| documents::about(it.media_type(), None)),
            );
            let Some([one, other]) = documents else { continue };
            if is_index && depth < MAX_DEPTH {
                self.indexes(&one, &other, depth + 1)?;
            }
            self.image(&one, &other, &image)?;
        }
        Ok(())
    }

    /// What two manifests lead to.
    fn image(&mut self, one: &Document, other: &Document, image: &str) -> Result<(), CompareError> {
        let mut said = Default::default();
        if let (Some(a), Some(b)) = (&one.config, &other.config)
            && let (Some(left), Some(right)) = (self.blob(a), self.blob(b))
        {
            let configs = [left, right];
            said = self.configs(&configs)?;
            let about = [a, b].map(|it| documents::about(it.media_type(), None));
            self.pair(configs, || format!("config of {image}"), about);
        }
        self.layers((&one.layers, &other.layers), image, &said, Self::blob);
        Ok(())
    }

    /// What the configurations of both sides say of layers; nothing where one can't be read.
    fn configs(&mut self, names: &[Vec<u8>; 2]) -> Result<[Config; 2], CompareError> {
        let [left, right] = names;
        Ok(self.both([left, right], Config::read)?.unwrap_or_default())
    }

    /// Layers by where they stand among those that both sides do not have.
    fn layers<T: Blob>(
        &mut self,
        (lefts, rights): (&[T], &[T]),
        image: &str,
        [left, right]: &[Config; 2],
        name: impl Fn(&Self, &T) -> Option<Vec<u8>>,
    ) {
        self.equal_layers(lefts, rights, image);
        for Matched { at: [at, place], left: a, right: b } in matched(lefts, rights, [&|_| String::new()]) {
            // No pair comes any more, and what is said of one has come before.
            if self.blobs == 0 {
                break;
            }
            let unpacked = (left.diff_id(at), right.diff_id(place));
            if unpacked.0.is_some() && unpacked.0 == unpacked.1 && self.same.len() < MAX_SAME {
                let text = format!(
                    "layer {} of {image} unpacks to the same archive on both sides, as the configurations have it",
                    at + 1
                );
                self.same.push(text);
            }
            if let (Some(one), Some(other)) = (name(self, a), name(self, b)) {
                let about = [(a, left.made_by(at)), (b, right.made_by(place))];
                let about = about.map(|(it, made_by)| documents::about(it.media_type(), made_by));
                self.pair([one, other], || format!("layer {} of {image}", at + 1), about);
            }
        }
    }

    /// Says which layers have the same digest on both sides, where others have not.
    fn equal_layers<T: Blob>(&mut self, lefts: &[T], rights: &[T], image: &str) {
        let on_right: BTreeSet<&str> = rights.iter().map(Blob::blob).collect();
        let numbers = (1..).zip(lefts).filter(|(_, it)| on_right.contains(it.blob()));
        let numbers: Vec<String> = numbers.map(|(number, _): (usize, _)| number.to_string()).collect();
        if self.same.len() >= MAX_SAME || lefts.is_empty() {
            return;
        }
        self.same.push(match numbers.len() {
            0 => format!("no layer of {image} has the same digest"),
            count if count == lefts.len() && count == rights.len() => {
                format!("all layers of {image} have the same digests")
            }
            count if count > MAX_SAME => format!("{count} of {} layers of {image} have the same digests", lefts.len()),
            1 => format!("layer {} of {image} has the same digest", numbers.join("")),
            _ => format!("layers {} of {image} have the same digests", numbers.join(", ")),
        });
    }

    fn pair(&mut self, [left, right]: [Vec<u8>; 2], role: impl Fn() -> String, about: [String; 2]) {
        let [a, b] = self.sides;
        if self.blobs > 0 && a.has(&left) && b.has(&right) && !a.has(&right) && !b.has(&left) {
            self.blobs -= 1;
            let (role, prefix) = (role(), preview::name(self.prefix));
            let short: String = preview::name(stem(&left)).chars().take(12).collect();
            let place = format!("{prefix}blobs: {role} (sha256:{short}…)");
            self.pairs.push(Pair { left, right, role, about, place });
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

/// One of each list, and where they stand in these.
struct Matched<'a, T> {
    at: [usize; 2],
    left: &'a T,
    right: &'a T,
}

/// Those of two lists that differ, matched by the first of `keys`, what that leaves by the second, and so on, in the order of
/// the left list. What both lists have is the same.
fn matched<'a, T: Blob, const N: usize>(
    lefts: &'a [T],
    rights: &'a [T],
    keys: [&dyn Fn(&T) -> String; N],
) -> Vec<Matched<'a, T>> {
    let on_left: BTreeSet<&str> = lefts.iter().map(Blob::blob).collect();
    let on_right: BTreeSet<&str> = rights.iter().map(Blob::blob).collect();
    let mut lefts: Vec<_> = lefts.iter().enumerate().filter(|(_, it)| !on_right.contains(it.blob())).collect();
    let mut rights: Vec<_> = rights.iter().enumerate().filter(|(_, it)| !on_left.contains(it.blob())).collect();
    let mut all = Vec::new();
    for key in keys {
        let mut by_key: BTreeMap<String, VecDeque<(usize, &T)>> = BTreeMap::new();
        for right in rights {
            by_key.entry(key(right.1)).or_default().push_back(right);
        }
        lefts.retain(|(at, left)| {
            let found = by_key.get_mut(&key(left)).and_then(VecDeque::pop_front);
            all.extend(found.map(|(place, right)| Matched { at: [*at, place], left: *left, right }));
            found.is_none()
        });
        rights = by_key.into_values().flatten().collect();
    }
    all.sort_by_key(|found| found.at);
    all
}

#[cfg(test)]
mod tests;
