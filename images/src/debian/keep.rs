// SPDX-License-Identifier: Apache-2.0
//! Environments of Debian's packages, as they are kept.

use reprove_model::{DigestSet, LockedEnvironment, LockedPackage, Node, Tree};
use reprove_store::Store;

use super::{DIRECTORIES, TIME, accounts, base, key};
use crate::RootFilesystem;
use crate::keep::{self as general, KeepError, Making, Shape};

fn making(packages: &[LockedPackage]) -> Making {
    Making { key: key(packages), members: packages.iter().map(|package| package.blake3).collect(), shape: shape() }
}

/// What all of them look like.
pub(crate) fn shape() -> Shape {
    Shape { parts: Some(DIRECTORIES.map(str::to_owned).into()), time: TIME, files: accounts::files() }
}

/// Keeps the files of an environment that is made of `packages`, in place of what was there. `locked` is what locks are to call
/// it.
///
/// # Errors
/// See [`KeepError`].
pub fn keep(
    store: &Store,
    packages: &[LockedPackage],
    tree: &Tree,
    locked: LockedEnvironment,
) -> Result<RootFilesystem, KeepError> {
    let is_folder = |name: &str| {
        let mut folders = tree.entries().iter().filter(|(_, node)| matches!(node, Node::Directory { .. }));
        folders.any(|(path, _)| path.as_bytes() == name.as_bytes())
    };
    match ["etc", "usr"].into_iter().find(|name| !is_folder(name)) {
        Some(missing) => Err(KeepError::NoSystem(missing)),
        None => general::keep(store, &making(packages), base::links(is_folder), tree, locked),
    }
}

/// The environment that is made of `packages`, where it was kept and is still what it was. `locked` gives what locks are to call one with
/// this tree.
///
/// # Errors
/// See [`KeepError`].
pub fn kept(
    store: &Store,
    packages: &[LockedPackage],
    locked: impl FnOnce(DigestSet) -> LockedEnvironment,
) -> Result<Option<RootFilesystem>, KeepError> {
    general::kept(store, &making(packages), locked)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    use reprove_model::{Debian, Digest, Environment, Sha256};
    use reprove_store::IngestLimits;
    use tempfile::TempDir;

    use super::*;
    use crate::keep::collect;

    fn locked(tree: DigestSet) -> LockedEnvironment {
        let kind = Environment::Debian(Debian { debian: "bookworm".into(), packages: Vec::new() });
        LockedEnvironment { kind, description: "test".into(), digest: tree }
    }

    /// A store with one package, and a tree that this one could have made.
    fn installed() -> (TempDir, Store, Vec<LockedPackage>, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        for folder in ["etc", "usr/bin", "usr/lib"] {
            fs::create_dir_all(dir.path().join("files").join(folder)).unwrap();
        }
        fs::write(dir.path().join("files/usr/bin/tool"), "a tool").unwrap();
        let tree = store.add_tree(&dir.path().join("files"), IngestLimits::default(), &|_| false).unwrap();
        let (digest, size) = store.add_bytes(b"package").unwrap();
        let package = LockedPackage {
            name: "tool".into(),
            version: "1".into(),
            architecture: "all".into(),
            size,
            blake3: digest.blake3,
            sha256: Sha256::of(b"package"),
        };
        (dir, store, vec![package], tree)
    }

    #[test]
    fn what_was_kept_is_used_while_it_is_what_it_was() {
        let (_dir, store, packages, tree) = installed();
        let again = || kept(&store, &packages, locked).unwrap();
        assert!(again().is_none());
        let root = keep(&store, &packages, &tree, locked(tree.digest())).unwrap();
        let found = again().unwrap();
        assert_eq!((&found.locked, found.fingerprint), (&root.locked, root.fingerprint));
        assert_eq!(found.links, [("/bin", "usr/bin"), ("/lib", "usr/lib")].map(|(a, b)| (a.into(), b.into())));
        let tool = root.binds[1].0.join("bin/tool");
        assert_eq!(fs::metadata(&tool).unwrap().mtime(), i64::try_from(TIME).unwrap());
        assert!(crate::unchanged(&root).unwrap());
        // Whoever made the same at the same time does not replace what is built in.
        let inode = || fs::metadata(root.binds[1].0.join("bin")).unwrap().ino();
        let before = inode();
        let second = keep(&store, &packages, &tree, locked(tree.digest())).unwrap();
        assert_eq!((second.fingerprint, inode()), (root.fingerprint, before));
        assert!(crate::unchanged(&root).unwrap());
        // Written anew with the same bytes, and with others.
        fs::write(&tool, "a tool").unwrap();
        assert!(again().is_some());
        fs::write(&tool, "b tool").unwrap();
        assert!(again().is_none());
        keep(&store, &packages, &tree, locked(tree.digest())).unwrap();
        assert!(again().is_some());
        let wrong = keep(&store, &packages, &tree, locked(DigestSet::of(b"another")));
        assert!(matches!(wrong, Err(KeepError::Other(_))) && again().is_none());
        keep(&store, &packages, &tree, locked(tree.digest())).unwrap();
        fs::remove_dir_all(tool.ancestors().nth(3).unwrap()).unwrap();
        assert!(again().is_none(), "the files are gone");
    }

    #[test]
    fn an_environment_goes_with_its_packages() {
        let (_dir, store, packages, tree) = installed();
        keep(&store, &packages, &tree, locked(tree.digest())).unwrap();
        let collect = |dry_run, gone: &[Digest]| collect(&store, dry_run, &gone.iter().copied().collect()).unwrap();
        assert_eq!(collect(false, &[]), (0, 0));
        assert_eq!(collect(true, &[packages[0].blake3]), (1, 6), "what is to go as well");
        fs::remove_file(store.blob_root().join(Store::blob_name(&packages[0].blake3))).unwrap();
        assert_eq!(collect(true, &[]), (1, 6));
        assert!(kept(&store, &packages, locked).unwrap().is_some());
        assert_eq!(collect(false, &[]), (1, 6));
        assert!(kept(&store, &packages, locked).unwrap().is_none());
        assert_eq!(collect(false, &[]), (0, 0));
    }
}
