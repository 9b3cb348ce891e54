// SPDX-License-Identifier: Apache-2.0
//! Records, and what was published, to a verdict.

use std::collections::BTreeMap;
use std::io::Read as _;

use reprove_model::{
    Between, BuildRecord, DigestSet, EpochUsed, Exit, Finding, InvalidTreePath, Node, Normalization, Outcome,
    Published, Sha256, Tree, TreeError, TreePath, Verdict,
};
use thiserror::Error;

use crate::compare::{
    Blobs, CompareError, Level, MAX_MANIFEST, Options, Side, blobs_of_manifest, compare, compare_files, compare_images,
};

/// Why there is no verdict.
#[derive(Debug, Error)]
pub enum JudgeError {
    /// A build that did not finish is never called reproducible or different.
    #[error("a build did not finish, so there is nothing to compare")]
    Unfinished,
    /// A build that wrote nothing is no evidence of anything.
    #[error("a build left no file as output, so there is nothing to compare; check `outputs` in the recipe")]
    Empty,
    /// Two outputs could not be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
    /// The published artifact's name is no path.
    #[error(transparent)]
    Path(#[from] InvalidTreePath),
    /// What is to be compared makes no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
}

/// Compares two rebuilds, first with each other, then the first with what was published, by BLAKE3 digests; explains what
/// differs. The verdict is `reproducible` only where every digest is equal.
///
/// # Errors
/// See [`JudgeError`].
pub fn judge(
    first: &BuildRecord,
    second: &BuildRecord,
    published: Option<&Published>,
    source_date_epoch: EpochUsed,
    blobs: &dyn Blobs,
) -> Result<Verdict, JudgeError> {
    if first.exit != Exit::Success || second.exit != Exit::Success {
        return Err(JudgeError::Unfinished);
    }
    if [first, second].iter().any(|record| record.outputs.files().next().is_none()) {
        return Err(JudgeError::Empty);
    }
    let rebuilds_agree = first.outputs.digest() == second.outputs.digest();
    let left = Side { tree: &first.outputs, blobs };
    let right = Side { tree: &second.outputs, blobs };
    let mut findings = compare(left, right, Options::beside(Between::Rebuilds, blobs))?.findings;
    let (mut matches_published, mut normalizations) = (None, Vec::new());
    if let Some(published) = published {
        let all_match = [first, second].iter().all(|record| artifact(record, published) == Some(published.digest));
        matches_published = Some(rebuilds_agree && all_match);
        findings.extend(against_published(first, published, blobs)?);
        if rebuilds_agree {
            normalizations = normalized(first, published, blobs)?;
        }
    }
    let outcome = if rebuilds_agree && matches_published != Some(false) && findings.is_empty() {
        Outcome::Reproducible
    } else {
        Outcome::Different
    };
    findings.sort_by(|a, b| (a.between, &a.place, a.kind).cmp(&(b.between, &b.place, b.kind)));
    let varied = first.conditions.differing(&second.conditions);
    Ok(Verdict {
        outcome,
        rebuilds_agree,
        matches_published,
        varied,
        changed_alone: Vec::new(),
        experiments: Vec::new(),
        source_date_epoch,
        tools_tried: Vec::new(),
        normalizations,
        findings,
    })
}

/// The digests of the output that has the published artifact's name, where there is one.
#[must_use]
pub fn artifact(record: &BuildRecord, published: &Published) -> Option<DigestSet> {
    published.rebuilt(record.outputs.files().map(|(path, digest, _)| (path.as_bytes(), *digest)))
}

/// What makes the published artifact and the rebuilt one equal; none where they are so, or nothing does.
fn normalized(
    record: &BuildRecord,
    published: &Published,
    blobs: &dyn Blobs,
) -> Result<Vec<Normalization>, JudgeError> {
    let Some(rebuilt) = artifact(record, published) else { return Ok(Vec::new()) };
    let place = published.name.as_str();
    let open = |digest: DigestSet| {
        let failed = |source| CompareError::Open { place: place.to_owned(), digest: digest.blake3, source };
        blobs.open(&digest.blake3).map_err(failed)
    };
    let (left, right) = (open(published.digest)?, open(rebuilt)?);
    let comparison = compare_files(&left, &right, place, Options::beside(Between::PublishedAndRebuilt, blobs))?;
    // What is equal but for names of the build is stated as different: nothing says that they follow from nothing else.
    let is_equal = comparison.level == Level::NormalizedEqual;
    Ok(if is_equal { comparison.normalizations } else { Vec::new() })
}

/// What differs between the published artifact and the rebuilt one. Where no output has its name, all outputs are set
/// beside it.
///
/// # Errors
/// See [`JudgeError`].
pub fn against_published(
    record: &BuildRecord,
    published: &Published,
    blobs: &dyn Blobs,
) -> Result<Vec<Finding>, JudgeError> {
    if !published.parts.is_empty() {
        return images(record, published, blobs);
    }
    // A published file has no mode; the rebuilt one's is compared between rebuilds.
    let file = |digest: DigestSet, size| Node::File { mode: 0o644, size, digest };
    let name = TreePath::new(published.name.as_str())?;
    let left = BTreeMap::from([(name, file(published.digest, published.size))]);
    let mut right: BTreeMap<TreePath, Node> = record
        .outputs
        .files()
        .filter(|(path, ..)| path.parent().is_none())
        .map(|(path, digest, size)| (path.clone(), file(*digest, size)))
        .collect();
    if artifact(record, published).is_some() {
        right.retain(|path, _| left.contains_key(path));
    }
    let (left, right) = (Tree::new(left)?, Tree::new(right)?);
    let (left, right) = (Side { tree: &left, blobs }, Side { tree: &right, blobs });
    Ok(compare(left, right, Options::beside(Between::PublishedAndRebuilt, blobs))?.findings)
}

/// What differs between a published image and the rebuilt one, blob by blob. On the right there is what the rebuilt manifest
/// names, as far as it is among the outputs; without such a manifest, all outputs at the top. Nothing, where all of it is
/// there: whatever a manifest says, the same bytes say the same.
fn images(record: &BuildRecord, published: &Published, blobs: &dyn Blobs) -> Result<Vec<Finding>, JudgeError> {
    if artifact(record, published) == Some(published.digest) {
        return Ok(Vec::new());
    }
    let file = |digest: DigestSet, size| Node::File { mode: 0o644, size, digest };
    let name = TreePath::new(published.name.as_str())?;
    let mut left = BTreeMap::from([(name.clone(), file(published.digest, published.size))]);
    for part in &published.parts {
        left.insert(TreePath::new(part.path())?, file(part.digest, part.size));
    }
    let mut right = BTreeMap::new();
    for (path, digest, size) in record.outputs.files() {
        if *path != name {
            continue;
        }
        right.insert(name.clone(), file(*digest, size));
        for sha256 in named_by(digest, size, &name, blobs)? {
            let found = record.outputs.files().find(|(_, digest, _)| digest.sha256 == sha256);
            if let Some((_, digest, size)) = found {
                right.insert(TreePath::new(format!("blobs/sha256/{sha256}"))?, file(*digest, size));
            }
        }
    }
    if right.is_empty() {
        let at_top = record.outputs.files().filter(|(path, ..)| path.parent().is_none());
        right = at_top.map(|(path, digest, size)| (path.clone(), file(*digest, size))).collect();
    }
    let (left, right) = (with_folders(left)?, with_folders(right)?);
    let (left, right) = (Side { tree: &left, blobs }, Side { tree: &right, blobs });
    Ok(compare_images(left, right, &name, Options::beside(Between::PublishedAndRebuilt, blobs))?.findings)
}

/// The blobs that a manifest names.
fn named_by(digest: &DigestSet, size: u64, name: &TreePath, blobs: &dyn Blobs) -> Result<Vec<Sha256>, CompareError> {
    if size > MAX_MANIFEST {
        return Ok(Vec::new());
    }
    let place = || name.to_string();
    let unopened = |source| CompareError::Open { place: place(), digest: digest.blake3, source };
    let file = blobs.open(&digest.blake3).map_err(unopened)?;
    let mut bytes = Vec::new();
    let read = file.take(MAX_MANIFEST).read_to_end(&mut bytes);
    read.map_err(|source| CompareError::Read { place: place(), source })?;
    Ok(blobs_of_manifest(&bytes))
}

/// A tree of files, on both sides with the folders that blobs are in.
fn with_folders(mut files: BTreeMap<TreePath, Node>) -> Result<Tree, JudgeError> {
    for folder in ["blobs", "blobs/sha256"] {
        files.insert(TreePath::new(folder)?, Node::Directory { mode: 0o755 });
    }
    Ok(Tree::new(files)?)
}
