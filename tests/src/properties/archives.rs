// SPDX-License-Identifier: Apache-2.0
//! Source archives, and the times of wheels.

use std::io::Cursor;

use reprove_images::oci::{self, SystemError};
use reprove_model::{Node, Tree};
use reprove_store::{Store, UnpackError, UnpackLimits, Unpacked};

use super::split;

const LIMITS: UnpackLimits = UnpackLimits { entries: 64, bytes: 256 << 10 };

/// What is unpacked is a tree within the limits, whose files are in the store; and unpacking it again gives the same.
pub(super) fn unpack(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (digest, _) = store.add_bytes(bytes).unwrap();
    let unpacked = match store.unpack(&digest.blake3, LIMITS) {
        Ok(unpacked) => unpacked,
        Err(error) => {
            assert!(!matches!(error, UnpackError::Store(_)), "{error}");
            return;
        }
    };
    within_limits(&unpacked, &store);
    assert_eq!(store.unpack(&digest.blake3, LIMITS).unwrap(), unpacked);
}

fn within_limits(unpacked: &Unpacked, store: &Store) {
    assert!(unpacked.entries.len() <= LIMITS.entries);
    let nodes = unpacked.entries.iter().map(|(path, entry)| (path.clone(), entry.node.clone())).collect();
    let tree = Tree::new(nodes).unwrap();
    let mut total = 0;
    for node in tree.entries().values() {
        match node {
            Node::File { mode, size, digest } => {
                assert!(mode & !0o755 == 0);
                let bytes = store.read_blob(&digest.blake3, *size).unwrap();
                assert_eq!(bytes.len() as u64, *size);
                total += size;
            }
            Node::Directory { mode } => assert!(mode & !0o755 == 0),
            Node::Symlink { .. } => {}
        }
    }
    // A hard link is its file once more.
    assert!(total <= LIMITS.bytes * LIMITS.entries as u64);
}

/// Two layers make a system within the limits, in which nothing marks anything as removed, or are refused.
pub(super) fn image_layers(bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).unwrap();
    let (lower, upper) = split(bytes);
    let layers = [lower, upper].map(|layer| store.add_bytes(layer).unwrap().0.blake3);
    let tree = match oci::unchecked(&store, &layers, LIMITS) {
        Ok(tree) => tree,
        Err(error) => {
            assert!(!matches!(error, SystemError::Store(_) | SystemError::Tree(_)), "{error}");
            return;
        }
    };
    // What every system has beside what its layers have.
    assert!(tree.entries().len() <= LIMITS.entries + 5);
    for (path, node) in tree.entries() {
        assert!(!path.as_bytes().split(|&b| b == b'/').any(|part| part.starts_with(b".wh.")), "{path}");
        if let Node::File { mode, .. } | Node::Directory { mode } = node {
            assert!(mode & !0o755 == 0 && mode & 0o005 != 0, "{path}");
        }
    }
}

/// A wheel's most common time is one that a zip archive can hold: from 1980 to the end of 2107.
pub(super) fn wheel_times(bytes: &[u8]) {
    let time = reprove_inputs::most_common_timestamp(&mut Cursor::new(bytes));
    if let Ok(Some(time)) = time {
        assert!((315_532_800..4_354_819_200).contains(&time), "{time}");
    }
}
