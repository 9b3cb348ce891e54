// SPDX-License-Identifier: Apache-2.0
//! Recipes, canonical documents, and the texts in them.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use reprove_attest::KeyId;
use reprove_model::canonical::{self, CanonicalError};
use reprove_model::{
    BuildRecord, Digest, DigestSet, EnvironmentLock, InputName, InsidePath, LinkTarget, Lock, ObservedListing,
    PackageUrl, Recipe, RecordMode, Sha256, Tree, TreePath, Verdict,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Every recipe that is read passes its own check, and is the same when it is written as TOML or JSON and read again.
pub(super) fn recipe(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(recipe) = Recipe::from_toml(text) else { return };
    recipe.check().unwrap();
    let written = toml::to_string(&recipe).unwrap();
    assert_eq!(Recipe::from_toml(&written).unwrap(), recipe);
    document::<Recipe>(&canonical::to_vec(&recipe).unwrap());
}

/// Every lock of packages, or of an image, that is read is the same when it is written and read again, and each package has a
/// name and a URL, and each blob.
pub(super) fn package_lock(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let Ok(lock) = EnvironmentLock::from_toml(text) else { return };
    assert_eq!(EnvironmentLock::from_toml(&lock.to_toml().unwrap()).unwrap(), lock);
    match &lock {
        EnvironmentLock::Packages(lock) => {
            for package in &lock.packages {
                assert!(package.file_name().is_some() && package.purl().is_some(), "{package:?}");
            }
        }
        EnvironmentLock::Image(lock) => {
            let digests: BTreeSet<_> = lock.blobs().into_iter().map(|(_, digest, _)| digest).collect();
            let inputs = lock.inputs();
            assert!(inputs.len() == digests.len() && inputs.iter().all(|input| input.purl.is_some()), "{inputs:?}");
        }
    }
}

pub(super) fn lock(bytes: &[u8]) {
    document::<Lock>(bytes);
}

/// As every document; and the outputs are a tree.
pub(super) fn record(bytes: &[u8]) {
    if let Some(record) = document::<BuildRecord>(bytes) {
        assert_eq!(Tree::new(record.outputs.entries().clone()).as_ref(), Ok(&record.outputs));
    }
}

/// As every document; and what a record says of a list can be so, and counts all of its paths.
pub(super) fn inputs_listing(bytes: &[u8]) {
    let Some(listing) = document::<ObservedListing>(bytes) else { return };
    let summary = listing.summary(DigestSet::of(bytes));
    assert_eq!(summary.paths.values().sum::<u32>() as usize, listing.paths.len());
    assert_eq!(summary.is_possible(), listing.mode != RecordMode::Declared);
    assert!(listing.inputs().count() <= listing.paths.len());
    assert!(listing.paths.keys().all(|path| one_text::<InsidePath>(&path.to_string()).as_ref() == Some(path)));
}

pub(super) fn verdict(bytes: &[u8]) {
    document::<Verdict>(bytes);
}

/// As every document; and a tree's digest tells it from every other: here, from itself without its last entry.
pub(super) fn tree(bytes: &[u8]) {
    let Some(tree) = document::<Tree>(bytes) else { return };
    assert_eq!(Tree::new(tree.entries().clone()).as_ref(), Ok(&tree));
    let mut fewer = tree.entries().clone();
    if fewer.pop_last().is_some() {
        assert_ne!(Tree::new(fewer).unwrap().digest(), tree.digest());
    }
}

/// A canonical document is read, written as the same bytes, and read again as the same value; and it is the only form.
/// What is read from JSON that is not canonical has one canonical form too, and that is read as the same value, or none for
/// a number in it that JSON does not carry exactly.
fn document<T: Serialize + DeserializeOwned + PartialEq + Debug>(bytes: &[u8]) -> Option<T> {
    let lenient: Option<T> = serde_json::from_slice(bytes).ok();
    if let Some(value) = &lenient {
        match canonical::to_vec(value) {
            Ok(written) => assert_eq!(&canonical::from_slice::<T>(&written).unwrap(), value),
            Err(error) => assert!(matches!(error, CanonicalError::Number(_)), "{error}"),
        }
    }
    match canonical::from_slice::<T>(bytes) {
        Ok(value) => {
            let stripped = bytes.strip_suffix(b"\n").unwrap_or(bytes);
            assert_eq!(canonical::to_vec(&value).unwrap(), stripped);
            assert_eq!(lenient.as_ref(), Some(&value));
            assert!(canonical::from_slice::<T>(&[b" ", stripped].concat()).is_err());
            assert!(canonical::from_slice::<T>(&[stripped, b"\n\n"].concat()).is_err());
            Some(value)
        }
        Err(CanonicalError::NotCanonical(at)) => {
            assert!(at <= bytes.len() && lenient.is_some());
            None
        }
        Err(error) => {
            super::assert_plain(&error.to_string());
            None
        }
    }
}

/// Every path has one text, which has no control characters; every text that is read is that of its path; and a path's
/// parent and name make the path.
pub(super) fn path(bytes: &[u8]) {
    if let Ok(path) = TreePath::new(bytes) {
        assert_eq!(path.as_bytes(), bytes);
        let text = path.to_string();
        assert_eq!(text.parse::<TreePath>().as_ref(), Ok(&path));
        assert!(!text.chars().any(char::is_control));
        match path.parent() {
            Some(parent) => assert_eq!(parent.join(path.file_name()), Ok(path)),
            None => assert_eq!(path.file_name(), bytes),
        }
    }
    if let Ok(target) = LinkTarget::new(bytes) {
        assert_eq!(target.as_bytes(), bytes);
        assert_eq!(target.to_string().parse(), Ok(target));
    }
    if let Ok(text) = str::from_utf8(bytes) {
        one_text::<TreePath>(text);
        one_text::<LinkTarget>(text);
    }
}

/// Digests, keyids and names of inputs are written as the text that they were read from.
pub(super) fn names(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    one_text::<Digest>(text);
    one_text::<Sha256>(text);
    one_text::<KeyId>(text);
    if let Some(name) = one_text::<InputName>(text) {
        let path = TreePath::new(name.as_str()).unwrap();
        assert_eq!((path.parent(), path.to_string().as_str()), (None, text));
    }
}

fn one_text<T: FromStr + Display>(text: &str) -> Option<T> {
    let value: T = text.parse().ok()?;
    assert_eq!(value.to_string(), text);
    Some(value)
}

/// The normal form of a package URL is read again as the same, and is printable ASCII; what a package URL is made of makes
/// it again.
pub(super) fn purl(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    if let Ok(purl) = text.parse::<PackageUrl>() {
        let normal = purl.to_string();
        assert_eq!(normal.parse().as_ref(), Ok(&purl), "{normal:?}");
        assert!(normal.bytes().all(|b| b.is_ascii_graphic()), "{normal:?}");
        assert!(!purl.name().is_empty());
        assert!(!purl.kind().chars().any(|c| c.is_ascii_uppercase()));
    }
    let mut parts = text.splitn(3, '\n');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if let Ok(purl) = PackageUrl::pypi(name, version, parts.next()) {
        assert_eq!(purl.kind(), "pypi");
        assert_eq!(purl.to_string().parse(), Ok(purl));
    }
}
