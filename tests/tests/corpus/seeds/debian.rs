// SPDX-License-Identifier: Apache-2.0
//! What Debian's builders write down, and the changelogs in packages.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Corpus, File};

pub(super) fn all() -> Vec<Corpus> {
    vec![build_infos(), changes()]
}

const ENTRY: &str = "demo (1.0-1+b1) sid; urgency=low, binary-only=yes\n\n  * Rebuild on buildd\n\n -- A Builder <b@example.org>  Sun, 05 Sep 2021 16:01:18 +0000\n";

fn build_infos() -> Corpus {
    let on_top: String = ENTRY.lines().map(|line| format!(" {}\n", if line.is_empty() { "." } else { line })).collect();
    let info = |packages: &str, more: &str| {
        format!(
            "Format: 1.0\nSource: demo (1.0-1)\nBinary: demo\nArchitecture: amd64\nVersion: 1.0-1+b1\n{more}\
             Checksums-Sha256:\n {} 109 demo_1.0-1+b1_amd64.deb\nInstalled-Build-Depends:\n{packages}\n",
            "a1".repeat(32)
        )
    };
    let packages = " autoconf (= 2.71-3),\n gcc:amd64 (= 4:12.2.0-3)";
    let again = format!("Binary-Only-Changes:\n{on_top}");
    let signed = format!(
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n{}\n-----BEGIN PGP SIGNATURE-----\n\nxx\n-----END PGP SIGNATURE-----\n",
        info(packages, "")
    );
    let text = |name: &'static str, text: String| -> File { (name, text.into_bytes()) };
    let files = vec![
        text("plain", info(packages, "Environment:\n DEB_BUILD_OPTIONS=\"parallel=4\"\n LANG=\"C\"\n")),
        text("signed", signed),
        text("built-again", info(packages, &again)),
        text("two-entries", info(packages, &again.replace(" -- A", "  -- A"))),
        text("refused-none", info("", "")),
        text("refused-option", info(" -o=x (= 1)", "")),
        text("refused-relation", info(" gcc (>= 1)", "")),
        text("refused-digest", info(packages, "").replace("a1a1", "x")),
        text("refused-format", info(packages, "").replace("Format: 1.0", "Format: 9")),
        text("refused-control", info(" gcc\u{1b}[2J (= 1)", "")),
    ];
    ("build_info", files)
}

fn changes() -> Corpus {
    let compressed = |text: &str| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap()
    };
    let older = format!("{ENTRY}\ndemo (1.0-1) sid; urgency=low\n\n  * Older\n\n -- A B <c@d>  Mon\n");
    let long = format!("{ENTRY}\n{}", "  * é\n".repeat(30_000));
    let mut damaged = compressed(&long);
    let end = damaged.len() - 20;
    damaged.truncate(end);
    let files = vec![
        ("alone", compressed(ENTRY)),
        ("on-top", compressed(&older)),
        ("on-top-of-more-than-is-read", compressed(&long)),
        ("damaged-after-it", damaged),
        ("of-another", compressed(&ENTRY.replace("+b1", "+b2"))),
        ("of-a-change", compressed(&ENTRY.replace(", binary-only=yes", ""))),
        ("no-end", compressed(&ENTRY.replace(" -- ", "  "))),
        ("no-gzip", ENTRY.into()),
    ];
    ("binary_only_changes", files)
}
