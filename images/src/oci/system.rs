// SPDX-License-Identifier: Apache-2.0
//! What of an image a build sees.

use std::collections::BTreeMap;

use reprove_model::{Node, Tree, TreeError, TreePath};
use reprove_store::{Store, StoreError};
use thiserror::Error;

use super::LayerError;
use super::layers::remove;
use crate::host::fixed_files;

/// Why an image is no environment.
#[derive(Debug, Error)]
pub enum SystemError {
    /// One of its layers can't be used.
    #[error("layer {number} of the image: {error}")]
    Layer {
        /// Which, the lowest is 1.
        number: usize,
        /// Why.
        error: LayerError,
    },
    /// It has nothing that runs a build's steps.
    #[error(
        "the image has no /bin/sh that anybody may execute, which runs a build's steps; take one with a shell in it"
    )]
    NoShell,
    /// Something else than a directory is where configuration has to be.
    #[error("the image has an /etc that is no directory")]
    NoEtc,
    /// What it has makes no tree.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// The store said no.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a build has of its own in `/`, and what a running system alone has anything in.
const OWN: [&str; 8] = ["build", "dev", "homes", "inputs", "proc", "run", "sys", "tmp"];

/// What a build sees of all the files of an image: directories in `/` and links, and of these what everybody can read.
pub(super) fn seen(store: &Store, mut entries: BTreeMap<TreePath, Node>) -> Result<Tree, SystemError> {
    let is_file = |node: &Node| matches!(node, Node::File { .. });
    let mut gone: Vec<TreePath> = Vec::new();
    for (path, node) in &mut entries {
        let bytes = path.as_bytes();
        let is_own = OWN.iter().any(|own| own.as_bytes() == bytes) || str::from_utf8(bytes).is_err();
        let is_closed = match node {
            Node::File { mode, .. } | Node::Directory { mode } => *mode & 0o005 == 0,
            Node::Symlink { .. } => false,
        };
        if is_closed || !bytes.contains(&b'/') && (is_own || is_file(node)) {
            gone.push(path.clone());
        } else if let Node::File { mode, .. } = node {
            *mode |= 0o444;
        }
    }
    for path in &gone {
        remove(&mut entries, path);
    }
    let (digest, size) = store.add_bytes(b"")?;
    for (name, _) in fixed_files() {
        let Ok(path) = TreePath::new(name.trim_start_matches('/')) else { continue };
        let folder = path.parent().map(|folder| entries.entry(folder).or_insert(Node::Directory { mode: 0o755 }));
        if folder.is_some_and(|folder| !matches!(folder, Node::Directory { .. })) {
            return Err(SystemError::NoEtc);
        }
        if !entries.get(&path).is_some_and(is_file) {
            remove(&mut entries, &path);
            entries.insert(path, Node::File { mode: 0o644, size, digest });
        }
    }
    let tree = Tree::new(entries)?;
    match resolve(&tree, b"bin/sh") {
        Some(Node::File { mode, .. }) if mode & 0o005 == 0o005 => Ok(tree),
        _ => Err(SystemError::NoShell),
    }
}

/// The links in `/`, and what each points at.
pub(super) fn links(tree: &Tree) -> Vec<(String, String)> {
    let link = |(path, node): (&TreePath, &Node)| match node {
        Node::Symlink { target } if !path.as_bytes().contains(&b'/') => {
            let target = str::from_utf8(target.as_bytes()).ok()?;
            Some((format!("/{path}"), target.to_owned()))
        }
        _ => None,
    };
    tree.entries().iter().filter_map(link).collect()
}

/// As many links are followed, as by the kernel.
const MAX_LINKS: usize = 40;

/// What a path leads to, links followed, as in a system that has the tree as its root.
fn resolve<'a>(tree: &'a Tree, path: &[u8]) -> Option<&'a Node> {
    let split = |path: &[u8]| path.split(|&b| b == b'/').map(<[u8]>::to_vec).collect::<Vec<_>>();
    let mut todo = split(path);
    todo.reverse();
    let (mut here, mut links): (Vec<Vec<u8>>, usize) = (Vec::new(), 0);
    let mut found = None;
    while let Some(part) = todo.pop() {
        match part.as_slice() {
            b"" | b"." => continue,
            b".." => {
                here.pop();
                continue;
            }
            _ => here.push(part),
        }
        let node = tree.entries().get(&TreePath::new(here.join(&b'/')).ok()?)?;
        if let Node::Symlink { target } = node {
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            here.pop();
            if target.as_bytes().starts_with(b"/") {
                here.clear();
            }
            todo.extend(split(target.as_bytes()).into_iter().rev());
        }
        found = Some(node);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use reprove_store::IngestLimits;

    use super::*;

    #[test]
    fn links_are_followed_inside_and_not_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let files = dir.path().join("files");
        fs::create_dir_all(files.join("usr/bin")).unwrap();
        fs::write(files.join("usr/bin/dash"), "").unwrap();
        let link = |target: &str, at: &str| std::os::unix::fs::symlink(target, files.join(at)).unwrap();
        link("usr/bin", "bin");
        link("../../../bin/./dash", "usr/bin/sh");
        link("/usr/bin/sh", "usr/absolute");
        link("loop", "loop");
        link("usr/bin/dash", "l0");
        for number in 1..=MAX_LINKS {
            link(&format!("l{}", number - 1), &format!("l{number}"));
        }
        let tree = store.add_tree(&files, IngestLimits::default(), &|_| false).unwrap();
        for there in ["bin/sh", "usr/absolute", "l39"] {
            assert!(matches!(resolve(&tree, there.as_bytes()), Some(Node::File { .. })), "{there}");
        }
        for not in ["loop", "bin/none", "l40", "usr/bin/dash/x"] {
            assert!(resolve(&tree, not.as_bytes()).is_none(), "{not}");
        }
    }
}
