// SPDX-License-Identifier: Apache-2.0
//! Pairs of images of file systems, and of layouts of container images.

use reprove_model::DigestSet;
use reprove_tests::properties::join;

use super::File;
use super::archives::{file, gzip, tar_of};

/// As their tools make them of one file and one link.
macro_rules! sample {
    ($name:literal) => {
        zstd::decode_all(&include_bytes!(concat!("../../../../verifier/src/compare/image/samples/", $name, ".zst"))[..])
            .unwrap()
    };
}

/// An image and itself with `bytes` in place of its own.
fn changed(image: &[u8], at: usize, bytes: &[u8]) -> Vec<u8> {
    let mut other = image.to_vec();
    other[at..at + bytes.len()].copy_from_slice(bytes);
    join(image, &other)
}

/// Where a file's bytes are, which stand in the image once.
fn content(image: &[u8]) -> usize {
    image.windows(6).position(|bytes| bytes == b"hello\n").unwrap()
}

pub(super) fn pairs() -> Vec<File> {
    let (squashfs, packed) = (sample!("small.squashfs"), sample!("small.gzip.squashfs"));
    let (ext2, ext4, erofs) = (sample!("small.ext2"), sample!("small.ext4"), sample!("small.erofs"));
    let mut layouts = layout_pairs();
    layouts.extend([
        ("squashfs-content", changed(&squashfs, content(&squashfs), b"H")),
        ("squashfs-time", changed(&packed, 8, b"x")),
        ("squashfs-compression", join(&squashfs, &packed)),
        ("squashfs-cut", join(&packed, &packed[..200])),
        ("ext2-content", changed(&ext2, content(&ext2), b"H")),
        ("ext4-content", changed(&ext4, content(&ext4), b"H")),
        ("erofs-content", changed(&erofs, content(&erofs), b"H")),
        ("erofs-uuid", changed(&erofs, 1024 + 48, b"other")),
    ]);
    layouts
}

/// A layout in an archive, with one layer of one file; and a name that is given to the layer in place of its digest.
fn layout(content: &[u8], named: Option<&str>) -> Vec<u8> {
    let digest = |bytes: &[u8]| DigestSet::of(bytes).sha256.to_string();
    let layer = gzip(&tar_of(&[file("a", content)]));
    let layer_name = named.map_or_else(|| digest(&layer), str::to_owned);
    let config = "{}".to_owned();
    let row = |digest: &str| format!(r#"{{"digest":"sha256:{digest}"}}"#);
    let manifest = format!(r#"{{"config":{},"layers":[{}]}}"#, row(&digest(config.as_bytes())), row(&layer_name));
    let index = format!(r#"{{"manifests":[{}]}}"#, row(&digest(manifest.as_bytes())));
    let blob = |digest: &str| format!("blobs/sha256/{digest}");
    let names = [blob(&digest(manifest.as_bytes())), blob(&digest(config.as_bytes())), blob(&layer_name)];
    tar_of(&[
        file("index.json", index.as_bytes()),
        file(&names[0], manifest.as_bytes()),
        file(&names[1], config.as_bytes()),
        file(&names[2], &layer),
    ])
}

fn layout_pairs() -> Vec<File> {
    let left = layout(b"hello\n", None);
    vec![
        ("oci-layer", join(&left, &layout(b"hallo\n", None))),
        ("oci-named-wrongly", join(&left, &layout(b"hallo\n", Some(&"0".repeat(64))))),
    ]
}
