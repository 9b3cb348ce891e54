// SPDX-License-Identifier: Apache-2.0
//! What a collection takes and what it leaves, and what happens at the quota.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes};
use std::path::Path;
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use reprove_model::{Digest, DigestSet, Node, Tree, TreePath};
use reprove_store::{ByteSize, Collected, Collection, Root, Store, StoreError, StoreOptions, Tell, Wrong};

fn options() -> StoreOptions {
    StoreOptions { sync: false, wait: Duration::from_millis(50), ..StoreOptions::default() }
}

fn open(path: &Path) -> Store {
    Store::open_with(path, options()).unwrap()
}

/// A tree of one file with `bytes`.
fn tree(store: &Store, bytes: &[u8]) -> (Digest, Digest) {
    let (digest, size) = store.add_bytes(bytes).unwrap();
    let node = Node::File { mode: 0o644, size, digest };
    let tree = Tree::new([(TreePath::new("file").unwrap(), node)].into()).unwrap();
    (store.save_tree(&tree).unwrap().blake3, digest.blake3)
}

fn set(store: &Store, name: &str, root: Root) {
    store.set_roots(&BTreeMap::from([(name.to_owned(), root)])).unwrap();
}

fn collect(path: &Path, what: Collection) -> Collected {
    open(path).collect(&what).unwrap()
}

#[test]
fn what_no_root_reaches_goes_and_the_rest_stays() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (kept, kept_file) = tree(&store, b"kept");
    let (lost, lost_file) = tree(&store, b"lost");
    let alone = store.add_bytes(b"alone").unwrap().0.blake3;
    set(&store, "a", Root { since: 5, trees: [kept].into(), blobs: [alone].into(), ..Root::default() });
    drop(store);
    let dry = collect(dir.path(), Collection { dry_run: true, ..Collection::default() });
    assert_eq!((dry.blobs.len(), dry.trees, dry.roots_left), (1, 1, 1));
    assert_eq!(collect(dir.path(), Collection::default()), dry, "a dry run says what is done");
    let store = open(dir.path());
    assert_eq!(store.size().unwrap(), dry.left);
    store.load_tree(&kept).unwrap();
    for digest in [kept_file, alone] {
        store.verify_blob(&digest).unwrap();
    }
    assert!(matches!(store.load_tree(&lost), Err(StoreError::Missing(_))));
    assert!(matches!(store.verify_blob(&lost_file), Err(StoreError::Missing(_))));
    assert_eq!(store.examine(false).unwrap().wrong, []);
}

#[test]
fn roots_go_when_they_are_too_old_and_not_before() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for since in [9_u8, 10] {
        let blobs = [store.add_bytes(&[since]).unwrap().0.blake3].into();
        set(&store, &format!("at-{since}"), Root { since: since.into(), blobs, ..Root::default() });
    }
    drop(store);
    let collected = collect(dir.path(), Collection { before: Some(10), ..Collection::default() });
    assert_eq!((collected.roots, collected.blobs.len(), collected.roots_left), (vec!["at-9".to_owned()], 1, 1));
}

/// What a process that lives has named, or has found whole, stays, also where it was there before.
#[test]
fn what_a_living_process_uses_stays() {
    let dir = tempfile::tempdir().unwrap();
    let (older, older_file) = tree(&open(dir.path()), b"older");
    let found = open(dir.path()).add_bytes(b"found").unwrap().0.blake3;
    let again = open(dir.path()).add_bytes(b"again").unwrap().0.blake3;
    let unused = open(dir.path()).add_bytes(b"unused").unwrap().0.blake3;
    let living = open(dir.path());
    let (new, new_file) = tree(&living, b"new");
    living.load_tree(&older).unwrap();
    living.verify_blob(&found).unwrap();
    living.add_bytes(b"again").unwrap();
    let collected = collect(dir.path(), Collection::default());
    assert_eq!((collected.blobs.len(), collected.trees), (1, 0));
    for digest in [older_file, found, again, new_file] {
        living.verify_blob(&digest).unwrap();
    }
    living.load_tree(&new).unwrap();
    assert!(matches!(living.verify_blob(&unused), Err(StoreError::Missing(_))));
    drop(living);
    assert_eq!(collect(dir.path(), Collection::default()).blobs.len(), 4, "a process that is gone uses nothing");
}

#[test]
fn a_collection_takes_as_few_of_the_oldest_roots_as_it_must() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for since in 1..=4_u8 {
        let blobs = [store.add_bytes(&[since; 100]).unwrap().0.blake3].into();
        set(&store, &format!("at-{since}"), Root { since: since.into(), blobs, ..Root::default() });
    }
    drop(store);
    let most = |bytes| Collection { at_most: Some(ByteSize(bytes)), dry_run: true, ..Collection::default() };
    for (bytes, gone) in [(400, 0), (399, 1), (300, 1), (299, 2), (99, 4)] {
        assert_eq!(collect(dir.path(), most(bytes)).roots.len(), gone, "{bytes}");
    }
    assert_eq!(collect(dir.path(), most(299)).roots, ["at-1", "at-2"]);
}

#[test]
fn nothing_is_removed_where_nobody_knows_what_a_root_keeps() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (kept, file) = tree(&store, b"kept");
    set(&store, "a", Root { trees: [kept].into(), ..Root::default() });
    drop(store);
    let list = dir.path().join(format!("trees/{kept}.json"));
    let whole = fs::read(&list).unwrap();
    let fails = |is: fn(&StoreError) -> bool| {
        let error = open(dir.path()).collect(&Collection::default()).unwrap_err();
        assert!(is(&error), "{error}");
        open(dir.path()).verify_blob(&file).unwrap();
    };
    fs::remove_file(&list).unwrap();
    fails(|e| matches!(e, StoreError::Missing(_)));
    fs::write(&list, "cut").unwrap();
    fails(|e| matches!(e, StoreError::Damaged(_)));
    fs::remove_file(&list).unwrap();
    fs::write(&list, whole).unwrap();
    fs::write(dir.path().join("roots/b.json"), "{").unwrap();
    fails(|e| matches!(e, StoreError::BadRoot { .. }));
    fs::remove_file(dir.path().join("roots/b.json")).unwrap();
    assert_eq!(collect(dir.path(), Collection::default()).blobs.len(), 0);
}

#[test]
fn a_log_that_no_root_names_stays_longer_than_any_build() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let days = |n: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000_000 - n * 24 * 60 * 60);
    for (name, age) in [("named", 99), ("old", 9), ("younger", 7), ("new", 0)] {
        let log = File::create(dir.path().join("logs").join(name)).unwrap();
        log.set_times(FileTimes::new().set_modified(days(age))).unwrap();
    }
    let folder = File::open(dir.path().join("logs")).unwrap();
    folder.set_times(FileTimes::new().set_modified(days(0))).unwrap();
    set(&store, "a", Root { since: 2_000_000_001, logs: ["named".to_owned()].into(), ..Root::default() });
    drop(store);
    let what = |before| Collection { before: Some(before), ..Collection::default() };
    assert_eq!(collect(dir.path(), what(2_000_000_000 - 10 * 24 * 60 * 60)).logs, 0);
    assert_eq!(collect(dir.path(), what(2_000_000_000)).logs, 1);
    for (name, stays) in [("named", true), ("old", false), ("younger", true), ("new", true)] {
        assert_eq!(dir.path().join("logs").join(name).exists(), stays, "{name}");
    }
}

#[test]
fn at_the_quota_old_roots_go_first_and_then_nothing_is_added() {
    let dir = tempfile::tempdir().unwrap();
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let tell = Tell::new(move |text| heard.lock().unwrap().push(text.to_owned()));
    let with = |quota| {
        let options = StoreOptions { quota: Some(ByteSize(quota)), tell: tell.clone(), ..options() };
        Store::open_with(dir.path(), options).unwrap()
    };
    let add = |store: &Store, byte: u8, length: usize| store.add_bytes(&vec![byte; length]).map(|(d, _)| d.blake3);
    for since in 1..=2_u8 {
        let store = with(1000);
        let blobs = [add(&store, since, 400).unwrap()].into();
        set(&store, &format!("at-{since}"), Root { since: since.into(), blobs, ..Root::default() });
    }
    let store = with(1000);
    add(&store, 3, 200).unwrap();
    assert_eq!((store.size().unwrap(), told.lock().unwrap().len()), (1000, 0), "exactly the quota fits");
    let one = add(&store, 4, 1).unwrap();
    assert_eq!(store.roots().unwrap().into_keys().collect::<Vec<_>>(), ["at-2"]);
    assert_eq!(store.size().unwrap(), 601);
    assert!(told.lock().unwrap()[0].contains("1 of its roots"), "{told:?}");
    // What this process has named is in use.
    add(&store, 5, 799).unwrap();
    assert_eq!(store.size().unwrap(), 1000);
    let full = add(&store, 6, 1);
    assert!(
        matches!(full, Err(StoreError::Quota { quota: ByteSize(1000), used: ByteSize(1000), needed: ByteSize(1) })),
        "{full:?}"
    );
    store.verify_blob(&one).unwrap();
    add(&store, 5, 799).unwrap();
    assert_eq!(store.examine(false).unwrap().wrong, []);
    drop(store);
    let small = with(999);
    assert!(matches!(add(&small, 7, 1000), Err(StoreError::Quota { needed: ByteSize(1000), .. })));
    add(&small, 7, 999).unwrap();
    drop(small);
    let large = with(3 << 20);
    let mut endless = std::io::repeat(8);
    assert!(matches!(large.add_reader(&mut endless), Err(StoreError::Quota { .. })), "it ends when it can't fit");
}

#[test]
fn all_that_is_wrong_is_named_and_damage_is_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (one, one_file) = tree(&store, b"one");
    let (two, two_file) = tree(&store, b"two");
    let (whole, whole_file) = tree(&store, b"whole");
    let blobs = [one_file, whole_file].into();
    set(&store, "a", Root { trees: [one, two, whole].into(), blobs, since: 7, ..Root::default() });
    assert_eq!(store.examine(false).unwrap().wrong, []);
    let blob = |digest| store.blob_root().join(Store::blob_name(digest));
    let list = dir.path().join(format!("trees/{two}.json"));
    for (path, text) in [(blob(&two_file), "tWo"), (list.clone(), "[]")] {
        fs::remove_file(&path).unwrap();
        fs::write(path, text).unwrap();
    }
    fs::remove_file(blob(&one_file)).unwrap();
    let lost = Wrong::RootLacks { root: "a".into(), digest: one_file };
    let mut wrong = vec![
        Wrong::Damaged(blob(&two_file)),
        Wrong::Damaged(list.clone()),
        Wrong::TreeLacks { tree: one, blob: one_file },
        lost,
    ];
    wrong.sort();
    assert_eq!(store.examine(false).unwrap().wrong, wrong);
    assert!(blob(&two_file).exists(), "nothing is moved unless that is asked for");
    let examined = store.examine(true).unwrap();
    // The blob and the list that are damaged, the list that lacks a blob, and a copy of the root.
    assert_eq!((examined.wrong, examined.moved.len()), (wrong, 4));
    assert!(examined.moved.iter().all(|path| path.is_file() && path.starts_with(dir.path().join("damaged"))));
    assert!(!blob(&two_file).exists() && !list.exists());
    assert_eq!(store.examine(false).unwrap().wrong, [], "what is left is whole");
    let left = Root { trees: [whole].into(), blobs: [whole_file].into(), since: 7, ..Root::default() };
    assert_eq!(store.roots().unwrap(), BTreeMap::from([("a".to_owned(), left)]), "it is kept as before");
    // Added again, all is whole.
    assert_eq!((tree(&store, b"one").0, tree(&store, b"two").0), (one, two));
    set(&store, "a", Root { trees: [one, two].into(), blobs: [one_file].into(), ..Root::default() });
    let last = store.examine(true).unwrap();
    assert_eq!((last.wrong, last.moved), (vec![], vec![]));
}

#[test]
fn what_was_replaced_meanwhile_is_not_set_aside() {
    let dir = &tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let digest = store.add_bytes(b"right").unwrap().0.blake3;
    let path = store.blob_root().join(Store::blob_name(&digest));
    fs::remove_file(&path).unwrap();
    fs::write(&path, "wrong").unwrap();
    // A reader keeps the one who repairs waiting for the lock, until the blob is there again.
    let lock = File::open(dir.path().join("lock")).unwrap();
    lock.lock_shared().unwrap();
    let examined = std::thread::scope(|scope| {
        let (tell, waits) = mpsc::channel();
        let tell = Tell::new(move |_| tell.send(()).unwrap());
        let options = StoreOptions { wait: Duration::from_secs(60), tell, ..options() };
        let repairing = scope.spawn(move || Store::open_with(dir.path(), options).unwrap().examine(true).unwrap());
        waits.recv().unwrap();
        assert!(path.exists(), "nothing is moved without the lock");
        store.add_bytes(b"right").unwrap();
        lock.unlock().unwrap();
        repairing.join().unwrap()
    });
    assert_eq!((examined.wrong, examined.moved), (vec![Wrong::Damaged(path.clone())], vec![]));
    assert_eq!(fs::read(path).unwrap(), b"right");
}

#[test]
fn reads_are_checked_as_often_as_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let with = |rate: &str, seed| {
        let options = StoreOptions { verify: rate.parse().unwrap(), seed, ..options() };
        Store::open_with(dir.path(), options).unwrap()
    };
    let store = with("always", 0);
    let digest = DigestSet::of(b"right").blake3;
    store.add_bytes(b"right").unwrap();
    let path = store.blob_root().join(Store::blob_name(&digest));
    fs::remove_file(&path).unwrap();
    fs::write(&path, "wrong").unwrap();
    let read = |store: &Store| (store.read_blob(&digest, 9).is_ok(), store.open_blob(&digest).is_ok());
    assert_eq!(read(&store), (false, false));
    assert_eq!(read(&with("never", 0)), (true, true));
    let seeds = |passes: bool| (0..64).filter(|seed| read(&with("1/4", *seed)) == (passes, passes)).count();
    assert_eq!((seeds(false), seeds(true)), (16, 48));
    assert!(matches!(with("never", 0).verify_blob(&digest), Err(StoreError::Damaged(_))), "a check is a check");
}
