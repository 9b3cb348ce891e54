// SPDX-License-Identifier: Apache-2.0
//! The signatures of a JAR ("JAR File Specification", "Signed JAR File"): which digests in the manifest are those of the
//! entries, and which files of signatures say nothing but what follows from the manifest.

mod block;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::rc::Rc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::super::files::State;
use super::super::roles::manifest::{Digests, Manifest, Section};
use super::super::roles::{Role, manifest};
use super::super::source::Source;
use super::entry::{self, Value};
use super::layout::{Entry, Layout};
use super::record::Side;

/// The most signatures of one archive.
const MAX_FILES: usize = 16;
/// What ends the names of blocks of signatures.
const BLOCKS: [&[u8]; 3] = [b"RSA", b"DSA", b"EC"];

/// What of an archive is signatures.
#[derive(Default)]
pub(super) struct Signed {
    /// Entries that are nothing else.
    entries: BTreeSet<Vec<u8>>,
    /// In the manifest.
    digests: Rc<Digests>,
}

impl Signed {
    /// What of the archive is signatures that are right; nothing where there is no file of a signature.
    pub(super) fn of(archive: (&Source<'_>, &Layout), state: &mut State<'_>) -> io::Result<Self> {
        let files: Vec<_> = archive.1.entries.iter().filter(|entry| stem(&entry.key.0).is_some()).collect();
        if files.is_empty() || files.len() > MAX_FILES {
            return Ok(Self::default());
        }
        let mut side = Side::of(archive);
        let Some(bytes) = side.list(manifest::NAME, state)? else { return Ok(Self::default()) };
        let Some(manifest) = Manifest::read(&bytes) else { return Ok(Self::default()) };
        let digests = Rc::new(digests(&manifest, &mut side, state)?);
        let mut entries = BTreeSet::new();
        for entry in files {
            let name = &entry.key.0;
            let file = side.list(name, state)?;
            if !is_plain(archive, entry)? || !file.is_some_and(|file| follows(&file, &manifest, &bytes)) {
                continue;
            }
            for ending in BLOCKS {
                let block = [stem(name).unwrap_or_default(), ending].concat();
                if let Some(entry) = side.entry(&block)
                    && is_plain(archive, entry)?
                    && side.list(&block, state)?.is_some_and(|block| block::is_signed_data(&block))
                {
                    entries.extend([name.clone(), block]);
                }
            }
        }
        Ok(Self { entries, digests })
    }

    /// Of two archives. Where both have the same files of signatures and the same manifest, there is nothing to be told.
    pub(super) fn of_both(
        left: (&Source<'_>, &Layout),
        right: (&Source<'_>, &Layout),
        state: &mut State<'_>,
    ) -> io::Result<[Self; 2]> {
        if all(left.1) == all(right.1) {
            return Ok([Self::default(), Self::default()]);
        }
        Ok([Self::of(left, state)?, Self::of(right, state)?])
    }

    /// Whether the entry of this name is nothing but a signature.
    pub(super) fn has(&self, name: &[u8]) -> bool {
        self.entries.contains(name)
    }

    /// What the entry of this name is for.
    pub(super) fn role(&self, name: &[u8]) -> Option<Role> {
        match Role::of_entry(name) {
            _ if self.has(name) => Some(Role::Signature),
            Some(Role::Manifest(_)) => Some(Role::Manifest(Rc::clone(&self.digests))),
            other => other,
        }
    }
}

/// The name of a file of a signature without its ending.
fn stem(name: &[u8]) -> Option<&[u8]> {
    let stem = name.strip_suffix(b"SF").filter(|stem| stem.ends_with(b"."))?;
    let own = stem.strip_prefix(b"META-INF/")?;
    (own.len() > 1 && !own.contains(&b'/')).then_some(stem)
}

/// What says whether the manifest and the signatures are the same.
fn all(layout: &Layout) -> Vec<(&[u8], Option<u32>, u64)> {
    let is_one = |entry: &&Entry| entry.key.0.starts_with(b"META-INF/");
    let said = |entry: &Entry| layout.central(entry).map(|central| central.common.crc);
    let mut all: Vec<_> =
        layout.entries.iter().filter(is_one).map(|entry| (&*entry.key.0, said(entry), entry.size)).collect();
    all.sort_unstable();
    all
}

/// Whether nothing stands in the headers of an entry that is no header, and nothing behind it.
fn is_plain((source, layout): (&Source<'_>, &Layout), entry: &Entry) -> io::Result<bool> {
    let Some(central) = layout.central(entry) else { return Ok(false) };
    let view = entry::view(source, entry, &central, true, true)?;
    let is_empty = |value: &Value| if let Value::Bytes(bytes) = value { bytes.is_empty() } else { true };
    Ok(view.rest.len == 0 && view.structure.iter().all(|item| is_empty(&item.value)))
}

/// Which digests in the manifest are those of the entries.
fn digests(manifest: &Manifest<'_>, side: &mut Side<'_>, state: &mut State<'_>) -> io::Result<Digests> {
    let (mut digests, mut room) = (Digests::new(), state.bounds.memory);
    for section in manifest.sections.iter().skip(1) {
        let Some(name) = section.name() else { continue };
        for attribute in &section.attributes {
            let (Some(mut hash), Some(entry)) = (Hash::of(attribute.name, ""), side.entry(name.as_bytes())) else {
                continue;
            };
            if side.read(entry, &mut room, state, &mut hash)? && hash.is(&attribute.value) {
                digests.insert((name.to_owned(), attribute.name.to_ascii_lowercase()));
            }
        }
    }
    Ok(digests)
}

/// Whether the file of a signature says nothing that does not follow from the manifest, but for what made it.
fn follows(file: &[u8], manifest: &Manifest<'_>, bytes: &[u8]) -> bool {
    let Some(file) = Manifest::read(file) else { return false };
    let mut by_name: BTreeMap<&str, Option<&Section<'_>>> = BTreeMap::new();
    for section in manifest.sections.iter().skip(1) {
        let Some(name) = section.name() else { return false };
        by_name.entry(name).and_modify(|twice| *twice = None).or_insert(Some(section));
    }
    let (Some((first, sections)), Some(main)) = (file.sections.split_first(), manifest.sections.first()) else {
        return false;
    };
    let is_digest = |name: &str, of: &str, bytes: &[u8], value: &[u8]| {
        Hash::of(name, of).is_some_and(|mut hash| {
            hash.add(bytes);
            hash.is(value)
        })
    };
    let (mut is_of_manifest, mut made_by) = (false, 0);
    let follows = first.attributes.iter().enumerate().all(|(at, attribute)| {
        let (name, value) = (attribute.name, attribute.value.as_slice());
        let whole = is_digest(name, "-manifest", bytes, value);
        is_of_manifest |= whole;
        match name {
            "Signature-Version" => at == 0 && value == b"1.0",
            "Created-By" => {
                made_by += 1;
                made_by == 1 && value.len() <= manifest::MAX_VALUE
            }
            _ => whole || is_digest(name, "-manifest-main-attributes", main.bytes, value),
        }
    });
    follows
        && is_of_manifest
        && sections.iter().all(|section| {
            let Some(of) = section.name().and_then(|name| by_name.get(name).copied().flatten()) else { return false };
            section.attributes.iter().skip(1).all(|each| is_digest(each.name, "", of.bytes, &each.value))
        })
}

/// One of the functions that digests are made with today. Older ones are not: what was signed with them stays.
enum Hash {
    Sha256(Sha256),
    Sha384(Sha384),
    Sha512(Sha512),
}

impl Hash {
    /// The one of an attribute of this name, of which the digest is of what `of` says.
    fn of(attribute: &str, of: &str) -> Option<Self> {
        let name = attribute.to_ascii_lowercase();
        Some(match name.strip_suffix(of)?.strip_suffix("-digest")? {
            "sha-256" => Self::Sha256(Sha256::new()),
            "sha-384" => Self::Sha384(Sha384::new()),
            "sha-512" => Self::Sha512(Sha512::new()),
            _ => return None,
        })
    }

    fn add(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(bytes),
            Self::Sha384(hash) => hash.update(bytes),
            Self::Sha512(hash) => hash.update(bytes),
        }
    }

    /// Whether this is the digest as it is written.
    fn is(self, written: &[u8]) -> bool {
        let digest = match self {
            Self::Sha256(hash) => BASE64_STANDARD.encode(hash.finalize()),
            Self::Sha384(hash) => BASE64_STANDARD.encode(hash.finalize()),
            Self::Sha512(hash) => BASE64_STANDARD.encode(hash.finalize()),
        };
        digest.as_bytes() == written
    }
}

impl Write for Hash {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
