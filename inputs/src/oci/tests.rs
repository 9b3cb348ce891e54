// SPDX-License-Identifier: Apache-2.0

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;

use super::documents::{Index, MAX_BYTES, MAX_IMAGES};
use super::*;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A layout that is being made, and a store.
struct Bench {
    dir: TempDir,
    store: Store,
}

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        fs::create_dir_all(dir.path().join("base/blobs/sha256")).unwrap();
        Self { dir, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("base").join(name)
    }

    fn blob(&self, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Sha256::of(bytes);
        fs::write(self.path("blobs/sha256").join(digest.to_string()), bytes).unwrap();
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    }

    fn document(&self, media_type: &str, value: &Value) -> Value {
        self.blob(media_type, value.to_string().as_bytes())
    }

    fn config(&self, architecture: &str, layers: usize) -> Value {
        let diff_ids = vec![format!("sha256:{}", Sha256::of(b"layer")); layers];
        let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
        self.document(CONFIG, &json!({ "architecture": architecture, "os": "linux", "rootfs": rootfs }))
    }

    fn manifest(&self, layers: usize) -> Value {
        let layer = self.blob(LAYER, b"layer");
        json!({ "schemaVersion": 2, "config": self.config(here(), layers), "layers": vec![layer; layers] })
    }

    fn index(&self, manifests: &[Value]) {
        fs::write(self.path("index.json"), json!({ "schemaVersion": 2, "manifests": manifests }).to_string()).unwrap();
    }

    /// A layout whose one image has this manifest.
    fn of(&self, manifest: &Value) {
        self.index(&[self.document(MANIFEST, manifest)]);
    }

    async fn find(&self, asked: &str) -> Result<Found, InputsError> {
        let skopeo = Skopeo::new("/nonexistent/skopeo");
        find(&asked.parse().unwrap(), self.dir.path(), &skopeo, &self.store, &|_| {}).await
    }

    async fn refused(&self, asked: &str) -> ImageError {
        match self.find(asked).await {
            Err(InputsError::Image(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

fn here() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

fn tagged(mut one: Value, tag: &str) -> Value {
    one["annotations"] = json!({ "org.opencontainers.image.ref.name": tag });
    one
}

fn for_platform(mut one: Value, os: &str, architecture: &str, variant: Option<&str>) -> Value {
    one["platform"] = json!({ "os": os, "architecture": architecture });
    if let Some(variant) = variant {
        one["platform"]["variant"] = json!(variant);
    }
    one
}

fn digest(of: &Value) -> String {
    of["digest"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn an_image_is_found_by_its_tag_by_its_digest_or_alone() {
    let bench = Bench::new();
    let (one, two) = (bench.document(MANIFEST, &bench.manifest(1)), bench.document(MANIFEST, &bench.manifest(2)));
    bench.index(&[tagged(one.clone(), "1")]);
    let found = bench.find("oci:base").await.unwrap();
    assert_eq!(format!("sha256:{}", found.manifest.sha256), digest(&one));
    assert_eq!((found.layers.len(), &found.index, found.platform.architecture.as_str()), (1, &None, here()));
    assert!(found.layers.iter().all(|layer| bench.store.verify_blob(&layer.blake3).is_ok()));
    bench.index(&[tagged(one, "1"), tagged(two.clone(), "2")]);
    assert_eq!(bench.find("oci:base:1").await.unwrap(), found);
    assert_eq!(bench.find("oci:base:2").await.unwrap().layers.len(), 2);
    assert_eq!(bench.find(&format!("oci:base@{}", digest(&two))).await.unwrap().layers.len(), 2);
    let several = bench.refused("oci:base").await;
    assert!(several.to_string().contains("there are 1, 2"), "{several}");
    assert!(matches!(bench.refused("oci:base:3").await, ImageError::NoImage { .. }));
    assert!(matches!(bench.refused("oci:none").await, ImageError::NoPlace(path) if path.ends_with("/none")));
    let none = format!("oci:base@sha256:{}", "0".repeat(64));
    assert!(matches!(bench.refused(&none).await, ImageError::NoBlob(_)));
}

#[tokio::test]
async fn an_archive_is_read_as_a_layout() {
    let bench = Bench::new();
    bench.index(&[tagged(bench.document(MANIFEST, &bench.manifest(1)), "1")]);
    let mut archive = tar::Builder::new(fs::File::create(bench.dir.path().join("base.tar")).unwrap());
    archive.append_dir_all(".", bench.path("")).unwrap();
    archive.into_inner().unwrap();
    let found = bench.find("oci:base:1").await.unwrap();
    fs::remove_dir_all(bench.path("")).unwrap();
    assert_eq!(bench.find("oci-archive:base.tar:1").await.unwrap(), found);
    fs::write(bench.dir.path().join("base.tar"), "no archive").unwrap();
    assert!(matches!(bench.find("oci-archive:base.tar").await, Err(InputsError::Archive { .. })));
    assert!(matches!(bench.find("oci-archive:none.tar").await, Err(InputsError::Io { .. })));
}

#[tokio::test]
async fn of_an_index_the_image_for_this_machine_is_taken() {
    let bench = Bench::new();
    let one = bench.document(MANIFEST, &bench.manifest(1));
    let other =
        bench.document(MANIFEST, &json!({ "schemaVersion": 2, "config": bench.config("riscv64", 0), "layers": [] }));
    let index = |images: &[Value]| {
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": images });
        bench.index(&[bench.document(INDEX, &index)]);
        digest(&bench.document(INDEX, &index))
    };
    let attestation = for_platform(other.clone(), "unknown", "unknown", None);
    let newer = for_platform(other.clone(), "linux", here(), Some("v9"));
    let foreign = for_platform(other, "linux", "riscv64", None);
    let named =
        index(&[attestation.clone(), foreign.clone(), newer.clone(), for_platform(one.clone(), "linux", here(), None)]);
    let found = bench.find("oci:base").await.unwrap();
    assert_eq!(format!("sha256:{}", found.manifest.sha256), digest(&one));
    assert_eq!(format!("sha256:{}", found.index.as_ref().unwrap().sha256), named);
    assert_eq!(bench.find(&format!("oci:base@{named}")).await.unwrap(), found);
    index(&[attestation, foreign, newer]);
    let none = bench.refused("oci:base").await.to_string();
    let said = format!("for linux/{}/v9, linux/riscv64, unknown/unknown, and this machine is linux/{}", here(), here());
    assert!(none.contains(&said), "{none}");
    // Where no platform is said, the configuration says it.
    index(&[one]);
    assert_eq!(bench.find("oci:base").await.unwrap().manifest, found.manifest);
    let inner = bench.document(INDEX, &json!({ "schemaVersion": 2, "manifests": [] }));
    index(&[inner]);
    assert!(matches!(bench.refused("oci:base").await, ImageError::Nested(_)));
    let mut foreign = bench.manifest(1);
    foreign["config"] = bench.config("riscv64", 1);
    bench.of(&foreign);
    assert!(matches!(bench.refused("oci:base").await, ImageError::Platform { .. }));
}

#[tokio::test]
async fn what_is_not_as_it_is_said_to_be_is_refused() {
    let bench = Bench::new();
    let usual = bench.manifest(1);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut manifest = usual.clone();
        change(&mut manifest);
        bench.of(&manifest);
    };
    with(&|m| m["layers"][0]["size"] = json!(4));
    assert!(matches!(bench.refused("oci:base").await, ImageError::Size { said: 4, here: 5, .. }));
    with(&|m| m["layers"][0]["size"] = json!(6));
    assert!(matches!(bench.refused("oci:base").await, ImageError::Size { said: 6, here: 5, .. }));
    with(&|m| m["layers"][0]["size"] = json!(MAX_LAYER + 1));
    assert!(matches!(bench.refused("oci:base").await, ImageError::TooLarge { .. }));
    with(&|m| m["layers"][0]["size"] = json!(MAX_LAYER));
    assert!(matches!(bench.refused("oci:base").await, ImageError::Size { .. }));
    with(&|m| m["config"]["size"] = json!(MAX_BYTES + 1));
    assert!(matches!(bench.refused("oci:base").await, ImageError::TooLarge { .. }));
    with(&|m| m["layers"][0]["digest"] = json!(format!("sha512:{}", "0".repeat(128))));
    assert!(matches!(bench.refused("oci:base").await, ImageError::Algorithm(_)));
    with(&|m| m["layers"][0]["mediaType"] = json!("application/vnd.oci.image.layer.v1.tar+encrypted"));
    assert!(matches!(bench.refused("oci:base").await, ImageError::NoSuchType { what: "a layer", .. }));
    with(&|m| m["config"]["mediaType"] = json!("application/vnd.example+json"));
    assert!(matches!(bench.refused("oci:base").await, ImageError::NoSuchType { what: "its configuration", .. }));
    with(&|m| m["config"] = bench.config(here(), 2));
    assert!(matches!(bench.refused("oci:base").await, ImageError::Layers { manifest: 1, config: 2 }));
    with(&|m| m["manifests"] = json!([]));
    assert!(bench.refused("oci:base").await.to_string().contains("at the same time"));
    with(&|m| m["schemaVersion"] = json!(1));
    assert!(matches!(bench.refused("oci:base").await, ImageError::Document { .. }));
    bench.of(&usual);
    let layer = bench.path("blobs/sha256").join(Sha256::of(b"layer").to_string());
    fs::write(&layer, "Layer").unwrap();
    assert!(matches!(bench.refused("oci:base").await, ImageError::Digest { .. }));
    fs::remove_file(&layer).unwrap();
    assert!(matches!(bench.refused("oci:base").await, ImageError::NoBlob(_)));
    fs::write(bench.path("other"), "layer").unwrap();
    symlink("../../other", &layer).unwrap();
    assert!(matches!(bench.find("oci:base").await, Err(InputsError::Io { .. })), "no link is followed");
}

#[tokio::test]
async fn the_bounds_of_documents_hold_on_both_sides() {
    let bench = Bench::new();
    for (layers, ok) in [(ImageLock::MAX_LAYERS, true), (ImageLock::MAX_LAYERS + 1, false), (0, false)] {
        bench.of(&bench.manifest(layers));
        assert_eq!(bench.find("oci:base").await.is_ok(), ok, "{layers}");
    }
    let one = bench.document(MANIFEST, &bench.manifest(1));
    let many = |n: usize| Index::read(json!({ "schemaVersion": 2, "manifests": vec![&one; n] }).to_string().as_bytes());
    assert!(many(MAX_IMAGES).is_ok() && many(MAX_IMAGES + 1).is_err());
    for (more, ok) in [(0, true), (1, false)] {
        let text = bench.manifest(1).to_string();
        let most = usize::try_from(MAX_BYTES).unwrap() + more;
        let padded = text.clone() + &" ".repeat(most - text.len());
        bench.index(&[bench.blob(MANIFEST, padded.as_bytes())]);
        assert_eq!(bench.find("oci:base").await.is_ok(), ok, "{more}");
    }
}

#[tokio::test]
async fn the_bound_of_an_archive_s_entries_holds_on_both_sides() {
    let bench = Bench::new();
    bench.of(&bench.manifest(1));
    let write = |more: usize| {
        let mut archive = tar::Builder::new(fs::File::create(bench.dir.path().join("base.tar")).unwrap());
        archive.append_dir_all(".", bench.path("")).unwrap();
        // The layout has itself, its index, two directories and three blobs.
        for number in 0..source::ARCHIVE.entries - 7 + more {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_mode(0o755);
            archive.append_data(&mut header, format!("d{number}"), &b""[..]).unwrap();
        }
        archive.into_inner().unwrap();
    };
    write(0);
    assert!(bench.find("oci-archive:base.tar").await.is_ok());
    write(1);
    assert!(matches!(bench.find("oci-archive:base.tar").await, Err(InputsError::Archive { .. })));
}

#[tokio::test]
async fn what_is_locked_comes_again_or_nothing() {
    let bench = Bench::new();
    bench.of(&bench.manifest(1));
    let asked = Image { image: "oci:base".parse().unwrap() };
    let lock = bench.find("oci:base").await.unwrap().lock(asked, DigestSet::of(b"tree"));
    let ensure = async || {
        let skopeo = Skopeo::new("/nonexistent/skopeo");
        ensure(&lock, bench.dir.path(), &skopeo, &bench.store, &|_| {}).await
    };
    let blob = bench.store.blob_root().join(Store::blob_name(&lock.layers[0].blake3));
    fs::remove_file(&blob).unwrap();
    // Another image is there now, and the locked one still is by its digest.
    bench.of(&bench.manifest(2));
    ensure().await.unwrap();
    assert!(blob.is_file());
    fs::remove_dir_all(bench.path("")).unwrap();
    ensure().await.unwrap();
    fs::remove_file(&blob).unwrap();
    assert!(matches!(ensure().await, Err(InputsError::Image(ImageError::NoBlob(_)))));
}
