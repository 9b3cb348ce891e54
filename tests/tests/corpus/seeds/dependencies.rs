// SPDX-License-Identifier: Apache-2.0
//! Lock files of projects, as cargo, npm and pip-compile write them.

use super::{Corpus, File};

pub(super) fn all() -> Vec<Corpus> {
    vec![cargo_locks(), npm_locks(), pip_requirements()]
}

fn text(name: &'static str, text: impl Into<String>) -> File {
    (name, text.into().into_bytes())
}

fn cargo_locks() -> Corpus {
    let package = |name: &str, version: &str, source: &str| {
        format!(
            "[[package]]\nname = \"{name}\"\nversion = \"{version}\"\nsource = \"{source}\"\nchecksum = \"{}\"\n",
            "ab".repeat(32)
        )
    };
    let own = "version = 4\n[[package]]\nname = \"own\"\nversion = \"0.1.0\"\n";
    let one = format!("{own}{}", package("a_b-c", "1.0.0-rc.1+x", "registry+x"));
    let files = vec![
        text("one", one.clone()),
        text("several", format!("{one}{}", package("b", "2.0.0", "registry+x"))),
        text("sparse", one.replace("registry+x", "sparse+x")),
        text("none", own),
        text("refused-git", one.replace("registry+x", "git+x")),
        text("refused-elsewhere", one.replace("registry+x", "\\u001b[2J")),
        text("refused-registries", format!("{one}{}", package("b", "2.0.0", "registry+\\u001b[2J"))),
        text("refused-checksum", one.replace("checksum", "other")),
        text("refused-name", one.replace("a_b-c", "../\\u001b[2J")),
        text("refused-version", one.replace("1.0.0-rc", "1")),
        text("refused-twice", format!("{one}{}", package("a_b-c", "1.0.0-rc.1+x", "registry+x").replace("ab", "cd"))),
        text("refused-shape", "package = \"\\u001b[2J\""),
    ];
    ("cargo_lock", files)
}

fn npm_locks() -> Corpus {
    let sha512 = format!("sha512-{}==", "A".repeat(86));
    let lock = |rest: &str| format!(r#"{{"lockfileVersion":3,"packages":{{"":{{"name":"own"}}{rest}}}}}"#);
    let entry =
        |place: &str, more: &str| lock(&format!(r#","{place}":{{"version":"1.0.0","integrity":"{sha512}"{more}}}"#));
    let files = vec![
        text("one", entry("node_modules/a", "")),
        text("scoped", entry("node_modules/b/node_modules/@a/c", r#","resolved":"https://a.invalid/""#)),
        text("alias", entry("node_modules/b", r#","name":"JSONStream""#)),
        text("left-out", entry("node_modules/b", r#","optional":true,"os":["darwin"],"cpu":["!x64"]"#)),
        text("link", lock(r#","node_modules/a":{"resolved":"a","link":true},"a":{"version":"1.0.0"}"#)),
        text("bundled", lock(r#","node_modules/a":{"version":"1.0.0","inBundle":true}"#)),
        text("refused-version-1", entry("node_modules/a", "").replace(":3", ":1")),
        text("refused-git", entry("node_modules/a", r#","resolved":"git+ssh://x""#)),
        text("refused-file", entry("node_modules/a", r#","resolved":"file:../x""#)),
        text("refused-checksum", entry("node_modules/a", "").replace("sha512", "sha1")),
        text("refused-name", entry(r"node_modules/\u001b[2J", "")),
        text("refused-option", entry("node_modules/--x", "")),
        text("refused-whole-version", entry("node_modules/a", "").replace("1.0.0", "latest")),
        text("refused-shape", r#"{"\u001b[2J":1}"#),
    ];
    ("npm_lock", files)
}

fn pip_requirements() -> Corpus {
    let hash = |byte: &str| format!("--hash=sha256:{}", byte.repeat(32));
    let one = format!("a==1.0 \\\n    {} \\\n    {}\n    # via b\n", hash("ab"), hash("cd"));
    let files = vec![
        text("one", one.clone()),
        text(
            "several",
            format!("--index-url https://a.invalid\n{one}B_c[x]==2!1.0+l ; os_name == 'nt' {}\n", hash("ef")),
        ),
        text("apart", format!("a === 1.0 --hash sha256:{}", "ab".repeat(32))),
        text("none", "# nothing\n"),
        text("refused-open", one.replace("==", ">=")),
        text("refused-any", one.replace("1.0", "1.*")),
        text("refused-checksum", one.replace("256", "512")),
        text("refused-hash", one.replace("abab", "\u{1b}[2J")),
        text("refused-git", format!("a @ git+https://a.invalid/\u{1b}[2J {}", hash("ab"))),
        text("refused-file", format!("./\u{1b}[2J {}", hash("ab"))),
        text("refused-other-file", "-r \u{1b}[2J.txt"),
        text("refused-option", "--no-binary=\u{1b}[2J"),
        text("refused-unknown-option", "--\u{1b}[2J"),
        text("refused-name", format!("\u{1b}[2J==1 {}", hash("ab"))),
    ];
    ("pip_requirements", files)
}
