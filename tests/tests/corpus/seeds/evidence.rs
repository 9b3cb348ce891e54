// SPDX-License-Identifier: Apache-2.0
//! Evidence of processors, emulated.

use reprove_tests::properties::evidence::Emulated;
use reprove_tests::properties::join;

use super::{Corpus, File};

pub(crate) fn all() -> Vec<Corpus> {
    let Emulated { quote, collateral, .. } = Emulated::new();
    vec![("tdx_quote", quotes(&quote)), ("tdx_collateral", collaterals(&collateral)), ("nitro_document", documents())]
}

/// `bytes` with one of them changed.
fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn quotes(good: &[u8]) -> Vec<File> {
    vec![
        ("good", good.to_vec()),
        ("zeros-behind", [good, &[0; 70]].concat()),
        ("refused-version", changed(good, 0)),
        ("refused-key-type", changed(good, 2)),
        ("refused-tee", changed(good, 4)),
        ("refused-debug", changed(good, 48 + 120)),
        ("refused-measurement", changed(good, 48 + 136)),
        ("refused-report-data", changed(good, 48 + 520)),
        ("refused-length", changed(good, 48 + 584)),
        ("refused-signature", changed(good, 48 + 584 + 4)),
        ("refused-key", changed(good, 48 + 584 + 4 + 64)),
        ("refused-certification", changed(good, 48 + 584 + 4 + 128)),
        ("refused-enclave", changed(good, 48 + 584 + 4 + 134 + 64)),
        ("refused-chain", changed(good, good.len() - 100)),
        ("refused-cut", good[..good.len() / 2].to_vec()),
        ("refused-more", [good, &[0]].concat()),
    ]
}

fn collaterals(good: &[u8]) -> Vec<File> {
    let text = str::from_utf8(good).unwrap();
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1).into_bytes()
    };
    vec![
        ("good", good.to_vec()),
        ("spaces", [b" \n", good, b"\n"].concat()),
        ("refused-field", replaced("{\"", "{\"more\":\"\",\"")),
        ("refused-missing", replaced("\"pck_crl\"", "\"pck_crl_\"")),
        ("refused-digits", replaced("\"root_ca_crl\":\"30", "\"root_ca_crl\":\"3O")),
        ("refused-list", replaced("\"root_ca_crl\":\"30", "\"root_ca_crl\":\"31")),
        ("refused-chain", replaced("MII", "MIJ")),
        ("refused-status", replaced("UpToDate", "Revoked!")),
        ("refused-date", replaced("nextUpdate", "nextUpdat!")),
        ("refused-cut", good[..good.len() / 2].to_vec()),
        ("refused-empty", Vec::new()),
    ]
}

/// Each after the root's certificate.
fn documents() -> Vec<File> {
    let (root, good) = (include_bytes!("nitro/root.der"), include_bytes!("nitro/document.cose").as_slice());
    let find = |text: &str| good.windows(text.len()).position(|window| window == text.as_bytes()).unwrap();
    let files = [
        ("good", good.to_vec()),
        ("refused-algorithm", changed(good, 4)),
        ("refused-unprotected", changed(good, 6)),
        ("refused-module", changed(good, find("module_id"))),
        ("refused-digest", changed(good, find("SHA384"))),
        ("refused-registers", changed(good, find("pcrs") + 5)),
        ("refused-bundle", changed(good, find("cabundle") + 8)),
        ("refused-certificate", changed(good, find("certificate") + 40)),
        ("refused-signature", changed(good, good.len() - 1)),
        ("refused-cut", good[..good.len() / 2].to_vec()),
        ("refused-more", [good, &[0]].concat()),
    ];
    let mut files: Vec<File> = files.into_iter().map(|(name, signed)| (name, join(root, &signed))).collect();
    files.push(("refused-root", join(&root[1..], good)));
    files.push(("refused-empty", Vec::new()));
    files
}
