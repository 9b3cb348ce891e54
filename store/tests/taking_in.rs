// SPDX-License-Identifier: Apache-2.0
//! What is refused of a directory unless it is allowed, and trees on their way out again.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use reprove_model::{Node, Tree, TreePath};
use reprove_store::{CheckOutError, CheckedOut, IngestError, IngestLimits, Mounts, SetId, Store, StoreError, Use};

fn store(dir: &Path) -> Store {
    Store::open(&dir.join("store")).unwrap()
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

#[test]
fn set_id_bits_are_refused_unless_they_are_allowed() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let keep = IngestLimits { set_id: SetId::Keep, ..IngestLimits::default() };
    fs::create_dir_all(source.join("d")).unwrap();
    fs::write(source.join("d/f"), "x").unwrap();
    let store = store(dir.path());
    let add = |limits| store.add_tree(&source, limits, &|_| false);
    chmod(&source.join("d/f"), 0o755);
    assert_eq!(add(IngestLimits::default()).unwrap(), add(keep).unwrap(), "without such bits all is the same");
    for (name, mode) in [("d/f", 0o4755), ("d/f", 0o2755), ("d/f", 0o1644), ("d", 0o2755), ("d", 0o1777)] {
        chmod(&source.join(name), mode);
        let refused = add(IngestLimits::default()).unwrap_err();
        assert!(matches!(&refused, IngestError::SetId(at, bits) if *at == path(name) && u32::from(*bits) == mode));
        let root = File::open(&source).unwrap();
        let found = store.add_path_at(root.as_fd(), &path("d/f"), IngestLimits::default(), &mut BTreeMap::new());
        assert!(matches!(found, Err(IngestError::SetId(..))), "{name} {mode:o}");
        let tree = add(keep).unwrap();
        let kept = match &tree.entries()[&path(name)] {
            Node::File { mode, .. } | Node::Directory { mode } => u32::from(*mode),
            Node::Symlink { .. } => 0,
        };
        assert_eq!(kept, mode);
        chmod(&source.join(name), 0o755);
    }
}

/// `/proc` is mounted on every machine.
#[test]
fn what_is_mounted_inside_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let root = File::open("/").unwrap();
    let limits = IngestLimits { entries: 10_000, ..IngestLimits::default() };
    let add = |limits| {
        store(dir.path()).add_path_at(root.as_fd(), &path("proc/sys/kernel/ostype"), limits, &mut BTreeMap::new())
    };
    let refused = add(limits);
    assert!(matches!(&refused, Err(IngestError::Mounted(at)) if *at == path("proc")), "{refused:?}");
    add(IngestLimits { mounts: Mounts::Cross, set_id: SetId::Keep, ..limits }).unwrap();
}

#[test]
fn the_limits_are_of_all_outputs_together() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b"] {
        fs::write(dir.path().join(name), "12345").unwrap();
    }
    let root = File::open(dir.path()).unwrap();
    let store = store(dir.path());
    let add = |limits: IngestLimits| {
        let mut entries = BTreeMap::new();
        store.add_path_at(root.as_fd(), &path("a"), limits, &mut entries).unwrap();
        store.add_path_at(root.as_fd(), &path("b"), limits, &mut entries)
    };
    let exact = IngestLimits { entries: 2, bytes: 10, ..IngestLimits::default() };
    add(exact).unwrap();
    let more = [IngestLimits { bytes: 9, ..exact }, IngestLimits { entries: 1, ..exact }];
    assert!(more.into_iter().all(|limits| matches!(add(limits), Err(IngestError::Limit { .. }))));
}

#[test]
fn large_and_small_files_have_the_same_digests_however_they_come() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    let store = store(dir.path());
    let bytes: Vec<u8> = (0..9_000_001_u32).map(|n| n.to_le_bytes()[0] ^ n.to_le_bytes()[2]).collect();
    for length in [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 2 << 20, 9_000_001] {
        let bytes = &bytes[..length];
        fs::write(source.join("f"), bytes).unwrap();
        let tree = store.add_tree(&source, IngestLimits::default(), &|_| false).unwrap();
        let (_, found, size) = tree.files().next().unwrap();
        assert_eq!((*found, size), (reprove_model::DigestSet::of(bytes), length as u64), "{length}");
        assert_eq!(store.add_bytes(bytes).unwrap(), (*found, size));
        store.verify_blob(&found.blake3).unwrap();
    }
}

struct Tried {
    _dir: tempfile::TempDir,
    store: Store,
    tree: Tree,
    to: PathBuf,
}

fn tried() -> Tried {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir_all(source.join("closed")).unwrap();
    for (name, mode) in [("closed/read-only", 0o444), ("plain", 0o644), ("program", 0o4755)] {
        fs::write(source.join(name), name).unwrap();
        chmod(&source.join(name), mode);
    }
    // Copied in more than one part.
    fs::write(source.join("large"), vec![7; (2 << 20) + 1]).unwrap();
    symlink("/etc/shadow", source.join("link")).unwrap();
    chmod(&source.join("closed"), 0o555);
    let store = store(dir.path());
    let tree = store.add_tree(&source, IngestLimits::of_own_files(), &|_| false).unwrap();
    chmod(&source.join("closed"), 0o755);
    let to = dir.path().join("to");
    fs::create_dir(&to).unwrap();
    Tried { _dir: dir, store, tree, to }
}

impl Tried {
    fn check_out(&self, what_for: Use, set_id: SetId) -> Result<CheckedOut, CheckOutError> {
        self.check_out_until(what_for, set_id, &AtomicBool::new(false))
    }

    fn check_out_until(&self, what_for: Use, set_id: SetId, stop: &AtomicBool) -> Result<CheckedOut, CheckOutError> {
        self.store.check_out(&self.tree, fs::File::open(&self.to).unwrap().into(), what_for, set_id, stop)
    }
}

impl Drop for Tried {
    fn drop(&mut self) {
        let _ = fs::set_permissions(self.to.join("closed"), Permissions::from_mode(0o755));
    }
}

#[test]
fn a_check_out_says_how_each_file_shares_its_bytes() {
    for (what_for, linked) in [(Use::ReadOnly, 1), (Use::Writable, 0)] {
        let tried = tried();
        let Tried { store, to, .. } = &tried;
        let CheckedOut { linked: links, shared, cloned, copied } = tried.check_out(what_for, SetId::Refuse).unwrap();
        assert_eq!((links, shared, cloned + copied), (linked, 0, 4 - linked));
        let found = |name: &str| fs::symlink_metadata(to.join(name)).unwrap();
        let modes = ["closed", "closed/read-only", "plain", "program"].map(|name| found(name).mode() & 0o7777);
        assert_eq!(modes, [0o555, 0o444, 0o644, 0o755], "set-id bits go");
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc/shadow"));
        assert_eq!(fs::read_to_string(to.join("closed/read-only")).unwrap(), "closed/read-only");
        assert_eq!(found("closed/read-only").nlink(), 1 + linked);
        // What may be written to is nobody else's.
        fs::write(to.join("plain"), "other").unwrap();
        fs::write(to.join("program"), "other").unwrap();
        assert_eq!(store.examine(false).unwrap().wrong, []);
    }
}

/// One file for all check-outs, but never for two paths of one; and none that somebody has written to. Where bytes can be
/// shared by reflinks, each has files of its own.
#[test]
fn what_check_outs_share_is_one_file_while_it_is_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    fs::create_dir(&source).unwrap();
    for name in ["a", "b"] {
        fs::write(source.join(name), "same").unwrap();
    }
    let store = store(dir.path());
    let tree = store.add_tree(&source, IngestLimits::of_own_files(), &|_| false).unwrap();
    let check_out = |name: &str, time| {
        let to = dir.path().join("store").join(name);
        fs::create_dir(&to).unwrap();
        let folder = fs::File::open(&to).unwrap().into();
        let never = AtomicBool::new(false);
        let done = store.check_out(&tree, folder, Use::Shared { time }, SetId::Refuse, &never).unwrap();
        assert_eq!(done.shared + done.cloned, 2, "{done:?}");
        (to, done.shared > 0)
    };
    let inode = |path: &Path| fs::metadata(path).unwrap().ino();
    let (first, is_shared) = check_out("first", 7);
    let (second, _) = check_out("second", 7);
    let (other, _) = check_out("other", 8);
    assert_ne!(inode(&first.join("a")), inode(&first.join("b")));
    assert_eq!(fs::metadata(first.join("a")).unwrap().mtime(), 7);
    assert_eq!(fs::metadata(other.join("a")).unwrap().mtime(), 8);
    assert_eq!(inode(&first.join("a")) == inode(&second.join("a")), is_shared);
    assert_eq!(store.examine(false).unwrap().wrong, []);
    fs::write(second.join("a"), "else").unwrap();
    chmod(&second.join("b"), 0o600);
    let wrong = store.examine(false).unwrap().wrong;
    assert_eq!(wrong.len(), if is_shared { 2 } else { 0 }, "{wrong:?}");
    let (third, _) = check_out("third", 7);
    assert_eq!(fs::read_to_string(third.join("a")).unwrap(), "same");
    assert_eq!(fs::metadata(third.join("b")).unwrap().mode() & 0o777, 0o644);
    assert_eq!(store.examine(false).unwrap().wrong, []);
    // With a repair, what nobody may get any more is moved.
    fs::write(third.join("a"), "else").unwrap();
    assert_eq!(store.examine(true).unwrap().moved.len(), usize::from(is_shared));
    assert_eq!(
        store.examine(false).unwrap(),
        reprove_store::Examined { moved: vec![], ..store.examine(true).unwrap() }
    );
    let count = || store.examine(false).unwrap().shared;
    fs::remove_dir_all(other).unwrap();
    fs::remove_dir_all(third).unwrap();
    store.collect_shared().unwrap();
    // The ones that were written to are none of these any more.
    assert_eq!(count(), 0);
    let (last, _) = check_out("last", 7);
    store.collect_shared().unwrap();
    assert_eq!(count(), if is_shared { 2 } else { 0 });
    fs::remove_dir_all(last).unwrap();
}

#[test]
fn a_check_out_gives_the_tree_back_with_all_its_bits_where_that_is_asked_for() {
    let tried = tried();
    let Tried { store, tree, to, .. } = &tried;
    tried.check_out(Use::Writable, SetId::Keep).unwrap();
    assert_eq!(&store.add_tree(to, IngestLimits::of_own_files(), &|_| false).unwrap(), tree);
}

#[test]
fn a_check_out_needs_an_empty_directory_and_whole_files() {
    let tried = tried();
    let Tried { store, tree, to, .. } = &tried;
    fs::write(to.join("there"), "").unwrap();
    let found = tried.check_out(Use::ReadOnly, SetId::Refuse);
    assert!(matches!(found, Err(CheckOutError::NotEmpty)));
    fs::remove_file(to.join("there")).unwrap();
    let (_, digests, _) = tree.files().next().unwrap();
    let blob = store.blob_root().join(Store::blob_name(&digests.blake3));
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, "damaged").unwrap();
    let found = tried.check_out(Use::ReadOnly, SetId::Refuse);
    assert!(matches!(found, Err(CheckOutError::Store(StoreError::Damaged(_)))), "{found:?}");
}

#[test]
fn a_check_out_ends_when_it_is_told_to() {
    let tried = tried();
    let found = tried.check_out_until(Use::Writable, SetId::Keep, &AtomicBool::new(true));
    assert!(matches!(found, Err(CheckOutError::Stopped)), "{found:?}");
    assert!(tried.to.read_dir().unwrap().next().is_none());
}
