// SPDX-License-Identifier: Apache-2.0
//! Evidence of processors, emulated.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reprove_tests::properties::evidence::{Emulated, ear_key};
use reprove_tests::properties::join;
use serde_json::{Value, json};

use super::{Corpus, File};

pub(crate) fn all() -> Vec<Corpus> {
    let Emulated { quote, collateral, .. } = Emulated::new();
    vec![
        ("tdx_quote", quotes(&quote)),
        ("tdx_collateral", collaterals(&collateral)),
        ("nitro_document", documents()),
        ("ear_token", tokens()),
        ("ccf_receipt", receipts()),
        ("snp_report", reports()),
        ("snp_certificates", tables()),
        ("snp_firmware", firmwares()),
        ("tdx_firmware", domains()),
        ("certificate", certificates()),
    ]
}

/// `bytes` with one of them changed.
fn changed(bytes: &[u8], at: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at] ^= 1;
    bytes
}

fn reports() -> Vec<File> {
    let mut good = vec![0; 1184];
    (good[0], good[0x34]) = (2, 1);
    vec![
        ("good", good.clone()),
        ("newest", changed(&[&[5], &good[1..]].concat(), 0x1f8)),
        ("refused-version", changed(&good, 0)),
        ("refused-algorithm", changed(&good, 0x34)),
        ("refused-reserved", changed(&good, 0x4c)),
        ("refused-behind-the-signature", changed(&good, 0x49f)),
        ("refused-cut", good[..1183].to_vec()),
    ]
}

/// A root and a chip's key, and one of another name.
fn tables() -> Vec<File> {
    let entry = |name: Vec<u8>, place: [u32; 2]| [name, words(&place)].concat();
    let root = |place| entry(guid(0xc0b4_06a4_a803_4952, 0x9743_3fb6_014c_d0ae), place);
    let chip = entry(guid(0x63da_758d_e664_4564, 0xadc5_f4b9_3be8_accd), [101, 5]);
    let table = |first: Vec<u8>, second: Vec<u8>| {
        [first, second, entry(guid(1, 2), [96, 10]), vec![0; 24], b"root-chip-".to_vec()].concat()
    };
    let good = table(root([96, 5]), chip.clone());
    vec![
        ("good", good.clone()),
        ("nothing", vec![0; 24]),
        ("refused-twice", table(root([96, 5]), root([101, 5]))),
        ("refused-in-the-table", table(root([95, 5]), chip.clone())),
        ("refused-outside", table(root([102, 5]), chip.clone())),
        ("refused-empty-entry", table(root([96, 0]), chip)),
        ("refused-no-end", good[..72].to_vec()),
    ]
}

/// A page with the tables of an OVMF at its end, and a list of two sections.
fn firmwares() -> Vec<File> {
    let sections = [b"ASEV".to_vec(), words(&[40, 1, 2, 0x80_0000, 0x1000, 1, 0x80_1000, 0x1000, 0x10])].concat();
    let table = table(&[
        (&words(&[0x80_1c00, 0x400]), guid(0x1f37_5572_3b3a_044b, 0x927b_1da6_efa8_d454)),
        (&words(&[0x200]), guid(0x6665_88dc_4a98_9847, 0xa75e_5585_a7bf_67cc)),
        (&words(&[0x80_b004]), guid(0xde71_f700_7e1a_cb4f, 0x890e_68c7_7e2f_b44e)),
    ]);
    let mut good = vec![0; 4096 - table.len()];
    good[4096 - 0x200..4096 - 0x200 + sections.len()].copy_from_slice(&sections);
    good.extend(table);
    vec![
        ("good", good.clone()),
        ("refused-no-table", changed(&good, 4096 - 33)),
        ("refused-sections", changed(&good, 4096 - 0x200)),
        ("refused-kind", changed(&good, 4096 - 0x200 + 24)),
        ("refused-half-a-page", good[2048..].to_vec()),
        ("refused-empty", Vec::new()),
    ]
}

/// Two pages with the tables of an OVMF at their end: variables, and code with a list of what a domain begins with. And a kernel
/// with two sections and a signature.
fn domains() -> Vec<File> {
    const METADATA: usize = 8192 - 0x200;
    let sections: [[u32; 8]; 4] = [
        [0x1000, 0x1000, 0xffff_f000, 0, 0x1000, 0, 0, 1],
        [0, 0x1000, 0xffff_e000, 0, 0x1000, 0, 1, 0],
        [0, 0, 0x80_9000, 0, 0x2000, 0, 2, 0],
        [0, 0, 0x81_0000, 0, 0x1_0000, 0, 3, 0],
    ];
    let metadata = [b"TDVF".to_vec(), words(&[16 + 4 * 32, 1, 4]), words(&sections.concat())].concat();
    let table = table(&[(&words(&[0x200]), guid(0x3565_7ae4_4a98_9847, 0x865e_4685_a7bf_8ec2))]);
    let mut good = vec![0; 8192 - table.len()];
    good[METADATA..METADATA + metadata.len()].copy_from_slice(&metadata);
    good.extend(table);

    let mut kernel = vec![0; 0x610];
    let mut put = |at: usize, bytes: &[u8]| kernel[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &[0x40]);
    put(0x40, b"PE\0\0\x64\x86\x02");
    put(0x54, &[160]);
    put(0x58, b"\x0b\x02");
    put(0x58 + 60, &words(&[0x200]));
    put(0x58 + 68, &[10]);
    put(0x58 + 108, &[6]);
    put(0x58 + 144, &words(&[0x600, 16]));
    put(0x58 + 160 + 16, &words(&[0x200, 0x400]));
    put(0x58 + 200 + 16, &words(&[0x200, 0x200]));
    vec![
        ("good", good.clone()),
        ("kernel", kernel.clone()),
        ("refused-not-measured", changed(&good, METADATA + 16 + 28)),
        ("refused-no-metadata", changed(&good[4096..], 4096 - 51)),
        ("refused-gap", changed(&kernel, 0x58 + 200 + 20)),
        ("refused-empty", Vec::new()),
    ]
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn guid(high: u64, low: u64) -> Vec<u8> {
    [high.to_be_bytes(), low.to_be_bytes()].concat()
}

/// The table at the end of an OVMF, and what follows it.
fn table(entries: &[(&[u8], Vec<u8>)]) -> Vec<u8> {
    let entry = |data: &[u8], name: &[u8]| {
        let length = u16::try_from(data.len() + 18).unwrap();
        [data, &length.to_le_bytes(), name].concat()
    };
    let entries: Vec<u8> = entries.iter().flat_map(|(data, name)| entry(data, name)).collect();
    [entry(&entries, &guid(0xde82_b596_b21f_f745, 0xbaea_a366_c55a_082d)), vec![0; 32]].concat()
}

fn certificates() -> Vec<File> {
    let good = include_bytes!("nitro/root.der");
    vec![
        ("good", good.to_vec()),
        ("refused-more", [good.as_slice(), &[0]].concat()),
        ("refused-cut", good[..good.len() - 1].to_vec()),
        ("refused-algorithm", changed(good, 30)),
    ]
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

/// Receipts of an EMULATED service: those of the tests of evidence.
fn receipts() -> Vec<File> {
    const GOOD: &str = include_str!("../../../../attest/tests/evidence/ccf/emulated.json");
    const SERVICE: &str = include_str!("../../../../attest/tests/evidence/ccf/service.pem");
    let with = |path: &str, value: Value| {
        let mut receipt: Value = serde_json::from_str(GOOD).unwrap();
        *receipt.pointer_mut(path).unwrap() = value;
        receipt.to_string().into_bytes()
    };
    let endorsement = include_str!("../../../../attest/tests/evidence/ccf/endorsement.pem");
    vec![
        ("good", GOOD.into()),
        ("service", SERVICE.into()),
        ("refused-claims", with("/leaf_components/claims_digest", json!("00".repeat(32)))),
        ("refused-endorsement", with("/service_endorsements", json!([endorsement]))),
        ("refused-side", with("/proof/0", json!({ "right": "2c".repeat(32) }))),
        ("refused-signature", with("/signature", json!("AA=="))),
        ("refused-empty", Vec::new()),
    ]
}

/// Tokens of Trustee's, by the key of the property.
fn tokens() -> Vec<File> {
    let header = json!({ "typ": "JWT", "alg": "ES256" });
    let claims = json!({
        "eat_profile": "tag:github.com,2024:confidential-containers/Trustee",
        "iat": 1_768_435_200,
        "exp": 1_768_435_500,
        "ear.verifier-id": { "developer": "developer", "build": "build" },
        "submods": { "cpu0": {
            "ear.status": "affirming",
            "ear.trustworthiness-vector": { "hardware": 2, "configuration": 0 },
            "ear.appraisal-policy-id": "default",
            "ear.veraison.annotated-evidence": { "report_data": STANDARD.encode([7; 64]), "tdx": {} },
        } },
    });
    let with = |path: &str, value: Value| {
        let mut claims = claims.clone();
        *claims.pointer_mut(path).unwrap() = value;
        token(&header, &claims)
    };
    let good = token(&header, &claims);
    vec![
        ("good", good.clone()),
        ("refused-profile", with("/eat_profile", json!("tag:ietf.org,2026:rats/ear#04"))),
        ("refused-early", with("/iat", json!(1_768_435_201))),
        ("refused-late", with("/exp", json!(1_768_435_200))),
        ("refused-time", with("/exp", json!(i64::MAX))),
        ("refused-nothing", with("/submods", json!({}))),
        ("refused-status", with("/submods/cpu0/ear.status", json!("warning"))),
        ("refused-claim", with("/submods/cpu0/ear.trustworthiness-vector/hardware", json!(96))),
        ("refused-policy", with("/submods/cpu0/ear.appraisal-policy-id", json!("other"))),
        ("refused-evidence", with("/submods/cpu0/ear.veraison.annotated-evidence", json!({}))),
        ("refused-algorithm", token(&json!({ "alg": "none" }), &claims)),
        ("refused-critical", token(&json!({ "alg": "ES256", "crit": ["b64"] }), &claims)),
        ("refused-signature", changed(&good, good.len() - 20)),
        ("refused-cut", good[..good.len() / 2].to_vec()),
        ("refused-empty", Vec::new()),
    ]
}

fn token(header: &Value, claims: &Value) -> Vec<u8> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(header), encode(claims));
    // SEQUENCE of two INTEGERs, each with a zero before its 32 bytes or fewer of them.
    let der = ear_key().sign(message.as_bytes());
    let (r, rest) = der[4..].split_at(der[3].into());
    let number = |bytes: &[u8]| [vec![0; 32], bytes.to_vec()].concat()[bytes.len()..].to_vec();
    let signature = [number(r), number(&rest[2..])].concat();
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)).into_bytes()
}
