// SPDX-License-Identifier: Apache-2.0
//! Packages of Debian's, as apt prints them and as they are locked; what cargo writes about crates; actions of Bazel's;
//! derivations of Nix's.

use super::{Corpus, File};

pub(super) fn all() -> Vec<Corpus> {
    vec![apt_packages(), bazel_actions(), cargo_manifests(), crate_digests(), derivations(), package_locks()]
}

fn text(name: &'static str, text: impl Into<String>) -> File {
    (name, text.into().into_bytes())
}

fn apt_packages() -> Corpus {
    let line = |file: &str| format!("'x://mirror.example/pool/x.deb' {file} 5144 SHA256:{}\n", "a1".repeat(32));
    let files = vec![
        text("one", line("ucf_3.0043+nmu1_all.deb")),
        text("epoch", line("gcc_4%3a12.2.0-3_amd64.deb")),
        text("several", format!("Reading...\n{}{}", line("a1_1_all.deb"), line("libc6_2.36-9+deb12u14_amd64.deb"))),
        text("refused-none", "Reading package lists...\n"),
        text("refused-no-end", line("gcc_12_amd64")),
        text("refused-two-parts", line("gcc_amd64.deb")),
        text("refused-four-parts", line("gcc_12_amd64_x.deb")),
        text("refused-path", line("../gcc_12_amd64.deb")),
        text("refused-version", line("gcc_v12_amd64.deb")),
        text("refused-other-digest", line("gcc_12_amd64.deb").replace("SHA256", "MD5Sum")),
        text("refused-size", line("gcc_12_amd64.deb").replace("5144", "-1")),
        text("refused-control", line("gcc_12_\u{1b}[2Jamd64.deb")),
    ];
    ("apt_packages", files)
}

fn crate_digests() -> Corpus {
    let (hex, other) = ("ab".repeat(32), "cd".repeat(32));
    let package = |version: &str, more: &str| {
        let source = "registry+https://index.example";
        format!("\n[[package]]\nname = \"demo\"\nversion = \"{version}\"\nsource = \"{source}\"\n{more}")
    };
    let one = package("1.0.0", &format!("checksum = \"{hex}\"\n"));
    let files = vec![
        text("one", format!("version = 4\n{one}")),
        text("two", format!("version = 4\n{}{one}", package("0.9.0", &format!("checksum = \"{other}\"\n")))),
        text("no-version", one.clone()),
        text("other-version", package("1.0.1", &format!("checksum = \"{hex}\"\n"))),
        text("first-form", format!("{}\n[metadata]\n\"checksum demo 1.0.0\" = \"{hex}\"\n", package("1.0.0", ""))),
        text("no-packages", "version = 4\npackage = 1\n"),
        text("refused-digest", one.replace(&hex, "ab")),
        text("refused-twice", format!("{one}checksum = \"{other}\"\n")),
        text("refused-end", format!("{one}[[package]\n")),
    ];
    ("crate_digest", files)
}

fn cargo_manifests() -> Corpus {
    let targets = "autolib = false\nautobins = false\nautoexamples = false\n";
    let package = |more: &str| format!("[package]\nedition = \"2021\"\nname = \"demo\"\n{more}");
    let files = vec![
        text("names-targets", package(targets)),
        text("names-none", package("description = \"autobins = false\"\n")),
        text("elsewhere", package(&format!("[package.metadata]\n{targets}"))),
        text("dotted", "package.name = \"demo\"\npackage.autobins = true\n"),
        text("no-package", targets),
        text("not-a-table", "package = 1\n"),
        text("refused-twice", package(&format!("{targets}autobins = true\n"))),
        text("refused-end", package(&format!("{targets}["))),
    ];
    ("cargo_manifest", files)
}

fn bazel_actions() -> Corpus {
    let old = r#"{"artifacts":[{"id":"0","execPath":"in.txt"},{"id":"1","execPath":"bazel-out/bin/a.txt"}],
        "actions":[{"mnemonic":"Genrule","arguments":["/bin/bash","-c","sort in.txt"],
        "environmentVariables":[{"key":"PATH","value":"/bin"}],"inputDepSetIds":["0"],"outputIds":["1"]}],
        "depSetOfFiles":[{"id":"0","directArtifactIds":["0"]}]}"#;
    let new = r#"{"artifacts":[{"id":1,"pathFragmentId":1},{"id":2,"pathFragmentId":3}],
        "actions":[{"mnemonic":"Genrule","arguments":["/bin/bash"],"inputDepSetIds":[1],"outputIds":[2]}],
        "depSetOfFiles":[{"id":1,"directArtifactIds":[1],"transitiveDepSetIds":[1]}],
        "pathFragments":[{"id":1,"label":"in.txt"},{"id":2,"label":"bazel-out"},{"id":3,"label":"a","parentId":2}]}"#;
    let files = vec![
        text("old", old),
        text("new", new),
        text("quotes", old.replace("sort in.txt", "echo 'a' $(b)")),
        text("refused-none", "{}"),
        text("refused-cut", &old[..90]),
        text("refused-two", new.replace("\"actions\":[", "\"actions\":[{\"mnemonic\":\"\\u001b[2J\"},")),
        text("refused-path", old.replace("bin/a.txt", "../a.txt")),
        text("refused-name", old.replace("a.txt", "a b")),
        text("refused-variable", old.replace("\"PATH\"", "\"PA\\u001bTH\"")),
        text("refused-loop", new.replace("\"parentId\":2", "\"parentId\":3")),
        text("refused-set", new.replace("\"inputDepSetIds\":[1]", "\"inputDepSetIds\":[9]")),
        text("refused-type", new.replace("[\"/bin/bash\"]", "\"\\u001b\"")),
    ];
    ("bazel_action", files)
}

fn derivations() -> Corpus {
    let path = |name: &str| format!("/nix/store/{}-{name}", "0".repeat(32));
    let derivation = |outputs: &str, env: &str| {
        format!(
            "Derive([{outputs}],[(\"{}\",[\"out\"])],[\"{}\"],\"x86_64-linux\",\"{}\",[\"-c\",\"echo \\\"x\\\"\\n\"],[{env}])",
            path("b.drv"),
            path("c"),
            path("sh")
        )
    };
    let out = |name: &str, path: &str, hash: &str| {
        format!("(\"{name}\",\"{path}\",\"{}\",\"{hash}\")", if hash.is_empty() { "" } else { "sha256" })
    };
    let one = out("out", &path("a"), "");
    let good = derivation(&one, "(\"name\",\"a\")");
    let two = format!("{},{}", out("dev", &path("a-dev"), ""), one);
    let files = vec![
        text("one", good.clone()),
        text(
            "two",
            derivation(&two, "(\"PATH\",\"\"),(\"a-b\",\"/1rz4g4znpzjwh1xymhjpm42vipw92pr73vdgl6xs1hycac8kf2n9\")"),
        ),
        text("file", derivation(&one, "(\"passAsFile\",\"x y\"),(\"x\",\"long\")")),
        text("epoch", derivation(&one, "(\"SOURCE_DATE_EPOCH\",\"1\")")),
        text("fixed", derivation(&out("out", &path("a"), &"ab".repeat(32)), "")),
        text("refused-epoch", derivation(&one, "(\"SOURCE_DATE_EPOCH\",\"now\")")),
        text("refused-variable", derivation(&one, "(\"a=b\",\"\")")),
        text("refused-attributes", derivation(&one, "(\"__json\",\"{}\")")),
        text("refused-twice", derivation(&format!("{one},{one}"), "")),
        text("refused-output", derivation(&out("out", "/x", ""), "")),
        text("refused-unknown-output", derivation(&out("out", "", ""), "")),
        text("refused-none", derivation("", "")),
        text("refused-builtin", good.replace(&path("sh"), "builtin:fetchurl")),
        text("refused-system", good.replace("x86_64", "\u{1b}[2J")),
        text("refused-escape", good.replace("\\n", "\\q")),
        text("refused-cut", good[..good.len() - 1].to_owned()),
    ];
    ("derivation", files)
}

fn package_locks() -> Corpus {
    let (hex, other) = ("ab".repeat(32), "cd".repeat(32));
    let package = |name: &str, version: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\narchitecture = \"amd64\"\nsize = 7\n\
             blake3 = \"{hex}\"\nsha256 = \"{other}\"\n"
        )
    };
    let lock = |packages: &str| {
        format!(
            "version = 1\narchitecture = \"amd64\"\n\n[tree]\nblake3 = \"{hex}\"\nsha256 = \"{other}\"\n\n\
             [environment]\ndebian = \"bookworm\"\npackages = [\"gcc\"]\n\n{packages}"
        )
    };
    let two = lock(&(package("base-files", "12.4+deb12u1") + &package("gcc", "4:12.2.0-3")));
    let blob = format!("media-type = \"a/blob\"\nsize = 7\nblake3 = \"{hex}\"\nsha256 = \"{other}\"\n");
    let image = format!(
        "version = 1\n[tree]\nblake3 = \"{hex}\"\nsha256 = \"{other}\"\n[environment]\nimage = \"oci:base\"\n\
         [platform]\nos = \"linux\"\narchitecture = \"amd64\"\n[manifest]\n{blob}[config]\n{blob}\
         [[layer]]\nmedia-type = \"a/layer\"\nsize = 7\nblake3 = \"{other}\"\nsha256 = \"{hex}\"\ndiff-id = \"{hex}\"\n"
    );
    let files = vec![
        text("two", two.clone()),
        text("comment", format!("# written by hand\n{two}")),
        text("nothing-named", two.replace("[\"gcc\"]", "[]")),
        text("refused-version", two.replace("version = 1\n", "version = 2\n")),
        text("refused-architecture", two.replacen("\"amd64\"", "\"AMD\"", 1)),
        text("refused-none", lock("package = []\n")),
        text("refused-name", two.replace("\"base-files\"", "\"../x\"")),
        text("refused-order", lock(&(package("gcc", "1") + &package("base-files", "1")))),
        text("refused-twice", lock(&(package("gcc", "1") + &package("gcc", "2")))),
        text("refused-release", two.replace("\"bookworm\"", "\"../bookworm\"")),
        text("refused-size", two.replace("size = 7", "size = -7")),
        text("refused-digest", two.replace(&hex, "ab")),
        text("refused-field", two.replace("size = 7", "sizes = 7")),
        text("image", image.clone()),
        text("image-of-an-index", image.replace("[manifest]", &format!("[index]\n{blob}\n[manifest]"))),
        text("refused-image", image.replace("oci:base", "base")),
        text("refused-image-digest", image.replace("oci:base", &format!("oci:base@sha256:{hex}"))),
        text("refused-image-type", image.replace("a/layer", "a layer")),
        text("refused-no-layer", image.replace("[[layer]]", "[[layers]]")),
    ];
    ("package_lock", files)
}
