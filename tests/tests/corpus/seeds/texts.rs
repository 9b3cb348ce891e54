// SPDX-License-Identifier: Apache-2.0
//! Recipes, and the texts that name things.

use reprove_attest::SigningKey;
use reprove_attest::log::{AddCheckpoint, Checkpoint, LogProof, Note, RecordedSubject, merkle};
use reprove_model::{Digest, Recipe, Sha256};

use super::{Corpus, text};

pub(crate) fn all() -> Vec<Corpus> {
    vec![
        recipes(),
        trusts(),
        policies(),
        regos(),
        log_proofs(),
        add_checkpoints(),
        recordeds(),
        timestamps(),
        authorities(),
        key_uris(),
        paths(),
        names(),
        purls(),
        pyprojects(),
        first_recipes(),
        requirements(),
        reports(),
        releases(),
        npm_views(),
        git_lists(),
        trees(),
    ]
}

const RECIPE: &str = "[package]\nname = \"hello\"\nversion = \"1.0\"\n\n[source]\ndirectory = \".\"\n\n[build]\n\
    steps = [\"make\", \"make install\"]\nsource-date-epoch = { at = 315532800 }\n\n[build.env]\nLC_ALL = \"C\"\n\n\
    [outputs]\npaths = [\"hello\", \"share/doc\"]\n\n[limits]\nseconds = 60\nmemory-mib = 512\n";

fn recipes() -> Corpus {
    let short = |source: &str, build: &str, outputs: &str| {
        format!("package = {{ name = 'x' }}\nsource = {source}\nbuild = {build}\noutputs = {outputs}\n")
    };
    let of = |build: &str| short("{ directory = 'src' }", build, "{ directory = 'dist' }");
    let bad_env = |env: &str| of(&format!("{{ steps = ['x'], env = {env} }}"));
    let files = vec![
        text("full", RECIPE),
        text("package", short("{ package = 'pkg:pypi/idna@3.20' }", "{ steps = ['make'] }", "{ directory = 'dist' }")),
        text("search", of("{ steps = ['make'], source-date-epoch = 'search' }")),
        text("unset", of("{ steps = ['make'], source-date-epoch = 'unset' }")),
        text("many-lines", of("{ steps = ['''\nmkdir a\necho \"$PWD\" > a/b\n'''] }")),
        text("environment", format!("environment = 'host-usr'\n{}", of("{ steps = ['make'] }"))),
        text("set-id", short("{ directory = 'src' }", "{ steps = ['make'] }", "{ paths = ['su'], set-id = true }")),
        text("refused-no-steps", of("{ steps = [] }")),
        text("refused-empty-step", of("{ steps = [' '] }")),
        text("refused-nul", of("{ steps = [\"\\u0000\"] }")),
        text("refused-env-name", bad_env("{ '1A' = '' }")),
        text("refused-env-epoch", bad_env("{ SOURCE_DATE_EPOCH = '1' }")),
        text("refused-env-nul", bad_env("{ A = \"\\u0000\" }")),
        text("refused-epoch", of("{ steps = ['x'], source-date-epoch = { at = 253402300800 } }")),
        text("refused-negative-epoch", of("{ steps = ['x'], source-date-epoch = { at = -1 } }")),
        text("refused-outside", short("{ directory = '../x' }", "{ steps = ['x'] }", "{ directory = 'dist' }")),
        text("refused-output", short("{ directory = '.' }", "{ steps = ['x'] }", "{ paths = ['/etc'] }")),
        text("refused-no-output", short("{ directory = '.' }", "{ steps = ['x'] }", "{ }")),
        text(
            "refused-two-outputs",
            short("{ directory = '.' }", "{ steps = ['x'] }", "{ directory = 'a', paths = ['b'] }"),
        ),
        text(
            "refused-two-sources",
            short("{ directory = '.', package = 'pkg:pypi/a@1' }", "{ steps = ['x'] }", "{ paths = ['b'] }"),
        ),
        text("refused-purl", short("{ package = 'idna' }", "{ steps = ['x'] }", "{ paths = ['b'] }")),
        text("refused-name", RECIPE.replace("hello\"\nversion", "../hello\"\nversion")),
        text("refused-limit", RECIPE.replace("seconds = 60", "seconds = 0")),
        text("refused-unknown", RECIPE.replace("steps", "step")),
        text("refused-no-toml", "[package\n"),
        ("refused-no-text", b"name = '\xff'".to_vec()),
    ];
    Recipe::from_toml(RECIPE).unwrap();
    ("recipe", files)
}

fn trusts() -> Corpus {
    let entry = |seed: u8, more: &str| {
        let pem = SigningKey::ed25519([seed; 32]).public_key().to_spki_pem().unwrap();
        format!("[[key]]\npublic = \"\"\"\n{pem}\"\"\"\noperator = \"one\"\nplatform = \"farm\"\n{more}\n")
    };
    let times = "valid-from = \"2026-01-01T00:00:00Z\"\nvalid-until = \"2027-01-01T00:00:00Z\"\n\
                 revoked = \"2026-06-01T00:00:00Z\"\nrevoked-because = \"stolen\"";
    let files = vec![
        text("one", entry(1, "")),
        text("two", entry(1, "") + &entry(2, times)),
        text("refused-twice", entry(1, "") + &entry(1, "")),
        text("refused-nobody", ""),
        text("refused-unknown", entry(1, "color = 1")),
        text("refused-key", entry(1, "").replace("MCow", "MCox")),
        text("refused-operator", entry(1, "").replace("\"one\"", "\"\"")),
        text("refused-never", entry(1, &times.replace("2027", "2025"))),
        text("refused-time", entry(1, "valid-from = \"yesterday\"")),
    ];
    ("trust", files)
}

fn policies() -> Corpus {
    let all = "rebuilders = 2\ndistinct = [\"operator\", \"platform\"]\nisolations = 2\n\
               minimum-isolation = \"strong\"\nmax-age-days = 30\npublished = true\nveto = false\n";
    let files = vec![
        text("empty", ""),
        text("all", all),
        text("refused-none", "rebuilders = 0"),
        text("refused-many", "isolations = 65"),
        text("refused-distinct", "distinct = []"),
        text("refused-unknown", "rebuilder = 2"),
        text("refused-level", "minimum-isolation = \"weak\""),
    ];
    ("policy", files)
}

fn regos() -> Corpus {
    let rules = |rules: &str| format!("package reprove\n\n{rules}\n");
    let of = |body: &str| rules(&format!("default allow := false\n\nallow if {{\n\t{body}\n}}"));
    let files = vec![
        text("operators", include_str!("../../../../examples/policies/operators.rego")),
        text("recent", include_str!("../../../../examples/policies/recent.rego")),
        text("inputs", include_str!("../../../../examples/policies/inputs.rego")),
        text("walk", of("walk(input, [path, value])\n\tpath[_] == value")),
        text("with", of("allow with input as {\"a\": [1.5e3, `raw`, null]}")),
        text("else", rules("allow := true if input.x else := false if not input.y")),
        text("refused-package", "package other\nallow := true\n"),
        text("refused-no-allow", rules("deny contains \"x\" if true")),
        text("refused-old", rules("allow { input.x }")),
        text("refused-unbound", of("x > 1")),
        text("deep", of(&format!("{}1{}", "[".repeat(8), "]".repeat(8)))),
        text("refused-deep", of(&format!("{}1{}", "[".repeat(13), "]".repeat(13)))),
        text("refused-parentheses", of(&format!("{}1{}", "(".repeat(40), ")".repeat(40)))),
        text("refused-long-line", rules(&format!("allow := true # {}", "x".repeat(1_024)))),
        text("refused-cut", rules("allow if {")),
        text("refused-controls", rules("allow := \u{1b}[31m")),
    ];
    ("rego", files)
}

fn log_proofs() -> Corpus {
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 2, root: merkle::leaf_hash(b"root") };
    let mut note = Note::new(&checkpoint.to_string()).unwrap();
    note.sign("log.example", &SigningKey::ed25519([1; 32])).unwrap();
    note.cosign("witness.example", &SigningKey::ed25519([2; 32]), 1_700_000_000).unwrap();
    let good = LogProof { index: 1, hashes: vec![merkle::leaf_hash(b"0")], checkpoint: note }.to_string();
    let files = vec![
        text("good", &*good),
        text("extra", good.replacen("index", "extra AAAA\nindex", 1)),
        text("extension", good.replacen("\n\n\u{2014}", "\nmore\n\n\u{2014}", 1)),
        text("refused-header", good.replace("@v1", "@v2")),
        text("refused-index", good.replace("index 1", "index 01")),
        text("refused-hash", good.replacen("=\n\n", "\n\n", 1)),
        text("refused-unsigned", good.split_once("\u{2014}").unwrap().0),
        text("refused-name", good.replace("\u{2014} log.example", "\u{2014} log+example")),
        text("refused-cut", good.trim_end()),
        text("refused-long", "x".repeat(131_073)),
    ];
    ("log_proof", files)
}

fn add_checkpoints() -> Corpus {
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 2, root: merkle::leaf_hash(b"root") };
    let mut note = Note::new(&checkpoint.to_string()).unwrap();
    note.sign("log.example", &SigningKey::ed25519([1; 32])).unwrap();
    let good = AddCheckpoint { old: 1, proof: vec![merkle::leaf_hash(b"0")], note }.to_string();
    let files = vec![
        text("good", &*good),
        text("from-nothing", good.replacen("old 1", "old 0", 1)),
        text("refused-old", good.replacen("old 1", "old 01", 1)),
        text("refused-hash", good.replacen("=\n\n", "\n\n", 1)),
        text("refused-no-note", good.split_once("\n\n").unwrap().0),
        text("refused-long", "x".repeat(16_385)),
    ];
    ("add_checkpoint", files)
}

fn recordeds() -> Corpus {
    let checkpoint = Checkpoint { origin: "log.example".into(), size: 2, root: merkle::leaf_hash(b"root") };
    let leaves = [merkle::leaf_hash(b"0"), merkle::leaf_hash(b"1")];
    let word = RecordedSubject::sign(&checkpoint, Sha256::of(b"x"), &leaves, 1, &SigningKey::ed25519([1; 32])).unwrap();
    let good = format!("{}--\n{}", word.note, word.entries.join("\n"));
    let files = vec![
        text("good", &*good),
        text("refused-header", good.replace("recorded/v1", "recorded/v2")),
        text("refused-count", good.replacen("\n2\n", "\n3\n", 1)),
        text("refused-left-out", good.rsplit_once('\n').unwrap().0),
        text("refused-checkpoint", format!("{checkpoint}\n\u{2014} log.example AAAA\n")),
    ];
    ("recorded", files)
}

/// An answer of OpenSSL's authority to the question of the property, and what is like it.
fn timestamps() -> Corpus {
    let good = include_bytes!("timestamp/answer.tsr");
    let changed = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        bytes
    };
    let files = vec![
        ("good", good.to_vec()),
        ("refused-signature", changed(good.len() - 8)),
        ("refused-status", changed(8)),
        ("refused-cut", good[..good.len() / 2].to_vec()),
        ("refused-more", [good.as_slice(), b"\0"].concat()),
        text("refused-text", "<html>not found</html>"),
        text("refused-empty", ""),
    ];
    ("timestamp", files)
}

fn authorities() -> Corpus {
    let good = include_str!("../../../src/properties/authority.pem");
    let (leaf, root) = good.split_at(good.len() / 2);
    let files = vec![
        text("good", good),
        text("other-text-between", good.replace("-----BEGIN", "hello\n-----BEGIN")),
        text("refused-cut", leaf),
        text("refused-other-end", root),
        text("refused-label", good.replace("CERTIFICATE", "PRIVATE KEY")),
        text("refused-many", good.repeat(5)),
        text("refused-base64", good.replacen("MII", "M!I", 1)),
    ];
    ("authority", files)
}

fn key_uris() -> Corpus {
    let files = vec![
        text("least", "pkcs11:object=k"),
        text(
            "all",
            "pkcs11:token=The%20Software;manufacturer=Snake%20Oil,%20Inc.;model=1.0;serial=0A;slot-id=327;object=caf%C3%A9;\
             id=%00%ff%A1a;type=private?module-path=/usr/lib/a.so&pin-source=file:/run/pin",
        ),
        text("pin-file", "pkcs11:id=%01?pin-source=file:///run/pin"),
        text("longest", format!("pkcs11:object={}", "a".repeat(4_082))),
        text("refused-long", format!("pkcs11:object={}", "a".repeat(4_083))),
        text("refused-pin", "pkcs11:object=k?pin-value=0123456789012345678901234"),
        text("refused-pin-in-path", "pkcs11:object=k;pin-value=0123456789012345678901234"),
        text("refused-program", "pkcs11:object=k?pin-source=%7Ccat%20pin"),
        text("refused-twice", "pkcs11:object=a;object=b"),
        text("refused-unknown", "pkcs11:object=a;library-version=3"),
        text("refused-relative", "pkcs11:object=a?module-path=softhsm2.so"),
        text("refused-percent", "pkcs11:object=%4%41"),
        text("refused-space", "pkcs11:object=a b"),
        text("refused-no-key", "pkcs11:token=one"),
        text("refused-scheme", "file:/key.pem"),
    ];
    ("key_uri", files)
}

fn paths() -> Corpus {
    let files = vec![
        text("name", "idna-3.20-py3-none-any.whl"),
        text("deep", "usr/share/doc/idna/README"),
        ("bytes", b"caf\xe9/\xff\x01\n".to_vec()),
        text("unicode", "caf\u{e9}/\u{4e2d}\u{6587}/\u{1f980}"),
        text("line-separator", "a\u{2028}b\u{85}c"),
        text("escaped", "a\\\\b/caf\\xe9\\x0a"),
        text("dots", "..a/.b/c./..."),
        text("longest-name", "n".repeat(255)),
        text("longest", format!("{}/{}", "d/".repeat(1_920), "n".repeat(254))),
        text("refused-long-name", "n".repeat(256)),
        text("refused-long", "d/".repeat(2_047) + "ab"),
        text("refused-absolute", "/etc/passwd"),
        text("refused-parent", "a/../b"),
        text("refused-dot", "a/./b"),
        text("refused-empty-name", "a//b"),
        text("refused-slash-at-end", "a/"),
        text("refused-nul", "a\0b"),
        text("refused-empty", ""),
        text("refused-escape", "a\\x41"),
        text("refused-upper-case-escape", "\\xE9"),
        text("refused-sign-in-escape", "\\x+f"),
        text("refused-cut-escape", "a\\x0"),
    ];
    ("path", files)
}

fn names() -> Corpus {
    let files = vec![
        text("digest", Digest::of(b"").to_string()),
        text("keyid", SigningKey::ed25519([1; 32]).public_key().id().to_string()),
        text("input", "idna-3.20+a!b~c_d.tar.gz"),
        text("longest", "n".repeat(255)),
        text("refused-upper-case-digest", Digest::of(b"").to_string().to_uppercase()),
        text("refused-short-digest", &Digest::of(b"").to_string()[1..]),
        text("refused-keyid", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB="),
        text("refused-long", "n".repeat(256)),
        text("refused-dot", ".hidden"),
        text("refused-option", "-rf"),
        text("refused-slash", "a/b"),
        text("refused-empty", ""),
    ];
    ("names", files)
}

fn purls() -> Corpus {
    let files = vec![
        text("pypi", "pkg:pypi/idna@3.20"),
        text("pypi-file", "pkg:pypi/idna@3.20?file_name=idna-3.20.tar.gz"),
        text("npm", "pkg:npm/%40angular/animation@12.3.1"),
        text("deb", "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie"),
        text("golang", "pkg:golang/example.test/x/y@v1.2.3#sub/path"),
        text("oci", "pkg:oci/debian@sha256%3A244fd47e07d10"),
        text("no-version", "pkg:cargo/serde"),
        text("not-normal", "pkg://PyPI/Foo_Bar@1.0"),
        text("encoded", "pkg:generic/a%20b/caf%C3%A9@1%2B2?x=%26"),
        text("to-encode", format!("pkg:generic/{}", "{}".repeat(1_000))),
        text("longest", format!("pkg:generic/{}", "a".repeat(2_036))),
        text("parts", "idna\n3.20\nidna-3.20.tar.gz"),
        text("refused-long", format!("pkg:generic/{}", "a".repeat(2_037))),
        text("refused-no-normal-form", "pkg:i././b"),
        text("refused-parts", "\n\n"),
        text("refused-scheme", "idna@3.20"),
        text("refused-no-name", "pkg:pypi/"),
        text("refused-qualifier", "pkg:pypi/a@1?b"),
        text("refused-subpath", "pkg:pypi/a@1#../b"),
        text("refused-no-utf8", "pkg:pypi/%ff"),
    ];
    ("purl", files)
}

fn pyprojects() -> Corpus {
    let system = |rest: &str| format!("[build-system]\nrequires = []\n{rest}\n");
    let files = vec![
        text(
            "flit",
            "[build-system]\nrequires = [\"flit_core >=3.11,<4\"]\nbuild-backend = \"flit_core.buildapi\"\n\n[project]\nname = \"demo\"\n",
        ),
        text("setuptools", "[build-system]\nrequires = ['setuptools>=61', 'wheel; python_version < \"3.8\"']\n"),
        text("in-tree", system("build-backend = 'backend.main:hooks.wheel'\nbackend-path = ['.', './tools/', 'a b']")),
        text("legacy", "[project]\nname = 'demo'\n"),
        text("empty", ""),
        text("quote", system("backend-path = [\"it's\"]")),
        text("refused-name", system("build-backend = \"__import__('os')\"")),
        text("refused-path", system("backend-path = ['../x']")),
        text("refused-absolute-path", system("backend-path = ['/']")),
        text("refused-path-controls", system("backend-path = [\"a\\nb\"]")),
        text("refused-no-requires", "[build-system]\nbuild-backend = 'a'\n"),
        text("refused-requirement", "[build-system]\nrequires = ['-r x']\n"),
        text("refused-many", format!("[build-system]\nrequires = [{}]\n", "'a',".repeat(201))),
        text("refused-no-toml", "[build-system\n"),
    ];
    ("pyproject", files)
}

fn first_recipes() -> Corpus {
    let files = vec![
        text("autotools", "configure.ac\nAC_INIT([sums], [3])\nLT_INIT\n"),
        text("cmake", "CMakeLists.txt\nproject(sums VERSION 1.2 LANGUAGES C)\n"),
        text("composer", "composer.json\n{\"name\":\"vendor/sums\",\"version\":\"1\"}"),
        text("crate", "Cargo.toml\n[package]\nname = \"sums\"\n[[bin]]\nname = \"../add\"\n"),
        text("csproj", "a.csproj\n<OutputType>Exe</OutputType>"),
        text("go", "go.mod\nmodule example.org/sums\n\ngo 1.22\n"),
        text("make", "Makefile\nall: a a/b a/../c\na: b\n\t$(CXX) -o $@ $<\n"),
        text("meson", "meson.build\nproject('sums', ['c', 'cpp'], version: '1')\n"),
        text("nothing", "README\n"),
        text("npm", "package.json\n{\"name\":\"@a/b\",\"scripts\":{\"build\":\"x\"},\"dependencies\":{\"c\":\"1\"}}"),
        text("pyproject", "pyproject.toml\n[build-system]\nbuild-backend = \"a\\u001bb\"\n"),
    ];
    ("first_recipe", files)
}

fn requirements() -> Corpus {
    let files = vec![
        text("name", "flit_core"),
        text("versions", "setuptools >= 61, != 62.0.*, ~= 63.1"),
        text("parentheses", "wheel (==0.38.4)"),
        text("exact", "a===1!2.0+local-x"),
        text("extras", "coverage[toml, x.y]>=6"),
        text("marker", "tomli>=1; python_version < '3.11' and (os_name == \"nt\" or extra=='x')"),
        text("longest", "a".to_owned() + &" ".repeat(1_023)),
        text("operator-at-the-end", "a; x == "),
        text("refused-long", " ".repeat(1_024) + "a"),
        text("refused-long-once-written", format!("a;{}", "(".repeat(1_000))),
        text("refused-url", "a @ file:///etc/passwd"),
        text("refused-option", "-r other.txt"),
        text("refused-path", "./a"),
        text("refused-bracket", "a[b"),
        text("refused-extra", "a[-]"),
        text("refused-version", "a>=$(x)"),
        text("refused-operator", "a=1"),
        text("refused-marker", "a; x == '${HOME}'"),
        text("refused-open-quote", "a; x == 'y"),
        text("refused-empty-marker", "a;"),
        text("refused-two-lines", "a\nb"),
    ];
    ("requirement", files)
}

fn reports() -> Corpus {
    let hash = Digest::of(b"").to_string();
    let item = |name: &str, version: &str, url: &str, hashes: &str| {
        format!(
            r#"{{"metadata":{{"name":"{name}","version":"{version}"}},"download_info":{{"url":"{url}","archive_info":{{"hash":"","hashes":{hashes}}}}}}}"#
        )
    };
    let good = format!(r#"{{"sha256":"{hash}"}}"#);
    let report = |items: &[String]| format!(r#"{{"version":"1","install":[{}]}}"#, items.join(","));
    let url = "file:///w/a-1%2Bx-py3-none-any.whl#sha256=00";
    let one = |name: &str, version: &str, url: &str, hashes: &str| report(&[item(name, version, url, hashes)]);
    let two = [item("a", "1+x", url, &good), item("flit_core", "3.12.0", "file:///f.whl", &good)];
    let files = vec![
        text("two", report(&two)),
        text("none", report(&[])),
        text("refused-name", one("a b", "1", url, &good)),
        text("refused-version", one("a", "1 --pre", url, &good)),
        text("refused-sdist", one("a", "1", "file:///a.tar.gz", &good)),
        text("refused-no-file", one("a", "1", "file:///x/", &good)),
        text("refused-shell", one("a", "1", "file:///x/$(a).whl", &good)),
        text("refused-encoded-slash", one("a", "1", "file:///x/..%2Fa.whl", &good)),
        text("refused-no-hash", one("a", "1", url, "{}")),
        text("refused-hash", one("a", "1", url, r#"{"sha256":"00"}"#)),
        text("refused-shape", r#"{"install":[{}]}"#),
        text("refused-many", report(&vec![item("a", "1", "a.whl", &good); 201])),
        text("refused-no-json", "{"),
    ];
    ("pip_report", files)
}

fn releases() -> Corpus {
    let file = |sha256: &str| format!(r#"{{"name":"demo-1.0.tar.gz","sha256":{sha256},"yanked":false}}"#);
    let found = |sdist: &str| format!(r#"{{"answer":"found","sdist":{sdist},"wheel":{}}}"#, file("null"));
    let files = vec![
        text("found", found(&file(&format!("\"{}\"", Digest::of(b""))))),
        text("no-digest", found(&file("null"))),
        text("no-pip", r#"{"answer":"no-pip"}"#),
        text("old-pip", r#"{"answer":"old-pip","version":"9.0"}"#),
        text("no-package", r#"{"answer":"no-package"}"#),
        text("no-version", r#"{"answer":"no-version","newest":["3","2\u001b[2J"]}"#),
        text("no-sdist", r#"{"answer":"no-sdist","files":["demo-1.0-py3-none-any.whl"]}"#),
        text("no-pure-wheel", r#"{"answer":"no-pure-wheel","wheels":[]}"#),
        text("conflict", r#"{"answer":"conflict","name":"demo\n1.0.tar.gz"}"#),
        text("too-large", r#"{"answer":"too-large","name":"demo-1.0.tar.gz"}"#),
        text("unreachable", r#"{"answer":"unreachable","why":"no\u001b[31m"}"#),
        text("refused-answer", r#"{"answer":"other"}"#),
        text("refused-digest", found(&file("\"00\""))),
        text("refused-controls", r#"{"answer":"no-sdist","\u001b[2J":1}"#),
        text("refused-field", r#"{"answer":"no-sdist","files":[],"more":1}"#),
        text("refused-empty", ""),
    ];
    ("release", files)
}

fn npm_views() -> Corpus {
    let of = |version: &str, integrity: &str| {
        format!(r#"{{"name":"demo","version":"{version}","dist.integrity":"{integrity}"}}"#)
    };
    let sha512 = format!("sha512-{}==", "A".repeat(86));
    let files = vec![
        text("there", of("1.0.0", &sha512)),
        text("several", of("1.0.0", &format!("sha1-AAAA {sha512}"))),
        text("no-digest", r#"{"name":"demo","version":"1.0.0"}"#),
        text("no-version", ""),
        text("refused-other", of("1.0.1", &sha512)),
        text("refused-digest", of("1.0.0", r"sha512-\u001b[2J")),
        text("refused-several", format!("[{}]", of("1.0.0", &sha512))),
        text("refused-shape", r#"{"\u001b[2J":1}"#),
    ];
    ("npm_view", files)
}

fn git_lists() -> Corpus {
    let pair = |list: &str, other: &str| reprove_tests::properties::join(list.as_bytes(), other.as_bytes());
    let list = ".gitignore\0src/main.rs\0src/deep/er/x\0inner/\0new \n\0";
    let files = vec![
        ("file", pair(list, "src/main.rs")),
        ("directory", pair(list, "src/deep")),
        ("work-tree-inside", pair(list, "inner/a/b")),
        ("ignored", pair(list, "target/x")),
        ("begins-alike", pair(list, "src/main")),
        ("empty", pair("", "a")),
        ("odd", pair("\0\0/\0//\0a//b\0../x\0", "a")),
    ];
    ("git_files", files)
}

fn trees() -> Corpus {
    let pair = |left: &str, right: &str| reprove_tests::properties::join(left.as_bytes(), right.as_bytes());
    let files = vec![
        ("equal", pair("a one\nb/c two", "a one\nb/c two")),
        ("content", pair("a one\nb/c two", "a one\nb/c twp")),
        ("mode", pair("a four", "a thre")),
        ("only", pair("a one\nb/c two", "a one\nd/e two")),
        ("type", pair("a one", "a/b one")),
        ("archive", pair("a PK\x03\x04", "a PK\x03\x05")),
        ("odd-names", pair("\u{1b}[2J x\n\u{85} y", "\u{2028} x")),
        ("empty", pair("", "")),
    ];
    ("tree_compare", files)
}
