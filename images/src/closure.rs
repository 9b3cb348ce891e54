// SPDX-License-Identifier: Apache-2.0
//! Paths of a store, as Nix has them, as the root filesystem of a derivation: they alone, each at its place, and in `/etc` what
//! Nix's own sandbox has there.

use std::collections::BTreeMap;

use reprove_model::{Closure, Digest, DigestSet, Environment, Listing, LockedEnvironment, Node, Tree, TreePath};
use reprove_store::Store;

use crate::RootFilesystem;
use crate::keep::{self, KeepError, Making, Shape};

/// The time of all files of a store, in seconds since 1970.
const TIME: u64 = 1;
/// The mode of the folders that lead to its paths.
const MODE: u16 = 0o755;

/// Keeps the paths, whose files are `entries`, as the environment of the derivation with this digest; where they were kept and
/// still are what they were, these are used.
///
/// # Errors
/// See [`KeepError`].
pub fn keep(
    store: &Store,
    closure: &Closure,
    derivation: Digest,
    entries: &BTreeMap<TreePath, Node>,
) -> Result<RootFilesystem, KeepError> {
    let tree = placed(closure, entries)?;
    let digest = below(&tree, closure);
    let paths = entries.keys().filter(|path| path.parent().is_none()).count();
    let description = format!("{paths} paths of {}", closure.store);
    let locked = LockedEnvironment { kind: Environment::Closure(closure.clone()), description, digest };
    let making = Making {
        key: Digest::of(format!("reprove closure 1\n{derivation} {}\n", digest.blake3).as_bytes()),
        members: vec![derivation],
        shape: shape(closure),
    };
    let kept = keep::kept(store, &making, |tree| LockedEnvironment { digest: tree, ..locked.clone() })?;
    match kept.filter(|kept| kept.locked == locked) {
        Some(kept) => Ok(kept),
        None => keep::keep(store, &making, Vec::new(), &tree, locked),
    }
}

/// What all of them with this store look like.
pub(crate) fn shape(closure: &Closure) -> Shape {
    Shape { parts: Some(vec![part(closure).to_owned()]), time: TIME, files: files() }
}

/// The store's path below the root.
fn part(closure: &Closure) -> &str {
    closure.store.trim_start_matches('/')
}

/// `entries` where they are seen.
fn placed(closure: &Closure, entries: &BTreeMap<TreePath, Node>) -> Result<Tree, KeepError> {
    let mut all = BTreeMap::new();
    let store = TreePath::new(part(closure))?;
    for above in std::iter::successors(Some(store.clone()), TreePath::parent) {
        all.insert(above, Node::Directory { mode: MODE });
    }
    for (below, node) in entries {
        all.insert(store.join(below.as_bytes())?, node.clone());
    }
    Ok(Tree::new(all)?)
}

/// The digest of the store's folder and what is in it.
fn below(tree: &Tree, closure: &Closure) -> DigestSet {
    let mut listing = Listing::default();
    let store = part(closure).as_bytes();
    let is_in = |path: &TreePath| {
        path.as_bytes().strip_prefix(store).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
    };
    for (path, node) in tree.entries().iter().filter(|(path, _)| is_in(path)) {
        match node {
            Node::File { mode, size, digest } => listing.file(path, *mode, *size, &digest.blake3),
            Node::Directory { mode } => listing.directory(path, *mode),
            Node::Symlink { target } => listing.symlink(path, target),
        }
    }
    listing.digest()
}

/// What Nix's sandbox has in `/etc`, but for the number of the builders' group, which is the user's here.
fn files() -> Vec<(String, String)> {
    let passwd = "root:x:0:0:Nix build user:/build:/noshell\nnixbld:x:1000:1000:Nix build user:/build:/noshell\n\
                  nobody:x:65534:65534:Nobody:/:/noshell\n";
    let group = "root:x:0:\nnixbld:!:1000:\nnogroup:x:65534:\n";
    [("/etc/passwd", passwd), ("/etc/group", group), ("/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")]
        .map(|(path, text)| (path.to_owned(), text.to_owned()))
        .into()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    use reprove_store::IngestLimits;

    use super::*;

    #[test]
    fn the_paths_of_a_store_are_at_their_place_and_kept_while_they_are_what_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let paths = dir.path().join("paths");
        fs::create_dir_all(paths.join("one/bin")).unwrap();
        fs::write(paths.join("one/bin/tool"), "tool").unwrap();
        fs::write(paths.join("two"), "file").unwrap();
        symlink("one", paths.join("three")).unwrap();
        for path in ["one/bin", "one"] {
            fs::set_permissions(paths.join(path), fs::Permissions::from_mode(0o555)).unwrap();
        }
        let tree = store.add_tree(&paths, IngestLimits::default(), &|_| false).unwrap();
        let closure = Closure { store: "/nix/store".into() };
        let again = |tree: &Tree| keep(&store, &closure, Digest::of(b"drv"), tree.entries()).unwrap();
        let root = again(&tree);
        assert_eq!(root.binds.len(), 1);
        let (folder, inside) = &root.binds[0];
        assert_eq!((inside.as_str(), root.links.len()), ("/nix/store", 0));
        assert_eq!(root.locked.description, "3 paths of /nix/store");
        // Of a folder: files are those that other environments have as well.
        let inode = || fs::metadata(folder.join("one/bin")).unwrap().ino();
        assert_eq!(fs::metadata(folder.join("one/bin/tool")).unwrap().mtime(), 1);
        let (first, before) = (root.locked.clone(), inode());
        assert_eq!((again(&tree).locked, inode()), (first.clone(), before));
        assert!(crate::unchanged(&root).unwrap());
        fs::write(folder.join("two"), "other").unwrap();
        assert!(!crate::unchanged(&root).unwrap());
        assert_eq!(again(&tree).locked, first);
        assert_ne!(inode(), before, "it was made anew");
    }
}
