// SPDX-License-Identifier: Apache-2.0
//! Environments that are OCI images: from layouts, archives and registries, locked by digest, and nothing else in them.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test's way to fail")]

use std::fs;
use std::process::Command;

use reprove_tests::layouts::{self, Entry, Layer};
use reprove_tests::{Bench, ListingRegistry, Registry};
use serde_json::Value;

/// A base with a shell, and what is over it: a tool, and a file that is gone.
fn layers() -> Vec<Layer> {
    let text = |path: &str, text: &str| (path.to_owned(), Entry::Text(text.to_owned()));
    let mut base = layouts::shell();
    base.push(text("etc/gone", "x"));
    vec![base, vec![text("etc/.wh.gone", ""), text("opt/tool", "a tool\n"), ("srv".into(), Entry::Link("opt".into()))]]
}

fn project(bench: &Bench, image: &str) {
    let recipe = format!(
        "environment = {{ image = \"{image}\" }}\n[package]\nname = \"made\"\n[source]\ndirectory = \".\"\n\
         [build]\nsteps = [\"cat /srv/tool > out\", \"echo / /* >> out\", \"echo /etc/* >> out\", \
         \"! echo x 2>&- > /opt/x\"]\n[outputs]\npaths = [\"out\"]\n\
         [pinned]\nhome = \"it is looked at\"\nbuild-path = \"so is this\"\n"
    );
    bench.write("made/reprove.toml", recipe);
}

fn skopeo(bench: &Bench, arguments: &[&str]) -> String {
    let output = Command::new("skopeo").args(arguments).current_dir(bench.path("work")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn lock(bench: &Bench) -> toml::Table {
    toml::from_str(&fs::read_to_string(bench.path("work/made/reprove.lock")).unwrap()).unwrap()
}

#[test]
fn a_build_sees_the_image_and_nothing_else() {
    let bench = Bench::new();
    let manifest = layouts::write(&bench.path("work/base"), "1", &layers());
    project(&bench, "oci:../base:1");
    let ran = bench.run(["build", "made", "--out", "out"]).with_code(0);
    assert!(ran.stderr.contains("wrote reprove.lock: an image of 2 layers"), "{}", ran.stderr);
    let out = fs::read_to_string(bench.path("work/out/outputs/out")).unwrap();
    let lines: Vec<&str> = out.lines().collect();
    // Its /bin is a directory, and stays one.
    assert_eq!(lines[0], "a tool");
    assert_eq!(lines[1], "/ /bin /build /dev /etc /lib /lib64 /opt /proc /srv /sys /tmp");
    assert_eq!(lines[2], "/etc/group /etc/hosts /etc/nsswitch.conf /etc/passwd");
    let lock: Value = serde_json::from_slice(&fs::read(bench.path("work/out/lock.json")).unwrap()).unwrap();
    assert_eq!(lock["environment"]["kind"]["image"], "oci:../base:1");
    let inputs = lock["inputs"].as_array().unwrap();
    let of_image: Vec<&Value> = inputs.iter().filter(|input| input["role"] == "environment").collect();
    assert_eq!(of_image.len(), 4, "manifest, configuration and two layers");
    let start = format!("pkg:oci/base@sha256:{manifest}#blobs/sha256/");
    assert!(of_image.iter().all(|input| input["purl"].as_str().unwrap().starts_with(&start)), "{of_image:?}");
}

/// Nothing is asked for once all is settled and there; and a proof has every layer, by digest.
#[test]
fn what_is_locked_is_built_with_again_and_is_in_the_proof() {
    let bench = Bench::new();
    layouts::write(&bench.path("work/base"), "1", &layers());
    project(&bench, "oci:../base:1");
    let _ = bench.run(["lock", "made"]).with_code(0);
    let key = bench.public_key();
    fs::remove_dir_all(bench.path("work/base")).unwrap();
    let verdict = bench.run(["check", "made", "-o", "made.proof.json", "--json"]).with_code(0).json();
    assert_eq!(verdict["verdict"]["outcome"], "reproducible");
    let ran = bench.run(["audit", "made.proof.json", "--key", key.to_str().unwrap(), "--json"]).with_code(0).json();
    assert_eq!(ran["verified"], true);
    let shown = bench.run(["proof", "show", "made.proof.json", "--json"]).with_code(0).stdout;
    let layer = lock(&bench)["layer"][1]["sha256"].as_str().unwrap().to_owned();
    assert!(shown.contains(&format!("#blobs/sha256/{layer}")));
    let documents = ["--cyclonedx", "bom.json", "--spdx", "spdx.json"];
    let _ = bench
        .run([&["audit", "made.proof.json", "--key", key.to_str().unwrap()], &documents[..]].concat())
        .with_code(0);
    for document in ["bom.json", "spdx.json"] {
        let text = fs::read_to_string(bench.path("work").join(document)).unwrap();
        assert!(text.contains(&format!("#blobs/sha256/{layer}")), "{document}: {text}");
    }
}

#[test]
fn another_image_than_the_locked_one_is_not_built_in() {
    let bench = Bench::new();
    layouts::write(&bench.path("work/base"), "1", &layers());
    project(&bench, "oci:../base:1");
    let _ = bench.run(["lock", "made"]).with_code(0);
    let path = bench.path("work/made/reprove.lock");
    let text = fs::read_to_string(&path).unwrap();
    let before = lock(&bench);
    // The tag is of another image now: the locked one is built with, until it is locked anew.
    let mut other = layers();
    other[1][1].1 = Entry::Text("another tool\n".into());
    layouts::write(&bench.path("work/base"), "1", &other);
    let _ = bench.run(["build", "made", "--out", "same"]).with_code(0);
    assert!(fs::read_to_string(bench.path("work/same/outputs/out")).unwrap().starts_with("a tool"));
    let ran = bench.run(["lock", "made"]).with_code(0);
    assert!(ran.stdout.contains("another image"), "{}", ran.stdout);
    assert_ne!(lock(&bench)["manifest"], before["manifest"]);
    // What it is locked to be unpacked.
    let start = text.find("[tree]\nblake3 = \"").unwrap() + "[tree]\nblake3 = \"".len();
    let second = start + 64 + "\"\nsha256 = \"".len();
    let half = text[..start].to_owned() + &"0".repeat(64) + &text[start + 64..];
    fs::write(&path, half[..second].to_owned() + &"0".repeat(64) + &half[second + 64..]).unwrap();
    let ran = bench.run(["build", "made", "--out", "again"]).with_code(4);
    assert!(ran.stderr.contains("the image makes another system here than `reprove.lock` has"), "{}", ran.stderr);
    // A digest that the recipe has, and nobody else.
    project(&bench, &format!("oci:../base@sha256:{}", "0".repeat(64)));
    let ran = bench.run(["build", "made", "--out", "again"]).with_code(2);
    assert!(ran.stderr.contains("is not whole: the blob 0000"), "{}", ran.stderr);
}

#[test]
fn images_are_compared_where_they_are() {
    let bench = Bench::new();
    let registry = Registry::start(&bench.path("registry"));
    let manifest = layouts::write(&bench.path("work/base"), "1", &layers());
    let mut other = layers();
    other[1][1].1 = Entry::Text("another tool\n".into());
    layouts::write(&bench.path("work/other"), "1", &other);
    let at = format!("docker://{}/some/base:1", registry.host);
    skopeo(&bench, &["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", "oci:base:1", &at]);
    skopeo(&bench, &["copy", "--quiet", "oci:base:1", "oci-archive:base.tar:1"]);
    for same in ["oci:base", "oci-archive:base.tar:1", &at] {
        let said = bench.run(["compare", "oci:base:1", same, "--json"]).with_code(0).json();
        assert_eq!(said["manifests"], serde_json::json!([format!("sha256:{manifest}"), format!("sha256:{manifest}")]));
    }
    let compared = bench.run(["compare", &at, "oci:other:1", "--json"]).with_code(1).json();
    assert_ne!(compared["manifests"][0], compared["manifests"][1]);
    let findings = compared["findings"].as_array().unwrap();
    let of_tool = |finding: &&Value| finding["place"].as_str().unwrap().ends_with("opt/tool");
    let tool = findings.iter().find(of_tool).unwrap_or_else(|| panic!("{compared:#}"));
    assert!(tool["place"].as_str().unwrap().contains("layer 2"), "{tool:#}");
    assert!(!findings.iter().any(|finding| finding["place"].as_str().unwrap().contains("layer 1")), "{compared:#}");
    // A project that makes none.
    project(&bench, "oci:../base:1");
    let ran = bench.run(["rebuild", "oci:base:1", "--recipe", "made"]).with_code(2);
    assert!(ran.stderr.contains("an image is rebuilt by its manifest"), "{}", ran.stderr);
    // An image and something else; one that is not there; and what is read as a file where there is one of that name.
    let ran = bench.run(["compare", "oci:base", "base.tar"]).with_code(2);
    assert!(ran.stderr.contains("oci:base is an image and base.tar is none"), "{}", ran.stderr);
    let ran = bench.run(["compare", "base.tar", "oci:base"]).with_code(2);
    assert!(ran.stderr.contains("oci:base is an image and base.tar is none"), "{}", ran.stderr);
    let _ = bench.run(["compare", "oci:base", "oci:none"]).with_code(2);
    let ran = bench.run(["compare", "docker-archive:a.tar", "oci:base"]).with_code(2);
    assert!(ran.stderr.contains("skopeo copy docker-archive:FILE oci:DIR"), "{}", ran.stderr);
    let ran = bench.run(["compare", "oci:base", "docker://here/a:b c"]).with_code(2);
    assert!(ran.stderr.contains("names no image"), "{}", ran.stderr);
    bench.write("oci:base", "a file");
    bench.write("file", "a file");
    let _ = bench.run(["compare", "oci:base", "file"]).with_code(0);
}

#[test]
fn a_registry_s_image_is_the_same_as_a_layout_s() {
    let bench = Bench::new();
    let registry = Registry::start(&bench.path("registry"));
    let manifest = layouts::write(&bench.path("work/base"), "1", &layers());
    let at = format!("docker://{}/some/base", registry.host);
    skopeo(
        &bench,
        &["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", "oci:base:1", &format!("{at}:1")],
    );
    skopeo(&bench, &["copy", "--quiet", "oci:base:1", "oci-archive:base.tar:1"]);
    // As Docker has had it before there was OCI.
    let two = format!("{at}:2");
    skopeo(&bench, &["copy", "--quiet", "--format=v2s2", "--dest-tls-verify=false", "oci:base:1", &two]);
    let mut trees = Vec::new();
    for image in
        ["oci:../base:1", "oci-archive:../base.tar:1", &format!("{at}:1"), &format!("{at}@sha256:{manifest}"), &two]
    {
        project(&bench, image);
        let _ = bench.run(["lock", "made"]).with_code(0);
        let lock = lock(&bench);
        let is_docker = *image == two;
        assert_eq!(lock["manifest"]["sha256"].as_str() == Some(&manifest.to_string()), !is_docker, "{image}");
        trees.push(lock["tree"].clone());
    }
    assert!(trees.iter().all(|tree| *tree == trees[0]), "{trees:?}");
    // The registry is not asked any more.
    drop(registry);
    let _ = bench.run(["build", "made", "--out", "out"]).with_code(0);
    fs::remove_file(bench.path("work/made/reprove.lock")).unwrap();
    let ran = bench.run(["build", "made", "--out", "again"]).with_code(4);
    assert!(ran.stderr.contains("asking a registry with skopeo failed"), "{}", ran.stderr);
    let mut command = bench.command(["build", "made", "--out", "again"]);
    command.env("REPROVE_SKOPEO", "/nonexistent/skopeo");
    let ran = reprove_tests::Running::start(command).wait(std::time::Duration::from_secs(60)).with_code(4);
    assert!(ran.stderr.contains("apt install skopeo"), "{}", ran.stderr);
}

#[test]
fn what_is_no_environment_is_said() {
    let bench = Bench::new();
    layouts::write(&bench.path("work/base"), "1", &[vec![("opt/x".into(), Entry::Text("x".into()))]]);
    for (image, code, said) in [
        ("oci:../base:1", 4, "has no /bin/sh"),
        ("oci:../base:2", 2, "there is no image oci:../base:2 there; there are 1"),
        ("oci:../none", 2, "none is not there; a recipe's paths are relative to its own directory"),
        ("oci-archive:../none.tar", 4, "none.tar"),
        ("base", 2, "names no image"),
    ] {
        project(&bench, image);
        let ran = bench.run(["build", "made", "--out", "out"]).with_code(code);
        assert!(ran.stderr.contains(said), "{image}: {}", ran.stderr);
    }
}

#[test]
fn an_environment_is_written_as_the_same_image_each_time() {
    let bench = Bench::new();
    layouts::write(&bench.path("work/base"), "1", &layers());
    project(&bench, "oci:../base:1");
    let export = |to: &str, more: &[&str]| {
        let ran = bench.run([&["image", "export", "made", "--json", "-o", to], more].concat()).with_code(0);
        ran.json()["manifest"].as_str().unwrap().to_owned()
    };
    let one = export("oci:one:1", &[]);
    // Another store, in which the image is unpacked anew.
    fs::remove_dir_all(bench.path("store")).unwrap();
    assert_eq!(export("oci-archive:two.tar:1", &[]), one);
    for (name, kind) in [("zstd", "tar+zstd"), ("none", "tar")] {
        let to = format!("oci:{name}:1");
        let manifest = export(&to, &["--compression", name]);
        assert!(manifest != one && manifest == export(&format!("oci:{name}-again:1"), &["--compression", name]));
        let raw: Value = serde_json::from_str(&skopeo(&bench, &["inspect", "--raw", &to])).unwrap();
        assert_eq!(raw["layers"][0]["mediaType"], format!("application/vnd.oci.image.layer.v1.{kind}"));
    }
    for image in ["oci:one:1", "oci-archive:two.tar:1"] {
        let said: Value = serde_json::from_str(&skopeo(&bench, &["inspect", image])).unwrap();
        assert_eq!((&said["Digest"], &said["Created"]), (&one.clone().into(), &"2020-01-01T00:00:00Z".into()));
    }
    skopeo(&bench, &["copy", "--quiet", "oci:one:1", "dir:copied"]);
    // What was written is the same environment.
    let tree = bench.run(["image", "import", "oci:base:1", "--json"]).with_code(0).json()["tree"].clone();
    for image in ["oci:one:1", "oci-archive:two.tar:1", "oci:zstd:1", "oci:none:1"] {
        assert_eq!(bench.run(["image", "import", image, "--json"]).with_code(0).json()["tree"], tree, "{image}");
    }
    let ran = bench.run(["image", "export", "made", "-o", "oci:one:1"]).with_code(2);
    assert!(ran.stderr.contains("not there yet"), "{}", ran.stderr);
    bench.project("host", &["true"], "");
    let ran = bench.run(["image", "export", "host", "-o", "oci:host"]).with_code(4);
    assert!(ran.stderr.contains("this machine's /usr, which is not written as an image"), "{}", ran.stderr);
    let ran = bench.run(["image", "export", "made", "-o", "docker://127.0.0.1:1/x"]).with_code(2);
    assert!(ran.stderr.contains("skopeo copies"), "{}", ran.stderr);
}

/// A proof of a build, and another one.
fn proofs(bench: &Bench) {
    layouts::write(&bench.path("work/base"), "1", &layers());
    project(bench, "oci:../base:1");
    for name in ["one.proof.json", "two.proof.json"] {
        let _ = bench.run(["check", "made", "-o", name]).with_code(0);
    }
}

/// Pushes both proofs, one of them twice, and pulls them again; gives how they were found.
fn pushed_and_pulled(bench: &Bench, image: &str) -> Value {
    let push = |proof: &str| bench.run(["proof", "push", proof, image, "--json"]).with_code(0).json();
    let one = push("one.proof.json");
    let _ = fs::remove_file(bench.path("work/pulled.proof.json"));
    let _ = bench.run(["proof", "pull", image, "-o", "pulled.proof.json"]).with_code(0);
    let key = bench.public_key();
    let _ = bench.run(["audit", "pulled.proof.json", "--key", key.to_str().unwrap()]).with_code(0);
    let _ = push("two.proof.json");
    assert_eq!(push("one.proof.json"), one, "the same proof is the same artifact");
    let pulled = bench.run(["proof", "pull", image, "-o", "pulled.proof.json", "--json"]).with_code(0).json();
    assert_eq!(pulled["artifacts"].as_array().unwrap().len(), 2, "{pulled}");
    assert!(pulled["artifacts"].as_array().unwrap().contains(&one["artifact"]) && pulled["subject"] == one["subject"]);
    let _ = bench.run(["proof", "merge", "one.proof.json", "two.proof.json", "-o", "both.proof.json"]).with_code(0);
    let read = |name: &str| {
        let proof: Value = serde_json::from_slice(&fs::read(bench.path("work").join(name)).unwrap()).unwrap();
        let mut envelopes: Vec<String> = proof["envelopes"].as_array().unwrap().iter().map(Value::to_string).collect();
        envelopes.sort();
        envelopes
    };
    assert_eq!(read("pulled.proof.json"), read("both.proof.json"));
    assert_eq!(pulled["way"], one["way"]);
    pulled["way"].clone()
}

#[test]
fn proofs_are_attached_to_images_and_found_again() {
    let bench = Bench::new();
    proofs(&bench);
    assert_eq!(pushed_and_pulled(&bench, "oci:base:1"), "layout");
    // It is still a layout of one image.
    skopeo(&bench, &["copy", "--quiet", "oci:base:1", "dir:copied"]);
    let _ = bench.run(["image", "import", "oci:base"]).with_code(0);
    let ran = bench.run(["proof", "push", "one.proof.json", "oci-archive:x.tar"]).with_code(2);
    assert!(ran.stderr.contains("is an archive"), "{}", ran.stderr);
    // Debian's registry has no list of them, and gets an index under a tag.
    let registry = Registry::start(&bench.path("registry"));
    let at = format!("docker://{}/some/base:1", registry.host);
    let copy = ["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", "oci:base:1", &at];
    skopeo(&bench, &copy);
    let none = bench.run(["proof", "pull", &at, "-o", "none.proof.json"]).with_code(2);
    assert!(none.stderr.contains("no proof is attached"), "{}", none.stderr);
    assert_eq!(pushed_and_pulled(&bench, &at), "referrers-tag");
    let of = skopeo(&bench, &["inspect", "--raw", "oci:base:1"]);
    let tag = format!("docker://{}/some/base:sha256-{}", registry.host, reprove_model::Sha256::of(of.as_bytes()));
    let index: Value =
        serde_json::from_str(&skopeo(&bench, &["inspect", "--raw", "--tls-verify=false", &tag])).unwrap();
    assert_eq!(index["manifests"][0]["artifactType"], "application/vnd.reprove.proof.v1+json");
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
}

/// By a small server that follows the specification: no registry that can be installed here lists referrers.
#[test]
fn proofs_are_found_by_the_list_of_a_registry_that_has_one() {
    let bench = Bench::new();
    proofs(&bench);
    let registry = ListingRegistry::start(&bench.path("work/base"));
    let at = format!("docker://{}/some/base:1", registry.host);
    assert_eq!(pushed_and_pulled(&bench, &at), "referrers-api");
    let asked = registry.asked();
    assert!(asked.iter().any(|one| one.starts_with("GET /token?")), "{asked:?}");
    assert!(asked.iter().any(|one| one.ends_with("&n=1")), "the list has a second part: {asked:?}");
    assert!(!asked.iter().any(|one| one.contains("/manifests/sha256-")), "no tag was needed: {asked:?}");
}

/// What was published is an archive of a layout, and is told from another one layer by layer.
#[test]
fn an_image_is_rebuilt_from_its_project() {
    let bench = Bench::new();
    let _ = bench.example("image-python");
    let long = std::time::Duration::from_secs(900);
    let run = |arguments: &[&str]| reprove_tests::Running::start(bench.command(arguments)).wait(long);
    let _ = run(&["build", "image-python", "--out", "published"]).with_code(0);
    let rebuild = ["rebuild", "published/outputs/image.tar", "--recipe", "image-python", "--json"];
    let same = run(&rebuild).with_code(0).json();
    assert_eq!(
        (&same["verdict"]["outcome"], &same["verdict"]["matchesPublished"]),
        (&"reproducible".into(), &true.into())
    );
    let _ = bench.run(["image", "import", "oci-archive:published/outputs/image.tar"]).with_code(0);
    bench.write("image-python/index.html", "another page\n");
    let other = run(&rebuild).with_code(1).json();
    let places: Vec<&str> =
        other["verdict"]["findings"].as_array().unwrap().iter().filter_map(|f| f["place"].as_str()).collect();
    let is_of = |what: &str| places.iter().any(|place| place.contains(what));
    assert!(is_of("layer 2 of 1.0") && !is_of("layer 1 of 1.0"), "{places:?}");
}

/// An image is its manifest, which names all else by digest.
#[test]
fn an_image_of_a_registry_is_rebuilt_by_its_manifest() {
    let bench = Bench::new();
    let _ = bench.example("image-tar");
    let long = std::time::Duration::from_secs(900);
    let run = |arguments: &[&str]| reprove_tests::Running::start(bench.command(arguments)).wait(long);
    let _ = run(&["build", "image-tar", "--out", "made"]).with_code(0);
    let registry = Registry::start(&bench.path("registry"));
    let at = format!("docker://{}/some/web:1", registry.host);
    skopeo(
        &bench,
        &["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false", "oci:made/outputs/image", &at],
    );
    let rebuild = |image: &str| run(&["rebuild", image, "--recipe", "image-tar", "-o", "web.proof.json", "--json"]);
    for image in [at.as_str(), "oci:made/outputs/image"] {
        let same = rebuild(image).with_code(0).json();
        assert_eq!(same["verdict"]["matchesPublished"], true, "{image}");
        fs::rename(bench.path("work/web.proof.json"), bench.path("work/one.proof.json")).unwrap();
    }
    // The proof is about the image, and is found at it.
    let pushed = bench.run(["proof", "push", "one.proof.json", &at, "--json"]).with_code(0).json();
    let proof = bench.run(["proof", "show", "one.proof.json", "--json"]).with_code(0).stdout;
    let digest = pushed["subject"].as_str().unwrap().trim_start_matches("sha256:");
    assert!(proof.contains(digest) && proof.contains(&format!("@sha256:{digest}")), "{proof}");
    // And about its layer.
    let manifest: Value =
        serde_json::from_slice(&fs::read(bench.path("work/made/outputs/manifest.json")).unwrap()).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().replace(':', "/");
    let (key, layer) = (bench.public_key(), format!("made/outputs/image/blobs/{layer}"));
    let audit = |proof: &str, of: &str| bench.run(["audit", proof, of, "--key", key.to_str().unwrap()]);
    let _ = audit("one.proof.json", &layer).with_code(0);
    bench.write("image-tar/index.html", "another page\n");
    let other = rebuild(&at).with_code(1).json();
    assert_eq!(other["verdict"]["matchesPublished"], false);
    let findings = other["verdict"]["findings"].as_array().unwrap();
    let in_layer = |finding: &&Value| {
        let place = finding["place"].as_str().unwrap();
        place.starts_with("blobs: layer 1 of the image (sha256:") && place.ends_with("!www/index.html")
    };
    assert!(findings.iter().any(|finding| in_layer(&finding)), "{findings:?}");
    let _ = audit("web.proof.json", &layer).with_code(1);
    let _ = bench.example("image-python");
    let ran = bench.run(["rebuild", &at, "--recipe", "image-python"]).with_code(2);
    assert!(ran.stderr.contains("manifest.json"), "{}", ran.stderr);
}

/// Three ways to make one: by umoci, by a script, by tar; and one that keeps the times of files.
#[test]
fn images_that_are_made_of_packages_come_out_the_same() {
    let bench = Bench::new();
    let long = std::time::Duration::from_secs(900);
    for (name, causes) in
        [("image-umoci", None), ("image-python", None), ("image-tar", None), ("image-tar-dated", Some("clock"))]
    {
        let _ = bench.example(name);
        let ran = reprove_tests::Running::start(bench.command(["check", name, "--json"])).wait(long);
        let said = ran.with_code(causes.map_or(0, |_| 1)).json();
        let findings = said["verdict"]["findings"].as_array().unwrap();
        let found: std::collections::BTreeSet<&str> = findings
            .iter()
            .flat_map(|finding| finding["causes"].as_array().into_iter().flatten())
            .filter_map(|cause| cause["variation"].as_str())
            .collect();
        assert_eq!(found, causes.into_iter().collect(), "{name}");
    }
}
