// SPDX-License-Identifier: Apache-2.0
//! Who can reach what is stored, whatever the umask. One test alone, since a umask is the whole process's.
#![allow(clippy::unwrap_used, reason = "a test's way to fail")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use nix::sys::stat::{Mode, umask};
use reprove_store::Store;

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn modes_do_not_depend_on_the_umask() {
    for mask in [0o000, 0o022, 0o077] {
        let dir = tempfile::tempdir().unwrap();
        umask(Mode::from_bits_truncate(mask));
        let root = dir.path().join("above/store");
        let store = Store::open(&root).unwrap();
        let (digests, _) = store.add_bytes(b"hello").unwrap();
        let blob = store.blob_root().join(Store::blob_name(&digests.blake3));
        let temporary = store.temp_dir().unwrap();
        let found: Vec<u32> = [
            root.parent().unwrap(),
            &root,
            &store.blob_root(),
            blob.parent().unwrap(),
            &blob,
            &root.join("trees"),
            &root.join("logs"),
            &root.join("tmp"),
            temporary.path(),
            temporary.path().parent().unwrap(),
            &root.join("tmp/.sweep"),
        ]
        .map(mode)
        .into();
        assert_eq!(
            found,
            [0o700, 0o700, 0o755, 0o755, 0o444, 0o700, 0o700, 0o700, 0o700, 0o700, 0o600],
            "umask {mask:o}"
        );

        fs::set_permissions(&root, fs::Permissions::from_mode(0o750)).unwrap();
        Store::open(&root).unwrap();
        assert_eq!(mode(&root), 0o750, "a directory that somebody has made so stays so");
    }
}
