// SPDX-License-Identifier: Apache-2.0
//! Published images and rebuilt ones: by the manifest, and by each blob that it names.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test's way to fail")]

mod support;

use reprove_model::{Finding, FindingKind, Outcome, Sha256, Verdict};
use support::Bench;

/// An image: its manifest, its configuration, and its layers.
struct Image {
    manifest: String,
    config: String,
    layers: Vec<&'static str>,
}

impl Image {
    fn of(layers: &[&'static str]) -> Self {
        let history =
            r#"[{"created_by":"COPY base"},{"created_by":"ENV a=b","empty_layer":true},{"created_by":"RUN make"}]"#;
        let ids: Vec<_> = layers.iter().map(|layer| format!("\"sha256:{}\"", Sha256::of(layer.as_bytes()))).collect();
        let config = format!(r#"{{"history":{history},"rootfs":{{"diff_ids":[{}]}}}}"#, ids.join(","));
        let described = |kind: &str, text: &str| {
            let kind = format!("application/vnd.oci.image.{kind}");
            format!(
                r#"{{"mediaType":"{kind}","digest":"sha256:{}","size":{}}}"#,
                Sha256::of(text.as_bytes()),
                text.len()
            )
        };
        let of_layers: Vec<_> = layers.iter().map(|layer| described("layer.v1.tar", layer)).collect();
        let config_is = described("config.v1+json", &config);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{config_is},"layers":[{}]}}"#, of_layers.join(","));
        Self { manifest, config, layers: layers.to_vec() }
    }

    fn parts(&self) -> Vec<&str> {
        self.layers.iter().copied().chain([self.config.as_str()]).collect()
    }

    /// The manifest, and the blobs beside it under names of their own, but for some.
    fn outputs(&self, without: &[&str]) -> Vec<(String, String)> {
        let parts = self.parts();
        let blobs = parts.iter().filter(|text| !without.contains(text));
        let blobs = blobs.map(|text| (format!("{}.blob", Sha256::of(text.as_bytes())), (*text).to_owned()));
        [("manifest.json".to_owned(), self.manifest.clone())].into_iter().chain(blobs).collect()
    }
}

fn judged(published: &Image, outputs: &[(String, String)]) -> Verdict {
    let bench = Bench::new();
    let files: Vec<(&str, &str)> = outputs.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let pair = bench.pair(&files, &files);
    bench.judge_whole(&pair, Some(&published.manifest), "manifest.json", &published.parts()).unwrap()
}

fn found<'a>(verdict: &'a Verdict, place: &str) -> Vec<&'a Finding> {
    verdict.findings.iter().filter(|finding| finding.place.starts_with(place)).collect()
}

#[test]
fn an_image_is_reproducible_where_its_manifest_and_each_blob_came_out() {
    let image = Image::of(&["one", "two"]);
    let verdict = judged(&image, &image.outputs(&[]));
    assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Reproducible, Some(true)));
    assert_eq!(verdict.findings, []);
}

/// Whoever writes down a manifest has built nothing of what it names.
#[test]
fn a_manifest_without_its_blobs_is_no_rebuilt_image() {
    let image = Image::of(&["one", "two"]);
    for missing in image.parts() {
        let verdict = judged(&image, &image.outputs(&[missing]));
        assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Different, Some(false)));
        let place = format!("blobs/sha256/{}", Sha256::of(missing.as_bytes()));
        let kinds: Vec<_> = verdict.findings.iter().map(|finding| (finding.kind, finding.place.as_str())).collect();
        assert_eq!(kinds, [(FindingKind::OnlyLeft, place.as_str())]);
    }
}

#[test]
fn what_differs_in_an_image_is_told_by_its_layer() {
    let (published, rebuilt) = (Image::of(&["one", "two\n"]), Image::of(&["one", "other\n"]));
    let verdict = judged(&published, &rebuilt.outputs(&[]));
    assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Different, Some(false)));
    assert_eq!(found(&verdict, "blobs: layer 2 of the image (sha256:").len(), 1);
    assert!(!found(&verdict, "blobs: config of the image").is_empty() && !found(&verdict, "manifest.json").is_empty());
    assert!(found(&verdict, "blobs: layer 1").is_empty());
    let names = found(&verdict, "blobs")[0];
    assert!(names.summary.ends_with("; layer 1 of the image has the same digest"), "{}", names.summary);
    let layer = &names.details[1];
    let about = "(application/vnd.oci.image.layer.v1.tar, made by \"RUN make\")";
    assert_eq!(layer.at, "layer 2 of the image");
    assert_eq!(layer.left, format!("blobs/sha256/{} {about}", Sha256::of(b"two\n")));
    assert_eq!(layer.right, format!("blobs/sha256/{} {about}", Sha256::of(b"other\n")));
}

/// Fields that one reader takes and another does not are no difference where the bytes are the same.
#[test]
fn a_manifest_that_is_not_understood_is_the_same_where_its_bytes_are() {
    let mut image = Image::of(&["one"]);
    image.manifest = image.manifest.replacen("{\"mediaType\":", "{\"annotations\":null,\"mediaType\":", 1);
    let verdict = judged(&image, &image.outputs(&[]));
    assert_eq!((verdict.outcome, verdict.findings.len()), (Outcome::Reproducible, 0));
    let layer = Sha256::of(b"one").to_string();
    let without = image.outputs(&["one"]);
    let verdict = judged(&image, &without);
    assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Different, Some(false)));
    assert!(verdict.findings.iter().any(|finding| finding.place.ends_with(&layer)));
}

/// A rebuilt manifest is read to a bound; past it, its blobs are not looked for.
#[test]
fn a_rebuilt_manifest_is_read_to_a_bound() {
    let (published, mut rebuilt) = (Image::of(&["one\n"]), Image::of(&["two\n"]));
    let most = 4 << 20;
    for (bytes, is_read) in [(most, true), (most + 1, false)] {
        rebuilt.manifest = rebuilt.manifest.trim_end().to_owned();
        rebuilt.manifest += &" ".repeat(bytes - rebuilt.manifest.len());
        let verdict = judged(&published, &rebuilt.outputs(&[]));
        assert_eq!(verdict.outcome, Outcome::Different);
        assert_eq!(!found(&verdict, "blobs: layer 1").is_empty(), is_read, "{bytes}");
    }
}

/// Nothing of what was published is taken for what was built.
#[test]
fn without_a_manifest_of_that_name_all_is_different() {
    let image = Image::of(&["one"]);
    let mut outputs = image.outputs(&[]);
    outputs[0].0 = "other.json".into();
    let verdict = judged(&image, &outputs);
    assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Different, Some(false)));
    assert!(verdict.findings.iter().any(|f| f.kind == FindingKind::OnlyLeft && f.place == "manifest.json"));
    // What is called so, and is none.
    outputs[0] = ("manifest.json".into(), "{".into());
    let verdict = judged(&image, &outputs);
    assert_eq!((verdict.outcome, verdict.matches_published), (Outcome::Different, Some(false)));
}
