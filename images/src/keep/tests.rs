// SPDX-License-Identifier: Apache-2.0
//! Environments beside each other: what they share, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt as _;

use reprove_model::{Closure, Environment, TreePath};
use tempfile::TempDir;

use super::*;
use crate::unchanged;

const FILES: usize = 100;

struct Kit {
    _dir: TempDir,
    store: Store,
}

fn kit() -> Kit {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    Kit { _dir: dir, store }
}

impl Kit {
    /// What it is made of, which is a blob of the store's.
    fn making(&self, name: &str) -> Making {
        let (member, _) = self.store.add_bytes(name.as_bytes()).unwrap();
        let shape = Shape { parts: Some(vec!["usr".to_owned()]), time: 7, files: Vec::new() };
        Making { key: Digest::of(name.as_bytes()), members: vec![member.blake3], shape }
    }

    /// An environment with [`FILES`] files of 8 KiB, of which the first `own` are no other's.
    fn keep(&self, name: &str, own: usize) -> RootFilesystem {
        let directory = (TreePath::new("usr").unwrap(), Node::Directory { mode: 0o755 });
        let file = |number: usize| {
            let text = if number < own { format!("{name} {number} ") } else { format!("{number} ") };
            let bytes: Vec<u8> = text.bytes().cycle().take(8192).collect();
            let (digest, size) = self.store.add_bytes(&bytes).unwrap();
            let mode = if number.is_multiple_of(2) { 0o644 } else { 0o755 };
            (TreePath::new(format!("usr/{number}").as_str()).unwrap(), Node::File { mode, size, digest })
        };
        let tree = Tree::new((0..FILES).map(file).chain([directory]).collect::<BTreeMap<_, _>>()).unwrap();
        let kind = Environment::Closure(Closure { store: "/usr".into() });
        let locked = LockedEnvironment { kind, description: name.to_owned(), digest: tree.digest() };
        keep(&self.store, &self.making(name), Vec::new(), &tree, locked).unwrap()
    }

    /// What environments, and what they share, take on the disk: each file once.
    fn disk(&self) -> u64 {
        let mut inodes = BTreeMap::new();
        let mut folders = vec![self.store.root().join(FOLDER), self.store.shared_root()];
        while let Some(folder) = folders.pop() {
            for name in names(&folder).unwrap() {
                let path = folder.join(name);
                let found = fs::symlink_metadata(&path).unwrap();
                inodes.insert(found.ino(), found.blocks() * 512);
                folders.extend(found.is_dir().then_some(path));
            }
        }
        inodes.values().sum()
    }

    fn is_linked(&self) -> bool {
        self.store.shared_root().is_dir()
    }
}

#[test]
fn two_environments_that_share_nine_tenths_take_little_more_than_one() {
    let kit = kit();
    kit.keep("first", FILES / 10);
    let one = kit.disk();
    assert!(one >= FILES as u64 * 8192, "{one}");
    kit.keep("second", FILES / 10);
    let two = kit.disk();
    // Where bytes are shared by reflinks, each file says that it has its own.
    assert!(!kit.is_linked() || two * 100 <= one * 115, "{one} and then {two}");
}

/// Whoever builds in one sees no change when another comes to share its files, and one when a file is written to.
#[test]
fn another_environment_is_no_change_and_a_write_is_one() {
    let kit = kit();
    let first = kit.keep("first", 1);
    let second = kit.keep("second", 1);
    assert!(unchanged(&first).unwrap());
    let kept_first = || kept(&kit.store, &kit.making("first"), |_| first.locked.clone()).unwrap();
    assert!(kept_first().is_some());
    fs::write(second.binds[0].0.join("50"), "other").unwrap();
    assert_eq!(unchanged(&first).unwrap(), !kit.is_linked());
    assert_eq!(kept_first().is_some(), !kit.is_linked());
    kit.keep("first", 1);
    assert!(kept_first().is_some());
}

/// Of a shared file, a change of its inode may be another's name; so its bytes are looked at, and not its time of writing
/// alone.
#[test]
fn a_write_whose_time_is_put_back_is_a_change() {
    let kit = kit();
    let (first, second) = (kit.keep("first", 1), kit.keep("second", 1));
    // A name that goes is none.
    fs::remove_file(second.binds[0].0.join("51")).unwrap();
    assert!(unchanged(&first).unwrap());
    for (environment, name) in [(&second, "50"), (&first, "0")] {
        let path = environment.binds[0].0.join(name);
        let before = fs::read(&path).unwrap();
        let write = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            set_time(&path, 7).unwrap();
        };
        write(&vec![b'x'; before.len()]);
        assert_eq!(unchanged(&first).unwrap(), !kit.is_linked() && name == "50", "{name}");
        // Where nothing is shared, that it was written to is enough.
        write(&before);
        assert_eq!(unchanged(&first).unwrap(), kit.is_linked() || name == "50", "{name}");
    }
}

#[test]
fn what_was_changed_is_named_and_moved_and_made_again() {
    let kit = kit();
    let first = kit.keep("first", 1);
    kit.keep("second", 1);
    let look = |repair| examine(&kit.store, repair).unwrap();
    assert_eq!(look(false), ExaminedEnvironments { count: 2, ..ExaminedEnvironments::default() });
    // Not one that others have, with the time that it had.
    let own = first.binds[0].0.join("0");
    fs::write(&own, "other").unwrap();
    set_time(&own, 7).unwrap();
    let files = Place::of(&kit.store, &Digest::of(b"first")).files;
    assert_eq!((look(false).wrong, look(false).moved), (vec![files.clone()], vec![]));
    kit.store.examine(true).unwrap();
    let moved = look(true).moved;
    assert_eq!(moved.len(), 2);
    assert!(moved.iter().all(|path| path.starts_with(kit.store.root().join("damaged")) && path.exists()));
    assert!(!files.exists() && look(false).wrong.is_empty());
    kit.keep("first", 1);
    assert_eq!(look(false), ExaminedEnvironments { count: 2, ..ExaminedEnvironments::default() });
    // One that all have.
    fs::write(files.join("usr/50"), "other").unwrap();
    let wrong = if kit.is_linked() { 2 } else { 1 };
    assert_eq!(look(false).wrong.len(), wrong);
    kit.store.examine(true).unwrap();
    assert_eq!(look(true).moved.len(), 2 * wrong);
    kit.keep("first", 1);
    kit.keep("second", 1);
    assert_eq!(look(false), ExaminedEnvironments { count: 2, ..ExaminedEnvironments::default() });
}

#[test]
fn what_goes_frees_what_no_other_has() {
    let kit = kit();
    kit.keep("first", 10);
    kit.keep("second", 10);
    let first = kit.making("first").members[0];
    let gone = BTreeSet::from([first]);
    let freed = if kit.is_linked() { 10 * 8192 } else { FILES as u64 * 8192 };
    assert_eq!(collect(&kit.store, true, &gone).unwrap(), (1, freed));
    assert_eq!(collect(&kit.store, false, &gone).unwrap(), (1, freed));
    assert_eq!(
        examine(&kit.store, false).unwrap(),
        ExaminedEnvironments { count: 1, ..ExaminedEnvironments::default() }
    );
    let shared = kit.store.examine(false).unwrap().shared;
    assert_eq!(shared, if kit.is_linked() { FILES as u64 } else { 0 });
    assert_eq!(collect(&kit.store, false, &BTreeSet::new()).unwrap(), (0, 0));
}
