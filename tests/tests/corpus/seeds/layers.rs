// SPDX-License-Identifier: Apache-2.0
//! Documents of OCI images, and pairs of layers.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use reprove_tests::properties::join;
use tar::EntryType;

use super::archives::{Entry, file, tar_of};
use super::{Corpus, text};

pub(super) fn all() -> Vec<Corpus> {
    vec![bearers(), documents(), layers()]
}

fn documents() -> Corpus {
    let digest = format!("sha256:{}", "ab".repeat(32));
    let blob =
        |kind: &str| format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":7}}"#);
    let manifest = format!(
        r#"{{"schemaVersion":2,"config":{},"layers":[{}]}}"#,
        blob("config.v1+json"),
        blob("layer.v1.tar+gzip")
    );
    let image = blob("manifest.v1+json").replace(
        '}',
        r#","platform":{"os":"linux","architecture":"amd64"},"annotations":{"org.opencontainers.image.ref.name":"1"}}"#,
    );
    let index = format!(r#"{{"schemaVersion":2,"manifests":[{image}]}}"#);
    let config = format!(
        r#"{{"os":"linux","architecture":"arm64","variant":"v8","rootfs":{{"type":"layers","diff_ids":["{digest}"]}}}}"#
    );
    let proof = "application/vnd.reprove.proof.v1+json";
    let artifact = format!(
        r#"{{"schemaVersion":2,"artifactType":"{proof}","config":{},"layers":[{{"mediaType":"{proof}","digest":"{digest}","size":9}}],"subject":{{"mediaType":"a/b","digest":"sha256:{}","size":7}}}}"#,
        blob("empty.v1+json"),
        reprove_model::Sha256::of(b"subject")
    );
    let files = vec![
        text("manifest", manifest.clone()),
        text("index", index.clone()),
        text("config", config.clone()),
        text("artifact", artifact.clone()),
        text(
            "refused-artifact-of-two-blobs",
            artifact.replace("\"layers\":[", "\"layers\":[{\"mediaType\":\"a/b\",\"size\":1},"),
        ),
        text("refused-both", manifest.replace('{', r#"{"manifests":[],"#)),
        text("refused-neither", r#"{"schemaVersion":2}"#),
        text("refused-schema", manifest.replace(":2,", ":1,")),
        text("refused-algorithm", manifest.replace("sha256:", "sha512:")),
        text("refused-digest", manifest.replace("abab", "ab")),
        text("refused-artifact", manifest.replace("config.v1+json", "chart.v1+json")),
        text("refused-layer", manifest.replace("tar+gzip", "tar+encrypted")),
        text("refused-size", manifest.replace(":7", ":-7")),
        text("refused-platform", index.replace("amd64", "\u{1b}[2J")),
        text("refused-diff-id", config.replace("sha256:", "md5:")),
    ];
    ("image_documents", files)
}

fn bearers() -> Corpus {
    let registry = "Bearer realm=\"https://auth.example/token\",service=\"r.example\",scope=\"repository:a/b:pull\"";
    let files = vec![
        text("registry", registry),
        text("spaced", registry.replace(",s", ", s")),
        text("small", registry.replace("Bearer", "bearer")),
        text("realm-alone", "Bearer realm=\"https://auth.example/token\""),
        text("realm-twice", format!("{registry},realm=\"http://other.example/\"")),
        text("another-parameter", format!("{registry},error=\"invalid_token\"")),
        text("refused-scheme", registry.replace("Bearer", "Basic")),
        text("refused-no-realm", registry.replace("realm", "place")),
        text("refused-unclosed", registry.trim_end_matches('"')),
        text("refused-control", registry.replace("/token", "/\u{1b}[2J\r\n")),
        text("refused-long", registry.replace("token", &"t".repeat(4096))),
    ];
    ("bearer", files)
}

fn layers() -> Corpus {
    let link = |name, target| -> Entry<'_> { (name, EntryType::Symlink, target, b"") };
    let lower = tar_of(&[file("usr/bin/sh", b"shell"), link("bin", "usr/bin"), file("a/b", b"x"), file("a/c", b"y")]);
    let over = |entries: &[Entry<'_>]| join(&lower, &tar_of(entries));
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&lower).unwrap();
    let files = vec![
        ("added", over(&[file("a/d", b"z"), ("dev/null", EntryType::Char, "", b"")])),
        ("removed", over(&[file("a/.wh.b", b"")])),
        ("opaque", over(&[file("a/.wh..wh..opq", b""), file("a/d", b"z")])),
        ("of-aufs", over(&[file(".wh..wh.plnk", b"")])),
        ("replaced", over(&[link("a", "usr"), ("etc", EntryType::Directory, "", b"")])),
        ("hard-link", over(&[file("e", b"z"), ("f", EntryType::Link, "e", b"")])),
        ("compressed", join(&gzip.finish().unwrap(), &zstd::encode_all(tar_of(&[]).as_slice(), 3).unwrap())),
        ("refused-through-a-link", over(&[file("bin/x", b"z")])),
        ("refused-whiteout", over(&[file("a/.wh..", b"")])),
        ("refused-below-a-whiteout", over(&[file(".wh.a/b", b"")])),
        ("refused-hard-link", over(&[("f", EntryType::Link, "a/b", b"")])),
        ("refused-outside", over(&[file("../x", b"")])),
        ("refused-absolute", over(&[file("/x", b"")])),
        ("refused-no-shell", over(&[file("usr/bin/.wh.sh", b"")])),
        ("refused-no-etc", over(&[link("etc", "usr")])),
    ];
    ("image_layers", files)
}
