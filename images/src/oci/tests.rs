// SPDX-License-Identifier: Apache-2.0

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use reprove_model::{Digest, Image, LockedBlob, Node, Platform, Sha256, TreePath};
use tempfile::TempDir;

use super::*;
use crate::collect;

/// An entry of a layer: its path, and a file's text, a link's target after `->`, a directory's mode, or a device.
type Entry<'a> = (&'a str, &'a str);

const SHELL: Entry<'static> = ("bin/sh", "a shell");

fn layer(store: &Store, entries: &[Entry<'_>]) -> LockedLayer {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, what) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(0);
        match what.split_once(' ') {
            Some(("->", target)) => {
                header.set_entry_type(tar::EntryType::Symlink);
                archive.append_link(&mut header, path, target).unwrap();
            }
            Some(("dir", mode)) => {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(u32::from_str_radix(mode, 8).unwrap());
                archive.append_data(&mut header, path, &b""[..]).unwrap();
            }
            Some(("device", _)) => {
                header.set_entry_type(tar::EntryType::Char);
                archive.append_data(&mut header, path, &b""[..]).unwrap();
            }
            _ => {
                if let Some(("mode", mode)) = what.split_once(' ') {
                    header.set_mode(u32::from_str_radix(mode, 8).unwrap());
                }
                header.set_size(what.len() as u64);
                archive.append_data(&mut header, path, what.as_bytes()).unwrap();
            }
        }
    }
    let bytes = archive.into_inner().unwrap();
    let (digest, size) = store.add_bytes(&bytes).unwrap();
    let media_type = "application/vnd.oci.image.layer.v1.tar".into();
    LockedLayer { media_type, size, blake3: digest.blake3, sha256: digest.sha256, diff_id: Sha256::of(&bytes) }
}

fn store() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store")).unwrap();
    (dir, store)
}

/// The paths of the files that a build sees of these layers.
fn paths(layers: &[&[Entry<'_>]]) -> Result<Vec<String>, SystemError> {
    let (_dir, store) = store();
    let layers: Vec<LockedLayer> = layers.iter().map(|entries| layer(&store, entries)).collect();
    let tree = tree(&store, &layers)?;
    let is_shown = |path: &&TreePath| !path.as_bytes().starts_with(b"etc") && !path.as_bytes().starts_with(b"bin");
    let shown = tree.entries().keys().filter(is_shown);
    Ok(shown.map(ToString::to_string).collect())
}

#[test]
fn what_is_marked_as_removed_is_gone_from_the_layers_below() {
    let below: &[Entry<'_>] = &[SHELL, ("a/b/c", "x"), ("a/b-c", "x"), ("a/d", "x"), ("e", "-> a")];
    assert_eq!(paths(&[below]).unwrap(), ["a", "a/b", "a/b-c", "a/b/c", "a/d", "e"]);
    assert_eq!(paths(&[below, &[("a/.wh.b", "")]]).unwrap(), ["a", "a/b-c", "a/d", "e"]);
    assert_eq!(paths(&[below, &[(".wh.a", ""), (".wh.e", ""), (".wh.none", "")]]).unwrap(), [""; 0]);
    // Before what the same layer adds, and after it.
    let opaque: &[Entry<'_>] = &[("a/b/new", "x"), ("a/b/.wh..wh..opq", "")];
    assert_eq!(paths(&[below, opaque]).unwrap(), ["a", "a/b", "a/b-c", "a/b/new", "a/d", "e"]);
    assert_eq!(paths(&[below, &[("a/new", "x"), (".wh.a", "")]]).unwrap(), ["a", "a/new", "e"]);
    assert_eq!(paths(&[below, &[SHELL, (".wh..wh..opq", "")]]).unwrap(), [""; 0]);
    assert_eq!(paths(&[below, &[(".wh..wh.plnk", "")]]).unwrap().len(), 6);
    for wrong in ["a/.wh.", "a/.wh..", "a/.wh...", ".wh.a/b", "a/.wh..wh..opq/c"] {
        let refused = paths(&[below, &[(wrong, "")]]).unwrap_err();
        assert!(matches!(&refused, SystemError::Layer { number: 2, error: LayerError::Whiteout(_) }), "{refused}");
    }
}

#[test]
fn a_layer_is_put_over_those_below() {
    let below: &[Entry<'_>] = &[SHELL, ("a", "dir 700"), ("a/b", "x")];
    assert_eq!(paths(&[below]).unwrap(), [""; 0], "what only its owner can enter is not seen");
    assert_eq!(paths(&[below, &[("a", "dir 755")]]).unwrap(), ["a", "a/b"], "a directory is added to");
    assert_eq!(paths(&[below, &[("a", "-> bin")]]).unwrap(), ["a"], "a link takes a directory's place");
    assert_eq!(paths(&[below, &[("a", "-> bin")], &[("a", "dir 755"), ("a/c", "x")]]).unwrap(), ["a", "a/c"]);
    assert_eq!(paths(&[below, &[("a", "device ")]]).unwrap(), [""; 0], "nothing is where a device was");
}

#[test]
fn no_path_leads_through_a_link() {
    let below: &[Entry<'_>] = &[SHELL, ("lib", "-> usr/lib"), ("out", "-> ../../etc"), ("file/x", "y")];
    for (path, through) in [("lib/x", "lib"), ("out/passwd", "out"), ("file/x/y", "file/x"), ("out/a/b", "out")] {
        let Err(SystemError::Layer { error: LayerError::Through { through: by, .. }, .. }) =
            paths(&[below, &[(path, "x")]])
        else {
            panic!("{path}")
        };
        assert_eq!(by.to_string(), through);
    }
    let own: &[Entry<'_>] = &[SHELL, ("a", "-> /etc"), ("a/passwd", "x")];
    assert!(matches!(paths(&[own]), Err(SystemError::Layer { number: 1, error: LayerError::Through { .. } })));
}

#[test]
fn what_a_build_has_of_its_own_is_not_the_image_s() {
    let all: &[Entry<'_>] = &[
        SHELL,
        ("dev/null", "device "),
        ("proc/x", "x"),
        ("tmp/x", "x"),
        ("build", "-> usr"),
        ("init", "x"),
        ("srv/x", "x"),
    ];
    assert_eq!(paths(&[all]).unwrap(), ["srv", "srv/x"]);
    let closed: &[Entry<'_>] = &[SHELL, ("usr/a", "mode 600"), ("usr/b", "mode 711"), ("usr/c", "mode 640")];
    assert_eq!(paths(&[closed]).unwrap(), ["usr", "usr/b"]);
}

#[test]
fn without_a_shell_it_is_no_environment() {
    assert!(matches!(paths(&[&[("usr/bin/sh", "x")]]), Err(SystemError::NoShell)));
    assert!(matches!(paths(&[&[("bin/sh", "-> sh")]]), Err(SystemError::NoShell)));
    assert!(matches!(paths(&[&[("bin/sh", "mode 644")]]), Err(SystemError::NoShell)));
    assert!(paths(&[&[("usr/bin/sh", "x"), ("bin", "-> usr/bin")]]).is_ok());
    assert!(matches!(paths(&[&[SHELL, ("etc", "-> usr")]]), Err(SystemError::NoEtc)));
}

#[test]
fn the_bounds_hold_for_all_layers_together() {
    let (_dir, store) = store();
    let layers = [layer(&store, &[SHELL]), layer(&store, &[("a/b", "xyz")])];
    let of = |entries, bytes| tree_within(&store, &layers, UnpackLimits { entries, bytes });
    let first = layers[0].size;
    assert!(of(4, first.max(layers[1].size) + 600).is_ok());
    let many = of(3, 1 << 20);
    assert!(matches!(many, Err(SystemError::Layer { number: 2, error: LayerError::TooMany(3) })), "{many:?}");
    let second = of(9, layers[1].size + 500);
    assert!(matches!(second, Err(SystemError::Layer { number: 2, error: LayerError::Unpack(_) })), "{second:?}");
}

#[test]
fn a_layer_is_what_the_configuration_says() {
    let (_dir, store) = store();
    let mut one = layer(&store, &[SHELL]);
    one.diff_id = Sha256::of(b"another");
    assert!(matches!(tree(&store, &[one]), Err(SystemError::Layer { error: LayerError::DiffId { .. }, .. })));
    let mut one = layer(&store, &[SHELL]);
    one.blake3 = Digest::of(b"not there");
    assert!(matches!(tree(&store, &[one]), Err(SystemError::Store(_))));
}

#[test]
fn an_image_is_kept_and_goes_with_its_layers() {
    let (_dir, store) = store();
    let layers = vec![layer(&store, &[("usr/bin/sh", "x"), ("bin", "-> usr/bin"), ("opt/tool", "x")])];
    let tree = tree(&store, &layers).unwrap();
    let blob = |text: &str| {
        let (digest, size) = store.add_bytes(text.as_bytes()).unwrap();
        LockedBlob { media_type: "x/y".into(), size, blake3: digest.blake3, sha256: digest.sha256 }
    };
    let lock = ImageLock {
        version: ImageLock::VERSION,
        tree: tree.digest(),
        environment: Image { image: "oci:base".parse().unwrap() },
        platform: Platform { os: "linux".into(), architecture: "amd64".into(), variant: None },
        index: None,
        manifest: blob("manifest"),
        config: blob("config"),
        layers,
    };
    assert!(kept(&store, &lock).unwrap().is_none());
    let root = keep(&store, &lock, &tree).unwrap();
    let inside: Vec<&str> = root.binds.iter().map(|(_, inside)| inside.as_str()).collect();
    assert_eq!(inside, ["/etc", "/opt", "/usr"]);
    assert_eq!(root.links, [("/bin".to_owned(), "usr/bin".to_owned())]);
    assert_eq!(root.locked.description, "image base (linux/amd64), 1 layers");
    assert_eq!(fs::metadata(root.binds[1].0.join("tool")).unwrap().mtime(), 1_577_836_800);
    assert!(crate::unchanged(&root).unwrap());
    let again = kept(&store, &lock).unwrap().unwrap();
    assert_eq!((again.locked, again.links), (root.locked, root.links));
    fs::write(root.binds[1].0.join("tool"), "y").unwrap();
    assert!(kept(&store, &lock).unwrap().is_none(), "it is another than it was");
    keep(&store, &lock, &tree).unwrap();
    assert_eq!(collect(&store, false, &BTreeSet::new()).unwrap().0, 0);
    fs::remove_file(store.blob_root().join(Store::blob_name(&lock.layers[0].blake3))).unwrap();
    assert_eq!(collect(&store, false, &BTreeSet::new()).unwrap().0, 1);
    assert!(kept(&store, &lock).unwrap().is_none());
    assert!(matches!(tree.entries().values().next(), Some(Node::Symlink { .. })));
}
